//! When a file ends.

use std::time::Duration;

use super::link::Hour;

/// Size from which on a file ends after [`Rolling::age`]. Smaller ones wait longer, since many small files make
/// reading slow.
const SIZE_WORTH_A_FILE: usize = 8 << 20;

/// How long a partition must be silent before the clock ends its file at the hour's end. A sink that reads old
/// messages is in an hour long past, and would end a file at each look.
const SILENCE: Duration = Duration::from_secs(30);

/// How large and how old a file may become.
#[derive(Clone, Copy, Debug)]
pub struct Rolling {
    /// About so large.
    pub bytes: usize,
    /// Since its first message was read, if it has some megabytes.
    pub age: Duration,
    /// The same if it is smaller.
    pub age_small: Duration,
}

/// What is known of an open file.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub hour: Hour,
    /// See [`File::size`](super::encode::File::size).
    pub size: usize,
    /// Since its first message was read.
    pub age: Duration,
    /// Since its last message was read.
    pub silence: Duration,
}

impl Rolling {
    /// Whether a file ends now, at this time in milliseconds since 1970. A file never holds messages of two hours,
    /// whatever this says: so a wrong clock only makes it end early or late.
    pub fn is_due(&self, file: Progress, now_ms: i64) -> bool {
        let age = if file.size >= SIZE_WORTH_A_FILE { self.age } else { self.age_small };
        file.size >= self.bytes || file.age >= age || (file.silence >= SILENCE && now_ms >= file.hour.end_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLING: Rolling =
        Rolling { bytes: 128 << 20, age: Duration::from_secs(300), age_small: Duration::from_secs(3600) };
    const SECOND: Duration = Duration::from_secs(1);

    fn due(size: usize, age: Duration, silence: Duration, now_ms: i64) -> bool {
        ROLLING.is_due(Progress { hour: Hour::of(0), size, age, silence }, now_ms)
    }

    #[test]
    fn a_file_ends_when_it_is_large_or_old() {
        assert!(due(128 << 20, SECOND, SECOND, 0) && !due((128 << 20) - 1, SECOND, SECOND, 0));
        assert!(due(8 << 20, 300 * SECOND, SECOND, 0) && !due(8 << 20, 299 * SECOND, SECOND, 0));
        assert!(due(1, 3600 * SECOND, SECOND, 0) && !due(1, 3599 * SECOND, SECOND, 0));
    }

    #[test]
    fn a_silent_file_ends_with_its_hour_and_one_that_catches_up_does_not() {
        assert!(due(1, 60 * SECOND, 30 * SECOND, Hour::MS) && !due(1, 60 * SECOND, 30 * SECOND, Hour::MS - 1));
        assert!(!due(1, 60 * SECOND, SECOND, 100 * Hour::MS));
    }
}
