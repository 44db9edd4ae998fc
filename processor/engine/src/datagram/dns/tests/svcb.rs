//! Service bindings: the test vectors of RFC 9460 appendix D.

use super::{answer, decode, decode_whole, name};

/// Priority, target and parameters in wire form.
fn binding(priority: u16, target: &str, parameters: &[u8]) -> Vec<u8> {
    [&priority.to_be_bytes()[..], &name(target), parameters].concat()
}

const HINT_1: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const HINT_2: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53, 0, 1];

#[test]
fn vectors_of_rfc_9460_appendix_d() {
    let ipv6_hints = [&[0, 6, 0, 32][..], &HINT_1, &HINT_2].concat();
    let mapped = [&[0, 6, 0, 16, 0x20, 1, 0xd, 0xb8, 0x01, 0x22, 3, 0x44, 0, 0, 0, 0][..], &[0xc0, 0, 2, 33]].concat();
    let mandatory = b"\x00\x00\x00\x04\x00\x01\x00\x04\x00\x01\x00\x09\x02h2\x05h3-19\x00\x04\x00\x04\xc0\x00\x02\x01";
    let vectors: &[(u16, &str, &[u8], &str)] = &[
        (0, "foo.example.com", b"", "0 foo.example.com"),
        (1, "", b"", "1 ."),
        (16, "foo.example.com", b"\x00\x03\x00\x02\x00\x35", "16 foo.example.com port=53"),
        (1, "foo.example.com", b"\x02\x9b\x00\x05hello", "1 foo.example.com key667=\"hello\""),
        (1, "foo.example.com", b"\x02\x9b\x00\x09hello\xd2qoo", "1 foo.example.com key667=\"hello\\xd2qoo\""),
        (1, "foo.example.com", &ipv6_hints, "1 foo.example.com ipv6hint=2001:db8::1,2001:db8::53:1"),
        (1, "example.com", &mapped, "1 example.com ipv6hint=2001:db8:122:344::c000:221"),
        (
            16,
            "foo.example.org",
            mandatory,
            "16 foo.example.org mandatory=alpn,ipv4hint alpn=\"h2,h3-19\" ipv4hint=192.0.2.1",
        ),
        (
            16,
            "foo.example.org",
            b"\x00\x01\x00\x0c\x08f\\oo,bar\x02h2",
            "16 foo.example.org alpn=\"f\\x5coo\\x2cbar,h2\"",
        ),
    ];
    for (priority, target, parameters, text) in vectors {
        let dns = decode_whole(&answer(64, &binding(*priority, target, parameters)));
        assert_eq!(dns.answers[0].data, *text);
        assert_eq!(dns.answers[0].priority, Some(u32::from(*priority)));
    }
}

#[test]
fn parameters_are_fields_too() {
    let parameters =
        b"\x00\x01\x00\x06\x02h3\x02h2\x00\x02\x00\x00\x00\x03\x00\x02\x20\xfb\x00\x05\x00\x03foo\x00\x07\x00\x04/q{?";
    let dns = decode_whole(&answer(65, &binding(1, "", parameters)));
    let https = &dns.answers[0];
    assert_eq!((https.target.as_str(), https.port), (".", Some(8443)));
    let parameters: Vec<_> =
        https.parameters.iter().map(|one| (one.key, one.name.as_str(), one.value.as_str())).collect();
    let expected = [
        (1, "alpn", "h3,h2"),
        (2, "no-default-alpn", ""),
        (3, "port", "8443"),
        (5, "ech", "Zm9v"),
        (7, "dohpath", "/q{?"),
    ];
    assert_eq!(parameters, expected);
    assert_eq!(https.data, "1 . alpn=\"h3,h2\" no-default-alpn port=8443 ech=Zm9v dohpath=\"/q{?\"");
}

#[test]
fn malformed_bindings_are_weird() {
    let vectors: &[(&[u8], &str)] = &[
        (b"\x00\x03\x00\x02\x00\x35\x00\x01\x00\x03\x02h2", "BadValue: parameters of a service binding out of order"),
        (b"\x00\x03\x00\x02\x00\x35\x00\x03\x00\x02\x00\x35", "BadValue: parameters of a service binding out of order"),
        (b"\x00\x03\x00\x03\x00\x35\x00", "BadLength: parameter of a service binding longer than its value"),
        (b"\x00\x02\x00\x01\x00", "BadLength: parameter of a service binding longer than its value"),
        (b"\x00\x04\x00\x00", "BadLength: parameter of a service binding without a value"),
        (b"\x00\x04\x00\x05\xc0\x00\x02\x01\x00", "Truncated: ends before its fields do"),
        (b"\x00\x01\x00\x03\x05h2", "Truncated: ends before its fields do"),
        (b"\x00\x05\x00\x09ech", "BadLength: parameter of a service binding longer than its record"),
    ];
    for (parameters, weird) in vectors {
        let (dns, weirds) = decode(&answer(64, &binding(1, "a.example", parameters)));
        assert_eq!(weirds, [format!("dns {weird}")]);
        assert!(dns.answers[0].data.starts_with("\\# "), "{}", dns.answers[0].data);
        assert_eq!(dns.answers[0].target, "a.example", "what was readable is kept");
    }
}
