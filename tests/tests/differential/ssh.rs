//! How the sides of SSH connections introduce themselves, ours and tshark's: all that one end says to another, in its
//! order. Frames are not compared: we have a record of a connection, tshark one line for each packet.

use std::collections::BTreeMap;

use crate::decoded::Decoded;
use crate::expected::Expected;
use crate::explained::Difference;
use crate::messages::{Values, unequal};
use crate::value;

/// tshark's name of a field, and ours of the client and the server; empty where that side has none.
struct Field(&'static str, &'static str, &'static str);

const FIELDS: &[Field] = &[
    Field("protocol", "client_banner", "server_banner"),
    Field("kex_algorithms", "client_algorithms.kex", "server_algorithms.kex"),
    Field("server_host_key_algorithms", "client_algorithms.host_key", "server_algorithms.host_key"),
    Field(
        "encryption_algorithms_client_to_server",
        "client_algorithms.ciphers_client_to_server",
        "server_algorithms.ciphers_client_to_server",
    ),
    Field(
        "encryption_algorithms_server_to_client",
        "client_algorithms.ciphers_server_to_client",
        "server_algorithms.ciphers_server_to_client",
    ),
    Field(
        "mac_algorithms_client_to_server",
        "client_algorithms.macs_client_to_server",
        "server_algorithms.macs_client_to_server",
    ),
    Field(
        "mac_algorithms_server_to_client",
        "client_algorithms.macs_server_to_client",
        "server_algorithms.macs_server_to_client",
    ),
    Field(
        "compression_algorithms_client_to_server",
        "client_algorithms.compressions_client_to_server",
        "server_algorithms.compressions_client_to_server",
    ),
    Field(
        "compression_algorithms_server_to_client",
        "client_algorithms.compressions_server_to_client",
        "server_algorithms.compressions_server_to_client",
    ),
    Field(
        "first_kex_packet_follows",
        "client_algorithms.first_kex_packet_follows",
        "server_algorithms.first_kex_packet_follows",
    ),
    Field("kex.hassh", "hassh", ""),
    Field("kex.hasshserver", "", "hassh_server"),
];

/// Sender and receiver.
type Way = (String, String);

/// Fields that we and tshark read differently.
pub fn differences(file: &str, expected: &Expected, decoded: &Decoded) -> Vec<(Difference, String)> {
    let mut ways: BTreeMap<Way, (Values, Values, u64)> = BTreeMap::new();
    for frame in decoded.occurrences("ssh").into_keys() {
        for record in decoded.records_of("ssh", frame) {
            let (client, server) = value::ends(&record);
            let sides = [(client.clone(), server.clone()), (server, client)];
            for (side, way) in sides.into_iter().enumerate() {
                let (ours, _, _) = ways.entry(way).or_default();
                for Field(name, of_client, of_server) in FIELDS {
                    let path = [of_client, of_server][side];
                    let shown = if path.is_empty() { None } else { value::of_record(&record, path) };
                    add(ours, name, shown.as_deref().unwrap_or_default());
                }
            }
        }
    }
    for said in &expected.ssh {
        let (_, tsharks, frame) = ways.entry((said.sender.clone(), said.receiver.clone())).or_default();
        *frame = said.message.frame;
        for Field(name, ..) in FIELDS {
            for shown in said.message.values(name) {
                add(tsharks, name, value::of_tshark(shown).trim_end());
            }
        }
    }
    let mut found = Vec::new();
    for ((sender, receiver), (ours, tsharks, frame)) in ways {
        let way = format!("ssh {sender} > {receiver}");
        if ours.is_empty() != tsharks.is_empty() {
            let names = |values: &Values| values.keys().cloned().collect::<Vec<_>>().join(",");
            let difference = Difference::new(file, &way, &names(&ours), &names(&tsharks));
            found.push((difference, format!("{frame} {}", expected.path_of(frame))));
            continue;
        }
        for (field, ours, theirs) in unequal(&ours, &tsharks) {
            let layer = format!("{way} {field}");
            found.push((Difference::new(file, &layer, &ours, &theirs), format!("{frame} {}", expected.path_of(frame))));
        }
    }
    found
}

/// Adds a value to those said before; nothing and `0` are not said.
fn add(values: &mut Values, name: &str, shown: &str) {
    if shown.is_empty() || shown == "0" {
        return;
    }
    let said = values.entry(name.to_owned()).or_default();
    if !said.is_empty() {
        said.push_str(" | ");
    }
    said.push_str(shown);
}
