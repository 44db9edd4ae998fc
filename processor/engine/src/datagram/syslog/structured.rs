//! The header and structured data of RFC 5424.

use weir_contract::{WeirdReason, record, text::push_escaped};

use super::{skip_byte, take_word, timestamp};
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::{Draft, push_wire_text},
};

/// Whether a version and a time of RFC 5424 follow the priority.
pub(super) fn begins(input: &Cursor<'_>) -> bool {
    let mut input = *input;
    let version = take_word(&mut input);
    let digits = version.peek();
    let is_version =
        (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) && !digits.starts_with(b"0");
    let is_time =
        |time: &[u8]| time == b"-" || timestamp::rfc3339(time).is_some_and(|found| found.length == time.len());
    is_version && is_time(take_word(&mut input).peek())
}

/// Reads all before the message (RFC 5424 §6.2, §6.3).
pub(super) fn parse_header(input: &mut Cursor<'_>, syslog: &mut Draft<'_, record::Syslog>) -> Result<(), Malformed> {
    let version = take_word(input).peek();
    syslog.version = std::str::from_utf8(version).ok().and_then(|version| version.parse().ok());
    let time = take_word(input);
    syslog.event_ts_ns = timestamp::rfc3339(time.peek()).and_then(|found| found.ts_ns);
    push_unless_nil(&mut syslog.timestamp, &time)?;
    push_unless_nil(&mut syslog.host_name, &take_word(input))?;
    push_unless_nil(&mut syslog.app_name, &take_word(input))?;
    push_unless_nil(&mut syslog.process_id, &take_word(input))?;
    push_unless_nil(&mut syslog.message_id, &take_word(input))?;
    if input.is_empty() {
        return Err(input.malformed(WeirdReason::Truncated, "header without structured data"));
    }
    if let Err(malformed) = parse_elements(input, syslog) {
        // What is left is the message's.
        syslog.note(malformed);
    }
    skip_byte(input, b' ');
    if input.peek().starts_with(b"\xef\xbb\xbf") {
        // The byte order mark says that the message is UTF-8.
        input.skip(3)?;
    }
    Ok(())
}

/// `-` stands for nothing.
fn push_unless_nil(out: &mut String, word: &Cursor<'_>) -> Result<(), Malformed> {
    if word.peek() == b"-" { Ok(()) } else { push_wire_text(out, word) }
}

/// Reads `-` or elements in brackets; after an error the input stands at the element that has it.
fn parse_elements(input: &mut Cursor<'_>, syslog: &mut Draft<'_, record::Syslog>) -> Result<(), Malformed> {
    if skip_byte(input, b'-') {
        return Ok(());
    }
    if input.peek().first() != Some(&b'[') {
        return Err(input.malformed(WeirdReason::BadValue, "structured data that is neither - nor in brackets"));
    }
    while input.peek().first() == Some(&b'[') {
        if syslog.structured_data.len() >= LIST_MAX {
            return Err(input.malformed(WeirdReason::Limit, "more than 100 elements of structured data"));
        }
        let begin = *input;
        let mut element: record::SyslogElement = syslog.spare();
        let parsed = parse_element(input, &mut element, syslog);
        if parsed.is_err() {
            *input = begin;
            return parsed;
        }
        syslog.structured_data.push(element);
    }
    Ok(())
}

/// `[id name="value" …]`.
fn parse_element(
    input: &mut Cursor<'_>,
    element: &mut record::SyslogElement,
    syslog: &mut Draft<'_, record::Syslog>,
) -> Result<(), Malformed> {
    input.skip(1)?;
    push_wire_text(&mut element.id, &take_name(input)?)?;
    while skip_byte(input, b' ') {
        if element.parameters.len() >= LIST_MAX {
            return Err(input.malformed(WeirdReason::Limit, "more than 100 parameters of structured data"));
        }
        let mut parameter: record::SyslogParameter = syslog.spare();
        push_wire_text(&mut parameter.name, &take_name(input)?)?;
        if !skip_byte(input, b'=') || !skip_byte(input, b'"') {
            return Err(input.malformed(WeirdReason::BadValue, "parameter without a value in quotes"));
        }
        push_value(input, &mut parameter.value)?;
        element.parameters.push(parameter);
    }
    if !skip_byte(input, b']') {
        return Err(input.malformed(WeirdReason::BadValue, "structured data without its closing bracket"));
    }
    Ok(())
}

/// Takes an SD-NAME: printable ASCII up to `=`, space, `]` or `"`.
fn take_name<'a>(input: &mut Cursor<'a>) -> Result<Cursor<'a>, Malformed> {
    let is_of_name = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    let length = input.peek().iter().take_while(|byte| is_of_name(byte)).count();
    if length == 0 {
        return Err(input.malformed(WeirdReason::BadValue, "structured data without a name"));
    }
    input.message_of(length)
}

/// Reads to the closing quote; `\"`, `\\` and `\]` stand for what follows the `\` (RFC 5424 §6.3.3).
fn push_value(input: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    let mut value_bytes = 0;
    loop {
        let Some(length) = input.peek().iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
            return Err(input.malformed(WeirdReason::Truncated, "value without its closing quote"));
        };
        value_bytes += length + 1;
        if value_bytes > TEXT_MAX {
            return Err(input.malformed(WeirdReason::Limit, "value of more than 4096 bytes"));
        }
        push_escaped(out, input.take(length)?);
        if skip_byte(input, b'"') {
            return Ok(());
        }
        let escape = input.take(1)?;
        match input.peek().first() {
            Some(b'"' | b'\\' | b']') => push_escaped(out, input.take(1)?),
            _ => push_escaped(out, escape),
        }
    }
}
