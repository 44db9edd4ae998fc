//! The messages of record types as one file of protobuf's language, with nothing to import.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use weir_contract::{FieldInfo, FieldKind, RecordType};

/// What the file is to be compiled for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Whoever can tell a field that is absent from one that is 0.
    Any,
    /// Flink, whose format reads an absent number as 0. A field that may be absent is a list there, of none or one:
    /// on the wire this is the same.
    Flink,
}

impl Reader {
    /// The package of the classes that protoc makes for Java. Those for Flink are others, and have another one.
    pub fn java_package(self) -> &'static str {
        match self {
            Self::Any => "weir.v1",
            Self::Flink => "weir.v1.flink",
        }
    }

    fn label(self, field: &FieldInfo) -> &'static str {
        match self {
            _ if field.repeated => "repeated ",
            // A message is absent by itself.
            Self::Any if may_be_absent(field) && !matches!(field.kind, FieldKind::Message(_)) => "optional ",
            Self::Flink if may_be_absent(field) => "repeated ",
            _ => "",
        }
    }
}

/// Whether the field has one value or none, and none is a fact.
pub fn may_be_absent(field: &FieldInfo) -> bool {
    field.optional && !field.repeated
}

/// What the names of an enum's values begin with, which columns go without: `END_REASON_` of `EndReason`.
pub fn value_prefix(name: &str) -> String {
    let mut prefix = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_uppercase());
    }
    prefix + "_"
}

/// The file.
pub fn file(types: &[RecordType], reader: Reader) -> String {
    let mut file = File { reader, text: String::new(), written: BTreeSet::new() };
    let package = reader.java_package();
    file.text += "syntax = \"proto3\";\npackage weir.v1;\n\n";
    let _ = writeln!(file.text, "option java_multiple_files = true;\noption java_package = \"{package}\";");
    for record_type in types {
        let info = record_type.info();
        let (meta, own) = info.meta_and_own();
        file.push_message("Meta", "What every record begins with.", &[], meta);
        file.push_message(info.message, info.doc, &["Meta meta = 1;"], own);
    }
    file.text
}

struct File {
    reader: Reader,
    text: String,
    /// Names of messages and enums.
    written: BTreeSet<&'static str>,
}

impl File {
    /// Writes a message after what it is made of, unless it is written.
    fn push_message(&mut self, name: &'static str, doc: &str, first: &[&str], fields: &[FieldInfo]) {
        if !self.written.insert(name) {
            return;
        }
        for field in fields {
            match field.kind {
                FieldKind::Message(inner) => self.push_message(inner, "", &[], field.fields),
                FieldKind::Enum(name, values) => self.push_enum(name, values),
                _ => {}
            }
        }
        self.text.push('\n');
        self.push_comment("", doc);
        let _ = writeln!(self.text, "message {name} {{");
        for line in first {
            let _ = writeln!(self.text, "  {line}");
        }
        for field in fields {
            self.push_comment("  ", field.doc);
            let (label, kind) = (self.reader.label(field), kind(field));
            let _ = writeln!(self.text, "  {label}{kind} {} = {};", field.name, field.number);
        }
        self.text += "}\n";
    }

    fn push_enum(&mut self, name: &'static str, values: &[(i32, &str)]) {
        if !self.written.insert(name) {
            return;
        }
        let _ = writeln!(self.text, "\nenum {name} {{");
        let prefix = value_prefix(name);
        for (number, value) in values {
            let _ = writeln!(self.text, "  {prefix}{} = {number};", value.to_ascii_uppercase());
        }
        self.text += "}\n";
    }

    fn push_comment(&mut self, indent: &str, doc: &str) {
        for line in doc.lines() {
            let _ = writeln!(self.text, "{}", format!("{indent}// {line}").trim_end());
        }
    }
}

fn kind(field: &FieldInfo) -> &'static str {
    match field.kind {
        FieldKind::Int64 => "int64",
        FieldKind::Uint32 => "uint32",
        FieldKind::Bool => "bool",
        FieldKind::Double => "double",
        FieldKind::String => "string",
        FieldKind::Bytes => "bytes",
        FieldKind::Enum(name, _) | FieldKind::Message(name) => name,
    }
}
