//! Extensions of the hellos (RFC 8446 §4.2): their numbers, and how one steps from each to the next.

use weir_contract::WeirdReason;

use crate::cursor::{Cursor, Malformed};

pub(super) const SERVER_NAME: u16 = 0;
pub(super) const MAX_FRAGMENT_LENGTH: u16 = 1;
pub(super) const STATUS_REQUEST: u16 = 5;
pub(super) const SUPPORTED_GROUPS: u16 = 10;
pub(super) const EC_POINT_FORMATS: u16 = 11;
pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const USE_SRTP: u16 = 14;
pub(super) const HEARTBEAT: u16 = 15;
pub(super) const ALPN: u16 = 16;
pub(super) const STATUS_REQUEST_V2: u16 = 17;
pub(super) const SIGNED_CERTIFICATE_TIMESTAMP: u16 = 18;
pub(super) const PADDING: u16 = 21;
pub(super) const ENCRYPT_THEN_MAC: u16 = 22;
pub(super) const EXTENDED_MASTER_SECRET: u16 = 23;
pub(super) const COMPRESS_CERTIFICATE: u16 = 27;
pub(super) const RECORD_SIZE_LIMIT: u16 = 28;
pub(super) const SESSION_TICKET: u16 = 35;
/// Of drafts up to 22 of TLS 1.3.
pub(super) const KEY_SHARE_DRAFT: u16 = 40;
pub(super) const PRE_SHARED_KEY: u16 = 41;
pub(super) const EARLY_DATA: u16 = 42;
pub(super) const SUPPORTED_VERSIONS: u16 = 43;
pub(super) const COOKIE: u16 = 44;
pub(super) const PSK_KEY_EXCHANGE_MODES: u16 = 45;
pub(super) const POST_HANDSHAKE_AUTH: u16 = 49;
pub(super) const SIGNATURE_ALGORITHMS_CERT: u16 = 50;
pub(super) const KEY_SHARE: u16 = 51;
pub(super) const CONNECTION_ID: u16 = 54;
pub(super) const NEXT_PROTOCOL_NEGOTIATION: u16 = 13172;
pub(super) const ENCRYPTED_CLIENT_HELLO: u16 = 65037;
pub(super) const RENEGOTIATION_INFO: u16 = 65281;

/// One extension: its number and what it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extension<'a> {
    pub(super) number: u16,
    pub(super) body: Cursor<'a>,
}

/// The extensions of a hello in their order. One that is cut is an error, and the last item.
#[derive(Debug, Clone)]
pub(super) struct Extensions<'a>(pub(super) Cursor<'a>);

impl<'a> Extensions<'a> {
    /// Reads those at the end of a hello, which may end before them.
    ///
    /// # Errors
    ///
    /// Where they are cut, or not at the end; they are in `place` all the same.
    pub(super) fn read(body: &mut Cursor<'a>, place: &mut Option<Self>) -> Result<(), Malformed> {
        if body.is_empty() {
            return Ok(());
        }
        let length = usize::from(body.u16()?);
        let extensions = body.message_up_to(length);
        *place = Some(Self(extensions));
        if extensions.remaining() < length {
            return Err(body.malformed(WeirdReason::Truncated, "ends within the extensions"));
        }
        if !body.is_empty() {
            return Err(body.malformed(WeirdReason::TrailingBytes, "bytes behind the extensions"));
        }
        Ok(())
    }

    /// The first extension of that number.
    pub(super) fn find(&self, number: u16) -> Option<Cursor<'a>> {
        let mut readable = self.clone().flatten();
        readable.find(|extension| extension.number == number).map(|extension| extension.body)
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = read_extension(&mut self.0);
        if read.is_err() {
            self.0.rest();
        }
        Some(read)
    }
}

fn read_extension<'a>(input: &mut Cursor<'a>) -> Result<Extension<'a>, Malformed> {
    Ok(Extension { number: input.u16()?, body: vector_16(input)? })
}

/// Takes what stands behind its length of one byte.
pub(super) fn vector_8<'a>(input: &mut Cursor<'a>) -> Result<Cursor<'a>, Malformed> {
    let length = input.u8()?;
    input.message_of(length.into())
}

/// Takes what stands behind its length of two bytes.
pub(super) fn vector_16<'a>(input: &mut Cursor<'a>) -> Result<Cursor<'a>, Malformed> {
    let length = input.u16()?;
    input.message_of(length.into())
}

/// The numbers of two bytes that are left; an odd byte at the end is none.
pub(super) fn numbers_16<'a>(list: &Cursor<'a>) -> impl Iterator<Item = u16> + Clone + use<'a> {
    list.peek().as_chunks().0.iter().map(|&number| u16::from_be_bytes(number))
}
