//! The epoch of a replayed capture: the same file with the same options is the same run, so its
//! records have the same identities, and a restarted replay repeats itself to the byte.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use xxhash_rust::xxh3::Xxh3;

use crate::files::was_stopped;

/// Bytes at each end of a capture that identify it, with its size.
const SAMPLE_BYTES: u64 = 64 << 10;

/// What tells one capture file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of a file of this size that begins with `head`: its size, first and last 64 KiB.
    pub(crate) fn of_file(file: &File, size: u64, head: &[u8]) -> io::Result<Self> {
        let start = size.saturating_sub(SAMPLE_BYTES);
        let mut tail = Vec::new();
        let mut chunk = [0; 8192];
        while u64::try_from(tail.len()).is_ok_and(|had| had < SAMPLE_BYTES) {
            let at = start.saturating_add(u64::try_from(tail.len()).unwrap_or(u64::MAX));
            match file.read_at(&mut chunk, at)? {
                0 => break,
                count => tail.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            }
        }
        let mut hash = Xxh3::new();
        hash.update(&size.to_le_bytes());
        hash.update(head);
        hash.update(&tail);
        Ok(Self(hash.digest()))
    }

    /// Of a stream that begins with `head`: that is all there is to know before it is read.
    pub(crate) fn of_stream(head: &[u8]) -> Self {
        let mut hash = Xxh3::new();
        hash.update(head);
        Self(hash.digest())
    }
}

/// The first 64 KiB, or what there is; of a stream that is stopped, what has come.
pub(crate) fn read_head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    match reader.take(SAMPLE_BYTES).read_to_end(&mut head) {
        Err(error) if !was_stopped(&error) => Err(error),
        _ => Ok(head),
    }
}

/// The epoch of a live capture: each run of a sensor is its own, so no two may share one. At least 1.
pub fn random_epoch() -> i64 {
    i64::try_from(RandomState::new().hash_one(0) >> 1).unwrap_or(i64::MAX).max(1)
}

/// The epoch of a replay: of these captures in this order, with options that change what becomes
/// of their packets. At least 1.
pub fn epoch(captures: &[Fingerprint], options: &str) -> i64 {
    let mut hash = Xxh3::new();
    for Fingerprint(capture) in captures {
        hash.update(&capture.to_le_bytes());
    }
    hash.update(options.as_bytes());
    i64::try_from(hash.digest() >> 1).unwrap_or(i64::MAX).max(1)
}
