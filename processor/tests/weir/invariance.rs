//! The same captures give the same records, whatever the number of workers and partitions.

use std::collections::BTreeMap;

use crate::harness::*;

/// The lines of each file, sorted.
fn records(options: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let captures = captures().display().to_string();
    let arguments = [&captures, "--records", "all", "--format", "csv", "--out", out];
    let run = decode(arguments.into_iter().chain(options.iter().copied()));
    // Claimed is invariance where nothing is late or evicted.
    run.assert(0, &["lost:  nothing"]);
    let sorted = files(folder.path()).into_iter().map(|(name, bytes)| {
        let mut lines: Vec<_> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        lines.sort_unstable();
        (name, lines.concat())
    });
    sorted.collect()
}

#[test]
fn records_do_not_depend_on_workers_or_partitions() {
    let first = records(&["-w1"]);
    assert!(first.len() > 35, "{:?}", first.keys());
    let others: [&[&str]; 7] = [
        &["-w1"],
        &["-w2"],
        &["-w4"],
        &["--partitions=1"],
        &["--partitions=7"],
        &["--partitions=16"],
        &["--partitions=64"],
    ];
    for options in others {
        let again = records(options);
        assert!(again.keys().eq(first.keys()), "{options:?}");
        for (name, lines) in &first {
            assert!(again[name] == *lines, "{options:?}: {name} differs");
        }
    }
}

#[test]
fn files_are_the_same_to_the_byte_when_decoded_twice() {
    let decoded = || {
        let folder = tempfile::tempdir().unwrap();
        let captures = captures().display().to_string();
        decode([&captures, "--records", "all", "--out", folder.path().to_str().unwrap()]).assert(0, &[]);
        files(folder.path())
    };
    let (first, second) = (decoded(), decoded());
    assert!(first.keys().eq(second.keys()) && first.len() > 35);
    for (name, bytes) in &first {
        assert!(second[name] == *bytes, "{name} differs");
    }
}
