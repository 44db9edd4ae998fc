//! A certificate made of its parts, and ones that lie.

use weir_contract::{Selection, record};

use super::{Origin, certificate};
use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
    testing::{Records, der},
    tls::Transport,
};

const NOW_NS: i64 = 1_700_000_000_000_000_000;

/// The record of a certificate, and the complaints.
fn read(bytes: &[u8]) -> (record::X509, Vec<Malformed>) {
    let mut out = Output::new(Selection::all());
    let origin = Origin {
        transport: Transport::Tls,
        chain_index: 0,
        from_client: false,
        ocsp_stapled: true,
        ts_ns: NOW_NS,
        certificate_bytes: u32::try_from(bytes.len()).unwrap(),
    };
    certificate(Cursor::new(bytes), &origin, &mut out);
    let mut records = Records::default();
    out.drain_to(&mut records);
    (records.of().remove(0), std::iter::from_fn(|| out.next_note()).collect())
}

const EC_KEY: &[&[u8]] =
    &[&[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]];
const SHA256_ECDSA: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

fn attribute(object: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
    der(0x31, &[&der(0x30, &[&der(6, &[object]), &der(tag, &[value])])])
}

fn extension(object: &[u8], value: &[u8]) -> Vec<u8> {
    der(0x30, &[&der(6, &[object]), &der(4, &[value])])
}

/// A certificate with an elliptic key for these names, with these extensions.
fn with(issuer: &[u8], subject: &[u8], extensions: &[u8]) -> Vec<u8> {
    let key = der(0x30, &[&der(0x30, EC_KEY), &der(3, &[&[0, 4], &[9; 64]])]);
    let validity = der(0x30, &[&der(0x17, &[b"230101000000Z"]), &der(0x18, &[b"99991231235959Z"])]);
    let signed = der(
        0x30,
        &[
            &der(0xa0, &[&[2, 1, 2]]),
            &[2, 2, 0x00, 0xfe],
            &der(0x30, &[SHA256_ECDSA]),
            issuer,
            &validity,
            subject,
            &key,
            &der(0xa3, &[&der(0x30, &[extensions])]),
        ],
    );
    der(0x30, &[&signed, &der(0x30, &[SHA256_ECDSA]), &der(3, &[&[0; 71]])])
}

pub(crate) fn example() -> Vec<u8> {
    let issuer =
        der(0x30, &[&attribute(&[0x55, 4, 6], 0x13, b"DE"), &attribute(&[0x55, 4, 3], 0x0c, b"Root, the + one")]);
    let subject = der(
        0x30,
        &[
            &attribute(&[0x55, 4, 10], 0x1e, &[0, b'A', 0x20, 0xac]),
            &attribute(&[0x55, 4, 3], 0x0c, "w\u{fc}w".as_bytes()),
            &attribute(&[0x2a, 3, 4], 0x0c, b"x\n"),
        ],
    );
    let names = der(
        0x30,
        &[
            &der(0x82, &[b"WWW.example.org"]),
            &der(0x87, &[&[192, 0, 2, 1]]),
            &der(0x87, &[&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]),
            &der(0x81, &[b"a@example.org"]),
            &der(0x86, &[b"https://example.org/"]),
            &der(0xa0, &[b"other"]),
        ],
    );
    let access = |method: u8, url: &[u8]| der(0x30, &[&[6, 8, 0x2b, 6, 1, 5, 5, 7, 48, method], &der(0x86, &[url])]);
    let points = der(0x30, &[&der(0x30, &[&der(0xa0, &[&der(0xa0, &[&der(0x86, &[b"http://crl/"])])])])]);
    let critical_ca =
        der(0x30, &[&der(6, &[&[0x55, 0x1d, 19]]), &[1, 1, 0xff], &der(4, &[&der(0x30, &[&[1, 1, 0xff, 2, 1, 3]])])]);
    let extensions = [
        extension(&[0x55, 0x1d, 17], &names),
        critical_ca,
        extension(&[0x55, 0x1d, 15], &[3, 2, 1, 0x86]),
        extension(&[0x55, 0x1d, 37], &der(0x30, &[&[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1], &[6, 2, 0x2a, 9]])),
        extension(&[0x55, 0x1d, 14], &der(4, &[&[0xab, 0xcd]])),
        extension(&[0x55, 0x1d, 35], &der(0x30, &[&der(0x80, &[&[0xef]])])),
        extension(&[0x55, 0x1d, 32], &der(0x30, &[&der(0x30, &[&[6, 2, 0x2a, 7]])])),
        extension(&[0x2b, 6, 1, 5, 5, 7, 1, 1], &der(0x30, &[&access(1, b"http://ocsp/"), &access(2, b"http://ca/")])),
        extension(&[0x55, 0x1d, 31], &points),
        extension(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2], &[4, 0]),
    ];
    with(&issuer, &subject, &extensions.concat())
}

#[test]
fn all_parts_of_a_certificate() {
    let (x509, notes) = read(&example());
    assert_eq!(notes, []);
    assert_eq!((x509.version, x509.serial_number.as_str(), x509.truncated), (3, "00fe", false));
    assert_eq!(x509.issuer, "CN=Root\\x2c the \\x2b one,C=DE");
    assert_eq!((x509.issuer_common_name.as_str(), x509.issuer_country.as_str()), ("Root\\x2c the \\x2b one", "DE"));
    assert_eq!(x509.subject, "1.2.3.4=x\\x0a,CN=wüw,O=A€");
    assert_eq!((x509.subject_common_name.as_str(), x509.subject_organization.as_str()), ("wüw", "A€"));
    assert_eq!((x509.not_before.as_str(), x509.not_before_ns), ("230101000000Z", Some(1_672_531_200_000_000_000)));
    assert_eq!((x509.not_after.as_str(), x509.not_after_ns), ("99991231235959Z", None));
    assert!(!x509.expired && !x509.not_yet_valid && !x509.self_signed && x509.leaf && x509.ocsp_stapled);
    assert_eq!((x509.key_algorithm.as_str(), x509.key_curve.as_str(), x509.key_bits), ("ec", "secp256r1", Some(256)));
    assert_eq!(x509.signature_algorithm, "sha256_ecdsa");
    assert_eq!(x509.san_dns, ["www.example.org"]);
    assert_eq!(x509.san_ips, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(
        (x509.san_emails, x509.san_uris, x509.san_count),
        (vec!["a@example.org".to_owned()], vec!["https://example.org/".to_owned()], 6)
    );
    assert_eq!((x509.ca, x509.path_length), (Some(true), Some(3)));
    assert_eq!(x509.key_usage, ["digital_signature", "key_cert_sign", "crl_sign"]);
    assert_eq!(x509.extended_key_usage, ["server_auth", "1.2.9"]);
    assert_eq!((x509.subject_key_id, x509.authority_key_id), (vec![0xab, 0xcd], vec![0xef]));
    assert_eq!((x509.policies, x509.ocsp_urls), (vec!["1.2.7".to_owned()], vec!["http://ocsp/".to_owned()]));
    assert_eq!((x509.issuer_urls, x509.crl_urls), (vec!["http://ca/".to_owned()], vec!["http://crl/".to_owned()]));
    assert!(x509.embedded_scts);
    assert_eq!((x509.extensions.len(), x509.extensions[0].as_str()), (10, "2.5.29.17"));
    assert_eq!((x509.fingerprint_sha1.len(), x509.fingerprint_sha256.len(), x509.key_sha256.len()), (40, 64, 64));
}

#[test]
fn what_is_there_of_a_cut_certificate_is_kept() {
    let whole = example();
    let mut fields = 0;
    for length in 0..whole.len() {
        let (cut, notes) = read(&whole[..length]);
        assert!(cut.truncated && !notes.is_empty(), "{length} bytes");
        let known =
            [&cut.serial_number, &cut.issuer_country, &cut.not_before, &cut.subject_common_name, &cut.key_curve];
        let known = known.iter().filter(|text| !text.is_empty()).count() + cut.extensions.len();
        assert!(known >= fields, "{length} bytes");
        fields = known;
    }
    assert_eq!(fields, 5 + 10);
}

#[test]
fn a_name_of_the_same_bytes_is_self_signed() {
    let name = der(0x30, &[&attribute(&[0x55, 4, 3], 0x0c, b"me")]);
    let (x509, notes) = read(&with(&name, &name, &[]));
    assert!(x509.self_signed && notes.is_empty());
}

#[test]
fn bounds_are_kept_and_told() {
    let name = der(0x30, &[&attribute(&[0x55, 4, 3], 0x0c, &[b'a'; 5000])]);
    let names: Vec<u8> = (0..300).flat_map(|_| der(0x82, &[b"a.example"])).collect();
    let extensions = extension(&[0x55, 0x1d, 17], &der(0x30, &[&names]));
    let many: Vec<u8> = (0..200).flat_map(|_| extension(&[0x55, 0x1d, 99], &[])).collect();
    let (x509, notes) = read(&with(&name, &name, &[extensions, many].concat()));
    assert_eq!((x509.san_dns.len(), x509.san_count, x509.extensions.len()), (100, 300, 100));
    assert!(x509.issuer.len() <= 4096, "{}", x509.issuer.len());
    assert_eq!(notes.iter().filter(|note| note.reason == weir_contract::WeirdReason::Limit).count(), 4);
}

/// A reader that descends into what it is given would overflow its stack.
#[test]
fn what_nests_for_ever_is_not_followed() {
    let mut nested = Vec::new();
    for _ in 0..8000 {
        nested = der(0x30, &[&nested]);
    }
    for part in [nested.clone(), with(&nested, &nested, &[]), with(&der(0x30, &[&nested]), &nested, &nested)] {
        assert!(read(&part).0.truncated);
    }
    let empty = der(0x30, &[]);
    let (x509, notes) = read(&with(&empty, &empty, &extension(&[0x55, 0x1d, 31], &nested)));
    assert_eq!((x509.crl_urls, notes), (Vec::<String>::new(), Vec::new()));
}

#[test]
fn every_byte_may_be_wrong() {
    let whole = example();
    for at in 0..whole.len() {
        for value in [0, 0x7f, 0x80, 0xff] {
            let mut wrong = whole.clone();
            wrong[at] = value;
            read(&wrong);
        }
    }
}
