//! Which of several rings has the next packet: the merge by time of what the kernel hands out ring by ring.
//!
//! A ring's own packets come in order, but it may be quiet for a while and then come up with packets older
//! than another's: with several rings the kernel hands out a block [`BLOCK_TIMEOUT`] after its first packet at the
//! latest. So a packet waits until each quiet ring was found empty [`VISIBLE`] after its arrival: nothing
//! older can be there then. That takes about 20 ms, and longer where a thread does not get to run; a ring whose thread
//! does not look for [`PATIENCE`] isn't waited for. A packet that comes later still is handed out all the same,
//! and counted as late.

use std::time::{Duration, Instant};

/// How long a block of the ring may wait to be full, where there are several rings.
pub(super) const BLOCK_TIMEOUT: Duration = Duration::from_millis(10);

/// How long after a packet's arrival all older ones can be seen in their rings: the time-out of a block, and a step of
/// the kernel's timers.
const VISIBLE: Duration = Duration::from_millis(15);

/// The longest wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked whether a ring was found empty.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What is known of one ring.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// Its next packet was captured at `ts_ns` and arrived here at `arrived`.
    Packet { ts_ns: i64, arrived: Instant },
    /// It has nothing at the moment, and was found empty at this time.
    Quiet(Instant),
    /// It has nothing any more.
    Ended,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Hand out the next packet of this ring.
    Take(usize),
    /// Wait for quiet rings until this time; `None` where there is no packet at all.
    Wait(Option<Instant>),
    /// All rings have ended.
    End,
}

/// Chooses among rings, those first in the list first where times are equal.
#[inline]
pub(super) fn choose(heads: impl Iterator<Item = Head>, now: Instant) -> Choice {
    let mut first: Option<(i64, usize, Instant)> = None;
    let mut found_empty: Option<Instant> = None;
    for (ring, head) in heads.enumerate() {
        match head {
            Head::Packet { ts_ns, arrived } => {
                if first.is_none_or(|(earliest, ..)| ts_ns < earliest) {
                    first = Some((ts_ns, ring, arrived));
                }
            }
            Head::Quiet(looked) => found_empty = Some(found_empty.map_or(looked, |earliest| earliest.min(looked))),
            Head::Ended => {}
        }
    }
    match (first, found_empty) {
        (Some((_, ring, _)), None) => Choice::Take(ring),
        (Some((_, ring, arrived)), Some(looked)) if looked >= arrived + VISIBLE || now >= arrived + PATIENCE => {
            Choice::Take(ring)
        }
        (Some((.., arrived)), Some(_)) => Choice::Wait(Some((arrived + VISIBLE).max(now) + LOOK_EVERY)),
        (None, Some(_)) => Choice::Wait(None),
        (None, None) => Choice::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_wait_until_nothing_older_can_come_but_not_for_long() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let packet = |ts_ns, ms| Head::Packet { ts_ns, arrived: at(ms) };
        let quiet = |ms| Head::Quiet(at(ms));
        for (heads, now, expected) in [
            (vec![packet(5, 0)], at(0), Choice::Take(0)),
            (vec![packet(5, 0), packet(4, 0)], at(0), Choice::Take(1)),
            (vec![packet(5, 0), packet(5, 0)], at(0), Choice::Take(0)),
            (vec![packet(5, 0), Head::Ended], at(0), Choice::Take(0)),
            (vec![quiet(0), packet(5, 3)], at(4), Choice::Wait(Some(at(23)))),
            (vec![quiet(17), packet(5, 3)], at(40), Choice::Wait(Some(at(45)))),
            (vec![quiet(18), packet(5, 3)], at(20), Choice::Take(1)),
            (vec![quiet(18), quiet(17), packet(5, 3)], at(20), Choice::Wait(Some(at(25)))),
            (vec![quiet(0), packet(5, 3)], at(1003), Choice::Take(1)),
            // The older one decides, also where it arrived later.
            (vec![quiet(18), packet(5, 3), packet(4, 10)], at(23), Choice::Wait(Some(at(30)))),
            (vec![quiet(0), Head::Ended], at(0), Choice::Wait(None)),
            (vec![Head::Ended, Head::Ended], at(0), Choice::End),
            (vec![], at(0), Choice::End),
        ] {
            assert_eq!(choose(heads.iter().copied(), now), expected, "{heads:?}");
        }
    }
}
