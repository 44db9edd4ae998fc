//! Transport parameters of a client hello (RFC 9000 §18; IANA QUIC Transport Parameters).

use weir_contract::{WeirdReason, record};

use super::{
    frames::{length, varint},
    version::Version,
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::{Draft, push_wire_text},
};

/// Extension that holds them (RFC 9001 §8.2), and in drafts.
pub(super) const EXTENSIONS: [u16; 2] = [0x39, 0xffa5];

const NS_PER_MS: u64 = 1_000_000;

/// Largest identifier of a connection, in any version.
const CONNECTION_ID_MAX: usize = 255;

/// Reads all parameters into the record; each one that is malformed is left out, with a Weird.
pub(super) fn read(mut list: Cursor<'_>, version: u32, quic: &mut Draft<'_, record::Quic>) -> Result<(), Malformed> {
    let is_early = Version::of(version).is_some_and(Version::has_early_parameters);
    if is_early {
        let length = list.u16()?;
        list = list.message_of(length.into())?;
    }
    while !list.is_empty() {
        let (number, length) = match is_early {
            true => (list.u16()?.into(), list.u16()?.into()),
            false => (varint(&mut list)?, length(&mut list)?),
        };
        let value = list.message_of(length)?;
        if quic.transport_parameters.len() >= LIST_MAX {
            return Err(value.malformed(WeirdReason::Limit, "more than 100 transport parameters"));
        }
        quic.transport_parameters.push(signed(number));
        if let Err(malformed) = read_one(number, value, quic) {
            quic.note(malformed);
        }
    }
    Ok(())
}

fn read_one(number: u64, mut value: Cursor<'_>, quic: &mut Draft<'_, record::Quic>) -> Result<(), Malformed> {
    match number {
        0x01 => quic.max_idle_timeout_ns = Some(milliseconds(&mut value)?),
        0x03 => quic.max_udp_payload_bytes = Some(number_of(&mut value)?),
        0x04 => quic.initial_max_data_bytes = Some(number_of(&mut value)?),
        0x05 => quic.initial_max_stream_data_bidi_local_bytes = Some(number_of(&mut value)?),
        0x06 => quic.initial_max_stream_data_bidi_remote_bytes = Some(number_of(&mut value)?),
        0x07 => quic.initial_max_stream_data_uni_bytes = Some(number_of(&mut value)?),
        0x08 => quic.initial_max_streams_bidi = Some(number_of(&mut value)?),
        0x09 => quic.initial_max_streams_uni = Some(number_of(&mut value)?),
        0x0a => quic.ack_delay_exponent = Some(number_of(&mut value)?),
        0x0b => quic.max_ack_delay_ns = Some(milliseconds(&mut value)?),
        0x0c => quic.active_migration_disabled = true,
        0x0e => quic.active_connection_id_limit = Some(number_of(&mut value)?),
        0x0f => quic.initial_source_connection_id = Some(connection_id(&value)?),
        0x11 => read_versions(value, quic)?,
        0x20 => quic.max_datagram_frame_bytes = Some(number_of(&mut value)?),
        0x2ab2 => quic.grease_quic_bit = true,
        // Google's, no standard.
        0x3129 => push_wire_text(&mut quic.user_agent, &value)?,
        _ => {}
    }
    Ok(())
}

/// RFC 9368 §3.
fn read_versions(mut value: Cursor<'_>, quic: &mut Draft<'_, record::Quic>) -> Result<(), Malformed> {
    quic.chosen_version = Some(value.u32()?.into());
    while !value.is_empty() {
        let version = value.u32()?;
        if quic.available_versions.len() >= LIST_MAX {
            return Err(value.malformed(WeirdReason::Limit, "more than 100 available versions"));
        }
        quic.available_versions.push(version.into());
    }
    Ok(())
}

fn number_of(value: &mut Cursor<'_>) -> Result<i64, Malformed> {
    varint(value).map(signed)
}

fn milliseconds(value: &mut Cursor<'_>) -> Result<i64, Malformed> {
    varint(value).map(|milliseconds| signed(milliseconds.saturating_mul(NS_PER_MS)))
}

fn connection_id(value: &Cursor<'_>) -> Result<Vec<u8>, Malformed> {
    if value.remaining() > CONNECTION_ID_MAX {
        return Err(value.malformed(WeirdReason::BadLength, "connection identifier of more than 255 bytes"));
    }
    Ok(value.peek().to_owned())
}

/// Variable-length integers have 62 bits; their products may have more.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
