//! Shannon entropy of a few bytes.

/// How many bytes are looked at: as many as a byte has values, and more than a DNS name has.
pub(crate) const BYTES_MAX: usize = 256;

/// `n · log2(n)` for every count. Computed by the compiler: the engine has no logarithm of its own, and
/// those of platforms differ in the last bit.
static N_LOG2_N: [f64; BYTES_MAX + 1] = {
    let mut table = [0.0; BYTES_MAX + 1];
    let mut n = 1;
    while n <= BYTES_MAX {
        table[n] = n as f64 * log2(n as f64);
        n += 1;
    }
    table
};

/// Logarithm of a number from 1, digit by digit: squaring doubles it.
const fn log2(mut number: f64) -> f64 {
    let mut log = 0.0;
    while number >= 2.0 {
        number /= 2.0;
        log += 1.0;
    }
    let mut digit = 0.5;
    while digit > 1e-17 {
        number *= number;
        if number >= 2.0 {
            number /= 2.0;
            log += digit;
        }
        digit /= 2.0;
    }
    log
}

/// Entropy of the first 256 bytes, bits per byte; 0 for none.
pub(crate) fn entropy(bytes: &[u8]) -> f64 {
    let bytes = bytes.get(..BYTES_MAX).unwrap_or(bytes);
    if bytes.is_empty() {
        return 0.0;
    }
    let mut counts = [0u16; 256];
    let mut sum = 0.0;
    for &byte in bytes {
        let count = &mut counts[usize::from(byte)];
        sum -= N_LOG2_N[usize::from(*count)];
        *count = count.saturating_add(1);
        sum += N_LOG2_N[usize::from(*count)];
    }
    let n_log2_n = N_LOG2_N.get(bytes.len()).copied().unwrap_or_default();
    let total = f64::from(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    // Rounding may leave a single letter a hair below 0.
    ((n_log2_n - sum) / total).max(0.0)
}

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
