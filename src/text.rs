//! Text from the wire as UTF-8, reversibly; and nearest names for error messages.

/// Appends bytes from the wire as text: valid UTF-8 as it is; control characters, `\` and bytes
/// that are no UTF-8 as `\xHH`.
///
/// ```
/// let mut out = String::new();
/// weir_contract::text::push_escaped(&mut out, b"caf\xc3\xa9\\\n\xff");
/// assert_eq!(out, "café\\x5c\\x0a\\xff");
/// ```
pub fn push_escaped(out: &mut String, bytes: &[u8]) {
    // The common case: names and banners are printable ASCII.
    // Without a way out of the loop, which so looks at many bytes at once.
    let is_plain = |&byte: &u8| (0x20..0x7f).contains(&byte) & (byte != b'\\');
    let plain = bytes.iter().fold(true, |plain, byte| plain & is_plain(byte));
    if plain && let Ok(text) = std::str::from_utf8(bytes) {
        out.push_str(text);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() || letter == '\\' {
                let mut buffer = [0; 4];
                for &byte in letter.encode_utf8(&mut buffer).as_bytes() {
                    push_hex(out, byte);
                }
            } else {
                out.push(letter);
            }
        }
        for &byte in chunk.invalid() {
            push_hex(out, byte);
        }
    }
}

fn push_hex(out: &mut String, byte: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.push_str("\\x");
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

/// The bytes that [`push_escaped`] was given. Text with a `\` that begins no `\xHH` is kept as it is.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match after {
            [b'x', high, low, ..] if byte == b'\\' => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Of `names`, the one that takes the fewest edits to get to from `word`.
pub fn nearest(word: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    names.into_iter().min_by_key(|name| edit_distance(word.as_bytes(), name.as_bytes()))
}

fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let substituted = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = substituted.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(edit_distance(b"kitten", b"sitting"), 3);
        assert_eq!(nearest("partitons", ["sensor", "partitions"].map(str::to_owned)).as_deref(), Some("partitions"));
    }

    proptest! {
        #[test]
        fn escaping_is_reversible(bytes: Vec<u8>) {
            let mut text = String::new();
            push_escaped(&mut text, &bytes);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(unescape(&text), bytes);
        }
    }
}
