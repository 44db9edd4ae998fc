//! Hellos and certificates of TLS and DTLS, ours and tshark's: the n-th of a kind that one end sends another is
//! the same for both sides. Frames are not compared, since tshark reads a message where its record ends.

use std::collections::BTreeMap;

use prost_reflect::DynamicMessage;

use crate::decoded::Decoded;
use crate::expected::{Expected, Message};
use crate::explained::Difference;
use crate::messages::{Values, unequal};
use crate::value;

/// Items of our lists.
const LIST_MAX: usize = 100;

/// A kind of message.
struct Kind {
    /// As in the file of expectations.
    name: &'static str,
    /// Our record type.
    record: &'static str,
    fields: &'static [Field],
}

/// tshark's name of a field, where it is in our record, and how tshark's values read in our terms.
struct Field(&'static str, &'static str, fn(&[&str]) -> String);

const KINDS: &[Kind] = &[
    Kind { name: "client_hello", record: "tls_client_hello", fields: CLIENT_HELLO },
    Kind { name: "server_hello", record: "tls_server_hello", fields: SERVER_HELLO },
    Kind { name: "certificate", record: "x509", fields: &[Field("serial", "serial_number", list)] },
];

const CLIENT_HELLO: &[Field] = &[
    Field("version", "version", list),
    Field("random", "random", hex),
    Field("session_id", "session_id", hex),
    Field("cookie", "cookie", hex),
    Field("ciphersuite", "cipher_suites", list),
    Field("comp_method", "compression_methods", list),
    Field("extension.type", "extensions", list),
    Field("extensions_server_name", "server_name", host),
    Field("extensions_alpn_str", "alpn_protocols", list),
    Field("extensions.supported_version", "supported_versions", list),
    Field("extensions_supported_group", "supported_groups", list),
    Field("extensions_ec_point_format", "point_formats", list),
    Field("sig_hash_alg", "signature_algorithms", list),
    Field("extensions_key_share_group", "key_share_groups", list),
    Field("ja3", "ja3", list),
    Field("ja3_full", "ja3_raw", list),
];

const SERVER_HELLO: &[Field] = &[
    Field("version", "version", list),
    Field("random", "random", hex),
    Field("session_id", "session_id", hex),
    Field("ciphersuite", "cipher_suite", list),
    Field("comp_method", "compression_method", list),
    Field("extension.type", "extensions", list),
    Field("extensions_alpn_str", "alpn_protocol", list),
    Field("extensions.supported_version", "selected_version", list),
    Field("extensions_key_share_group", "key_share_group", list),
    Field("ja3s", "ja3s", list),
    Field("ja3s_full", "ja3s_raw", list),
];

/// Who sends what to whom: kind, sender, receiver.
type Way = (&'static str, String, String);

/// Messages that only one side found, and fields that we and tshark read differently.
pub fn differences(file: &str, expected: &Expected, decoded: &Decoded) -> Vec<(Difference, String)> {
    let mut ways: BTreeMap<Way, (Vec<DynamicMessage>, Vec<Message>)> = BTreeMap::new();
    for kind in KINDS {
        for frame in decoded.occurrences(kind.record).into_keys() {
            for record in decoded.records_of(kind.record, frame).into_iter().filter(|record| !is_of_quic(record)) {
                let (sender, receiver) = value::ends(&record);
                ways.entry((kind.name, sender, receiver)).or_default().0.push(record);
            }
        }
        for handshake in expected.handshakes.iter().filter(|handshake| handshake.message.protocol == kind.name) {
            let way = (kind.name, handshake.sender.clone(), handshake.receiver.clone());
            ways.entry(way).or_default().1.extend(messages(&handshake.message));
        }
    }
    let mut found = Vec::new();
    for ((name, sender, receiver), (ours, tsharks)) in ways {
        let layer = format!("tls {name} {sender} > {receiver}");
        if ours.len() != tsharks.len() {
            let difference = Difference::new(file, &layer, &ours.len().to_string(), &tsharks.len().to_string());
            let frame = tsharks.first().map_or(0, |message| message.frame);
            found.push((difference, format!("{frame} {}", expected.path_of(frame))));
            continue;
        }
        let kind = KINDS.iter().find(|kind| kind.name == name).expect("all kinds are listed");
        for (ours, tsharks) in ours.iter().zip(&tsharks) {
            for (field, ours, theirs) in unequal(&of_record(kind, ours), &of_tshark(kind, tsharks)) {
                let layer = format!("{layer} {field}");
                found.push((Difference::new(file, &layer, &ours, &theirs), expected.path_of(tsharks.frame)));
            }
        }
    }
    found
}

/// Those are compared as QUIC's.
fn is_of_quic(record: &DynamicMessage) -> bool {
    value::of_record(record, "transport").as_deref() == Some("quic")
}

/// A message of certificates as one of each.
fn messages(message: &Message) -> Vec<Message> {
    let one = |fields| {
        let (frame, protocol) = (message.frame, message.protocol.clone());
        Message { frame, protocol, fields, sections: BTreeMap::new() }
    };
    if message.protocol != "certificate" {
        return vec![one(message.fields.clone())];
    }
    let serials = message.fields.iter().filter(|(name, _)| name == "serial");
    serials.map(|serial| one(vec![serial.clone()])).collect()
}

fn of_tshark(kind: &Kind, message: &Message) -> Values {
    let read = |Field(name, _, reading): &Field| {
        let mut shown: Vec<&str> = message.values(name).collect();
        if *name == "extensions_key_share_group" {
            // What a HelloRetryRequest asks for.
            shown.extend(message.values("extensions_key_share_selected_group"));
        }
        if *name == "cookie" {
            // That of TLS 1.3.
            shown.retain(|cookie| !cookie.is_empty());
            shown.extend(message.values("extensions.cookie"));
        }
        if *name == "extensions.supported_version" && kind.name == "server_hello" && shown.is_empty() {
            shown.extend(message.values("version"));
        }
        shown.truncate(LIST_MAX);
        ((*name).to_owned(), if shown.is_empty() { String::new() } else { reading(&shown) })
    };
    kind.fields.iter().map(read).collect()
}

fn of_record(kind: &Kind, record: &DynamicMessage) -> Values {
    let read = |Field(name, path, _): &Field| ((*name).to_owned(), value::of_record(record, path).unwrap_or_default());
    kind.fields.iter().map(read).collect()
}

fn list(shown: &[&str]) -> String {
    shown.iter().map(|shown| value::of_tshark(shown)).collect::<Vec<_>>().join(",")
}

fn hex(shown: &[&str]) -> String {
    shown[0].replace(':', "")
}

fn host(shown: &[&str]) -> String {
    shown[0].to_lowercase().trim_end_matches('.').to_owned()
}
