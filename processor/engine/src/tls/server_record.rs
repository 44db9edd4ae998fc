//! The record of a ServerHello.

use weir_contract::{Spares, WeirdReason, record};

use super::{
    Choice, ServerHello, Wrapping,
    extension::{self, Extension, numbers_16, vector_8, vector_16},
    fingerprint,
    numbers::{
        push_cipher_suite_name, push_extension, push_group_name, push_numbers, push_start, push_version_name, set_bytes,
    },
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::{Output, push_wire_text},
};

/// Reads the body of a ServerHello, writes its record where that is selected, and says what it held. What
/// contradicts the protocol is noted, and keeps nobody from reading on behind the message.
pub(crate) fn server_hello<'a>(body: Cursor<'a>, wrapping: &Wrapping, out: &mut Output) -> (ServerHello<'a>, Choice) {
    let (hello, read) = ServerHello::read(body);
    let (ja3s_raw, ja3s) = fingerprint::ja3s(&hello);
    let choice = hello.choice(ja3s);
    if let Err(malformed) = read {
        out.note(malformed);
    }
    let Some(mut draft) = out.record::<record::TlsServerHello>() else { return (hello, choice) };
    draft.ts_ns = wrapping.began_ns;
    draft.ja3s.push_str(&choice.ja3s);
    push_start(&mut draft.ja3s_raw, &ja3s_raw);
    draft.truncated = read.is_err();
    write_fields(&mut draft, &hello, wrapping, &choice);
    for read in hello.extensions.clone().into_iter().flatten() {
        let (tls, spares) = draft.parts();
        if let Err(malformed) = read.and_then(|extension| write_extension(tls, spares, extension)) {
            draft.truncated |= malformed.reason != WeirdReason::Limit;
            draft.note(malformed);
        }
    }
    (hello, choice)
}

/// What stands before the extensions, and what a [`Choice`] has read of them.
fn write_fields(tls: &mut record::TlsServerHello, hello: &ServerHello<'_>, wrapping: &Wrapping, choice: &Choice) {
    tls.transport.push_str(wrapping.transport.name());
    tls.record_version = wrapping.record_version.map(u32::from);
    if let Some(version) = wrapping.record_version {
        push_version_name(&mut tls.record_version_name, version);
    }
    tls.handshake_bytes = wrapping.handshake_bytes;
    tls.version = hello.version.into();
    push_version_name(&mut tls.version_name, hello.version);
    tls.selected_version = choice.version.into();
    push_version_name(&mut tls.selected_version_name, choice.version);
    tls.random.extend_from_slice(hello.random);
    tls.session_id.extend_from_slice(hello.session_id);
    tls.cipher_suite = hello.cipher_suite.into();
    push_cipher_suite_name(&mut tls.cipher_suite_name, hello.cipher_suite.into());
    tls.compression_method = hello.compression_method.into();
    tls.alpn_protocol.push_str(&choice.alpn_protocol);
    tls.key_share_group = choice.group.map(u32::from);
    if let Some(group) = choice.group {
        push_group_name(&mut tls.key_share_group_name, group);
    }
    tls.ocsp_stapling = choice.has_status;
    tls.session_ticket = choice.has_ticket;
    tls.hello_retry_request = hello.is_hello_retry_request();
    tls.downgrade_sentinel.push_str(match hello.random.last_chunk() {
        Some(b"DOWNGRD\x01") => "TLS 1.2",
        Some(b"DOWNGRD\x00") => "TLS 1.1",
        _ => "",
    });
}

fn write_extension(
    tls: &mut record::TlsServerHello,
    spares: &mut Spares,
    Extension { number, mut body }: Extension<'_>,
) -> Result<(), Malformed> {
    let list = (&mut tls.extensions, &mut tls.extension_names);
    push_extension(list, (number, &mut tls.extension_count), (&body, spares))?;
    match number {
        extension::SERVER_NAME => tls.server_name_acknowledged = true,
        extension::MAX_FRAGMENT_LENGTH => tls.max_fragment_length = Some(body.u8()?.into()),
        extension::EC_POINT_FORMATS => {
            let list = vector_8(&mut body)?;
            push_numbers(&mut tls.point_formats, list.peek().iter().copied(), &list)?;
        }
        extension::USE_SRTP => tls.srtp_profile = numbers_16(&vector_16(&mut body)?).next().map(u32::from),
        extension::HEARTBEAT => tls.heartbeat_mode = Some(body.u8()?.into()),
        extension::ALPN => {
            vector_8(&mut vector_16(&mut body)?)?;
        }
        extension::SIGNED_CERTIFICATE_TIMESTAMP => write_scts(tls, spares, &mut body)?,
        extension::ENCRYPT_THEN_MAC => tls.encrypt_then_mac = true,
        extension::EXTENDED_MASTER_SECRET => tls.extended_master_secret = true,
        extension::RECORD_SIZE_LIMIT => tls.record_size_limit = Some(body.u16()?.into()),
        extension::PRE_SHARED_KEY => tls.selected_psk = Some(body.u16()?.into()),
        extension::SUPPORTED_VERSIONS | extension::KEY_SHARE | extension::KEY_SHARE_DRAFT => body.skip(2)?,
        extension::COOKIE => set_bytes(&mut tls.cookie, &vector_16(&mut body)?)?,
        extension::CONNECTION_ID => {
            let id = vector_8(&mut body)?;
            set_bytes(tls.connection_id.get_or_insert_with(|| spares.take_blob()), &id)?;
        }
        extension::RENEGOTIATION_INFO => {
            tls.secure_renegotiation = true;
            set_bytes(&mut tls.renegotiation_info, &vector_8(&mut body)?)?;
        }
        extension::NEXT_PROTOCOL_NEGOTIATION => write_next_protocols(tls, spares, &mut body)?,
        _ => {}
    }
    Ok(())
}

fn write_scts(tls: &mut record::TlsServerHello, spares: &mut Spares, body: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut list = vector_16(body)?;
    while !list.is_empty() {
        if tls.scts.len() >= LIST_MAX {
            return Err(list.malformed(WeirdReason::Limit, "more than 100 timestamps"));
        }
        let mut sct = spares.take_blob();
        let pushed = vector_16(&mut list).and_then(|bytes| set_bytes(&mut sct, &bytes));
        tls.scts.push(sct);
        pushed?;
    }
    Ok(())
}

/// The extension holds names without a length around them (draft-agl-tls-nextprotoneg-04 §3).
fn write_next_protocols(
    tls: &mut record::TlsServerHello,
    spares: &mut Spares,
    body: &mut Cursor<'_>,
) -> Result<(), Malformed> {
    tls.next_protocol_negotiation = true;
    while !body.is_empty() {
        if tls.next_protocols.len() >= LIST_MAX {
            return Err(body.malformed(WeirdReason::Limit, "more than 100 protocols"));
        }
        let mut protocol = spares.take_string();
        push_wire_text(&mut protocol, &vector_8(body)?)?;
        tls.next_protocols.push(protocol);
    }
    Ok(())
}
