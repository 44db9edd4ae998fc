//! Where captures come from: files, folders, the standard input, compressed or not, apart or merged.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use serde_json::Value;

use crate::harness::*;

fn records(arguments: &[&str]) -> Vec<Value> {
    let run = decode(arguments.iter().copied().chain(["--records", "all", "--out", "-"]));
    run.assert(0, &[]);
    run.json()
}

#[test]
fn the_standard_input_is_a_capture_like_any() {
    let path = capture("office.pcapng");
    let of_file = without_epoch(&records(&[path.to_str().unwrap()]));
    let stdin = |file: File| {
        let run = Run::of(weir().args(["decode", "-", "--records", "all", "--out", "-"]).stdin(file));
        run.assert(0, &[]);
        assert!(run.json().iter().any(|record| record["source"] == "standard input"), "{}", run.stderr);
        without_epoch(&run.json())
    };
    assert!(stdin(File::open(&path).unwrap()) == of_file);
    let piped = "cat \"$1\" | exec \"$0\" decode - --records all --out -";
    let run = Run::of(Command::new("sh").args(["-c", piped, env!("CARGO_BIN_EXE_weir")]).arg(&path));
    assert!(without_epoch(&run.json()) == of_file);
    let twice = decode(["-", "-"]);
    twice.assert(1, &["the standard input (-) is given more than once"]);
}

#[test]
fn compressed_captures_are_read_as_what_they_hold() {
    let plain = without_epoch(&records(&[capture("format.pcap").to_str().unwrap()]));
    assert!(plain.len() > 16);
    for ending in ["gz", "zst", "lz4"] {
        let path = capture(&format!("format.pcap.{ending}"));
        assert_eq!(without_epoch(&records(&[path.to_str().unwrap()])), plain, "{ending}");
        let run = Run::of(weir().args(["decode", "-", "-rall", "-o-"]).stdin(File::open(path).unwrap()));
        assert_eq!(without_epoch(&run.json()), plain, "{ending} on the standard input");
    }
}

#[test]
fn a_folder_is_every_capture_in_it_in_the_order_of_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::copy(capture("ntp.pcap"), folder.path().join("a/z.pcap")).unwrap();
    fs::copy(capture("ping.pcap"), folder.path().join("b.pcap")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no capture").unwrap();
    let path = folder.path().to_str().unwrap();
    let run = decode([path, "-w1", "--out", "-"]);
    run.assert(0, &["note: ", "notes.txt: skipped, it is no capture file"]);
    let names = ["a/z.pcap", "b.pcap"].map(|name| folder.path().join(name).display().to_string());
    let named = decode(names.iter().map(String::as_str).chain(["-w1", "--out", "-"]));
    assert_eq!(run.json(), named.json());
    let json = run.json();
    let sources = json.iter().filter_map(|record| record["source"].as_str());
    assert_eq!(sources.collect::<Vec<_>>(), names);
}

#[test]
fn merged_files_are_one_capture_in_the_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let pcap = Pcap::read("ntp.pcap");
    let write = |name: &str, remainder: usize| {
        let of_two = pcap.packets.iter().skip(remainder).step_by(2);
        let path = folder.path().join(name);
        fs::write(&path, pcap.with(of_two)).unwrap();
        path.display().to_string()
    };
    // The second packet and each second after it come first on the command line.
    let parts = [write("a.pcap", 1), write("b.pcap", 0)];
    let whole = without_epoch(&records(&[capture("ntp.pcap").to_str().unwrap()]));
    let merged = records(&["--merge", &parts[0], &parts[1]]);
    assert_eq!(without_epoch(&merged), whole);
    let stats: Vec<_> = merged.iter().filter(|record| record["record"] == "capture_stats").collect();
    assert_eq!(stats.len(), 1);
    assert_eq!(stats[0]["source"], parts.join(", "));
    let last = u32::from_le_bytes(*pcap.packets.last().unwrap().first_chunk().unwrap());
    let told = stats[0]["ts_ns"].as_i64().unwrap();
    assert_eq!(told / 1_000_000_000, i64::from(last), "the last packet's time, also where too few made a watermark");
    assert_ne!(without_epoch(&records(&[&parts[0], &parts[1]])), whole, "apart they are two captures");
}

#[test]
fn a_capture_given_twice_is_decoded_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.pcap", "b.pcap"] {
        fs::copy(capture("ntp.pcap"), folder.path().join(name)).unwrap();
    }
    let run = decode([folder.path().as_os_str(), "-o-".as_ref()]);
    run.assert(0, &["b.pcap: skipped, it is the same capture as ", "a.pcap\n"]);
    let once = decode([capture("ntp.pcap").as_os_str(), "-o-".as_ref()]);
    assert_eq!(without_epoch(&run.json()), without_epoch(&once.json()));
}

#[test]
fn a_filter_leaves_packets_out_and_keeps_their_numbers() {
    let path = capture("office.pcapng");
    let run = decode([path.to_str().unwrap(), "--bpf", "udp port 53", "-r", "dns", "--out", "-"]);
    run.assert(0, &["packets left out by --bpf"]);
    let all = records(&[path.to_str().unwrap()]);
    let numbers = |records: &[Value]| -> Vec<i64> {
        let dns = records.iter().filter(|record| record["record"] == "dns" && record["flavour"] == "dns");
        let mut numbers: Vec<_> = dns.map(|record| record["packet_number"].as_i64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers(&run.json()), numbers(&all));
    assert!(run.packets().unwrap() > 100 && run.packets() < decode([&path]).packets());
}

#[test]
fn every_format_can_be_written_and_null_writes_nothing() {
    let path = capture("ntp.pcap").display().to_string();
    for (format, ending) in
        [("parquet", "parquet"), ("csv", "csv"), ("json", "jsonl"), ("proto", "pb"), ("arrow", "arrow")]
    {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/out");
        let run = decode([&path, "-f", format, "-o", out.to_str().unwrap()]);
        run.assert(0, &["ntp", &format!("new/out/ntp.{ending}")]);
        let names: Vec<_> = files(&out).into_keys().collect();
        assert_eq!(names, ["capture_stats", "connection", "ntp"].map(|name| format!("{name}.{ending}")));
        if format != "null" {
            let stdout = decode([&path, "-f", format, "-r", "ntp", "-o-"]);
            stdout.assert(0, &[]);
            assert!(!stdout.stdout.is_empty(), "{format}");
        }
    }
    let out = Path::new("/nonexistent/null");
    let run = decode([&path, "-f", "null", "-o", out.to_str().unwrap()]);
    run.assert(0, &["50"]);
}
