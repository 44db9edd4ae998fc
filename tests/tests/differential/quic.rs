//! Messages of QUIC's handshake, ours and tshark's.

use std::collections::BTreeMap;

use prost_reflect::DynamicMessage;

use crate::decoded::Decoded;
use crate::expected::{Expected, Message};
use crate::explained::Difference;
use crate::messages::{Values, unequal};
use crate::value;

/// Kinds of messages, by their number in `Quic.event`.
const CLIENT_HELLO: &str = "1";
const SERVER_HELLO: &str = "2";
const VERSION_NEGOTIATION: &str = "3";
const RETRY: &str = "4";
const CLOSE: &str = "5";
const UNREADABLE: &str = "6";

/// tshark's fields of any packet, and ours.
const HEADER: &[(&str, &str)] =
    &[("quic.version", "version"), ("quic.dcid", "destination_connection_id"), ("quic.scid", "source_connection_id")];

/// Those of a kind, beside the header's.
fn fields(event: &str) -> &'static [(&'static str, &'static str)] {
    match event {
        CLIENT_HELLO => &[
            ("quic.token_length", "token_bytes"),
            ("tls.handshake.extensions_server_name", "server_name"),
            ("tls.handshake.extensions_alpn_str", "alpn_protocols"),
            ("tls.quic.parameter.type", "transport_parameters"),
            ("tls.quic.parameter.max_idle_timeout", "max_idle_timeout_ns"),
            ("tls.quic.parameter.max_udp_payload_size", "max_udp_payload_bytes"),
            ("tls.quic.parameter.initial_max_data", "initial_max_data_bytes"),
            ("tls.quic.parameter.initial_max_stream_data_bidi_local", "initial_max_stream_data_bidi_local_bytes"),
            ("tls.quic.parameter.initial_max_stream_data_bidi_remote", "initial_max_stream_data_bidi_remote_bytes"),
            ("tls.quic.parameter.initial_max_stream_data_uni", "initial_max_stream_data_uni_bytes"),
            ("tls.quic.parameter.initial_max_streams_bidi", "initial_max_streams_bidi"),
            ("tls.quic.parameter.initial_max_streams_uni", "initial_max_streams_uni"),
            ("tls.quic.parameter.ack_delay_exponent", "ack_delay_exponent"),
            ("tls.quic.parameter.max_ack_delay", "max_ack_delay_ns"),
            ("tls.quic.parameter.active_connection_id_limit", "active_connection_id_limit"),
            ("tls.quic.parameter.initial_source_connection_id", "initial_source_connection_id"),
            ("tls.quic.parameter.max_datagram_frame_size", "max_datagram_frame_bytes"),
            ("tls.quic.parameter.google.user_agent", "user_agent"),
        ],
        SERVER_HELLO => &[("tls.handshake.ciphersuite", "cipher_suite")],
        VERSION_NEGOTIATION => &[("quic.supported_version", "offered_versions")],
        RETRY => &[("quic.retry_token", "token_bytes")],
        _ => &[
            ("quic.cc.error_code", "error_code"),
            ("quic.cc.frame_type", "error_frame_type"),
            ("quic.cc.reason_phrase", "error_reason"),
        ],
    }
}

/// Messages that only one side found, and fields that we and tshark read differently.
pub fn differences(file: &str, expected: &Expected, decoded: &Decoded) -> Vec<(Difference, String)> {
    let mut found = Vec::new();
    let mut frames: BTreeMap<u64, (Vec<_>, Vec<_>)> = BTreeMap::new();
    for packet in &expected.quic {
        frames.entry(packet.frame).or_default().0.extend(events(packet).map(|event| (event, packet)));
    }
    for frame in decoded.occurrences("quic").into_keys() {
        let records = decoded.records_of("quic", frame).into_iter().map(|record| (event_of(&record), record));
        frames.entry(frame).or_default().1.extend(records.filter(|(event, _)| event != UNREADABLE));
    }
    for (frame, (tsharks, ours)) in frames {
        let names = |events: Vec<&str>| events.join(",");
        let (our_events, their_events) = (
            names(ours.iter().map(|(event, _)| event.as_str()).collect()),
            names(tsharks.iter().map(|(event, _)| *event).collect()),
        );
        let path = || expected.path_of(frame);
        if our_events != their_events {
            let layer = format!("quic {frame} events");
            found.push((Difference::new(file, &layer, &our_events, &their_events), path()));
            continue;
        }
        for ((event, packet), (_, record)) in tsharks.iter().zip(&ours) {
            let (theirs, ours) = values(event, packet, record);
            for (name, ours, tsharks) in unequal(&ours, &theirs) {
                let layer = format!("quic {frame} {name}");
                found.push((Difference::new(file, &layer, &ours, &tsharks), path()));
            }
        }
    }
    found
}

fn event_of(record: &DynamicMessage) -> String {
    value::of_record(record, "event").unwrap_or_default()
}

/// The messages in a packet of tshark's, in their order.
fn events(packet: &Message) -> impl Iterator<Item = &'static str> {
    let first = |name| packet.values(name).next();
    let is_initial = first("quic.token_length").is_some();
    let is_negotiation = first("quic.version") == Some("0x00000000");
    let is_retry = first("quic.long.packet_type") == Some("3") || first("quic.long.packet_type_v2") == Some("0");
    let frames = packet.fields.iter().filter_map(move |(name, shown)| match (name.as_str(), shown.as_str()) {
        _ if !is_initial => None,
        ("tls.handshake.type", "1") => Some(CLIENT_HELLO),
        ("tls.handshake.type", "2") => Some(SERVER_HELLO),
        ("quic.cc.error_code", _) => Some(CLOSE),
        _ => None,
    });
    let whole = [(is_negotiation, VERSION_NEGOTIATION), (is_retry, RETRY)];
    whole.into_iter().filter_map(|(is_it, event)| is_it.then_some(event)).chain(frames)
}

/// tshark's values and ours.
fn values(event: &str, packet: &Message, record: &DynamicMessage) -> (Values, Values) {
    HEADER
        .iter()
        .chain(fields(event))
        .map(|(name, path)| {
            let theirs: Vec<_> = packet.values(name).map(|shown| of_tshark(name, shown)).collect();
            let ours = value::of_record(record, path).unwrap_or_default();
            (((*name).to_owned(), theirs.join(",")), ((*name).to_owned(), ours))
        })
        .unzip()
}

fn of_tshark(name: &str, shown: &str) -> String {
    let octets = || shown.replace(':', "");
    match name {
        "quic.dcid" | "quic.scid" | "tls.quic.parameter.initial_source_connection_id" => octets(),
        "quic.retry_token" => (octets().len() / 2).to_string(),
        "tls.quic.parameter.max_idle_timeout" | "tls.quic.parameter.max_ack_delay" => shown
            .parse::<u64>()
            .map_or_else(|_| shown.to_owned(), |milliseconds| (milliseconds * 1_000_000).to_string()),
        "tls.handshake.extensions_server_name" => shown.to_lowercase(),
        "quic.cc.reason_phrase" => shown.to_owned(),
        _ => value::of_tshark(shown),
    }
}
