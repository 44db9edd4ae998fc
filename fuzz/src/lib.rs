//! What the fuzz targets share: packets out of the fuzzer's bytes, frames around them, and an engine
//! whose records are checked.
//!
//! The protocols come from the engine's own tables, so that a new one needs no line here.

mod bytes;
mod canonical;
mod frame;
mod run;

pub use bytes::Bytes;
pub use frame::{Way, ways};
pub use run::{OwnedPacket, Run, SENSOR, assert_same, check_forms, check_records};

/// Time of the first packet: 2024-01-01, ns since 1970.
pub const START_NS: i64 = 1_704_067_200_000_000_000;

/// Steps in time from a packet to the next, ns: small ones, past all timeouts, backwards, and to
/// where the clock ends.
pub const STEPS_NS: [i64; 8] = [
    0,
    1_000_000,
    1_000_000_000,
    29_000_000_000,
    71_000_000_000,
    400_000_000_000,
    -5_000_000_000,
    i64::MAX - START_NS - 400_000_000_000,
];
