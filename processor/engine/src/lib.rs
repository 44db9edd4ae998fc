//! Packets in, records out: the pure core of Weir.
//!
//! An [`Engine`] is a deterministic state machine without clock, I/O, threads or randomness: the same
//! batches in the same order give the same records, byte for byte, on any machine.
//!
//! ```
//! use weir_contract::{PacketBatch, RecordType, Selection};
//! use weir_engine::{Engine, Limits, RecordSink};
//!
//! struct Count(usize);
//! impl RecordSink for Count {
//!     fn record(&mut self, _record_type: RecordType, _bytes: &[u8]) {
//!         self.0 += 1;
//!     }
//! }
//!
//! let mut engine = Engine::new(0, Limits::per_partition(1), Selection::default());
//! let mut records = Count(0);
//! engine.push(&PacketBatch::default(), &mut records)?;
//! assert_eq!(records.0, 0);
//! # Ok::<(), weir_engine::PushError>(())
//! ```

#![forbid(unsafe_code)]

mod address;
mod ber;
mod checksum;
mod civil;
mod cursor;
mod datagram;
mod defrag;
mod digits;
mod engine;
mod entropy;
mod flow;
mod layers;
mod limits;
mod names;
mod output;
mod protocols;
mod section;
mod sensors;
mod slab;
mod snapshot;
mod stream;
#[cfg(test)]
#[allow(dead_code, clippy::unwrap_used)]
mod testing;
mod tls;
mod x509;

pub use cursor::{Cursor, Malformed};
pub use engine::{Counters, Engine, PushError};
pub use limits::Limits;
pub use output::RecordSink;
pub use protocols::{Protocol, protocols};
pub use snapshot::SnapshotError;
