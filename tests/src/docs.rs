//! Pages of `docs/` that come from the code: compared with it by tests, or written anew with `UPDATE_DOCS=1` in the
//! environment (`make docs`).

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Compares a page of `docs/` with what the code says, or writes it.
///
/// # Panics
///
/// Where the page is not what the code says.
pub fn check_page(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == expected, "docs/{name} is not what the code says: run `make docs` and commit it");
}

/// The settings of a program, a table for each command. `is_key` says whether a configuration file has a key in a
/// table; a command's own table comes first, then those that are `shared`.
///
/// # Panics
///
/// Where a command or an argument has no help.
pub fn settings(mut program: clap::Command, shared: &[&str], is_key: impl Fn(&str, &str) -> bool) -> String {
    program.build();
    let mut page = String::new();
    for command in leaves(&program) {
        let arguments: Vec<_> = command.get_arguments().filter(|argument| argument.get_id() != "help").collect();
        if !arguments.iter().any(|argument| argument.get_long().is_some()) {
            continue;
        }
        let name = command.get_bin_name().unwrap();
        let tables = || name.split(' ').skip(1).chain(shared.iter().copied());
        writeln!(page, "## {name}\n\n{}.\n", cell(&command.get_about().unwrap().to_string())).unwrap();
        page.push_str("| flag | environment | key in the file | default | meaning |\n|---|---|---|---|---|\n");
        for argument in arguments {
            let flag = match (argument.get_long(), argument.get_short()) {
                (Some(long), Some(short)) => format!("--{long}, -{short}"),
                (Some(long), None) => format!("--{long}"),
                (None, _) => argument.get_value_names().unwrap().join(" "),
            };
            let environment = argument.get_env().map(|name| name.to_str().unwrap()).unwrap_or_default();
            let table = argument.get_long().and_then(|long| tables().find(|table| is_key(table, long)));
            let key = table.map(|table| format!("{table}.{}", argument.get_long().unwrap())).unwrap_or_default();
            let help = cell(&argument.get_help().unwrap().to_string());
            let (meaning, default) = split_default(&help);
            writeln!(page, "| `{flag}` | {} | {} | {default} | {meaning} |", code(environment), code(&key)).unwrap();
        }
        page.push('\n');
    }
    page
}

/// The commands that do something, not those that only hold others.
fn leaves(command: &clap::Command) -> Vec<&clap::Command> {
    if !command.has_subcommands() {
        return vec![command];
    }
    command.get_subcommands().filter(|command| command.get_name() != "help").flat_map(leaves).collect()
}

/// Help without the default that it ends with or has inside, and the default.
fn split_default(help: &str) -> (String, &str) {
    let parts = help.split_once(" [default: ").and_then(|(before, rest)| Some((before, rest.split_once(']')?)));
    let (meaning, default) = match parts {
        Some((before, (default, after))) => (format!("{before}{after}"), default),
        None => (help.to_owned(), ""),
    };
    (format!("{}.", meaning.trim_end_matches('.')), default)
}

/// Text as it may stand in a table.
pub fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}
