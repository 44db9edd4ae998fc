//! Everything that we and tshark see differently in the shared captures is in a checked-in table with
//! its reason; and nothing is in the table that no longer differs.
//!
//! The captures are not part of the project. Where `SHARED_CAPTURES` (by default
//! `../shared/captures` beside the checkout) has none, the test says so and passes.
//!
//! To explain a difference, add its row to `tests/differential/explained.tsv` with the key of a reason. The
//! failed test prints the rows, and writes all of them to a file, each with frames to look at.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod decoded;
mod dns;
mod expected;
mod explained;
mod headers;
mod http;
mod layers;
mod messages;
mod quic;
mod ssh;
mod tls;
mod value;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use decoded::Decoded;
use expected::Expected;
use explained::{Difference, Explained};
use weir_tests::captures;

/// No capture of the folder has more than 14,000 packets: milliseconds, were it not for a hang.
const TIME_PER_FILE: Duration = Duration::from_secs(30);

/// Complaints that a failed test prints.
const PRINTED_MAX: usize = 60;

#[test]
fn every_difference_from_tshark_is_explained() {
    let Some(captures) = captures::shared_folder() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("differential");
    let expected = expected::load(&folder);
    let explained = Explained::load(&folder.join("explained.tsv"));

    let found = decode_all(&captures, &expected);

    let complaints = explained.complaints(&found);
    if complaints.is_empty() {
        return;
    }
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential.tsv");
    std::fs::write(&all, complaints.join("\n") + "\n").unwrap();
    let mut shown = String::new();
    for complaint in complaints.iter().take(PRINTED_MAX) {
        writeln!(shown, "{complaint}").unwrap();
    }
    panic!("{} complaints, all in {}; the first:\n{shown}", complaints.len(), all.display());
}

/// Differences in all files, each with what helps to look into it.
fn decode_all(captures: &Path, expected: &BTreeMap<String, Expected>) -> BTreeMap<Difference, String> {
    let files: Vec<_> = expected.iter().collect();
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let at_work: Vec<Mutex<Option<(&str, Instant)>>> = (0..workers).map(|_| Mutex::new(None)).collect();
    let (results, finished) = mpsc::channel();
    let mut found = BTreeMap::new();
    std::thread::scope(|scope| {
        for at_work in &at_work {
            let (files, next, results) = (&files, &next, results.clone());
            scope.spawn(move || {
                while let Some((file, expected)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    *at_work.lock().unwrap() = Some((file, Instant::now()));
                    let differences = catch_unwind(|| differences(captures, file, expected));
                    results.send(differences.unwrap_or_else(|_| panic!("{file}: panicked"))).unwrap();
                }
                *at_work.lock().unwrap() = None;
            });
        }
        drop(results);
        loop {
            match finished.recv_timeout(Duration::from_secs(1)) {
                Ok(differences) => found.extend(differences),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            at_work.iter().filter_map(|at_work| *at_work.lock().unwrap()).for_each(abort_if_late);
        }
    });
    found
}

/// A thread that hangs can only be ended together with the process.
fn abort_if_late((file, started): (&str, Instant)) {
    if started.elapsed() > TIME_PER_FILE {
        eprintln!("{file}: not decoded within {TIME_PER_FILE:?}");
        std::process::abort();
    }
}

fn differences(captures: &Path, file: &str, expected: &Expected) -> Vec<(Difference, String)> {
    let decoded = Decoded::read(&captures.join(file));
    let mut found = layers::differences(file, expected, &decoded);
    if decoded.packets == expected.packets {
        found.extend(headers::differences(file, expected, &decoded));
        found.extend(messages::differences(file, expected, &decoded));
        found.extend(quic::differences(file, expected, &decoded));
        found.extend(tls::differences(file, expected, &decoded));
        found.extend(http::differences(file, expected, &decoded));
        found.extend(ssh::differences(file, expected, &decoded));
    }
    found
}
