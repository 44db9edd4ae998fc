//! Sets of records, from wherever they are, and how they differ.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use prost::Message as _;
use weir_contract::columns::{RecordColumns, write_json_lines};
use weir_contract::{Meta, PacketBatch, RecordType, Selection, topics};
use weir_engine::{Engine, Limits, RecordSink};
use weir_tests::kafka::Kafka;
use weir_tests::messages::Isolation;

/// Differences that are shown in full.
const SHOWN: usize = 10;

/// What tells a record from all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    record_type: &'static str,
    sensor: String,
    epoch: i64,
    packet_number: i64,
    uid: String,
    record_index: u32,
}

/// Records as rows of JSON by their identities, which is what a record's bytes and a row of Parquet can both be
/// brought to. More than one of an identity is an error, which a comparison finds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Records(BTreeMap<Identity, Vec<String>>);

/// Of any record, what all have.
#[derive(Clone, PartialEq, prost::Message)]
struct AnyRecord {
    #[prost(message, optional, tag = "1")]
    meta: Option<Meta>,
}

impl Records {
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// How many types there are.
    pub fn types(&self) -> usize {
        let mut types: Vec<_> = self.0.keys().map(|identity| identity.record_type).collect();
        types.dedup();
        types.len()
    }

    /// Adds those of another place.
    pub fn add(&mut self, others: Self) {
        for (identity, rows) in others.0 {
            self.0.entry(identity).or_default().extend(rows);
        }
    }

    /// Adds records of one type, as they are in topics.
    fn add_wire<'a>(&mut self, record_type: RecordType, records: impl IntoIterator<Item = &'a [u8]>) {
        let mut columns = RecordColumns::new(record_type);
        let mut identities = Vec::new();
        for bytes in records {
            columns.push_wire(bytes).unwrap();
            let meta = AnyRecord::decode(bytes).unwrap().meta.unwrap_or_default();
            identities.push(Identity {
                record_type: record_type.name(),
                sensor: meta.sensor,
                epoch: meta.epoch,
                packet_number: meta.packet_number,
                uid: meta.uid,
                record_index: meta.record_index,
            });
        }
        let mut text = Vec::new();
        write_json_lines(&columns.finish().unwrap(), None, &mut text).unwrap();
        let rows = String::from_utf8(text).unwrap();
        assert_eq!(rows.lines().count(), identities.len());
        for (identity, row) in identities.into_iter().zip(rows.lines()) {
            self.0.entry(identity).or_default().push(row.to_owned());
        }
    }

    /// Adds the rows of a Parquet file.
    fn add_parquet(&mut self, record_type: RecordType, file: Vec<u8>) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap().build().unwrap();
        for batch in reader {
            let mut text = Vec::new();
            write_json_lines(&batch.unwrap(), None, &mut text).unwrap();
            for row in String::from_utf8(text).unwrap().lines() {
                let fields: serde_json::Value = serde_json::from_str(row).unwrap();
                let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
                let number = |name: &str| fields[name].as_i64().unwrap();
                let identity = Identity {
                    record_type: record_type.name(),
                    sensor: text("sensor"),
                    epoch: number("epoch"),
                    packet_number: number("packet_number"),
                    uid: text("uid"),
                    record_index: u32::try_from(number("record_index")).unwrap(),
                };
                self.0.entry(identity).or_default().push(row.to_owned());
            }
        }
    }

    /// What `weir decode --format proto` wrote to a folder.
    pub fn of_folder(folder: &Path) -> Self {
        let mut records = Self::default();
        for info in RecordType::all() {
            let Ok(file) = std::fs::read(folder.join(info.name).with_extension("pb")) else { continue };
            let mut rest = file.as_slice();
            let mut of_type = Vec::new();
            while !rest.is_empty() {
                let length = prost::decode_length_delimiter(&mut rest).unwrap();
                let (record, behind) = rest.split_at(length);
                of_type.push(record);
                rest = behind;
            }
            records.add_wire(info.record_type, of_type);
        }
        records
    }

    /// What engines of this process make of batches, as a processor has to take them: each once, in order, none
    /// missing.
    pub fn of_batches(batches: impl IntoIterator<Item = PacketBatch>, partitions: u32, records: &str) -> Self {
        let selection = Selection::parse(records).unwrap();
        let engine = |_| Engine::new(0, Limits::per_partition(partitions), selection);
        let mut engines: Vec<Engine> = (0..partitions).map(engine).collect();
        let mut last = BTreeMap::new();
        let mut written = Written::default();
        for batch in batches {
            let last = last.entry((batch.sensor.clone(), batch.epoch, batch.partition)).or_insert(0);
            if batch.sequence <= *last {
                continue;
            }
            assert_eq!(batch.sequence, *last + 1, "batches are missing");
            *last = batch.sequence;
            engines[usize::try_from(batch.partition).unwrap()].push(&batch, &mut written).unwrap();
        }
        let mut records = Self::default();
        for (record_type, bytes) in written.0 {
            records.add_wire(record_type, [bytes.as_slice()]);
        }
        records
    }

    /// The same of the messages of `weir-packets`.
    pub fn of_packets(kafka: &Kafka, prefix: &str, records: &str) -> Self {
        let topic = topics::packets(prefix);
        let (_, partitions) = kafka.topics().into_iter().find(|(name, _)| *name == topic).unwrap();
        let batches = kafka.messages(&[&topic], Isolation::Committed).into_iter().map(|message| {
            let batch = PacketBatch::decode(message.value.unwrap().as_slice()).unwrap();
            assert_eq!((message.key, i32::try_from(batch.partition).unwrap()), (None, message.partition));
            batch
        });
        Self::of_batches(batches, u32::try_from(partitions).unwrap(), records)
    }

    /// What committed transactions wrote to the record topics with a prefix.
    pub fn of_topics(kafka: &Kafka, prefix: &str) -> Self {
        let mut records = Self::default();
        let existing = kafka.topics();
        for info in RecordType::all() {
            let topic = info.record_type.topic(prefix);
            if !existing.iter().any(|(name, _)| *name == topic) {
                continue;
            }
            let messages = kafka.messages(&[&topic], Isolation::Committed);
            assert!(messages.iter().all(|message| message.key.is_none()), "records in {topic} have keys");
            // Those without a value ended transactions that Kafka had forgotten.
            let values = messages.iter().filter_map(|message| message.value.as_deref());
            records.add_wire(info.record_type, values);
        }
        records
    }

    /// What is in a lake: a folder in which each object is a file.
    pub fn of_lake(lake: &Path) -> Self {
        let mut records = Self::default();
        for info in RecordType::all() {
            let mut folders = vec![lake.join(info.name)];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).into_iter().flatten() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                    } else if path.extension().is_some_and(|extension| extension == "parquet") {
                        records.add_parquet(info.record_type, std::fs::read(path).unwrap());
                    }
                }
            }
        }
        records
    }

    /// How these differ from what should be.
    pub fn differences(&self, expected: &Self) -> Differences {
        let mut differences = Differences::default();
        for (identity, should) in &expected.0 {
            assert_eq!(should.len(), 1, "two records have one identity: {identity:?}");
            match self.0.get(identity).map(Vec::as_slice) {
                None => differences.note(|counts| &mut counts.lost, identity, "lost", &should[0]),
                Some([is]) if *is == should[0] => {}
                Some([is]) => {
                    let both = format!("is     {is}\n  should {}", should[0]);
                    differences.note(|counts| &mut counts.changed, identity, "changed", &both);
                }
                Some(many) => {
                    for more in &many[1..] {
                        differences.note(|counts| &mut counts.duplicated, identity, "duplicated", more);
                    }
                }
            }
        }
        for (identity, rows) in &self.0 {
            if !expected.0.contains_key(identity) {
                for row in rows {
                    differences.note(|counts| &mut counts.invented, identity, "invented", row);
                }
            }
        }
        differences
    }
}

#[derive(Default)]
struct Written(Vec<(RecordType, Vec<u8>)>);

impl RecordSink for Written {
    fn record(&mut self, record_type: RecordType, bytes: &[u8]) {
        self.0.push((record_type, bytes.to_vec()));
    }
}

/// How records differ from what should be. Displayed as counts and the first of what differs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Records that should be there and aren't.
    pub lost: usize,
    /// Records that are there more than once: each time more.
    pub duplicated: usize,
    /// Records with another content.
    pub changed: usize,
    /// Records that shouldn't be there at all.
    pub invented: usize,
    examples: Vec<String>,
}

impl Differences {
    pub fn none(&self) -> bool {
        *self == Self::default()
    }

    fn note(&mut self, count: impl Fn(&mut Self) -> &mut usize, identity: &Identity, what: &str, row: &str) {
        *count(self) += 1;
        if *count(self) <= SHOWN {
            self.examples.push(format!("{what}: {}\n  {row}", identity.record_type));
        }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, duplicated, changed, invented, examples } = self;
        write!(out, "lost {lost}, duplicated {duplicated}, changed {changed}, invented {invented}")?;
        examples.iter().try_for_each(|example| write!(out, "\n{example}"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use weir_tests::process::{Scratch, binary};

    use super::*;

    const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/office.pcapng");

    fn decode(format: &str, scratch: &Scratch) -> Records {
        let folder = scratch.path().join(format);
        let mut decode = Command::new(binary("weir"));
        decode.args(["decode", CAPTURE, "--records", "all", "--format", format, "--out"]).arg(&folder);
        assert!(decode.output().unwrap().status.success());
        match format {
            "proto" => Records::of_folder(&folder),
            _ => {
                // As they lie in a lake.
                for info in RecordType::all() {
                    let file = folder.join(info.name).with_extension("parquet");
                    if file.exists() {
                        std::fs::create_dir(folder.join(info.name)).unwrap();
                        std::fs::rename(file, folder.join(info.name).join("0.parquet")).unwrap();
                    }
                }
                Records::of_lake(&folder)
            }
        }
    }

    #[test]
    fn rows_of_parquet_and_bytes_of_records_compare_as_equal() {
        let scratch = Scratch::new("records");
        let (bytes, rows) = (decode("proto", &scratch), decode("parquet", &scratch));
        assert!(bytes.types() > 15 && bytes.count() > 5000, "{} types, {} records", bytes.types(), bytes.count());
        let differences = rows.differences(&bytes);
        assert!(differences.none(), "{differences}");
    }

    #[test]
    fn each_kind_of_difference_is_found() {
        let expected = decode("proto", &Scratch::new("records"));
        let mut wrong = expected.clone();
        let identities: Vec<Identity> = wrong.0.keys().take(3).cloned().collect();
        wrong.0.remove(&identities[0]);
        wrong.0.get_mut(&identities[1]).unwrap().push("again".to_owned());
        wrong.0.insert(identities[2].clone(), vec!["changed".to_owned()]);
        wrong.0.insert(Identity { uid: "nobody".to_owned(), ..identities[0].clone() }, vec!["invented".to_owned()]);
        let Differences { lost, duplicated, changed, invented, .. } = wrong.differences(&expected);
        assert_eq!((lost, duplicated, changed, invented), (1, 1, 1, 1));
        assert!(expected.differences(&expected).none());
    }
}
