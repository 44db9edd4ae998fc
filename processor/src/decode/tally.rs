//! What was counted on the way.

use std::collections::BTreeMap;

use prost::Message as _;
use weir_contract::{RecordType, WeirdReason};

/// Records by type, Weirds by layer and reason, and what is unknown by the number that named it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number and bytes of the records of each type, by its place in the registry.
    records: Vec<(u64, u64)>,
    /// Weirds by layer and reason.
    pub weirds: BTreeMap<(String, &'static str), u64>,
    /// What no decoder reads, by what named it and the number it was named by.
    pub unknowns: BTreeMap<(String, u32), u64>,
    /// Batches that the engine did not take.
    pub refused_batches: u64,
}

/// What is counted of a `Weird`. Reading the rest of each would cost more than its decoding did.
#[derive(prost::Message)]
struct Weird {
    #[prost(string, tag = "2")]
    layer: String,
    #[prost(enumeration = "WeirdReason", tag = "3")]
    reason: i32,
}

/// What is counted of an `Unknown`.
#[derive(prost::Message)]
struct Unknown {
    #[prost(string, tag = "2")]
    key: String,
    #[prost(uint32, tag = "3")]
    value: u32,
}

impl Tally {
    /// Counts a record.
    pub fn count(&mut self, record_type: RecordType, bytes: &[u8]) {
        let index = record_type.index();
        if self.records.len() <= index {
            self.records.resize(RecordType::all().len(), (0, 0));
        }
        if let Some((number, total)) = self.records.get_mut(index) {
            *number += 1;
            *total += bytes.len() as u64;
        }
        if record_type == RecordType::Weird
            && let Ok(weird) = Weird::decode(bytes)
        {
            let reason = weird.reason().as_str_name().trim_start_matches("WEIRD_REASON_");
            *self.weirds.entry((weird.layer, reason)).or_default() += 1;
        }
        if record_type == RecordType::Unknown
            && let Ok(unknown) = Unknown::decode(bytes)
        {
            *self.unknowns.entry((unknown.key, unknown.value)).or_default() += 1;
        }
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        self.records.resize(RecordType::all().len(), (0, 0));
        for (mine, other) in self.records.iter_mut().zip(&other.records) {
            *mine = (mine.0 + other.0, mine.1 + other.1);
        }
        for (weird, number) in &other.weirds {
            *self.weirds.entry(weird.clone()).or_default() += number;
        }
        for (unknown, number) in &other.unknowns {
            *self.unknowns.entry(unknown.clone()).or_default() += number;
        }
        self.refused_batches += other.refused_batches;
    }

    /// Number and bytes of the records of each type that there were any of.
    pub fn records(&self) -> impl Iterator<Item = (RecordType, u64, u64)> {
        let types = RecordType::all().iter().map(|info| info.record_type);
        types.zip(&self.records).filter(|(_, of)| of.0 > 0).map(|(record_type, of)| (record_type, of.0, of.1))
    }
}
