//! Syslog in datagrams: RFC 5424, and what was common before it (RFC 3164): one record per message.
//!
//! RFC 3164 describes what was seen on the wire and promises little of it: the time may lack, be
//! followed by a colon, or have a year and a zone; the host name may lack; the priority too. What
//! cannot be told apart stays in the message, so that nothing is lost.

mod legacy;
mod structured;
mod timestamp;

use weir_contract::{WeirdReason, record};

use super::{Context, Datagram, Probe};
use crate::{
    cursor::{Cursor, Malformed},
    output::{Draft, Output, push_wire_text},
};

pub(crate) struct Syslog;

/// 8 × 23 + 7: local7, debug (RFC 5424 §6.2.1).
const PRIORITY_MAX: u32 = 191;

impl Datagram for Syslog {
    const NAME: &'static str = "syslog";
    const PORTS: &'static [u16] = &[514];
    type State = ();

    fn probe(bytes: &[u8]) -> Probe {
        let mut input = Cursor::new(bytes);
        match read_priority(&mut input) {
            Some(priority) if priority <= PRIORITY_MAX => {
                let is_dated = structured::begins(&input) || timestamp::legacy(input.peek()).is_some();
                if is_dated { Probe::Yes } else { Probe::Unsure }
            }
            // On port 514 even bare text is syslog (RFC 3164 §4.3.3).
            _ if is_text(bytes) => Probe::Unsure,
            _ => Probe::No,
        }
    }

    fn parse(mut input: Cursor<'_>, _: &mut Context, (): &mut Self::State, out: &mut Output) -> Result<(), Malformed> {
        let Some(mut syslog) = out.record::<record::Syslog>() else { return Ok(()) };
        let parsed = parse_message(&mut input, &mut syslog);
        syslog.truncated = parsed.is_err();
        parsed
    }
}

fn parse_message(input: &mut Cursor<'_>, syslog: &mut Draft<'_, record::Syslog>) -> Result<(), Malformed> {
    if let Some(priority) = read_priority(input) {
        if priority > PRIORITY_MAX {
            syslog.note(input.malformed(WeirdReason::BadValue, "priority is above 191"));
        }
        let (facility, severity) = (priority / 8, priority % 8);
        syslog.priority = Some(priority);
        syslog.facility = Some(facility);
        syslog.facility_name.push_str(facility_name(facility));
        syslog.severity = Some(severity);
        syslog.severity_name.push_str(severity_name(severity));
        syslog.security_facility = matches!(facility, 4 | 10 | 13 | 14);
    }
    if structured::begins(input) {
        structured::parse_header(input, syslog)?;
    } else {
        legacy::parse_header(input, syslog)?;
    }
    let message = input.peek();
    let end = message.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    push_wire_text(&mut syslog.message, &input.message_up_to(end))
}

/// Reads `<` one to three digits `>`; nothing where that is not there.
fn read_priority(input: &mut Cursor<'_>) -> Option<u32> {
    let bytes = input.peek().strip_prefix(b"<")?;
    let digits = bytes.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=3).contains(&digits) || bytes.get(digits) != Some(&b'>') {
        return None;
    }
    let number = bytes.get(..digits)?.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    input.skip(digits + 2).ok()?;
    Some(number)
}

/// Takes the text before the next space, and reads past that. Without a space: all that is left.
fn take_word<'a>(input: &mut Cursor<'a>) -> Cursor<'a> {
    let length = input.peek().iter().position(|&byte| byte == b' ');
    let word = input.message_up_to(length.unwrap_or(usize::MAX));
    skip_byte(input, b' ');
    word
}

/// Reads past a byte, if it is the next; says whether it was.
fn skip_byte(input: &mut Cursor<'_>, byte: u8) -> bool {
    input.peek().first() == Some(&byte) && input.skip(1).is_ok()
}

/// Whether bytes are printable text of one line or several.
fn is_text(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x80..);
    let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    text.iter().all(is_plain) && std::str::from_utf8(text).is_ok()
}

/// RFC 5424 table 1, by the names of `syslog.h`.
fn facility_name(facility: u32) -> &'static str {
    const NAMES: [&str; 24] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
        "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ];
    usize::try_from(facility).ok().and_then(|facility| NAMES.get(facility)).unwrap_or(&"")
}

/// RFC 5424 table 2, by the names of `syslog.h`.
fn severity_name(severity: u32) -> &'static str {
    const NAMES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
    usize::try_from(severity).ok().and_then(|severity| NAMES.get(severity)).unwrap_or(&"")
}

#[cfg(test)]
mod tests;
