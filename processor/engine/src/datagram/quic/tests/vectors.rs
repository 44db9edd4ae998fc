//! RFC 9001 appendix A and RFC 9369 appendix A. Of the long packets the first and last bytes are here: the last 16
//! are a tag over all of them.

use weir_contract::record::{self, QuicEvent};

use super::{
    super::keys::{PacketKeys, retry_is_genuine},
    *,
};

/// A version's values, in the order of the appendix.
struct Vectors {
    version: u32,
    client: (&'static str, &'static str, &'static str),
    server: (&'static str, &'static str, &'static str),
    client_packet: (&'static str, &'static str),
    server_packet: &'static str,
    retry: &'static str,
}

const RFC_9001: Vectors = Vectors {
    version: VERSION_1,
    client: ("1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"),
    server: ("cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314"),
    client_packet: (
        "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
        "e221af44860018ab0856972e194cd934",
    ),
    server_packet: "
        cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a
        5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3
        dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84
        022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4
        2158407dd074ee",
    retry: "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba",
};

const RFC_9369: Vectors = Vectors {
    version: VERSION_2,
    client: ("8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"),
    server: ("82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652", "edf6d05c83121201b436e16877593c3a"),
    client_packet: (
        "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
        "a18b2faa745b6fe189cf772a9f84cbfc",
    ),
    server_packet: "
        dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698
        baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17
        f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2
        c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca8
        4bed8521e2e140",
    retry: "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6",
};

/// The client's packet of the appendix: its hello, and zeros up to 1162 bytes.
fn client_packet(version: u32) -> Vec<u8> {
    let mut payload = crypto(0, &hex(CLIENT_HELLO));
    payload.resize(1162, 0);
    Initial { version, number: 2, ..FIRST }.seal(&payload)
}

fn keys_of(keys: &PacketKeys) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    (keys.key.to_vec(), keys.iv.to_vec(), keys.header.to_vec())
}

#[test]
fn keys_are_those_of_appendix_a_1() {
    for vectors in [RFC_9001, RFC_9369] {
        let secret = InitialSecret::candidates(Version::of(vectors.version).unwrap(), &DESTINATION).next().unwrap();
        let keys = secret.keys().unwrap();
        let expected = |(key, iv, header)| (hex(key), hex(iv), hex(header));
        assert_eq!(keys_of(&keys.client), expected(vectors.client));
        assert_eq!(keys_of(&keys.server), expected(vectors.server));
    }
}

#[test]
fn client_and_server_initials_of_appendix_a_2_and_a_3_become_records() {
    for vectors in [RFC_9001, RFC_9369] {
        let packet = client_packet(vectors.version);
        let (first, last) = vectors.client_packet;
        assert!(packet.starts_with(&hex(first)) && packet.ends_with(&hex(last)) && packet.len() == 1200);
        let records = exchange(&[(Sender::Client, packet), (Sender::Server, hex(vectors.server_packet))]);

        let [client, server] = &records.of::<record::Quic>()[..] else { panic!("two hellos") };
        assert_eq!((client.event(), client.version), (QuicEvent::ClientHello, i64::from(vectors.version)));
        assert_eq!(client.server_name, "example.com");
        assert_eq!(client.alpn_protocols, ["alpn"]);
        assert!(client.decrypted && client.ja4.starts_with("q13d"));
        assert_eq!(client.original_destination_connection_id.as_deref(), Some(&DESTINATION[..]));
        assert_eq!((client.client_connection_id.as_deref(), &client.server_connection_id), (Some(&[][..]), &None));
        assert_eq!(client.transport_parameters, [4, 5, 7, 8, 1, 9, 15, 6]);
        assert_eq!(client.max_idle_timeout_ns, Some(30_000_000_000));
        assert_eq!(client.initial_max_data_bytes, Some((1 << 62) - 1));
        assert_eq!(client.initial_source_connection_id.as_deref(), Some(&DESTINATION[..]));

        assert_eq!(server.event(), QuicEvent::ServerHello);
        assert_eq!((server.cipher_suite, server.hello_retry_request), (Some(0x1301), false));
        assert_eq!((server.response_time_ns, server.request_seen), (Some(1_000_000), true));
        assert_eq!(server.server_connection_id.as_deref(), Some(&SERVER[..]));
        assert_eq!((server.initial_packets, server.meta.as_ref().unwrap().from_responder), (2, true));
        assert_eq!(records.of::<record::TlsClientHello>()[0].transport, "quic");
        assert_eq!(records.of::<record::TlsServerHello>().len(), 1);
        assert_eq!(records.of::<record::Connection>()[0].service, "quic");
        assert_eq!(records.weirds(), [""; 0]);
    }
}

#[test]
fn retry_of_appendix_a_4_is_genuine() {
    for vectors in [RFC_9001, RFC_9369] {
        let retry = hex(vectors.retry);
        let key = Version::of(vectors.version).unwrap().retry.unwrap();
        assert!(retry_is_genuine(key, &DESTINATION, &retry));
        assert!(!retry_is_genuine(key, &SERVER, &retry));
        let records = exchange(&[(Sender::Client, client_packet(vectors.version)), (Sender::Server, retry)]);
        let quic = &records.of::<record::Quic>()[1];
        assert_eq!((quic.event(), quic.retry_integrity_ok, quic.token_bytes), (QuicEvent::Retry, Some(true), 5));
        assert_eq!((quic.request_seen, quic.retry_packets), (true, 1));
    }
}

/// The packet itself is of 1-RTT, whose secrets nobody on the path has: it is not read.
#[test]
fn keys_of_a_secret_are_those_of_appendix_a_5() {
    use super::super::keys::expand_label;
    let secret = hex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
    let secret = hkdf::Hkdf::from_prk(&secret).unwrap();
    for (labels, key, iv, header, update) in [
        (
            ["quic key", "quic iv", "quic hp", "quic ku"],
            "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8",
            "e0459b3474bdd0e44a41c144",
            "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4",
            "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9",
        ),
        (
            ["quicv2 key", "quicv2 iv", "quicv2 hp", "quicv2 ku"],
            "3bfcddd72bcf02541d7fa0dd1f5f9eeea817e09a6963a0e6c7df0f9a1bab90f2",
            "a6b5bc6ab7dafce30ffff5dd",
            "d659760d2ba434a226fd37b35c69e2da8211d10c4f12538787d65645d5d1b8e2",
            "c69374c49e3d2a9466fa689e49d476db5d0dfbc87d32ceeaa6343fd0ae4c7d88",
        ),
    ] {
        assert_eq!(expand_label::<32>(&secret, labels[0]).unwrap()[..], hex(key));
        assert_eq!(expand_label::<12>(&secret, labels[1]).unwrap()[..], hex(iv));
        assert_eq!(expand_label::<32>(&secret, labels[2]).unwrap()[..], hex(header));
        assert_eq!(expand_label::<32>(&secret, labels[3]).unwrap()[..], hex(update));
    }
}

/// RFC 9000 appendix A.3.
#[test]
fn packet_numbers_follow_the_largest_one() {
    use super::super::keys::full_number;
    assert_eq!(full_number(0x9b32, 16, Some(0xa82f_30ea)), 0xa82f_9b32);
    assert_eq!(full_number(0xff, 8, Some(0x100)), 0xff);
    assert_eq!(full_number(0x01, 8, Some(0xff)), 0x101);
    assert_eq!(full_number(0xffff_ffff, 32, None), 0xffff_ffff);
}

/// RFC 9000 appendix A.1.
#[test]
fn variable_length_integers_of_all_lengths() {
    let read = |bytes: &str| super::super::frames::varint(&mut crate::Cursor::new(&hex(bytes))).unwrap();
    assert_eq!(read("c2197c5eff14e88c"), 151_288_809_941_952_652);
    assert_eq!(read("9d7f3e7d"), 494_878_333);
    assert_eq!(read("7bbd"), 15_293);
    assert_eq!([read("25"), read("4025")], [37, 37]);
}
