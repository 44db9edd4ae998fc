//! Weir's capture side: capture files and interfaces in, packet batches out.

mod epoch;
mod error;
mod files;
pub mod inputs;
mod source;

pub use epoch::{Fingerprint, epoch};
pub use error::{BlockReason, FileError, FileProblem};
pub use files::{CaptureFile, STDIN};
pub use source::{Damage, Source, SourcePacket};
