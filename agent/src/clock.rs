//! The watermark: how far a sensor's time has come, as its packets tell it, and the host's clock where none come.

/// A jump ahead by more than this must be confirmed.
const JUMP_NS: i64 = 10 * 60 * 1_000_000_000;

/// Packets in a row that confirm a jump.
const CONFIRMATIONS: u32 = 100;

/// Follows the greatest packet time, but isn't led astray by a few packets with a wrong one.
///
/// A packet more than 10 minutes ahead of the watermark moves it only once 100 in a row are; then
/// it moves to the earliest of them. So one packet dated 2106 changes nothing, wherever it stands,
/// and a capture that starts in 1970 until its clock is set arrives in the present. The first
/// packet of all is a jump too. The watermark never goes back.
#[derive(Clone, Debug)]
pub struct Clock {
    watermark_ns: i64,
    /// Packets in a row that were too far ahead, and the earliest time among them.
    ahead: u32,
    earliest_ahead_ns: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { watermark_ns: i64::MIN, ahead: 0, earliest_ahead_ns: i64::MAX }
    }
}

impl Clock {
    /// Takes note of a packet's time, or of that of a moment without packets.
    #[inline]
    pub fn observe(&mut self, ts_ns: i64) {
        if ts_ns > self.watermark_ns.saturating_add(JUMP_NS) {
            self.observe_ahead(ts_ns);
            return;
        }
        self.watermark_ns = self.watermark_ns.max(ts_ns);
        if ts_ns >= self.watermark_ns.saturating_sub(JUMP_NS) {
            // Time goes on here: what was ahead was a stray. A packet far behind says neither.
            self.ahead = 0;
        }
    }

    #[cold]
    fn observe_ahead(&mut self, ts_ns: i64) {
        self.earliest_ahead_ns = if self.ahead == 0 { ts_ns } else { self.earliest_ahead_ns.min(ts_ns) };
        self.ahead += 1;
        if self.ahead == CONFIRMATIONS {
            self.watermark_ns = self.earliest_ahead_ns;
            self.ahead = 0;
        }
    }

    /// The time before which only late packets will follow, nanoseconds since 1970-01-01 UTC;
    /// `i64::MIN` while no time is confirmed.
    pub fn watermark_ns(&self) -> i64 {
        self.watermark_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    /// 2026-01-01.
    const NOW: i64 = 1_767_225_600 * SECOND;
    const YEAR_2106: i64 = 4_294_967_295 * SECOND;

    fn observe(clock: &mut Clock, times: impl IntoIterator<Item = i64>) -> i64 {
        times.into_iter().for_each(|ts_ns| clock.observe(ts_ns));
        clock.watermark_ns()
    }

    /// So many packets from `start`, 1 s apart.
    fn steady(start: i64, count: i64) -> impl Iterator<Item = i64> {
        (0..count).map(move |second| start + second * SECOND)
    }

    #[test]
    fn follows_the_greatest_time_once_it_is_confirmed() {
        let mut clock = Clock::default();
        assert_eq!(observe(&mut clock, steady(NOW, 99)), i64::MIN);
        assert_eq!(observe(&mut clock, steady(NOW + 99 * SECOND, 1)), NOW);
        assert_eq!(observe(&mut clock, [NOW + 100 * SECOND]), NOW + 100 * SECOND);
        assert_eq!(observe(&mut clock, [NOW + 50 * SECOND, NOW + 90 * SECOND]), NOW + 100 * SECOND);
    }

    #[test]
    fn one_packet_dated_2106_changes_nothing_wherever_it_stands() {
        for place in [0, 1, 50, 99, 100, 500] {
            let mut clock = Clock::default();
            observe(&mut clock, steady(NOW, place));
            let before = clock.watermark_ns();
            assert_eq!(observe(&mut clock, [YEAR_2106]), before.max(if place == 99 { NOW } else { i64::MIN }));
            let end = NOW + 1000 * SECOND;
            assert_eq!(observe(&mut clock, steady(NOW + place * SECOND, 1001 - place)), end);
        }
    }

    #[test]
    fn capture_that_starts_in_1970_arrives_in_the_present() {
        let mut clock = Clock::default();
        assert_eq!(observe(&mut clock, steady(0, 200)), 199 * SECOND);
        assert_eq!(observe(&mut clock, steady(NOW, 99)), 199 * SECOND);
        assert_eq!(observe(&mut clock, [NOW + 99 * SECOND, NOW + 100 * SECOND]), NOW + 100 * SECOND);
        let mut clock = Clock::default();
        observe(&mut clock, [0, 1, 2].into_iter().chain(steady(NOW, 97)));
        assert_eq!(clock.watermark_ns(), 0);
        assert_eq!(observe(&mut clock, steady(NOW + 97 * SECOND, 101)), NOW + 197 * SECOND);
    }

    #[test]
    fn quiet_night_is_over_after_a_hundred_packets() {
        let mut clock = Clock::default();
        observe(&mut clock, steady(NOW, 200));
        let morning = NOW + 8 * 3600 * SECOND;
        assert_eq!(observe(&mut clock, steady(morning, 101)), morning + 100 * SECOND);
    }

    #[test]
    fn jump_of_ten_minutes_needs_no_confirmation() {
        let mut clock = Clock::default();
        observe(&mut clock, steady(NOW, 100));
        let now = observe(&mut clock, [NOW + 10 * SECOND]);
        assert_eq!(observe(&mut clock, [now + JUMP_NS]), now + JUMP_NS);
        assert_eq!(observe(&mut clock, [now + 2 * JUMP_NS + 1]), now + JUMP_NS);
    }

    #[test]
    fn strays_that_are_not_in_a_row_confirm_nothing() {
        let mut clock = Clock::default();
        observe(&mut clock, steady(NOW, 200));
        let both = (200..2000).flat_map(|second| [YEAR_2106, NOW + second * SECOND]);
        assert_eq!(observe(&mut clock, both), NOW + 1999 * SECOND);
    }

    #[test]
    fn packets_far_behind_neither_confirm_nor_refute() {
        let mut clock = Clock::default();
        observe(&mut clock, steady(NOW, 200));
        let morning = NOW + 8 * 3600 * SECOND;
        let both = (0..101).flat_map(|second| [0, morning + second * SECOND]);
        assert_eq!(observe(&mut clock, both), morning + 100 * SECOND);
    }

    #[test]
    fn ends_of_time_do_not_overflow() {
        let mut clock = Clock::default();
        observe(&mut clock, [i64::MAX; 300]);
        assert_eq!(observe(&mut clock, [i64::MIN, i64::MAX]), i64::MAX);
    }
}
