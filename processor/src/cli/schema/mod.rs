//! `weir schema`: what other programs need to read the records.

mod clickhouse;
mod flink;
mod messages;

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{anyhow, bail};
use clap::Subcommand;
use serde_json::{Map, Value};
use weir_contract::{
    DESCRIPTORS, RecordType, Selection,
    columns::{arrow_schema_json, json_schema},
    topics::{DEFAULT_PREFIX, check_prefix},
};

use super::{selection, to_stdout};
use messages::Reader;

/// The file with the messages, beside the one with the statements.
const MESSAGES: &str = "weir.proto";
const STATEMENTS: &str = "weir.sql";

#[derive(Subcommand)]
pub enum Command {
    /// Write the schema of the records for programs that read them.
    #[command(subcommand)]
    Export(Export),
}

#[derive(Subcommand)]
pub enum Export {
    /// Protobuf: a FileDescriptorSet of all messages, as protoc, Spark and Flink read it.
    #[command(after_help = "\
Examples:
  weir schema export descriptor -o weir.desc
  protoc --descriptor_set_in=weir.desc --decode=weir.v1.Dns weir/v1/records/dns.proto < one-record")]
    Descriptor {
        /// File to write; `-` is the standard output.
        #[arg(short, long, value_name = "FILE|-", default_value = "-")]
        out: PathBuf,
    },
    /// Protobuf: the messages of record types as one file, for protoc.
    #[command(after_help = "\
Examples:
  weir schema export proto -o weir.proto && protoc --python_out=. weir.proto
  weir schema export proto -r dns | less")]
    Proto {
        /// Record types, as for `weir decode`.
        #[arg(short, long, value_name = "SELECTION", default_value = "all", allow_hyphen_values = true)]
        records: String,

        /// File to write; `-` is the standard output.
        #[arg(short, long, value_name = "FILE|-", default_value = "-")]
        out: PathBuf,
    },
    /// Flink SQL: tables over the topics, views with the columns of the lake, and the messages to make classes of.
    #[command(after_help = "See docs/readers/flink.md.")]
    Flink(Topics),
    /// ClickHouse: tables that read the topics, tables that keep the rows, and the messages.
    #[command(after_help = "See docs/readers/clickhouse.md.")]
    Clickhouse(Topics),
    /// Arrow: names and types of the columns, as JSON.
    Arrow(Types),
    /// JSON Schema (draft 2020-12) of the lines that `weir decode --format json` writes.
    Json(Types),
}

#[derive(clap::Args)]
pub struct Types {
    /// Record types, as for `weir decode`.
    #[arg(short, long, value_name = "SELECTION", default_value = "all", allow_hyphen_values = true)]
    records: String,

    /// Folder for the schemas, one file for each type; `-` is the standard output, which takes the schema
    /// of one type, or an object with those of several.
    #[arg(short, long, value_name = "DIR|-", default_value = "-")]
    out: PathBuf,
}

/// The topics that the statements are about.
#[derive(clap::Args)]
pub struct Topics {
    /// Record types, as for `weir decode`.
    #[arg(short, long, value_name = "SELECTION", default_value = "default", allow_hyphen_values = true)]
    records: String,

    /// Brokers, as host:port with commas between, as the reader of the topics reaches them.
    #[arg(
        long,
        value_name = "HOST:PORT,…",
        env = "WEIR_KAFKA_BROKERS",
        hide_env = true,
        default_value = "localhost:9092"
    )]
    brokers: String,

    /// What the names of all topics begin with.
    #[arg(long, value_name = "NAME", env = "WEIR_KAFKA_TOPIC_PREFIX", hide_env = true, default_value = DEFAULT_PREFIX)]
    topic_prefix: String,

    /// Folder for the statements (weir.sql) and the messages (weir.proto).
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Export(export) = command;
    match export {
        Export::Descriptor { out } if is_stdout(out) && io::stdout().is_terminal() => {
            bail!("a descriptor set is no text for a terminal: pipe it, or write a file with --out")
        }
        Export::Descriptor { out } if is_stdout(out) => Ok(to_stdout(DESCRIPTORS)),
        Export::Descriptor { out } => write(out, DESCRIPTORS),
        Export::Proto { records, out } => {
            let types: Vec<_> = selection(records)?.types().collect();
            let text = messages::file(&types, Reader::Any);
            if is_stdout(out) { Ok(to_stdout(text.as_bytes())) } else { write(out, text.as_bytes()) }
        }
        Export::Flink(topics) => topics.export(Reader::Flink, flink::statements),
        Export::Clickhouse(topics) => topics.export(Reader::Any, clickhouse::statements),
        Export::Arrow(types) => types.export("arrow.json", arrow_schema_json),
        Export::Json(types) => types.export("schema.json", json_schema),
    }
}

impl Topics {
    fn export(&self, reader: Reader, statements: impl Fn(&[RecordType], &Self) -> String) -> anyhow::Result<ExitCode> {
        check_prefix(&self.topic_prefix).map_err(|wrong| anyhow!(wrong))?;
        let types: Vec<_> = selection(&self.records)?.types().collect();
        fs::create_dir_all(&self.out).map_err(|error| failed(&self.out, &error))?;
        write(&self.out.join(MESSAGES), messages::file(&types, reader).as_bytes())?;
        write(&self.out.join(STATEMENTS), statements(&types, self).as_bytes())
    }
}

impl Types {
    fn export(&self, ending: &str, schema: impl Fn(RecordType) -> Value) -> anyhow::Result<ExitCode> {
        let types: Vec<_> = Selection::parse(&self.records)?.types().collect();
        if !is_stdout(&self.out) {
            fs::create_dir_all(&self.out).map_err(|error| failed(&self.out, &error))?;
            for record_type in types {
                let path = self.out.join(format!("{}.{ending}", record_type.name()));
                write(&path, &pretty(&schema(record_type))?)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let printed = match types.as_slice() {
            [one] => schema(*one),
            several => {
                let of_type = |of: &RecordType| (of.name().to_owned(), schema(*of));
                Value::Object(several.iter().map(of_type).collect::<Map<_, _>>())
            }
        };
        Ok(to_stdout(&pretty(&printed)?))
    }
}

/// Text of several lines as one.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

fn pretty(schema: &Value) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(schema)?;
    text.push(b'\n');
    Ok(text)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<ExitCode> {
    fs::write(path, bytes).map_err(|error| failed(path, &error))?;
    Ok(ExitCode::SUCCESS)
}

fn failed(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("{}: writing failed: {error}; choose another place with --out", path.display())
}
