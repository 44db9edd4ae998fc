//! The harness itself: that what the other tests rely on is so.

#![allow(clippy::unwrap_used)]

mod fault_proxy;
mod kafka;

use std::process::Command;
use std::time::Duration;

use weir_tests::process::{Process, Scratch, wait_until};
use weir_tests::s3::S3;

#[test]
fn s3_server_starts_again_with_its_objects() {
    let mut s3 = S3::start();
    std::fs::create_dir(s3.bucket().join("type")).unwrap();
    std::fs::write(s3.bucket().join("type/file"), "bytes").unwrap();
    s3.process().kill();
    s3.start_again();
    assert_eq!(s3.keys(), ["type/file"]);
    assert_eq!(s3.read("type/file"), b"bytes");
}

/// Set in the environment of a test process that is to be killed: where it says what it started.
const TOLD: &str = "TEST_TOLD";

#[test]
fn nothing_outlives_a_killed_test() {
    if let Some(told) = std::env::var_os(TOLD) {
        let scratch = Scratch::new("outlived");
        let mut sleep = Command::new("sleep");
        sleep.arg("1000");
        let process = Process::start(sleep, &scratch.path().join("log"));
        std::fs::write(told, format!("{} {}\n", process.id(), scratch.path().display())).unwrap();
        std::thread::sleep(Duration::from_secs(1000));
    }
    let scratch = Scratch::new("killed");
    let told = scratch.path().join("told");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "nothing_outlives_a_killed_test"]).env(TOLD, &told);
    let mut test = Process::start(command, &scratch.path().join("log"));
    let line = || std::fs::read_to_string(&told).unwrap_or_default();
    assert!(wait_until(Duration::from_secs(30), || line().ends_with('\n')), "{}", test.log());
    let (process, folder) = line().trim().split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    // A process that nobody waits for any more may stay as a zombie.
    let runs = || std::fs::read_to_string(format!("/proc/{process}/cmdline")).is_ok_and(|line| line.contains("sleep"));
    let there = || std::path::Path::new(&folder).exists();
    assert!(runs() && there());
    test.kill();
    assert!(wait_until(Duration::from_secs(10), || !runs() && !there()), "{process} or {folder} is still there");
}
