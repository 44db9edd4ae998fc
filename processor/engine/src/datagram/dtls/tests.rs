//! Associations, and datagrams that are lost, doubled or lie.

use proptest::prelude::*;
use weir_contract::record;

use super::Dtls;
use crate::{
    datagram::{Datagram as _, Probe},
    testing::{self, ETHERNET, Records, udp, udp_back},
    tls::tests::{extension, hello, list},
    x509::tests::example as certificate,
};

const FINISHED: &[u8] = &[9; 32];

/// A record of an epoch.
fn record(content_type: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
    [&[content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 7][..], &list(content)].concat()
}

fn short(number: usize) -> [u8; 3] {
    let [.., high, middle, low] = number.to_be_bytes();
    [high, middle, low]
}

/// A message in records with fragments of at most so many bytes.
fn message(kind: u8, number: u8, body: &[u8], fragment_bytes: usize) -> Vec<Vec<u8>> {
    let fragments = body.chunks(fragment_bytes).enumerate();
    let record_of = |(at, fragment): (usize, &[u8])| {
        let header =
            [&[kind][..], &short(body.len()), &[0, number], &short(at * fragment_bytes), &short(fragment.len())];
        record(22, 0, &[&header.concat()[..], fragment].concat())
    };
    fragments.map(record_of).collect()
}

fn client_hello(cookie: &[u8], random: u8) -> Vec<u8> {
    let name = extension(0, &list(&[&[0][..], &list(b"www.example.org")].concat()));
    let mut hello = hello(0xfefd, &[0xc02f], &[name, extension(14, &[0, 2, 0, 1, 0])]);
    hello[2..34].fill(random);
    let cookie = [&[u8::try_from(cookie.len()).unwrap()][..], cookie].concat();
    hello.splice(35..35, cookie);
    hello
}

fn server_hello() -> Vec<u8> {
    let mut body = [&[0xfe, 0xfd][..], &[8; 32], &[0, 0xc0, 0x2f, 0]].concat();
    body.extend(list(&extension(14, &[0, 2, 0, 1, 0])));
    body
}

fn chain() -> Vec<u8> {
    let der = certificate();
    [&short(der.len() + 3)[..], &short(der.len()), &der].concat()
}

/// Datagrams of a session with a cookie and a certificate in fragments, each with who sends it.
fn session() -> Vec<(bool, Vec<u8>)> {
    let mut datagrams = vec![
        (true, message(1, 0, &client_hello(&[], 1), 1000)[0].clone()),
        (false, message(3, 0, &[0xfe, 0xff, 2, 7, 7], 1000)[0].clone()),
    ];
    datagrams.extend(message(1, 1, &client_hello(&[7, 7], 1), 40).into_iter().map(|record| (true, record)));
    datagrams.push((false, message(2, 1, &server_hello(), 1000)[0].clone()));
    datagrams.extend(message(11, 2, &chain(), 200).into_iter().map(|record| (false, record)));
    let rest = [message(12, 3, &[3, 0, 29, 1, 9], 1000), message(14, 4, &[0; 0], 1000)].concat().concat();
    datagrams.push((false, rest));
    let key = message(16, 2, &[5; 33], 1000).concat();
    datagrams.push((true, [&key[..], &record(20, 0, &[1]), &record(22, 1, FINISHED)].concat()));
    datagrams.push((false, [record(20, 0, &[1]), record(22, 1, FINISHED)].concat()));
    datagrams
}

fn frames(datagrams: &[(bool, Vec<u8>)]) -> Vec<Vec<u8>> {
    let frames = datagrams.iter().map(|(from_client, bytes)| match from_client {
        true => udp(40_000, 4433, bytes),
        false => udp_back(4433, 40_000, bytes),
    });
    frames.collect()
}

fn decode(datagrams: &[(bool, Vec<u8>)]) -> Records {
    testing::decode(ETHERNET, &frames(datagrams))
}

/// As [`decode`], by an engine that is saved and restored after each packet.
fn decode_with_snapshots(datagrams: &[(bool, Vec<u8>)]) -> Records {
    testing::decode_with_snapshots(&frames(datagrams))
}

/// What a session's records say, without times.
fn facts(records: &Records) -> (Vec<String>, Vec<String>, Vec<String>, Vec<String>) {
    let texts = |list: Vec<String>| {
        let mut list = list;
        list.sort();
        list
    };
    let hellos =
        records.of::<record::TlsClientHello>().into_iter().map(|hello| format!("{:?} {}", hello.cookie, hello.ja4));
    let answers = records.of::<record::TlsServerHello>().into_iter().map(|hello| hello.cipher_suite_name);
    let certificates = records.of::<record::X509>().into_iter().map(|x509| x509.fingerprint_sha256);
    let sessions = records.of::<record::Tls>().into_iter().map(|tls| {
        format!("{} {} {} {}", tls.version_name, tls.server_name, tls.established, tls.server_certificate_count)
    });
    (texts(hellos.collect()), texts(answers.collect()), texts(certificates.collect()), texts(sessions.collect()))
}

#[test]
fn a_session_with_a_cookie_and_fragments() {
    let records = decode(&session());
    assert_eq!(records.weirds(), [""; 0]);
    let [first, second] = &records.of::<record::TlsClientHello>()[..] else { panic!("two hellos") };
    assert_eq!((first.transport.as_str(), first.cookie.len(), second.cookie.len()), ("dtls", 0, 2));
    assert_eq!((first.server_name.as_str(), &first.srtp_profiles), ("www.example.org", &vec![1]));
    assert!(first.ja4.starts_with("dd2d0102"), "{}", first.ja4);
    let [tls] = &records.of::<record::Tls>()[..] else { panic!("one summary") };
    assert_eq!(
        (tls.transport.as_str(), tls.version_name.as_str(), tls.group_name.as_str()),
        ("dtls", "DTLS 1.2", "x25519")
    );
    assert!(tls.established && tls.retried && !tls.truncated);
    let [x509] = &records.of::<record::X509>()[..] else { panic!("one certificate") };
    assert_eq!((x509.transport.as_str(), x509.from_client, x509.truncated), ("dtls", false, false));
    let services: Vec<_> = records.of::<record::Connection>().into_iter().map(|one| one.service).collect();
    assert_eq!(services, ["dtls"]);
}

#[test]
fn fragments_that_come_twice_or_in_any_order() {
    let whole = session();
    let expected = facts(&decode(&whole));
    let twice: Vec<_> = whole.iter().flat_map(|datagram| [datagram.clone(), datagram.clone()]).collect();
    assert_eq!(facts(&decode(&twice)), expected);
    let mut reversed = whole.clone();
    // The second hello's fragments, and those of the certificate.
    let hello_fragments = message(1, 1, &client_hello(&[7, 7], 1), 40).len();
    reversed[2..2 + hello_fragments].reverse();
    let chain_fragments = message(11, 2, &chain(), 200).len();
    reversed[3 + hello_fragments..][..chain_fragments].reverse();
    assert_eq!(facts(&decode(&reversed)), expected);
}

#[test]
fn a_fragment_that_never_came_costs_its_message() {
    let mut datagrams = session();
    let of_the_chain = 3 + message(1, 1, &client_hello(&[7, 7], 1), 40).len() + 1;
    datagrams.remove(of_the_chain);
    let records = decode(&datagrams);
    assert_eq!(records.of::<record::X509>().len(), 0);
    assert!(records.of::<record::Tls>()[0].established);
}

#[test]
fn a_new_hello_on_the_same_ports_is_a_new_session() {
    let mut datagrams = session();
    datagrams.push((true, message(1, 0, &client_hello(&[], 2), 1000)[0].clone()));
    datagrams.push((false, message(2, 0, &server_hello(), 1000)[0].clone()));
    let records = decode(&datagrams);
    let established: Vec<bool> = records.of::<record::Tls>().into_iter().map(|tls| tls.established).collect();
    assert_eq!(established, [true, false]);
    assert_eq!(records.of::<record::TlsServerHello>().len(), 2);
}

#[test]
fn encrypted_records_of_all_kinds() {
    for encrypted in [&[0x2f, 1, 2, 3][..], &[25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 9, 9, 9], &record(23, 1, &[1])] {
        let datagrams = [
            (true, message(1, 0, &client_hello(&[], 1), 1000)[0].clone()),
            (false, [&message(2, 0, &server_hello(), 1000)[0], encrypted].concat()),
            (true, encrypted.to_vec()),
        ];
        let records = decode(&datagrams);
        assert_eq!(records.weirds(), [""; 0]);
        assert!(records.of::<record::Tls>()[0].established, "{encrypted:x?}");
    }
}

#[test]
fn what_opens_the_way_and_what_shares_it_is_passed_over() {
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let mut datagrams: Vec<_> = (0..9).map(|_| (true, stun.clone())).collect();
    datagrams
        .extend(session().into_iter().flat_map(|datagram| [datagram, (true, stun.clone()), (false, vec![0x80, 1])]));
    let records = decode(&datagrams);
    assert_eq!(records.weirds(), [""; 0]);
    assert_eq!(facts(&records), facts(&decode(&session())));
}

#[test]
fn what_waits_is_bounded() {
    let mut datagrams = vec![(true, message(1, 0, &client_hello(&[], 1), 1000)[0].clone())];
    for number in 2..40 {
        datagrams.push((true, message(11, number, &[0; 100], 50)[0].clone()));
    }
    let records = decode(&datagrams);
    assert!(records.weirds().iter().all(|weird| weird == "dtls Limit: more than 4 messages in fragments at once"));
    let many = message(11, 2, &[0; 500], 2).into_iter().skip(1).map(|record| (true, record));
    let records = decode(&datagrams[..1].iter().cloned().chain(many).collect::<Vec<_>>());
    assert_eq!(records.weirds()[0], "dtls Limit: message in more than 64 fragments");
}

#[test]
fn a_message_of_more_than_64_kib_is_read_to_its_bound() {
    let chain = [&short(200_000)[..], &short(199_997), &[0x30, 0x83, 3, 0, 0], &[0; 199_992]].concat();
    let mut datagrams = session()[..2].to_vec();
    datagrams.extend(message(11, 2, &chain, 1400).into_iter().map(|record| (false, record)));
    let records = decode(&datagrams);
    assert!(records.weirds().contains(&"dtls Limit: handshake message of more than 64 KiB".to_owned()));
    assert!(records.of::<record::X509>()[0].truncated);
}

#[test]
fn what_is_not_dtls_is_not_taken_for_it() {
    let hello = &session()[0].1;
    assert_eq!(Dtls::probe(hello), Probe::Yes);
    for length in 0..hello.len() {
        assert_eq!(Dtls::probe(&hello[..length]), Probe::No, "{length} bytes");
    }
    assert_eq!(Dtls::probe(&record(22, 0, &[14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])), Probe::No);
    assert_eq!(Dtls::probe(&[hello, &b"x"[..]].concat()), Probe::No);
}

proptest! {
    #[test]
    fn a_session_with_wrong_and_doubled_bytes_survives_snapshots(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..300usize, prop::sample::select(&[0u8, 1, 2, 22, 0xff])), 0..6),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut datagrams = session();
        for (datagram, at, value) in edits {
            let (_, bytes) = datagram.get_mut(&mut datagrams);
            let at = at % bytes.len();
            bytes[at] = value;
        }
        for datagram in again {
            let again = datagram.get(&datagrams).clone();
            datagrams.insert(datagram.index(datagrams.len()), again);
        }
        let (whole, saved) = (decode(&datagrams), decode_with_snapshots(&datagrams));
        prop_assert_eq!(facts(&saved), facts(&whole));
        prop_assert_eq!(saved.weirds(), whole.weirds());
    }
}

#[test]
fn every_byte_may_be_wrong_and_every_datagram_cut() {
    let whole = session();
    for at in 0..whole.len() {
        for byte in 0..whole[at].1.len().min(60) {
            for value in [0, 0xff] {
                let mut wrong = whole.clone();
                wrong[at].1[byte] = value;
                decode(&wrong);
            }
            let mut cut = whole.clone();
            cut[at].1.truncate(byte);
            decode(&cut);
        }
    }
}
