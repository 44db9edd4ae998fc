//! Answers that will come from another port than the one that was asked.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Dispatch;

/// Expectations of an engine at once; the oldest is given up for one more.
const EXPECTATIONS_MAX: usize = 256;

/// An expectation is over so long after it was announced, ns.
const WAIT_MAX_NS: i64 = 30_000_000_000;

/// Where an answer is expected, within one partition key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) partition_key: u64,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

/// Who expects an answer, and in what protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Expectation {
    place: Place,
    since_ns: i64,
    service: String,
}

impl Expectation {
    fn is_fresh(&self, ts_ns: i64) -> bool {
        ts_ns.saturating_sub(self.since_ns) <= WAIT_MAX_NS
    }
}

/// What flows of an engine expect.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Expectations {
    pending: Vec<Expectation>,
}

/// A new flow that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The decoder it needs.
    pub(crate) service: Dispatch,
    /// Time of the message that announced it, ns.
    pub(crate) since_ns: i64,
}

impl Expectations {
    /// Announces that `place` will be answered in the protocol of `service`. An announcement that is
    /// repeated keeps its first time.
    pub(crate) fn announce(&mut self, place: Place, ts_ns: i64, service: Dispatch) {
        let service = service.name();
        // Those of other partition keys are none of this packet's business, whatever its time.
        self.pending.retain(|pending| pending.place.partition_key != place.partition_key || pending.is_fresh(ts_ns));
        if self.pending.iter().any(|pending| pending.place == place && pending.service == service) {
            return;
        }
        self.pending.retain(|pending| pending.place != place);
        if self.pending.len() >= EXPECTATIONS_MAX {
            self.pending.remove(0);
        }
        self.pending.push(Expectation { place, since_ns: ts_ns, service: service.to_owned() });
    }

    /// What a new flow to `place` was expected to be, if its first bytes do not contradict.
    pub(crate) fn take(&mut self, place: Place, ts_ns: i64, bytes: &[u8]) -> Option<Expected> {
        let (at, pending) = self.pending.iter().enumerate().find(|(_, pending)| pending.place == place)?;
        let service = Dispatch::from_name(&pending.service)?;
        if !pending.is_fresh(ts_ns) || !service.may_be(bytes) {
            return None;
        }
        let since_ns = self.pending.remove(at).since_ns;
        Some(Expected { service, since_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { partition_key: 7, address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port: 2000 };
    const ACKNOWLEDGEMENT: &[u8] = &[0, 4, 0, 0];

    fn tftp() -> Dispatch {
        Dispatch::from_name("tftp").unwrap()
    }

    #[test]
    fn an_expectation_is_met_once() {
        let mut expectations = Expectations::default();
        expectations.announce(PLACE, 100, tftp());
        let elsewhere = Place { port: 2001, ..PLACE };
        assert_eq!(expectations.take(elsewhere, 200, ACKNOWLEDGEMENT), None);
        assert_eq!(expectations.take(PLACE, 200, b"\xff\xff\xff\xff"), None, "that is no TFTP");
        let met = expectations.take(PLACE, 200, ACKNOWLEDGEMENT);
        assert_eq!(met, Some(Expected { service: tftp(), since_ns: 100 }));
        assert_eq!(expectations.take(PLACE, 200, ACKNOWLEDGEMENT), None);
    }

    #[test]
    fn a_repeated_announcement_keeps_its_first_time() {
        let mut expectations = Expectations::default();
        expectations.announce(PLACE, 100, tftp());
        expectations.announce(PLACE, 150, tftp());
        assert_eq!(expectations.take(PLACE, 200, ACKNOWLEDGEMENT).map(|met| met.since_ns), Some(100));
        assert_eq!(expectations.take(PLACE, 200, ACKNOWLEDGEMENT), None);
    }

    #[test]
    fn an_expectation_ends_after_30_seconds() {
        let mut expectations = Expectations::default();
        expectations.announce(PLACE, 0, tftp());
        assert_eq!(expectations.take(PLACE, WAIT_MAX_NS + 1, ACKNOWLEDGEMENT), None);
        expectations.announce(PLACE, WAIT_MAX_NS + 1, tftp());
        assert_eq!(
            expectations.take(PLACE, WAIT_MAX_NS + 2, ACKNOWLEDGEMENT).map(|met| met.since_ns),
            Some(WAIT_MAX_NS + 1)
        );
    }

    #[test]
    fn time_passes_for_each_partition_key_alone() {
        let mut expectations = Expectations::default();
        expectations.announce(PLACE, 0, tftp());
        expectations.announce(Place { partition_key: 8, ..PLACE }, i64::MAX, tftp());
        assert!(expectations.take(PLACE, 1, ACKNOWLEDGEMENT).is_some());
    }

    #[test]
    fn the_oldest_of_too_many_is_given_up() {
        let mut expectations = Expectations::default();
        let ports = 0..=u16::try_from(EXPECTATIONS_MAX).unwrap();
        for port in ports {
            expectations.announce(Place { port, ..PLACE }, 0, tftp());
        }
        assert_eq!(expectations.take(Place { port: 0, ..PLACE }, 1, ACKNOWLEDGEMENT), None);
        assert!(expectations.take(Place { port: 1, ..PLACE }, 1, ACKNOWLEDGEMENT).is_some());
    }
}
