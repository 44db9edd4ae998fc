//! Walks the chains of a lake, and says what is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use weir_contract::{RecordType, Selection};

use super::config::{LakeConfig, patient};
use super::link::{Link, Log, Source, read_key, type_folder};
use super::store::{Head, Patience, Patient, Stopped};

/// Files that are asked about at the same time.
const AT_ONCE: usize = 16;

/// What the lake holds of one record type.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
    pub chains: u64,
}

/// Something wrong with a chain.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Messages that were in the log, or may have been, are not in the lake: of offsets `from` to `to`.
    Hole { source: Source, from: i64, to: i64 },
    /// Two files hold the same messages.
    Overlap { source: Source, first: i64, before_ends: i64 },
    /// A file that no sink wrote, or that says another partition than its name.
    Foreign { key: String },
    /// Files of several logs in one partition's place: their offsets have nothing to do with each other.
    SeveralLogs { source: Source, logs: usize },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hole { source, from, to } => {
                write!(
                    f,
                    "hole: {source}: offsets {from} to {to} are in no file; retention took them, or a group's offset was moved"
                )
            }
            Self::Overlap { source, first, before_ends } => write!(
                f,
                "overlap: {source}: a file begins at offset {first}, but the one before ends at {before_ends}: records are doubled"
            ),
            Self::Foreign { key } => write!(f, "foreign: {key}: no sink wrote this file"),
            Self::SeveralLogs { source, logs } => {
                write!(f, "foreign: {source}: files of {logs} clusters or topics of the same name share this lake")
            }
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Of record types that the lake has files of.
    pub held: BTreeMap<&'static str, Held>,
    pub faults: Vec<Fault>,
}

/// Walks the chains of the selected types.
///
/// # Errors
///
/// The lake can't be read.
pub fn verify(lake: &LakeConfig, selection: &Selection) -> anyhow::Result<Report> {
    let store = Arc::new(patient(&lake.open()?, Patience::Minute, &Arc::new(AtomicBool::new(false))));
    let mut report = Report::default();
    for record_type in selection.types() {
        verify_type(&store, record_type, &mut report)?;
    }
    Ok(report)
}

fn verify_type(store: &Patient, record_type: RecordType, report: &mut Report) -> Result<(), Stopped> {
    let prefix = type_folder(record_type);
    let (mut after, mut more) = (String::new(), true);
    let mut held = Held::default();
    let mut chains: BTreeMap<(Source, Log), Vec<Link>> = BTreeMap::new();
    while more {
        let keys;
        (keys, more) = store.list(&prefix, &after)?;
        match keys.last() {
            Some(last) => after.clone_from(last),
            None => break,
        }
        for (key, head) in heads(store, keys)? {
            let Head::File { link, bytes } = head else { continue };
            held.files += 1;
            held.bytes += bytes;
            match (read_key(&key), link) {
                (Some((source, first)), Some(link)) if link.first == first => {
                    held.rows += link.rows;
                    chains.entry((source, link.log.clone())).or_default().push(link);
                }
                _ => report.faults.push(Fault::Foreign { key }),
            }
        }
    }
    held.chains = u64::try_from(chains.len()).unwrap_or(u64::MAX);
    walk(chains, &mut report.faults);
    if held != Held::default() {
        report.held.insert(record_type.name(), held);
    }
    Ok(())
}

/// Asks about some files at once: each answer takes a round trip.
fn heads(store: &Patient, keys: Vec<String>) -> Result<Vec<(String, Head)>, Stopped> {
    let queue = Mutex::new(keys.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let ask = || {
        let mut heads = Vec::new();
        while let Some(key) = next() {
            let head = store.head(&key)?;
            heads.push((key, head));
        }
        Ok(heads)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(ask)).collect();
        let mut all = Vec::new();
        for thread in threads {
            let heads: Result<_, Stopped> =
                thread.join().unwrap_or_else(|_| Err(Stopped::Failed("a thread panicked; please report this".into())));
            all.append(&mut heads?);
        }
        Ok(all)
    })
}

fn walk(chains: BTreeMap<(Source, Log), Vec<Link>>, faults: &mut Vec<Fault>) {
    let mut logs: BTreeMap<Source, usize> = BTreeMap::new();
    for ((source, _), mut links) in chains {
        *logs.entry(source.clone()).or_default() += 1;
        links.sort_unstable_by_key(|link| (link.first, link.last));
        let mut ends: Option<i64> = None;
        for link in links {
            if let Some(ends) = ends {
                if link.first <= ends {
                    faults.push(Fault::Overlap { source: source.clone(), first: link.first, before_ends: ends });
                } else if link.from > ends.saturating_add(1) {
                    let (from, to) = (ends.saturating_add(1), link.from.saturating_sub(1));
                    faults.push(Fault::Hole { source: source.clone(), from, to });
                }
            }
            ends = ends.max(Some(link.last));
        }
    }
    let several = logs.into_iter().filter(|(_, logs)| *logs > 1);
    faults.extend(several.map(|(source, logs)| Fault::SeveralLogs { source, logs }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::encode::tests::{file_of, log};
    use crate::sink::link::{Hour, key};
    use crate::sink::store::{Folder, Store as _};

    fn source() -> Source {
        Source { record_type: RecordType::Ntp, topic: "weir-ntp".into(), partition: 2 }
    }

    /// Files of these offsets, and of this log.
    fn lake(files: &[(Log, std::ops::Range<i64>)]) -> (tempfile::TempDir, Report) {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::new(home.path().to_owned());
        for (log, offsets) in files {
            let (body, link) = file_of(log, offsets.clone());
            folder.put(&key(&source(), Hour::of(0), offsets.start), &body, &link).unwrap();
        }
        let config = LakeConfig { lake: Some(home.path().display().to_string()), ..LakeConfig::default() };
        let report = verify(&config, &Selection::all()).unwrap();
        (home, report)
    }

    #[test]
    fn a_whole_chain_has_no_fault_and_is_counted() {
        let (_home, report) = lake(&[(log(), 5..10), (log(), 10..30), (log(), 30..31)]);
        assert_eq!(report.faults, []);
        let held = &report.held["ntp"];
        assert_eq!((held.files, held.rows, held.chains), (3, 26, 1));
        assert_eq!(report.held.len(), 1);
    }

    #[test]
    fn holes_overlaps_and_foreign_files_are_told() {
        let other = Log { incarnation: "another".into(), ..log() };
        let (home, report) = lake(&[(log(), 5..10), (log(), 12..30), (log(), 20..25), (log(), 30..31), (other, 0..3)]);
        let source = source();
        let expected = [
            Fault::Hole { source: source.clone(), from: 10, to: 11 },
            Fault::Overlap { source: source.clone(), first: 20, before_ends: 29 },
            Fault::SeveralLogs { source, logs: 2 },
        ];
        assert_eq!(report.faults, expected);

        std::fs::write(home.path().join("ntp/stray.parquet"), b"PAR1").unwrap();
        let config = LakeConfig { lake: Some(home.path().display().to_string()), ..LakeConfig::default() };
        let faults = verify(&config, &Selection::all()).unwrap().faults;
        assert_eq!(faults.first(), Some(&Fault::Foreign { key: "ntp/stray.parquet".into() }));
    }
}
