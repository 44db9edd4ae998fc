//! Ctrl-C: what was read until then is written whole.

use std::{
    fs::{self, File},
    io::Write as _,
    process::{Child, Stdio},
    thread,
};

use rustix::{
    io::ioctl_fionread,
    process::{Pid, Signal, kill_process},
};

use crate::harness::*;

/// As Ctrl-C does.
pub fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// Waits until the program has its answer to Ctrl-C in place.
fn wait_until_it_listens(child: &Child) {
    let catches = |status: String| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
        Some(u64::from_str_radix(&mask, 16).ok()? & 1 << (Signal::INT.as_raw() - 1) != 0)
    };
    while !catches(fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap()).unwrap() {
        thread::yield_now();
    }
}

/// The packets of a capture, many times over.
fn long(name: &str) -> Pcap {
    let mut pcap = Pcap::read(name);
    pcap.packets = pcap.packets.iter().cycle().take(20_000).cloned().collect();
    pcap
}

#[test]
fn what_was_read_is_written_whole() {
    let pcap = long("ntp.pcap");
    for format in ["parquet", "csv"] {
        let folder = tempfile::tempdir().unwrap();
        let out = |name: &str| folder.path().join(name);
        let command = |name: &str| {
            let mut command = weir();
            command.args(["decode", "-", "-f", format, "-o"]).arg(out(name));
            command.stdin(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let mut child = command("interrupted");
        let mut stdin = child.stdin.take().unwrap();
        // More than a pipe holds: most of it is read when this returns. The pipe stays open.
        stdin.write_all(&pcap.bytes()).unwrap();
        interrupt(&child);
        let run = Run::from(child.wait_with_output().unwrap());
        run.assert(130, &["interrupted: what was read until then is here", "lost:  nothing"]);
        drop(stdin);
        let packets = run.packets().unwrap();
        assert!(packets > 10_000, "{}", run.stderr);

        let mut child = command("ended");
        let mut stdin = child.stdin.take().unwrap();
        let writer = thread::spawn({
            let bytes = pcap.with(&pcap.packets[..packets]);
            move || stdin.write_all(&bytes).unwrap()
        });
        Run::from(child.wait_with_output().unwrap()).assert(0, &[]);
        writer.join().unwrap();
        assert!(files(&out("interrupted")) == files(&out("ended")), "{format}, {packets} packets");
    }
}

#[test]
fn a_quiet_standard_input_can_be_interrupted() {
    let pcap = Pcap::read("ntp.pcap");
    let mut command = weir();
    command.args(["decode", "-", "-o-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Ten packets and a half, and then silence.
    stdin.write_all(&pcap.with(&pcap.packets[..10])).unwrap();
    stdin.write_all(&pcap.packets[10][..20]).unwrap();
    while ioctl_fionread(&stdin).unwrap() > 0 {
        thread::yield_now();
    }
    wait_until_it_listens(&child);
    interrupt(&child);
    let run = Run::from(child.wait_with_output().unwrap());
    run.assert(130, &["interrupted", "lost:  nothing"]);
    assert!(!run.stderr.contains("error: ") && !run.stderr.contains("warning: "), "{}", run.stderr);
    assert_eq!(run.packets(), Some(10));
    assert!(run.json().iter().any(|record| record["record"] == "connection"));
}

#[test]
fn a_file_can_be_interrupted_also_where_a_filter_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zeros.pcap");
    // A hole of 4 GiB reads as 268 million packets without a byte.
    fs::write(&path, Pcap::read("ntp.pcap").header).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(4 << 30).unwrap();
    for filter in ["", "tcp"] {
        let mut command = weir();
        command.args(["decode", "--records", "dns", "--bpf", filter]).arg(&path).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        wait_until_it_listens(&child);
        interrupt(&child);
        let run = Run::from(child.wait_with_output().unwrap());
        run.assert(130, &["interrupted: what was read until then is here"]);
        assert!(run.packets().unwrap() < 200_000_000, "{}", run.stderr);
    }
}

#[test]
fn who_asks_twice_need_not_wait() {
    let mut command = weir();
    command.args(["decode", "-r", "all", "-o-"]).arg(capture("office.pcapng"));
    // Nobody reads, so that it can't finish.
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_until_it_listens(&child);
    let status = loop {
        interrupt(&child);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(130));
}
