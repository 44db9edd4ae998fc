//! `weir decode --interface`: on a pair of interfaces in a network namespace of its own.
//!
//! Takes root and the program `ip`; each test says plainly when it is skipped. A test makes the namespace
//! and runs itself in it once more.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use pcap::{Active, Capture};
use serde_json::Value;
use weir_tests::namespace::{in_namespace, ip};

use crate::{harness::*, interrupts::interrupt};

/// Frames of a capture, each over wb.
fn replay(sender: &mut Capture<Active>, frames: &[Vec<u8>]) {
    frames.iter().for_each(|frame| sender.sendpacket(frame.as_slice()).unwrap());
}

#[test]
fn records_come_while_packets_do_and_the_rest_on_ctrl_c() {
    in_namespace("live::records_come_while_packets_do_and_the_rest_on_ctrl_c", || {
        let pcap = Pcap::read("dns-types.pcap");
        let frames: Vec<_> = pcap.packets.iter().map(|packet| packet[16..].to_vec()).collect();
        let mut command = weir();
        command.args(["decode", "--interface", "wa", "--out", "-", "--records", "dns,connection,capture_stats"]);
        command.args(["--bpf", "udp port 53"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (lines, records) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let reader = thread::spawn(move || stdout.lines().for_each(|line| lines.send(line.unwrap()).unwrap()));
        // Nobody says when capturing has begun but a record that comes out.
        let mut sender = Capture::from_device("wb").unwrap().open().unwrap();
        let mut sent = 0;
        let first = loop {
            assert!(child.try_wait().unwrap().is_none(), "it still runs");
            replay(&mut sender, &frames);
            sent += 1;
            if let Ok(line) = records.recv_timeout(Duration::from_millis(100)) {
                break line;
            }
        };
        assert!(first.contains("\"record\":\"dns\""), "messages come at once: {first}");
        interrupt(&child);
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = child.wait().unwrap();
        reader.join().unwrap();
        let run = Run { code: status.code(), stdout: Vec::new(), stderr };
        run.assert(130, &["interrupted: what was read until then is here", "lost:  nothing"]);

        let records: Vec<Value> =
            std::iter::once(first).chain(records).map(|line| serde_json::from_str(&line).unwrap()).collect();
        let of_type = |name: &str| records.iter().filter(|record| record["record"] == name).collect::<Vec<_>>();
        let of_file = decode([capture("dns-types.pcap").to_str().unwrap(), "-r", "dns", "-o-", "--bpf", "udp port 53"]);
        let messages = of_file.json().len();
        assert!(messages > 50);
        // The first replays may have come before capturing had begun; the last packets were waited for.
        let dns = of_type("dns").len();
        assert!(dns >= messages && dns <= sent * messages, "{dns} of {sent} times {messages}");
        assert!(!of_type("connection").is_empty(), "connections are written at the end");
        let stats = of_type("capture_stats").pop().expect("what was captured, so far and at the end");
        assert_eq!(stats["packets"].as_u64(), run.packets().map(|packets| packets as u64));
        assert_eq!((stats["source"].as_str(), stats["sensor"].as_str()), (Some("wa"), Some("local")));
    });
}

#[test]
fn interfaces_that_are_absent_or_down_are_told_apart() {
    in_namespace("live::interfaces_that_are_absent_or_down_are_told_apart", || {
        let folder = tempfile::tempdir().unwrap();
        let on = |interface: &str| decode(["-i", interface, "-o", folder.path().to_str().unwrap()]);
        on("wc").assert(1, &["error: interface wc: there is none of that name; there are ", "wa"]);
        on("wdown").assert(1, &["error: interface wdown: it is down; `ip link set wdown up` brings it up"]);
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "no records of nothing");
    });
}

#[test]
fn an_interface_that_is_forbidden_says_what_is_needed() {
    if !is_root() || !has("setpriv") {
        return skip("giving up rights takes root, which has them, and the program `setpriv`");
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--reuid=65534", "--clear-groups"]);
    let folder = open_folder();
    let program = folder.path().join("weir");
    fs::copy(env!("CARGO_BIN_EXE_weir"), &program).unwrap();
    let run = Run::of(command.arg(&program).args(["decode", "--interface", "lo"]));
    run.assert(
        1,
        &["error: interface lo: capturing needs CAP_NET_RAW: run as root or `setcap cap_net_raw+ep ", "/weir`"],
    );
}

#[test]
fn an_interface_that_goes_away_is_told_and_what_came_is_kept() {
    in_namespace("live::an_interface_that_goes_away_is_told_and_what_came_is_kept", || {
        let pcap = Pcap::read("dns-types.pcap");
        let frames: Vec<_> = pcap.packets.iter().map(|packet| packet[16..].to_vec()).collect();
        let mut command = weir();
        command.args(["decode", "-i", "wa", "-o-", "-r", "dns,connection"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, records) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().for_each(|line| drop(lines.send(line.unwrap()))));
        let mut sender = Capture::from_device("wb").unwrap().open().unwrap();
        while records.recv_timeout(Duration::from_millis(100)).is_err() {
            replay(&mut sender, &frames);
        }
        assert!(ip("link del wa"));
        let run = Run::from(child.wait_with_output().unwrap());
        run.assert(1, &["wa: capturing ended", "is the interface still there, and up? What came before is kept"]);
        assert!(records.iter().any(|line| line.contains("\"record\":\"connection\"")), "{}", run.stderr);
    });
}
