//! Settings from a file, the environment and flags; what is refused; completions and manual pages.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::harness::*;

/// Writes a configuration file.
fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("weir.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The settings in force, with these in the environment and these flags.
fn in_force(environment: &[(&str, &str)], flags: &[&str]) -> toml::Table {
    let run = Run::of(weir().args(["decode", "--print-config"]).args(flags).envs(environment.iter().copied()));
    run.assert(0, &[]);
    let printed: toml::Table = run.stdout_text().parse().unwrap();
    printed["decode"].as_table().unwrap().clone()
}

#[test]
fn flags_count_more_than_the_environment_and_that_more_than_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "[decode]\nsensor = \"file\"\nflows = 1\npartitions = 1\nmerge = true\n");
    let environment = [("WEIR_CONFIG", config.as_str()), ("WEIR_SENSOR", "environment"), ("WEIR_PARTITIONS", "2")];
    let settings = in_force(&environment, &["--sensor", "flag"]);
    assert_eq!(settings["sensor"].as_str(), Some("flag"));
    assert_eq!(settings["partitions"].as_integer(), Some(2));
    assert_eq!(settings["flows"].as_integer(), Some(1));
    assert_eq!(settings["merge"].as_bool(), Some(true));
    assert_eq!(settings["fragment-bytes"].as_integer(), Some(64 << 20), "a default");
    assert_eq!(in_force(&environment, &["--merge=false"])["merge"].as_bool(), Some(false));
    // And they are obeyed.
    let run = Run::of(weir().args(["decode", "-o-", "-r", "ntp"]).arg(capture("ntp.pcap")).envs(environment));
    assert_eq!(run.json()[0]["sensor"], "environment");
}

#[test]
fn printed_settings_are_a_file_that_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-o", "out", "-f", "csv", "-r", "+tcp,-ntp", "-b", "udp", "-m", "-w3", "--flows=9"];
    let settings = in_force(&[], &flags);
    assert_eq!(settings.len(), 11, "every setting is printed: {settings}");
    let config = file(folder.path(), &format!("[decode]\n{settings}"));
    assert_eq!(in_force(&[], &["--config", &config]), settings);
}

#[test]
fn checking_says_that_all_is_well_and_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let run = decode(["--check", "-r", "dns", "--bpf", "port 53", "--out", out.to_str().unwrap()]);
    run.assert(0, &["the settings are fine"]);
    assert!(!out.exists());
}

#[test]
fn what_is_refused_is_named_with_its_place_and_what_is_near() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |text: &str| {
        let config = file(folder.path(), text);
        let run = decode(["--check", "--config", &config]);
        run.assert(2, &[]);
        run.stderr.strip_prefix(&format!("error: {config}:")).expect("the file comes first").to_owned()
    };
    assert_eq!(
        refused("[decode]\nsensor = \"a\"\n  partitons = 4\n"),
        "3:3: there is no `partitons`; did you mean `partitions`?\n"
    );
    assert_eq!(refused("[decod]\n"), "1:2: there is no `decod`; did you mean `decode`?\n");
    assert!(
        refused("[decode]\nformat = \"parket\"\n")
            .starts_with("2:10: no format is called `parket`; did you mean `parquet`?")
    );
    assert!(refused("[decode]\nworkers = \"two\"\n").starts_with("2:11: invalid type: string \"two\", expected u32"));
    assert!(refused("[decode\n").starts_with("1:8: "));

    for (arguments, parts) in [
        (&["--config", "/nonexistent.toml"][..], &["/nonexistent.toml: the configuration file can't be read"][..]),
        (&["--partitons", "4"], &["unexpected argument '--partitons'", "'--partitions'"]),
        (&["--workers", "0"], &["workers is 0, but may be 1 to 1024"]),
        (&["--partitions", "5000"], &["partitions is 5000, but may be 1 to 4096"]),
        (&["--out", ""], &["out is empty, but must be a folder"]),
        (&["--sensor", ""], &["sensor is \"\", but must be a name"]),
        (&["--format", "cvs"], &["no format is called `cvs`; did you mean `csv`?"]),
        (&["--records", "dnss"], &["no record type or group is called `dnss`; did you mean `dns`?"]),
        (&["--records", "dns,-dns"], &["records `dns,-dns` select no record type; `weir records` lists them"]),
        (&["--bpf", "udp prt 53"], &["filter `udp prt 53` does not compile"]),
        (&["--interface", "lo", "file.pcap"], &["cannot be used with"]),
    ] {
        decode(["--check"].iter().chain(arguments)).assert(2, parts);
    }
    decode::<&str>([]).assert(2, &["<FILE>"]);
    let zero = file(folder.path(), "[decode]\npartitions = 0\n");
    decode(["--config", &zero, "x.pcap"]).assert(2, &["partitions is 0, but may be 1 to 4096"]);
    let run = Run::of(weir().args(["decode", "--check"]).env("WEIR_PARTITONS", "4"));
    run.assert(2, &["the environment has WEIR_PARTITONS, which is no setting; did you mean WEIR_PARTITIONS?"]);
    let run = Run::of(weir().args(["decode", "--check"]).env("WEIR_WORKERS", "two"));
    run.assert(2, &["invalid value 'two'", "--workers"]);
}

#[test]
fn record_types_that_are_none_are_refused_with_the_nearest() {
    let run = Run::of(weir().args(["records", "dsn"]));
    run.assert(2, &["no record type is called `dsn`; did you mean `dns`?"]);
    for name in ["dns", "Dns", "mac-sec", "MacSec"] {
        Run::of(weir().args(["records", name])).assert(0, &[]);
    }
}

#[test]
fn shells_take_their_completions() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let run = Run::of(weir().args(["completions", shell]));
        run.assert(0, &[]);
        for word in ["decode", "interface", "print-config", "schema"] {
            assert!(run.stdout_text().contains(word), "{shell} lacks {word}");
        }
        let script = folder.path().join(shell);
        fs::write(&script, &run.stdout).unwrap();
        if !has(shell) {
            skip(&format!("{shell} is not there to try its completions"));
            continue;
        }
        Run::of(Command::new(shell).arg("-n").arg(&script)).assert(0, &[]);
    }
    if has("bash") {
        let complete = "source \"$0\"; COMP_WORDS=(weir decode --int); COMP_CWORD=2; _weir weir --int decode
            printf '%s\\n' \"${COMPREPLY[@]}\"";
        let run = Run::of(Command::new("bash").args(["-c", complete]).arg(folder.path().join("bash")));
        assert_eq!(run.stdout_text().trim(), "--interface", "{}", run.stderr);
    }
}

#[test]
fn manual_pages_are_written_and_can_be_shown() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let run = Run::of(weir().arg("man").arg(&pages));
    run.assert(0, &["wrote the manual pages to"]);
    Run::of(weir().args(["man", "/dev/null/x"]))
        .assert(2, &["/dev/null/x: writing the manual pages failed: Not a dir"]);
    let names: Vec<_> = files(&pages).into_keys().collect();
    for name in ["weir.1", "weir-decode.1", "weir-records.1", "weir-schema.1", "weir-schema-export-json.1"] {
        assert!(names.iter().any(|of| of == name), "{name} is not among {names:?}");
    }
    if !has("man") || !has("groff") {
        return skip("the programs `man` and `groff` are not there to show the pages");
    }
    for name in names {
        let mut command = Command::new("man");
        command.args(["--warnings", "--encoding=utf8", "--local-file"]).arg(pages.join(&name));
        let run = Run::of(command.env("MANWIDTH", "80").stdin(Stdio::null()));
        run.assert(0, &[]);
        assert_eq!(run.stderr, "", "{name}");
        assert!(run.stdout_text().contains("SYNOPSIS"), "{name}");
        if name == "weir-decode.1" {
            assert!(
                run.stdout_text().contains("\n         weir decode day.pcap -o records                a Parquet file")
            );
        }
    }
}
