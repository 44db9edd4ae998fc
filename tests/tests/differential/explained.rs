//! The table of differences that are known and why: `tests/differential/explained.tsv`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// Something that we and tshark say differently.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The capture file, relative to the folder of captures.
    pub file: String,
    /// The layer, for numbers of packets; `layer in all` for numbers of headers; `layer frame field` for a field.
    pub layer: String,
    /// Number of packets in which we found the layer, or of headers, or our value.
    pub ours: String,
    /// tshark's.
    pub tsharks: String,
}

impl Difference {
    /// Values from the wire become one cell of the table.
    pub fn new(file: &str, layer: &str, ours: &str, tsharks: &str) -> Self {
        let cell = |value: &str| value.replace(['\t', '\n', '\r'], " ").trim_end().to_owned();
        Self { file: file.to_owned(), layer: layer.to_owned(), ours: cell(ours), tsharks: cell(tsharks) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, layer, ours, tsharks } = self;
        write!(f, "{file}\t{layer}\t{ours}\t{tsharks}")
    }
}

/// The table: differences with the key of their reason, and the reasons.
pub struct Explained {
    rows: BTreeMap<Difference, String>,
    reasons: BTreeMap<String, String>,
}

impl Explained {
    /// Reads the table: `# key: text` lines declare reasons; rows are file, layer, ours, tshark's and the
    /// keys of their reasons.
    pub fn load(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn parse(text: &str) -> Self {
        let mut table = Self { rows: BTreeMap::new(), reasons: BTreeMap::new() };
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some((key, reason)) = line.strip_prefix("# ").and_then(|rest| rest.split_once(": ")) {
                table.reasons.insert(key.to_owned(), reason.to_owned());
                continue;
            }
            let [file, layer, ours, tsharks, key] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("a row has file, layer, ours, tshark's and reasons: {line}");
            };
            let twice = table.rows.insert(Difference::new(file, layer, ours, tsharks), key.to_owned());
            assert!(twice.is_none(), "twice in the table: {line}");
        }
        table
    }

    /// What keeps the table from explaining the differences found and nothing else: one line each, with
    /// what helps to look into it.
    pub fn complaints(&self, found: &BTreeMap<Difference, String>) -> Vec<String> {
        let unexplained = found.iter().filter(|(difference, _)| !self.rows.contains_key(difference));
        let stale = self.rows.keys().filter(|row| !found.contains_key(row));
        let used: BTreeSet<&str> = self.rows.values().flat_map(|keys| keys.split(' ')).collect();
        let undeclared = used.iter().filter(|key| !self.reasons.contains_key(**key));
        let unused = self.reasons.keys().filter(|key| !used.contains(key.as_str()));
        let mut complaints: Vec<String> =
            unexplained.map(|(difference, help)| format!("unexplained\t{difference}\t{help}")).collect();
        complaints.extend(stale.map(|row| format!("stale\t{row}")));
        complaints.extend(undeclared.map(|key| format!("no reason is declared for\t{key}")));
        complaints.extend(unused.map(|key| format!("no row has the reason\t{key}")));
        complaints
    }
}

#[test]
fn table_must_say_what_differs_and_nothing_else() {
    let table = "# tunnel: not decoded\na.pcap\tip\t1\t2\ttunnel\n";
    let known = Difference::new("a.pcap", "ip", "1", "2");
    let other = Difference::new("a.pcap", "ip", "1", "3");
    let complaints = |table: &str, found: &[&Difference]| {
        let found = found.iter().map(|&difference| (difference.clone(), "frame 7".to_owned())).collect();
        Explained::parse(table).complaints(&found)
    };
    assert!(complaints(table, &[&known]).is_empty());
    assert_eq!(complaints(table, &[&known, &other]), ["unexplained\ta.pcap\tip\t1\t3\tframe 7"]);
    assert_eq!(complaints(table, &[]), ["stale\ta.pcap\tip\t1\t2"]);
    assert_eq!(complaints("a.pcap\tip\t1\t2\ttunnel", &[&known]), ["no reason is declared for\ttunnel"]);
    assert_eq!(complaints("# vlan: x", &[]), ["no row has the reason\tvlan"]);
}
