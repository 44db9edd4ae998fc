//! Requests and responses of HTTP, ours and tshark's.
//!
//! tshark tells each where it ends, we tell both where the later one does. So they are compared by connection, in
//! their order.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::DynamicMessage;

use crate::decoded::Decoded;
use crate::expected::{Expected, Message, Said};
use crate::explained::Difference;
use crate::messages::{Values, unequal};
use crate::value;

/// tshark's name of a field, and ours.
type Field = (&'static str, &'static str);

const REQUEST: &[Field] = &[
    ("request.method", "method"),
    ("request.uri", "uri"),
    ("request.version", "version"),
    ("host", "host"),
    ("user_agent", "user_agent"),
    ("referer", "referer"),
    ("content_type", "request_content_type"),
    ("content_encoding", "request_content_encoding"),
    ("transfer_encoding", "request_transfer_encoding"),
    ("content_length_header", "request_content_length"),
];

const RESPONSE: &[Field] = &[
    ("response.code", "status_code"),
    ("response.version", "response_version"),
    ("response.phrase", "reason"),
    ("server", "server"),
    ("location", "location"),
    ("content_type", "response_content_type"),
    ("content_encoding", "response_content_encoding"),
    ("transfer_encoding", "response_transfer_encoding"),
    ("content_length_header", "response_content_length"),
];

/// A message: frame and values.
type Shown = (u64, Values);

/// A connection's messages of one kind, in their order.
type Told = Vec<Shown>;

/// Client and server with their ports, and the kind of message.
type Place = (String, String, &'static str);

const KINDS: [(&str, &[Field]); 2] = [("requests", REQUEST), ("responses", RESPONSE)];

/// Messages that only one side found, as numbers of them in a connection; and fields that we and tshark read
/// differently.
pub fn differences(file: &str, expected: &Expected, decoded: &Decoded) -> Vec<(Difference, String)> {
    let (ours, theirs) = (of_records(decoded), of_tshark(&expected.http));
    let places: BTreeSet<&Place> = ours.keys().chain(theirs.keys()).collect();
    let mut found = Vec::new();
    for place in places {
        let none = Vec::new();
        let (ours, theirs) = (ours.get(place).unwrap_or(&none), theirs.get(place).unwrap_or(&none));
        let (client, server, kind) = place;
        if ours.len() != theirs.len() {
            let layer = format!("http {client} {server} {kind}");
            let help = first_lines(ours) + " / " + &first_lines(theirs);
            found.push((Difference::new(file, &layer, &ours.len().to_string(), &theirs.len().to_string()), help));
        }
        for (ours, (frame, theirs)) in pairs(ours, theirs) {
            for (name, ours, theirs) in unequal(&ours.1, theirs) {
                let layer = format!("http {frame} {name}");
                found.push((Difference::new(file, &layer, &ours, &theirs), expected.path_of(*frame)));
            }
        }
    }
    found
}

/// What messages are told apart by.
fn first_line((_, values): &Shown) -> String {
    let names = ["request.method", "request.uri", "response.code"];
    names.iter().filter_map(|name| values.get(*name)).map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn first_lines(told: &Told) -> String {
    told.iter().map(|message| format!("{}: {}", message.0, first_line(message))).collect::<Vec<_>>().join(", ")
}

/// Each of ours with tshark's: by their order, or where their numbers differ by the most that are alike in both.
fn pairs<'a>(ours: &'a Told, theirs: &'a Told) -> Vec<(&'a Shown, &'a Shown)> {
    if ours.len() == theirs.len() {
        return ours.iter().zip(theirs).collect();
    }
    let is_alike = |at: usize, other: usize| first_line(&ours[at]) == first_line(&theirs[other]);
    let mut common = vec![vec![0; theirs.len() + 1]; ours.len() + 1];
    for at in (0..ours.len()).rev() {
        for other in (0..theirs.len()).rev() {
            common[at][other] = match is_alike(at, other) {
                true => common[at + 1][other + 1] + 1,
                false => common[at + 1][other].max(common[at][other + 1]),
            };
        }
    }
    let (mut at, mut other, mut pairs) = (0, 0, Vec::new());
    while at < ours.len() && other < theirs.len() {
        if is_alike(at, other) {
            pairs.push((&ours[at], &theirs[other]));
            (at, other) = (at + 1, other + 1);
        } else if common[at + 1][other] >= common[at][other + 1] {
            at += 1;
        } else {
            other += 1;
        }
    }
    pairs
}

fn of_records(decoded: &Decoded) -> BTreeMap<Place, Told> {
    let frames = decoded.occurrences("http").into_keys();
    let mut records: Vec<_> = frames
        .flat_map(|frame| decoded.records_of("http", frame).into_iter().map(move |record| (frame, record)))
        .collect();
    let number = |record: &DynamicMessage, path| field(record, path).parse::<i64>().unwrap_or_default();
    records.sort_by_key(|(_, record)| (number(record, "meta.ts_ns"), number(record, "depth")));
    let mut told: BTreeMap<Place, Told> = BTreeMap::new();
    for (frame, record) in &records {
        let (client, server) = value::ends(record);
        let seen = [field(record, "request_seen") == "1", !field(record, "status_code").is_empty()];
        for ((kind, fields), _) in KINDS.into_iter().zip(seen).filter(|(_, seen)| *seen) {
            let values = fields.iter().map(|(name, path)| ((*name).to_owned(), field(record, path))).collect();
            told.entry((client.clone(), server.clone(), kind)).or_default().push((*frame, values));
        }
    }
    told
}

fn field(record: &DynamicMessage, path: &str) -> String {
    value::of_record(record, path).unwrap_or_default()
}

fn of_tshark(messages: &[Said]) -> BTreeMap<Place, Told> {
    let mut told: BTreeMap<Place, Told> = BTreeMap::new();
    for Said { sender, receiver, message } in messages {
        let is_request = message.values("request.method").next().is_some();
        let (kind, fields) = KINDS[usize::from(!is_request)];
        let (client, server) = if is_request { (sender, receiver) } else { (receiver, sender) };
        let values = fields.iter().map(|(name, _)| ((*name).to_owned(), shown(message, name))).collect();
        told.entry((client.clone(), server.clone(), kind)).or_default().push((message.frame, values));
    }
    told
}

/// tshark's value in our terms: of what may stand once the first, of lists all.
fn shown(message: &Message, name: &str) -> String {
    let mut values = message.values(name).map(str::trim);
    match name {
        "content_encoding" | "transfer_encoding" => values.collect::<Vec<_>>().join(", "),
        "request.version" | "response.version" => {
            let version = values.next().unwrap_or_default();
            version.strip_prefix("HTTP/").unwrap_or(version).to_owned()
        }
        _ => values.next().unwrap_or_default().to_owned(),
    }
}
