//! Weir's capture side: capture files and interfaces in, packet batches out.
//!
//! ```
//! use weir_agent::{Batcher, LOCAL_BATCH_BYTES, Merge, Merged, inputs};
//!
//! # let folder = std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/captures"));
//! let inputs = inputs::expand(&[folder]);
//! let mut merge = Merge::files(&inputs.files);
//! let mut batcher = Batcher::new("lab", merge.epoch(""), 16, LOCAL_BATCH_BYTES);
//! let mut packets = 0;
//! while let Some(Merged::Packet(packet, interface)) = merge.next_packet() {
//!     if let Some(full) = batcher.push(&packet, interface) {
//!         packets += full.packets()?.count();
//!         batcher.recycle(full);
//!     }
//! }
//! for last in batcher.finish() {
//!     packets += last.packets()?.count();
//! }
//! for file in merge.outcomes() {
//!     println!("{}: {} packets, {} damaged", file.name, file.packets, file.damage.packets);
//! }
//! # assert!(packets > 100);
//! # Ok::<(), weir_contract::BatchError>(())
//! ```

mod batcher;
mod clock;
mod epoch;
mod error;
mod files;
mod filter;
pub mod inputs;
mod link_type;
mod live;
mod merge;
mod source;

pub use batcher::{Batcher, LOCAL_BATCH_BYTES};
pub use clock::Clock;
pub use epoch::{Fingerprint, epoch, random_epoch};
pub use error::{BlockReason, SourceError, SourceProblem};
pub use files::{CaptureFile, STDIN};
pub use filter::{Filter, FilterError};
pub use live::{
    ANY, InterfaceCounters, InterfaceInfo, Live, LiveControl, LiveError, LiveHandles, LiveOptions, interfaces,
};
pub use merge::{Merge, Merged, Outcome};
pub use source::{Damage, KernelCounters, PacketInfo, Source, Step};
