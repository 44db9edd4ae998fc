//! What reading a pcap and a pcapng file have in common: the bytes, the place, what went wrong.

use super::compression::Compression;
use super::input::Input;
use super::was_stopped;
use crate::error::{SourceError, SourceProblem};
use crate::source::{Damage, PacketInfo};
use std::io;
use std::ops::Range;

/// The packet a reader is at.
#[derive(Clone, Debug, Default)]
pub(super) struct Current {
    pub(super) ts_ns: i64,
    pub(super) original_length: u32,
    /// Below `MAX_INTERFACES`.
    pub(super) interface: u16,
    /// Where its bytes are, counted from the first byte that isn't consumed.
    pub(super) data: Range<usize>,
}

impl Current {
    #[inline]
    pub(super) fn info(&self) -> PacketInfo {
        PacketInfo { ts_ns: self.ts_ns, original_length: self.original_length, interface: self.interface.into() }
    }
}

/// A capture being read.
pub(super) struct Reading {
    pub(super) input: Input,
    pub(super) name: String,
    pub(super) compression: Compression,
    pub(super) damage: Damage,
}

impl Reading {
    /// Notes a problem at the next byte.
    pub(super) fn note(&mut self, problem: SourceProblem) {
        let offset = Some(self.input.offset());
        self.damage.add(SourceError { name: self.name.clone(), offset, problem });
    }

    /// Notes a problem at the next byte that costs a packet.
    pub(super) fn note_packet(&mut self, problem: SourceProblem) {
        self.damage.packets += 1;
        self.note(problem);
    }

    /// The stream has ended where more was to come: says why, if it wasn't just its end.
    pub(super) fn stream_problem(&mut self) -> Option<SourceProblem> {
        self.input.take_error().map(|error| problem_of(error, self.compression))
    }

    /// Notes that the capture ends within a packet, or that reading failed there.
    pub(super) fn note_cut(&mut self, part: &'static str, had: usize, needed: usize) {
        match self.stream_problem().unwrap_or(SourceProblem::Cut { part, had, needed }) {
            SourceProblem::Stopped => self.note(SourceProblem::Stopped),
            problem => self.note_packet(problem),
        }
    }
}

/// What a failed read means: an error of the system, or of the decompressor.
pub(super) fn problem_of(error: io::Error, compression: Compression) -> SourceProblem {
    match compression {
        _ if was_stopped(&error) => SourceProblem::Stopped,
        Compression::None => SourceProblem::Io(error),
        _ if error.raw_os_error().is_some() => SourceProblem::Io(error),
        _ => SourceProblem::Compression { format: compression.name(), reason: error.to_string() },
    }
}
