//! TFTP (RFC 1350) and its options (RFC 2347, 2348, 2349, 7440): one record per message.
//!
//! A server answers from a port of its own choice, so that a transfer is a flow of its own, which
//! only the request announces.

use serde::{Deserialize, Serialize};
use weir_contract::{WeirdReason, record};

use super::{Context, Datagram, Probe, Requests};
use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::{Draft, Output, push_wire_text},
};

pub(crate) struct Tftp;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACKNOWLEDGEMENT: u16 = 4;
const ERROR: u16 = 5;
const OPTION_ACKNOWLEDGEMENT: u16 = 6;

/// Bytes of a block where no option says otherwise (RFC 1350 §2).
const BLOCK_BYTES: usize = 512;

/// What a message waits for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Awaited {
    /// A request waits for its first answer.
    Answer,
    /// A block, or an option acknowledgement as block 0, waits for its acknowledgement.
    Acknowledgement(u16),
}

/// What is known of a transfer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Transfer {
    awaited: Requests<Awaited>,
    /// Bytes of a block, as agreed on by options.
    block_bytes: Option<u16>,
}

impl Datagram for Tftp {
    const NAME: &'static str = "tftp";
    const PORTS: &'static [u16] = &[69];
    type State = Transfer;

    fn probe(bytes: &[u8]) -> Probe {
        match bytes {
            [0, 1 | 2, request @ ..] if has_known_mode(request) => Probe::Yes,
            [0, 1..=6, _, _, ..] => Probe::Unsure,
            _ => Probe::No,
        }
    }

    fn parse(
        mut input: Cursor<'_>,
        context: &mut Context,
        transfer: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        let operation = input.u16()?;
        if matches!(operation, READ | WRITE) {
            context.expect_answer_from_another_port();
        }
        let Some(mut tftp) = out.record::<record::Tftp>() else { return Ok(()) };
        tftp.operation = operation.into();
        tftp.operation_name.push_str(operation_name(operation));
        if let Some(since_ns) = context.expected_since_ns {
            transfer.awaited.request(Awaited::Answer, since_ns);
        }
        let parsed = match operation {
            READ | WRITE => parse_request(&mut input, context, transfer, &mut tftp),
            DATA => parse_data(&mut input, context, transfer, &mut tftp),
            ACKNOWLEDGEMENT => parse_acknowledgement(&mut input, context, transfer, &mut tftp),
            ERROR => parse_error(&mut input, context, transfer, &mut tftp),
            OPTION_ACKNOWLEDGEMENT => parse_option_acknowledgement(&mut input, context, transfer, &mut tftp),
            _ => Err(input.malformed(WeirdReason::BadValue, "unknown operation")),
        };
        tftp.truncated = parsed.is_err();
        parsed
    }
}

/// Whether a request has a file name and one of the modes of RFC 1350 §1.
fn has_known_mode(request: &[u8]) -> bool {
    let mut texts = request.split(|&byte| byte == 0);
    let is_named = texts.next().is_some_and(|name| !name.is_empty());
    let is_mode =
        |text: &[u8]| [&b"octet"[..], b"netascii", b"mail"].iter().any(|mode| text.eq_ignore_ascii_case(mode));
    // A text is whole if another one follows, be it the empty one behind the last NUL.
    is_named && texts.next().is_some_and(is_mode) && texts.next().is_some()
}

fn parse_request(
    input: &mut Cursor<'_>,
    context: &Context,
    transfer: &mut Transfer,
    tftp: &mut Draft<'_, record::Tftp>,
) -> Result<(), Malformed> {
    transfer.awaited.request(Awaited::Answer, context.ts_ns);
    push_text(input, &mut tftp.file_name)?;
    push_text(input, &mut tftp.mode)?;
    tftp.mode.make_ascii_lowercase();
    parse_options(input, tftp)
}

fn parse_data(
    input: &mut Cursor<'_>,
    context: &Context,
    transfer: &mut Transfer,
    tftp: &mut Draft<'_, record::Tftp>,
) -> Result<(), Malformed> {
    let block = input.u16()?;
    let block_bytes = transfer.block_bytes.map_or(BLOCK_BYTES, usize::from);
    tftp.block = Some(block.into());
    tftp.data_bytes = u32::try_from(input.remaining()).ok();
    tftp.last = input.remaining() < block_bytes;
    if block == 1 {
        answer(tftp, transfer.awaited.response(&Awaited::Answer, context.ts_ns));
        tftp.response = tftp.request_seen;
    }
    transfer.awaited.request(Awaited::Acknowledgement(block), context.ts_ns);
    Ok(())
}

fn parse_acknowledgement(
    input: &mut Cursor<'_>,
    context: &Context,
    transfer: &mut Transfer,
    tftp: &mut Draft<'_, record::Tftp>,
) -> Result<(), Malformed> {
    let block = input.u16()?;
    tftp.block = Some(block.into());
    let mut elapsed = transfer.awaited.response(&Awaited::Acknowledgement(block), context.ts_ns);
    if block == 0 && elapsed.is_none() {
        // Of a write request, not of options.
        elapsed = transfer.awaited.response(&Awaited::Answer, context.ts_ns);
    }
    answer(tftp, elapsed);
    Ok(())
}

fn parse_error(
    input: &mut Cursor<'_>,
    context: &Context,
    transfer: &mut Transfer,
    tftp: &mut Draft<'_, record::Tftp>,
) -> Result<(), Malformed> {
    let code = input.u16()?;
    tftp.error_code = Some(code.into());
    tftp.error_name.push_str(error_name(code));
    answer(tftp, transfer.awaited.response(&Awaited::Answer, context.ts_ns));
    tftp.response = tftp.request_seen;
    push_text(input, &mut tftp.error_message)
}

fn parse_option_acknowledgement(
    input: &mut Cursor<'_>,
    context: &Context,
    transfer: &mut Transfer,
    tftp: &mut Draft<'_, record::Tftp>,
) -> Result<(), Malformed> {
    answer(tftp, transfer.awaited.response(&Awaited::Answer, context.ts_ns));
    transfer.awaited.request(Awaited::Acknowledgement(0), context.ts_ns);
    let parsed = parse_options(input, tftp);
    if let Some(bytes) = tftp.block_size_bytes {
        transfer.block_bytes = u16::try_from(bytes).ok();
    }
    parsed
}

fn answer(tftp: &mut Draft<'_, record::Tftp>, elapsed: Option<i64>) {
    tftp.response = true;
    tftp.response_time_ns = elapsed;
    tftp.request_seen = elapsed.is_some();
}

/// Pairs of name and value to the end of the message (RFC 2347).
fn parse_options(input: &mut Cursor<'_>, tftp: &mut Draft<'_, record::Tftp>) -> Result<(), Malformed> {
    while !input.is_empty() {
        if tftp.options.len() >= LIST_MAX {
            return Err(input.malformed(WeirdReason::Limit, "more than 100 options"));
        }
        let mut option: record::TftpOption = tftp.spare();
        let parsed = push_text(input, &mut option.name).and_then(|()| push_text(input, &mut option.value));
        option.name.make_ascii_lowercase();
        if parsed.is_ok() {
            read_option(&option, tftp);
        }
        tftp.options.push(option);
        parsed?;
    }
    Ok(())
}

fn read_option(option: &record::TftpOption, tftp: &mut Draft<'_, record::Tftp>) {
    let value: Option<i64> = option.value.parse().ok().filter(|value| *value >= 0);
    match option.name.as_str() {
        "blksize" => tftp.block_size_bytes = value,
        "timeout" => tftp.timeout_ns = value.and_then(|seconds| seconds.checked_mul(1_000_000_000)),
        "tsize" => tftp.transfer_size_bytes = value,
        "windowsize" => tftp.window_blocks = value,
        _ => {}
    }
}

/// Reads a text that ends with a NUL.
fn push_text(input: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    let Some(length) = input.peek().iter().position(|&byte| byte == 0) else {
        push_wire_text(out, &input.rest())?;
        return Err(input.malformed(WeirdReason::Truncated, "text without its final NUL"));
    };
    let text = input.message_of(length)?;
    input.skip(1)?;
    push_wire_text(out, &text)
}

fn operation_name(operation: u16) -> &'static str {
    match operation {
        READ => "read",
        WRITE => "write",
        DATA => "data",
        ACKNOWLEDGEMENT => "ack",
        ERROR => "error",
        OPTION_ACKNOWLEDGEMENT => "oack",
        _ => "",
    }
}

/// RFC 1350 §5; the last one is of RFC 2347.
fn error_name(code: u16) -> &'static str {
    match code {
        0 => "undefined",
        1 => "file_not_found",
        2 => "access_violation",
        3 => "disk_full",
        4 => "illegal_operation",
        5 => "unknown_transfer",
        6 => "file_exists",
        7 => "no_such_user",
        8 => "option_refused",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, udp, udp_back};

    const REQUEST: &[u8] = b"\0\x01boot/pxelinux.0\0Octet\0BLKSIZE\x001428\0tsize\x000\0";

    #[test]
    fn a_transfer_from_another_port_answers_its_request() {
        let mut block = vec![0, 3, 0, 1];
        block.resize(4 + 1428, 0xaa);
        let records = testing::decode(
            testing::ETHERNET,
            &[
                udp(2000, 69, REQUEST),
                udp_back(3000, 2000, b"\0\x06blksize\x001428\0tsize\x001500\0"),
                udp(2000, 3000, &[0, 4, 0, 0]),
                udp_back(3000, 2000, &block),
                udp(2000, 3000, &[0, 4, 0, 1]),
                udp_back(3000, 2000, &[0, 3, 0, 2, 1, 2, 3]),
            ],
        );
        let messages = records.of::<record::Tftp>();
        let [request, oack, ack0, data1, ack1, data2] = &messages[..] else { panic!("six messages: {messages:?}") };
        assert_eq!((request.operation_name.as_str(), request.file_name.as_str()), ("read", "boot/pxelinux.0"));
        assert_eq!((request.mode.as_str(), request.block_size_bytes), ("octet", Some(1428)));
        assert_eq!((request.options[0].name.as_str(), request.options[0].value.as_str()), ("blksize", "1428"));
        assert_eq!((oack.request_seen, oack.response_time_ns), (true, Some(1_000_000)));
        assert_eq!(oack.transfer_size_bytes, Some(1500));
        assert_eq!((ack0.block, ack0.response_time_ns), (Some(0), Some(1_000_000)));
        assert_eq!((data1.data_bytes, data1.last, data1.response), (Some(1428), false, false));
        assert_eq!((ack1.response, ack1.response_time_ns), (true, Some(1_000_000)));
        assert_eq!((data2.block, data2.data_bytes, data2.last), (Some(2), Some(3), true));
        assert_eq!(records.weirds(), Vec::<String>::new());
        let services: Vec<_> = records.of::<record::Connection>().into_iter().map(|each| each.service).collect();
        assert_eq!(services, ["tftp", "tftp"]);
    }

    #[test]
    fn a_server_may_answer_from_port_69() {
        let records = testing::decode(
            testing::ETHERNET,
            &[
                udp(2000, 69, b"\0\x02log\0netascii\0"),
                udp_back(69, 2000, &[0, 4, 0, 0]),
                udp(2000, 69, &[0, 3, 0, 1, b'x']),
                udp_back(69, 2000, b"\0\x05\0\x03no room\0"),
            ],
        );
        let messages = records.of::<record::Tftp>();
        let [write, ack, data, error] = &messages[..] else { panic!("four messages") };
        assert_eq!((write.operation_name.as_str(), write.response), ("write", false));
        assert_eq!((ack.request_seen, ack.response_time_ns), (true, Some(1_000_000)));
        assert_eq!((data.last, data.response), (true, false));
        assert_eq!((error.error_name.as_str(), error.error_message.as_str()), ("disk_full", "no room"));
    }

    #[test]
    fn what_is_no_tftp_is_not_taken_for_an_expected_answer() {
        let records = testing::decode(testing::ETHERNET, &[udp(2000, 69, REQUEST), udp_back(3000, 2000, b"SSDP, say")]);
        assert_eq!(records.of::<record::Tftp>().len(), 1);
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn a_request_is_known_on_any_port_by_its_mode() {
        assert_eq!(Tftp::probe(b"\0\x01a\0octet\0"), Probe::Yes);
        assert_eq!(Tftp::probe(b"\0\x01a\0octets\0"), Probe::Unsure);
        assert_eq!(Tftp::probe(b"\0\x01a\0octet"), Probe::Unsure);
        assert_eq!(Tftp::probe(b"\0\x01\0octet\0"), Probe::Unsure);
        assert_eq!(Tftp::probe(&[0, 4, 0]), Probe::No);
    }

    #[test]
    fn a_request_cut_anywhere_keeps_what_was_read() {
        for length in 4..REQUEST.len() {
            let records = testing::decode(testing::ETHERNET, &[udp(2000, 69, &REQUEST[..length])]);
            let [request] = &records.of::<record::Tftp>()[..] else { panic!("one message of {length} bytes") };
            let texts = REQUEST[2..length].iter().filter(|&&byte| byte == 0).count();
            let ends_with_pair = REQUEST[length - 1] == 0 && texts % 2 == 0;
            assert_eq!(request.truncated, !ends_with_pair, "{length} bytes");
            assert!("boot/pxelinux.0".starts_with(&request.file_name));
        }
    }

    #[test]
    fn options_are_bounded() {
        let mut request = b"\0\x01f\0octet\0".to_vec();
        for _ in 0..200 {
            request.extend(b"a\0b\0");
        }
        let records = testing::decode(testing::ETHERNET, &[udp(2000, 69, &request)]);
        assert_eq!(records.of::<record::Tftp>()[0].options.len(), LIST_MAX);
        assert_eq!(records.weirds(), ["tftp Limit: more than 100 options"]);
    }
}
