//! What `weir-state` holds for one partition: its progress, and a snapshot of its engine in chunks.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use weir_contract::record::{Progress, SnapshotChunk, SnapshotPointer};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a snapshot in one message: with its frame below the usual limit of a message.
const CHUNK_BYTES: usize = 900_000;

/// Chunks that a snapshot may have: what is beyond is no snapshot of ours.
const CHUNKS_MAX: u32 = 16_384;

const PROGRESS: &[u8] = b"progress";
const SNAPSHOT: &str = "snapshot-";

/// A message for `weir-state`; without a value it deletes what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

/// Why there is no engine state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// None was written yet.
    #[error("there is no snapshot yet")]
    Absent,
    /// It is not what was written.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
}

/// The entry that says how far a partition has come.
pub fn progress_entry(progress: &Progress) -> Entry {
    Entry { key: PROGRESS.to_vec(), value: Some(progress.encode_to_vec()) }
}

/// The entries of a snapshot, those that delete what is left of the one before it, and where it is. `id` and
/// `offset` are the pointer's.
pub fn snapshot_entries(
    state: &[u8],
    id: u64,
    offset: i64,
    before: Option<&SnapshotPointer>,
) -> (Vec<Entry>, SnapshotPointer) {
    let chunks = (0..).zip(state.chunks(CHUNK_BYTES));
    let mut entries: Vec<Entry> = chunks
        .map(|(index, data)| {
            let chunk = SnapshotChunk { id, index, data: data.to_vec() };
            Entry { key: chunk_key(index), value: Some(chunk.encode_to_vec()) }
        })
        .collect();
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let surplus = count..before.map_or(0, |before| before.chunks.min(CHUNKS_MAX));
    entries.extend(surplus.map(|index| Entry { key: chunk_key(index), value: None }));
    let pointer = SnapshotPointer { id, offset, chunks: count, checksum: xxh3_64(state), fingerprint: None };
    (entries, pointer)
}

fn chunk_key(index: u32) -> Vec<u8> {
    format!("{SNAPSHOT}{index}").into_bytes()
}

/// What was read of a partition of `weir-state`: of each key the last value.
#[derive(Debug, Default, Clone)]
pub struct Kept {
    progress: Option<Vec<u8>>,
    chunks: BTreeMap<u32, Vec<u8>>,
    /// The transactions that wrote progress, as far back as the log goes.
    pub transactions: BTreeSet<u64>,
    /// Messages whose key means nothing here.
    pub unknown: u64,
}

impl Kept {
    /// Takes the next message of the partition.
    pub fn read(&mut self, key: &[u8], value: Option<&[u8]>) {
        let value = value.map(<[u8]>::to_vec);
        if key == PROGRESS {
            let progress = value.as_deref().and_then(|value| Progress::decode(value).ok());
            self.transactions.extend(progress.map(|progress| progress.transaction));
            self.progress = value;
            return;
        }
        let index = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(SNAPSHOT)?.parse().ok());
        match (index, value) {
            (Some(index), Some(value)) if index < CHUNKS_MAX => {
                self.chunks.insert(index, value);
            }
            (Some(index), None) => {
                self.chunks.remove(&index);
            }
            _ => self.unknown += 1,
        }
    }

    /// How far the partition has come; `None` for one that nobody has begun.
    ///
    /// # Errors
    ///
    /// It is no progress record.
    pub fn progress(&self) -> Result<Option<Progress>, prost::DecodeError> {
        self.progress.as_deref().map(Progress::decode).transpose()
    }

    /// The state that the pointer points to.
    ///
    /// # Errors
    ///
    /// There is none, or it is not whole.
    pub fn snapshot(&self, pointer: Option<&SnapshotPointer>) -> Result<Vec<u8>, Unusable> {
        let pointer = pointer.ok_or(Unusable::Absent)?;
        let damaged = |what: String| Unusable::Damaged(what);
        let mut state = Vec::new();
        for index in 0..pointer.chunks.min(CHUNKS_MAX) {
            let value = self.chunks.get(&index).ok_or_else(|| damaged(format!("chunk {index} is missing")))?;
            let chunk =
                SnapshotChunk::decode(&value[..]).map_err(|error| damaged(format!("chunk {index}: {error}")))?;
            if (chunk.id, chunk.index) != (pointer.id, index) {
                return Err(damaged(format!("chunk {index} is of snapshot {}, not {}", chunk.id, pointer.id)));
            }
            state.extend_from_slice(&chunk.data);
        }
        if xxh3_64(&state) != pointer.checksum {
            return Err(damaged("its checksum does not match".to_owned()));
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(entries: &[Entry]) -> Kept {
        let mut kept = Kept::default();
        for entry in entries {
            kept.read(&entry.key, entry.value.as_deref());
        }
        kept
    }

    #[test]
    fn a_snapshot_comes_back_from_its_chunks() {
        for bytes in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let state: Vec<u8> = (0..=250).cycle().take(bytes).collect();
            let (entries, pointer) = snapshot_entries(&state, 4, 99, None);
            assert!(entries.iter().all(|entry| entry.value.as_ref().unwrap().len() < CHUNK_BYTES + 100));
            assert_eq!(kept(&entries).snapshot(Some(&pointer)), Ok(state));
        }
    }

    #[test]
    fn a_smaller_snapshot_deletes_what_is_left_of_a_larger_one() {
        let (mut entries, before) = snapshot_entries(&vec![1; 3 * CHUNK_BYTES], 1, 0, None);
        let (smaller, pointer) = snapshot_entries(b"x", 2, 0, Some(&before));
        assert_eq!(smaller.iter().filter(|entry| entry.value.is_none()).count(), 2);
        entries.extend(smaller);
        let kept = kept(&entries);
        assert_eq!((kept.chunks.len(), kept.snapshot(Some(&pointer))), (1, Ok(b"x".to_vec())));
    }

    #[test]
    fn a_snapshot_that_is_not_whole_is_no_snapshot() {
        let (entries, pointer) = snapshot_entries(&vec![1; 2 * CHUNK_BYTES], 7, 0, None);
        let is_damaged =
            |entries: &[Entry]| matches!(kept(entries).snapshot(Some(&pointer)), Err(Unusable::Damaged(_)));
        assert!(is_damaged(&entries[..1]) && is_damaged(&entries[1..]));
        let (others, _) = snapshot_entries(&vec![2; 2 * CHUNK_BYTES], 8, 0, None);
        assert!(is_damaged(&[entries[0].clone(), others[1].clone()]));
        let (others, _) = snapshot_entries(&vec![2; 2 * CHUNK_BYTES], 7, 0, None);
        assert!(is_damaged(&[entries[0].clone(), others[1].clone()]));
        assert_eq!(kept(&entries).snapshot(None), Err(Unusable::Absent));
    }

    #[test]
    fn messages_of_others_are_counted_and_left_alone() {
        let mut kept = Kept::default();
        kept.read(b"snapshot-x", Some(b""));
        kept.read(b"\xff", Some(b""));
        assert_eq!((kept.unknown, kept.progress()), (2, Ok(None)));
        kept.read(b"progress", Some(b"\xff"));
        assert!(kept.progress().is_err());
    }
}
