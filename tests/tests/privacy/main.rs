//! Addresses that are not kept are in no record, and nothing else is lost: `weir decode` with and without them, over
//! the project's own captures and, where there are any, the shared ones.
//!
//! Shared captures are not part of the project. Where `SHARED_CAPTURES` (by default `../shared/captures` beside the
//! checkout) has none, the test says so and takes the others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fields;
mod originals;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use weir_contract::{Holds, RecordType};
use weir_tests::captures;
use weir_tests::process::{Scratch, binary};

use fields::{Value, visit};
use originals::Originals;

/// A key of these tests, with which no address of the captures gets one of them as its pseudonym.
const KEY: &str = "7d0c4b0bb6c1a1f0a3c5e2d49be8f6170f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// How many of the shared captures are taken.
const SHARED: usize = 100;

/// Records of each type, in their order.
type Records = BTreeMap<RecordType, Vec<Vec<u8>>>;

#[test]
fn no_address_of_the_own_captures_is_in_a_record() {
    assert_nothing_is_told(&captures::own());
}

#[test]
fn no_address_of_the_shared_captures_is_in_a_record() {
    let Some(chosen) = captures::some_shared(SHARED) else { return };
    assert_nothing_is_told(&chosen);
}

fn assert_nothing_is_told(captures: &[PathBuf]) {
    let scratch = Scratch::new("privacy");
    let key = scratch.path().join("key");
    std::fs::write(&key, KEY).unwrap();
    let decoded = |addresses, more: &[&str]| decode(captures, &scratch.path().join("out"), addresses, &key, more);
    let plain = decoded("keep", &[]);
    for addresses in ["pseudonymise", "drop", "truncate"] {
        let veiled = decoded(addresses, &[]);
        let originals = Originals::of(&plain, addresses == "truncate");
        println!("{addresses}: {originals}");
        assert!(!told(&plain, &originals).is_empty(), "what is looked for isn't found where it is");
        let found = told(&veiled, &originals);
        assert!(found.is_empty(), "{addresses}: {} places tell addresses:\n{}", found.len(), first(&found));
        // A pseudonym has dots or colons as the address has.
        let changed = other_changes(&plain, &veiled, addresses == "pseudonymise");
        assert!(changed.is_empty(), "{addresses}: more than addresses has changed:\n{}", first(&changed));
        assert_uids_are_as_before(&plain, &veiled);
        if addresses == "pseudonymise" {
            // The same key gives the same, whatever else differs.
            assert!(decoded(addresses, &["--workers", "3"]) == veiled, "a second run gave other records");
        }
    }
}

/// Runs `weir decode` on a folder.
fn decode(captures: &[PathBuf], out: &Path, addresses: &str, key: &Path, more: &[&str]) -> Records {
    let _ = std::fs::remove_dir_all(out);
    let mut command = Command::new(binary("weir"));
    command.args(["decode", "--sensor", "lab", "--records", "all", "--format", "proto", "--partitions", "3"]);
    command.args(["--addresses", addresses]).args(more).arg("--out").arg(out).args(captures);
    if addresses != "keep" {
        command.arg("--address-key-file").arg(key);
    }
    let output = command.output().unwrap();
    // 1: some captures are damaged, which is said.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    let mut records = Records::new();
    for info in RecordType::all() {
        let Ok(file) = std::fs::read(out.join(info.name).with_extension("pb")) else { continue };
        let mut rest = file.as_slice();
        while !rest.is_empty() {
            let length = prost::decode_length_delimiter(&mut rest).unwrap();
            let (record, behind) = rest.split_at(length);
            records.entry(info.record_type).or_default().push(record.to_owned());
            rest = behind;
        }
    }
    records
}

/// Fields that tell an original address, each with the first of them.
fn told(records: &Records, originals: &Originals) -> Vec<String> {
    let mut places = BTreeMap::new();
    // A value that was looked at needs no second look.
    let mut seen = BTreeSet::new();
    for (&record_type, records) in records {
        for record in records {
            visit(record_type, record, &mut |path, field, value| {
                let (Value::Text(bytes) | Value::Bytes(bytes)) = value else { return };
                if field.holds == Holds::NoAddress || !seen.insert((matches!(value, Value::Text(_)), bytes.to_vec())) {
                    return;
                }
                let found = match value {
                    Value::Text(text) => originals.in_text(&String::from_utf8_lossy(text)).map(str::to_owned),
                    _ => originals.in_bytes(bytes),
                };
                if let Some(found) = found {
                    let place = format!("{}.{path}", record_type.name());
                    places.entry(place).or_insert_with(|| format!("{found} in {}", String::from_utf8_lossy(bytes)));
                }
            });
        }
    }
    places.into_iter().map(|(place, what)| format!("{place}: {what}")).collect()
}

/// Where more has changed than addresses: numbers, fields without addresses, and texts in which there can be none.
fn other_changes(plain: &Records, veiled: &Records, stays_text: bool) -> Vec<String> {
    assert_eq!(plain.keys().collect::<Vec<_>>(), veiled.keys().collect::<Vec<_>>());
    let is_word = |text: &[u8]| !text.is_empty() && !text.iter().any(|byte| matches!(byte, b'.' | b':' | b'-'));
    let others = |record_type, record| {
        let mut others = Vec::new();
        visit(record_type, record, &mut |path, field, value| {
            let stays = match value {
                Value::Number(_) => true,
                Value::Text(text) if field.holds == Holds::Anything => stays_text && is_word(text),
                Value::Text(_) | Value::Bytes(_) => field.holds == Holds::NoAddress,
            };
            if stays {
                others.push((path.to_owned(), format!("{value:?}")));
            }
        });
        others
    };
    let mut changed = Vec::new();
    for (&record_type, records) in plain {
        assert_eq!(records.len(), veiled[&record_type].len(), "{}", record_type.name());
        let mut pairs = records.iter().zip(&veiled[&record_type]);
        if let Some((before, after)) =
            pairs.find(|(before, after)| others(record_type, before) != others(record_type, after))
        {
            let (before, after) = (others(record_type, before), others(record_type, after));
            changed.push(format!("{}: {:?}", record_type.name(), before.iter().zip(&after).find(|(a, b)| a != b)));
        }
    }
    changed
}

/// The records of a connection can be joined as before, and by nothing that is known.
fn assert_uids_are_as_before(plain: &Records, veiled: &Records) {
    let uids = |records: &Records| {
        let mut uids = Vec::new();
        for (&record_type, records) in records {
            for record in records {
                visit(record_type, record, &mut |_, field, value| {
                    if let (Holds::Uid, Value::Text(uid)) = (field.holds, value) {
                        uids.push(uid.to_vec());
                    }
                });
            }
        }
        uids
    };
    let (before, after) = (uids(plain), uids(veiled));
    assert_eq!(before.len(), after.len());
    let pairs: HashMap<_, _> = before.iter().zip(&after).collect();
    assert!(before.iter().zip(&after).all(|(before, after)| pairs[before] == after), "one uid has become several");
    let distinct: BTreeSet<_> = pairs.values().collect();
    assert_eq!(distinct.len(), pairs.len(), "several uids have become one");
    assert!(pairs.keys().all(|uid| !distinct.contains(uid)), "a uid has stayed");
}

fn first(lines: &[String]) -> String {
    lines.iter().take(40).map(|line| format!("{line}\n")).collect()
}
