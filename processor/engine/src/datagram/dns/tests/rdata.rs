//! Data of records by type: bytes and their text.

use weir_contract::record;

use super::{answer, decode_whole, name};

/// Bytes of a vector: hex with spaces, and names in braces.
fn bytes(vector: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in vector.split_inclusive('}') {
        let (hex, named) = part.split_once('{').unwrap_or((part, ""));
        let digits: String = hex.split_whitespace().collect();
        out.extend((0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()));
        if let Some(text) = named.strip_suffix('}') {
            out.extend(name(text));
        }
    }
    out
}

fn answered(rr_type: u16, vector: &str) -> record::DnsResourceRecord {
    decode_whole(&answer(rr_type, &bytes(vector))).answers.remove(0)
}

#[test]
fn every_type_has_its_text() {
    #[rustfmt::skip]
    let vectors = [
        (1, "c0000201", "192.0.2.1"),
        (2, "{NS.example}", "ns.example"),
        (6, "{ns.example} {host.master.example} 00000001 00000e10 00000384 00093a80 0000003c",
         "ns.example host.master.example 1 3600 900 604800 60"),
        (10, "deadbeef", "\\# 4 deadbeef"),
        (11, "0a000001 06 0000000040", "10.0.0.1 6 33"),
        (13, "03 783836 05 4c696e7578", "\"x86\" \"Linux\""),
        (14, "{owner.example} {errors.example}", "owner.example errors.example"),
        (15, "000a {mail.example}", "10 mail.example"),
        (16, "06 763d73706631 00 03 226100", "\"v=spf1\" \"\" \"\\x22a\\x00\""),
        (17, "{admin.example} {}", "admin.example ."),
        (18, "0001 {afs.example}", "1 afs.example"),
        (28, "20010db8000000000000000000000001", "2001:db8::1"),
        (29, "00 12 16 13 8b0c5e58 80edd2d0 009895b8", "51 29 19.960 N 4 19 46.000 E -2.00m 1.00m 10000.00m 10.00m"),
        (33, "0001 0002 1f90 {Host.example}", "1 2 8080 host.example"),
        (35, "0064 0032 01 75 07 4532552b736970 00 {sip.example}", "100 50 \"u\" \"E2U+sip\" \"\" sip.example"),
        (37, "0001 0002 03 666f6f", "1 2 3 Zm9v"),
        (39, "{other.example}", "other.example"),
        (44, "0402 abcdef", "4 2 abcdef"),
        (52, "030101 abcdef", "3 1 1 abcdef"),
        (61, "666f6f626172", "Zm9vYmFy"),
        (62, "00000042 0003 00 04 60000008", "66 3 A NS AAAA"),
        (63, "00000042 01 01 abcdef", "66 1 1 abcdef"),
        (99, "04 74657374", "\"test\""),
        (108, "00005e00532a", "00-00-5e-00-53-2a"),
        (249, "{gss-tsig} 40c0d600 40c22780 0003 0000 0002 abcd 0000",
         "gss-tsig 20040604200520 20040605200520 3 NOERROR 2 0"),
        (250, "{hmac-sha256} 0000536b8f34 012c 0004 deadbeef 0007 0010 0000",
         "hmac-sha256 1399557940 300 4 3q2+7w== 7 BADSIG 0"),
        (256, "000a 0001 6674703a2f2f78", "10 1 \"ftp://x\""),
        (257, "00 05 6973737565 63612e6578616d706c65", "0 issue \"ca.example\""),
        (1234, "", "\\# 0"),
        (1234, "00ff", "\\# 2 00ff"),
    ];
    for (rr_type, vector, text) in vectors {
        assert_eq!(answered(rr_type, vector).data, text, "type {rr_type}");
    }
}

#[test]
fn dnssec_types_as_in_their_rfcs() {
    #[rustfmt::skip]
    let vectors = [
        // RFC 4034 §5.4.
        (43, "ec45 05 01 2bb183af5f22588179a53b0a98631fad1a292118",
         "60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118"),
        // RFC 4034 §3.3, its signature shortened.
        (46, "0001 05 03 00015180 3e7c9dd7 3e5510d7 0a52 {example.com} a09d81",
         "A 5 3 86400 20030322173103 20030220173103 2642 example.com oJ2B"),
        // RFC 4034 §4.3.
        (47, "{host.example.com} 00 06 400100000003 04 1b 000000000000000000000000000000000000000000000000000020",
         "host.example.com A MX RRSIG NSEC TYPE1234"),
        (48, "0100 03 05 03010001", "256 3 5 AwEAAQ=="),
        // RFC 5155 appendix A.
        (50, "01 01 000c 04 aabbccdd 14 174eb2409fe28bcb4887a1836f957f0a8425e27b 00 07 22010000000290",
         "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA MX RRSIG DNSKEY NSEC3PARAM"),
        (51, "01 00 0000 00", "1 0 0 -"),
    ];
    for (rr_type, vector, text) in vectors {
        assert_eq!(answered(rr_type, vector).data, text, "type {rr_type}");
    }
}

#[test]
fn fields_that_people_filter_by() {
    let srv = answered(33, "0001 0002 1f90 {Host.example}");
    assert_eq!(
        (srv.priority, srv.weight, srv.port, srv.target.as_str()),
        (Some(1), Some(2), Some(8080), "host.example")
    );
    let soa = answered(6, "{ns.example} {admin.example} ffffffff 00000001 00000002 00000003 00000004");
    assert_eq!(
        (soa.serial, soa.target.as_str(), soa.mailbox.as_str()),
        (Some(4_294_967_295), "ns.example", "admin.example")
    );
    let ds = answered(43, "ec45 05 01 00");
    assert_eq!((ds.key_tag, ds.algorithm), (Some(60485), Some(5)));
}

#[test]
fn long_keys_are_given_by_their_length() {
    let key = vec![0x99; 2000];
    assert_eq!(decode_whole(&answer(61, &key)).answers[0].data, "2000 bytes");
    let certificate = [&[3, 0, 0][..], &key].concat();
    assert_eq!(decode_whole(&answer(53, &certificate)).answers[0].data, "3 0 0 2000 bytes");
}
