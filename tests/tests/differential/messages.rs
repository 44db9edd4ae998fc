//! Fields of messages of the datagram protocols, ours and tshark's.

use std::collections::BTreeMap;

use prost_reflect::DynamicMessage;

use crate::decoded::Decoded;
use crate::dns;
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

/// tshark's name of a field, where it is in our record, and how tshark's values read in our terms.
struct Field(&'static str, &'static str, Reading);

/// All values of a field in a message, in their order, in our terms.
type Reading = fn(&Message, &[&str]) -> String;

const PROTOCOLS: &[Protocol] = &[
    Protocol { name: "ntp", record: "ntp", fields: NTP },
    Protocol { name: "dhcp", record: "dhcpv4", fields: DHCP },
    Protocol { name: "dhcpv6", record: "dhcpv6", fields: DHCPV6 },
    Protocol { name: "snmp", record: "snmp", fields: SNMP },
    Protocol { name: "syslog", record: "syslog", fields: SYSLOG },
    Protocol { name: "syslog 1", record: "syslog", fields: SYSLOG_1 },
    Protocol { name: "tftp", record: "tftp", fields: TFTP },
];

const NTP: &[Field] = &[
    Field("flags.li", "leap_indicator", list),
    Field("flags.vn", "version", list),
    Field("flags.mode", "mode", list),
    Field("stratum", "stratum", list),
    Field("ppoll", "poll_log2", signed_8),
    Field("precision", "precision_log2", signed_8),
    Field("rootdelay", "root_delay_ns", ntp_short),
    Field("rootdispersion", "root_dispersion_ns", ntp_short),
    Field("refid", "reference_id", ntp_reference),
    Field("reftime", "reference_ts_ns", ntp_time),
    Field("org", "origin_ts_ns", ntp_time),
    Field("rec", "receive_ts_ns", ntp_time),
    Field("xmt", "transmit_ts_ns", ntp_time),
    Field("ext.type", "extension_types", list),
    Field("keyid", "key_id", hex_number),
    Field("mac", "digest_bytes", byte_count),
    Field("ctrl.status", "status", first),
    Field("ctrl.associd", "association_id", first),
    Field("ctrl.sequence", "sequence", list),
    Field("ctrl.flags2.opcode", "operation", list),
    Field("priv.seq", "sequence", list),
    Field("priv.reqcode", "operation", list),
];

const DHCP: &[Field] = &[
    Field("type", "operation", list),
    Field("hw.type", "hardware_type", first),
    Field("hw.len", "hardware_address_bytes", list),
    Field("hops", "hops", list),
    Field("id", "transaction_id", list),
    Field("secs", "elapsed_ns", seconds),
    Field("flags", "flags", list),
    Field("ip.client", "client_ip", address),
    Field("ip.your", "your_ip", address),
    Field("ip.server", "next_server_ip", address),
    Field("ip.relay", "relay_ip", address),
    Field("hw.mac_addr", "client_mac", first),
    Field("server", "server_name", list),
    Field("file", "boot_file", list),
    Field("option.dhcp", "message_type", list),
    Field("option.option_overload", "option_overload", list),
    Field("option.message", "message", list),
    Field("option.type", "options.code", dhcp_options),
    Field("option.request_list_item", "parameter_request_list", list),
    Field("option.requested_ip_address", "requested_ip", list),
    Field("option.dhcp_server_id", "server_id", list),
    Field("option.ip_address_lease_time", "lease_time_ns", seconds),
    Field("option.renewal_time_value", "renewal_time_ns", seconds),
    Field("option.rebinding_time_value", "rebinding_time_ns", seconds),
    Field("option.hostname", "host_name", list),
    Field("option.vendor_class_id", "vendor_class", list),
    Field("option.subnet_mask", "subnet_mask", list),
    Field("option.broadcast_address", "broadcast_ip", list),
    Field("option.router", "routers", list),
    Field("option.domain_name_server", "dns_servers", list),
    Field("option.domain_name", "domain_name", list),
    Field("option.netbios_over_tcpip_name_server", "netbios_name_servers", list),
    Field("option.ntp_server", "ntp_servers", list),
    Field("option.dhcp_max_message_size", "max_message_bytes", list),
    Field("option.agent_information_option.agent_circuit_id", "relay_agent.circuit_id", wire_text),
    Field("option.agent_information_option.agent_remote_id", "relay_agent.remote_id", wire_text),
    Field("fqdn.flags", "fqdn_flags", list),
    Field("fqdn.name", "fqdn", lower_case),
    Field("client_id.type", "client_id_type", list),
];

const DHCPV6: &[Field] = &[
    Field("msgtype", "message_type", last),
    Field("xid", "transaction_id", list),
    Field("hopcount", "relays.hop_count", list),
    Field("linkaddr", "relays.link_ip", address),
    Field("peeraddr", "relays.peer_ip", list),
    Field("duid.bytes", "client_duid.duid", dhcpv6_client),
    Field("iaid", "associations.iaid", hex_number),
    Field("iata", "associations.iaid", hex_number),
    Field("iaaddr.ip", "associations.leases.ip", list),
    Field("iaprefix.pref_addr", "associations.leases.ip", list),
    Field("iaprefix.pref_len", "associations.leases.prefix_bits", list),
    Field("iaaddr.pref_lifetime", "associations.leases.preferred_lifetime_ns", seconds),
    Field("iaprefix.pref_lifetime", "associations.leases.preferred_lifetime_ns", seconds),
    Field("iaaddr.valid_lifetime", "associations.leases.valid_lifetime_ns", seconds),
    Field("iaprefix.valid_lifetime", "associations.leases.valid_lifetime_ns", seconds),
    Field("iaid.t1", "associations.renewal_time_ns", seconds),
    Field("iaid.t2", "associations.rebinding_time_ns", seconds),
    Field("requested_option_code", "option_request_list", list),
    Field("elapsed_time", "elapsed_ns", milliseconds),
    Field("option_preference", "preference", list),
    Field("dns_server", "dns_servers", list),
    Field("client_domain", "fqdn", domain),
    Field("client_fqdn_flags", "fqdn_flags", list),
    Field("search_list_entry", "domain_search", domain),
    Field("vendorclass.enterprise", "vendor_classes.enterprise_number", list),
    Field("vendorclass.data", "vendor_classes.classes", list),
    Field("interface_id", "relays.interface_id", wire_text),
    Field("aftr_name", "aftr_name", domain),
    Field("mudurl", "mud_url", list),
];

const SNMP: &[Field] = &[
    Field("version", "version", list),
    Field("msgVersion", "version", list),
    Field("community", "community", list),
    Field("msgID", "message_id", list),
    Field("msgMaxSize", "max_message_bytes", list),
    Field("msgFlags", "flags", hex_number),
    Field("msgSecurityModel", "security_model", list),
    Field("msgAuthoritativeEngineID", "engine.engine_id", hex),
    Field("msgAuthoritativeEngineBoots", "engine_boots", list),
    Field("msgAuthoritativeEngineTime", "engine_time_ns", seconds),
    Field("msgUserName", "user_name", list),
    Field("msgAuthenticationParameters", "authentication_parameters", hex),
    Field("msgPrivacyParameters", "privacy_parameters", hex),
    Field("encryptedPDU", "encrypted_bytes", byte_count),
    Field("contextEngineID", "context_engine.engine_id", hex),
    Field("contextName", "context_name", list),
    Field("data", "pdu_type", list),
    Field("request_id", "request_id", list),
    Field("error_status", "error_status", list),
    Field("error_index", "error_index", list),
    Field("non_repeaters", "non_repeaters", list),
    Field("max_repetitions", "max_repetitions", list),
    Field("enterprise", "enterprise", list),
    Field("agent_addr", "agent_ip", list),
    Field("generic_trap", "generic_trap", list),
    Field("specific_trap", "specific_trap", list),
    Field("time_stamp", "uptime_ns", hundredths),
    Field("name", "variables.oid", list),
    Field("variable_bindings", "variables.value", snmp_values),
];

/// Messages without version have no fields that tshark and we agree on: it takes the program's name for its
/// process.
const SYSLOG: &[Field] = &[Field("facility", "facility", list), Field("level", "severity", list)];

/// RFC 5424.
const SYSLOG_1: &[Field] = &[
    Field("facility", "facility", list),
    Field("level", "severity", list),
    Field("version", "version", list),
    Field("hostname", "host_name", list),
    Field("appname", "app_name", list),
    Field("procid", "process_id", list),
    Field("msgid", "message_id", first_word),
];

const TFTP: &[Field] = &[
    Field("opcode", "operation", list),
    Field("source_file", "file_name", list),
    Field("destination_file", "file_name", list),
    Field("type", "mode", lower_case),
    Field("block", "block", list),
    Field("error.code", "error_code", list),
];

/// Fields of ours that hold more than tshark's: they are compared where tshark found its one.
const WIDER: &[&str] = &["time_stamp", "client_id.type"];

/// Fields of messages that we and tshark read differently. A message that only one side found is
/// a matter of [`crate::layers`].
pub fn differences(file: &str, expected: &Expected, decoded: &Decoded) -> Vec<(Difference, String)> {
    let mut found = Vec::new();
    let mut ordinals: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for message in &expected.messages {
        let has_version = message.values("version").next().is_some();
        let name = if message.protocol == "syslog" && has_version { "syslog 1" } else { message.protocol.as_str() };
        let protocol = PROTOCOLS.iter().find(|protocol| protocol.name == name);
        let record_type = protocol.map_or("dns", |protocol| protocol.record);
        // Of several such messages in a frame, the n-th is our n-th record.
        let ordinal = ordinals.entry((record_type, message.frame)).or_default();
        let record = decoded.records_of(record_type, message.frame).into_iter().nth(*ordinal);
        *ordinal += 1;
        let Some(record) = record else { continue };
        let (ours, tsharks) = match protocol {
            Some(protocol) => (of_record(protocol, message, &record), of_tshark(protocol, message)),
            None => {
                let tsharks = dns::of_tshark(message);
                (dns::of_record(&record, &tsharks), tsharks)
            }
        };
        for (name, ours, tsharks) in unequal(&ours, &tsharks) {
            let layer = format!("{} {} {name}", message.protocol, message.frame);
            found.push((Difference::new(file, &layer, &ours, &tsharks), expected.path_of(message.frame)));
        }
    }
    found
}

fn of_tshark(protocol: &Protocol, message: &Message) -> Values {
    let read = |Field(name, _, reading): &Field| {
        let shown: Vec<&str> = message.values(name).collect();
        ((*name).to_owned(), if shown.is_empty() { String::new() } else { reading(message, &shown) })
    };
    protocol.fields.iter().map(read).collect()
}

/// Of fields that share a place in our record or hold less than it, those that tshark found.
fn of_record(protocol: &Protocol, message: &Message, record: &DynamicMessage) -> Values {
    let shared = |path: &str| protocol.fields.iter().filter(|Field(_, other, _)| *other == path).count() > 1;
    let found = |name: &str| message.values(name).next().is_some();
    let compared =
        protocol.fields.iter().filter(|Field(name, path, _)| found(name) || !shared(path) && !WIDER.contains(name));
    compared
        .map(|Field(name, path, _)| ((*name).to_owned(), value::of_record(record, path).unwrap_or_default()))
        .collect()
}

/// Name, our value and tshark's, where they differ.
pub fn unequal(ours: &Values, tsharks: &Values) -> Vec<(String, String, String)> {
    let names = ours.keys().chain(tsharks.keys().filter(|name| !ours.contains_key(*name)));
    let of = |values: &Values, name: &str| values.get(name).filter(|value| *value != "0").cloned().unwrap_or_default();
    let pairs = names.map(|name| (name.clone(), of(ours, name), of(tsharks, name)));
    pairs.filter(|(_, ours, tsharks)| ours != tsharks).collect()
}

fn each(shown: &[&str], read: impl Fn(&str) -> String) -> String {
    shown.iter().map(|shown| read(shown)).collect::<Vec<_>>().join(",")
}

fn list(_: &Message, shown: &[&str]) -> String {
    each(shown, value::of_tshark)
}

fn first(_: &Message, shown: &[&str]) -> String {
    each(&shown[..1], value::of_tshark)
}

fn last(_: &Message, shown: &[&str]) -> String {
    each(&shown[shown.len() - 1..], value::of_tshark)
}

fn lower_case(_: &Message, shown: &[&str]) -> String {
    shown.join(",").to_lowercase()
}

fn domain(_: &Message, shown: &[&str]) -> String {
    each(shown, |name| name.trim_end_matches('.').to_lowercase())
}

/// tshark goes on to the end of the message; `-` is nothing.
fn first_word(_: &Message, shown: &[&str]) -> String {
    each(shown, |text| text.split(' ').next().filter(|word| *word != "-").unwrap_or_default().to_owned())
}

fn hex(_: &Message, shown: &[&str]) -> String {
    shown.join(",").replace(':', "")
}

/// `65:74:68:30` → `eth0`.
fn wire_text(_: &Message, shown: &[&str]) -> String {
    each(shown, |digits| {
        let mut text = String::new();
        weir_contract::text::push_escaped(&mut text, &octets(digits));
        text
    })
}

fn byte_count(_: &Message, shown: &[&str]) -> String {
    each(shown, |digits| octets(digits).len().to_string())
}

fn octets(digits: &str) -> Vec<u8> {
    digits.split(':').filter_map(|digits| u8::from_str_radix(digits, 16).ok()).collect()
}

/// `00:00:00:0a` → `10`.
fn hex_number(_: &Message, shown: &[&str]) -> String {
    each(shown, |digits| {
        u64::from_str_radix(&digits.replace(':', ""), 16).map_or_else(|_| digits.to_owned(), |n| n.to_string())
    })
}

/// We leave out addresses that say nothing.
fn address(_: &Message, shown: &[&str]) -> String {
    each(shown, |address| if address == "0.0.0.0" || address == "::" { String::new() } else { address.to_owned() })
}

fn seconds(_: &Message, shown: &[&str]) -> String {
    scaled(shown, 1_000_000_000)
}

fn hundredths(_: &Message, shown: &[&str]) -> String {
    scaled(shown, 10_000_000)
}

fn milliseconds(_: &Message, shown: &[&str]) -> String {
    scaled(shown, 1_000_000)
}

fn scaled(shown: &[&str], ns: u64) -> String {
    each(shown, |number| number.parse::<u64>().map_or_else(|_| number.to_owned(), |number| (number * ns).to_string()))
}

/// Octets that tshark shows unsigned.
fn signed_8(_: &Message, shown: &[&str]) -> String {
    each(shown, |octet| octet.parse::<u8>().map_or_else(|_| octet.to_owned(), |octet| octet.cast_signed().to_string()))
}

/// 16.16 fixed point, which tshark shows as a whole number.
fn ntp_short(_: &Message, shown: &[&str]) -> String {
    each(shown, |short| {
        short.parse::<u64>().map_or_else(|_| short.to_owned(), |short| ((short * 1_000_000_000) >> 16).to_string())
    })
}

/// 32.32 fixed point since 1900 or 2036, as 16 hex digits.
fn ntp_time(_: &Message, shown: &[&str]) -> String {
    each(shown, |digits| {
        let Ok(timestamp @ 1..) = i128::from_str_radix(digits, 16) else { return String::new() };
        let era = if timestamp >> 63 == 0 { 1 << 32 } else { 0 };
        let ns = (timestamp * 1_000_000_000) >> 32;
        (ns + (era - 2_208_988_800) * 1_000_000_000).to_string()
    })
}

/// Letters for strata 0 and 1, else an address.
fn ntp_reference(message: &Message, shown: &[&str]) -> String {
    let octets = octets(shown[0]);
    let stratum = message.values("stratum").next().and_then(|stratum| stratum.parse::<u8>().ok());
    if stratum > Some(1) {
        return octets.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
    }
    let mut text = String::new();
    let end = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    weir_contract::text::push_escaped(&mut text, &octets[..end]);
    text
}

/// Codes in the order of their first occurrence, without pad and end, which tshark shows as 0.
fn dhcp_options(_: &Message, shown: &[&str]) -> String {
    let mut codes: Vec<&str> = Vec::new();
    for code in shown {
        if *code != "0" && !codes.contains(code) {
            codes.push(code);
        }
    }
    codes.join(",")
}

/// Values of all variables, whose fields are named by their types.
fn snmp_values(message: &Message, _: &[&str]) -> String {
    let values = message.fields.iter().filter_map(|(name, shown)| Some((name.strip_prefix("value.")?, shown)));
    let read = values.map(|(kind, shown)| match kind {
        "octets" => wire_text(message, &[shown]),
        _ => value::of_tshark(shown),
    });
    read.filter(|value| !value.is_empty()).collect::<Vec<_>>().join(",")
}

/// Of all identifiers those in a client identifier option, which is number 1.
fn dhcpv6_client(message: &Message, _: &[&str]) -> String {
    let mut option = "";
    let mut clients = Vec::new();
    for (name, shown) in &message.fields {
        match name.as_str() {
            "option.type" => option = shown,
            "duid.bytes" if option == "1" => clients.push(shown.replace(':', "")),
            _ => {}
        }
    }
    clients.join(",")
}
