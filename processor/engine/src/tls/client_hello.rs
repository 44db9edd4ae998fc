//! A ClientHello as it lies on the wire.

use serde::{Deserialize, Serialize};

use super::{
    Transport,
    extension::{self, Extensions, numbers_16, vector_8, vector_16},
    fingerprint::Fingerprints,
    names::is_grease,
};
use crate::{
    cursor::{Cursor, Malformed},
    output::push_wire_text,
};

/// The parts of a ClientHello (RFC 8446 §4.1.2, RFC 6347 §4.2.1); empty from where it could not be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientHello<'a> {
    /// `legacy_version`.
    pub(crate) version: u16,
    pub(crate) random: &'a [u8],
    pub(crate) session_id: &'a [u8],
    /// Of DTLS; that of TLS 1.3 is an extension.
    pub(super) cookie: &'a [u8],
    cipher_suites: Option<Cursor<'a>>,
    pub(super) compression_methods: &'a [u8],
    /// `None` also where the message ends before them, as it may.
    pub(super) extensions: Option<Extensions<'a>>,
}

/// What a summary keeps of what a client offers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Offer {
    /// Lower-case, without the final dot.
    pub(crate) server_name: String,
    pub(crate) session_id: Vec<u8>,
    pub(crate) has_ticket: bool,
    pub(crate) ja3: String,
    pub(crate) ja4: String,
}

impl<'a> ClientHello<'a> {
    /// Reads a body as far as it makes sense, and says why it went no further.
    pub(crate) fn read(mut body: Cursor<'a>, transport: Transport) -> (Self, Result<(), Malformed>) {
        let mut hello = Self::default();
        let read = hello.read_parts(&mut body, transport);
        (hello, read)
    }

    fn read_parts(&mut self, body: &mut Cursor<'a>, transport: Transport) -> Result<(), Malformed> {
        self.version = body.u16()?;
        self.random = body.take(32)?;
        self.session_id = vector_8(body)?.message();
        if transport == Transport::Dtls {
            self.cookie = vector_8(body)?.message();
        }
        self.cipher_suites = Some(vector_16(body)?);
        self.compression_methods = vector_8(body)?.message();
        Extensions::read(body, &mut self.extensions)
    }

    pub(crate) fn cipher_suites(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        numbers_16(&self.cipher_suites.unwrap_or(Cursor::new(&[])))
    }

    /// What the extension of that number holds.
    pub(crate) fn extension(&self, number: u16) -> Option<Cursor<'a>> {
        self.extensions.as_ref()?.find(number)
    }

    /// Numbers of all extensions.
    pub(super) fn extension_numbers(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        self.extensions.clone().into_iter().flatten().flatten().map(|extension| extension.number)
    }

    /// The first name of a host (RFC 6066 §3).
    pub(crate) fn server_name(&self) -> Option<Cursor<'a>> {
        let mut names = vector_16(&mut self.extension(extension::SERVER_NAME)?).ok()?;
        const HOST_NAME: u8 = 0;
        loop {
            let kind = names.u8().ok()?;
            let name = vector_16(&mut names).ok()?;
            if kind == HOST_NAME {
                return Some(name);
            }
        }
    }

    /// Names of protocols that the client would speak inside (RFC 7301 §3.1).
    pub(crate) fn alpn_protocols(&self) -> impl Iterator<Item = Cursor<'a>> + use<'a> {
        let list = self.extension(extension::ALPN).and_then(|mut body| vector_16(&mut body).ok());
        let mut list = list.unwrap_or(Cursor::new(&[]));
        std::iter::from_fn(move || vector_8(&mut list).ok())
    }

    /// Numbers of two bytes that an extension lists behind their length of two bytes.
    pub(super) fn numbers_of(&self, number: u16) -> impl Iterator<Item = u16> + Clone + use<'a> {
        let list = self.extension(number).and_then(|mut body| vector_16(&mut body).ok());
        numbers_16(&list.unwrap_or(Cursor::new(&[])))
    }

    /// The newest version that the client offers; `legacy_version` where no extension names others.
    pub(crate) fn newest_version(&self) -> u16 {
        let list = self.extension(extension::SUPPORTED_VERSIONS).and_then(|mut body| vector_8(&mut body).ok());
        let listed = list.iter().flat_map(numbers_16).filter(|&version| !is_grease(version));
        listed.max_by_key(|&version| age(version)).unwrap_or(self.version)
    }

    /// What a summary keeps.
    pub(super) fn offer(&self, fingerprints: &mut Fingerprints) -> Offer {
        let mut server_name = String::new();
        if let Some(name) = self.server_name() {
            // The extension's own reading complains of a name that is too long.
            let _ = push_wire_text(&mut server_name, &name);
            server_name.make_ascii_lowercase();
            if server_name.ends_with('.') {
                server_name.pop();
            }
        }
        let ticket = self.extension(extension::SESSION_TICKET);
        Offer {
            server_name,
            session_id: self.session_id.to_vec(),
            has_ticket: ticket.is_some_and(|ticket| !ticket.is_empty()),
            ja3: std::mem::take(&mut fingerprints.ja3),
            ja4: std::mem::take(&mut fingerprints.ja4),
        }
    }
}

/// A number that is greater the newer a version is: those of DTLS count down.
fn age(version: u16) -> u16 {
    const DTLS: u16 = 0xfe00;
    if version >= DTLS { !version } else { version }
}
