//! The last resort against capturing one's own traffic, where the kernel can't leave it out: in a tunnel, behind NAT, or
//! as a switch's copy of a port. What is captured is published, and captured again: each round adds to the one before.
//!
//! Where own packets are seen ([`super::echo`]) that track what is published, the interface is paused. In an encrypted
//! tunnel nothing is seen, but bytes captured and bytes published grow together without a jump, to many times what they
//! were, while traffic that is nobody's echo comes and goes in steps: that is paused as well. A pause breaks the
//! circle. If there is as much again as soon as it goes on, and nothing of it is own, it was no echo, and is
//! left alone for a while. What this can't see is an encrypted echo that fills the link within 18 s, or one that dies away
//! because it is compressed better than headers are added.

use std::mem;

/// Looks, one a second, over which bytes are summed up.
const LOOKS: u32 = 3;

/// Sums that are compared: 18 s.
const SUMS: usize = 6;

/// Fewer bytes in a sum do no harm: 1 MiB a second.
const HARMLESS: u64 = 3 << 20;

/// Sums for which an interface is paused, the first time and at most.
const PAUSE: u32 = 4;
const LONGEST_PAUSE: u32 = 200;

/// Sums for which one is left alone after it was paused in error: an hour.
const LEFT_ALONE: u32 = 1200;

/// What to do with an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Fine,
    /// Pause it.
    Pause,
    /// Go on capturing on it.
    Resume,
}

/// Watches an interface.
#[derive(Debug)]
pub struct Guard {
    state: State,
    looks: u32,
    last: Bytes,
    sums: Vec<Bytes>,
    /// Sums for which it is paused the next time.
    pause: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bytes {
    captured: u64,
    own: u64,
    published: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Watching,
    /// Paused for so many sums more, and what was captured in the last one before.
    Paused {
        left: u32,
        captured: u64,
    },
    /// Going on; what was captured in the last sum before the pause.
    Probing {
        captured: u64,
    },
    LeftAlone {
        left: u32,
    },
}

impl Default for Guard {
    fn default() -> Self {
        Self { state: State::Watching, looks: 0, last: Bytes::default(), sums: Vec::new(), pause: PAUSE }
    }
}

impl Guard {
    /// Looks at an interface, to be done once a second: at the bytes that were captured on it so far, at those among them
    /// that were seen to be the agent's own, and at those that were published.
    pub fn look(&mut self, captured: u64, own: u64, published: u64) -> Verdict {
        self.looks += 1;
        if self.looks < LOOKS {
            return Verdict::Fine;
        }
        self.looks = 0;
        let last = mem::replace(&mut self.last, Bytes { captured, own, published });
        let sum = Bytes {
            captured: captured.saturating_sub(last.captured),
            own: own.saturating_sub(last.own),
            published: published.saturating_sub(last.published),
        };
        match self.state {
            State::Watching => self.watch(sum),
            State::Paused { left: 0, captured } => {
                self.state = State::Probing { captured };
                Verdict::Resume
            }
            State::Paused { left, captured } => {
                self.state = State::Paused { left: left - 1, captured };
                Verdict::Fine
            }
            State::Probing { captured } => {
                let was_an_echo = sum.captured < captured / 2 || sum.own >= HARMLESS;
                self.state = if was_an_echo { State::Watching } else { State::LeftAlone { left: LEFT_ALONE } };
                Verdict::Fine
            }
            State::LeftAlone { left } => {
                self.state = left.checked_sub(1).map_or(State::Watching, |left| State::LeftAlone { left });
                Verdict::Fine
            }
        }
    }

    fn watch(&mut self, sum: Bytes) -> Verdict {
        if self.sums.len() == SUMS {
            self.sums.remove(0);
        }
        self.sums.push(sum);
        if !self.is_own() && !self.is_echo() {
            return Verdict::Fine;
        }
        self.sums.clear();
        self.state = State::Paused { left: self.pause, captured: sum.captured };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Verdict::Pause
    }

    /// Whether own packets were seen twice that track what was published.
    fn is_own(&self) -> bool {
        let is_own = |sum: &Bytes| sum.own >= HARMLESS && sum.own >= sum.published / 4;
        matches!(self.sums.as_slice(), [.., before, last] if is_own(before) && is_own(last))
    }

    /// Whether the sums grow as those of an echo do.
    fn is_echo(&self) -> bool {
        let [first, .., last] = self.sums.as_slice() else { return false };
        let tracks = |sum: &Bytes| {
            sum.captured >= sum.published / 10 * 7 && sum.captured <= sum.published.saturating_add(sum.published / 2)
        };
        let grows_evenly = |pair: &[Bytes]| match pair {
            [before, after] => {
                let (least, most) = (before.captured / 20 * 21, before.captured.saturating_mul(8));
                (least..=most).contains(&after.captured)
            }
            _ => false,
        };
        self.sums.len() == SUMS
            && last.captured >= HARMLESS
            && last.captured >= first.captured.saturating_mul(3)
            && self.sums.iter().all(tracks)
            && self.sums.windows(2).all(grows_evenly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guard, and what it was told last.
    #[derive(Default)]
    struct Watch {
        guard: Guard,
        sum: Bytes,
    }

    /// What a guard said second by second, of bytes captured and published in each.
    fn watched(watch: &mut Watch, seconds: impl Iterator<Item = (u64, u64)>) -> Vec<(usize, Verdict)> {
        let said = seconds.map(|(captured, published)| {
            watch.sum.captured += captured;
            watch.sum.published += published;
            watch.guard.look(watch.sum.captured, 0, watch.sum.published)
        });
        said.enumerate().filter(|(_, verdict)| *verdict != Verdict::Fine).collect()
    }

    /// A sensor that captures what it publishes, in two rounds a second, besides some traffic of others; each round
    /// takes headers and gives compression.
    fn echo(others: u64, percent_a_round: u64) -> impl Iterator<Item = (u64, u64)> {
        let mut published = 0;
        std::iter::repeat_with(move || {
            let mut captured = 0;
            let mut sent = 0;
            for _ in 0..2 {
                let round = others / 2 + published * percent_a_round / 100;
                published = round.min(600_000_000);
                captured += round;
                sent += published;
            }
            (captured, sent)
        })
    }

    #[test]
    fn an_echo_is_paused_within_a_minute() {
        for others in [100_000, 1_000_000, 20_000_000] {
            for percent in [100, 101, 105] {
                let said = watched(&mut Watch::default(), echo(others, percent).take(60));
                let paused = said.first().map(|(second, verdict)| (*second < 60, *verdict));
                assert_eq!(paused, Some((true, Verdict::Pause)), "{others} {percent}");
            }
        }
    }

    #[test]
    fn own_packets_pause_an_interface_within_seconds_however_steady_they_are() {
        let mut guard = Guard::default();
        let said: Vec<_> =
            (1..60).map(|second| guard.look(second * 4_000_000, second * 3_500_000, second * 4_000_000)).collect();
        assert_eq!(said.iter().position(|verdict| *verdict == Verdict::Pause), Some(5));
        assert!(said.iter().skip(6).any(|verdict| *verdict == Verdict::Resume));
        assert_eq!(said.iter().filter(|verdict| **verdict == Verdict::Pause).count(), 2, "it is an echo still");
    }

    #[test]
    fn few_own_packets_are_no_reason_to_pause() {
        let mut guard = Guard::default();
        for second in 1..600 {
            assert_eq!(guard.look(second * 90_000_000, second * 500_000, second * 80_000_000), Verdict::Fine);
        }
    }

    #[test]
    fn traffic_that_is_no_echo_is_never_paused() {
        let steady = |rate: u64| (0..600).map(move |_| (rate, rate));
        let backup = (0..600u64)
            .map(|second| if second % 200 > 100 { (90_000_000u64, 92_000_000u64) } else { (500_000, 480_000) });
        let uneven = (0u64..600).map(|second| {
            let rate = 2_000_000 + second * 7_919 % 97 * 300_000;
            (rate, rate)
        });
        let compressible = (0..600u64).map(|second| (second * 1_000_000, second * 300_000));
        let another_interface = echo(5_000_000, 105).take(600).map(|(_, published)| (1_000_000u64, published));
        let small = echo(10, 101).take(600);
        let mut all: Vec<Box<dyn Iterator<Item = (u64, u64)>>> =
            vec![Box::new(steady(0)), Box::new(steady(50_000_000))];
        all.extend([Box::new(backup) as Box<dyn Iterator<Item = _>>, Box::new(uneven), Box::new(compressible)]);
        all.extend([Box::new(another_interface) as Box<dyn Iterator<Item = _>>, Box::new(small)]);
        for (index, seconds) in all.into_iter().enumerate() {
            assert_eq!(watched(&mut Watch::default(), seconds), [], "{index}");
        }
    }

    #[test]
    fn traffic_that_is_back_at_once_was_no_echo_and_is_left_alone() {
        let mut guard = Watch::default();
        let ramp = (1..100u64).map(|second| (second * 1_000_000, second * 1_000_000));
        let paused = watched(&mut guard, ramp.take(60));
        assert!(matches!(paused[..], [(_, Verdict::Pause), (_, Verdict::Resume), ..]), "{paused:?}");
        let again = watched(&mut guard, (0..600).map(|_| (80_000_000, 80_000_000)));
        let ramp = (1..60u64).map(|second| (second * 1_000_000, second * 1_000_000));
        assert_eq!((again, watched(&mut guard, ramp)), (vec![], vec![]));
    }

    #[test]
    fn an_echo_that_comes_back_is_paused_for_longer() {
        let mut guard = Watch::default();
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let paused = echo(1_000_000, 105).take(60).any(|second| {
                let said = watched(&mut guard, std::iter::once(second));
                said.iter().any(|(_, verdict)| *verdict == Verdict::Pause)
            });
            assert!(paused);
            let silent = watched(&mut guard, (0..700).map(|_| (0, 0)));
            pauses.extend(silent.first().map(|(second, _)| *second));
        }
        assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
    }
}
