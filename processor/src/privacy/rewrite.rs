//! Goes through a record's bytes and puts something else in the place of what tells addresses.

use std::collections::HashMap;

use weir_contract::{FieldInfo, FieldKind, Holds, RecordType, wire};

use super::{Privacy, address::Addresses, text::push_veiled};

/// Number of the field `meta`, with which all records begin.
const META: usize = 1;

/// Rewrites records, one after another.
pub struct Rewriter {
    tables: Tables,
    addresses: Addresses,
}

impl Rewriter {
    /// Of records of all types.
    pub fn new(privacy: &Privacy) -> Self {
        Self { tables: Tables::new(), addresses: Addresses::new(privacy) }
    }

    /// Appends the record as its readers get it.
    pub fn push(&mut self, record_type: RecordType, record: &[u8], out: &mut Vec<u8>) {
        let table = self.tables.of_records.get(record_type.index()).copied().unwrap_or_default();
        rewrite(&self.tables, table, record, &mut self.addresses, out);
    }
}

/// What to do with the fields of each message, by number.
struct Tables {
    of_messages: Vec<Vec<Action>>,
    /// Which of them is a record type's, by its place in the registry.
    of_records: Vec<usize>,
}

/// What to do with a field.
#[derive(Clone, Copy)]
enum Action {
    /// It tells no address.
    Copy,
    /// It is left out.
    Remove,
    Text(Text),
    /// A message with a table of its own.
    Message(usize),
}

/// What to do with a text.
#[derive(Clone, Copy)]
struct Text {
    holds: Holds,
    /// An empty text is another fact than none: it is an element of a list, or absence has a meaning.
    stays_when_empty: bool,
}

impl Tables {
    fn new() -> Self {
        let mut tables = Self { of_messages: Vec::new(), of_records: Vec::new() };
        let mut known = HashMap::new();
        for info in RecordType::all() {
            let (meta, own) = info.meta_and_own();
            let meta = tables.add("Meta", meta, &mut known);
            let table = tables.add(info.message, own, &mut known);
            if let Some(slot) = tables.of_messages.get_mut(table).and_then(|actions| actions.get_mut(META)) {
                *slot = Action::Message(meta);
            }
            tables.of_records.push(table);
        }
        tables
    }

    /// The table of a message, made if there is none yet.
    fn add(&mut self, message: &'static str, fields: &[FieldInfo], known: &mut HashMap<&'static str, usize>) -> usize {
        if let Some(&table) = known.get(message) {
            return table;
        }
        let mut actions = vec![Action::Remove; META + 1];
        for field in fields {
            let action = match (field.kind, field.holds) {
                (FieldKind::Message(inner), _) => Action::Message(self.add(inner, field.fields, known)),
                (FieldKind::String | FieldKind::Bytes, Holds::NoAddress) => Action::Copy,
                (FieldKind::Bytes, _) | (_, Holds::Opaque) => Action::Remove,
                (FieldKind::String, holds) => {
                    Action::Text(Text { holds, stays_when_empty: field.repeated || field.optional })
                }
                _ => Action::Copy,
            };
            let number = usize::try_from(field.number).unwrap_or(usize::MAX);
            if actions.len() <= number {
                actions.resize(number + 1, Action::Remove);
            }
            if let Some(slot) = actions.get_mut(number) {
                *slot = action;
            }
        }
        self.of_messages.push(actions);
        let table = self.of_messages.len() - 1;
        known.insert(message, table);
        table
    }
}

/// A field on the wire.
struct Field<'a> {
    number: usize,
    /// What stands before the value of a text, bytes or message, but for its length.
    key: &'a [u8],
    /// The value of a text, bytes or message.
    value: Option<&'a [u8]>,
    /// Bytes of all of it.
    length: usize,
}

/// Appends a message with its fields rewritten. Bytes that are no field end it: an encoder of ours writes none.
fn rewrite(tables: &Tables, table: usize, message: &[u8], addresses: &mut Addresses, out: &mut Vec<u8>) {
    let actions = tables.of_messages.get(table).map(Vec::as_slice).unwrap_or_default();
    let (mut rest, mut unwritten, mut pending) = (message, message, 0);
    while let Some(field) = next(rest) {
        rest = rest.get(field.length..).unwrap_or_default();
        let action = actions.get(field.number).copied().unwrap_or(Action::Remove);
        if let Action::Copy = action {
            pending += field.length;
            continue;
        }
        // What was copied so far goes out at once.
        out.extend_from_slice(unwritten.get(..pending).unwrap_or_default());
        (unwritten, pending) = (rest, 0);
        let Some(value) = field.value else { continue };
        match action {
            Action::Copy | Action::Remove => {}
            Action::Message(inner) => {
                wire::message(out, field.key, |out| rewrite(tables, inner, value, addresses, out));
            }
            Action::Text(text) => push_text(text, field.key, value, addresses, out),
        }
    }
    out.extend_from_slice(unwritten.get(..pending).unwrap_or_default());
}

fn push_text(text: Text, key: &[u8], value: &[u8], addresses: &mut Addresses, out: &mut Vec<u8>) {
    let begin = out.len();
    wire::message(out, key, |out| match text.holds {
        Holds::Ip => addresses.push_ip_text(value, out),
        Holds::Mac => addresses.push_link_text(value, out),
        Holds::Uid => addresses.push_uid(value, out),
        Holds::CommunityId => addresses.push_community_id(value, out),
        Holds::Anything => push_veiled(value, out, addresses),
        Holds::NoAddress | Holds::Opaque => {}
    });
    let is_empty = out.len() == begin + key.len() + 1;
    if is_empty && !text.stays_when_empty {
        out.truncate(begin);
    }
}

fn next(bytes: &[u8]) -> Option<Field<'_>> {
    let (key, key_bytes) = varint(bytes)?;
    let number = usize::try_from(key >> 3).ok()?;
    let behind = bytes.get(key_bytes..)?;
    let (value, value_bytes) = match key & 7 {
        0 => (None, varint(behind)?.1),
        1 => (None, 8),
        2 => {
            let (length, length_bytes) = varint(behind)?;
            let end = length_bytes.checked_add(usize::try_from(length).ok()?)?;
            (Some(behind.get(length_bytes..end)?), end)
        }
        5 => (None, 4),
        _ => return None,
    };
    behind.get(..value_bytes)?;
    Some(Field { number, key: bytes.get(..key_bytes)?, value, length: key_bytes + value_bytes })
}

/// A number, and how many bytes it has.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some((value, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_contract::{
        Meta,
        record::{Connection, Dns, DnsResourceRecord, IpOption, Ipv4, Snmp, SnmpEngineId, TlsClientHello},
    };

    use super::*;
    use crate::privacy::Treatment;

    fn rewritten<M: prost::Message + Default>(treatment: Treatment, record_type: RecordType, record: &M) -> M {
        let mut rewriter = Rewriter::new(&Privacy { treatment, key: *b"a key of thirty-two bytes, ours." });
        let mut out = b"before".to_vec();
        rewriter.push(record_type, &record.encode_to_vec(), &mut out);
        M::decode(&out[6..]).unwrap()
    }

    fn meta() -> Option<Meta> {
        Some(Meta {
            ts_ns: -1,
            sensor: "10.0.0.1".into(),
            uid: "0aZ9aZ9aZ9aZ9aZ9a".into(),
            community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=".into(),
            src_ip: "192.0.2.1".into(),
            src_port: 53,
            dst_ip: "2001:db8:1:2::1".into(),
            vlan: vec![1, 4000],
            ..Meta::default()
        })
    }

    #[test]
    fn each_field_is_treated_as_it_says() {
        let answer = |data: &str, address: &str| DnsResourceRecord {
            name: "1.2.0.192.in-addr.arpa".into(),
            data: data.into(),
            address: address.into(),
            port: Some(0),
            ..DnsResourceRecord::default()
        };
        let dns = Dns {
            meta: meta(),
            query: "example.org".into(),
            query_entropy: 1.5,
            answers: vec![answer("192.0.2.7", "192.0.2.7"), answer("mail.example.org", "")],
            answer_data: vec!["192.0.2.7".into(), "mail.example.org".into()],
            answer_ttls: vec![0, -1],
            ..Dns::default()
        };
        let veiled = rewritten(Treatment::Truncate, RecordType::Dns, &dns);
        let before = veiled.meta.clone().unwrap();
        assert_eq!((before.src_ip.as_str(), before.dst_ip.as_str()), ("192.0.2.0", "2001:db8:1::"));
        assert_eq!((before.sensor.as_str(), before.community_id.as_str(), before.uid.len()), ("10.0.0.1", "", 17));
        assert_eq!((before.ts_ns, before.src_port, before.vlan), (-1, 53, vec![1, 4000]));
        assert_eq!(veiled.answers[0].name, "0.2.0.192.in-addr.arpa");
        assert_eq!((veiled.answers[0].data.as_str(), veiled.answers[0].address.as_str()), ("192.0.2.0", "192.0.2.0"));
        assert_eq!((&veiled.answers[1].data, veiled.answers[1].port), (&dns.answers[1].data, Some(0)));
        assert_eq!((veiled.answer_ttls, veiled.query_entropy, &*veiled.query), (vec![0, -1], 1.5, "example.org"));

        let veiled = rewritten(Treatment::Drop, RecordType::Dns, &dns);
        // Lists that belong together go on to be of one length.
        assert_eq!(veiled.answer_data, ["", "mail.example.org"]);
        assert_eq!((veiled.answers.len(), &*veiled.answers[0].data, &*veiled.answers[0].address), (2, "", ""));
        assert_eq!(veiled.meta.unwrap().src_ip, "");
    }

    #[test]
    fn bytes_stay_only_where_they_hold_no_address() {
        let option = IpOption { r#type: 7, data: vec![192, 0, 2, 1], ..IpOption::default() };
        let ipv4 = Ipv4 { meta: meta(), options: vec![option], ttl: 64, ..Ipv4::default() };
        let veiled = rewritten(Treatment::Pseudonymise, RecordType::Ipv4, &ipv4);
        assert_eq!((veiled.ttl, veiled.options[0].r#type, veiled.options[0].data.len()), (64, 7, 0));
        let hello =
            TlsClientHello { meta: meta(), random: vec![7; 32], connection_id: Some(Vec::new()), ..Default::default() };
        let veiled = rewritten(Treatment::Pseudonymise, RecordType::TlsClientHello, &hello);
        assert_eq!((veiled.random, veiled.connection_id), (vec![7; 32], Some(Vec::new())));
        let engine = SnmpEngineId { engine_id: vec![1; 9], text: "192.0.2.1".into(), ..Default::default() };
        let snmp = Snmp { meta: meta(), engine: Some(engine), ..Default::default() };
        let engine = rewritten(Treatment::Drop, RecordType::Snmp, &snmp).engine.unwrap();
        assert_eq!(engine, SnmpEngineId::default());
    }

    #[test]
    fn a_record_without_addresses_stays_as_it_is() {
        let connection = Connection {
            meta: Some(Meta { sensor: "lab".into(), epoch: i64::MIN, ts_ns: i64::MAX, ..Meta::default() }),
            service: "dns".into(),
            history: "Dd".into(),
            orig_ttl_min: Some(0),
            ..Connection::default()
        };
        assert_eq!(rewritten(Treatment::Drop, RecordType::Connection, &connection), connection);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..RecordType::all().len()) {
            let mut rewriter = Rewriter::new(&Privacy { treatment: Treatment::Truncate, key: *b"a key of thirty-two bytes, ours." });
            let mut out = Vec::new();
            rewriter.push(RecordType::all()[at].record_type, &bytes, &mut out);
        }

        #[test]
        fn a_record_of_any_texts_is_a_record(texts in prop::collection::vec(".{0,40}|[0-9a-f:.-]{0,40}", 4)) {
            let [a, b, c, d] = <[String; 4]>::try_from(texts).unwrap();
            let meta = Some(Meta { uid: a.clone(), community_id: b.clone(), src_ip: c.clone(), dst_ip: d.clone(), ..Meta::default() });
            let dns = Dns { meta, query: a, answer_data: vec![b, c.clone()], ..Dns::default() };
            let snmp = Snmp { community: c, agent_ip: d, ..Snmp::default() };
            for treatment in [Treatment::Truncate, Treatment::Drop, Treatment::Pseudonymise] {
                rewritten(treatment, RecordType::Dns, &dns);
                rewritten(treatment, RecordType::Snmp, &snmp);
            }
        }
    }
}
