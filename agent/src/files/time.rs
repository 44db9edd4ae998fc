//! The clock of a pcapng interface: what its ticks are in nanoseconds (draft-ietf-opsawg-pcapng,
//! options if_tsresol and if_tsoffset).

/// How an interface's time stamps read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TickClock {
    unit: Unit,
    offset_s: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds each.
    Nanoseconds(u32),
    /// So many to a nanosecond; `None` if so many that every time stamp is nothing.
    PerNanosecond(Option<u64>),
    /// 2 to this power to a second; at most 127.
    BinaryPerSecond(u8),
}

impl TickClock {
    /// `resolution` as in if_tsresol: a power of 10, or with the top bit set of 2, to a second.
    pub(super) fn new(resolution: u8, offset_s: i64) -> Self {
        let unit = match resolution {
            0..=9 => Unit::Nanoseconds(10_u32.pow(u32::from(9 - resolution))),
            10..=127 => Unit::PerNanosecond(10_u64.checked_pow(u32::from(resolution - 9))),
            128.. => Unit::BinaryPerSecond(resolution & 0x7f),
        };
        Self { unit, offset_s }
    }

    /// Nanoseconds since 1970-01-01 UTC of a time stamp, rounded down; saturates at both ends.
    pub(super) fn ts_ns(&self, ticks: u64) -> i64 {
        let since_offset = match self.unit {
            Unit::Nanoseconds(each) => u128::from(ticks) * u128::from(each),
            Unit::PerNanosecond(Some(ticks_each)) => (ticks / ticks_each).into(),
            Unit::PerNanosecond(None) => 0,
            Unit::BinaryPerSecond(power) => (u128::from(ticks) * 1_000_000_000) >> power,
        };
        let offset = i128::from(self.offset_s) * 1_000_000_000;
        // Below 2^64 × 10^9, so an i128 holds it with room to spare.
        let ns = i128::try_from(since_offset).unwrap_or(i128::MAX).saturating_add(offset);
        i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds() {
        let cases = [
            (6, 0, 1_500_000, 1_500_000_000),
            (9, 0, 7, 7),
            (0, 0, 3, 3_000_000_000),
            (3, -1, 1500, 500_000_000),
            (12, 0, 1999, 1),
            (28, 0, u64::MAX, 1),
            (0x80 | 10, 0, 1536, 1_500_000_000),
            (0x80, 2, 1, 3_000_000_000),
        ];
        for (resolution, offset_s, ticks, expected) in cases {
            assert_eq!(TickClock::new(resolution, offset_s).ts_ns(ticks), expected, "{resolution} {offset_s} {ticks}");
        }
    }

    #[test]
    fn absurd_resolutions_and_offsets_saturate() {
        for resolution in [29, 100, 127, 254, 255] {
            assert_eq!(TickClock::new(resolution, 0).ts_ns(u64::MAX), 0, "{resolution}");
        }
        assert_eq!(TickClock::new(0, 0).ts_ns(u64::MAX), i64::MAX);
        assert_eq!(TickClock::new(0, i64::MAX).ts_ns(u64::MAX), i64::MAX);
        assert_eq!(TickClock::new(9, i64::MIN).ts_ns(0), i64::MIN);
    }
}
