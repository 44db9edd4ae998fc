//! When flows are to be looked at: a calendar of seconds on packet time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

const SECOND: i64 = 1_000_000_000;

/// Indexes of flows by the second in which their idle timeout ends at the earliest.
///
/// Within a second the lowest index comes first, so that the order does not depend on how entries came
/// in. An entry is a reminder, not a promise: a flow that saw packets since is due later, and one that
/// moved has a second entry. Whoever takes an entry asks the flow itself.
#[derive(Debug, Default)]
pub(crate) struct Wheel {
    seconds: BTreeMap<i64, BinaryHeap<Reverse<u32>>>,
}

impl Wheel {
    /// The second a time falls into.
    pub(crate) fn second(due_ns: i64) -> i64 {
        due_ns.div_euclid(SECOND)
    }

    pub(crate) fn remind(&mut self, second: i64, flow: u32) {
        self.seconds.entry(second).or_default().push(Reverse(flow));
    }

    /// Takes the reminders of the earliest second, if that has begun at `now_ns`.
    pub(crate) fn take_due(&mut self, now_ns: i64) -> Option<(i64, impl Iterator<Item = u32>)> {
        let entry = self.seconds.first_entry()?;
        if *entry.key() > Self::second(now_ns) {
            return None;
        }
        let (second, flows) = entry.remove_entry();
        Some((second, flows.into_iter().map(|Reverse(flow)| flow)))
    }

    /// Takes one reminder of the earliest second.
    pub(crate) fn take_earliest(&mut self) -> Option<(i64, u32)> {
        loop {
            let mut entry = self.seconds.first_entry()?;
            let second = *entry.key();
            match entry.get_mut().pop() {
                Some(Reverse(flow)) => return Some((second, flow)),
                None => entry.remove(),
            };
        }
    }

    /// The earliest second with a reminder.
    pub(crate) fn earliest(&self) -> Option<i64> {
        self.seconds.first_key_value().map(|(&second, _)| second)
    }
}
