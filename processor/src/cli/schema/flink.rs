//! Flink SQL over the record topics: a table for each type as its messages are, and a view with the columns of the lake.

use std::fmt::Write as _;

use weir_contract::{FieldInfo, FieldKind, RecordType};

use super::messages::{Reader, may_be_absent, value_prefix};
use super::{Topics, line};

/// The statements.
pub fn statements(types: &[RecordType], topics: &Topics) -> String {
    let mut text = String::new();
    for record_type in types {
        push_table(&mut text, *record_type, topics);
        push_view(&mut text, *record_type);
    }
    text
}

// A message without a value, which ends a transaction that Kafka had forgotten, would end queries otherwise.
fn push_table(text: &mut String, of: RecordType, topics: &Topics) {
    let info = of.info();
    let (meta, own) = info.meta_and_own();
    let _ = writeln!(text, "CREATE TABLE `{}_messages` (\n  `meta` {},", info.name, row(meta));
    for field in own {
        let _ = writeln!(text, "  `{}` {},", field.name, kind(field));
    }
    let _ = writeln!(
        text,
        "  `ts` AS TO_TIMESTAMP_LTZ(`meta`.`ts_ns` / 1000000, 3),
  `landed_at` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) COMMENT '{}' WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '{}',
  'properties.isolation.level' = 'read_committed',
  'topic' = '{}',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'protobuf',
  'protobuf.ignore-parse-errors' = 'true',
  'protobuf.read-default-values' = 'true',
  'protobuf.message-class-name' = '{}.{}'
);\n",
        quoted(&line(info.doc)),
        quoted(&topics.brokers),
        of.topic(&topics.topic_prefix),
        Reader::Flink.java_package(),
        info.message,
    );
}

fn push_view(text: &mut String, of: RecordType) {
    let info = of.info();
    let (meta, own) = info.meta_and_own();
    let _ = write!(text, "CREATE VIEW `{}` AS SELECT\n  `ts`,\n  `landed_at`", info.name);
    for field in meta {
        let _ = write!(text, ",\n  `meta`.`{0}` AS `{0}`", field.name);
    }
    for field in own {
        let name = field.name;
        let _ = match field.kind {
            FieldKind::Enum(of, _) if !field.repeated => {
                let from = value_prefix(of).len() + 1;
                write!(text, ",\n  LOWER(SUBSTRING(`{name}` FROM {from})) AS `{name}`")
            }
            // There is no such element where there is none at all, which gives NULL.
            _ if may_be_absent(field) => write!(text, ",\n  `{name}`[1] AS `{name}`"),
            _ => write!(text, ",\n  `{name}`"),
        };
    }
    let _ = writeln!(text, "\nFROM `{}_messages`;\n", info.name);
}

/// The type of a field as Flink's protobuf format reads it.
fn kind(field: &FieldInfo) -> String {
    let one = match field.kind {
        FieldKind::Int64 => "BIGINT".to_owned(),
        // Values beyond 2³¹−1 would be negative; where they may occur, the contract has int64.
        FieldKind::Uint32 => "INT".to_owned(),
        FieldKind::Bool => "BOOLEAN".to_owned(),
        FieldKind::Double => "DOUBLE".to_owned(),
        FieldKind::String | FieldKind::Enum(..) => "STRING".to_owned(),
        FieldKind::Bytes => "BYTES".to_owned(),
        FieldKind::Message(_) => row(field.fields),
    };
    if field.repeated || may_be_absent(field) { format!("ARRAY<{one}>") } else { one }
}

fn row(fields: &[FieldInfo]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| format!("`{}` {}", field.name, kind(field))).collect();
    format!("ROW<{}>", fields.join(", "))
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}
