//! Chunks (RFC 9260 §3.2, §3.3): their heads, and of some the fields.

use weir_contract::{WeirdReason, record};

use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::Draft,
};

/// Chunk types (IANA).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const INIT: u8 = 1;
    pub(super) const INIT_ACK: u8 = 2;
    pub(super) const SACK: u8 = 3;
    pub(super) const ABORT: u8 = 6;
    pub(super) const SHUTDOWN: u8 = 7;
    pub(super) const ERROR: u8 = 9;
    pub(super) const I_DATA: u8 = 64;
    pub(super) const FORWARD_TSN: u8 = 192;
    pub(super) const I_FORWARD_TSN: u8 = 194;
}

const HEADER_BYTES: usize = 4;

/// Reads all chunks of a packet into its record.
pub(super) fn read_all(input: &mut Cursor<'_>, sctp: &mut Draft<'_, record::Sctp>) -> Result<(), Malformed> {
    while !input.is_empty() {
        if sctp.chunks.len() >= LIST_MAX {
            return Err(input.malformed(WeirdReason::Limit, "too many chunks"));
        }
        let mut header = Cursor::new(input.take(HEADER_BYTES)?);
        let chunk_type = header.u8()?;
        let flags = header.u8()?;
        let length = header.u16()?;
        let Some(body_bytes) = usize::from(length).checked_sub(HEADER_BYTES) else {
            return Err(input.malformed(WeirdReason::BadLength, "chunk length is less than its header's"));
        };
        let body = input.message_up_to(body_bytes);
        let mut chunk: record::SctpChunk = sctp.spare();
        chunk.r#type = chunk_type.into();
        chunk.name.push_str(name(chunk_type));
        chunk.flags = flags.into();
        chunk.length_bytes = length.into();
        let read = read_body(chunk_type, flags, body, body_bytes, &mut chunk);
        sctp.payload_bytes = sctp.payload_bytes.saturating_add(chunk.payload_bytes.unwrap_or_default());
        sctp.chunks.push(chunk);
        read?;
        if body.remaining() < body_bytes {
            return Err(input.malformed(WeirdReason::Truncated, "ends in a chunk"));
        }
        // Chunks begin at multiples of four bytes; the last one's padding may be left out.
        let _padding = input.message_up_to(usize::from(length).wrapping_neg() % 4);
    }
    Ok(())
}

/// `body_bytes` is what the chunk's length says, `body` what is there of it.
fn read_body(
    chunk_type: u8,
    flags: u8,
    mut body: Cursor<'_>,
    body_bytes: usize,
    chunk: &mut record::SctpChunk,
) -> Result<(), Malformed> {
    match chunk_type {
        kind::DATA => {
            chunk.tsn = Some(body.u32()?.into());
            chunk.stream_id = Some(body.u16()?.into());
            chunk.stream_sequence = Some(body.u16()?.into());
            read_payload(chunk, body.u32()?, body_bytes, body.position())
        }
        kind::I_DATA => {
            const BEGINNING: u8 = 2;
            chunk.tsn = Some(body.u32()?.into());
            chunk.stream_id = Some(body.u16()?.into());
            body.skip(2)?;
            chunk.stream_sequence = Some(body.u32()?.into());
            let protocol_or_fragment = body.u32()?;
            if flags & BEGINNING != 0 {
                return read_payload(chunk, protocol_or_fragment, body_bytes, body.position());
            }
            chunk.payload_bytes = u32::try_from(body_bytes.saturating_sub(body.position())).ok();
            Ok(())
        }
        kind::INIT | kind::INIT_ACK => {
            chunk.initiate_tag = Some(body.u32()?.into());
            chunk.receiver_window_bytes = Some(body.u32()?.into());
            chunk.outbound_streams = Some(body.u16()?.into());
            chunk.inbound_streams = Some(body.u16()?.into());
            chunk.initial_tsn = Some(body.u32()?.into());
            read_types(&mut body, &mut chunk.parameter_types)
        }
        kind::SACK => {
            chunk.cumulative_tsn = Some(body.u32()?.into());
            chunk.receiver_window_bytes = Some(body.u32()?.into());
            chunk.gap_blocks = Some(body.u16()?.into());
            chunk.duplicate_tsns = Some(body.u16()?.into());
            Ok(())
        }
        kind::SHUTDOWN | kind::FORWARD_TSN | kind::I_FORWARD_TSN => {
            chunk.cumulative_tsn = Some(body.u32()?.into());
            Ok(())
        }
        kind::ABORT | kind::ERROR => read_types(&mut body, &mut chunk.cause_codes),
        _ => Ok(()),
    }
}

fn read_payload(
    chunk: &mut record::SctpChunk,
    protocol: u32,
    body_bytes: usize,
    header_bytes: usize,
) -> Result<(), Malformed> {
    chunk.payload_protocol = Some(protocol.into());
    chunk.payload_protocol_name.push_str(payload_protocol_name(protocol));
    chunk.payload_bytes = u32::try_from(body_bytes.saturating_sub(header_bytes)).ok();
    Ok(())
}

/// Types of parameters or codes of causes, which share their form: type, length with this header, value,
/// padding to a multiple of four bytes (RFC 9260 §3.2.1, §3.3.10).
fn read_types(input: &mut Cursor<'_>, types: &mut Vec<u32>) -> Result<(), Malformed> {
    while !input.is_empty() {
        if types.len() >= LIST_MAX {
            return Err(input.malformed(WeirdReason::Limit, "too many parameters or causes"));
        }
        types.push(input.u16()?.into());
        let length = usize::from(input.u16()?);
        let Some(value_bytes) = length.checked_sub(HEADER_BYTES) else {
            return Err(
                input.malformed(WeirdReason::BadLength, "length of parameter or cause is less than its header's")
            );
        };
        input.skip(value_bytes)?;
        let _padding = input.message_up_to(length.wrapping_neg() % 4);
    }
    Ok(())
}

/// IANA registry of SCTP chunk types.
fn name(chunk_type: u8) -> &'static str {
    match chunk_type {
        kind::DATA => "data",
        kind::INIT => "init",
        kind::INIT_ACK => "init_ack",
        kind::SACK => "sack",
        4 => "heartbeat",
        5 => "heartbeat_ack",
        kind::ABORT => "abort",
        kind::SHUTDOWN => "shutdown",
        8 => "shutdown_ack",
        kind::ERROR => "error",
        10 => "cookie_echo",
        11 => "cookie_ack",
        12 => "ecne",
        13 => "cwr",
        14 => "shutdown_complete",
        15 => "auth",
        kind::I_DATA => "i_data",
        128 => "asconf_ack",
        130 => "re_config",
        132 => "pad",
        kind::FORWARD_TSN => "forward_tsn",
        193 => "asconf",
        kind::I_FORWARD_TSN => "i_forward_tsn",
        _ => "",
    }
}

/// IANA registry of SCTP payload protocol identifiers, as far as they are met.
fn payload_protocol_name(number: u32) -> &'static str {
    match number {
        1 => "iua",
        2 => "m2ua",
        3 => "m3ua",
        4 => "sua",
        5 => "m2pa",
        6 => "v5ua",
        7 => "h248",
        8 => "bicc",
        11 => "asap",
        12 => "enrp",
        18 => "s1ap",
        19 => "rua",
        20 => "hnbap",
        21 => "forces_high",
        22 => "forces_medium",
        23 => "forces_low",
        24 => "sbc_ap",
        25 => "nbap",
        27 => "x2ap",
        46 => "diameter",
        47 => "diameter_dtls",
        50 => "webrtc_control",
        51 => "webrtc_string",
        53 => "webrtc_binary",
        60 => "ngap",
        61 => "xnap",
        62 => "f1ap",
        _ => "",
    }
}
