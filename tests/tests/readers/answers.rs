//! What every page asks: how many records of two types there are, and a query that joins them. It tells a response code of 0
//! from none, a time of an answer from none, and no bytes from some.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// From when on the pages' queries look: a time within the captures.
const FROM_NS: i64 = 1_795_425_900_000_000_000;

/// Rows without an order, as text.
#[derive(Debug, PartialEq, Eq)]
pub struct Answers {
    /// Record type, and how many there are.
    counts: Vec<Vec<String>>,
    /// State of the connection, response code, messages, those with the time that the answer took, that time, those on
    /// connections whose responder sent nothing.
    joined: Vec<Vec<String>>,
}

impl Answers {
    /// The answers from what `weir decode --format json` wrote.
    pub fn of_decoded(folder: &Path) -> Self {
        let read = |name: &str| {
            let text = fs::read_to_string(folder.join(name).with_extension("jsonl")).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
        };
        let (dns, connections) = (read("dns"), read("connection"));
        let by_uid: BTreeMap<&str, &Value> =
            connections.iter().map(|connection| (connection["uid"].as_str().unwrap(), connection)).collect();
        let mut groups: BTreeMap<(String, String), [Option<i64>; 4]> = BTreeMap::new();
        let recent = dns.iter().filter(|message| message["ts_ns"].as_i64().unwrap() >= FROM_NS);
        for message in recent {
            let Some(connection) = by_uid.get(message["uid"].as_str().unwrap()) else { continue };
            let state = connection["conn_state"].as_str().unwrap().to_owned();
            let group =
                groups.entry((state, message["rcode"].to_string())).or_insert([Some(0), Some(0), None, Some(0)]);
            let mut add = |at: usize, number: i64| group[at] = Some(group[at].unwrap_or(0) + number);
            add(0, 1);
            if let Some(time) = message["response_time_ns"].as_i64() {
                add(1, 1);
                add(2, time);
            }
            add(3, i64::from(connection["resp_payload_bytes"] == 0));
        }
        let text = |number: Option<i64>| number.map_or("NULL".to_owned(), |number| number.to_string());
        let row = |((state, rcode), numbers): ((String, String), [Option<i64>; 4])| {
            [state, cell(&rcode)].into_iter().chain(numbers.map(text)).collect()
        };
        let joined: Vec<Vec<String>> = groups.into_iter().map(row).collect();
        assert!(joined.iter().any(|row| row[1] == "0") && joined.iter().any(|row| row[1] == "NULL"), "{joined:?}");
        let counts = [("connection", connections.len()), ("dns", dns.len())];
        Self { counts: counts.map(|(name, count)| vec![name.to_owned(), count.to_string()]).to_vec(), joined }.sorted()
    }

    /// The answers in the tables that a program printed: each row between the first and the last of `|` or `│`. What
    /// doesn't end in a number is a heading.
    pub fn printed(output: &str) -> Self {
        let (mut counts, mut joined) = (Vec::new(), Vec::new());
        for line in output.lines() {
            let cells: Vec<&str> = line.split(['|', '│']).collect();
            let Some(inner) = cells.get(1..cells.len() - 1).filter(|inner| !inner.is_empty()) else { continue };
            let row: Vec<String> = inner.iter().map(|text| cell(text.trim())).collect();
            match row.as_slice() {
                [.., last] if last.parse::<i64>().is_err() => {}
                [_, _] => counts.push(row),
                _ => joined.push(row),
            }
        }
        Self { counts, joined }.sorted()
    }

    fn sorted(mut self) -> Self {
        self.counts.sort();
        self.joined.sort();
        self
    }
}

/// What there is not has a name of its own in each program.
fn cell(text: &str) -> String {
    if matches!(text, "NULL" | "null" | "<NULL>" | "ᴺᵁᴸᴸ" | "None") {
        "NULL".to_owned()
    } else {
        text.to_owned()
    }
}

#[test]
fn rows_are_found_in_the_tables_of_all_programs() {
    let tables = [
        "│ dns │ 654 │\n│ varchar │ int64 │\n│ SF │ NULL │ 2 │ 0 │ NULL │ 0 │",
        "|  dns |  654 |\n| type | records |\n+---+---+\n|  SF | <NULL> | 2 | 0 | <NULL> | 0 |",
        "1. │ dns │ 654 │\n2. │ SF │ ᴺᵁᴸᴸ │ 2 │ 0 │ ᴺᵁᴸᴸ │ 0 │ -- 2.3 million",
    ];
    for table in tables {
        let answers = Answers::printed(table);
        assert_eq!(answers.counts, [["dns", "654"]]);
        assert_eq!(answers.joined, [["SF", "NULL", "2", "0", "NULL", "0"]]);
    }
}
