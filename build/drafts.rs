//! Reuse: one draft per record type, and pools for what is nested in records, so that filling a
//! record allocates nothing once its buffers have grown.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::model::{Model, is_option, rust_name, snake_case};

pub fn generate(model: &Model) -> String {
    let mut code = String::from("/// One reusable record of each type.\n#[derive(Default)]\npub struct Drafts {\n");
    for record in &model.records {
        let _ = writeln!(code, "    {}: {},", snake_case(record.message.name()), record.message.name());
    }
    code.push_str("}\n\n/// Parts of records that have been written, kept for the records to come.\n#[derive(Default)]\npub struct Spares {\n    strings: Vec<String>,\n    blobs: Vec<Vec<u8>>,\n");
    for message in &model.nested {
        let _ = writeln!(code, "    {}: Vec<{}>,", snake_case(message.name()), message.name());
    }
    code.push_str("}\n\n");
    for record in &model.records {
        let name = record.message.name();
        let _ = writeln!(
            code,
            "impl Record for {name} {{\n    const TYPE: RecordType = RecordType::{name};\n    fn draft(drafts: &mut Drafts) -> &mut Self {{ &mut drafts.{} }}\n}}",
            snake_case(name)
        );
        recycle(&mut code, &record.message);
    }
    for message in &model.nested {
        let name = message.name();
        let _ = writeln!(
            code,
            "impl Nested for {name} {{\n    fn pool(spares: &mut Spares) -> &mut Vec<Self> {{ &mut spares.{} }}\n}}",
            snake_case(name)
        );
        recycle(&mut code, message);
    }
    code
}

fn recycle(code: &mut String, message: &MessageDescriptor) {
    let mut body = String::new();
    for field in message.fields() {
        reset(&mut body, &field);
    }
    let spares = if body.contains("spares") { "spares" } else { "_" };
    let _ = writeln!(
        code,
        "impl Recycle for {} {{\n    fn recycle(&mut self, {spares}: &mut Spares) {{\n{body}    }}\n}}",
        message.name()
    );
}

fn reset(body: &mut String, field: &FieldDescriptor) {
    let name = rust_name(field);
    let line = match (field.kind(), field.is_list(), is_option(field)) {
        (Kind::Message(_), true, _) => format!("spares.keep_all(&mut self.{name});"),
        (Kind::Message(_), false, _) => format!("if let Some(item) = self.{name}.take() {{ spares.keep(item); }}"),
        (Kind::String, true, _) => format!("for item in self.{name}.drain(..) {{ spares.keep_string(item); }}"),
        (Kind::Bytes, true, _) => format!("for item in self.{name}.drain(..) {{ spares.keep_blob(item); }}"),
        (Kind::String, false, true) => {
            format!("if let Some(item) = self.{name}.take() {{ spares.keep_string(item); }}")
        }
        (Kind::Bytes, false, true) => format!("if let Some(item) = self.{name}.take() {{ spares.keep_blob(item); }}"),
        (_, true, _) | (Kind::String | Kind::Bytes, false, false) => format!("self.{name}.clear();"),
        (_, false, true) => format!("self.{name} = None;"),
        (_, false, false) => format!("self.{name} = Default::default();"),
    };
    let _ = writeln!(body, "        {line}");
}
