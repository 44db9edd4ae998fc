//! What becomes of what was read: `Quic` records, and those of the hellos.

use weir_contract::{
    WeirdReason,
    record::{self, QuicEvent},
};

use super::{
    connection::{Connection, Flow, Found},
    crypto::Message,
    frames::Close,
    header::Header,
    parameters, version,
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::{Draft, Output, push_wire_text},
    tls::{self, Transport, Wrapping},
};

/// Writes the records of a ClientHello.
pub(super) fn client_hello(
    flow: &Flow,
    header: &Header<'_>,
    found: &Found,
    message: &Message,
    body: Cursor<'_>,
    out: &mut Output,
) {
    let (hello, offer) = tls::client_hello(body, &wrapping(message), out);
    let Some(mut quic) = begin(flow, header, flow.connection(found.connection), QuicEvent::ClientHello, out) else {
        return;
    };
    quic.ts_ns = message.began_ns;
    quic.decrypted = true;
    quic.server_name.push_str(&offer.server_name);
    quic.ja4.push_str(&offer.ja4);
    for protocol in hello.alpn_protocols().take(LIST_MAX) {
        let mut text = quic.spare_string();
        // Too long a text is noted with the record of the hello.
        let _ = push_wire_text(&mut text, &protocol);
        quic.alpn_protocols.push(text);
    }
    let Some(list) = parameters::EXTENSIONS.iter().find_map(|&number| hello.extension(number)) else { return };
    if let Err(malformed) = parameters::read(list, header.version, &mut quic) {
        quic.truncated = true;
        quic.note(malformed);
    }
}

/// Writes the records of a ServerHello.
pub(super) fn server_hello(
    flow: &Flow,
    header: &Header<'_>,
    found: &Found,
    message: &Message,
    body: Cursor<'_>,
    response_time_ns: Option<i64>,
    out: &mut Output,
) {
    let (hello, _) = tls::server_hello(body, &wrapping(message), out);
    let Some(mut quic) = begin(flow, header, flow.connection(found.connection), QuicEvent::ServerHello, out) else {
        return;
    };
    quic.ts_ns = message.began_ns;
    quic.decrypted = true;
    quic.cipher_suite = Some(hello.cipher_suite.into());
    tls::push_cipher_suite_name(&mut quic.cipher_suite_name, hello.cipher_suite.into());
    quic.hello_retry_request = hello.is_hello_retry_request();
    answer(&mut quic, response_time_ns);
}

/// Writes the record of a Retry packet.
pub(super) fn retry(
    flow: &Flow,
    header: &Header<'_>,
    connection: Option<usize>,
    token_bytes: usize,
    is_genuine: Option<bool>,
    response_time_ns: Option<i64>,
    out: &mut Output,
) {
    let connection = connection.and_then(|index| flow.connection(index));
    let Some(mut quic) = begin(flow, header, connection, QuicEvent::Retry, out) else { return };
    quic.token_bytes = u32::try_from(token_bytes).unwrap_or(u32::MAX);
    quic.retry_integrity_ok = is_genuine;
    answer(&mut quic, response_time_ns);
}

/// Writes the record of a Version Negotiation packet.
pub(super) fn negotiation(
    flow: &Flow,
    header: &Header<'_>,
    mut versions: Cursor<'_>,
    out: &mut Output,
) -> Result<(), Malformed> {
    let Some(mut quic) = begin(flow, header, None, QuicEvent::VersionNegotiation, out) else { return Ok(()) };
    while !versions.is_empty() {
        let version = match versions.u32() {
            Ok(version) if quic.offered_versions.len() < LIST_MAX => version,
            Ok(_) => return Err(versions.malformed(WeirdReason::Limit, "more than 100 versions offered")),
            Err(malformed) => {
                quic.truncated = true;
                return Err(malformed);
            }
        };
        quic.offered_versions.push(version.into());
    }
    Ok(())
}

/// Writes the record of a CONNECTION_CLOSE frame.
pub(super) fn close(flow: &Flow, header: &Header<'_>, found: &Found, close: &Close<'_>, out: &mut Output) {
    let Some(mut quic) = begin(flow, header, flow.connection(found.connection), QuicEvent::Close, out) else { return };
    quic.decrypted = true;
    quic.error_code = Some(parameters::signed(close.error_code));
    quic.error_name.push_str(error_name(close.error_code));
    quic.error_frame_type = Some(parameters::signed(close.frame_type));
    if let Err(malformed) = push_wire_text(&mut quic.error_reason, &close.reason) {
        quic.note(malformed);
    }
}

/// Writes the record of an Initial packet that can't be read.
pub(super) fn unreadable(flow: &Flow, header: &Header<'_>, token_bytes: usize, is_cut: bool, out: &mut Output) {
    let Some(mut quic) = begin(flow, header, None, QuicEvent::Unreadable, out) else { return };
    quic.token_bytes = u32::try_from(token_bytes).unwrap_or(u32::MAX);
    quic.truncated = is_cut;
}

fn begin<'o>(
    flow: &Flow,
    header: &Header<'_>,
    connection: Option<&Connection>,
    event: QuicEvent,
    out: &'o mut Output,
) -> Option<Draft<'o, record::Quic>> {
    let mut quic = out.record::<record::Quic>()?;
    quic.set_event(event);
    quic.version = header.version.into();
    quic.version_name.push_str(version::name(header.version));
    quic.initial_packets = flow.packets.initial;
    quic.zero_rtt_packets = flow.packets.zero_rtt;
    quic.handshake_packets = flow.packets.handshake;
    quic.retry_packets = flow.packets.retry;
    quic.version_negotiation_packets = flow.packets.negotiation;
    quic.destination_connection_id.extend_from_slice(header.destination);
    quic.source_connection_id.extend_from_slice(header.source);
    if let Some(connection) = connection {
        quic.original_destination_connection_id = Some(connection.original.as_slice().to_owned());
        quic.client_connection_id = Some(connection.client.as_slice().to_owned());
        quic.server_connection_id = connection.server.map(|server| server.as_slice().to_owned());
        quic.token_bytes = connection.token_bytes;
    }
    Some(quic)
}

fn wrapping(message: &Message) -> Wrapping {
    Wrapping {
        transport: Transport::Quic,
        record_version: None,
        handshake_bytes: u32::try_from(message.body().len()).unwrap_or(u32::MAX),
        began_ns: message.began_ns,
    }
}

fn answer(quic: &mut record::Quic, response_time_ns: Option<i64>) {
    quic.response_time_ns = response_time_ns;
    quic.request_seen = response_time_ns.is_some();
}

/// RFC 9000 §20.1, RFC 9368 §9.2; empty where it has none.
fn error_name(code: u64) -> &'static str {
    match code {
        0x00 => "NO_ERROR",
        0x01 => "INTERNAL_ERROR",
        0x02 => "CONNECTION_REFUSED",
        0x03 => "FLOW_CONTROL_ERROR",
        0x04 => "STREAM_LIMIT_ERROR",
        0x05 => "STREAM_STATE_ERROR",
        0x06 => "FINAL_SIZE_ERROR",
        0x07 => "FRAME_ENCODING_ERROR",
        0x08 => "TRANSPORT_PARAMETER_ERROR",
        0x09 => "CONNECTION_ID_LIMIT_ERROR",
        0x0a => "PROTOCOL_VIOLATION",
        0x0b => "INVALID_TOKEN",
        0x0c => "APPLICATION_ERROR",
        0x0d => "CRYPTO_BUFFER_EXCEEDED",
        0x0e => "KEY_UPDATE_ERROR",
        0x0f => "AEAD_LIMIT_REACHED",
        0x10 => "NO_VIABLE_PATH",
        0x11 => "VERSION_NEGOTIATION_ERROR",
        0x100..=0x1ff => "CRYPTO_ERROR",
        _ => "",
    }
}
