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
        let shared = RecordType::shared_fields();
        for info in RecordType::all() {
            let (meta, own) = info.fields.split_at_checked(shared).unwrap_or_default();
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
