//! Which bytes of one direction of a TCP connection were seen: retransmissions, disorder and gaps.

/// Runs of bytes ahead of the first hole that are remembered; with more, the first hole is given up.
const RUNS_MAX: usize = 4;

/// Segments further from what is expected than any window allows (RFC 7323 §2.3) are no part of it.
const DISTANCE_MAX: i32 = 1 << 30;

/// Sequence numbers of one direction, compared modulo 2³² (RFC 9293 §3.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sequence {
    started: bool,
    /// First number that was not seen.
    next: u32,
    /// Runs seen beyond it, as begin and end counted from `next`: ascending, apart from each other.
    runs: [(u32, u32); RUNS_MAX],
    run_count: u8,
}

/// What a segment turned out to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Bytes that had been seen before.
    pub(crate) repeated_bytes: u32,
    /// It came before the data in front of it.
    pub(crate) out_of_order: bool,
    /// What was given up because of it.
    pub(crate) gap: Gap,
}

/// Bytes given up as never captured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) runs: u32,
    pub(crate) bytes: u32,
}

impl Sequence {
    /// Takes note of `length` numbers from `begin` on; SYN and FIN count as one each.
    pub(crate) fn segment(&mut self, begin: u32, length: u32) -> Seen {
        if !self.started {
            *self = Self { started: true, next: begin.wrapping_add(length), ..Self::default() };
            return Seen::default();
        }
        let ahead = begin.wrapping_sub(self.next).cast_signed();
        if length == 0 || ahead.unsigned_abs() > DISTANCE_MAX.unsigned_abs() || length > DISTANCE_MAX.unsigned_abs() {
            return Seen::default();
        }
        if ahead > 0 {
            let begin = ahead.unsigned_abs();
            return self.insert(begin, begin + length);
        }
        let behind = ahead.unsigned_abs();
        if length > behind {
            let seen = self.insert(0, length - behind);
            return Seen { repeated_bytes: seen.repeated_bytes + behind, out_of_order: false, ..seen };
        }
        // A keep-alive repeats the last byte, or claims to (RFC 9293 §3.8.4).
        let keep_alive = length == 1 && behind == 1;
        Seen { repeated_bytes: if keep_alive { 0 } else { length }, ..Seen::default() }
    }

    /// Takes note that the peer has all numbers before `number`: what of them was not seen will not
    /// come.
    pub(crate) fn acknowledged(&mut self, number: u32) -> Gap {
        let ahead = number.wrapping_sub(self.next).cast_signed();
        if !self.started || ahead <= 0 || ahead > DISTANCE_MAX {
            return Gap::default();
        }
        let mut gap = Gap::default();
        let mut acknowledged = ahead.unsigned_abs();
        while acknowledged > 0 {
            let first_run = self.runs().first().copied();
            let hole = first_run.map_or(acknowledged, |(begin, _)| begin.min(acknowledged));
            gap.runs += 1;
            gap.bytes += hole;
            acknowledged = acknowledged.saturating_sub(self.advance(hole));
        }
        gap
    }

    /// Gives up all holes: the connection is over.
    pub(crate) fn finish(&mut self) -> Gap {
        let end = self.runs().last().map_or(0, |&(_, end)| end);
        self.acknowledged(self.next.wrapping_add(end))
    }

    /// First number that was not seen; `None` before the first segment.
    pub(crate) fn next(&self) -> Option<u32> {
        self.started.then_some(self.next)
    }

    /// What [`Self::next`] and [`Self::runs`] told of, the runs' ends one after another. Runs that could not
    /// have been told are left out.
    pub(crate) fn restore(next: Option<u32>, ends: &[u32]) -> Self {
        let mut sequence = Self { started: next.is_some(), next: next.unwrap_or_default(), ..Self::default() };
        let (pairs, _) = ends.as_chunks::<2>();
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for &[begin, end] in pairs {
            let last = runs.last().map_or(0, |&(_, end)| end);
            if last < begin && begin < end && end <= 2 * DISTANCE_MAX.unsigned_abs() {
                runs.push((begin, end));
            }
        }
        sequence.set_runs(&runs);
        sequence
    }

    /// Runs seen beyond the first hole.
    pub(crate) fn runs(&self) -> &[(u32, u32)] {
        self.runs.get(..usize::from(self.run_count)).unwrap_or_default()
    }

    /// Adds a run, joins it with those it touches, and moves on if it closes the first hole.
    fn insert(&mut self, begin: u32, end: u32) -> Seen {
        let mut seen = Seen { out_of_order: true, ..Seen::default() };
        let mut joined = (begin, end);
        let mut runs = [(0, 0); RUNS_MAX + 1];
        let mut count = 0;
        for &run in self.runs() {
            if run.1 < begin || run.0 > end {
                runs[count] = run;
                count += 1;
            } else {
                seen.repeated_bytes += run.1.min(end) - run.0.max(begin);
                joined = (joined.0.min(run.0), joined.1.max(run.1));
            }
        }
        runs[count] = joined;
        count += 1;
        runs[..count].sort_unstable();
        let give_up_first = count > RUNS_MAX;
        let first_hole = runs[0].0;
        if first_hole == 0 || give_up_first {
            self.set_runs(&runs[1..count]);
            self.shift(runs[0].1);
            if first_hole > 0 {
                seen.gap = Gap { runs: 1, bytes: first_hole };
            }
        } else {
            self.set_runs(&runs[..count]);
        }
        seen
    }

    /// Moves over a hole and the run behind it, if one touches it; returns how far that was.
    fn advance(&mut self, hole: u32) -> u32 {
        let distance = match self.runs() {
            [(begin, end), ..] if *begin <= hole => {
                let end = *end;
                let rest = self.runs;
                self.set_runs(&rest[1..usize::from(self.run_count)]);
                end
            }
            _ => hole,
        };
        self.shift(distance);
        distance
    }

    fn set_runs(&mut self, runs: &[(u32, u32)]) {
        for (slot, run) in self.runs.iter_mut().zip(runs) {
            *slot = *run;
        }
        self.run_count = u8::try_from(runs.len().min(RUNS_MAX)).unwrap_or_default();
    }

    fn shift(&mut self, distance: u32) {
        self.next = self.next.wrapping_add(distance);
        for run in self.runs.iter_mut().take(usize::from(self.run_count)) {
            *run = (run.0 - distance, run.1 - distance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started_at(next: u32) -> Sequence {
        let mut sequence = Sequence::default();
        sequence.segment(next.wrapping_sub(1), 1);
        sequence
    }

    #[test]
    fn a_segment_half_the_numbers_away_is_none_of_the_connections() {
        assert_eq!(started_at(0).segment(1 << 31, 1), Seen::default());
    }

    #[test]
    fn bytes_in_order_leave_no_trace() {
        let mut sequence = started_at(u32::MAX - 5);
        for at in 0..10u32 {
            assert_eq!(sequence.segment((u32::MAX - 5).wrapping_add(at * 3), 3), Seen::default());
        }
        assert_eq!(sequence.finish(), Gap::default());
    }

    #[test]
    fn a_hole_that_is_filled_is_no_gap() {
        let mut sequence = started_at(100);
        assert!(sequence.segment(110, 10).out_of_order);
        assert_eq!(sequence.segment(100, 10), Seen::default());
        assert_eq!(sequence.next, 120);
        assert_eq!(sequence.acknowledged(120), Gap::default());
    }

    #[test]
    fn what_the_peer_acknowledged_unseen_is_a_gap() {
        let mut sequence = started_at(100);
        sequence.segment(110, 10);
        sequence.segment(130, 10);
        assert_eq!(sequence.acknowledged(135), Gap { runs: 2, bytes: 20 });
        assert_eq!(sequence.next, 140);
    }

    #[test]
    fn an_acknowledgement_inside_a_hole_gives_up_its_part() {
        let mut sequence = started_at(100);
        sequence.segment(120, 10);
        assert_eq!(sequence.acknowledged(110), Gap { runs: 1, bytes: 10 });
        assert_eq!(sequence.segment(110, 10), Seen::default());
        assert_eq!(sequence.next, 130);
    }

    #[test]
    fn repeated_bytes_are_counted_once_each() {
        let mut sequence = started_at(100);
        sequence.segment(100, 50);
        assert_eq!(sequence.segment(100, 50).repeated_bytes, 50);
        assert_eq!(sequence.segment(140, 20).repeated_bytes, 10);
        assert_eq!(sequence.next, 160);
        assert_eq!(sequence.segment(159, 1).repeated_bytes, 0, "a keep-alive");
    }

    #[test]
    fn more_holes_than_are_remembered_give_up_the_first() {
        let mut sequence = started_at(0);
        let mut gap = Gap::default();
        for at in 1..=6 {
            let seen = sequence.segment(at * 20, 10);
            gap = Gap { runs: gap.runs + seen.gap.runs, bytes: gap.bytes + seen.gap.bytes };
        }
        assert_eq!(gap, Gap { runs: 2, bytes: 30 });
        let rest = sequence.finish();
        assert_eq!((gap.bytes + rest.bytes, gap.runs + rest.runs), (70, 6));
    }

    #[test]
    fn saved_runs_that_lie_over_each_other_are_left_out() {
        let sequence = Sequence::restore(Some(100), &[10, 20, 15, 30, 40, 35, 50, 60, 70, u32::MAX]);
        assert_eq!(sequence.runs(), [(10, 20), (50, 60)]);
    }

    #[test]
    fn segments_from_nowhere_are_no_part_of_it() {
        let mut sequence = started_at(100);
        assert_eq!(sequence.segment(100 + (1 << 31) - 1, 10), Seen::default());
        assert_eq!(sequence.next, 100);
    }
}
