//! Which of several rings has the next packet: the merge by time of what the kernel hands out ring by ring.
//!
//! A ring's own packets come in order, but it may be quiet for a while and then come up with packets older
//! than another's. So a packet waits for quiet rings, up to [`WINDOW`] after its arrival. That is long
//! enough: with several rings the kernel hands out a block [`BLOCK_TIMEOUT`] after its first packet at
//! the latest, and the rest is for threads to wake up. A packet that comes later still is handed out
//! all the same, and counted as late.

use std::time::{Duration, Instant};

/// How long after its arrival a packet waits for rings that are quiet.
pub(super) const WINDOW: Duration = Duration::from_millis(20);

/// How long a block of the ring may wait to be full, where there are several rings.
pub(super) const BLOCK_TIMEOUT: Duration = Duration::from_millis(10);

/// What is known of one ring.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// Its next packet was captured at `ts_ns` and arrived here at `arrived`.
    Packet { ts_ns: i64, arrived: Instant },
    /// It has nothing at the moment.
    Quiet,
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
    let mut quiet = false;
    for (ring, head) in heads.enumerate() {
        match head {
            Head::Packet { ts_ns, arrived } => {
                if first.is_none_or(|(earliest, ..)| ts_ns < earliest) {
                    first = Some((ts_ns, ring, arrived));
                }
            }
            Head::Quiet => quiet = true,
            Head::Ended => {}
        }
    }
    match first {
        Some((_, ring, arrived)) if !quiet || now >= arrived + WINDOW => Choice::Take(ring),
        Some((.., arrived)) => Choice::Wait(Some(arrived + WINDOW)),
        None if quiet => Choice::Wait(None),
        None => Choice::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_wait_for_quiet_rings_but_not_for_long() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let packet = |ts_ns, ms| Head::Packet { ts_ns, arrived: at(ms) };
        for (heads, now, expected) in [
            (vec![packet(5, 0)], at(0), Choice::Take(0)),
            (vec![packet(5, 0), packet(4, 0)], at(0), Choice::Take(1)),
            (vec![packet(5, 0), packet(5, 0)], at(0), Choice::Take(0)),
            (vec![packet(5, 0), Head::Ended], at(0), Choice::Take(0)),
            (vec![Head::Quiet, packet(5, 3)], at(4), Choice::Wait(Some(at(23)))),
            (vec![Head::Quiet, packet(5, 3)], at(23), Choice::Take(1)),
            // The older one decides, also where it arrived later.
            (vec![Head::Quiet, packet(5, 3), packet(4, 10)], at(23), Choice::Wait(Some(at(30)))),
            (vec![Head::Quiet, Head::Ended], at(0), Choice::Wait(None)),
            (vec![Head::Ended, Head::Ended], at(0), Choice::End),
            (vec![], at(0), Choice::End),
        ] {
            assert_eq!(choose(heads.iter().copied(), now), expected, "{heads:?}");
        }
    }
}
