//! The wire contract of Weir: what travels between its parts, and what its users consume.
//!
//! Everything about a record type is derived from its message in `proto/`: the struct, its row in the
//! registry, its topic, its Arrow columns (feature `columns`), its line in the documentation.

#![forbid(unsafe_code)]
// Their descriptions are plain text.
#![allow(rustdoc::bare_urls)]

mod batch;
#[cfg(feature = "columns")]
pub mod columns;
mod encode;
mod partition_key;
mod registry;
mod reuse;
pub mod text;
pub mod topics;

#[allow(missing_docs, clippy::doc_markdown, clippy::doc_lazy_continuation)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/weir.v1.rs"));
}

pub use batch::{BatchBuilder, BatchError, Full, MAX_BATCH_BYTES, Packet, Packets, Partition};
pub use encode::{Encode, wire};
pub use partition_key::{PARTITION_KEY_VERSION, SensorKey, home_partition, partition, partition_key};
pub use proto::{
    CaptureCounters, DeadLetter, EndReason, Interface, Meta, PacketBatch, PreviousRun, TransactionState, WeirdReason,
};
pub use registry::{FieldInfo, FieldKind, Holds, RecordInfo, RecordType, Selection, UnknownRecord, Volume};
pub use reuse::{Drafts, Nested, Record, Recycle, Spares};

/// All messages of the contract, as an encoded `google.protobuf.FileDescriptorSet` with comments.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The messages of the contract: one for each record type, and those that occur inside records.
pub mod record {
    pub use crate::proto::*;
}
