//! The registry: one enum variant and one row of facts per record type.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::model::{Model, is_option, snake_case};

pub fn generate(model: &Model) -> String {
    let mut code = String::new();
    let mut write = |text: String| code.push_str(&text);
    write("/// A type of record. The order is that of the registry.\n".into());
    write(
        "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n#[repr(u8)]\npub enum RecordType {\n"
            .into(),
    );
    for (index, record) in model.records.iter().enumerate() {
        write(format!(
            "    #[doc = {:?}]\n    {} = {index},\n",
            model.message_comment(&record.message),
            record.message.name()
        ));
    }
    write("}\n\nstatic RECORDS: [RecordInfo; ".into());
    write(format!("{}] = [\n", model.records.len()));
    for record in &model.records {
        let name = snake_case(record.message.name());
        write(format!(
            "    RecordInfo {{ record_type: RecordType::{0}, id: {1}, message: {0:?}, name: {2:?}, doc: {3:?}, groups: &{4:?}, volume: {5}, opt_in: {6}, fields: {7} }},\n",
            record.message.name(),
            record.id,
            name,
            model.message_comment(&record.message),
            record.groups,
            volume(record.volume),
            record.opt_in,
            fields(model, &record.message),
        ));
    }
    write("];\n\n".into());
    let meta = model.nested.iter().find(|message| message.name() == "Meta");
    let meta_fields = meta.map_or(0, |meta| meta.fields().len());
    write(format!("/// How many of a record's fields are Meta's.\nconst META_FIELDS: usize = {meta_fields};\n"));
    code
}

fn volume(number: i32) -> &'static str {
    match number {
        2 => "Volume::High",
        1 => "Volume::Medium",
        _ => "Volume::Low",
    }
}

fn holds(number: i32) -> &'static str {
    match number {
        1 => "Ip",
        2 => "Mac",
        3 => "Uid",
        4 => "CommunityId",
        5 => "NoAddress",
        6 => "Opaque",
        _ => "Anything",
    }
}

/// The columns of a message; those of `Meta` stand in the place of the field `meta`.
fn fields(model: &Model, message: &MessageDescriptor) -> String {
    let mut out = String::from("&[");
    for field in declared(message) {
        let inner = match field.kind() {
            Kind::Message(inner) => Some(inner),
            _ => None,
        };
        if field.name() == "meta"
            && let Some(meta) = inner
        {
            let rows = fields(model, &meta);
            out.push_str(rows.trim_start_matches("&[").trim_end_matches(']'));
            continue;
        }
        let nested = inner.as_ref().map_or_else(|| "&[]".to_owned(), |inner| fields(model, inner));
        let _ = write!(
            out,
            "FieldInfo {{ name: {:?}, number: {}, kind: FieldKind::{}, repeated: {}, optional: {}, holds: Holds::{}, doc: {:?}, fields: {nested} }}, ",
            field.name(),
            field.number(),
            kind(&field),
            field.is_list(),
            is_option(&field),
            holds(model.holds(&field)),
            model.field_comment(&field),
        );
    }
    out.push(']');
    out
}

/// Fields in the order of their declaration, which is the order people read them in.
pub fn declared(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let names = message.descriptor_proto().field.iter().map(|field| field.name().to_owned());
    names.filter_map(|name| message.get_field_by_name(&name)).collect()
}

fn kind(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Int64 => "Int64".into(),
        Kind::Uint32 => "Uint32".into(),
        Kind::Bool => "Bool".into(),
        Kind::Double => "Double".into(),
        Kind::Bytes => "Bytes".into(),
        Kind::Enum(of) => {
            let prefix = format!("{}_", snake_case(of.name()));
            let names: Vec<_> = of
                .values()
                .map(|value| (value.number(), value.name().to_ascii_lowercase()))
                .map(|(number, name)| (number, name.strip_prefix(&prefix).unwrap_or(&name).to_owned()))
                .collect();
            format!("Enum({:?}, &{names:?})", of.name())
        }
        Kind::Message(of) => format!("Message({:?})", of.name()),
        _ => "String".into(),
    }
}
