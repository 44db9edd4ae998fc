#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod oracle;
mod random;

use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType, UInt32Type};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::record::{Ipv4, Meta, Tcp, TcpOption, Weird, WeirdReason};
use random::{Random, delimited, key, varint};

fn batch(record_type: RecordType, records: &[&[u8]]) -> RecordBatch {
    let mut columns = RecordColumns::new(record_type);
    for record in records {
        columns.push_wire(record).unwrap();
    }
    columns.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn columns_hold_what_prost_decodes(seed: u64) {
        let mut random = Random(seed);
        for info in RecordType::all() {
            let record = random::wild(info.record_type, &mut random);
            let reencoded = generated::reencode(info.record_type, &record).unwrap();
            prop_assert_eq!(
                batch(info.record_type, &[&record, &record]),
                batch(info.record_type, &[&reencoded, &reencoded])
            );
        }
    }

    #[test]
    fn json_and_csv_show_what_a_naive_reading_shows(seed: u64) {
        let mut random = Random(seed);
        for info in RecordType::all() {
            let records = [random::wild(info.record_type, &mut random), random::wild(info.record_type, &mut random)];
            let batch = batch(info.record_type, &records.each_ref().map(Vec::as_slice));
            let expected = records.each_ref().map(|record| oracle::json(info.record_type, record));

            let mut json = Vec::new();
            write_json_lines(&batch, None, &mut json).unwrap();
            let lines: Vec<serde_json::Value> =
                json.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
            prop_assert_eq!(lines.as_slice(), expected.as_slice());

            let schema = json_schema(info.record_type);
            prop_assert!(lines.iter().all(|line| oracle::conforms(&schema, line)), "{schema} {lines:?}");

            let mut csv = Vec::new();
            write_csv_header(&batch.schema(), &mut csv).unwrap();
            write_csv(&batch, &mut csv).unwrap();
            oracle::check_csv(&csv, &expected);
        }
    }

    #[test]
    fn damaged_records_are_refused_as_by_prost_and_leave_no_trace(seed: u64) {
        let mut random = Random(seed);
        for info in RecordType::all() {
            let mut columns = RecordColumns::new(info.record_type);
            let mut accepted = Vec::new();
            for _ in 0..8 {
                let record = damaged(info.record_type, &mut random);
                let outcome = columns.push_wire(&record);
                let reencoded = generated::reencode(info.record_type, &record);
                let group = matches!(&outcome, Err(Malformed { reason: Reason::Group, .. }));
                prop_assert!(group || outcome.is_ok() == reencoded.is_ok(), "{:?} {:?} {:?}", outcome, reencoded, record);
                if let Err(malformed) = &outcome {
                    prop_assert!(malformed.offset <= record.len());
                }
                if outcome.is_ok() {
                    accepted.push(reencoded.unwrap());
                }
            }
            let accepted: Vec<&[u8]> = accepted.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(columns.len(), accepted.len());
            prop_assert_eq!(columns.finish().unwrap(), batch(info.record_type, &accepted));
        }
    }
}

/// A strange record of which, more often than not, some bytes were changed, cut or put in.
fn damaged(record_type: RecordType, random: &mut Random) -> Vec<u8> {
    let mut record = random::wild(record_type, random);
    for _ in 0..random.below(3) {
        if record.is_empty() {
            break;
        }
        let at = usize::try_from(random.below(record.len().try_into().unwrap())).unwrap();
        let byte = random.next().to_le_bytes()[0];
        match random.below(4) {
            0 => record[at] = byte,
            1 => record[at] ^= 1 << (byte % 8),
            2 => record.insert(at, byte),
            _ => record.truncate(at),
        }
    }
    record
}

#[test]
fn meta_is_flattened_behind_ts() {
    let schema = arrow_schema(RecordType::Ipv4);
    let names: Vec<&str> = schema.fields().iter().take(4).map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["ts", "ts_ns", "sensor", "epoch"]);
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(schema.field(0).data_type(), &utc);
    assert!(schema.fields().iter().all(|field| field.is_nullable() && !field.metadata()[COMMENT].is_empty()));
    assert_eq!(schema.metadata()[RECORD_TYPE], "ipv4");
}

#[test]
fn ts_is_rounded_down_also_before_1970() {
    let records = [-1, 0, 1_999].map(|ts_ns| {
        let meta = Some(Meta { ts_ns, ..Meta::default() });
        Ipv4 { meta, ..Ipv4::default() }.encode_to_vec()
    });
    let batch = batch(RecordType::Ipv4, &records.each_ref().map(Vec::as_slice));
    let ts = batch.column_by_name("ts").unwrap().as_primitive::<TimestampMicrosecondType>();
    assert_eq!(ts.values().to_vec(), [-1, 0, 1]);
}

#[test]
fn absent_is_null_only_where_absence_is_a_fact() {
    let batch = batch(RecordType::Tcp, &[&[], &Tcp { mss_bytes: Some(0), ..Tcp::default() }.encode_to_vec()]);
    let mss = batch.column_by_name("mss_bytes").unwrap();
    assert!(mss.is_null(0) && mss.is_valid(1));
    let window = batch.column_by_name("window").unwrap().as_primitive::<UInt32Type>();
    assert_eq!((window.null_count(), window.value(0)), (0, 0));
}

#[test]
fn enums_leave_as_short_names_and_unknown_ones_as_numbers() {
    let records =
        [WeirdReason::BadLength as i32, 9999, -1].map(|reason| Weird { reason, ..Weird::default() }.encode_to_vec());
    let batch = batch(RecordType::Weird, &records.each_ref().map(Vec::as_slice));
    let reasons: Vec<_> = batch.column_by_name("reason").unwrap().as_string::<i32>().iter().flatten().collect();
    assert_eq!(reasons, ["bad_length", "9999", "-1"]);
}

#[test]
fn an_error_names_the_field_and_the_offset() {
    let option = TcpOption { name: "??".to_owned(), ..TcpOption::default() };
    let mut record = Tcp { options: vec![option], ..Tcp::default() }.encode_to_vec();
    *record.last_mut().unwrap() = 0xff;
    let mut columns = RecordColumns::new(RecordType::Tcp);
    let malformed = columns.push_wire(&record).unwrap_err();
    assert_eq!(malformed.to_string(), "no valid `tcp` record: field `options.name`, byte 7: the text is not UTF-8");

    let mut meta = Vec::new();
    delimited(&mut meta, 1, &[0x0a, 5, b'x']);
    let malformed = columns.push_wire(&meta).unwrap_err();
    assert_eq!((malformed.field.as_str(), malformed.reason), ("meta.sensor", Reason::Truncated));
    assert!(columns.is_empty());
}

#[test]
fn unknown_fields_are_counted_and_skipped() {
    let mut record = Vec::new();
    key(&mut record, 3000, 0);
    varint(&mut record, 7);
    delimited(&mut record, 3001, b"new");
    let mut columns = RecordColumns::new(RecordType::Udp);
    columns.push_wire(&record).unwrap();
    assert_eq!((columns.len(), columns.unknown_fields()), (1, 2));
    // What is refused adds nothing to the count.
    record.push(0);
    columns.push_wire(&record).unwrap_err();
    assert_eq!((columns.len(), columns.unknown_fields()), (1, 2));
}

#[test]
fn unknown_fields_are_refused_where_only_known_ones_are_wanted() {
    let mut record = Vec::new();
    key(&mut record, 3000, 0);
    varint(&mut record, 7);
    let mut columns = RecordColumns::new(RecordType::Udp).known_only();
    let malformed = columns.push_wire(&record).unwrap_err();
    assert_eq!((malformed.field.as_str(), malformed.reason), ("3000", Reason::UnknownField));
    // A key that no field can have is malformed in any case.
    let malformed = columns.push_wire(&[6]).unwrap_err();
    assert_eq!(malformed.reason, Reason::Key);
    columns.push_wire(&[]).unwrap();
    assert_eq!(columns.len(), 1);
}

#[test]
fn a_label_comes_first_in_a_json_line() {
    let batch = batch(RecordType::Udp, &[&[]]);
    let mut json = Vec::new();
    write_json_lines(&batch, Some("udp"), &mut json).unwrap();
    let line = String::from_utf8(json).unwrap();
    assert!(line.starts_with(r#"{"record":"udp","ts":"1970-01-01T00:00:00.000000Z","ts_ns":0,"sensor":"","#), "{line}");
}

#[test]
fn exported_schemas_have_a_comment_for_every_column() {
    for info in RecordType::all() {
        let schema = arrow_schema_json(info.record_type);
        let fields = schema["fields"].as_array().unwrap();
        assert_eq!(fields.len(), info.fields.len() + 1);
        assert!(fields.iter().all(|field| !field["metadata"][0]["value"].as_str().unwrap().is_empty()));
    }
    let schema = json_schema(RecordType::Weird);
    assert_eq!(schema["properties"]["record"]["const"], "weird");
    assert!(schema["properties"]["reason"]["anyOf"][0]["enum"].as_array().unwrap().contains(&"bad_length".into()));
    assert!(!oracle::conforms(&schema, &serde_json::json!({ "ts_ns": 0 })));
}

#[test]
fn equal_columns_have_equal_fingerprints() {
    let all: std::collections::BTreeSet<_> =
        RecordType::all().iter().map(|info| fingerprint(info.record_type)).collect();
    assert_eq!(all.len(), RecordType::all().len());
    assert!(all.iter().all(|text| text.len() == 32));
}

#[test]
fn csv_tells_absent_text_from_empty_text() {
    let batch = batch(RecordType::Tcp, &[&[]]);
    let mut csv = Vec::new();
    write_csv(&batch, &mut csv).unwrap();
    let line = String::from_utf8(csv).unwrap();
    assert!(line.starts_with(r#"1970-01-01T00:00:00.000000Z,0,"",0,0,"#), "{line}");
    let at = batch.schema().index_of("mss_bytes").unwrap();
    assert_eq!(line.split(',').nth(at).unwrap(), "");
}

#[test]
fn a_batch_is_bounded() {
    let record = Weird { detail: "x".repeat(BATCH_BYTES_MAX / 2), ..Weird::default() }.encode_to_vec();
    let mut columns = RecordColumns::new(RecordType::Weird);
    columns.push_wire(&record).unwrap();
    assert_eq!(columns.push_wire(&record).unwrap_err().reason, Reason::TooLarge);
    assert_eq!(columns.finish().unwrap().num_rows(), 1);
    columns.push_wire(&record).unwrap();
}

#[test]
#[ignore = "prints figures: cargo test --release --features columns cost -- --ignored --nocapture"]
fn cost_of_a_record() {
    const RECORDS: usize = 20_000;
    for info in RecordType::all() {
        let mut random = Random(1);
        let records: Vec<Vec<u8>> = (0..RECORDS).map(|_| random::typical(info.record_type, &mut random)).collect();
        let bytes: usize = records.iter().map(Vec::len).sum();
        let mut columns = RecordColumns::new(info.record_type);
        let mut measure = || {
            let start = Instant::now();
            for record in &records {
                columns.push_wire(record).unwrap();
            }
            let pushed = start.elapsed();
            columns.finish().unwrap();
            (start.elapsed(), pushed)
        };
        let (best, pushed) = (0..15).map(|_| measure()).min().unwrap();
        let each = |time: Duration| time.as_nanos() / u128::try_from(RECORDS).unwrap();
        println!(
            "{:<24} {:>5} bytes {:>5} ns, {:>5} of them to push",
            info.name,
            bytes / RECORDS,
            each(best),
            each(pushed)
        );
    }
}
