//! Exact sums, and the moments they give.

/// Number, sum, sum of squares and extremes of values. The sums are integers, so that they are exact and no order
/// of the values changes them; the only rounding is that of the division at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(super) count: u64,
    pub(super) sum: u128,
    pub(super) squares: u128,
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Sums {
    pub(super) fn add(&mut self, value: u64) {
        if self.count == 0 {
            (self.min, self.max) = (value, value);
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.count = self.count.saturating_add(1);
        let value = u128::from(value);
        // Only a snapshot that was tampered with comes near the end: times between the packets of a flow add up to
        // less than 2⁶⁴ ns, so that their squares add up to less than 2¹²⁸.
        self.sum = self.sum.saturating_add(value);
        self.squares = self.squares.saturating_add(value * value);
    }

    /// The sums of both's values.
    pub(super) fn plus(&self, other: &Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { *other } else { *self };
        }
        Self {
            count: self.count.saturating_add(other.count),
            sum: self.sum.saturating_add(other.sum),
            squares: self.squares.saturating_add(other.squares),
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    pub(super) fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    pub(super) fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// Sample standard deviation: the root of Σ(x − mean)² / (n − 1). The sum is Σx² − (Σx)² / n, whose two sides
    /// are nearly equal where values are; so the difference is taken before anything is rounded.
    pub(super) fn deviation(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        let count = u128::from(self.count);
        let square = self.sum.checked_mul(self.sum)?;
        let whole = self.squares.saturating_sub(square / count);
        let of_differences = whole as f64 - (square % count) as f64 / self.count as f64;
        Some((of_differences.max(0.0) / (self.count - 1) as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sums(values: &[u64]) -> Sums {
        let mut sums = Sums::default();
        values.iter().for_each(|&value| sums.add(value));
        sums
    }

    /// By the definition, in two passes.
    fn deviation(values: &[u64]) -> f64 {
        let count = values.len() as f64;
        let mean = values.iter().map(|&value| value as f64).sum::<f64>() / count;
        let squares = values.iter().map(|&value| (value as f64 - mean).powi(2)).sum::<f64>();
        (squares / (count - 1.0)).sqrt()
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        // Σ(x − 5)² = 32, n − 1 = 7.
        assert_eq!(sums(&[2, 4, 4, 4, 5, 5, 7, 9]).deviation(), Some((32f64 / 7.0).sqrt()));
        assert_eq!(sums(&[2, 4, 4, 4, 5, 5, 7, 9]).mean(), Some(5.0));
    }

    #[test]
    fn one_value_has_a_mean_but_no_deviation_and_none_has_neither() {
        assert_eq!((sums(&[7]).mean(), sums(&[7]).deviation()), (Some(7.0), None));
        assert_eq!((sums(&[]).mean(), sums(&[]).min(), sums(&[]).max()), (None, None, None));
    }

    #[test]
    fn equal_values_deviate_by_nothing_however_large_and_many() {
        let mut sums = Sums::default();
        (0..100_000).for_each(|_| sums.add(299_999_999_999));
        assert_eq!(sums.deviation(), Some(0.0));
        // A nanosecond among times of five minutes: floating sums of squares lose it.
        sums.add(300_000_000_000);
        assert!((sums.deviation().unwrap() - (1f64 / 100_001.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_longest_flow_there_can_be_overflows_nothing() {
        let century_ns = 100 * 365 * 86_400 * 1_000_000_000;
        assert!(sums(&[century_ns, 0, 1]).deviation().unwrap().is_finite());
        assert_eq!(sums(&[u64::MAX, u64::MAX]).deviation(), None);
    }

    proptest! {
        #[test]
        fn moments_are_those_of_the_definition(values in prop::collection::vec(0u64..400_000_000_000, 2..200)) {
            let sums = sums(&values);
            prop_assert_eq!(sums.sum, values.iter().map(|&value| u128::from(value)).sum());
            prop_assert_eq!(sums.min(), values.iter().min().copied());
            prop_assert_eq!(sums.max(), values.iter().max().copied());
            let (ours, theirs) = (sums.deviation().unwrap(), deviation(&values));
            prop_assert!((ours - theirs).abs() <= theirs * 1e-9 + 1e-6, "{} {}", ours, theirs);
        }

        #[test]
        fn neither_order_nor_grouping_changes_anything(
            values in prop::collection::vec(any::<u32>().prop_map(u64::from), 0..100),
            cut in any::<prop::sample::Index>(),
        ) {
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let backwards: Vec<u64> = values.iter().rev().copied().collect();
            prop_assert_eq!(sums(left).plus(&sums(right)), sums(&values));
            prop_assert_eq!(sums(&backwards), sums(&values));
        }
    }
}
