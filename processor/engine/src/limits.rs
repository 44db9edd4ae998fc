//! The engine's bounds, in one place.

use serde::{Deserialize, Serialize};

/// Bounds of one engine. A process divides its own by the configured number of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Flows alive at once. With more, the one that would be idle next is written as evicted. A flow counts as 1;
    /// past its first half hour as 2 where Flow is selected; and as 3 more from its second packet on where
    /// FlowFeatures is: so the most memory that flows take does not depend on what is selected. The flows of the
    /// packet at hand stay, which are at most one and one for each of its four tunnels.
    pub flows: usize,
    /// Bytes of fragments that wait for the rest of their datagram.
    pub fragment_bytes: usize,
    /// Bytes that parsers of streams and datagrams hold: what waits for its turn, for more, or for an answer.
    /// With more, the connections that were silent longest are read no further.
    pub stream_bytes: usize,
}

impl Limits {
    /// What a process may hold by default, divided among `partitions` engines.
    pub fn per_partition(partitions: u32) -> Self {
        let partitions = usize::try_from(partitions.max(1)).unwrap_or(usize::MAX);
        Self {
            flows: (2_000_000 / partitions).max(1),
            fragment_bytes: ((64 << 20) / partitions).max(1 << 20),
            stream_bytes: ((512 << 20) / partitions).max(1 << 20),
        }
    }
}

/// Layers in one packet; with more the rest is left unread.
pub(crate) const LAYERS_MAX: u8 = 16;

/// Tunnels in one packet; with more the rest is left unread.
pub(crate) const TUNNELS_MAX: u8 = 4;

/// Items of a list in a record; with more the rest is left out, with a Weird.
pub const LIST_MAX: usize = 100;

/// Bytes of a string or blob in a record; with more the rest is left out, with a Weird.
pub const TEXT_MAX: usize = 4096;

/// Weirds of one flow, layer and reason that are written.
pub(crate) const WEIRDS_MAX: u8 = 10;

const SECOND: i64 = 1_000_000_000;

/// A slice of a flow holds what comes within this time of its first packet (as NetFlow's active timeout).
pub(crate) const ACTIVE_TIMEOUT_NS: i64 = 30 * 60 * SECOND;

/// A flow is written when the watermark is so far past the end of its idle timeout.
pub(crate) const GRACE_NS: i64 = 10 * SECOND;

/// How long a flow may go without a packet before the next one begins a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum IdleClass {
    /// TCP before its handshake is over: long enough for six SYNs (RFC 6298 §5).
    TcpHandshake,
    /// TCP in use.
    TcpEstablished,
    /// TCP closed by both sides or reset: stragglers still join.
    TcpClosed,
    /// UDP, ICMP and all else.
    Other,
}

impl IdleClass {
    pub(crate) fn timeout_ns(self) -> i64 {
        match self {
            Self::TcpHandshake | Self::Other => 60 * SECOND,
            Self::TcpEstablished => 300 * SECOND,
            Self::TcpClosed => 5 * SECOND,
        }
    }
}
