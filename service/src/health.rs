//! Whether a program lives, and whether it does its work.

use std::sync::{Arc, Mutex, PoisonError};

/// What `/healthz` and `/readyz` answer. Clones share one state.
///
/// A program is alive unless it says that it can't go on. It is ready once it says so, and no more while it
/// names a reason why its work stands still.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    dead: Option<String>,
    unready: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { dead: None, unready: Some("starting".into()) })))
    }
}

impl Health {
    /// The work goes on.
    pub fn set_ready(&self) {
        self.state().unready = None;
    }

    /// The work stands still, and why.
    pub fn set_unready(&self, reason: impl Into<String>) {
        self.state().unready = Some(reason.into());
    }

    /// The program can't go on and should be started again, and why.
    pub fn set_dead(&self, reason: impl Into<String>) {
        self.state().dead = Some(reason.into());
    }

    /// Why the program is not alive, if it isn't.
    pub fn dead(&self) -> Option<String> {
        self.state().dead.clone()
    }

    /// Why the program is not ready, if it isn't.
    pub fn unready(&self) -> Option<String> {
        let state = self.state();
        state.dead.clone().or_else(|| state.unready.clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_alive_before_it_is_ready_and_never_ready_when_dead() {
        let health = Health::default();
        assert_eq!((health.dead(), health.unready()), (None, Some("starting".into())));
        health.set_ready();
        assert_eq!(health.unready(), None);
        health.set_unready("no Kafka");
        assert_eq!((health.dead(), health.unready()), (None, Some("no Kafka".into())));
        health.set_ready();
        health.set_dead("a worker failed");
        assert_eq!(health.unready(), Some("a worker failed".into()));
    }
}
