//! Messages of one file, from their bytes to columns to Parquet, in memory.

use std::io;

use weir_contract::RecordType;
use weir_contract::columns::{Malformed, Reason, RecordColumns, fingerprint};

use super::chain::Open;
use super::link::{Link, Log};
use crate::output::ParquetGroups;

/// Bytes in columns that become a row group: tens of thousands of rows. Most files end before, and have one. Half as
/// much made records 3 % dearer and files 1 % larger; twice as much changed neither.
const GROUP_BYTES: usize = 32 << 20;

/// Bytes in columns for one in a file, at least: 7 for connections, 15 for DNS.
const COMPRESSION: usize = 7;

/// A file under construction.
pub struct File {
    record_type: RecordType,
    columns: RecordColumns,
    parquet: Option<ParquetGroups>,
    rows: u64,
}

/// Why a message is not in the file.
#[derive(Debug)]
pub enum Refusal {
    /// It is no record of the type.
    Malformed(Malformed),
    /// It has a field that this release doesn't know.
    Unknown(Malformed),
    /// Parquet can't be written, which would be a mistake of ours.
    Encoding(io::Error),
}

impl File {
    /// No message yet. Fields that this release does not know are dropped, or a reason to refuse the message.
    pub fn new(record_type: RecordType, drop_unknown_fields: bool) -> Self {
        let columns = RecordColumns::new(record_type);
        let columns = if drop_unknown_fields { columns } else { columns.known_only() };
        Self { record_type, columns, parquet: None, rows: 0 }
    }

    /// Adds a message.
    pub fn push(&mut self, message: &[u8]) -> Result<(), Refusal> {
        match self.columns.push_wire(message) {
            Ok(()) => self.rows += 1,
            Err(malformed) if malformed.reason == Reason::UnknownField => return Err(Refusal::Unknown(malformed)),
            Err(malformed) => return Err(Refusal::Malformed(malformed)),
        }
        if self.columns.bytes() >= GROUP_BYTES {
            self.encode().map_err(Refusal::Encoding)?;
        }
        Ok(())
    }

    /// About how large it would be if it ended now.
    pub fn size(&self) -> usize {
        self.columns.bytes() / COMPRESSION + self.encoded()
    }

    /// Bytes it takes in memory: what is in columns, and what is encoded.
    pub fn memory(&self) -> usize {
        self.columns.allocated() + self.encoded()
    }

    fn encoded(&self) -> usize {
        self.parquet.as_ref().map_or(0, ParquetGroups::bytes)
    }

    fn encode(&mut self) -> io::Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let batch = self.columns.finish().map_err(io::Error::other)?;
        self.parquet()?.write(batch)
    }

    fn parquet(&mut self) -> io::Result<&mut ParquetGroups> {
        if self.parquet.is_none() {
            self.parquet = Some(ParquetGroups::new(self.record_type)?);
        }
        self.parquet.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The whole file, and what it says of itself. One without a record is whole too: it says that the messages it
/// stands for are none.
///
/// # Errors
///
/// Parquet can't be written, which would be a mistake of ours.
pub fn finish(open: Open<File>, log: &Log) -> io::Result<(Vec<u8>, Link)> {
    let Open { from, first, last, crc, mut file, .. } = open;
    let fingerprint = fingerprint(file.record_type);
    let link = Link { log: log.clone(), from, first, last, rows: file.rows, fingerprint, crc };
    file.encode()?;
    file.parquet()?;
    let Some(parquet) = file.parquet else { return Err(io::ErrorKind::NotFound.into()) };
    Ok((parquet.finish(link.footer())?, link))
}

#[cfg(test)]
pub mod tests {
    use std::ops::Range;

    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use prost::Message as _;
    use weir_contract::{Meta, record::Ntp};

    use super::*;
    use crate::sink::link::Hour;

    pub fn log() -> Log {
        Log { cluster: "cluster".into(), incarnation: "incarnation".into() }
    }

    /// A record that tells its offset.
    pub fn record(offset: i64) -> Vec<u8> {
        let meta = Meta { packet_number: offset, ts_ns: offset * 1000, ..Meta::default() };
        Ntp { meta: Some(meta), version: 4, ..Ntp::default() }.encode_to_vec()
    }

    /// A file of the messages with these offsets.
    pub fn file_of(log: &Log, offsets: Range<i64>) -> (Vec<u8>, Link) {
        let mut file = File::new(RecordType::Ntp, false);
        for offset in offsets.clone() {
            file.push(&record(offset)).unwrap();
        }
        let crc = crc32fast::hash(&record(offsets.start));
        let (first, last) = (offsets.start, offsets.end - 1);
        finish(Open { hour: Hour::of(0), from: first, first, last, crc, file }, log).unwrap()
    }

    /// The offsets that the records of a file tell.
    pub fn offsets(body: Vec<u8>) -> Vec<i64> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(body)).unwrap().build().unwrap();
        reader
            .map(Result::unwrap)
            .flat_map(|batch| {
                let numbers = batch.column_by_name("packet_number").unwrap().as_primitive::<Int64Type>();
                numbers.values().to_vec()
            })
            .collect()
    }

    #[test]
    fn a_file_holds_what_was_pushed_and_says_so_in_its_footer() {
        let (body, link) = file_of(&log(), 10..300_000);
        assert_eq!((link.first, link.last, link.rows), (10, 299_999, 299_990));
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), &body).unwrap();
        let pairs = crate::output::footer(path.as_file()).unwrap();
        assert_eq!(Link::read_footer(&pairs), Some(link));
        assert!(pairs.contains(&("weir.record_type".into(), "ntp".into())));
        assert_eq!(pairs.iter().filter(|pair| pair.0 == "weir.schema_fingerprint").count(), 1);
        assert_eq!(offsets(body), (10..300_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_that_is_no_record_leaves_no_trace() {
        let mut file = File::new(RecordType::Ntp, false);
        file.push(&record(1)).unwrap();
        assert!(matches!(file.push(&[0x0a, 200]), Err(Refusal::Malformed(_))));
        let newer = [record(2), vec![0xf8, 0xff, 0x01, 1]].concat();
        assert!(matches!(file.push(&newer), Err(Refusal::Unknown(_))));
        file.push(&record(3)).unwrap();
        let open = Open { hour: Hour::of(0), from: 1, first: 1, last: 3, crc: 0, file };
        assert_eq!(offsets(finish(open, &log()).unwrap().0), [1, 3]);
        let mut tolerant = File::new(RecordType::Ntp, true);
        tolerant.push(&newer).unwrap();
        assert_eq!(tolerant.rows, 1);
    }

    #[test]
    fn a_file_without_records_is_whole() {
        let file = File::new(RecordType::Ntp, false);
        let open = Open { hour: Hour::of(0), from: 1, first: 1, last: 3, crc: 0, file };
        let (body, link) = finish(open, &log()).unwrap();
        assert_eq!((link.rows, offsets(body)), (0, Vec::new()));
    }

    #[test]
    fn memory_is_counted_before_and_after_rows_become_parquet() {
        let mut file = File::new(RecordType::Ntp, false);
        let empty = file.memory();
        assert!(empty < 1000, "{empty}");
        let mut in_columns = 0;
        let mut offset = 0;
        while file.memory() >= in_columns {
            in_columns = file.memory();
            file.push(&record(offset)).unwrap();
            offset += 1;
        }
        assert!(in_columns > 28 << 20, "{in_columns}");
        assert!(file.columns.is_empty() && file.memory() > 10_000, "{}", file.memory());
        assert!(file.size() < in_columns / 7 && file.size() <= file.memory(), "{} of {in_columns}", file.size());
    }
}
