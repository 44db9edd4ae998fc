//! Arrow columns: for each message the columns it fills, the row it is read into, and the way from
//! protobuf bytes to both. What the kinds of columns do is written once, in `src/columns/kinds.rs`;
//! the generated code only says which field goes where, so that it stays small and builds fast.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::model::{Model, is_option, rust_name};
use crate::registry::declared;

pub fn generate(model: &Model) -> String {
    let mut code = String::new();
    for message in model.records.iter().map(|record| &record.message).chain(&model.nested) {
        columns(&mut code, message);
    }
    code.push_str("pub(super) fn table(record_type: RecordType) -> Box<dyn Table> {\n    match record_type {\n");
    for record in &model.records {
        let name = record.message.name();
        let _ = writeln!(code, "        RecordType::{name} => Box::<{name}Columns>::default(),");
    }
    code.push_str("    }\n}\n\n");
    reencode(&mut code, model);
    code
}

fn columns(code: &mut String, message: &MessageDescriptor) {
    let name = message.name();
    let lifetime = if borrows(message) { "<'a>" } else { "" };
    let fields = declared(message);
    let lines = |line: fn(&FieldDescriptor) -> String| fields.iter().map(line).collect::<String>();
    let columns = lines(|field| format!("    {}: {},\n", rust_name(field), column(field)));
    let row = lines(|field| {
        row_value(field).map_or_else(String::new, |value| format!("    {}: {value},\n", rust_name(field)))
    });
    let arms = lines(|field| format!("            {} => {},\n", field.number(), read(field)));
    let pushes = lines(|field| match field.is_list() {
        true => format!("        self.{}.close();\n", rust_name(field)),
        false => push(field),
    });
    let list = lines(|field| match is_meta(field) {
        true => format!("        self.{}.columns(out);\n", rust_name(field)),
        false => format!("        out.push(&mut self.{});\n", rust_name(field)),
    });
    let allocated = lines(|field| format!("        bytes += self.{}.allocated();\n", rust_name(field)));
    let used = if pushes.contains("row.") { "row" } else { "_" };
    let _ = writeln!(
        code,
        "#[derive(Default)]
pub(super) struct {name}Columns {{
{columns}}}
#[derive(Default)]
pub(super) struct {name}Row{lifetime} {{
{row}}}
impl Message for {name}Columns {{
    type Row<'a> = {name}Row{lifetime};
    #[inline(always)]
    fn field<'a>(&mut self, row: &mut Self::Row<'a>, key: Key, reader: &mut Reader<'a>) -> Option<()> {{
        match key.number {{
{arms}            _ => reader.resume(reader.skip(key)?),
        }}
        Some(())
    }}
    fn push(&mut self, {used}: &Self::Row<'_>) {{
{pushes}    }}
    fn allocated(&self) -> usize {{
        let mut bytes = 0;
{allocated}        bytes
    }}
    fn columns<'a>(&'a mut self, out: &mut Vec<&'a mut dyn Column>) {{
{list}    }}
}}
"
    );
}

/// Meta's columns stand beside the record's own.
fn is_meta(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.name() == "Meta")
}

/// The column that holds a field.
fn column(field: &FieldDescriptor) -> String {
    let values = match field.kind() {
        Kind::Int64 => "Numbers<arrow::datatypes::Int64Type>".to_owned(),
        Kind::Uint32 => "Numbers<arrow::datatypes::UInt32Type>".to_owned(),
        Kind::Double => "Numbers<arrow::datatypes::Float64Type>".to_owned(),
        Kind::Bool => "Bools".to_owned(),
        Kind::Bytes => "Blobs".to_owned(),
        Kind::Enum(_) => "Enums".to_owned(),
        Kind::Message(message) if is_meta(field) => return format!("{}Columns", message.name()),
        Kind::Message(message) => format!("Messages<{}Columns>", message.name()),
        _ => "Texts".to_owned(),
    };
    if field.is_list() {
        format!("Lists<{values}>")
    } else if is_option(field) {
        format!("Optional<{values}>")
    } else {
        values
    }
}

/// What a row holds of a field until the row is complete; lists go to their column at once.
fn row_value(field: &FieldDescriptor) -> Option<String> {
    if field.is_list() {
        return None;
    }
    let value = match field.kind() {
        Kind::Int64 => "i64".to_owned(),
        Kind::Uint32 => "u32".to_owned(),
        Kind::Double => "f64".to_owned(),
        Kind::Bool => "bool".to_owned(),
        Kind::Bytes => "&'a [u8]".to_owned(),
        Kind::Enum(_) => "i32".to_owned(),
        Kind::Message(message) => {
            format!("{}Row{}", message.name(), if borrows(&message) { "<'a>" } else { "" })
        }
        _ => "Text<'a>".to_owned(),
    };
    Some(if is_option(field) && !is_meta(field) { format!("Option<{value}>") } else { value })
}

/// The statement that reads one occurrence of a field.
fn read(field: &FieldDescriptor) -> String {
    let place = rust_name(field);
    match field.kind() {
        _ if field.is_list() => format!("reader.resume(self.{place}.append(key, *reader)?)"),
        Kind::Message(_) => format!("reader.resume(self.{place}.merge(&mut row.{place}, key, *reader)?)"),
        _ if is_option(field) => format!("row.{place} = Some(reader.scalar(key)?)"),
        _ => format!("row.{place} = reader.scalar(key)?"),
    }
}

/// The statement that ends the row in the column of a field that is no list.
fn push(field: &FieldDescriptor) -> String {
    let place = rust_name(field);
    match field.kind() {
        Kind::Message(_) if is_meta(field) => format!("        self.{place}.push(&row.{place});\n"),
        Kind::Message(_) => format!("        self.{place}.push_row(row.{place}.as_ref());\n"),
        _ => format!("        self.{place}.push(row.{place});\n"),
    }
}

/// Whether a message's row borrows from the bytes it is read from.
fn borrows(message: &MessageDescriptor) -> bool {
    message.fields().filter(|field| !field.is_list()).any(|field| match field.kind() {
        Kind::String | Kind::Bytes => true,
        Kind::Message(inner) => borrows(&inner),
        _ => false,
    })
}

/// What prost makes of a record: the tests compare the columns with it.
fn reencode(code: &mut String, model: &Model) {
    code.push_str("#[cfg(test)]\npub(super) fn reencode(record_type: RecordType, bytes: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {\n    use prost::Message as _;\n    match record_type {\n");
    for record in &model.records {
        let name = record.message.name();
        let _ = writeln!(
            code,
            "        RecordType::{name} => crate::record::{name}::decode(bytes).map(|record| record.encode_to_vec()),"
        );
    }
    code.push_str("    }\n}\n");
}
