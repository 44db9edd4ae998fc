//! Who a request says it is (RFC 9110 §11, RFC 7616, RFC 7617). Passwords and tokens are not kept.

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::start::is_token_byte;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Longer credentials are not decoded: a record holds less.
const DECODED_BYTES_MAX: usize = 8 << 10;

/// The scheme in front of credentials; empty where there is none, and all may be a secret.
pub(super) fn scheme(credentials: &[u8]) -> &[u8] {
    let scheme = challenge_scheme(credentials);
    if credentials.get(scheme.len()) == Some(&b' ') { scheme } else { &[] }
}

/// The scheme in front of a challenge.
pub(super) fn challenge_scheme(challenge: &[u8]) -> &[u8] {
    let end = challenge.iter().position(|byte| !is_token_byte(byte)).unwrap_or(challenge.len());
    challenge.get(..end).unwrap_or_default()
}

/// The user that credentials name.
pub(super) fn user(credentials: &[u8]) -> Option<Vec<u8>> {
    let scheme = scheme(credentials);
    let credentials = credentials.get(scheme.len()..)?.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"Basic") && credentials.len() <= DECODED_BYTES_MAX {
        let mut decoded = BASE64.decode(credentials).ok()?;
        let user_end = decoded.iter().position(|&byte| byte == b':')?;
        decoded.truncate(user_end);
        return Some(decoded);
    }
    if scheme.eq_ignore_ascii_case(b"Digest") {
        return parameter(credentials, b"username");
    }
    None
}

/// The value of a parameter in `a=b, c="d \" e"`.
fn parameter(mut list: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    loop {
        let equals = list.iter().position(|&byte| byte == b'=')?;
        let (name, rest) = list.split_at(equals);
        let name = name.split(|byte| matches!(byte, b',' | b' ' | b'\t')).next_back().unwrap_or_default();
        let (value, rest) = parameter_value(rest.get(1..)?);
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        list = rest;
    }
}

/// A value, and what is behind it.
fn parameter_value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let text = text.trim_ascii_start();
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|&byte| byte == b',').unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.trim_ascii().to_vec(), rest);
    };
    let mut value = Vec::new();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, rest.split_first()) {
            (b'"', _) => break,
            (b'\\', Some((&escaped, behind))) => {
                value.push(escaped);
                rest = behind;
            }
            _ => value.push(byte),
        }
    }
    (value, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_text(value: &str) -> Option<String> {
        user(value.as_bytes()).map(|user| String::from_utf8(user).unwrap())
    }

    #[test]
    fn user_of_basic_as_in_rfc_7617() {
        assert_eq!(user_text("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").as_deref(), Some("Aladdin"));
        assert_eq!(user_text("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ").as_deref(), Some("Aladdin"));
        assert_eq!(user_text("Basic !"), None);
        assert_eq!(user_text("Basic QWxhZGRpbg=="), None, "all of it may be a secret");
    }

    #[test]
    fn user_of_digest_as_in_rfc_7616() {
        let credentials = "Digest realm=\"a, username=b\", username=\"Mufa\\\"sa\", uri=\"/dir?a=b\"";
        assert_eq!(user_text(credentials).as_deref(), Some("Mufa\"sa"));
        assert_eq!(user_text("Digest username=Mufasa,realm=a").as_deref(), Some("Mufasa"));
        assert_eq!(user_text("Digest realm=\"a"), None);
    }

    #[test]
    fn a_lone_word_is_a_secret_and_no_scheme() {
        assert_eq!(scheme(b"Bearer abc"), b"Bearer");
        assert_eq!(scheme(b"0123456789abcdef"), b"");
        assert_eq!(scheme(b"key=abc def"), b"");
        assert_eq!(user_text("Bearer abc"), None);
        assert_eq!(challenge_scheme(b"Negotiate"), b"Negotiate");
    }
}
