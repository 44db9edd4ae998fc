//! What has been computed lately, so that the packets of a conversation don't pay for the same addresses again.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Longest input that is kept, bytes: a Community ID has 30, an IPv6 address 16.
const INPUT_MAX: usize = 32;

/// What is computed, or the begin of it.
pub type Output = [u8; 32];

/// Entries, each at the place that its hash says: 0.5 MB.
const SLOTS: usize = 8192;

/// A table of bounded size, in which a later entry takes an earlier one's place. It only saves time: for traffic that
/// is made not to fit in it everything is computed.
pub struct Memo(Vec<Slot>);

#[derive(Clone, Default)]
struct Slot {
    /// What was computed; 0 in an empty slot.
    kind: u8,
    input_bytes: u8,
    input: [u8; INPUT_MAX],
    output: Output,
}

impl Default for Memo {
    fn default() -> Self {
        Self(vec![Slot::default(); SLOTS])
    }
}

impl Memo {
    /// What `compute` makes of the input, or made of it before. `kind`, which is not 0, tells apart what is computed.
    pub fn get(&mut self, kind: u8, input: &[u8], compute: impl FnOnce() -> Output) -> Output {
        let place = usize::try_from(xxh3_64_with_seed(input, kind.into()) % SLOTS as u64).unwrap_or_default();
        let (Some(slot), Ok(input_bytes)) = (self.0.get_mut(place), u8::try_from(input.len())) else {
            return compute();
        };
        if slot.kind == kind && slot.input.get(..slot.input_bytes.into()) == Some(input) {
            return slot.output;
        }
        let output = compute();
        if let Some(kept) = slot.input.get_mut(..input.len()) {
            kept.copy_from_slice(input);
            (slot.kind, slot.input_bytes, slot.output) = (kind, input_bytes, output);
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_computed() {
        let mut memo = Memo::default();
        let mut computed = 0;
        // More inputs than slots, twice, some too long to be kept.
        for _ in 0..2 {
            for number in 0..20_000_u32 {
                for kind in [1, 2] {
                    let input = format!("{number:0width$}", width = if number % 7 == 0 { 33 } else { 5 });
                    let mut expected = [kind; 32];
                    expected[..4].copy_from_slice(&number.to_le_bytes());
                    let got = memo.get(kind, input.as_bytes(), || {
                        computed += 1;
                        expected
                    });
                    assert_eq!(got, expected);
                }
            }
        }
        assert!(computed > 40_000);
        assert_eq!(memo.get(1, b"again", || [7; 32]), [7; 32]);
        assert_eq!(memo.get(1, b"again", || panic!("it is known")), [7; 32]);
    }
}
