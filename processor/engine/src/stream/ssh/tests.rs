use weir_contract::record;

use crate::testing::{self, ETHERNET, Records, tcp_connection};

/// What OpenSSH 7.9 offers: its HASSH is `ec7378c1a92f5a8dde7e8b7a1ddf33d1`, as published with the method.
const LISTS: [&str; 10] = [
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
     diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,\
     diffie-hellman-group14-sha256,diffie-hellman-group14-sha1,ext-info-c",
    "ssh-ed25519",
    "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com",
    "aes256-ctr",
    "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,\
     hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1",
    "hmac-sha2-256",
    "none,zlib@openssh.com,zlib",
    "none",
    "",
    "",
];

const SERVER_LISTS: [&str; 10] = [
    "ext-info-s,diffie-hellman-group14-sha1,ecdh-sha2-nistp256",
    "rsa-sha2-512,ssh-ed25519",
    "aes256-ctr,aes192-ctr",
    "aes256-ctr",
    "hmac-sha2-256,hmac-sha1",
    "hmac-sha2-256",
    "zlib,none",
    "none",
    "",
    "",
];

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4;
    let length = u32::try_from(payload.len() + 1 + padding).unwrap();
    [&length.to_be_bytes()[..], &[4], payload, &[0; 4]].concat()
}

fn kexinit(lists: [&str; 10]) -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend([7; 16]);
    lists.iter().for_each(|list| payload.extend(string(list.as_bytes())));
    payload.extend([0; 5]);
    packet(&payload)
}

/// The client's and the server's part of a handshake.
pub(in crate::stream) fn handshake() -> [(bool, Vec<u8>); 8] {
    let host_key = [string(b"ssh-ed25519"), string(&[9; 32])].concat();
    let reply = [&[31][..], &string(&host_key), &string(&[8; 32]), &string(b"signature")].concat();
    [
        (true, b"SSH-2.0-OpenSSH_7.9 Debian-10\r\n".to_vec()),
        (false, b"Welcome\r\nSSH-1.99-dropbear\n".to_vec()),
        (true, kexinit(LISTS)),
        (false, kexinit(SERVER_LISTS)),
        (true, packet(&[&[30][..], &string(&[1; 32])].concat())),
        (false, [packet(&reply), packet(&[21])].concat()),
        (true, [packet(&[21]), b"\x12\x34\x56\x78 encrypted".to_vec()].concat()),
        (false, b"encrypted".to_vec()),
    ]
}

fn decode(turns: &[(bool, Vec<u8>)], segment_bytes: usize) -> Records {
    let turns: Vec<(bool, &[u8])> = turns.iter().map(|(from_client, said)| (*from_client, &said[..])).collect();
    testing::decode(ETHERNET, &tcp_connection(2222, &turns, segment_bytes))
}

fn without_meta(records: &Records) -> Vec<record::Ssh> {
    let all = records.of::<record::Ssh>().into_iter();
    all.map(|ssh| record::Ssh { meta: None, ..ssh }).collect()
}

#[test]
fn a_handshake_is_one_record_however_it_was_cut() {
    let records = decode(&handshake(), 1000);
    let all = without_meta(&records);
    let [ssh] = &all[..] else { panic!("one connection") };
    assert_eq!(
        (&ssh.client_version[..], &ssh.client_software[..], &ssh.client_comments[..]),
        ("2.0", "OpenSSH_7.9", "Debian-10")
    );
    assert_eq!((&ssh.server_banner[..], &ssh.server_software[..]), ("SSH-1.99-dropbear", "dropbear"));
    assert_eq!(ssh.hassh, "ec7378c1a92f5a8dde7e8b7a1ddf33d1");
    assert_eq!(
        ssh.hassh_server_raw,
        "ext-info-s,diffie-hellman-group14-sha1,ecdh-sha2-nistp256;aes256-ctr;hmac-sha2-256;none"
    );
    assert_eq!((&ssh.kex_algorithm[..], &ssh.host_key_algorithm[..]), ("ecdh-sha2-nistp256", "ssh-ed25519"));
    assert_eq!((&ssh.cipher_client_to_server[..], &ssh.mac_client_to_server[..]), ("aes192-ctr", "hmac-sha2-256"));
    assert_eq!(ssh.compression_client_to_server, "none");
    assert_eq!(ssh.client_algorithms.as_ref().unwrap().ciphers_client_to_server.len(), 6);
    assert_eq!(ssh.host_key_type, "ssh-ed25519");
    assert!(ssh.host_key_fingerprint.starts_with("SHA256:") && ssh.host_key_fingerprint.len() == 50);
    assert!(ssh.established && !ssh.truncated);
    assert_eq!(records.weirds(), [""; 0]);
    assert_eq!(records.of::<record::Connection>()[0].service, "ssh");
    for segment_bytes in [1, 2, 3, 5, 17, 100, 999] {
        assert_eq!(without_meta(&decode(&handshake(), segment_bytes)), all, "in segments of {segment_bytes} bytes");
    }
}

#[test]
fn a_handshake_that_stops_anywhere_tells_what_was_said() {
    let all = handshake();
    for turns in 1..all.len() - 1 {
        let records = decode(&all[..turns], 1000);
        let [ssh] = &records.of::<record::Ssh>()[..] else { panic!("one connection") };
        assert!(!ssh.client_banner.is_empty() && !ssh.established);
        assert_eq!(ssh.hassh.is_empty(), turns < 3);
        assert_eq!(ssh.host_key_type.is_empty(), turns < 6);
    }
}

#[test]
fn an_offer_with_a_list_that_lies_of_its_length_has_no_hash() {
    let mut turns = handshake();
    let offer = &mut turns[2].1;
    let place = offer.windows(9).position(|bytes| bytes == b"none,zlib").unwrap();
    offer[place - 1] = 200;
    let records = decode(&turns[..3], 1000);
    let [ssh] = &records.of::<record::Ssh>()[..] else { panic!("one connection") };
    assert_eq!((&ssh.hassh[..], &ssh.hassh_raw[..]), ("", ""));
    assert!(ssh.truncated);
    assert_eq!(ssh.client_algorithms.as_ref().unwrap().ciphers_client_to_server.len(), 6);
}

#[test]
fn version_1_is_told_by_its_banners() {
    let turns = [(false, b"SSH-1.5-1.2.33\n".to_vec()), (true, b"SSH-1.5-PuTTY\n".to_vec()), (false, vec![0; 64])];
    let records = decode(&turns, 1000);
    let [ssh] = &records.of::<record::Ssh>()[..] else { panic!("one connection") };
    assert_eq!(
        (&ssh.server_version[..], &ssh.server_software[..], &ssh.client_software[..]),
        ("1.5", "1.2.33", "PuTTY")
    );
    assert_eq!(records.weirds(), [""; 0]);
}

#[test]
fn packets_and_banners_that_lie_are_weird_and_never_fatal() {
    let banner = || (true, b"SSH-2.0-x\r\n".to_vec());
    for (bytes, weird) in [
        (vec![0xff; 8], "ssh BadLength: a packet of less than 2 or more than 35000 bytes"),
        (vec![0, 0, 0, 5, 9, 20, 0, 0, 0], "ssh BadLength: padding longer than its packet"),
    ] {
        let records = decode(&[banner(), (true, bytes)], 1000);
        assert_eq!(records.weirds(), [weird]);
        assert!(records.of::<record::Ssh>()[0].truncated);
    }
    let records = decode(&[(true, [b"SSH-2.0-", &[b'x'; 300][..]].concat())], 7);
    assert_eq!(records.weirds(), ["ssh BadLength: an identification line of more than 255 bytes"]);
    // A KEXINIT cut anywhere, and lists whose lengths lie.
    let whole = kexinit(LISTS);
    for length in 6..whole.len().min(300) {
        let records = decode(&[banner(), (true, packet(&whole[5..length]))], 1000);
        assert_eq!(records.of::<record::Ssh>().len(), 1);
    }
    let names = ["x,"; 200].concat();
    let records = decode(&[banner(), (true, kexinit([&names; 10]))], 1000);
    let ssh = &records.of::<record::Ssh>()[0];
    assert!(ssh.truncated && ssh.client_algorithms.as_ref().unwrap().kex.len() == 100);
}
