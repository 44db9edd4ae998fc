//! Input that is missing, damaged or lies: what is said, what is read all the same, and the exit status.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use crate::harness::*;

/// Captures that can't be opened, and what is said about each.
#[test]
fn what_cannot_be_opened_is_told_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ping = fs::read(capture("ping.pcap")).unwrap();
    fs::write(path("empty.pcap"), "").unwrap();
    fs::write(path("cut.pcap"), &ping[..10]).unwrap();
    fs::write(path("text.pcap"), "hello, capture").unwrap();
    fs::create_dir(path("folder")).unwrap();
    let good = capture("ntp.pcap").display().to_string();
    let alone = decode([&good, "--out", "-"]).json();
    assert!(alone.len() > 50);
    for (name, message) in [
        ("missing.pcap", "no such file: check the path"),
        ("empty.pcap", "is empty: even a capture without packets has a header"),
        ("cut.pcap", "ends within its file header, after 10 of 24 bytes"),
        ("text.pcap", "is no capture file, it starts with the bytes 68 65 6c 6c"),
        ("folder", "no capture file in this folder"),
    ] {
        let bad = path(name);
        let out = path("out");
        let run = decode([&bad, "--out", &out]);
        run.assert(1, &[&format!("error: {bad}: "), message]);
        assert_eq!((run.packets(), files(out.as_ref()).len()), (None, 0), "{name}: {}", run.stderr);
        for inputs in [[&bad, &good], [&good, &bad]] {
            let run = decode(inputs.into_iter().map(String::as_str).chain(["--out", "-"]));
            run.assert(1, &[&bad, message]);
            assert_eq!(run.json(), alone, "{name}");
        }
        let merged = decode(["--merge", &bad, &good, "--out", "-"]);
        merged.assert(1, &[&bad, message]);
        assert_eq!(without_epoch(&merged.json()), without_epoch(&alone), "{name}");
    }
}

#[test]
fn a_forbidden_file_is_told_and_the_others_go_on() {
    let folder = open_folder();
    let forbidden = folder.path().join("forbidden.pcap");
    let good = folder.path().join("ntp.pcap");
    let program = folder.path().join("weir");
    fs::copy(capture("ping.pcap"), &forbidden).unwrap();
    fs::copy(capture("ntp.pcap"), &good).unwrap();
    fs::set_permissions(&forbidden, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = if !is_root() {
        weir()
    } else if has("setpriv") {
        // Where another user can reach it.
        fs::copy(env!("CARGO_BIN_EXE_weir"), &program).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--clear-groups"]).arg(&program);
        command
    } else {
        return skip("root may read everything, and `setpriv` is not there to become someone else");
    };
    let run = Run::of(command.arg("decode").args([&forbidden, &good]).args(["--out", "-"]));
    run.assert(1, &["forbidden.pcap: permission denied: run as a user who may read it, or change its mode"]);
    assert_eq!(run.packets(), Some(62));
}

#[test]
fn a_capture_cut_mid_packet_keeps_the_packets_before() {
    let folder = tempfile::tempdir().unwrap();
    let pcap = Pcap::read("ntp.pcap");
    let whole = folder.path().join("whole.pcap");
    let cut = folder.path().join("cut.pcap");
    fs::write(&whole, pcap.with(&pcap.packets[..30])).unwrap();
    let mut bytes = pcap.with(&pcap.packets[..31]);
    bytes.truncate(bytes.len() - 7);
    fs::write(&cut, bytes).unwrap();
    let (whole, cut) = (decode([whole.as_os_str(), "-o-".as_ref()]), decode([cut.as_os_str(), "-o-".as_ref()]));
    cut.assert(1, &["warning: ", "cut.pcap: ends within a packet", "(at byte ", "1  packets damaged in the capture"]);
    whole.assert(0, &["lost:  nothing"]);
    assert_eq!((cut.packets(), whole.packets()), (Some(30), Some(30)));
    assert_eq!(without_epoch(&cut.json()), without_epoch(&whole.json()));
}

#[test]
fn packets_of_an_unknown_link_type_are_recorded_as_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let mut pcap = Pcap::read("ntp.pcap");
    pcap.header[20..22].copy_from_slice(&65_000u16.to_le_bytes());
    let path = folder.path().join("unknown.pcap");
    fs::write(&path, pcap.bytes()).unwrap();
    let run = decode([path.as_os_str(), "-o-".as_ref()]);
    run.assert(0, &["\nunknown\n          62  link type 65000\n\nweird: nothing\n"]);
    assert_eq!(run.packets(), Some(62));
    let unknown = run.json().into_iter().filter(|record| record["record"] == "unknown").count();
    assert_eq!(unknown, 62, "{}", run.stderr);
}

#[test]
fn a_clock_that_runs_backwards_loses_no_packet() {
    let folder = tempfile::tempdir().unwrap();
    let pcap = Pcap::read("ntp.pcap");
    let path = folder.path().join("backwards.pcap");
    fs::write(&path, pcap.with(pcap.packets.iter().rev())).unwrap();
    let run = decode([path.as_os_str(), "-o-".as_ref()]);
    run.assert(0, &[]);
    assert_eq!(run.packets(), Some(62));
    let ntp = run.json().into_iter().filter(|record| record["record"] == "ntp").count();
    assert_eq!(ntp, 50);
}

/// A bad capture: file, packets that can be read, what is wrong.
type BadCapture = (String, Option<usize>, String);

/// The folder of bad captures, and its index.
fn bad_captures() -> Option<(tempfile::TempDir, Vec<BadCapture>)> {
    let folder = tempfile::tempdir().unwrap();
    let mut python = Command::new("python3");
    python.arg(capture("bad.py")).arg(folder.path()).env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::null());
    if !python.status().is_ok_and(|status| status.success()) {
        skip("python3, which writes the bad captures, is not there");
        return None;
    }
    let index = fs::read_to_string(folder.path().join("index.tsv")).unwrap();
    let rows = index.lines().skip(1).map(|row| {
        let [file, packets, what] = row.split('\t').collect::<Vec<_>>().try_into().unwrap();
        (file.to_owned(), packets.parse().ok(), what.to_owned())
    });
    Some((folder, rows.collect()))
}

#[test]
fn every_bad_capture_gives_the_packets_that_can_be_read() {
    let Some((folder, rows)) = bad_captures() else { return };
    // Those cut after each of their bytes are tried together.
    for (file, packets, what) in rows.iter().filter(|(file, ..)| !file.starts_with("cut/")) {
        // Lengths of up to 4 GiB are claimed, which nobody must believe. Threads take address space of their own.
        let limited = format!("ulimit -v 4000000 && exec {} decode --workers 2 {file}", env!("CARGO_BIN_EXE_weir"));
        let run = Run::of(Command::new("sh").args(["-c", &limited]).current_dir(folder.path()));
        let is_complaint = |line: &&str| line.starts_with("error: ") || line.starts_with("warning: ");
        let complaints: Vec<_> = run.stderr.lines().filter(is_complaint).collect();
        let named = complaints.iter().all(|line| line.split(": ").nth(1) == Some(file));
        assert!(named, "{file} ({what}): a message without the file's name: {}", run.stderr);
        assert_eq!(run.code, Some(i32::from(!complaints.is_empty())), "{file} ({what}): {}", run.stderr);
        assert!(!what.ends_with(": not an error") || complaints.is_empty(), "{file} ({what}): {}", run.stderr);
        // Its interfaces are beyond what is read, and come before its packets.
        if file != "interfaces-200000.pcapng"
            && let Some(packets) = packets
        {
            assert_eq!(run.packets().unwrap_or(0), *packets, "{file} ({what}): {}", run.stderr);
        }
    }
}

#[test]
fn two_hundred_thousand_interfaces_are_told() {
    let Some((folder, _)) = bad_captures() else { return };
    let run = decode([folder.path().join("interfaces-200000.pcapng")]);
    run.assert(1, &["interfaces-200000.pcapng: has more than 65536 interfaces: reading ends there"]);
}

#[test]
fn a_folder_of_bad_captures_gives_those_that_can_be_read() {
    let Some((folder, rows)) = bad_captures() else { return };
    let run = decode([folder.path().join("cut")]);
    run.assert(1, &["ends within a packet", "ends within a block"]);
    let expected: usize = rows.iter().filter(|(file, ..)| file.starts_with("cut/")).filter_map(|row| row.1).sum();
    assert_eq!(run.packets(), Some(expected));
    // Everything there is, at once, in one capture.
    let merged = decode(["--merge".as_ref(), folder.path().as_os_str()]);
    merged.assert(1, &[]);
    assert!(merged.packets() > run.packets(), "{}", merged.stderr);
}

#[test]
fn a_filter_that_means_nothing_for_a_capture_leaves_the_others_alone() {
    let raw = capture("link-raw.pcap").display().to_string();
    let wired = capture("ping.pcap").display().to_string();
    let filter = "ether host 02:00:00:00:00:01 or ip or ip6 or arp";
    let run = decode([&raw, &wired, "--bpf", filter]);
    run.assert(1, &["link-raw.pcap: filter `ether host 02:00:00:00:00:01 or ip or ip6 or arp` does not compile for link type 101"]);
    assert_eq!(run.packets(), decode([&wired]).packets());
    let nonsense = decode([&wired, "--bpf", "udp prt 53"]);
    nonsense.assert(2, &["filter `udp prt 53` does not compile", "syntax error", "pcap-filter(7)"]);
    assert_eq!(nonsense.packets(), None);
}
