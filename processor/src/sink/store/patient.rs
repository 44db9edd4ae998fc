//! The one layer that tries again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics::counter;
use weir_service::random::random;

use super::{Failure, Head, Kind, Link, Put, Store, chain};
use crate::sink::link::Log;
use crate::sink::metrics::{REFUSED, STORE_ERRORS};

/// Pause after the first failure. It doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// The same where somebody has to do something first.
const PAUSE_REFUSED_MIN: Duration = Duration::from_secs(1);
const PAUSE_REFUSED_MAX: Duration = Duration::from_secs(30);

/// Looks after which a file that was listed, but isn't found, counts as deleted.
const ATTEMPTS_AT_VANISHED: u32 = 8;

/// Key of the object that tells whether the store honours conditions.
const PROBE: &str = "weir-probe/put-if-absent";

/// How often a failure that goes on is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// How long to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it works: nothing is lost meanwhile.
    Endless,
    /// Until it works, but not where the store refuses: what a start should tell at once.
    UntilRefused,
    /// For a minute at most: what somebody waits for.
    Minute,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Stopped {
    /// The process is told to stop.
    #[error("stopped while the store did not answer")]
    Asked,
    /// It was tried as long as it should be.
    #[error("{0}")]
    Failed(String),
}

/// A store that is asked again until it answers.
pub struct Patient {
    store: Arc<dyn Store>,
    patience: Patience,
    stop: Arc<AtomicBool>,
    /// Requests that wait because the store refuses them.
    refused: AtomicU64,
    /// Scales pauses, so that tests take no minutes.
    pause_unit: f64,
    jitter: AtomicU64,
}

impl Patient {
    /// Asks until `stop` is set, or as long as `patience` says.
    pub fn new(store: Arc<dyn Store>, patience: Patience, stop: Arc<AtomicBool>) -> Self {
        // Different in each process, so that many sinks don't come back at the same moment.
        Self {
            store,
            patience,
            stop,
            refused: AtomicU64::new(0),
            pause_unit: 1.0,
            jitter: AtomicU64::new(random() | 1),
        }
    }

    /// The same with pauses a thousand times as short.
    #[cfg(test)]
    pub fn hasty(mut self) -> Self {
        self.pause_unit = 0.001;
        self
    }

    /// Puts a file where there is none, and tells of the one that was there before. That may be this same file, put
    /// by an earlier attempt whose answer was lost.
    ///
    /// # Errors
    ///
    /// Asked to stop.
    pub fn put(&self, key: &str, body: &[u8], link: &Link) -> Result<chain::Put, Stopped> {
        let mut uncertain = false;
        self.insist("put", key, || {
            // It may have happened already: asking costs less than sending the file again.
            if uncertain {
                match self.store.head(key) {
                    Ok(Head::File { link, .. }) => return Ok(chain::Put::Taken(link)),
                    // S3 denies a look at what isn't there, unless one may list whatever there is (HeadObject, "Permissions").
                    Ok(Head::Absent) | Err(Failure { kind: Kind::Denied, .. }) => {}
                    Err(failure) => return Err(failure),
                }
            }
            match self.store.put(key, body, link) {
                Ok(Put::Stored) => Ok(chain::Put::Stored),
                Ok(Put::Taken) => self.existing(key).map(chain::Put::Taken),
                Err(failure) => {
                    uncertain |= !failure.kind.is_certain();
                    Err(failure)
                }
            }
        })
    }

    /// What a file says of itself that was seen to exist. It may have been deleted since: after some attempts it
    /// counts as one that no sink wrote.
    ///
    /// # Errors
    ///
    /// Asked to stop.
    pub fn head_existing(&self, key: &str) -> Result<Option<Link>, Stopped> {
        let mut attempts = 0;
        self.insist("head", key, || {
            attempts += 1;
            match self.existing(key) {
                Err(failure) if failure.kind == Kind::Vanished && attempts >= ATTEMPTS_AT_VANISHED => Ok(None),
                link => link,
            }
        })
    }

    /// A store's answers to a list or a put, and to a look, may contradict each other for a while.
    fn existing(&self, key: &str) -> Result<Option<Link>, Failure> {
        match self.store.head(key)? {
            Head::File { link, .. } => Ok(link),
            Head::Absent => {
                let what = format!("{key}: the store says first that there is such a file, then that there is none");
                Err(Failure { kind: Kind::Vanished, what })
            }
        }
    }

    /// What there is of a key.
    ///
    /// # Errors
    ///
    /// Asked to stop.
    pub fn head(&self, key: &str) -> Result<Head, Stopped> {
        self.insist("head", key, || self.store.head(key))
    }

    /// A page of keys, see [`Store::list`].
    ///
    /// # Errors
    ///
    /// Asked to stop.
    pub fn list(&self, prefix: &str, after: &str) -> Result<(Vec<String>, bool), Stopped> {
        self.insist("list", prefix, || self.store.list(prefix, after))
    }

    /// Whether the store puts a file only where there is none, as asked. It leaves a small object behind.
    ///
    /// # Errors
    ///
    /// Asked to stop, or refused.
    pub fn honours_conditions(&self) -> Result<bool, Stopped> {
        let link =
            Link { log: Log::default(), from: 0, first: 0, last: 0, rows: 0, fingerprint: String::new(), crc: 0 };
        let body = b"Weir's sinks put this object twice, to see that the second attempt is refused.\n";
        self.put(PROBE, body, &link)?;
        let second = self.insist("put", PROBE, || self.store.put(PROBE, body, &link))?;
        Ok(second == Put::Taken)
    }

    /// Whether requests wait because the store refuses them.
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed) > 0
    }

    fn insist<T>(&self, what: &str, key: &str, mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Stopped> {
        let begun = Instant::now();
        let mut attempt = Attempt::default();
        let mut logged: Option<Instant> = None;
        let mut counted = false;
        let done = loop {
            let failure = match ask() {
                Ok(answer) => break Ok(answer),
                Err(failure) => failure,
            };
            counter!(STORE_ERRORS, "kind" => failure.kind.name()).increment(1);
            let next = attempt.after(failure.kind, self.fraction());
            if next.is_refused && !counted {
                counted = true;
                self.count_refused(1);
            }
            let give_up = match self.patience {
                Patience::Endless => false,
                Patience::UntilRefused => next.is_refused,
                Patience::Minute => next.is_refused || begun.elapsed() > Duration::from_secs(60),
            };
            if give_up {
                break Err(Stopped::Failed(failure.what));
            }
            if next.is_refused && logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                tracing::error!(
                    operation = what,
                    key,
                    kind = failure.kind.name(),
                    "{failure}; nothing is committed, trying on"
                );
                logged = Some(Instant::now());
            } else if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                tracing::warn!(operation = what, key, kind = failure.kind.name(), "{failure}; trying again");
                logged = Some(Instant::now());
            }
            if next.renew
                && let Err(failure) = self.store.renew()
            {
                tracing::warn!("credentials can't be renewed: {failure}");
            }
            if !self.sleep(next.pause.mul_f64(self.pause_unit)) {
                break Err(Stopped::Asked);
            }
        };
        if counted {
            self.count_refused(-1);
        }
        if logged.is_some() && done.is_ok() {
            tracing::info!(operation = what, key, "the store answers again");
        }
        done
    }

    fn count_refused(&self, by: i8) {
        let now = if by > 0 {
            self.refused.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            self.refused.fetch_sub(1, Ordering::Relaxed).saturating_sub(1)
        };
        metrics::gauge!(REFUSED).set(if now > 0 { 1.0 } else { 0.0 });
    }

    /// Whether the pause passed before the process was told to stop.
    fn sleep(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// A number from 0 to 1 (Marsaglia's xorshift).
    fn fraction(&self) -> f64 {
        let mut x = self.jitter.load(Ordering::Relaxed);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.jitter.store(x, Ordering::Relaxed);
        f64::from(u32::try_from(x >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}

/// What one request has met so far.
#[derive(Default)]
struct Attempt {
    failures: u32,
    denied: u32,
}

/// What to do before the next attempt.
#[derive(Debug, PartialEq)]
struct Next {
    pause: Duration,
    renew: bool,
    /// Somebody has to do something.
    is_refused: bool,
}

impl Attempt {
    /// `fraction` is from 0 to 1, and random.
    fn after(&mut self, kind: Kind, fraction: f64) -> Next {
        self.denied += u32::from(kind == Kind::Denied);
        if kind == Kind::Denied && self.denied == 1 {
            // Credentials expire: new ones are tried once at once.
            return Next { pause: Duration::ZERO, renew: true, is_refused: false };
        }
        let is_refused = kind.is_refusal();
        let (min, max) = if is_refused { (PAUSE_REFUSED_MIN, PAUSE_REFUSED_MAX) } else { (PAUSE_MIN, PAUSE_MAX) };
        let pause = min.saturating_mul(1 << self.failures.min(10)).min(max);
        self.failures += 1;
        Next { pause: pause.mul_f64(0.5 + fraction / 2.0), renew: kind == Kind::Denied, is_refused }
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::{Fault, Memory};
    use super::*;

    fn link() -> Link {
        let log = Log { cluster: "c".into(), incarnation: "i".into() };
        Link { log, from: 0, first: 0, last: 9, rows: 10, fingerprint: "f".into(), crc: 1 }
    }

    fn failure(kind: Kind) -> Failure {
        Failure { kind, what: format!("{kind:?}") }
    }

    fn patient(faults: Vec<Fault>, patience: Patience) -> (Arc<Memory>, Patient) {
        let memory = Arc::new(Memory::default());
        memory.script(faults);
        (memory.clone(), Patient::new(Arc::new(memory), patience, Arc::default()).hasty())
    }

    fn requests(memory: &Memory) -> Vec<String> {
        memory.requests.lock().unwrap().clone()
    }

    #[test]
    fn a_put_whose_answer_is_lost_is_looked_for_and_not_sent_again() {
        let (memory, patient) = patient(vec![Fault::After(failure(Kind::TimeOut))], Patience::Endless);
        let put = patient.put("k", b"body", &link()).unwrap();
        assert!(matches!(put, chain::Put::Taken(Some(found)) if found == link()));
        assert_eq!(requests(&memory), ["put k", "head k"]);
    }

    #[test]
    fn a_put_that_did_not_happen_is_sent_again_after_a_look() {
        let (memory, patient) = patient(vec![Fault::Before(failure(Kind::Server))], Patience::Endless);
        assert!(matches!(patient.put("k", b"body", &link()).unwrap(), chain::Put::Stored));
        assert_eq!(requests(&memory), ["put k", "head k", "put k"]);
    }

    #[test]
    fn a_put_is_sent_again_where_the_look_is_denied() {
        let faults = vec![Fault::Before(failure(Kind::TimeOut)), Fault::Before(failure(Kind::Denied))];
        let (memory, patient) = patient(faults, Patience::UntilRefused);
        assert!(matches!(patient.put("k", b"body", &link()).unwrap(), chain::Put::Stored));
        assert_eq!(requests(&memory), ["put k", "head k", "put k"]);
    }

    #[test]
    fn a_put_stays_uncertain_while_the_look_fails() {
        let faults = vec![Fault::After(failure(Kind::Answer)), Fault::Before(failure(Kind::Connection))];
        let (memory, patient) = patient(faults, Patience::Endless);
        assert!(matches!(patient.put("k", b"body", &link()).unwrap(), chain::Put::Taken(Some(_))));
        assert_eq!(requests(&memory), ["put k", "head k", "head k"]);
    }

    #[test]
    fn a_file_that_is_there_and_is_not_is_asked_for_again() {
        let vanished = || Fault::Before(failure(Kind::Vanished));
        let (memory, patient) = patient(vec![Fault::Before(failure(Kind::Server)), vanished()], Patience::Endless);
        assert!(matches!(patient.put("k", b"body", &link()).unwrap(), chain::Put::Stored));
        assert!(patient.head_existing("k").unwrap().is_some());
        assert!(patient.head_existing("other").unwrap().is_none());
        let others = requests(&memory).iter().filter(|request| *request == "head other").count();
        assert_eq!(others, 8);
    }

    #[test]
    fn a_conflict_is_sent_again_without_a_look() {
        let (memory, patient) = patient(vec![Fault::Before(failure(Kind::Conflict))], Patience::Endless);
        assert!(matches!(patient.put("k", b"body", &link()).unwrap(), chain::Put::Stored));
        assert_eq!(requests(&memory), ["put k", "put k"]);
    }

    #[test]
    fn expired_credentials_are_renewed_once_at_once_then_it_is_refused() {
        let (memory, patient) = patient(vec![Fault::Before(failure(Kind::Denied))], Patience::UntilRefused);
        assert!(matches!(patient.put("k", b"body", &link()).unwrap(), chain::Put::Stored));
        assert_eq!(requests(&memory), ["put k", "renew", "put k"]);

        let mut attempt = Attempt::default();
        assert_eq!(attempt.after(Kind::Denied, 0.0), Next { pause: Duration::ZERO, renew: true, is_refused: false });
        assert_eq!(
            attempt.after(Kind::Denied, 0.0),
            Next { pause: PAUSE_REFUSED_MIN / 2, renew: true, is_refused: true }
        );
    }

    #[test]
    fn a_start_tells_at_once_what_the_store_refuses() {
        let (_, patient) = patient(vec![Fault::Before(failure(Kind::NoBucket))], Patience::UntilRefused);
        assert!(matches!(patient.head("k"), Err(Stopped::Failed(what)) if what == "NoBucket"));
    }

    #[test]
    fn a_refusal_is_waited_out_and_seen_meanwhile() {
        let faults = (0..4).map(|_| Fault::Before(failure(Kind::Denied))).collect();
        let (memory, patient) = patient(faults, Patience::Endless);
        thread::scope(|scope| {
            let asked = scope.spawn(|| patient.head("k").unwrap());
            let mut seen = false;
            while !asked.is_finished() {
                seen |= patient.is_refused();
            }
            assert!(seen && asked.join().unwrap() == Head::Absent);
        });
        assert!(!patient.is_refused());
        assert_eq!(requests(&memory).iter().filter(|request| *request == "renew").count(), 4);
    }

    #[test]
    fn a_stop_ends_the_waiting() {
        let stop = Arc::new(AtomicBool::new(true));
        let memory = Memory::default();
        memory.script([Fault::Before(failure(Kind::Server))]);
        let patient = Patient::new(Arc::new(memory), Patience::Endless, stop);
        assert!(matches!(patient.head("k"), Err(Stopped::Asked)));
    }

    #[test]
    fn a_store_that_overwrites_is_found_out() {
        let honest = Patient::new(Arc::new(Memory::default()), Patience::Minute, Arc::default());
        assert!(honest.honours_conditions().unwrap() && honest.honours_conditions().unwrap());
        let memory = Memory { overwrites: true, ..Memory::default() };
        assert!(!Patient::new(Arc::new(memory), Patience::Minute, Arc::default()).honours_conditions().unwrap());
    }

    #[test]
    fn pauses_double_to_a_bound_and_are_spread() {
        let mut attempt = Attempt::default();
        let pauses: Vec<_> = (0..12).map(|_| attempt.after(Kind::Throttled, 1.0).pause).collect();
        assert_eq!(pauses[0], PAUSE_MIN);
        assert_eq!(pauses[1], 2 * PAUSE_MIN);
        assert_eq!(pauses[11], PAUSE_MAX);
        assert_eq!(attempt.after(Kind::Throttled, 0.0).pause, PAUSE_MAX / 2);
        let (_, patient) = patient(Vec::new(), Patience::Endless);
        let fractions: Vec<_> = (0..100).map(|_| patient.fraction()).collect();
        assert!(fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction)));
        assert!(fractions.iter().any(|of| *of < 0.3) && fractions.iter().any(|of| *of > 0.7));
    }
}
