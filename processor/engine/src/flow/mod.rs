//! The flow table: which packets belong together, and when a connection is over.
//!
//! A flow of one packet, as a scan or a flood makes millions of, is kept in 128 bytes; the second
//! packet gives it a [`Detail`]. A flow ends at its next packet if that comes later than its idle
//! timeout allows, by the flow's own times; the watermark only decides when it is written.

mod connection;
mod detail;
mod entry;
mod extras;
mod features;
mod icmp;
mod identity;
mod key;
mod packet;
mod sequence;
mod side;
mod slice;

pub(crate) mod snapshot;
mod table;
mod tcp;
#[cfg(test)]
mod tests;
mod wheel;

pub(crate) use connection::{connection_scope, write_ended};
pub(crate) use detail::Detail;
pub(crate) use entry::{Ended, Flow};
pub(crate) use features::Anatomy;
pub(crate) use icmp::{icmpv4_ports, icmpv6_ports};
pub(crate) use identity::{Identity, SensorHash};
pub(crate) use key::{Encapsulation, EncapsulationKind, FlowKey, Ports, protocol};
pub(crate) use packet::{Compact, FlowPacket, NO_WINDOW_SCALE, flag};
pub(crate) use table::{FlowTable, Found, Seen};
