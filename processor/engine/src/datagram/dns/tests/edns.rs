//! EDNS and its options.

use weir_contract::record;

use super::{RESPONSE, decode, message, question};

/// A response whose OPT record has options given as code and data.
fn with_options(options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (code, value) in options {
        data.extend(code.to_be_bytes());
        data.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        data.extend(*value);
    }
    // UDP payload size 1232, extended rcode 1, version 0, DO and one unknown flag.
    let mut opt = b"\x00\x00\x29\x04\xd0\x01\x00\x80\x01".to_vec();
    opt.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    opt.extend(data);
    message(RESPONSE | 7, [&[question("example.com", 1)], &[], &[], &[opt]])
}

fn option(code: u16, value: &[u8]) -> (record::DnsEdnsOption, Vec<String>) {
    let (mut dns, weirds) = decode(&with_options(&[(code, value)]));
    (dns.edns_options.remove(0), weirds)
}

#[test]
fn the_header_of_opt_is_taken_apart() {
    let (dns, weirds) = decode(&with_options(&[]));
    assert_eq!(weirds, Vec::<String>::new());
    assert_eq!((dns.edns_version, dns.edns_udp_bytes, dns.edns_dnssec_ok, dns.edns_z), (Some(0), Some(1232), true, 1));
    assert_eq!((dns.rcode, dns.rcode_name.as_str()), (Some(23), "BADCOOKIE"));
    assert_eq!((dns.additional_count, dns.additionals.len()), (1, 0));
}

#[test]
fn every_option_has_its_text() {
    let vectors: &[(u16, &[u8], &str, &str)] = &[
        (3, b"ns1.fra", "nsid", "ns1.fra"),
        (5, &[8, 13], "dau", "8 13"),
        (8, &[0, 1, 24, 0, 192, 0, 2], "client-subnet", "192.0.2.0/24/0"),
        (8, &[0, 2, 56, 48, 0x20, 1, 0xd, 0xb8, 0, 1, 2], "client-subnet", "2001:db8:1:200::/56/48"),
        (8, &[0, 0, 0, 0], "client-subnet", "0/0/0"),
        (9, &[0, 0, 14, 16], "expire", "3600"),
        (10, &[1, 2, 3, 4, 5, 6, 7, 8], "cookie", "0102030405060708"),
        (11, &[1, 44], "tcp-keepalive", "30.0"),
        (11, &[], "tcp-keepalive", ""),
        (12, &[0; 100], "padding", ""),
        (13, b"\x07example\0", "chain", "example"),
        (14, &[0x12, 0x34, 0, 1], "key-tag", "4660 1"),
        (15, &[0, 18], "extended-error", "18 Prohibited"),
        (15, b"\x00\x0fno ads\x00", "extended-error", "15 Blocked: no ads"),
        (65001, &[0xca, 0xfe], "", "cafe"),
    ];
    for (code, value, name, text) in vectors {
        let (option, weirds) = option(*code, value);
        assert_eq!((option.name.as_str(), option.data.as_str()), (*name, *text));
        assert_eq!((option.code, option.length_bytes as usize), (u32::from(*code), value.len()));
        assert_eq!(weirds, Vec::<String>::new());
    }
}

#[test]
fn options_that_contradict_their_code_are_hex() {
    let (too_long, weirds) = option(8, &[0, 1, 32, 0, 1, 2, 3, 4, 5]);
    assert_eq!(too_long.data, "000120000102030405");
    assert_eq!(weirds, ["dns BadLength: client subnet longer than its address family"]);
    let (trailing, weirds) = option(11, &[0, 1, 2]);
    assert_eq!(trailing.data, "000102");
    assert_eq!(weirds, ["dns TrailingBytes: bytes behind the value of an option of EDNS"]);
}

#[test]
fn an_option_longer_than_its_record_ends_the_options() {
    let mut message = with_options(&[(10, &[1, 2, 3, 4])]);
    let length = message.len();
    message[length - 5] = 9;
    let (dns, weirds) = decode(&message);
    assert_eq!((dns.edns_options[0].length_bytes, dns.edns_options[0].data.as_str()), (9, "01020304"));
    assert_eq!((dns.truncated, &weirds[..]), (false, &["dns Truncated: ends before its fields do".to_owned()][..]));
}

#[test]
fn options_are_a_hundred_at_most() {
    let (dns, weirds) = decode(&with_options(&[(12, &[][..]); 120]));
    assert_eq!(dns.edns_options.len(), 100);
    assert_eq!(weirds, ["dns Limit: more than 100 options of EDNS"]);
}

#[test]
fn a_second_opt_is_an_ordinary_record() {
    let opt = b"\x00\x00\x29\x04\xd0\0\0\0\0\0\0".to_vec();
    let (dns, _) = decode(&message(RESPONSE, [&[question("a.example", 1)], &[], &[], &[opt.clone(), opt]]));
    assert_eq!((dns.edns_version, dns.additionals[0].type_name.as_str()), (Some(0), "OPT"));
}
