//! `weir records`: what record types there are, and what their fields mean.

use std::io::Write as _;

use weir_contract::{FieldInfo, FieldKind, RecordInfo, RecordType, Selection};

#[derive(clap::Args)]
pub struct Arguments {
    /// Show the fields of this type.
    #[arg(value_name = "TYPE")]
    record_type: Option<String>,
}

/// Prints the list of types, or one type.
pub fn print(out: &mut Vec<u8>, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.record_type {
        None => print_list(out),
        Some(name) => {
            let known = |info: &&RecordInfo| info.name == name.replace('-', "_") || info.message == name;
            let Some(info) = RecordType::all().iter().find(known) else {
                // A group is no type: the selection knows both, and says what is near.
                let nearest = Selection::parse(name).err().map(|error| error.nearest);
                let nearest = nearest.map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"));
                anyhow::bail!("no record type is called `{name}`{nearest}");
            };
            print_type(out, info)
        }
    }
}

fn print_list(out: &mut Vec<u8>) -> anyhow::Result<()> {
    let width = RecordType::all().iter().map(|info| info.name.len()).max().unwrap_or_default();
    for info in RecordType::all() {
        let default = if info.opt_in { " " } else { "*" };
        let groups = info.groups.join(",");
        writeln!(out, "{default} {:width$}  {groups:24}  {}", info.name, first_sentence(info.doc))?;
    }
    writeln!(out, "\n* selected by default. Others by name or group: --records +tcp,+packet-layers")?;
    writeln!(out, "Groups: {}", Selection::groups().join(", "))?;
    Ok(())
}

fn print_type(out: &mut Vec<u8>, info: &RecordInfo) -> anyhow::Result<()> {
    let selected = if info.opt_in { "only when selected" } else { "by default" };
    writeln!(out, "{} ({})\n\n{}\n", info.name, info.message, info.doc)?;
    writeln!(
        out,
        "Written {selected}. Groups: {}. Topic: {}\n",
        info.groups.join(", "),
        info.record_type.topic("weir")
    )?;
    print_fields(out, info.fields, 0)
}

fn print_fields(out: &mut Vec<u8>, fields: &[FieldInfo], depth: usize) -> anyhow::Result<()> {
    let indent = "  ".repeat(depth);
    for field in fields {
        writeln!(out, "{indent}{}: {}", field.name, type_name(field))?;
        for line in textwrap(field.doc, 96 - 2 * depth) {
            writeln!(out, "{indent}    {line}")?;
        }
        print_fields(out, field.fields, depth + 2)?;
    }
    Ok(())
}

/// The type as the contract names it: what its column in Parquet is called depends on the reader.
pub(super) fn type_name(field: &FieldInfo) -> String {
    let one = match field.kind {
        FieldKind::Int64 => "int64".to_owned(),
        FieldKind::Uint32 => "uint32".to_owned(),
        FieldKind::Bool => "bool".to_owned(),
        FieldKind::Double => "double".to_owned(),
        FieldKind::String => "string".to_owned(),
        FieldKind::Bytes => "bytes".to_owned(),
        FieldKind::Enum(values) => format!("string, one of {} values", values.len()),
        FieldKind::Message(name) => name.to_owned(),
    };
    let unit = unit(field.name).map_or(String::new(), |unit| format!(", {unit}"));
    let absent = if field.optional { ", may be absent" } else { "" };
    if field.repeated { format!("list of {one}{unit}") } else { format!("{one}{unit}{absent}") }
}

/// Units are suffixes of names.
fn unit(name: &str) -> Option<&'static str> {
    let units = [("_ns", "ns"), ("_bytes", "bytes"), ("_ratio", "ratio"), ("_log2", "log2 of seconds")];
    units.into_iter().find(|(suffix, _)| name.ends_with(suffix)).map(|(_, unit)| unit)
}

pub(super) fn first_sentence(text: &str) -> String {
    let line = text.replace('\n', " ");
    let end = line.find(". ").map_or(line.len(), |at| at + 1);
    line.get(..end).unwrap_or_default().to_owned()
}

/// Breaks text into lines of at most `width` letters, between words.
fn textwrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, String::len);
        if line > 0 && line + 1 + word.len() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
