//! One file of the lake: where it stands, and what it says of itself.

use std::fmt;

use arrow::temporal_conversions::timestamp_s_to_datetime;
use weir_contract::RecordType;

/// The file's extension, with the dot.
pub const EXTENSION: &str = ".parquet";

/// A partition of a record topic: its files form one chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    pub record_type: RecordType,
    pub topic: String,
    pub partition: i32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partition {}", self.topic, self.partition)
    }
}

/// The hour in which the broker appended a message, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour(i64);

/// The last hour of the year 9999: later ones would not stand in the order of their folders' names.
const HOUR_MAX: i64 = 70_389_527;

impl Hour {
    /// Milliseconds of an hour.
    pub const MS: i64 = 3_600_000;

    /// The hour of a message, given its time in milliseconds since 1970.
    pub fn of(append_ms: i64) -> Self {
        Self(append_ms.div_euclid(Self::MS).clamp(0, HOUR_MAX))
    }

    /// So many hours earlier.
    pub fn before(self, hours: i64) -> Self {
        Self(self.0.saturating_sub(hours).max(0))
    }

    /// When it ends, in milliseconds since 1970.
    pub fn end_ms(self) -> i64 {
        (self.0 + 1) * Self::MS
    }

    /// Its folder: `landed_date=2026-11-23/landed_hour=14`.
    fn folder(self) -> String {
        let time = timestamp_s_to_datetime(self.0 * 3600).unwrap_or_default();
        time.format("landed_date=%Y-%m-%d/landed_hour=%H").to_string()
    }
}

/// The folder of a record type, under which all its files stand.
pub fn type_folder(record_type: RecordType) -> String {
    format!("{}/", record_type.name())
}

/// The key behind which the files of a record type stand that begin in this hour or later.
pub fn hour_key(record_type: RecordType, hour: Hour) -> String {
    format!("{}{}/", type_folder(record_type), hour.folder())
}

/// The key of the file whose first message has this offset and was appended in this hour. Whoever begins a
/// file there begins the same one, however it ends: so that only one of them can be.
pub fn key(source: &Source, hour: Hour, first: i64) -> String {
    let Source { record_type, topic, partition } = source;
    format!("{}{topic}+{partition}+{first:020}{EXTENSION}", hour_key(*record_type, hour))
}

/// What a key says: the partition, and the first offset. None if no sink gave that name.
pub fn read_key(key: &str) -> Option<(Source, i64)> {
    let (folder, name) = key.rsplit_once('/')?;
    let record_type = RecordType::from_name(folder.split('/').next()?)?;
    let mut parts = name.strip_suffix(EXTENSION)?.split('+');
    let (topic, partition, first) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    if parts.next().is_some() || first.len() != 20 {
        return None;
    }
    Some((Source { record_type, topic: topic.to_owned(), partition }, first.parse().ok()?))
}

/// The log that a partition's messages come from. Offsets of different logs have nothing to do with each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Log {
    /// Id of the Kafka cluster.
    pub cluster: String,
    /// Id that the topic got when it was created; empty where that is not known.
    pub incarnation: String,
}

impl Log {
    /// Whether both may be the same log: an incarnation that is not known is no contradiction.
    pub fn may_be(&self, other: &Self) -> bool {
        let known = !self.incarnation.is_empty() && !other.incarnation.is_empty();
        self.cluster == other.cluster && (!known || self.incarnation == other.incarnation)
    }
}

/// What a file says of itself: in its footer, and in the metadata of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub log: Log,
    /// Offset from which its writer read: one behind the last of the file before, unless messages are missing.
    pub from: i64,
    /// Offset of its first message.
    pub first: i64,
    /// Offset of its last message.
    pub last: i64,
    /// Records.
    pub rows: u64,
    /// Fingerprint of its columns.
    pub fingerprint: String,
    /// CRC-32 of its first message.
    pub crc: u32,
}

impl Link {
    /// Names and values of what there is to say, as they stand in the object's metadata behind `weir-`.
    pub fn pairs(&self) -> [(&'static str, String); 8] {
        [
            ("cluster", self.log.cluster.clone()),
            ("incarnation", self.log.incarnation.clone()),
            ("from", self.from.to_string()),
            ("first", self.first.to_string()),
            ("last", self.last.to_string()),
            ("rows", self.rows.to_string()),
            ("schema-fingerprint", self.fingerprint.clone()),
            ("crc", format!("{:08x}", self.crc)),
        ]
    }

    /// The same as they stand in a footer: `weir.schema_fingerprint`. That one is in every Parquet file of ours.
    pub fn footer(&self) -> impl Iterator<Item = (String, String)> {
        let others = self.pairs().into_iter().filter(|(name, _)| *name != "schema-fingerprint");
        others.map(|(name, value)| (footer_key(name), value))
    }

    /// What a footer says.
    pub fn read_footer(pairs: &[(String, String)]) -> Option<Self> {
        Self::read(|name| {
            let key = footer_key(name);
            pairs.iter().find(|pair| pair.0 == key).map(|(_, value)| value.as_str())
        })
    }

    /// What the pairs say; none if one is missing (an empty incarnation may) or they can't be.
    pub fn read<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let offset = |name| value(name)?.parse().ok().filter(|offset| *offset >= 0);
        let link = Self {
            log: Log {
                cluster: value("cluster")?.to_owned(),
                incarnation: value("incarnation").unwrap_or_default().to_owned(),
            },
            from: offset("from")?,
            first: offset("first")?,
            last: offset("last")?,
            rows: value("rows")?.parse().ok()?,
            fingerprint: value("schema-fingerprint")?.to_owned(),
            crc: u32::from_str_radix(value("crc")?, 16).ok()?,
        };
        (link.from <= link.first && link.first <= link.last).then_some(link)
    }
}

fn footer_key(name: &str) -> String {
    format!("weir.{}", name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source { record_type: RecordType::Dns, topic: "weir-dns".into(), partition: 7 }
    }

    #[test]
    fn a_key_says_type_hour_partition_and_first_offset() {
        // 2023-11-14T22:13:20Z
        let hour = Hour::of(1_700_000_000_000);
        let key = key(&source(), hour, 42);
        assert_eq!(key, "dns/landed_date=2023-11-14/landed_hour=22/weir-dns+7+00000000000000000042.parquet");
        assert_eq!(read_key(&key), Some((source(), 42)));
        assert_eq!(hour_key(RecordType::Dns, hour.before(23)), "dns/landed_date=2023-11-13/landed_hour=23/");
    }

    #[test]
    fn names_that_no_sink_gives_are_not_read() {
        for key in [
            "dns/part-0.parquet",
            "dns/landed_date=2023-11-14/landed_hour=22/weir-dns+7+42.parquet",
            "dns/landed_date=2023-11-14/landed_hour=22/weir-dns+7+00000000000000000042.parquet.tmp",
            "dms/landed_date=2023-11-14/landed_hour=22/weir-dns+7+00000000000000000042.parquet",
            "weir-dns+7+00000000000000000042.parquet",
        ] {
            assert_eq!(read_key(key), None, "{key}");
        }
    }

    #[test]
    fn hours_stand_in_the_order_of_their_folders() {
        let times = [i64::MIN, 0, 3_599_999, 3_600_000, 1_700_000_000_000, 253_402_300_799_999, i64::MAX];
        let keys = times.map(|ms| hour_key(RecordType::Dns, Hour::of(ms)));
        assert!(keys.is_sorted(), "{keys:?}");
        assert_eq!(keys[1], keys[2]);
        assert_eq!(keys[6], "dns/landed_date=9999-12-31/landed_hour=23/");
    }

    #[test]
    fn a_link_survives_being_written_and_read() {
        let log = Log { cluster: "c".into(), incarnation: String::new() };
        let link = Link { log, from: 3, first: 4, last: 9, rows: 5, fingerprint: "f".into(), crc: 0xbeef };
        let read = |link: &Link| {
            let pairs = link.pairs();
            Link::read(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str()))
        };
        assert_eq!(read(&link), Some(link.clone()));
        assert_eq!(read(&Link { last: 2, ..link.clone() }), None);
        assert_eq!(read(&Link { first: -4, ..link }), None);
    }
}
