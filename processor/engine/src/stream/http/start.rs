//! First lines of messages (RFC 9112 §3, §4), and how a direction that begins with one is known.

use weir_contract::WeirdReason;

use super::Side;
use crate::{
    cursor::{Cursor, Malformed},
    datagram::Probe,
    limits::TEXT_MAX,
    output::Output,
};

/// Longest method that is taken for one. The longest registered has 17 letters.
const METHOD_BYTES_MAX: usize = 32;

/// What a request line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    /// As in `1.1`.
    pub(super) version: &'a [u8],
}

/// What a status line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StatusLine<'a> {
    pub(super) version: &'a [u8],
    pub(super) code: u16,
    pub(super) reason: &'a [u8],
}

impl<'a> RequestLine<'a> {
    /// `GET /a HTTP/1.1`. Space inside the target is kept: what the server made of it is not known.
    pub(super) fn of(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii_end();
        let method_end = line.iter().position(|&byte| byte == b' ' || byte == b'\t')?;
        let (method, rest) = line.split_at(method_end);
        let version_start = rest.iter().rposition(|&byte| byte == b' ' || byte == b'\t')? + 1;
        let (target, version) = rest.split_at(version_start);
        let target = target.trim_ascii();
        let is_method = !method.is_empty() && method.len() <= METHOD_BYTES_MAX && method.iter().all(is_token_byte);
        (is_method && !target.is_empty()).then_some(Self { method, target, version: version_of(version)? })
    }
}

impl<'a> StatusLine<'a> {
    /// `HTTP/1.1 404 Not Found`, the phrase may be missing.
    pub(super) fn of(line: &'a [u8]) -> Option<Self> {
        let version_end = line.iter().position(|&byte| byte == b' ' || byte == b'\t')?;
        let (version, rest) = line.split_at(version_end);
        let (code, reason) = rest.trim_ascii_start().split_at_checked(3)?;
        if !matches!(reason.first(), None | Some(b' ' | b'\t')) || !code.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        let version = version_of(version)?;
        (code >= 100).then_some(Self { version, code, reason: reason.trim_ascii() })
    }
}

/// Whether another response to the same request will follow; not so behind 101, which ends HTTP (RFC 9110 §15.2).
pub(super) fn is_informational(code: u16) -> bool {
    (100..200).contains(&code) && code != 101
}

/// `HTTP/1.1` → `1.1`. Minor versions are compatible (RFC 9110 §2.5), and some programs count further, as in `1.0.8`.
fn version_of(text: &[u8]) -> Option<&[u8]> {
    let version = text.strip_prefix(b"HTTP/")?;
    let [b'1', b'.', minor @ ..] = version else { return None };
    let is_number = !minor.is_empty() && minor.len() <= 4 && minor.iter().all(|byte| b".0123456789".contains(byte));
    is_number.then_some(version)
}

/// Whether it is one of the two versions that there are.
fn is_known_version(version: &[u8]) -> bool {
    matches!(version, b"1.0" | b"1.1")
}

/// Bytes of methods and names of fields (RFC 9110 §5.6.2).
pub(super) fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// How all responses begin.
pub(super) const RESPONSE_START: &[u8] = b"HTTP/";

/// Methods that a conversation may begin with: RFC 9110, PATCH (RFC 5789), QUERY, WebDAV (RFC 3253, 3648, 3744, 4437,
/// 4791, 4918, 5323, 5842), and those of Microsoft's DCOM and RPC over HTTP, and of caches.
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"CONNECT",
    b"TRACE",
    b"PATCH",
    b"QUERY",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"ACL",
    b"BASELINE-CONTROL",
    b"BIND",
    b"CHECKIN",
    b"CHECKOUT",
    b"LABEL",
    b"LINK",
    b"MERGE",
    b"MKACTIVITY",
    b"MKCALENDAR",
    b"MKREDIRECTREF",
    b"MKWORKSPACE",
    b"ORDERPATCH",
    b"REBIND",
    b"UNBIND",
    b"UNCHECKOUT",
    b"UNLINK",
    b"UPDATE",
    b"UPDATEREDIRECTREF",
    b"VERSION-CONTROL",
    b"BCOPY",
    b"BDELETE",
    b"BMOVE",
    b"BPROPFIND",
    b"BPROPPATCH",
    b"POLL",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"X-MS-ENUMATTS",
    b"RPC_CONNECT",
    b"RPC_IN_DATA",
    b"RPC_OUT_DATA",
    b"PURGE",
    b"DEBUG",
    b"TRACK",
    b"SOURCE",
    b"NOTIFY",
    b"SSTP_DUPLEX_POST",
    b"CCM_POST",
];

/// Once so much of a request line was seen, its end is not waited for.
const LINE_PROBED_BYTES: usize = 1024;

/// Whether a direction begins with a message.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    let bytes = bytes.trim_ascii_start();
    match probe_response(bytes) {
        Probe::No => probe_request(bytes),
        sure => sure,
    }
}

/// `HTTP/1.1 200`, and nothing else: a response alone is proof.
pub(super) fn probe_response(bytes: &[u8]) -> Probe {
    const PATTERN: &[u8] = b"HTTP/1.0 000";
    let fits = |(byte, pattern): (&u8, &u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        pattern => byte == pattern,
    };
    if !bytes.iter().zip(PATTERN).all(fits) {
        Probe::No
    } else if bytes.len() < PATTERN.len() {
        Probe::Unsure
    } else {
        Probe::Yes
    }
}

/// A known method, what may be a target, and the version: RTSP, SIP and ICAP have the same methods.
pub(super) fn probe_request(bytes: &[u8]) -> Probe {
    // No further than methods go: what is behind a gap may have no space at all.
    let head = bytes.get(..=METHOD_BYTES_MAX).unwrap_or(bytes);
    let Some(space) = head.iter().position(|&byte| byte == b' ') else {
        let may_become = METHODS.iter().any(|method| method.starts_with(bytes));
        return if may_become { Probe::Unsure } else { Probe::No };
    };
    let (method, rest) = bytes.split_at(space);
    let target = rest.trim_ascii_start();
    let begins_target = |byte: &u8| byte.is_ascii_alphanumeric() || b"/*[".contains(byte);
    if !METHODS.contains(&method) || !target.first().is_none_or(begins_target) {
        return Probe::No;
    }
    if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
        let line = bytes.get(..end).unwrap_or_default();
        return if RequestLine::of(line).is_some() { Probe::Yes } else { Probe::No };
    }
    let is_text = bytes.iter().all(|&byte| byte >= b' ' || byte == b'\r' || byte == b'\t');
    let is_path = target.starts_with(b"/") || target.starts_with(b"http");
    if !is_text {
        Probe::No
    } else if is_path && bytes.len() >= LINE_PROBED_BYTES {
        Probe::Yes
    } else {
        Probe::Unsure
    }
}

/// Empty lines in front of a message, as some clients send behind a body (RFC 9112 §2.2).
pub(super) fn skip_empty_lines(input: &mut Cursor<'_>) {
    let empty = input.peek().iter().take_while(|&&byte| byte == b'\r' || byte == b'\n').count();
    input.message_up_to(empty);
}

/// What is kept of a text: a record holds less than a line may, and one byte more shows that it is not all.
pub(super) fn kept(text: &[u8]) -> &[u8] {
    text.get(..=TEXT_MAX).unwrap_or(text)
}

/// Whether bytes can become a first line, of which the end may not be there yet.
pub(super) fn may_begin(side: Side, input: &Cursor<'_>) -> bool {
    match side {
        Side::Client => input.peek().first().is_none_or(is_token_byte),
        Side::Server => input.peek().starts_with(RESPONSE_START),
    }
}

/// Complains about versions that there are not.
pub(super) fn note_version(version: &[u8], input: &Cursor<'_>, out: &mut Output) {
    if !is_known_version(version) {
        out.note(input.malformed(WeirdReason::BadVersion, "neither HTTP/1.0 nor HTTP/1.1"));
    }
}

/// What is wrong where no message begins.
pub(super) fn no_message(side: Side, input: &Cursor<'_>) -> Malformed {
    let detail = match side {
        Side::Client => "no request begins where one should",
        Side::Server => "no response begins where one should",
    };
    input.malformed(WeirdReason::BadValue, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        let line = |target| Some(RequestLine { method: b"GET", target, version: b"1.1" });
        assert_eq!(RequestLine::of(b"GET /a?b HTTP/1.1"), line(b"/a?b"));
        assert_eq!(RequestLine::of(b"GET  /a b  HTTP/1.1 "), line(b"/a b"));
        assert_eq!(RequestLine::of(b"GET /a HTTP/1.0.8").map(|line| line.version), Some(&b"1.0.8"[..]));
        for bad in [
            &b"GET /a"[..],
            b"GET HTTP/1.1",
            b"GET /a HTTP/2.0",
            b"GET /a HTTP/1.",
            b"GET /a HTTP/1.x",
            b"G(T /a HTTP/1.1",
            b"",
        ] {
            assert_eq!(RequestLine::of(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn status_lines() {
        let line = |code, reason| Some(StatusLine { version: b"1.0", code, reason });
        assert_eq!(StatusLine::of(b"HTTP/1.0 404 Not Found"), line(404, b"Not Found"));
        assert_eq!(StatusLine::of(b"HTTP/1.0 200"), line(200, b""));
        for bad in [&b"HTTP/1.0 20"[..], b"HTTP/1.0 2000", b"HTTP/1.0 099 a", b"HTTP/2 200", b"ICY 200 OK", b"HTTP/1.0"]
        {
            assert_eq!(StatusLine::of(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn probe_asks_for_method_target_and_version() {
        for yes in [
            &b"PROPFIND /dav HTTP/1.1\n"[..],
            b"CONNECT a.example:443 HTTP/1.0\r\n",
            b"HTTP/1.1 200",
            b"\r\nGET   * HTTP/1.0\r\n",
        ] {
            assert_eq!(probe(yes), Probe::Yes, "{}", yes.escape_ascii());
        }
        let others = [
            &b"OPTIONS rtsp://a/b RTSP/1.0\r\n"[..],
            b"OPTIONS sip:a@b SIP/2.0\r\n",
            b"M-SEARCH * HTTP/1.1\r\n",
            b"PRI * HTTP/2.0\r\n",
            b"GET \x00",
            b"GET /\x01",
            b"HTTP/2",
            b"EHLO a",
            b"\x16\x03\x01",
        ];
        for no in others {
            assert_eq!(probe(no), Probe::No, "{}", no.escape_ascii());
        }
    }

    #[test]
    fn probe_is_unsure_until_it_is_sure() {
        for line in [&b"GET /index.html HTTP/1.1\r\n"[..], b"HTTP/1.1 404"] {
            for length in 1..line.len() {
                assert_eq!(probe(&line[..length]), Probe::Unsure, "{length} bytes");
            }
            assert_eq!(probe(line), Probe::Yes);
        }
        let long = [&b"GET /"[..], &[b'a'; LINE_PROBED_BYTES]].concat();
        assert_eq!(probe(&long), Probe::Yes);
    }
}
