//! Dates and times of day as ns since 1970-01-01 UTC.

/// A date and time of day in the proleptic Gregorian calendar, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: u32,
    /// 1 to the days of the month.
    pub(crate) day: u32,
    /// 0 to 23.
    pub(crate) hour: u32,
    /// 0 to 59.
    pub(crate) minute: u32,
    /// 0 to 59: leap seconds have no number of their own.
    pub(crate) second: u32,
    pub(crate) nanosecond: u32,
}

impl Civil {
    /// Nanoseconds since 1970-01-01 UTC; `None` for what is no date, and beyond the years 1678 to 2261.
    pub(crate) fn to_ns(self) -> Option<i64> {
        let is_date = (1..=12).contains(&self.month) && (1..=self.days_in_month()).contains(&self.day);
        let is_time = self.hour < 24 && self.minute < 60 && self.second < 60 && self.nanosecond < 1_000_000_000;
        if !is_date || !is_time || !(1678..=2261).contains(&self.year) {
            return None;
        }
        let seconds = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        Some((self.days() * 86_400 + seconds) * 1_000_000_000 + i64::from(self.nanosecond))
    }

    /// Days since 1970-01-01. Years begin in March, so that the leap day is the last one.
    fn days(self) -> i64 {
        let year = if self.month < 3 { self.year - 1 } else { self.year };
        let month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        const DAYS_TO_1970: i64 = 719_468;
        year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_TO_1970
    }

    fn days_in_month(self) -> u32 {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn midnight(year: i64, month: u32, day: u32) -> Option<i64> {
        let civil = Civil { year, month, day, hour: 0, minute: 0, second: 0, nanosecond: 0 };
        civil.to_ns().map(|ns| ns / 86_400_000_000_000)
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(midnight(1970, 1, 1), Some(0));
        assert_eq!(midnight(1969, 12, 31), Some(-1));
        assert_eq!(midnight(2000, 2, 29), Some(11_016));
        assert_eq!(midnight(2000, 3, 1), Some(11_017));
        assert_eq!(midnight(2026, 11, 23), Some(20_780));
    }

    #[test]
    fn what_is_no_date_has_no_time() {
        assert_eq!(midnight(1900, 2, 29), None);
        assert_eq!(midnight(2026, 0, 1), None);
        assert_eq!(midnight(2026, 4, 31), None);
        assert_eq!(midnight(9999, 1, 1), None);
    }

    #[test]
    fn the_years_of_the_range_all_fit() {
        let last = Civil { year: 2261, month: 12, day: 31, hour: 23, minute: 59, second: 59, nanosecond: 999_999_999 };
        assert!(last.to_ns().is_some() && midnight(1678, 1, 1).is_some());
    }
}
