//! Record batches as JSON lines.
//!
//! One object a record, its keys in the order of the columns. Numbers are numbers, also those of 64
//! bits; bytes are lower-case hex; what is absent is `null`; `ts` is RFC 3339 in UTC with
//! microseconds; lists and messages are nested.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderFactory, NullableEncoder, make_encoder};
use arrow::json::{Encoder, EncoderOptions};

/// Text is handed on in pieces of about this size.
pub(super) const FLUSH_BYTES: usize = 64 << 10;

/// Writes each row as a line. With a label each object begins with the key `record` of that value,
/// so that records of several types can share a stream.
///
/// # Errors
///
/// Those of `out`.
pub fn write_json_lines(batch: &RecordBatch, label: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    let options = options();
    let fields = batch.schema_ref().fields();
    let mut columns = encoders(batch, &options)?;
    let keys: Vec<String> = fields.iter().map(|field| format!("\"{}\":", field.name())).collect();
    let begin = label.map_or_else(|| "{".to_owned(), |label| format!("{{\"record\":\"{label}\","));
    let mut text = Vec::with_capacity(2 * FLUSH_BYTES);
    for row in 0..batch.num_rows() {
        text.extend_from_slice(begin.as_bytes());
        for (index, (key, column)) in keys.iter().zip(&mut columns).enumerate() {
            if index > 0 {
                text.push(b',');
            }
            text.extend_from_slice(key.as_bytes());
            if column.is_null(row) {
                text.extend_from_slice(b"null");
            } else {
                column.encode(row, &mut text);
            }
        }
        text.extend_from_slice(b"}\n");
        if text.len() >= FLUSH_BYTES {
            out.write_all(&text)?;
            text.clear();
        }
    }
    out.write_all(&text)
}

pub(super) fn options() -> EncoderOptions {
    EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(OwnEncoders))
}

/// An encoder for each column. Arrow refuses types that it cannot write, which would be a mistake of ours.
pub(super) fn encoders<'a>(
    batch: &'a RecordBatch,
    options: &'a EncoderOptions,
) -> io::Result<Vec<NullableEncoder<'a>>> {
    let fields = batch.schema_ref().fields();
    let encoders = fields.iter().zip(batch.columns()).map(|(field, array)| make_encoder(field, array, options));
    encoders.collect::<Result<_, _>>().map_err(io::Error::other)
}

/// Encoders that replace Arrow's: its timestamps have as many digits as they need and take the time
/// of three other columns, its hex goes through the formatting machinery byte by byte.
#[derive(Debug)]
struct OwnEncoders;

impl EncoderFactory for OwnEncoders {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Timestamp(..) => match array.as_primitive_opt::<TimestampMicrosecondType>() {
                Some(array) => Box::new(Timestamps(array)),
                None => return Ok(None),
            },
            DataType::Binary => Box::new(Hex(array.as_binary())),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Hex<'a>(&'a BinaryArray);

impl Encoder for Hex<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        out.push(b'"');
        for byte in self.0.value(row) {
            out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        out.push(b'"');
    }
}

struct Timestamps<'a>(&'a TimestampMicrosecondArray);

impl Encoder for Timestamps<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        push_timestamp(self.0.value(row), out);
    }
}

/// `"2026-11-23T08:15:00.000001Z"`, from microseconds since 1970. Nanoseconds in 64 bits reach from
/// 1677 to 2262, so that years have four digits.
fn push_timestamp(us: i64, out: &mut Vec<u8>) {
    const DAY_US: i64 = 86_400_000_000;
    let (year, month, day) = date(us.div_euclid(DAY_US));
    let (seconds, us) = (us.rem_euclid(DAY_US) / 1_000_000, us.rem_euclid(1_000_000));
    let mut text = *b"\"0000-00-00T00:00:00.000000Z\"";
    let parts = [(4, year), (7, month), (10, day), (13, seconds / 3600), (16, seconds / 60 % 60), (19, seconds % 60)];
    for (last, value) in parts.into_iter().chain([(26, us)]) {
        let mut rest = value;
        let digits = text.get_mut(..=last).unwrap_or_default().iter_mut().rev();
        for digit in digits.take_while(|digit| digit.is_ascii_digit()) {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
    }
    out.extend_from_slice(&text);
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar.
/// Years are counted from March, so that the leap day is the last of its year, in eras of 400 years.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}
