//! The hellos of TLS, which TCP, datagrams and QUIC carry in different wrappings: their records, their
//! fingerprints, and what a summary keeps of them.
//!
//! Whoever unwraps a ClientHello gives its body to [`client_hello`], that of a ServerHello to
//! [`server_hello`]; or, for the summary of a session too, all messages to a [`Session`].
//!
//! Own code on [`Cursor`](crate::Cursor) and not the crate tls-parser: that gives a message whole or not at all,
//! and builds lists of what is read here where it lies.

mod cipher_suites;
mod client_hello;
mod client_record;
mod extension;
mod fingerprint;
mod names;
mod numbers;
mod server_hello;
mod server_record;
mod session;
mod ssl2;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use client_hello::{ClientHello, Offer};
pub(crate) use client_record::client_hello;
pub(crate) use numbers::push_cipher_suite_name;
pub(crate) use server_hello::{Choice, ServerHello};
pub(crate) use server_record::server_hello;
pub(crate) use session::{Place, Session, message};

/// What carries a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) enum Transport {
    /// Records of TLS on TCP.
    #[default]
    Tls,
    /// Records of DTLS in datagrams.
    Dtls,
    /// CRYPTO frames of QUIC.
    Quic,
}

impl Transport {
    /// As in the records' field `transport`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Dtls => "dtls",
            Self::Quic => "quic",
        }
    }
}

/// What is known of a message before its body is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrapping {
    pub(crate) transport: Transport,
    /// Version that the record layer names; QUIC has none.
    pub(crate) record_version: Option<u16>,
    /// Bytes of the body, as the message's header has them.
    pub(crate) handshake_bytes: u32,
    /// Time of the packet in which the message began, ns.
    pub(crate) began_ns: i64,
}
