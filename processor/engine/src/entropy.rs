//! Shannon entropy of a few bytes.

/// How many bytes are looked at: as many as a byte has values, and more than a DNS name has.
pub(crate) const BYTES_MAX: usize = 256;

/// Bits behind the point of the numbers below: sums of them are exact, where those of floating numbers would
/// depend on their order, and would have to wait for each other.
const FRACTION_BITS: u32 = 44;

/// What `n · log2(n)` grows by when n does, for every n. Computed by the compiler: the engine has no logarithm of
/// its own, and those of platforms differ in the last bit.
static GROWTH: [u64; BYTES_MAX] = {
    let mut table = [0; BYTES_MAX];
    let mut n = 0;
    while n < BYTES_MAX {
        table[n] = n_log2_n(n as u64 + 1) - n_log2_n(n as u64);
        n += 1;
    }
    table
};

/// `n · log2(n)`; 0 for none.
const fn n_log2_n(n: u64) -> u64 {
    if n == 0 { 0 } else { n * log2(n) }
}

/// Logarithm of a number from 1, digit by digit: squaring doubles it.
const fn log2(number: u64) -> u64 {
    const ONE: u128 = 1 << 62;
    let whole = number.ilog2();
    let mut rest = (number as u128 * ONE) >> whole;
    let mut log = whole as u64;
    let mut digits = 0;
    while digits < FRACTION_BITS {
        rest = (rest * rest) >> 62;
        log <<= 1;
        if rest >= 2 * ONE {
            rest >>= 1;
            log |= 1;
        }
        digits += 1;
    }
    log
}

/// Entropy of the first 256 bytes, bits per byte; 0 for none.
pub(crate) fn entropy(bytes: &[u8]) -> f64 {
    let bytes = bytes.get(..BYTES_MAX).unwrap_or(bytes);
    if bytes.is_empty() {
        return 0.0;
    }
    let mut counts = [0u8; 256];
    let (mut of_counts, mut of_all) = (0, 0);
    for (&byte, growth) in bytes.iter().zip(&GROWTH) {
        let count = &mut counts[usize::from(byte)];
        of_counts += GROWTH[usize::from(*count)];
        // One that was 255 is not looked up again.
        *count = count.wrapping_add(1);
        of_all += growth;
    }
    let total = f64::from(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    (of_all - of_counts) as f64 / ONE_BIT / total
}

/// One in the numbers above.
const ONE_BIT: f64 = (1u64 << FRACTION_BITS) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(bytes: &[u8], bits: f64) {
        assert!((entropy(bytes) - bits).abs() < 1e-12, "{} is not {bits}", entropy(bytes));
    }

    #[test]
    fn equal_shares_give_the_logarithm_of_their_number() {
        assert_near(b"", 0.0);
        assert_near(b"aaaaaaa", 0.0);
        assert_near(b"abababab", 1.0);
        assert_near(b"abcdefgh", 3.0);
        assert_near(&(0..=255).collect::<Vec<u8>>(), 8.0);
        assert_near(&[7; 300], 0.0);
    }

    #[test]
    fn unequal_shares_weigh_less() {
        // Shares 1/2, 1/4, 1/8, 1/8.
        assert_near(b"aaaabbcd", 1.75);
    }
}
