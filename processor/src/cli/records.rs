//! `weir records`: what record types there are, and what their fields mean.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::anyhow;
use weir_contract::{FieldInfo, FieldKind, RecordInfo, RecordType, Selection};

use super::to_stdout;
use crate::terminal;

/// Width of text about fields where there is no terminal.
const WIDTH: usize = 100;

/// Columns before what is said about a field.
const INDENT: usize = 4;

const ABOUT: &str = "\
* written by default; others by name or group: --records +tcp,+packet-layers
  Groups: those above, `default` and `all`
  The fields of a type: weir records TYPE
";

const TS: &str = "`ts_ns` as a timestamp, rounded down to microseconds; protobuf goes without.";

#[derive(clap::Args)]
pub struct Arguments {
    /// Show the fields of this type.
    #[arg(value_name = "TYPE")]
    record_type: Option<String>,
}

/// Prints the list of types, or one type.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    let columns = terminal::columns(&io::stdout());
    match &arguments.record_type {
        // In a pipe each type has a line, for those who search it.
        None => print_list(&mut text, columns.unwrap_or(usize::MAX))?,
        Some(name) => print_type(&mut text, find(name)?, columns.unwrap_or(WIDTH))?,
    }
    Ok(to_stdout(&text))
}

/// The type of a name, as the command line has it or the contract.
fn find(name: &str) -> anyhow::Result<&'static RecordInfo> {
    let known = |info: &&RecordInfo| info.name == name.replace('-', "_") || info.message == name;
    RecordType::all().iter().find(known).ok_or_else(|| {
        // A group is no type: the selection knows both, and says what is near.
        let nearest = Selection::parse(name).err().map(|error| error.nearest);
        let nearest = nearest.map_or(";".to_owned(), |nearest| format!("; did you mean `{nearest}`?"));
        anyhow!("no record type is called `{name}`{nearest} `weir records` lists them")
    })
}

fn print_list(out: &mut Vec<u8>, columns: usize) -> anyhow::Result<()> {
    let width = RecordType::all().iter().map(|info| info.name.len()).max().unwrap_or_default();
    let mut kinds: Vec<&[&str]> = Vec::new();
    let (opt_in, default): (Vec<_>, Vec<_>) = RecordType::all().iter().partition(|info| info.opt_in);
    for info in default.into_iter().chain(opt_in) {
        if !kinds.contains(&info.groups) {
            kinds.push(info.groups);
        }
    }
    for groups in kinds {
        writeln!(out, "{}", groups.join(", "))?;
        for info in RecordType::all().iter().filter(|info| info.groups == groups) {
            let default = if info.opt_in { ' ' } else { '*' };
            let mut name = info.name;
            for line in wrapped(&without_sources(&first_sentence(info.doc)), columns.saturating_sub(width + 6)) {
                let mark = if name.is_empty() { ' ' } else { default };
                writeln!(out, "  {mark} {name:width$}  {line}")?;
                name = "";
            }
        }
        writeln!(out)?;
    }
    Ok(write!(out, "{ABOUT}")?)
}

fn print_type(out: &mut Vec<u8>, info: &RecordInfo, columns: usize) -> anyhow::Result<()> {
    writeln!(out, "{}\n", info.name)?;
    for paragraph in info.doc.split("\n\n") {
        wrapped(paragraph, columns).iter().try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out)?;
    }
    let selected = if info.opt_in { "when selected" } else { "by default" };
    let (groups, topic) = (info.groups.join(", "), info.record_type.topic("weir"));
    let about = format!("Written {selected}. Groups: {groups}. Message: {}. Topic: {topic}.", info.message);
    wrapped(&about, columns).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    let (shared, own) = info.meta_and_own();
    writeln!(out, "\nFields:\n")?;
    print_fields(out, own, 0, columns)?;
    writeln!(out, "\nFields of every record:\n")?;
    print_field(out, "ts: timestamp, UTC", TS, 0, columns)?;
    print_fields(out, shared, 0, columns)
}

fn print_fields(out: &mut Vec<u8>, fields: &[FieldInfo], indent: usize, columns: usize) -> anyhow::Result<()> {
    for field in fields {
        let mut about = field.doc.to_owned();
        if let FieldKind::Enum(_, values) = field.kind {
            let names: Vec<_> = values.iter().map(|(_, name)| format!("`{name}`")).collect();
            about = format!("{about} One of {}.", names.join(", "));
        }
        print_field(out, &format!("{}: {}", field.name, type_name(field)), &about, indent, columns)?;
        print_fields(out, field.fields, indent + 2 * INDENT, columns)?;
    }
    Ok(())
}

fn print_field(out: &mut Vec<u8>, heading: &str, about: &str, indent: usize, columns: usize) -> anyhow::Result<()> {
    writeln!(out, "{:indent$}{heading}", "")?;
    let indent = indent + INDENT;
    for line in wrapped(about, columns.saturating_sub(indent)) {
        writeln!(out, "{:indent$}{line}", "")?;
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
        FieldKind::Enum(_, values) => format!("string, one of {} values", values.len()),
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

/// A sentence without what stands in parentheses, which is where it comes from.
fn without_sources(sentence: &str) -> String {
    let mut out = String::new();
    let mut depth = 0usize;
    for letter in sentence.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            letter if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    let words: Vec<_> = out.split_whitespace().collect();
    words.join(" ").replace(" ,", ",").replace(" .", ".").replace(" ;", ";").replace(" :", ":")
}

/// Breaks text into lines of at most `width` letters, between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width {
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
