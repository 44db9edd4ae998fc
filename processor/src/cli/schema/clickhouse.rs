//! ClickHouse over the record topics: for each type a table that reads the topic, one that keeps the rows, and the view
//! that carries them from one to the other.

use std::fmt::Write as _;

use weir_contract::{FieldInfo, FieldKind, RecordType};

use super::messages::{may_be_absent, value_prefix};
use super::{MESSAGES, Topics, line};

/// The statements.
pub fn statements(types: &[RecordType], topics: &Topics) -> String {
    let mut text = String::new();
    for record_type in types {
        push_queue(&mut text, *record_type, topics);
        push_table(&mut text, *record_type);
        push_view(&mut text, *record_type);
    }
    text
}

fn push_queue(text: &mut String, of: RecordType, topics: &Topics) {
    let info = of.info();
    let (meta, own) = info.meta_and_own();
    let _ = writeln!(text, "CREATE TABLE `{}_queue` (", info.name);
    // The engine takes `meta_uid` for the field `uid` of the message `meta`.
    let meta = meta.iter().map(|field| format!("  `meta_{}` {}", field.name, kind(field)));
    let columns: Vec<String> =
        meta.chain(own.iter().map(|field| format!("  `{}` {}", field.name, kind(field)))).collect();
    let _ = writeln!(
        text,
        "{}
) ENGINE = Kafka SETTINGS
  kafka_broker_list = '{}',
  kafka_topic_list = '{}',
  kafka_group_name = '{}-clickhouse-{}',
  kafka_format = 'ProtobufSingle',
  kafka_schema = '{MESSAGES}:{}';\n",
        columns.join(",\n"),
        quoted(&topics.brokers),
        of.topic(&topics.topic_prefix),
        topics.topic_prefix,
        info.name.replace('_', "-"),
        info.message,
    );
}

/// Kept by arrival, as the lake is: a sensor with a wrong clock must not make a partition for each of its days. What
/// the engine reads again after a failure has the same identity, and is dropped when parts are merged.
fn push_table(text: &mut String, of: RecordType) {
    let info = of.info();
    let _ = write!(text, "CREATE TABLE `{}` (\n  `ts` DateTime64(6, 'UTC'),\n  `landed_at` DateTime('UTC')", info.name);
    for field in info.fields {
        let (name, kind, doc) = (field.name, kind(field), quoted(&line(field.doc)));
        let _ = write!(text, ",\n  `{name}` {kind} COMMENT '{doc}'");
    }
    let _ = writeln!(
        text,
        "\n) ENGINE = ReplacingMergeTree
PARTITION BY toDate(`landed_at`)
ORDER BY (`ts`, `sensor`, `epoch`, `packet_number`, `uid`, `record_index`)
COMMENT '{}';\n",
        quoted(&line(info.doc)),
    );
}

fn push_view(text: &mut String, of: RecordType) {
    let info = of.info();
    let (meta, own) = info.meta_and_own();
    let _ = write!(
        text,
        "CREATE MATERIALIZED VIEW `{0}_consumer` TO `{0}` AS SELECT
  fromUnixTimestamp64Nano(`meta_ts_ns`, 'UTC') AS `ts`,
  assumeNotNull(`_timestamp`) AS `landed_at`",
        info.name
    );
    for field in meta {
        let _ = write!(text, ",\n  `meta_{0}` AS `{0}`", field.name);
    }
    for field in own {
        let name = field.name;
        let _ = match field.kind {
            FieldKind::Enum(of, _) if !field.repeated => {
                let from = value_prefix(of).len() + 1;
                write!(text, ",\n  lower(substring(`{name}`, {from})) AS `{name}`")
            }
            _ => write!(text, ",\n  `{name}`"),
        };
    }
    let _ = writeln!(text, "\nFROM `{}_queue`;\n", info.name);
}

/// The type of a field, which is NULL where it is absent, and 0 or empty where it goes unsaid.
fn kind(field: &FieldInfo) -> String {
    let one = match field.kind {
        FieldKind::Int64 => "Int64".to_owned(),
        FieldKind::Uint32 => "UInt32".to_owned(),
        FieldKind::Bool => "Bool".to_owned(),
        FieldKind::Double => "Float64".to_owned(),
        FieldKind::String | FieldKind::Enum(..) | FieldKind::Bytes => "String".to_owned(),
        FieldKind::Message(_) => tuple(field.fields),
    };
    match field.repeated {
        true => format!("Array({one})"),
        // A tuple is never NULL.
        false if may_be_absent(field) && !matches!(field.kind, FieldKind::Message(_)) => format!("Nullable({one})"),
        false => one,
    }
}

fn tuple(fields: &[FieldInfo]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| format!("`{}` {}", field.name, kind(field))).collect();
    format!("Tuple({})", fields.join(", "))
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
