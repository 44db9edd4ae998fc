//! Bytes and numbers as digits. Records have many, and `write!` takes five times as long.

use crate::limits::TEXT_MAX;

/// Hex digits of all octets.
pub(crate) const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut all = [[0; 2]; 256];
    let mut octet = 0;
    while octet < all.len() {
        all[octet] = [DIGITS[octet >> 4], DIGITS[octet & 15]];
        octet += 1;
    }
    all
};

/// Appends bytes as lower-case hex, as many as a text may hold.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    const CHUNK: usize = 32;
    let mut text = [[0; 2]; CHUNK];
    for chunk in bytes.get(..TEXT_MAX).unwrap_or(bytes).chunks(CHUNK) {
        for (digits, &octet) in text.iter_mut().zip(chunk) {
            *digits = HEX[usize::from(octet)];
        }
        push_ascii(out, text.get(..chunk.len()).unwrap_or_default().as_flattened());
    }
}

/// Appends a number in decimal.
pub(crate) fn push_number(out: &mut String, number: impl Into<u64>) {
    let mut digits = [b'0'; 20];
    let mut rest = number.into();
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    push_ascii(out, digits.get(digits.len() - used..).unwrap_or_default());
}

fn push_ascii(out: &mut String, digits: &[u8]) {
    out.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

/// Appends bytes as base64 with padding (RFC 4648 §4), as many as a text may hold.
pub(crate) fn push_base64(out: &mut String, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = bytes.get(..TEXT_MAX).unwrap_or(bytes);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().zip([16, 8, 0]).fold(0u32, |bits, (&byte, shift)| bits | u32::from(byte) << shift);
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = ALPHABET.get((bits >> shift & 63) as usize).copied().unwrap_or_default();
            out.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_digits() {
        for number in [0, 7, 10, 65_535, u64::MAX] {
            let mut text = String::from("n");
            push_number(&mut text, number);
            assert_eq!(text, format!("n{number}"));
        }
    }

    #[test]
    fn bytes_have_two_digits_each() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        push_hex(&mut text, &bytes);
        assert_eq!(text, bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
}
