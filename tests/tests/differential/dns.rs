//! Messages of DNS, multicast DNS, LLMNR and the NetBIOS Name Service, ours and tshark's, as values by
//! one set of names: `id`, `q0 name`, `an2 ttl`, …

use prost_reflect::{DynamicMessage, Value};

use crate::expected::{Fields, Message, SECTIONS};
use crate::messages::Values;
use crate::value;

/// tshark's field of the header, and ours.
const HEADER: &[(&str, &str)] = &[
    ("id", "id"),
    ("flags.response", "response"),
    ("flags.opcode", "opcode"),
    ("flags.authoritative", "authoritative"),
    ("flags.truncated", "truncation"),
    ("flags.recdesired", "recursion_desired"),
    ("flags.recavail", "recursion_available"),
    ("flags.z", "z"),
    ("flags.authenticated", "authentic_data"),
    ("flags.checkdisable", "checking_disabled"),
    ("flags.conflict", "conflict"),
    ("flags.tentative", "tentative"),
    ("flags.broadcast", "broadcast"),
    ("flags.rcode", "rcode"),
    ("count.queries", "question_count"),
    ("count.zones", "question_count"),
    ("count.answers", "answer_count"),
    ("count.prerequisites", "answer_count"),
    ("count.auth_rr", "authority_count"),
    ("count.updates", "authority_count"),
    ("count.add_rr", "additional_count"),
];

/// tshark's fields of an entry of a section, and ours. Of several fields of the same place an entry has
/// one, by its type; `data word 3` is the fourth word of its data as in a zone file.
const ENTRY: &[(&str, &str)] = &[
    ("qry.type", "type"),
    ("qry.class", "class"),
    ("qry.qu", "unicast_response"),
    ("resp.type", "type"),
    ("resp.class", "class"),
    ("resp.ttl", "ttl"),
    ("resp.len", "length_bytes"),
    ("resp.cache_flush", "cache_flush"),
    ("type", "type"),
    ("class", "class"),
    ("ttl", "ttl"),
    ("data_length", "length_bytes"),
    ("a", "address"),
    ("aaaa", "address"),
    ("addr", "address"),
    ("mx.preference", "priority"),
    ("srv.priority", "priority"),
    ("srv.weight", "weight"),
    ("srv.port", "port"),
    ("svcb.svcpriority", "priority"),
    ("svcb.svcparam.key", "parameters.key"),
    ("nb_flags", "netbios_flags"),
    ("soa.serial_number", "serial"),
    ("soa.refresh_interval", "data word 3"),
    ("soa.retry_interval", "data word 4"),
    ("soa.expire_limit", "data word 5"),
    ("soa.minimum_ttl", "data word 6"),
    ("ds.key_id", "key_tag"),
    ("ds.algorithm", "algorithm"),
    ("ds.digest_type", "data word 2"),
    ("ds.digest", "data word 3"),
    ("rrsig.key_tag", "key_tag"),
    ("rrsig.algorithm", "algorithm"),
    ("rrsig.labels", "data word 2"),
    ("rrsig.original_ttl", "data word 3"),
    ("dnskey.flags", "data word 0"),
    ("dnskey.protocol", "data word 1"),
    ("dnskey.algorithm", "algorithm"),
    ("sshfp.algorithm", "algorithm"),
    ("sshfp.fingerprint.type", "data word 1"),
    ("sshfp.fingerprint", "data word 2"),
    ("nsec3.algo", "algorithm"),
    ("nsec3.flags", "data word 1"),
    ("nsec3.iterations", "data word 2"),
    ("nsec3.salt_value", "data word 3"),
    ("nsec3.hash_value", "data word 4"),
    ("caa.flags", "data word 0"),
    ("caa.tag", "data word 1"),
];

/// Fields of the table above that tshark shows as `de:ad`.
const HEX: &[&str] = &["ds.digest", "sshfp.fingerprint", "nsec3.salt_value"];

/// Likewise for names.
const NAMES: &[(&str, &str)] = &[
    ("ns", "target"),
    ("cname", "target"),
    ("ptr.domain_name", "target"),
    ("mx.mail_exchange", "target"),
    ("srv.target", "target"),
    ("svcb.targetname", "target"),
    ("soa.mname", "target"),
    ("soa.rname", "mailbox"),
    ("rrsig.signers_name", "target"),
    ("nsec.next_domain_name", "target"),
];

/// EDNS as tshark shows it, as a record of the additional section; we have it in the message itself.
const EDNS: &[(&str, &str)] = &[
    ("resp.edns0_version", "edns_version"),
    ("rr.udp_payload_size", "edns_udp_bytes"),
    ("resp.z.do", "edns_dnssec_ok"),
    ("resp.z.reserved", "edns_z"),
    ("opt.code", "edns_options.code"),
    ("opt.len", "edns_options.length_bytes"),
];

/// RFC 6891 §6.1.1.
const TYPE_OPT: &str = "41";

/// What tshark found in the message.
pub fn of_tshark(message: &Message) -> Values {
    let mut values = Values::new();
    copy(&mut values, "", &message.fields, HEADER);
    for section in SECTIONS {
        let entries = message.sections.get(section).map(Vec::as_slice).unwrap_or_default();
        let mut number = 0;
        for entry in entries {
            if section == "ar" && first(entry, "resp.type") == Some(TYPE_OPT) {
                copy(&mut values, "", entry, EDNS);
                extend_rcode(&mut values, entry);
                continue;
            }
            let place = format!("{section}{number} ");
            number += 1;
            copy(&mut values, &place, entry, ENTRY);
            for (name, ours) in NAMES {
                if let Some(shown) = first(entry, name) {
                    values.insert(format!("{place}{ours}"), domain_name(shown));
                }
            }
            values.insert(format!("{place}name"), entry_name(entry));
            values.extend(strings(entry).map(|data| (format!("{place}data"), data)));
        }
        values.insert(format!("{section} entries"), number.to_string());
    }
    values
}

/// What we have of what tshark found in the message.
pub fn of_record(record: &DynamicMessage, tsharks: &Values) -> Values {
    let shown =
        |(key, tsharks): (&String, &String)| (key.clone(), as_shown(ours(record, key).unwrap_or_default(), tsharks));
    tsharks.iter().map(shown).collect()
}

/// Our text with what tshark's can't tell apart: it replaces bytes that are no UTF-8, and ends character
/// strings at their first zero byte.
fn as_shown(ours: String, tsharks: &str) -> String {
    const REPLACED: &str = "\u{fffd}";
    if tsharks.contains(REPLACED) {
        let mut parts = ours.split("\\x");
        let first = parts.next().unwrap_or_default().to_owned();
        return parts.fold(first, |text, part| match part.split_at_checked(2) {
            Some((digits, rest)) if digits >= "80" => text + REPLACED + rest,
            _ => text + "\\x" + part,
        });
    }
    if ours.starts_with('"') && ours.contains("\\x00") {
        let parts = ours.split('"').map(|part| part.split("\\x00").next().unwrap_or_default());
        return parts.collect::<Vec<_>>().join("\"");
    }
    ours
}

fn ours(record: &DynamicMessage, key: &str) -> Option<String> {
    let Some((place, field)) = key.split_once(' ') else { return value::of_record(record, key) };
    let digits = place.find(|letter: char| letter.is_ascii_digit()).unwrap_or(place.len());
    let list = match &place[..digits] {
        "q" => "questions",
        "an" => "answers",
        "ns" => "authorities",
        _ => "additionals",
    };
    let entries = record.get_field_by_name(list)?;
    let entries = entries.as_list()?;
    if field == "entries" {
        return Some(entries.len().to_string());
    }
    let Some(Value::Message(entry)) = entries.get(place[digits..].parse::<usize>().ok()?) else { return None };
    if let Some(number) = field.strip_prefix("data word ") {
        let data = value::of_record(entry, "data")?;
        let word = data.split(' ').nth(number.parse().ok()?)?;
        return Some(if word == "-" { String::new() } else { word.to_owned() });
    }
    let text = value::of_record(entry, field)?;
    // tshark shows strings up to their first zero.
    if field == "data"
        && let Some((shown, _)) = text.split_once("\\x00")
    {
        return Some(format!("{shown}\""));
    }
    if !["name", "target", "mailbox"].contains(&field) {
        return Some(text);
    }
    // tshark shows the dot that is part of a label as any other dot.
    let text = text.replace("\\x2e", ".");
    match value::of_record(entry, "netbios_suffix") {
        Some(suffix) if field == "name" => Some(format!("{text}<{:02x}>", suffix.parse::<u8>().ok()?)),
        _ => Some(text),
    }
}

fn copy(values: &mut Values, place: &str, fields: &Fields, table: &[(&str, &str)]) {
    for (name, ours) in table {
        let mut shown: Vec<String> =
            fields.iter().filter(|(field, _)| field == name).map(|(_, shown)| value::of_tshark(shown)).collect();
        if HEX.contains(name) {
            shown.iter_mut().for_each(|digits| digits.retain(|digit| digit != ':'));
        }
        // The types in the bitmap of an NSEC record have the name of the record's own type.
        if *ours == "type" || *ours == "address" {
            shown.truncate(1);
        }
        if !shown.is_empty() {
            values.insert(format!("{place}{ours}"), shown.join(","));
        }
    }
}

/// The response code's upper bits are in the record of EDNS (RFC 6891 §6.1.3).
fn extend_rcode(values: &mut Values, edns: &Fields) {
    let upper = first(edns, "resp.ext_rcode").map(value::of_tshark).and_then(|upper| upper.parse::<u32>().ok());
    let lower = values.get("rcode").and_then(|lower| lower.parse::<u32>().ok());
    if let (Some(upper), Some(lower)) = (upper, lower) {
        values.insert("rcode".to_owned(), (upper << 4 | lower).to_string());
    }
}

fn entry_name(entry: &Fields) -> String {
    if let Some(shown) = first(entry, "name") {
        return netbios_name(shown);
    }
    if let Some(shown) = first(entry, "qry.name").or_else(|| first(entry, "resp.name")) {
        return domain_name(shown);
    }
    // Names of SRV records come in three parts.
    let parts = ["srv.service", "srv.proto", "srv.name"].map(|part| first(entry, part).unwrap_or_default());
    domain_name(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("."))
}

/// Character strings of TXT, SPF and HINFO as in a zone file.
fn strings(entry: &Fields) -> Option<String> {
    let strings = entry.iter().filter(|(name, _)| ["txt", "spf", "hinfo.cpu", "hinfo.os"].contains(&name.as_str()));
    let quoted: Vec<String> = strings.map(|(_, shown)| format!("\"{}\"", shown.replace('"', "\\x22"))).collect();
    (!quoted.is_empty()).then(|| quoted.join(" "))
}

/// tshark writes bytes that can't be shown as `\` and three octal digits, and shows upper case as sent.
fn domain_name(shown: &str) -> String {
    if shown == "<Root>" {
        return ".".to_owned();
    }
    let mut parts = shown.split('\\');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => name += &format!("\\x{byte:02x}{}", &part[3..]),
            None if part.starts_with('r') => name += &format!("\\x0d{}", &part[1..]),
            None => name += &format!("\\x5c{part}"),
        }
    }
    name.to_lowercase()
}

/// `WORKGROUP<1d> (Local Master Browser)` → `WORKGROUP<1d>`. All but the suffix is escaped as we do it, and
/// zeros are padding as spaces are.
fn netbios_name(shown: &str) -> String {
    let shown = shown.split(" (").next().unwrap_or_default();
    let (name, suffix) = shown.rsplit_once('<').unwrap_or((shown, ""));
    let name = name.replace("<00>", "").replace('<', "\\x").replace('>', "");
    if suffix.is_empty() { name } else { format!("{name}<{suffix}") }
}

fn first<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(field, _)| field == name).map(|(_, shown)| shown.as_str())
}
