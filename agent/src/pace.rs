//! How fast a replay goes.

use std::time::Duration;

/// Steps of a capture's time that are longer are not waited for: there may be months between two files, and
/// clocks are wrong at times.
const MAX_STEP_NS: i64 = 10 * 60 * 1_000_000_000;

/// The time of a capture as it runs while it is replayed: from 0, never back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// The greatest time so far, unless a clock was wrong.
    last_ns: Option<i64>,
    elapsed_ns: u64,
}

impl Pace {
    /// How much of the capture's time has passed at a packet of this time.
    pub fn advance(&mut self, ts_ns: i64) -> Duration {
        let step = self.last_ns.map_or(0, |last| ts_ns.saturating_sub(last));
        if (0..=MAX_STEP_NS).contains(&step) {
            self.elapsed_ns = self.elapsed_ns.saturating_add_signed(step);
            self.last_ns = Some(ts_ns);
        } else if !(-MAX_STEP_NS..0).contains(&step) {
            self.last_ns = Some(ts_ns); // it goes on from there
        }
        Duration::from_nanos(self.elapsed_ns)
    }
}

/// How fast a replay goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as Kafka takes it.
    Full,
    /// As fast as it was captured, times this.
    Times(f64),
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = match text {
            "full" => return Ok(Self::Full),
            "original" => Some(1.0),
            text => text.strip_suffix('x').unwrap_or(text).parse().ok(),
        };
        let wrong = || format!("the speed is `{text}`, but must be `full`, `original` or a number such as 10x");
        factor.filter(|factor: &f64| (1e-3..=1e6).contains(factor)).map(Self::Times).ok_or_else(wrong)
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Times(1.0) => f.write_str("original"),
            Self::Times(factor) => write!(f, "{factor}x"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn time_passes_as_the_capture_tells_it() {
        let mut pace = Pace::default();
        let times = [100, 101, 105, 104, 106].map(|second| pace.advance(second * SECOND).as_secs());
        assert_eq!(times, [0, 1, 5, 5, 6]);
    }

    #[test]
    fn packet_of_another_century_is_not_waited_for() {
        let mut pace = Pace::default();
        let times = [100, 101, 4_294_967_295, 102, 103].map(|second| pace.advance(second * SECOND).as_secs());
        assert_eq!(times, [0, 1, 1, 1, 2]);
        pace.advance(i64::MIN);
        assert_eq!(pace.advance(i64::MAX), Duration::from_secs(2));
    }

    #[test]
    fn speeds_are_read_as_they_are_shown() {
        for (text, speed) in [("full", Speed::Full), ("original", Speed::Times(1.0)), ("2.5x", Speed::Times(2.5))] {
            assert_eq!(text.parse(), Ok(speed));
            assert_eq!(speed.to_string(), text);
        }
        assert_eq!("10".parse(), Ok(Speed::Times(10.0)));
        for wrong in ["", "fast", "0", "-1x", "NaN", "inf"] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }
}
