//! Keeps the pages that users read true: those of `docs/` that come from the code are compared with it,
//! or written anew with `UPDATE_DOCS=1` in the environment (`make docs`), and in all others the links and
//! the commands are tried.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use clap::{CommandFactory as _, Parser as _};
use weir_contract::{FieldInfo, FieldKind, Holds, RecordType, Selection};

use super::{Cli, records};
use crate::config;
use weir_tests::docs::{cell, check_page, settings};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const RECORDS: &str = "\
# Records

Written by `make docs` from the messages in `proto/`. `weir records TYPE` prints the same.

Fields end in their unit: `_ns` nanoseconds, `_bytes` bytes, `_ratio` a share of 1. A field that *may be
absent* is null where the traffic does not say; every other field has a value, zero or empty where there
is nothing to tell. Text from the wire is UTF-8 in which other bytes, control characters and `\\` are written
`\\xHH`. Columns add `ts` to these fields: `ts_ns` as a timestamp in UTC, µs.

";

const CONFIGURATION: &str = "\
# Configuration

Written by `make docs` from the command line's own description.

Settings come from a TOML file, the environment and flags; what is said later in this order counts. A
key, variable or flag that does not exist is refused, and the nearest one named. `weir decode --check`
tries the settings, `weir decode --print-config` prints them as a file.

The exit status is 0 if all was decoded and written, 1 if some was not, 2 if what was asked for cannot be
done, 130 after Ctrl-C.

";

const PRIVACY: &str = "\
# Privacy

Written by `make docs`, the lists from the messages in `proto/`.

Records tell who talked with whom. Where that is more than their readers may know, `weir processor` and `weir decode`
can change addresses before anything is published or written:

```toml
[privacy]
addresses = \"pseudonymise\"
address-key-file = \"/etc/weir/address.key\"
```

| `addresses` | IPv4 | IPv6 | link-layer addresses | Community ID |
|---|---|---|---|---|
| `keep` (the default) | stays | stays | stays | stays |
| `truncate` | the first 24 bits stay, zeros follow | the first 48 bits stay | the first 3 octets stay: the manufacturer | is empty |
| `drop` | is empty | is empty | is empty | is empty |
| `pseudonymise` | another address, prefixes kept | another address, prefixes kept | another one, locally administered | `k:` and a keyed hash |

On one core of a server it takes 2.5 µs a record more, about as much again as decoding does; nothing where addresses are kept.

## The key

`openssl rand -hex 32 > address.key` makes one: 64 hex digits. All processors of a topic prefix need the same, and
whoever has it can undo the pseudonyms: keep it where readers of records can't get at it. Equal packets and keys give
equal records, wherever and how often they are decoded. With another key no record joins those before.

Truncated and dropped addresses need a key too. A `uid` is a hash of addresses among things that can be guessed, so that
whoever suspects an address could try it. Unless addresses are kept, a keyed hash of it stands in its place: the records
of a connection share it as before.

Pseudonyms are those of ipcrypt's mode `pfx` (draft-denis-ipcrypt): two addresses that share their first bits have
pseudonyms that share as many, so that networks stay networks and can be counted, grouped and compared. That is also
their weakness: who knows what one pseudonym stands for, since it is that of 0.0.0.0 or of a well-known resolver, knows
as much of each pseudonym as it shares with that one. No address is excepted, broadcast and multicast included. IPv4 and
IPv6 have nothing to do with one another, but for IPv4 addresses mapped to IPv6.

## What is covered

Fields that are addresses; and addresses in all other text that was sent, such as DNS data, HTTP headers, syslog
messages and certificates: IPv4 with dots, IPv6, link-layer addresses with `:` or `-`, and names of reverse lookups
(`in-addr.arpa`, `ip6.arpa`). Four numbers below 256 with dots between count as an address, a version too. Where a
field of an address holds something else, it is left out. In text an address that is dropped leaves nothing behind.

Beside records: dead letters go without the packet that they are about, which stays in `weir-packets` at the offset
that they name.

## What is not covered

- Addresses written otherwise: as one number, in hex (a DNS record of unknown type is `\\# 4 c0000201`), in base64,
  percent-encoded, with dashes (`ip-192-0-2-1.example`), or with more than five numbers (the end of an SNMP object
  identifier).
- What tells a host by other means: names, user names, cookies, certificates, JA3 and its like, ports, times and sizes.
- Two topics hold real addresses whatever is set, since they are what is decoded from: `weir-packets`, and
  `weir-state`, which has the state of open connections. Let nobody read them but processors (`weir topics acl` gives the
  rights), keep `weir-packets` no longer than a processor may be away (`retention.ms`), and let the agent cut packets
  (`--snap-length`) where payload is not needed.
- Files of `weir decode` and topics that were written before.

";

const METRICS: &str = "\
# Metrics

Written by `make docs` from the tables in the code. Those of the agent are in [agent.md](agent.md).

Each part tells them at `/metrics`, on 127.0.0.1 unless `--listen` says otherwise: port 9478 for a processor, 9479 for
a sink. `/healthz` answers 200 unless the process should be started again, `/readyz` once it does its work; both say
why not. Times are seconds, sizes bytes. What has labels whose values are known is there from the start, at 0.
";

#[test]
fn records_are_described_as_the_registry_has_them() {
    let mut page = RECORDS.to_owned();
    let all = RecordType::all();
    writeln!(page, "Groups for `--records`: {}.\n", code_list(&Selection::groups())).unwrap();
    page.push_str("| record type | groups | by default | what |\n|---|---|---|---|\n");
    for info in all {
        let default = if info.opt_in { "" } else { "yes" };
        let (name, groups) = (info.name, info.groups.join(", "));
        writeln!(page, "| [`{name}`](#{name}) | {groups} | {default} | {} |", cell(&records::first_sentence(info.doc)))
            .unwrap();
    }
    page.push_str("\n## Fields of every record\n\n");
    push_fields(&mut page, all[0].meta_and_own().0);
    for info in all {
        let topic = info.record_type.topic("weir");
        writeln!(page, "\n## {}\n\n{}\n\nMessage `{}`, topic `{topic}`.\n", info.name, info.doc, info.message).unwrap();
        push_fields(&mut page, info.meta_and_own().1);
    }
    check_page("records.md", &page);
}

fn push_fields(page: &mut String, fields: &[FieldInfo]) {
    page.push_str("| field | type | meaning |\n|---|---|---|\n");
    push_rows(page, fields, "");
}

fn push_rows(page: &mut String, fields: &[FieldInfo], parent: &str) {
    for field in fields {
        let name = format!("{parent}{}", field.name);
        let mut meaning = cell(field.doc);
        if let FieldKind::Enum(_, values) = field.kind {
            let names: Vec<_> = values.iter().map(|(_, name)| *name).collect();
            write!(meaning, " One of {}.", code_list(&names)).unwrap();
        }
        writeln!(page, "| `{name}` | {} | {meaning} |", records::type_name(field)).unwrap();
        push_rows(page, field.fields, &format!("{name}{}.", if field.repeated { "[]" } else { "" }));
    }
}

fn code_list(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[test]
fn settings_are_described_as_the_command_line_has_them() {
    let is_key = |table: &str, key: &str| {
        let error = toml::from_str::<config::File>(&format!("[{table}]\n{key} = {{}}\n")).unwrap_err();
        !error.message().starts_with("unknown field")
    };
    let mut page =
        CONFIGURATION.to_owned() + &settings(Cli::command(), &["privacy", "kafka", "lake", "metrics"], is_key);
    page.push_str("A file:\n\n```toml\n[decode]\nout = \"records\"\nrecords = \"+tcp,-ntp\"\nworkers = 2\n```\n");
    check_page("configuration.md", &page);
}

#[test]
fn privacy_is_described_as_the_registry_has_it() {
    let mut page = PRIVACY.to_owned();
    page.push_str(
        "## Fields that stay as they are\n\nThey hold no address by their meaning, or what looks like one.\n\n",
    );
    push_holding(&mut page, |field| field.holds == Holds::NoAddress);
    page.push_str("\n## Fields that are left out\n\nBytes, and text that is made of bytes: an address in them could not be found.\n\n");
    push_holding(&mut page, |field| match field.kind {
        FieldKind::Bytes => field.holds != Holds::NoAddress,
        _ => field.holds == Holds::Opaque,
    });
    check_page("privacy.md", &page);
}

/// A list of the fields that `is_one` chooses, those that all records have first.
fn push_holding(page: &mut String, is_one: impl Fn(&FieldInfo) -> bool) {
    let all = RecordType::all();
    let (shared, _) = all[0].meta_and_own();
    let records = all.iter().map(|info| (info.name, info.meta_and_own().1));
    for (name, fields) in std::iter::once(("every record", shared)).chain(records) {
        let mut found = Vec::new();
        push_paths(&mut found, fields, "", &is_one);
        if !found.is_empty() {
            let found: Vec<_> = found.iter().map(|path| format!("`{path}`")).collect();
            writeln!(page, "- {name}: {}", found.join(", ")).unwrap();
        }
    }
}

fn push_paths(found: &mut Vec<String>, fields: &[FieldInfo], parent: &str, is_one: &impl Fn(&FieldInfo) -> bool) {
    for field in fields {
        let path = format!("{parent}{}", field.name);
        if is_one(field) {
            found.push(path.clone());
        }
        push_paths(found, field.fields, &format!("{path}{}.", if field.repeated { "[]" } else { "" }), is_one);
    }
}

#[test]
fn metrics_are_described_as_the_tables_have_them() {
    let parts = [
        ("weir processor", crate::processor::metrics::METRICS),
        ("weir sink", crate::sink::METRICS),
        ("Both", weir_service::metrics::COMMON),
    ];
    let mut page = METRICS.to_owned();
    for (part, metrics) in parts {
        write!(page, "\n## {part}\n\n{}", weir_service::metrics::to_markdown(metrics)).unwrap();
    }
    check_page("metrics.md", &page);
}

/// The pages written for people: those at the root, in `docs/` and `tests/`.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/runbooks", "tests/captures"] {
        for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.push((path, text));
            }
        }
    }
    assert!(pages.len() > 5, "pages are not where they were");
    pages
}

/// What GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in pages() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            let found = match place {
                "" => target.exists(),
                place => anchors(&fs::read_to_string(&target).unwrap_or_default()).contains(place),
            };
            if !found {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn commands_in_pages_can_be_run() {
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    let mut tried = 0;
    for (path, text) in pages() {
        let blocks = text.split("\n```").skip(1).step_by(2);
        for line in blocks.filter(|block| block.starts_with("sh\n")).flat_map(str::lines) {
            let mut words = words(line);
            let Some(program) = words.first_mut() else { continue };
            if program == "make" {
                let known = words.iter().skip(1).all(|name| makefile.contains(&format!("\n{name}: ##")));
                assert!(known, "{}: the Makefile has no such target: {line}", path.display());
                tried += 1;
            } else if program.ends_with("weir") {
                if let Err(error) = Cli::try_parse_from(words) {
                    assert!(!error.use_stderr(), "{}: {line}\n{error}", path.display());
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 5, "commands are not where they were");
}

/// A line of shell as far as pages have it: words, simple quotes, a comment, and what follows a pipe left out.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.trim_start_matches("$ ").chars() {
        match letter {
            '\'' => quoted = !quoted,
            '|' | '#' | '>' | '&' if !quoted => break,
            ' ' if !quoted => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
