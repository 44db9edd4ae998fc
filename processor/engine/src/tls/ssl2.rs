//! The record of a ClientHello of SSL 2.0 (RFC 6101 appendix E.1).

use weir_contract::record;

use super::{
    Wrapping,
    numbers::{push_cipher_suite_name, push_named, push_version_name, set_bytes},
};
use crate::{
    cursor::{Cursor, Malformed},
    output::{Draft, Output},
};

/// Writes the record of a hello behind its type, and gives the session that it would resume.
pub(super) fn client_hello(body: Cursor<'_>, wrapping: &Wrapping, out: &mut Output) -> Result<Vec<u8>, Malformed> {
    let parts = Parts::read(body)?;
    let session_id = parts.session_id.message().to_vec();
    if let Some(mut tls) = out.record::<record::TlsClientHello>() {
        tls.ts_ns = wrapping.began_ns;
        tls.transport.push_str(wrapping.transport.name());
        tls.handshake_bytes = wrapping.handshake_bytes;
        if let Err(malformed) = write(&mut tls, &parts) {
            tls.note(malformed);
        }
    }
    Ok(session_id)
}

struct Parts<'a> {
    version: u16,
    cipher_suites: Cursor<'a>,
    session_id: Cursor<'a>,
    challenge: Cursor<'a>,
}

impl<'a> Parts<'a> {
    fn read(mut body: Cursor<'a>) -> Result<Self, Malformed> {
        let version = body.u16()?;
        let [suites, session, challenge] = [body.u16()?, body.u16()?, body.u16()?];
        Ok(Self {
            version,
            cipher_suites: body.message_of(suites.into())?,
            session_id: body.message_of(session.into())?,
            challenge: body.message_of(challenge.into())?,
        })
    }
}

fn write(draft: &mut Draft<'_, record::TlsClientHello>, parts: &Parts<'_>) -> Result<(), Malformed> {
    let (tls, spares) = draft.parts();
    tls.version = parts.version.into();
    push_version_name(&mut tls.version_name, parts.version);
    let suites = parts.cipher_suites.peek().as_chunks().0.iter();
    let suites = suites.map(|&[high, middle, low]| u32::from_be_bytes([0, high, middle, low]));
    tls.cipher_suite_count = u32::try_from(suites.len()).unwrap_or(u32::MAX);
    let lists = (&mut tls.cipher_suites, &mut tls.cipher_suite_names);
    push_named(lists, suites, push_cipher_suite_name, (&parts.cipher_suites, spares))?;
    set_bytes(&mut tls.session_id, &parts.session_id)?;
    set_bytes(&mut tls.random, &parts.challenge)
}
