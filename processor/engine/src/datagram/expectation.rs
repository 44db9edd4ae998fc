//! Answers that will come from another port than the one that was asked.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Dispatch;

/// Expectations of an engine at once; the oldest is given up for one more.
const EXPECTATIONS_MAX: usize = 256;

/// An expectation is over so long after it was announced, ns.
const WAIT_MAX_NS: i64 = 30_000_000_000;

/// Who expects an answer, and in what protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Expectation {
    partition_key: u64,
    address: IpAddr,
    port: u16,
    since_ns: i64,
    service: String,
}

/// What flows of an engine expect.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Expectations {
    pending: Vec<Expectation>,
}

impl Expectations {
    /// Announces that `address` and `port` will be answered in the protocol of `service`.
    pub(crate) fn announce(&mut self, partition_key: u64, address: IpAddr, port: u16, ts_ns: i64, service: Dispatch) {
        self.pending
            .retain(|pending| (pending.partition_key, pending.address, pending.port) != (partition_key, address, port));
        if self.pending.len() >= EXPECTATIONS_MAX {
            self.pending.remove(0);
        }
        let service = service.name().to_owned();
        self.pending.push(Expectation { partition_key, address, port, since_ns: ts_ns, service });
    }

    /// The decoder that a new flow to `address` and `port` was expected to need.
    pub(crate) fn take(&mut self, partition_key: u64, address: IpAddr, port: u16, ts_ns: i64) -> Option<Dispatch> {
        let at = self.pending.iter().position(|pending| {
            (pending.partition_key, pending.address, pending.port) == (partition_key, address, port)
        })?;
        let expectation = self.pending.remove(at);
        let is_fresh = ts_ns.saturating_sub(expectation.since_ns) <= WAIT_MAX_NS;
        if is_fresh { Dispatch::from_name(&expectation.service) } else { None }
    }
}
