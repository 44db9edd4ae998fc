//! Fields of messages of the datagram protocols, ours and tshark's.

use std::collections::BTreeMap;

use prost_reflect::DynamicMessage;

use crate::decoded::Decoded;
use crate::expected::{Expected, Message};
use crate::explained::Difference;
use crate::value;

/// Values by the name of their field, in one form for both sides; absent, empty and 0 are the same.
pub type Values = BTreeMap<String, String>;

/// A protocol whose messages are compared field by field.
struct Protocol {
    /// tshark's name of it.
    name: &'static str,
    /// Our record type.
    record: &'static str,
    fields: &'static [Field],
}

/// tshark's name of a field, where it is in our record, and how tshark's value reads in our units.
/// A field that occurs several times is a list.
struct Field(&'static str, &'static str, fn(&Message, &str) -> String);

const PROTOCOLS: &[Protocol] = &[Protocol {
    name: "ntp",
    record: "ntp",
    fields: &[
        Field("flags.vn", "version", as_shown),
        Field("flags.mode", "mode", as_shown),
        Field("stratum", "stratum", as_shown),
        Field("ppoll", "poll_log2", signed_8),
        Field("precision", "precision_log2", signed_8),
        Field("rootdelay", "root_delay_ns", ntp_short),
        Field("rootdispersion", "root_dispersion_ns", ntp_short),
        Field("refid", "reference_id", ntp_reference),
        Field("reftime", "reference_ts_ns", ntp_time),
        Field("org", "origin_ts_ns", ntp_time),
        Field("rec", "receive_ts_ns", ntp_time),
        Field("xmt", "transmit_ts_ns", ntp_time),
        Field("ext.type", "extension_types", as_shown),
        Field("keyid", "key_id", colon_hex),
        Field("ctrl.sequence", "sequence", as_shown),
        Field("ctrl.flags2.opcode", "operation", as_shown),
        Field("priv.seq", "sequence", as_shown),
        Field("priv.reqcode", "operation", as_shown),
    ],
}];

/// Fields of messages that we and tshark read differently. A message that only one side found is
/// a matter of [`crate::layers`].
pub fn differences(file: &str, expected: &Expected, decoded: &Decoded) -> Vec<(Difference, String)> {
    let mut found = Vec::new();
    let mut ordinals: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for message in &expected.messages {
        let Some(protocol) = PROTOCOLS.iter().find(|protocol| protocol.name == message.protocol) else { continue };
        // Of several such messages in a frame, the n-th is our n-th record.
        let ordinal = ordinals.entry((protocol.name, message.frame)).or_default();
        let record = decoded.records_of(protocol.record, message.frame).into_iter().nth(*ordinal);
        *ordinal += 1;
        let Some(record) = record else { continue };
        for (name, ours, tsharks) in unequal(&of_record(protocol, message, &record), &of_tshark(protocol, message)) {
            let layer = format!("{} {} {name}", protocol.name, message.frame);
            found.push((Difference::new(file, &layer, &ours, &tsharks), expected.path_of(message.frame)));
        }
    }
    found
}

fn of_tshark(protocol: &Protocol, message: &Message) -> Values {
    let mut values = Values::new();
    for Field(name, _, read) in protocol.fields {
        let shown: Vec<String> = message.values(name).map(|shown| read(message, shown)).collect();
        values.insert((*name).to_owned(), shown.join(","));
    }
    values
}

/// Of fields that share a place in our record, those that tshark found.
fn of_record(protocol: &Protocol, message: &Message, record: &DynamicMessage) -> Values {
    let shared = |path: &str| protocol.fields.iter().filter(|Field(_, other, _)| *other == path).count() > 1;
    let compared =
        protocol.fields.iter().filter(|Field(name, path, _)| !shared(path) || message.values(name).next().is_some());
    compared
        .map(|Field(name, path, _)| ((*name).to_owned(), value::of_record(record, path).unwrap_or_default()))
        .collect()
}

fn unequal(ours: &Values, tsharks: &Values) -> Vec<(String, String, String)> {
    let names = ours.keys().chain(tsharks.keys().filter(|name| !ours.contains_key(*name)));
    let of = |values: &Values, name: &str| values.get(name).filter(|value| *value != "0").cloned().unwrap_or_default();
    let pairs = names.map(|name| (name.clone(), of(ours, name), of(tsharks, name)));
    pairs.filter(|(_, ours, tsharks)| ours != tsharks).collect()
}

fn as_shown(_: &Message, shown: &str) -> String {
    value::of_tshark(shown)
}

/// An octet that tshark shows unsigned.
fn signed_8(_: &Message, shown: &str) -> String {
    shown.parse::<u8>().map_or_else(|_| shown.to_owned(), |octet| octet.cast_signed().to_string())
}

/// `00:00:00:0a` → `10`.
fn colon_hex(_: &Message, shown: &str) -> String {
    u64::from_str_radix(&shown.replace(':', ""), 16).map_or_else(|_| shown.to_owned(), |number| number.to_string())
}

/// 16.16 fixed point, which tshark shows as a whole number.
fn ntp_short(_: &Message, shown: &str) -> String {
    shown.parse::<u64>().map_or_else(|_| shown.to_owned(), |short| ((short * 1_000_000_000) >> 16).to_string())
}

/// 32.32 fixed point since 1900 or 2036, as 16 hex digits.
fn ntp_time(_: &Message, digits: &str) -> String {
    let Ok(timestamp @ 1..) = i128::from_str_radix(digits, 16) else { return String::new() };
    let era = if timestamp >> 63 == 0 { 1 << 32 } else { 0 };
    let ns = (timestamp * 1_000_000_000) >> 32;
    (ns + (era - 2_208_988_800) * 1_000_000_000).to_string()
}

/// Letters for strata 0 and 1, else an address.
fn ntp_reference(message: &Message, shown: &str) -> String {
    let octets: Vec<u8> = shown.split(':').filter_map(|digits| u8::from_str_radix(digits, 16).ok()).collect();
    let stratum = message.values("stratum").next().and_then(|stratum| stratum.parse::<u8>().ok());
    if stratum > Some(1) {
        return octets.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
    }
    let mut text = String::new();
    let end = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    weir_contract::text::push_escaped(&mut text, &octets[..end]);
    text
}
