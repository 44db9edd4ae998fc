//! Requests that wait for their responses.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Requests of a flow that wait at once; the oldest is forgotten for one more.
const PENDING_MAX: usize = 64;

/// A response this much later than the request is none, ns.
const WAIT_MAX_NS: i64 = 30_000_000_000;

/// Requests of one flow that were not answered yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct Requests<K> {
    /// Most flows wait for one answer at a time.
    pending: SmallVec<[(K, i64); 1]>,
}

impl<K> Default for Requests<K> {
    fn default() -> Self {
        Self { pending: SmallVec::new() }
    }
}

impl<K: PartialEq> Requests<K> {
    /// Takes note of a request. One that is repeated keeps its first time.
    pub fn request(&mut self, key: K, ts_ns: i64) {
        self.pending.retain(|(_, since)| ts_ns.saturating_sub(*since) <= WAIT_MAX_NS);
        if self.pending.iter().any(|(pending, _)| *pending == key) {
            return;
        }
        if self.pending.len() >= PENDING_MAX {
            self.pending.remove(0);
        }
        self.pending.push((key, ts_ns));
    }

    /// Whether a request waits: one more with this key repeats it.
    pub fn is_pending(&self, key: &K, ts_ns: i64) -> bool {
        let waits = |since: i64| ts_ns.saturating_sub(since) <= WAIT_MAX_NS;
        self.pending.iter().any(|(pending, since)| pending == key && waits(*since))
    }

    /// Time since the request that a response answers, ns. `None` if it was not seen, or too long ago.
    pub fn response(&mut self, key: &K, ts_ns: i64) -> Option<i64> {
        let at = self.pending.iter().position(|(pending, _)| pending == key)?;
        let (_, since) = self.pending.remove(at);
        let elapsed = ts_ns.saturating_sub(since).max(0);
        (elapsed <= WAIT_MAX_NS).then_some(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_its_request() {
        let mut requests = Requests::default();
        requests.request(7, 100);
        assert!(requests.is_pending(&7, 150));
        requests.request(7, 150);
        assert_eq!(requests.response(&7, 300), Some(200));
        assert_eq!(requests.response(&7, 300), None);
        assert!(!requests.is_pending(&7, 300));
    }

    #[test]
    fn late_answers_are_unsolicited() {
        let mut requests = Requests::default();
        requests.request(7, 0);
        assert_eq!(requests.response(&7, WAIT_MAX_NS + 1), None);
    }

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let mut requests = Requests::default();
        for key in 0..=PENDING_MAX {
            requests.request(key, 0);
        }
        assert_eq!((requests.response(&0, 1), requests.response(&1, 1)), (None, Some(1)));
    }
}
