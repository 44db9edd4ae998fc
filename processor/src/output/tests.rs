#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::path::Path;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::ipc::reader::FileReader;
use prost::Message as _;
use weir_contract::columns::{RecordColumns, arrow_schema};
use weir_contract::record::{Meta, Tcp, TcpOption};

use super::*;

fn record(number: u32) -> Vec<u8> {
    let meta = Meta { ts_ns: i64::from(number) * 1001, sensor: "tap-1".to_owned(), ..Meta::default() };
    let option = TcpOption { kind: number % 256, name: format!("option {number}"), data: vec![1, 2] };
    Tcp { meta: Some(meta), sequence: number.wrapping_mul(0x9e37_79b9), options: vec![option], ..Tcp::default() }
        .encode_to_vec()
}

fn expected(rows: u32) -> RecordBatch {
    let mut columns = RecordColumns::new(RecordType::Tcp);
    for number in 0..rows {
        columns.push_wire(&record(number)).unwrap();
    }
    columns.finish().unwrap()
}

/// The file's rows, whatever its format; for text formats only their number is told apart.
fn rows(path: &Path) -> u32 {
    match path.extension().unwrap().to_str().unwrap() {
        "parquet" => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
            same(reader.map(Result::unwrap).collect())
        }
        "arrow" => {
            let reader = FileReader::try_new(File::open(path).unwrap(), None).unwrap();
            same(reader.map(Result::unwrap).collect())
        }
        "pb" => {
            let bytes = fs::read(path).unwrap();
            let mut rest = bytes.as_slice();
            let mut count = 0;
            while !rest.is_empty() {
                let decoded = Tcp::decode_length_delimited(&mut rest).unwrap();
                assert_eq!(decoded.encode_to_vec(), record(count));
                count += 1;
            }
            count
        }
        "csv" => lines(path) - 1,
        _ => lines(path),
    }
}

fn same(batches: Vec<RecordBatch>) -> u32 {
    let count = u32::try_from(batches.iter().map(RecordBatch::num_rows).sum::<usize>()).unwrap();
    let columns: Vec<_> = concat_batches(&batches[0].schema(), &batches).unwrap().columns().to_vec();
    let expected = expected(count);
    for ((column, expected), field) in columns.iter().zip(expected.columns()).zip(expected.schema().fields()) {
        // Comments and metadata aside.
        assert_eq!(format!("{column:?}"), format!("{expected:?}"), "{}", field.name());
    }
    count
}

fn lines(path: &Path) -> u32 {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    u32::try_from(text.lines().count()).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn file_formats() -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().filter(|&format| format != Format::Null)
}

#[test]
fn every_format_holds_every_record() {
    for format in file_formats() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::Folder(folder.path().join("new/folder"));
        let output = Output::new(format, target, &Selection::all()).unwrap().unwrap();
        output.prepare().unwrap();
        let mut writer = output.create(RecordType::Tcp).unwrap();
        for number in 0..70_000 {
            writer.push(&record(number)).unwrap();
        }
        let written = writer.finish().unwrap();
        let path = written.path.unwrap();
        assert_eq!((written.rows, rows(&path)), (70_000, 70_000), "{format:?}");
        assert_eq!(written.bytes, fs::metadata(&path).unwrap().len());
        assert_eq!(names(path.parent().unwrap()).len(), 1);
    }
}

#[test]
fn a_type_without_records_leaves_no_file() {
    for format in file_formats() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::Folder(folder.path().to_owned());
        let output = Output::new(format, target, &Selection::all()).unwrap().unwrap();
        let writer = output.create(RecordType::Tcp).unwrap();
        assert!(names(folder.path()).iter().all(|name| name.starts_with('.') && name.ends_with(".tmp")));
        assert!(writer.finish().unwrap().path.is_none());
        drop(output.create(RecordType::Udp).unwrap());
        assert!(names(folder.path()).is_empty(), "{format:?}");
    }
}

#[test]
fn a_full_disk_keeps_what_was_whole() {
    for (format, least) in [
        (Format::Csv, 40_000),
        (Format::Json, 40_000),
        (Format::Proto, 40_000),
        (Format::Arrow, 30_000),
        // All of it is one row group.
        (Format::Parquet, 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("tcp.{}", format.begin().unwrap().0));
        // The size without a full disk, of which the disk then holds two thirds.
        let (kept, _) = write_to_small_disk(format, &path, usize::MAX);
        assert_eq!(kept, 70_000);
        let size = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        fs::remove_file(&path).unwrap();

        let (kept, error) = write_to_small_disk(format, &path, size / 3 * 2);
        assert!(error.unwrap().contains("free some space"), "{format:?}");
        assert!(kept >= least && kept < 70_000, "{format:?}: {kept}");
        assert_eq!(path.exists(), kept > 0);
        if kept > 0 {
            assert_eq!(rows(&path), kept, "{format:?}");
        }
        assert_eq!(names(folder.path()).len(), usize::from(kept > 0));
    }
}

fn write_to_small_disk(format: Format, path: &Path, limit: usize) -> (u32, Option<String>) {
    let file = TempFile::create(path.to_owned()).unwrap();
    let Handle::File(inner) = file.handle().unwrap() else { panic!("a file") };
    let encoder = format.begin().unwrap().1(RecordType::Tcp, Handle::Small(inner, limit)).unwrap();
    let mut writer = TypeWriter {
        record_type: RecordType::Tcp,
        encoder: Some(encoder),
        file: Some(file),
        place: Place::File(path.to_owned()),
        whole: Whole::default(),
    };
    for number in 0..70_000 {
        if let Err(error) = writer.push(&record(number)) {
            return (kept(&error), Some(error.to_string()));
        }
    }
    match writer.finish() {
        Ok(written) => (u32::try_from(written.rows).unwrap(), None),
        Err(error) => (kept(&error), Some(error.to_string())),
    }
}

fn kept(error: &OutputError) -> u32 {
    let OutputError::File { kept_rows, .. } = error else { panic!("{error}") };
    u32::try_from(*kept_rows).unwrap()
}

#[test]
fn parquet_keeps_whole_row_groups_of_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tcp.parquet");
    let file = TempFile::create(path.clone()).unwrap();
    let Handle::File(inner) = file.handle().unwrap() else { panic!("a file") };
    let mut parquet = super::parquet::ParquetFile::new(RecordType::Tcp, Handle::Small(inner, 1 << 20)).unwrap();
    let batch = expected(5_000);
    let mut groups = 0;
    while parquet.write(&batch).and_then(|()| parquet.end_row_group()).is_ok() {
        groups += 1;
    }
    let mut file = file;
    assert_eq!(parquet.salvage(&mut file).unwrap(), groups * 5_000);
    let (path, _) = file.keep().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    assert!(groups > 1 && reader.metadata().num_row_groups() as u64 == groups);
    let read: usize = reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(read as u64, groups * 5_000);
}

#[test]
fn parquet_says_who_wrote_it_and_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::Folder(folder.path().to_owned());
    let output = Output::new(Format::Parquet, target, &Selection::all()).unwrap().unwrap();
    let mut writer = output.create(RecordType::Tcp).unwrap();
    writer.push(&record(0)).unwrap();
    let path = writer.finish().unwrap().path.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let about = reader.metadata().file_metadata();
    assert!(about.created_by().unwrap().starts_with("weir version "));
    let keys: Vec<_> = about.key_value_metadata().unwrap().iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!(keys, ["weir.record_type", "weir.schema_fingerprint"]);
    assert_eq!(reader.schema().field(0).data_type(), arrow_schema(RecordType::Tcp).field(0).data_type());
}

#[test]
fn standard_output_takes_several_types_as_json_only() {
    let selection = Selection::parse("tcp,udp").unwrap();
    for format in file_formats() {
        let several = Output::new(format, Target::Stdout, &selection);
        assert_eq!(several.is_ok(), format == Format::Json, "{format:?}");
        if let Err(error) = several {
            assert!(error.to_string().contains("--records"));
        }
        Output::new(format, Target::Stdout, &Selection::parse("tcp").unwrap()).unwrap();
    }
}

#[test]
fn a_malformed_record_is_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::Folder(folder.path().to_owned());
    let output = Output::new(Format::Csv, target, &Selection::all()).unwrap().unwrap();
    let mut writer = output.create(RecordType::Tcp).unwrap();
    writer.push(&record(0)).unwrap();
    let error = writer.push(&[0x0a, 0xff]).unwrap_err().to_string();
    assert!(error.contains("tcp.csv: left out a record") && error.contains("field `meta`"), "{error}");
    writer.push(&record(1)).unwrap();
    assert_eq!(writer.finish().unwrap().rows, 2);
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    assert!("parket".parse::<Format>().unwrap_err().contains("did you mean `parquet`"));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    let output = Output::new(Format::Csv, Target::Folder(path.join("out")), &Selection::all()).unwrap().unwrap();
    let error = output.prepare().unwrap_err();
    assert!(error.to_string().contains("a file stands where a folder should"), "{error}");
}
