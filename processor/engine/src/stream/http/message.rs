//! Requests and responses, and how they belong together.

use serde::{Deserialize, Serialize};
use weir_contract::TransactionState;

use super::lines::Lines;
use crate::stream::content::{Content, Fault, media_type::Beginning};

/// What is kept of a request or response until it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Message {
    /// Time of its first byte, ns.
    pub(super) first_ns: i64,
    /// Time of its last byte so far, ns.
    pub(super) last_ns: i64,
    /// First line and header.
    pub(super) head: Lines,
    pub(super) content_length: Option<u64>,
    /// Bytes of the body, those that are passed over as soon as they are announced.
    pub(super) body_bytes: u64,
    /// The body's first bytes.
    pub(super) sniffed: Beginning,
    /// The body, where it is read.
    pub(super) content: Option<Box<Content>>,
    /// Time of the body's first byte, ns.
    pub(super) body_first_ns: i64,
    pub(super) trailer: Lines,
    /// Bytes in it or right before it were never captured.
    pub(super) gap: bool,
}

impl Message {
    /// Whether more of the body is looked at.
    pub(super) fn is_read_on(&self) -> bool {
        self.is_sniffed_on() || self.content.as_ref().is_some_and(|content| content.is_read_on())
    }

    /// Whether more of the body is kept for its media type: what is sniffed has to be its beginning.
    fn is_sniffed_on(&self) -> bool {
        !self.gap && self.sniffed.is_wanting()
    }

    /// Takes the next bytes of the body.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.body_bytes == 0 {
            self.body_first_ns = self.last_ns;
        }
        self.body_bytes = self.body_bytes.saturating_add(bytes.len() as u64);
        if self.is_sniffed_on() {
            self.sniffed.push(bytes);
        }
        self.content.as_mut().map_or(Ok(()), |content| content.push(bytes))
    }

    /// Takes note of bytes of the body that were never captured.
    pub(super) fn miss(&mut self, length: u64) {
        self.body_bytes = self.body_bytes.saturating_add(length);
        self.gap = true;
        if let Some(content) = &mut self.content {
            content.lose();
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        let content = self.content.as_ref().map_or(0, |content| content.held_bytes());
        self.head.held_bytes() + self.trailer.held_bytes() + self.sniffed.held_bytes() + content
    }
}

/// A message of a transaction, as far as it came.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) enum Part {
    /// Nothing was seen of it.
    #[default]
    Unseen,
    /// It is being read; what is kept of it is with who reads it.
    Reading,
    /// It will not be read to its end.
    Cut(Message),
    /// It was read to its end.
    Whole(Message),
}

impl Part {
    pub(super) fn message(&self) -> Option<&Message> {
        match self {
            Self::Unseen | Self::Reading => None,
            Self::Cut(message) | Self::Whole(message) => Some(message),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    fn held_bytes(&self) -> usize {
        self.message().map_or(0, Message::held_bytes)
    }
}

/// What a request's method means for its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum Method {
    /// Its response has no body.
    Head,
    /// A tunnel follows its response.
    Connect,
    #[default]
    Other,
}

impl Method {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// Why a stream is not read on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Failure {
    /// It contradicts the protocol.
    Malformed,
    /// Bytes of it were never captured.
    Gap,
    /// A bound was reached.
    Limit,
}

/// A request and its response.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Transaction {
    /// Ordinal in the connection, from 1.
    pub(super) depth: u32,
    pub(super) method: Method,
    pub(super) request: Part,
    pub(super) response: Part,
    /// Informational responses, and the status of the last one.
    pub(super) informational: (u32, u16),
    /// Another protocol follows.
    pub(super) switched: bool,
}

impl Transaction {
    /// Whether nothing more belongs to it.
    pub(super) fn is_over(&self) -> bool {
        !self.is_asked() && self.response.message().is_some()
    }

    /// Whether its request is still being read.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self.request, Part::Reading)
    }

    /// Whether its response has not begun.
    pub(super) fn waits(&self) -> bool {
        matches!(self.response, Part::Unseen)
    }

    /// How it ended, if `otherwise` is why it did not end well.
    pub(super) fn state(&self, otherwise: Option<Failure>) -> TransactionState {
        match (&self.request, &self.response, otherwise) {
            (Part::Whole(_) | Part::Unseen, Part::Whole(_), _) => TransactionState::Complete,
            (_, _, Some(Failure::Gap)) => TransactionState::Gap,
            (_, _, Some(Failure::Limit)) => TransactionState::Limit,
            (Part::Whole(_), Part::Unseen, None) => TransactionState::NoResponse,
            _ => TransactionState::Cut,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.request.held_bytes() + self.response.held_bytes()
    }
}
