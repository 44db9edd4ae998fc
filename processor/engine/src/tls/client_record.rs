//! The record of a ClientHello.

use weir_contract::{Spares, WeirdReason, record};

use super::{
    ClientHello, Offer, Wrapping,
    extension::{self, Extension, Extensions, numbers_16, vector_8, vector_16},
    fingerprint::Fingerprints,
    names::is_grease,
    numbers::{
        push_cipher_suite_name, push_extension, push_group_name, push_named, push_numbers,
        push_signature_algorithm_name, push_start, push_version_name, set_bytes,
    },
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::{Output, push_wire_text},
};

/// Stands for the extension of secure renegotiation (RFC 5746 §3.3).
const EMPTY_RENEGOTIATION_INFO_SCSV: u16 = 0x00ff;

/// RFC 7507.
const FALLBACK_SCSV: u16 = 0x5600;

/// Reads the body of a ClientHello, writes its record where that is selected, and says what it held. What
/// contradicts the protocol is noted, and keeps nobody from reading on behind the message.
pub(crate) fn client_hello<'a>(body: Cursor<'a>, wrapping: &Wrapping, out: &mut Output) -> (ClientHello<'a>, Offer) {
    let (hello, read) = ClientHello::read(body, wrapping.transport);
    let mut fingerprints = Fingerprints::of(&hello, wrapping.transport);
    let offer = hello.offer(&mut fingerprints);
    if let Err(malformed) = read {
        out.note(malformed);
    }
    let Some(mut draft) = out.record::<record::TlsClientHello>() else { return (hello, offer) };
    draft.ts_ns = wrapping.began_ns;
    draft.server_name.push_str(&offer.server_name);
    draft.ja3.push_str(&offer.ja3);
    draft.ja4.push_str(&offer.ja4);
    push_start(&mut draft.ja3_raw, &fingerprints.ja3_raw);
    push_start(&mut draft.ja4_raw, &fingerprints.ja4_raw);
    draft.truncated = read.is_err();
    let (tls, spares) = draft.parts();
    if let Err(malformed) = write_fields(tls, spares, &hello, wrapping, body) {
        draft.note(malformed);
    }
    for read in hello.extensions.clone().into_iter().flatten() {
        let (tls, spares) = draft.parts();
        if let Err(malformed) = read.and_then(|extension| write_extension(tls, spares, extension)) {
            draft.truncated |= malformed.reason != WeirdReason::Limit;
            draft.note(malformed);
        }
    }
    (hello, offer)
}

/// What stands before the extensions.
fn write_fields(
    tls: &mut record::TlsClientHello,
    spares: &mut Spares,
    hello: &ClientHello<'_>,
    wrapping: &Wrapping,
    body: Cursor<'_>,
) -> Result<(), Malformed> {
    tls.transport.push_str(wrapping.transport.name());
    tls.record_version = wrapping.record_version.map(u32::from);
    if let Some(version) = wrapping.record_version {
        push_version_name(&mut tls.record_version_name, version);
    }
    tls.handshake_bytes = wrapping.handshake_bytes;
    tls.version = hello.version.into();
    push_version_name(&mut tls.version_name, hello.version);
    tls.random.extend_from_slice(hello.random);
    tls.session_id.extend_from_slice(hello.session_id);
    tls.cookie.extend_from_slice(hello.cookie);
    tls.cipher_suite_count = u32::try_from(hello.cipher_suites().count()).unwrap_or(u32::MAX);
    tls.secure_renegotiation = hello.cipher_suites().any(|number| number == EMPTY_RENEGOTIATION_INFO_SCSV);
    tls.fallback = hello.cipher_suites().any(|number| number == FALLBACK_SCSV);
    tls.grease = hello.cipher_suites().any(is_grease);
    tls.extensions_bytes = hello.extensions.as_ref().map(|Extensions(all)| all.remaining_u32());
    let suites = (&mut tls.cipher_suites, &mut tls.cipher_suite_names);
    push_named(suites, hello.cipher_suites().map(u32::from), push_cipher_suite_name, (&body, spares))?;
    push_numbers(&mut tls.compression_methods, hello.compression_methods.iter().copied(), &body)
}

fn write_extension(
    tls: &mut record::TlsClientHello,
    spares: &mut Spares,
    Extension { number, mut body }: Extension<'_>,
) -> Result<(), Malformed> {
    tls.grease |= is_grease(number);
    let list = (&mut tls.extensions, &mut tls.extension_names);
    push_extension(list, (number, &mut tls.extension_count), (&body, spares))?;
    match number {
        extension::ALPN => write_alpn(tls, spares, &mut body)?,
        extension::SUPPORTED_VERSIONS => {
            let list = vector_8(&mut body)?;
            tls.grease |= numbers_16(&list).any(is_grease);
            let versions = (&mut tls.supported_versions, &mut tls.supported_version_names);
            push_named(versions, numbers_16(&list), push_version_name, (&list, spares))?;
        }
        extension::SUPPORTED_GROUPS => {
            let list = vector_16(&mut body)?;
            tls.grease |= numbers_16(&list).any(is_grease);
            let groups = (&mut tls.supported_groups, &mut tls.supported_group_names);
            push_named(groups, numbers_16(&list), push_group_name, (&list, spares))?;
        }
        extension::SIGNATURE_ALGORITHMS => {
            let list = vector_16(&mut body)?;
            tls.grease |= numbers_16(&list).any(is_grease);
            let algorithms = (&mut tls.signature_algorithms, &mut tls.signature_algorithm_names);
            push_named(algorithms, numbers_16(&list), push_signature_algorithm_name, (&list, spares))?;
        }
        extension::SIGNATURE_ALGORITHMS_CERT => {
            let list = vector_16(&mut body)?;
            push_numbers(&mut tls.certificate_signature_algorithms, numbers_16(&list), &list)?;
        }
        extension::KEY_SHARE | extension::KEY_SHARE_DRAFT => write_key_shares(tls, &mut body)?,
        extension::PRE_SHARED_KEY => write_psk_identities(tls, &mut body)?,
        extension::ENCRYPTED_CLIENT_HELLO => write_ech(tls, &mut body)?,
        extension::CONNECTION_ID => {
            let id = vector_8(&mut body)?;
            set_bytes(tls.connection_id.get_or_insert_with(|| spares.take_blob()), &id)?;
        }
        extension::COOKIE => set_bytes(&mut tls.cookie, &vector_16(&mut body)?)?,
        _ => write_small_extension(tls, number, &mut body)?,
    }
    Ok(())
}

/// Those that hold a list of bytes, a number, or nothing.
fn write_small_extension(
    tls: &mut record::TlsClientHello,
    number: u16,
    body: &mut Cursor<'_>,
) -> Result<(), Malformed> {
    match number {
        extension::EC_POINT_FORMATS => {
            let list = vector_8(body)?;
            push_numbers(&mut tls.point_formats, list.peek().iter().copied(), &list)?;
        }
        extension::PSK_KEY_EXCHANGE_MODES => {
            let list = vector_8(body)?;
            push_numbers(&mut tls.psk_modes, list.peek().iter().copied(), &list)?;
        }
        extension::COMPRESS_CERTIFICATE => {
            let list = vector_8(body)?;
            push_numbers(&mut tls.certificate_compressions, numbers_16(&list), &list)?;
        }
        extension::USE_SRTP => {
            let list = vector_16(body)?;
            push_numbers(&mut tls.srtp_profiles, numbers_16(&list), &list)?;
        }
        extension::SERVER_NAME => check_server_name(body)?,
        extension::SESSION_TICKET => tls.session_ticket_bytes = Some(body.remaining_u32()),
        extension::PADDING => tls.padding_bytes = Some(body.remaining_u32()),
        extension::MAX_FRAGMENT_LENGTH => tls.max_fragment_length = Some(body.u8()?.into()),
        extension::RECORD_SIZE_LIMIT => tls.record_size_limit = Some(body.u16()?.into()),
        extension::HEARTBEAT => tls.heartbeat_mode = Some(body.u8()?.into()),
        extension::EARLY_DATA => tls.early_data = true,
        extension::STATUS_REQUEST | extension::STATUS_REQUEST_V2 => tls.ocsp_request = true,
        extension::SIGNED_CERTIFICATE_TIMESTAMP => tls.sct_request = true,
        extension::EXTENDED_MASTER_SECRET => tls.extended_master_secret = true,
        extension::ENCRYPT_THEN_MAC => tls.encrypt_then_mac = true,
        extension::RENEGOTIATION_INFO => tls.secure_renegotiation = true,
        extension::NEXT_PROTOCOL_NEGOTIATION => tls.next_protocol_negotiation = true,
        extension::POST_HANDSHAKE_AUTH => tls.post_handshake_auth = true,
        _ => {}
    }
    Ok(())
}

/// Complains where [`ClientHello::server_name`] finds none, or one that is too long for a record.
fn check_server_name(body: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut names = vector_16(body)?;
    while !names.is_empty() {
        names.skip(1)?;
        let name = vector_16(&mut names)?;
        if name.remaining() > TEXT_MAX {
            return Err(name.malformed(WeirdReason::Limit, "text of more than 4096 bytes"));
        }
    }
    Ok(())
}

fn write_alpn(tls: &mut record::TlsClientHello, spares: &mut Spares, body: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut list = vector_16(body)?;
    while !list.is_empty() {
        if tls.alpn_protocols.len() >= LIST_MAX {
            return Err(list.malformed(WeirdReason::Limit, "more than 100 protocols"));
        }
        let mut protocol = spares.take_string();
        push_wire_text(&mut protocol, &vector_8(&mut list)?)?;
        tls.alpn_protocols.push(protocol);
    }
    Ok(())
}

fn write_key_shares(tls: &mut record::TlsClientHello, body: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut shares = vector_16(body)?;
    while !shares.is_empty() {
        let group = shares.u16()?;
        tls.grease |= is_grease(group);
        push_numbers(&mut tls.key_share_groups, [group], &shares)?;
        vector_16(&mut shares)?;
    }
    Ok(())
}

fn write_psk_identities(tls: &mut record::TlsClientHello, body: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut identities = vector_16(body)?;
    const TICKET_AGE_BYTES: usize = 4;
    while !identities.is_empty() {
        vector_16(&mut identities)?;
        identities.skip(TICKET_AGE_BYTES)?;
        tls.psk_identity_count += 1;
    }
    Ok(())
}

/// RFC 9849 §5.
fn write_ech(tls: &mut record::TlsClientHello, body: &mut Cursor<'_>) -> Result<(), Malformed> {
    const OUTER: u8 = 0;
    let kind = body.u8()?;
    tls.ech_type = Some(kind.into());
    if kind != OUTER {
        return Ok(());
    }
    tls.ech_kdf = Some(body.u16()?.into());
    tls.ech_aead = Some(body.u16()?.into());
    tls.ech_config_id = Some(body.u8()?.into());
    vector_16(body)?;
    tls.ech_payload_bytes = Some(vector_16(body)?.remaining_u32());
    Ok(())
}
