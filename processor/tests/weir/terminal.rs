//! What is shown on a terminal, and what not in a pipe.

use std::process::{Command, Stdio};

use crate::harness::*;

/// Runs a line of shell on a terminal of the program `script`, and gives what that shows. `{weir}` stands
/// for the binary.
fn on_terminal(line: &str) -> Option<String> {
    if !has("script") || !has("stty") {
        skip("there is no terminal without the programs `script` and `stty`");
        return None;
    }
    let line = line.replace("{weir}", env!("CARGO_BIN_EXE_weir"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let run = Run::of(command.env("TERM", "xterm").env_remove("NO_COLOR").stdin(Stdio::null()));
    assert_eq!(run.code, Some(0), "{}", run.stdout_text());
    Some(run.stdout_text().to_owned())
}

/// What is seen of text on a terminal, without its control sequences.
fn visible(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |seen, part| {
        seen + part.trim_start_matches(|letter: char| !letter.is_alphabetic()).get(1..).unwrap()
    })
}

/// The states of the bar, one after another.
fn bars(shown: &str) -> Vec<String> {
    shown.split(['\r', '\n']).map(visible).filter(|line| line.starts_with('[')).collect()
}

fn office() -> String {
    format!("{{weir}} decode {}", capture("office.pcapng").display())
}

#[test]
fn a_bar_shows_share_size_rate_and_time_left() {
    let Some(shown) = on_terminal(&format!("stty rows 24 cols 80; {}", office())) else { return };
    let bars = bars(&shown);
    assert!(bars.len() > 1, "{shown}");
    for bar in &bars {
        assert_eq!(bar.chars().count(), 80, "{bar:?}");
        for part in ["% ", " of 1.85 MB", "/s ", " left"] {
            assert!(bar.contains(part), "{bar:?} lacks {part}");
        }
    }
    assert!(bars.last().unwrap().contains('>'), "{bars:?}");
    // It is gone when the table comes.
    assert!(shown.contains("\r\x1b[2Krecord type "), "{shown}");
}

#[test]
fn a_bar_fits_any_width_known_or_not() {
    for columns in [0, 20, 40, 79, 120, 300] {
        let Some(shown) = on_terminal(&format!("stty rows 24 cols {columns}; {}", office())) else { return };
        let width = if columns == 0 { 80 } else { columns };
        for bar in bars(&shown) {
            assert!(bar.chars().count() <= width, "{columns} columns: {bar:?}");
        }
        assert!(shown.contains("2,893 packets, "), "{shown}");
    }
}

#[test]
fn streams_and_dumb_terminals_are_served() {
    let Some(shown) = on_terminal(&format!("cat {} | {{weir}} decode -", capture("office.pcapng").display())) else {
        return;
    };
    assert!(shown.contains("2048 packets") && shown.contains("/s"), "{shown}");
    let dumb = on_terminal(&format!("TERM=dumb {}", office())).unwrap();
    assert!(bars(&dumb).is_empty() && !dumb.contains('\x1b'), "{dumb}");
}

#[test]
fn records_on_a_terminal_have_it_for_themselves() {
    let Some(shown) = on_terminal(&format!("{} --records syslog --out -", office())) else { return };
    assert!(!shown.contains('\x1b'), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with('{')).count(), 3);
}

#[test]
fn a_terminal_is_no_place_for_what_is_no_text() {
    let ntp = capture("ntp.pcap").display().to_string();
    for (line, message) in [
        (format!("{{weir}} decode {ntp} -r ntp -f parquet -o -"), "parquet is no text for a terminal"),
        ("{weir} schema export descriptor".to_owned(), "a descriptor set is no text for a terminal"),
        ("{weir} decode -".to_owned(), "the standard input is a terminal: pipe a capture into it"),
    ] {
        let Some(shown) = on_terminal(&format!("{line}; test $? = 2")) else { return };
        assert!(shown.contains(message), "{line}: {shown}");
    }
}

#[test]
fn nothing_is_coloured_where_nobody_wants_it() {
    let Some(shown) = on_terminal("{weir} decode --help") else { return };
    assert!(shown.contains('\x1b'), "headings stand out: {shown}");
    for line in
        ["NO_COLOR=1 {weir} decode --help", "NO_COLOR=1 {weir} records", "NO_COLOR=1 {weir} decode missing; true"]
    {
        let shown = on_terminal(line).unwrap();
        assert!(!shown.contains("\x1b[1m") && !shown.contains("\x1b[3"), "{line}: {shown}");
    }
    let Some(shown) = on_terminal(&format!("NO_COLOR=1 {}", office())) else { return };
    assert!(
        !shown
            .split("\x1b[")
            .skip(1)
            .any(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')),
        "{shown}"
    );
}

#[test]
fn help_fits_the_terminal() {
    for columns in [80, 100] {
        for command in ["", "decode", "records", "schema", "schema export json", "completions", "man"] {
            let Some(shown) = on_terminal(&format!("stty rows 24 cols {columns}; {{weir}} {command} --help")) else {
                return;
            };
            for line in shown.lines() {
                assert!(visible(line.trim_end()).chars().count() <= columns, "{command}: {line:?}");
            }
        }
    }
}

#[test]
fn lists_fit_the_terminal() {
    for columns in [80, 120] {
        for command in ["records", "records dns", "records connection"] {
            let Some(shown) = on_terminal(&format!("stty rows 24 cols {columns}; {{weir}} {command}")) else { return };
            for line in shown.lines() {
                assert!(line.trim_end().chars().count() <= columns, "{command}: {line:?}");
            }
        }
    }
}

#[test]
fn the_table_tells_what_was_weird() {
    let run = decode([capture("fragments.pcap")]);
    run.assert(0, &["\nweird\n", "  ipv4: overlap conflict\n", "  ipv4: fragment timeout\n", "lost:  nothing"]);
    let unselected = decode([capture("fragments.pcap").as_os_str(), "--records=connection".as_ref()]);
    unselected.assert(0, &["\nweird: not selected\n"]);
    let flows = decode([capture("office.pcapng").as_os_str(), "--flows=1".as_ref(), "--partitions=1".as_ref()]);
    flows.assert(0, &["\nlost\n", "  flows written early: --flows was reached\n"]);
}

#[test]
fn a_pipe_gets_the_table_and_nothing_else() {
    let run = decode([capture("office.pcapng")]);
    run.assert(0, &[]);
    assert!(!run.stderr.contains(['\r', '\x1b']), "{:?}", run.stderr);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert_eq!(lines[0], "record type            records  protobuf bytes");
    let dns = lines.iter().find(|line| line.starts_with("dns ")).unwrap();
    assert!(dns.ends_with("  126,158") || dns.split_whitespace().count() == 3, "{dns}");
    assert!(lines.contains(&"weird: nothing") && lines.contains(&"lost:  nothing"), "{lines:?}");
    let last = lines.last().unwrap();
    assert!(last.starts_with("2,893 packets, 1.7 MB in ") && last.ends_with("/s"), "{last}");
    for line in &lines[..9] {
        assert_eq!(line.len(), lines[0].len(), "columns are aligned: {lines:#?}");
    }
}
