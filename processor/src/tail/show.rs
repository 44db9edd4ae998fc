//! Which records `weir tail` shows, and how.

use std::{fmt::Write as _, str::FromStr};

use anyhow::bail;
use arrow::array::RecordBatch;
use serde_json::Value;
use weir_contract::{RecordType, Selection, columns::write_json_lines};

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines of JSON, as `weir decode` writes them.
    Json,
    /// A line for each: time, record type, sensor, from, to, and what else is not empty.
    Table,
}

/// A condition that a record must meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    field: String,
    equal: bool,
    value: String,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (equal, parts) = match text.split_once("!=") {
            Some(parts) => (false, Some(parts)),
            None => (true, text.split_once('=')),
        };
        let Some((field, value)) = parts.filter(|(field, _)| !field.is_empty()) else {
            return Err("a condition is FIELD=VALUE or FIELD!=VALUE".to_owned());
        };
        Ok(Self { field: field.to_owned(), equal, value: value.to_owned() })
    }
}

impl Condition {
    /// Whether a record meets it. Of a list one item is enough; what is absent equals nothing.
    fn holds(&self, record: &Value) -> bool {
        let equal = match record.get(&self.field) {
            None | Some(Value::Null) => false,
            Some(Value::Array(items)) => items.iter().any(|item| plain(item) == self.value),
            Some(value) => plain(value) == self.value,
        };
        equal == self.equal
    }
}

/// A value as text, without the quotes of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// Which records are shown, and how.
#[derive(Debug)]
pub struct Show {
    format: Format,
    conditions: Vec<Condition>,
    width: Option<usize>,
}

impl Show {
    /// Shows records so; lines of a table are cut at `width`, the columns of a terminal.
    pub fn new(format: Format, conditions: Vec<Condition>, width: Option<usize>) -> Self {
        Self { format, conditions, width }
    }

    /// Refuses conditions on fields that none of the types has.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn check(&self, selection: &Selection) -> anyhow::Result<()> {
        for Condition { field, .. } in &self.conditions {
            let known = |of: RecordType| field == "ts" || of.info().fields.iter().any(|info| info.name == field);
            if !selection.types().any(known) {
                bail!("none of the record types has a field `{field}`; `weir records TYPE` lists them");
            }
        }
        Ok(())
    }

    /// The text of a record, a batch of one row; none if it is not to be shown.
    ///
    /// # Errors
    ///
    /// Records that can't be written as JSON, which would be a mistake of ours.
    pub fn text(&self, of: RecordType, record: &RecordBatch) -> anyhow::Result<Option<String>> {
        let mut json = Vec::new();
        write_json_lines(record, Some(of.name()), &mut json)?;
        let json = String::from_utf8(json)?;
        if self.conditions.is_empty() && self.format == Format::Json {
            return Ok(Some(json));
        }
        let value: Value = serde_json::from_str(&json)?;
        if !self.conditions.iter().all(|condition| condition.holds(&value)) {
            return Ok(None);
        }
        Ok(Some(match self.format {
            Format::Json => json,
            Format::Table => self.line(of, &value),
        }))
    }

    fn line(&self, of: RecordType, record: &Value) -> String {
        let text = |field: &str| record.get(field).map(plain).unwrap_or_default();
        let end = |side: &str| match (text(&format!("{side}_ip")), text(&format!("{side}_port"))) {
            (ip, port) if port == "0" || port.is_empty() => ip,
            (ip, port) if ip.contains(':') => format!("[{ip}]:{port}"),
            (ip, port) => format!("{ip}:{port}"),
        };
        let mut line =
            format!("{} {:<12} {:<10} {:<21} {:<21}", text("ts"), of.name(), text("sensor"), end("src"), end("dst"));
        for info in of.info().meta_and_own().1 {
            let value = record.get(info.name).unwrap_or(&Value::Null);
            let empty = match value {
                Value::Null | Value::Bool(false) => true,
                Value::String(text) => text.is_empty(),
                Value::Array(items) => items.is_empty(),
                Value::Number(number) => number.as_i64() == Some(0),
                _ => false,
            };
            if !empty {
                let _ = write!(line, " {}={}", info.name, plain(value));
            }
        }
        let mut line: String = match self.width {
            Some(width) => line.chars().take(width).collect(),
            None => line,
        };
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use weir_contract::{
        Meta,
        columns::RecordColumns,
        record::{Dns, Udp},
    };

    fn udp() -> RecordBatch {
        let meta = Meta {
            sensor: "lab".into(),
            src_ip: "fe80::1".into(),
            src_port: 53,
            dst_ip: "10.0.0.1".into(),
            ..Meta::default()
        };
        let mut columns = RecordColumns::new(RecordType::Udp);
        columns.push_wire(&Udp { meta: Some(meta), payload_bytes: 12, ..Udp::default() }.encode_to_vec()).unwrap();
        columns.finish().unwrap()
    }

    fn show(format: Format, conditions: &[&str]) -> Show {
        let conditions = conditions.iter().map(|text| text.parse().unwrap()).collect();
        Show::new(format, conditions, None)
    }

    #[test]
    fn conditions_choose_records() {
        let shown =
            |conditions: &[&str]| show(Format::Json, conditions).text(RecordType::Udp, &udp()).unwrap().is_some();
        assert!(shown(&[]) && shown(&["src_port=53"]) && shown(&["sensor=lab", "payload_bytes!=13"]));
        assert!(!shown(&["src_port=54"]) && !shown(&["src_port=53", "sensor=other"]) && shown(&["no_such!=1"]));
        assert!("=1".parse::<Condition>().is_err() && "port".parse::<Condition>().is_err());
    }

    #[test]
    fn fields_that_no_type_has_are_refused() {
        let udp = Selection::parse("udp").unwrap();
        assert!(show(Format::Json, &["payload_bytes=1"]).check(&udp).is_ok());
        let error = show(Format::Json, &["payload=1"]).check(&udp).unwrap_err();
        assert!(error.to_string().contains("no") && error.to_string().contains("`payload`"), "{error}");
    }

    #[test]
    fn a_line_of_the_table_has_what_is_not_empty() {
        let line = show(Format::Table, &[]).text(RecordType::Udp, &udp()).unwrap().unwrap();
        assert!(line.starts_with("1970-01-01T00:00:00.000000Z udp "), "{line}");
        assert!(line.contains(" [fe80::1]:53 ") && line.contains(" 10.0.0.1 ") && line.contains(" payload_bytes=12"));
        let cut = Show { width: Some(20), ..show(Format::Table, &[]) };
        assert_eq!(cut.text(RecordType::Udp, &udp()).unwrap().unwrap().chars().count(), 21);
    }

    #[test]
    fn one_item_of_a_list_is_enough() {
        let mut columns = RecordColumns::new(RecordType::Dns);
        let meta = Meta { vlan: vec![7, 8], ..Meta::default() };
        columns.push_wire(&Dns { meta: Some(meta), ..Dns::default() }.encode_to_vec()).unwrap();
        let batch = columns.finish().unwrap();
        assert!(show(Format::Json, &["vlan=8"]).text(RecordType::Dns, &batch).unwrap().is_some());
        assert!(show(Format::Json, &["vlan!=8"]).text(RecordType::Dns, &batch).unwrap().is_none());
    }
}
