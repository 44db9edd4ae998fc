//! Features of flows: what models learn from, for the record type `FlowFeatures`.
//!
//! A flow of one packet keeps what its own 128 bytes leave out; the second packet brings the vector.

mod record;
mod snapshot;
mod sums;
#[cfg(test)]
mod tests;
mod vector;

pub(super) use record::write_features;
pub(super) use snapshot::{load_features, save_features};
pub(super) use vector::Vector;

use super::{
    detail::{Detail, begins_reversed},
    entry::Flow,
};
use crate::entropy::BYTES_MAX;

/// What the layers of a packet tell of it besides what its flow counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Anatomy<'a> {
    /// Bytes of the IP header, with extension headers, of all fragments together.
    pub(crate) ip_header_bytes: u32,
    pub(crate) transport_header_bytes: u32,
    /// The payload as far as it was captured.
    pub(crate) payload: &'a [u8],
}

/// How many flows of several packets the memory of a vector would hold.
pub(super) const VECTOR_WEIGHT: usize = 3;

const VECTOR_BYTES: usize = size_of::<Vector>() + size_of::<Option<Features>>();
const _: () = assert!(VECTOR_BYTES <= VECTOR_WEIGHT * (size_of::<Flow>() + size_of::<Detail>()));

/// Features of one flow.
#[derive(Debug, Clone)]
pub(crate) enum Features {
    /// Of a flow of one packet.
    Brief(Brief),
    /// Of a flow of more, or of one whose first packets were not seen.
    Vector(Box<Vector>),
}

/// What is kept of a flow's first packet beside the flow.
#[derive(Debug, Clone)]
pub(crate) struct Brief {
    ip_header_bytes: u32,
    transport_header_bytes: u16,
    head: Box<[u8]>,
}

impl Brief {
    fn new(anatomy: Anatomy<'_>) -> Self {
        Self {
            ip_header_bytes: anatomy.ip_header_bytes,
            transport_header_bytes: u16::try_from(anatomy.transport_header_bytes).unwrap_or(u16::MAX),
            head: anatomy.payload.get(..BYTES_MAX).unwrap_or(anatomy.payload).into(),
        }
    }

    /// The vector of the flow that is one packet long.
    fn vector(&self, flow: &Flow, mut vector: Box<Vector>) -> Box<Vector> {
        let packet = flow.first_packet();
        let anatomy = Anatomy {
            ip_header_bytes: self.ip_header_bytes,
            transport_header_bytes: self.transport_header_bytes.into(),
            payload: &self.head,
        };
        *vector = Vector::default();
        vector.count(&packet, anatomy, !begins_reversed(&packet));
        vector
    }
}

impl Features {
    /// Features of a flow that begins.
    pub(super) fn new(anatomy: Anatomy<'_>) -> Self {
        Self::Brief(Brief::new(anatomy))
    }

    /// The vector to count a flow's next packet in, where there was none yet. `spare` is one that is not needed.
    pub(super) fn grow(before: Option<Self>, flow: &Flow, mut spare: Box<Vector>) -> Box<Vector> {
        match before {
            Some(Self::Vector(vector)) => vector,
            Some(Self::Brief(brief)) => brief.vector(flow, spare),
            None => {
                *spare = Vector { incomplete: true, ..Vector::default() };
                spare
            }
        }
    }

    /// The vector of a flow that is over.
    pub(super) fn finish(self, flow: &Flow, spare: impl FnOnce() -> Box<Vector>) -> Box<Vector> {
        let mut vector = match self {
            Self::Vector(vector) => vector,
            Self::Brief(brief) => brief.vector(flow, spare()),
        };
        vector.finish();
        vector
    }
}
