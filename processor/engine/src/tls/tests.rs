//! Published handshakes and fingerprints, and hellos that lie.

use weir_contract::{Selection, record};

use super::{ClientHello, Transport, Wrapping, client_hello, extension::*, server_hello};
use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
    testing::Records,
};

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// RFC 8448 §3, the client's first message without its header.
pub(crate) const RFC_8448_CLIENT_HELLO: &str = "03 03 cb 34 ec b1 e7 81 63 ba 1c 38 c6 da cb 19 6a 6d ff a2 1a 8d 99 12
    ec 18 a2 ef 62 83 02 4d ec e7 00 00 06 13 01 13 03 13 02 01 00 00 91 00 00 00 0b 00 09 00 00 06 73 65 72 76 65 72
    ff 01 00 01 00 00 0a 00 14 00 12 00 1d 00 17 00 18 00 19 01 00 01 01 01 02 01 03 01 04 00 23 00 00 00 33 00 26 00
    24 00 1d 00 20 99 38 1d e5 60 e4 bd 43 d2 3d 8e 43 5a 7d ba fe b3 c0 6e 51 c1 3c ae 4d 54 13 69 1e 52 9a af 2c 00
    2b 00 03 02 03 04 00 0d 00 20 00 1e 04 03 05 03 06 03 02 03 08 04 08 05 08 06 04 01 05 01 06 01 02 01 04 02 05 02
    06 02 02 02 00 2d 00 02 01 01 00 1c 00 02 40 01";

/// The server's answer, without its header.
pub(crate) const RFC_8448_SERVER_HELLO: &str = "03 03 a6 af 06 a4 12 18 60 dc 5e 6e 60 24 9c d3 4c 95 93 0c 8a c5 cb 14
    34 da c1 55 77 2e d3 e2 69 28 00 13 01 00 00 2e 00 33 00 24 00 1d 00 20 c9 82 88 76 11 20 95 fe 66 76 2b db f7 c6
    72 e1 56 d6 cc 25 3b 83 3d f1 dd 69 b1 b0 4e 75 1f 0f 00 2b 00 02 03 04";

/// A list behind its length of two bytes.
pub(crate) fn list(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

pub(crate) fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &list(body)].concat()
}

/// A ClientHello without session.
pub(crate) fn hello(version: u16, cipher_suites: &[u16], extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut hello = version.to_be_bytes().to_vec();
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend(list(&numbers(cipher_suites)));
    hello.extend([1, 0]);
    if !extensions.is_empty() {
        hello.extend(list(&extensions.concat()));
    }
    hello
}

fn wrapping(transport: Transport, body: &[u8]) -> Wrapping {
    let handshake_bytes = u32::try_from(body.len()).unwrap();
    Wrapping { transport, record_version: Some(0x0301), handshake_bytes, began_ns: 5 }
}

/// The record of a ClientHello, and the complaints.
fn client_of(transport: Transport, body: &[u8]) -> (record::TlsClientHello, Vec<Malformed>) {
    let mut out = Output::new(Selection::all());
    client_hello(Cursor::new(body), &wrapping(transport, body), &mut out);
    let mut records = Records::default();
    out.drain_to(&mut records);
    (records.of().remove(0), std::iter::from_fn(|| out.next_note()).collect())
}

fn server_of(body: &[u8]) -> (record::TlsServerHello, Vec<Malformed>) {
    let mut out = Output::new(Selection::all());
    server_hello(Cursor::new(body), &wrapping(Transport::Tls, body), &mut out);
    let mut records = Records::default();
    out.drain_to(&mut records);
    (records.of().remove(0), std::iter::from_fn(|| out.next_note()).collect())
}

#[test]
fn the_client_hello_of_rfc_8448() {
    let (hello, notes) = client_of(Transport::Tls, &bytes(RFC_8448_CLIENT_HELLO));
    assert_eq!(notes, []);
    assert_eq!((hello.handshake_bytes, hello.version_name.as_str(), hello.truncated), (192, "TLS 1.2", false));
    assert_eq!((hello.record_version_name.as_str(), hello.server_name.as_str()), ("TLS 1.0", "server"));
    assert_eq!(hello.random[..4], [0xcb, 0x34, 0xec, 0xb1]);
    assert_eq!(hello.cipher_suites, [0x1301, 0x1303, 0x1302]);
    assert_eq!(hello.cipher_suite_names[1], "TLS_CHACHA20_POLY1305_SHA256");
    assert_eq!(hello.extensions, [0, 65281, 10, 35, 51, 43, 13, 45, 28]);
    assert_eq!(hello.supported_version_names, ["TLS 1.3"]);
    assert_eq!(hello.supported_group_names[..2], ["x25519", "secp256r1"]);
    assert_eq!((hello.key_share_groups, hello.psk_modes), (vec![29], vec![1]));
    assert_eq!(hello.signature_algorithm_names[0], "ecdsa_secp256r1_sha256");
    assert_eq!((hello.session_ticket_bytes, hello.record_size_limit), (Some(0), Some(0x4001)));
    assert!(hello.secure_renegotiation && !hello.grease && !hello.early_data);
    assert_eq!(hello.meta.unwrap().ts_ns, 5);
}

#[test]
fn the_server_hello_of_rfc_8448() {
    let (hello, notes) = server_of(&bytes(RFC_8448_SERVER_HELLO));
    assert_eq!(notes, []);
    assert_eq!((hello.version_name.as_str(), hello.selected_version_name.as_str()), ("TLS 1.2", "TLS 1.3"));
    assert_eq!(hello.cipher_suite_name, "TLS_AES_128_GCM_SHA256");
    assert_eq!((hello.key_share_group, hello.key_share_group_name.as_str()), (Some(29), "x25519"));
    assert_eq!((hello.extensions, hello.hello_retry_request), (vec![51, 43], false));
    assert_eq!(hello.ja3s_raw, "771,4865,51-43");
    assert_eq!(hello.ja3s, "eb1d94daa7e0344597e756a1fb6e7054");
}

/// The examples of JA3's own description.
#[test]
fn published_ja3() {
    let groups = extension(SUPPORTED_GROUPS, &list(&numbers(&[0x2a2a, 23, 24, 25])));
    let extensions = [extension(SERVER_NAME, &[]), groups, extension(EC_POINT_FORMATS, &[1, 0])];
    let suites = [0x0a0a, 47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4];
    let (with, _) = client_of(Transport::Tls, &hello(769, &suites, &extensions));
    assert_eq!(with.ja3_raw, "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0");
    assert_eq!(with.ja3, "ada70206e40642a3e4461f35503241d5");
    assert!(with.grease);
    let (without, _) = client_of(Transport::Tls, &hello(769, &[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], &[]));
    assert_eq!(without.ja3_raw, "769,4-5-10-9-100-98-3-6-19-18-99,,,");
    assert_eq!(without.ja3, "de350869b8c85de67a350c8d186f11e6");
}

/// A hello with what a JA4 counts, out of order and with values of GREASE between.
fn ja4_hello(extensions: &[u16], signature_algorithms: &[u16]) -> Vec<u8> {
    let suites: Vec<u16> = [0x3a3a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8]
        .into_iter()
        .chain([0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035])
        .collect();
    let body = |number| match number {
        ALPN => list(b"\x02h2\x08http/1.1"),
        SIGNATURE_ALGORITHMS => list(&numbers(signature_algorithms)),
        SUPPORTED_VERSIONS => [&[6][..], &numbers(&[0xcaca, 0x0304, 0x0303])].concat(),
        _ => Vec::new(),
    };
    let extensions: Vec<_> = extensions.iter().map(|&number| extension(number, &body(number))).collect();
    hello(0x0303, &suites, &extensions)
}

/// The example of JA4's own description, and one from the captures it is tested with.
#[test]
fn published_ja4() {
    let extensions =
        [0x1a1a, 0x1b, 0, 0x33, 0x10, 0x4469, 0x17, 0x2d, 0x0d, 5, 0x23, 0x12, 0x2b, 0xff01, 0xb, 0xa, 0x15];
    let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
    let (chrome, _) = client_of(Transport::Tls, &ja4_hello(&extensions, &algorithms));
    assert_eq!(
        chrome.ja4_raw,
        "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_\
         0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_\
         0403,0804,0401,0503,0805,0501,0806,0601"
    );
    assert_eq!(chrome.ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    let extensions =
        [0xfe0d, 0x10, 0x17, 0x33, 0x44cd, 0xff01, 0xa, 0xd, 0x23, 0x2b, 0xb, 0xca34, 0x2d, 0, 5, 0x1b, 0x12];
    let algorithms = [0x5a5a, 0x0904, 0x0905, 0x0906, 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
    let (newer, _) = client_of(Transport::Tls, &ja4_hello(&extensions, &algorithms));
    assert_eq!(newer.ja4, "t13d1517h2_8daaf6152771_cb7bf5808d99");
    let (quic, _) = client_of(Transport::Quic, &ja4_hello(&extensions, &algorithms));
    assert_eq!(quic.ja4, "q13d1517h2_8daaf6152771_cb7bf5808d99");
    assert_eq!((quic.transport.as_str(), chrome.transport.as_str()), ("quic", "tls"));
}

#[test]
fn ja4_of_little() {
    let ja4 = |hello: &[u8]| client_of(Transport::Tls, hello).0.ja4;
    assert_eq!(ja4(&hello(0x0300, &[], &[])), "ts3i000000_000000000000_000000000000");
    let alpn = |protocol: &[u8]| {
        let protocol = [&[u8::try_from(protocol.len()).unwrap()], protocol].concat();
        ja4(&hello(0x0302, &[], &[extension(ALPN, &list(&protocol))]))[..10].to_owned()
    };
    let cases: [(&[u8], &str); 7] = [
        (b"", "00"),
        (b"h", "hh"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"0\xab", "3b"),
        (b"01\xab\xcd", "3d"),
        (b"0\xab\xcd1", "01"),
    ];
    for (protocol, expected) in cases {
        assert_eq!(alpn(protocol), format!("t11i0001{expected}"));
    }
    let many: Vec<u16> = (0x0001..0x0100).collect();
    assert_eq!(&ja4(&hello(0x0303, &many, &[]))[4..6], "99");
}

#[test]
fn versions_of_dtls_count_down() {
    let versions = extension(SUPPORTED_VERSIONS, &[&[6][..], &numbers(&[0xfefd, 0xfefc, 0xfeff])].concat());
    let mut dtls = hello(0xfefd, &[0x1301], &[versions]);
    // The cookie behind the session identifier.
    dtls.splice(35..35, [2, 0xc0, 0x0c]);
    let (dtls, notes) = client_of(Transport::Dtls, &dtls);
    assert_eq!(notes, []);
    assert_eq!((dtls.cookie, dtls.version_name.as_str()), (vec![0xc0, 0x0c], "DTLS 1.2"));
    assert_eq!(&dtls.ja4[..10], "dd3i010100");
}

#[test]
fn what_a_client_may_offer_beside() {
    let ech = [&[0, 0, 1, 0, 3, 9][..], &list(&[1; 32]), &list(&[2; 144])].concat();
    let identities = list(&[list(b"ticket"), vec![0; 4], list(b"other"), vec![0; 4]].concat());
    let extensions = [
        extension(SERVER_NAME, &list(&[&[0][..], &list(b"WWW.Example.\xff.")].concat())),
        extension(ENCRYPTED_CLIENT_HELLO, &ech),
        extension(COMPRESS_CERTIFICATE, &[4, 0, 2, 0, 1]),
        extension(USE_SRTP, &[0, 2, 0, 1, 0]),
        extension(CONNECTION_ID, &[0]),
        extension(HEARTBEAT, &[1]),
        extension(PADDING, &[0; 9]),
        extension(EARLY_DATA, &[]),
        extension(STATUS_REQUEST, &[1, 0, 0, 0, 0]),
        extension(PRE_SHARED_KEY, &[identities, list(&[0; 33])].concat()),
    ];
    let (offer, notes) = client_of(Transport::Tls, &hello(0x0303, &[0x1301, 0x5600], &extensions));
    assert_eq!(notes, []);
    assert_eq!(offer.server_name, "www.example.\\xff");
    assert_eq!((offer.ech_type, offer.ech_kdf, offer.ech_aead), (Some(0), Some(1), Some(3)));
    assert_eq!((offer.ech_config_id, offer.ech_payload_bytes), (Some(9), Some(144)));
    assert_eq!((offer.certificate_compressions, offer.srtp_profiles), (vec![2, 1], vec![1]));
    assert_eq!((offer.connection_id, offer.padding_bytes, offer.heartbeat_mode), (Some(Vec::new()), Some(9), Some(1)));
    assert_eq!((offer.psk_identity_count, offer.early_data, offer.fallback), (2, true, true));
    assert!(offer.ocsp_request && !offer.sct_request);
}

#[test]
fn a_hello_cut_anywhere_keeps_what_was_read() {
    let whole = bytes(RFC_8448_CLIENT_HELLO);
    for length in 0..whole.len() {
        let (cut, notes) = client_of(Transport::Tls, &whole[..length]);
        // It may end before its extensions.
        let ends_early = length == 45;
        assert_eq!((cut.truncated, notes.is_empty()), (!ends_early, ends_early), "{length} bytes");
        assert_eq!(cut.server_name == "server", length >= 45 + 2 + 15, "{length} bytes");
    }
    let whole = bytes(RFC_8448_SERVER_HELLO);
    for length in 0..whole.len() {
        let (cut, notes) = server_of(&whole[..length]);
        let ends_early = length == 38;
        assert_eq!((cut.truncated, notes.is_empty()), (!ends_early, ends_early), "{length} bytes");
    }
}

#[test]
fn lists_keep_their_bounds_and_fingerprints_count_all() {
    let suites: Vec<u16> = (0..20_000).collect();
    let extensions: Vec<_> = (0..4_000).map(|at| extension(0x8000 + at, &[])).collect();
    let (huge, notes) = client_of(Transport::Tls, &hello(0x0303, &suites, &extensions));
    assert_eq!((huge.cipher_suites.len(), huge.cipher_suite_names.len(), huge.cipher_suite_count), (100, 100, 20_000));
    assert_eq!((huge.extensions.len(), huge.extension_count, huge.truncated), (100, 4_000, false));
    assert_eq!(huge.ja3_raw.len(), 4096);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(&huge.ja4[..8], "t12i9999");
}

#[test]
fn a_broken_extension_does_not_hide_the_next() {
    let extensions = [
        extension(SUPPORTED_GROUPS, &[0, 9, 0, 29]),
        extension(ALPN, &list(b"\x02h2\x09x")),
        extension(HEARTBEAT, &[2]),
    ];
    let (hello, notes) = client_of(Transport::Tls, &hello(0x0303, &[0x1301], &extensions));
    assert_eq!((hello.heartbeat_mode, hello.alpn_protocols, hello.truncated), (Some(2), vec!["h2".to_owned()], true));
    assert_eq!(notes.len(), 2);
}

#[test]
fn a_server_that_retries_and_one_that_was_downgraded() {
    let mut retry = bytes(RFC_8448_SERVER_HELLO);
    retry[2..34].copy_from_slice(&bytes("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"));
    assert!(server_of(&retry).0.hello_retry_request);
    let mut old = [&[3, 3][..], &[7; 24], b"DOWNGRD\x01", &[0, 0xc0, 0x2f, 0]].concat();
    let renegotiation = extension(RENEGOTIATION_INFO, &[2, 1, 2]);
    let extensions = [renegotiation, extension(ALPN, &list(b"\x02h2")), extension(STATUS_REQUEST, &[])];
    old.extend(list(&extensions.concat()));
    let (old, notes) = server_of(&old);
    assert_eq!(notes, []);
    assert_eq!((old.downgrade_sentinel.as_str(), old.alpn_protocol.as_str()), ("TLS 1.2", "h2"));
    assert_eq!((old.renegotiation_info, old.ocsp_stapling, old.selected_version), (vec![1, 2], true, 0x0303));
}

#[test]
fn what_others_read_of_a_client_hello() {
    let body = bytes(RFC_8448_CLIENT_HELLO);
    let (hello, _) = ClientHello::read(Cursor::new(&body), Transport::Quic);
    assert_eq!(hello.server_name().unwrap().message(), b"server");
    assert_eq!((hello.newest_version(), hello.alpn_protocols().count()), (0x0304, 0));
    assert_eq!(hello.extension(RECORD_SIZE_LIMIT).unwrap().message(), [0x40, 1]);
}
