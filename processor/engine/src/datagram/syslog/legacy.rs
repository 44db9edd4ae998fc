//! What comes before the message in the older format: RFC 3164 §4, and the habits of devices.
//!
//! ```text
//! <34>Oct 11 22:14:15 mymachine su: 'su root' failed     RFC 3164
//! <30>Oct  9 22:33:20 auditd[1787]: exiting              no host
//! <13>2013-09-12T19:16:34.457849+04:00 host app: text    rsyslog
//! <189>29: host: *Mar  1 18:48:50.483 UTC: %SYS-5-X: t   Cisco IOS
//! <166>Mar 01 2021 10:11:12 fw : %ASA-6-302013: text     Cisco ASA
//! ```

use weir_contract::record;

use super::{skip_byte, take_word, timestamp};
use crate::{
    cursor::{Cursor, Malformed},
    output::{Draft, push_wire_text},
};

/// Longest tag that is taken for one, bytes. RFC 3164 §4.1.3 has 32, systemd's are longer.
const TAG_MAX: usize = 64;

/// Reads all before the message; what is not there is skipped over.
pub(super) fn parse_header(input: &mut Cursor<'_>, syslog: &mut Draft<'_, record::Syslog>) -> Result<(), Malformed> {
    let is_dated = parse_time(input, syslog)?;
    if is_dated && syslog.host_name.is_empty() && !skip_colon(input) {
        skip_byte(input, b' ');
        if let Some(host) = take_host(input) {
            push_wire_text(&mut syslog.host_name, &host)?;
        }
        skip_colon(input);
    }
    if let Some(mnemonic) = take_mnemonic(input) {
        return push_wire_text(&mut syslog.message_id, &mnemonic);
    }
    parse_tag(input, syslog)
}

/// Reads a sequence number, a host name with a colon, and a time; the host only with one of the others.
/// Says whether there is a time.
fn parse_time(input: &mut Cursor<'_>, syslog: &mut Draft<'_, record::Syslog>) -> Result<bool, Malformed> {
    let mut ahead = *input;
    skip_byte(&mut ahead, b' ');
    let sequence = take_sequence(&mut ahead);
    skip_colon(&mut ahead);
    let host = take_host_with_colon(&mut ahead);
    // Cisco's clock was never set, or has lost its source.
    let marker = ahead.peek().first().is_some_and(|byte| matches!(byte, b'*' | b'.'));
    let marker_bytes = usize::from(marker);
    let time = ahead.peek().get(marker_bytes..).and_then(timestamp::legacy);
    if time.is_none() && sequence.is_none() {
        return Ok(false);
    }
    *input = ahead;
    syslog.sequence = sequence;
    if let Some(host) = host {
        push_wire_text(&mut syslog.host_name, &host)?;
    }
    let Some(time) = time else { return Ok(false) };
    syslog.event_ts_ns = time.ts_ns;
    push_wire_text(&mut syslog.timestamp, &input.message_up_to(marker_bytes + time.length))?;
    if !syslog.host_name.is_empty() && !skip_colon(input) {
        skip_byte(input, b' ');
    }
    Ok(true)
}

/// Digits, a colon and a space.
fn take_sequence(input: &mut Cursor<'_>) -> Option<i64> {
    let mut ahead = *input;
    let word = take_word(&mut ahead).peek();
    let number = std::str::from_utf8(word.strip_suffix(b":")?).ok()?.parse().ok().filter(|number| *number >= 0)?;
    *input = ahead;
    Some(number)
}

/// A host name, a colon and a space.
fn take_host_with_colon<'a>(input: &mut Cursor<'a>) -> Option<Cursor<'a>> {
    let mut ahead = *input;
    let mut word = take_word(&mut ahead);
    let name = word.peek().strip_suffix(b":")?;
    if name.is_empty() || !name.iter().all(is_of_host) {
        return None;
    }
    *input = ahead;
    Some(word.message_up_to(name.len()))
}

/// A word that may be a host name, and is followed by another.
fn take_host<'a>(input: &mut Cursor<'a>) -> Option<Cursor<'a>> {
    let mut ahead = *input;
    let word = take_word(&mut ahead);
    let name = word.peek();
    let is_host = !name.is_empty() && !name.ends_with(b":") && name.iter().all(is_of_host);
    if !is_host || ahead.is_empty() {
        return None;
    }
    *input = ahead;
    Some(word)
}

/// Names, and addresses of both families.
fn is_of_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'/' | b'@') || *byte >= 0x80
}

/// Reads past a colon between spaces; says whether it was there.
fn skip_colon(input: &mut Cursor<'_>) -> bool {
    let mut ahead = *input;
    skip_byte(&mut ahead, b' ');
    let is_colon = skip_byte(&mut ahead, b':') && matches!(ahead.peek().first(), None | Some(b' '));
    if is_colon {
        skip_byte(&mut ahead, b' ');
        *input = ahead;
    }
    is_colon
}

/// `%FACILITY-SEVERITY-MNEMONIC: ` as Cisco's devices name their messages, without `%` and colon.
fn take_mnemonic<'a>(input: &mut Cursor<'a>) -> Option<Cursor<'a>> {
    let mut ahead = *input;
    let word = take_word(&mut ahead);
    let name = word.peek().strip_prefix(b"%")?.strip_suffix(b":")?;
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let has_severity = name.windows(3).any(|part| matches!(part, [b'-', b'0'..=b'7', b'-']));
    if !has_severity || !name.iter().all(is_of_name) {
        return None;
    }
    *input = ahead;
    Some(word.at(1).message_up_to(name.len()))
}

/// Reads `tag: `, `tag[process]: ` or `tag[process] `.
fn parse_tag(input: &mut Cursor<'_>, syslog: &mut Draft<'_, record::Syslog>) -> Result<(), Malformed> {
    let bytes = input.peek();
    let is_of_tag = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'[' | b']' | b':' | b'=' | b'"' | b'<');
    let tag_bytes = bytes.iter().take(TAG_MAX + 1).take_while(|byte| is_of_tag(byte)).count();
    if !(1..=TAG_MAX).contains(&tag_bytes) {
        return Ok(());
    }
    let mut ahead = *input;
    let tag = ahead.message_up_to(tag_bytes);
    let mut process = None;
    if skip_byte(&mut ahead, b'[') {
        let is_of_process = |byte: &u8| byte.is_ascii_graphic() && *byte != b']';
        let process_bytes = ahead.peek().iter().take(TAG_MAX).take_while(|byte| is_of_process(byte)).count();
        process = Some(ahead.message_up_to(process_bytes));
        if !skip_byte(&mut ahead, b']') {
            return Ok(());
        }
    }
    let has_colon = skip_byte(&mut ahead, b':');
    let is_apart = matches!(ahead.peek().first(), None | Some(b' ' | b'\t'));
    if !is_apart || !(has_colon || process.is_some()) {
        return Ok(());
    }
    skip_byte(&mut ahead, b' ');
    *input = ahead;
    push_wire_text(&mut syslog.app_name, &tag)?;
    process.map_or(Ok(()), |process| push_wire_text(&mut syslog.process_id, &process))
}
