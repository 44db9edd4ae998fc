//! A ServerHello as it lies on the wire.

use serde::{Deserialize, Serialize};

use super::extension::{self, Extensions, vector_8, vector_16};
use crate::{
    cursor::{Cursor, Malformed},
    output::push_wire_text,
};

/// The random by which a ServerHello is a HelloRetryRequest: SHA-256 of that word (RFC 8446 §4.1.3).
const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The parts of a ServerHello (RFC 8446 §4.1.3); empty from where it could not be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerHello<'a> {
    /// `legacy_version`.
    pub(crate) version: u16,
    pub(crate) random: &'a [u8],
    pub(crate) session_id: &'a [u8],
    pub(crate) cipher_suite: u16,
    pub(super) compression_method: u8,
    /// `None` also where the message ends before them, as it may.
    pub(super) extensions: Option<Extensions<'a>>,
}

/// What a summary keeps of what a server chose.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) version: u16,
    /// That of SSL 2.0 chooses none.
    pub(crate) cipher_suite: Option<u16>,
    pub(crate) session_id: Vec<u8>,
    pub(crate) alpn_protocol: String,
    pub(crate) group: Option<u16>,
    /// One of the client's pre-shared keys is used.
    pub(crate) has_psk: bool,
    /// A session ticket will follow.
    pub(crate) has_ticket: bool,
    /// The certificate's status may follow.
    pub(crate) has_status: bool,
    pub(crate) ja3s: String,
}

impl<'a> ServerHello<'a> {
    /// Reads a body as far as it makes sense, and says why it went no further.
    pub(crate) fn read(mut body: Cursor<'a>) -> (Self, Result<(), Malformed>) {
        let mut hello = Self::default();
        let read = hello.read_parts(&mut body);
        (hello, read)
    }

    fn read_parts(&mut self, body: &mut Cursor<'a>) -> Result<(), Malformed> {
        // Drafts of TLS 1.3 up to 21 had neither a session nor a compression.
        const SHORT_DRAFTS: std::ops::RangeInclusive<u16> = 0x7f00..=0x7f15;
        self.version = body.u16()?;
        self.random = body.take(32)?;
        let is_short = SHORT_DRAFTS.contains(&self.version);
        if !is_short {
            self.session_id = vector_8(body)?.message();
        }
        self.cipher_suite = body.u16()?;
        if !is_short {
            self.compression_method = body.u8()?;
        }
        Extensions::read(body, &mut self.extensions)
    }

    /// What the extension of that number holds.
    pub(crate) fn extension(&self, number: u16) -> Option<Cursor<'a>> {
        self.extensions.as_ref()?.find(number)
    }

    /// Numbers of all extensions.
    pub(super) fn extension_numbers(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        self.extensions.clone().into_iter().flatten().flatten().map(|extension| extension.number)
    }

    /// The version chosen.
    pub(crate) fn selected_version(&self) -> u16 {
        let selected = self.extension(extension::SUPPORTED_VERSIONS).and_then(|mut body| body.u16().ok());
        selected.unwrap_or(self.version)
    }

    /// Whether this asks the client to offer again.
    pub(crate) fn is_hello_retry_request(&self) -> bool {
        self.random == HELLO_RETRY_REQUEST
    }

    /// The protocol chosen for what is inside.
    pub(super) fn alpn_protocol(&self) -> Option<Cursor<'a>> {
        let mut list = vector_16(&mut self.extension(extension::ALPN)?).ok()?;
        vector_8(&mut list).ok()
    }

    /// Group of the server's key. A HelloRetryRequest names it alone, too.
    pub(super) fn group(&self) -> Option<u16> {
        let share = self.extension(extension::KEY_SHARE).or_else(|| self.extension(extension::KEY_SHARE_DRAFT));
        share?.u16().ok()
    }

    /// What a summary keeps.
    pub(super) fn choice(&self, ja3s: String) -> Choice {
        let mut alpn_protocol = String::new();
        if let Some(protocol) = self.alpn_protocol() {
            // At most 255 bytes.
            let _ = push_wire_text(&mut alpn_protocol, &protocol);
        }
        let has = |number| self.extension(number).is_some();
        Choice {
            version: self.selected_version(),
            cipher_suite: Some(self.cipher_suite),
            session_id: self.session_id.to_vec(),
            alpn_protocol,
            group: self.group(),
            has_psk: has(extension::PRE_SHARED_KEY),
            has_ticket: has(extension::SESSION_TICKET),
            has_status: has(extension::STATUS_REQUEST) || has(extension::STATUS_REQUEST_V2),
            ja3s,
        }
    }
}
