//! What the generators want to know about the messages of the contract.

use std::{collections::HashMap, error::Error};

use prost_reflect::{DescriptorPool, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value};

/// A message that is a record type, with its `record` option.
pub struct Record {
    pub message: MessageDescriptor,
    pub id: u32,
    pub groups: Vec<String>,
    pub volume: i32,
    pub opt_in: bool,
}

pub struct Model {
    /// Record types, by number.
    pub records: Vec<Record>,
    /// Messages that occur inside records, `Meta` among them, by name.
    pub nested: Vec<MessageDescriptor>,
    comments: HashMap<(String, Vec<i32>), String>,
    holds: ExtensionDescriptor,
}

impl Model {
    pub fn read(descriptors: &[u8]) -> Result<Self, Box<dyn Error>> {
        let pool = DescriptorPool::decode(descriptors)?;
        let option = pool.get_extension_by_name("weir.v1.record").ok_or("options.proto declares no `record`")?;
        let mut records = Vec::new();
        for message in pool.all_messages().filter(|message| message.package_name() == "weir.v1") {
            let options = message.options();
            if !options.has_extension(&option) {
                continue;
            }
            let value = options.get_extension(&option);
            let value = value.as_message().ok_or("`record` is no message")?;
            let get = |name: &str| value.get_field_by_name(name).map(|value| value.into_owned());
            records.push(Record {
                id: get("id").and_then(|value| value.as_u32()).unwrap_or_default(),
                groups: get("group")
                    .and_then(|value| value.as_list().map(<[Value]>::to_vec))
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|value| value.as_str().map(str::to_owned))
                    .collect(),
                volume: get("volume").and_then(|value| value.as_enum_number()).unwrap_or_default(),
                opt_in: get("opt_in").and_then(|value| value.as_bool()).unwrap_or_default(),
                message,
            });
        }
        records.sort_by_key(|record| record.id);

        let mut nested = Vec::new();
        for record in &records {
            collect_nested(&record.message, &mut nested);
        }
        nested.sort_by(|a, b| a.name().cmp(b.name()));
        let holds = pool.get_extension_by_name("weir.v1.holds").ok_or("options.proto declares no `holds`")?;
        Ok(Self { records, nested, comments: comments(&pool), holds })
    }

    /// What a field tells of addresses, as the number of its `holds` option.
    pub fn holds(&self, field: &FieldDescriptor) -> i32 {
        field.options().get_extension(&self.holds).as_enum_number().unwrap_or_default()
    }

    /// The comment above a message.
    pub fn message_comment(&self, message: &MessageDescriptor) -> &str {
        self.comment(&message.parent_file(), message.path())
    }

    /// The comment above a field.
    pub fn field_comment(&self, field: &FieldDescriptor) -> &str {
        self.comment(&field.parent_message().parent_file(), field.path())
    }

    fn comment(&self, file: &prost_reflect::FileDescriptor, path: &[i32]) -> &str {
        self.comments.get(&(file.name().to_owned(), path.to_owned())).map_or("", String::as_str)
    }
}

fn collect_nested(message: &MessageDescriptor, nested: &mut Vec<MessageDescriptor>) {
    for field in message.fields() {
        if let Kind::Message(inner) = field.kind()
            && !nested.contains(&inner)
        {
            nested.push(inner.clone());
            collect_nested(&inner, nested);
        }
    }
}

fn comments(pool: &DescriptorPool) -> HashMap<(String, Vec<i32>), String> {
    let mut comments = HashMap::new();
    for file in pool.files() {
        let proto = file.file_descriptor_proto();
        for location in proto.source_code_info.iter().flat_map(|info| &info.location) {
            if let Some(text) = &location.leading_comments {
                let text = text.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned();
                comments.insert((file.name().to_owned(), location.path.clone()), text);
            }
        }
    }
    comments
}

/// `TlsClientHello` → `tls_client_hello`.
pub fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// A field's name as prost spells it.
pub fn rust_name(field: &FieldDescriptor) -> String {
    match field.name() {
        name @ ("type" | "match" | "ref" | "use" | "mod" | "move" | "loop" | "final" | "override" | "virtual") => {
            format!("r#{name}")
        }
        name => name.to_owned(),
    }
}

/// Whether the field is an `Option` in prost's struct.
pub fn is_option(field: &FieldDescriptor) -> bool {
    !field.is_list() && (matches!(field.kind(), Kind::Message(_)) || field.supports_presence())
}
