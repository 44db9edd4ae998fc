//! Bytes as digits.

use crate::limits::TEXT_MAX;

/// Appends bytes as lower-case hex, as many as a text may hold.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    for &byte in bytes.get(..TEXT_MAX).unwrap_or(bytes) {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
        }
    }
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
