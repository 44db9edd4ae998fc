//! Output that can't be written, in whole or in part.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use parquet::file::reader::{FileReader as _, SerializedFileReader};

use crate::harness::*;

fn office() -> String {
    capture("office.pcapng").display().to_string()
}

#[test]
fn a_full_disk_keeps_what_was_whole() {
    if !is_root() || !has("unshare") {
        return skip("a small disk is mounted in a namespace, which takes root and `unshare`");
    }
    for format in ["parquet", "csv", "json", "proto", "arrow"] {
        let folder = tempfile::tempdir().unwrap();
        // A disk of 256 KiB, gone with the shell; what is on it then is copied out.
        let script = "mkdir disk kept && mount -t tmpfs -o size=256k none disk || exit 99
            \"$@\" --out disk; code=$?
            cp -a disk/. kept && exit $code";
        let run = Run::of(
            Command::new("unshare")
                .args(["--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_weir"), "decode", &office()])
                .args(["--records", "all", "--format", format])
                .current_dir(folder.path()),
        );
        if run.code == Some(99) {
            return skip("mounting is not allowed here");
        }
        run.assert(
            1,
            &[
                "disk/",
                "writing failed after",
                "No space left on device",
                "free some space, or choose another folder with --out",
                "records not written",
                "stopped, since writing failed: the rest was not read",
            ],
        );
        let kept = files(&folder.path().join("kept"));
        assert!(kept.keys().all(|name| !name.starts_with('.')), "{format}: {:?}", kept.keys());
        for (name, bytes) in &kept {
            assert!(!bytes.is_empty(), "{format}: {name} is empty");
            match format {
                "csv" | "json" => assert!(bytes.ends_with(b"\n"), "{name}"),
                "parquet" => {
                    let file = File::open(folder.path().join("kept").join(name)).unwrap();
                    let rows = SerializedFileReader::new(file).unwrap().metadata().file_metadata().num_rows();
                    assert!(rows > 0, "{name}");
                }
                "arrow" => assert!(bytes.ends_with(b"ARROW1"), "{name}"),
                _ => {}
            }
        }
        // Each file that failed is named, with the records it has all the same.
        for line in run.stderr.lines().filter(|line| line.starts_with("error: disk/")) {
            let name = line["error: disk/".len()..].split(": ").next().unwrap();
            let has_records = !line.contains("; 0 records are kept");
            assert_eq!(kept.contains_key(name), has_records, "{line}");
            if format == "csv" && has_records {
                let lines = std::str::from_utf8(&kept[name]).unwrap().lines().count();
                assert!(line.contains(&format!("; {} records are kept", lines - 1)), "{line} but {lines} lines");
            }
        }
    }
}

#[test]
fn a_full_standard_output_is_told_once() {
    for (arguments, code) in [(vec!["decode", "-o-"], 1), (vec!["records"], 1), (vec!["schema", "export", "json"], 1)] {
        let mut command = weir();
        command.args(&arguments);
        if arguments[0] == "decode" {
            command.arg(office());
        }
        let run = Run::of(command.stdout(File::options().write(true).open("/dev/full").unwrap()));
        run.assert(code, &["error: standard output: writing failed: No space left on device"]);
        assert_eq!(run.stderr.matches("error: ").count(), 1, "{}", run.stderr);
    }
}

#[test]
fn a_pipe_that_is_closed_ends_it_quietly() {
    for arguments in [&["decode", "-r", "all", "-o-"][..], &["schema", "export", "json"]] {
        let mut command = weir();
        command.args(arguments);
        if arguments[0] == "decode" {
            command.arg(office());
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        // More is to come than a pipe holds, so that writing goes on after this end is closed.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with('{'), "{line}");
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_standard_error_that_nobody_takes_changes_nothing() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let ntp = capture("ntp.pcap").display().to_string();
    let complete = Run::of(weir().args(["decode", &ntp, "-o-"]).stderr(full()));
    assert_eq!((complete.code, complete.json().len() > 50), (Some(0), true));
    let incomplete = Run::of(weir().args(["decode", "missing.pcap", &ntp, "-o-"]).stderr(full()));
    assert_eq!((incomplete.code, incomplete.json()), (Some(1), complete.json()));
    assert_eq!(Run::of(weir().args(["decode", "--check", "-r", "dsn"]).stderr(full())).code, Some(2));
    // As `weir decode FILE 2>&1 | head` does.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(Run::of(weir().args(["decode", &ntp]).stderr(writer)).code, Some(0));
}

#[test]
fn a_folder_that_cannot_be_is_told_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for out in [&file, &file.join("out")] {
        let run = decode([&office(), "--out", &out.display().to_string()]);
        run.assert(
            2,
            &[&format!("{}: the folder cannot be made", out.display()), "a file stands where a folder should"],
        );
    }
    let several = decode([&office(), "--out", "-", "--format", "csv"]);
    several.assert(2, &["standard output takes one record type as csv, but", "choose one with --records"]);
    assert!(several.stdout.is_empty());
}

#[test]
fn older_files_are_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    decode([&office(), "--out", &out]).assert(0, &[]);
    let first = files(folder.path());
    decode([&office(), "--out", &out]).assert(0, &[]);
    assert!(files(folder.path()) == first && first.len() > 5);
}
