//! One flow as the table holds it, and as it leaves.

use weir_contract::EndReason;

use super::{
    detail::{Detail, first_idle_class},
    features::Vector,
    key::FlowKey,
    packet::{Compact, FlowPacket},
    slice::Slice,
};
use crate::{datagram::Dispatch, limits::IdleClass};

/// No detail, no parser.
pub(super) const NONE: u32 = u32::MAX;

/// One flow. Of a flow of one packet this is all there is.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub(super) key: FlowKey,
    pub(super) first: Compact,
    pub(super) first_ts_ns: i64,
    pub(super) first_number: i64,
    /// Index of the detail, which a second packet brings.
    pub(super) detail: u32,
    /// Index of the application parser's state.
    pub(super) parser: u32,
    /// Second of the wheel in which a reminder of this flow stands, as it was cut to 32 bits.
    pub(super) reminder: u32,
    pub(super) sensor: u16,
    pub(super) class: IdleClass,
    pub(super) service: Dispatch,
    pub(super) bits: u8,
}

/// The key's higher endpoint is the originator.
pub(super) const ORIGINATOR_IS_HIGH: u8 = 1;
/// The first packet came after the watermark had passed.
pub(super) const LATE: u8 = 2;
/// A parser of the flow failed.
pub(super) const DECODER_FAILED: u8 = 4;
/// A tunnel was found in it, and reported.
pub(super) const TUNNEL_REPORTED: u8 = 8;
/// Tunnels around the flow.
pub(super) const TUNNEL_DEPTH_SHIFT: u8 = 5;

const _: () = assert!(size_of::<Option<Flow>>() <= 128);

impl Flow {
    pub(crate) fn key(&self) -> &FlowKey {
        &self.key
    }

    pub(crate) fn sensor(&self) -> u16 {
        self.sensor
    }

    pub(crate) fn first_number(&self) -> i64 {
        self.first_number
    }

    pub(crate) fn service(&self) -> Dispatch {
        self.service
    }

    /// Index of its decoder's state.
    pub(crate) fn parser(&self) -> Option<u32> {
        (self.parser != NONE).then_some(self.parser)
    }

    pub(crate) fn originator_is_high(&self) -> bool {
        self.bits & ORIGINATOR_IS_HIGH != 0
    }

    pub(crate) fn is_late(&self) -> bool {
        self.bits & LATE != 0
    }

    pub(crate) fn decoder_failed(&self) -> bool {
        self.bits & DECODER_FAILED != 0
    }

    pub(super) fn tunnel_depth(&self) -> u8 {
        self.bits >> TUNNEL_DEPTH_SHIFT
    }

    /// The idle timeout of a flow that is one packet long.
    pub(super) fn first_class(&self) -> IdleClass {
        first_idle_class(&self.first_packet())
    }

    /// The detail of a flow that is one packet long.
    pub(super) fn first_detail(&self) -> Detail {
        Detail::new(&self.first_packet(), self.key.protocol())
    }

    /// The first packet, as far as a flow that is one packet long needs it.
    pub(super) fn first_packet(&self) -> FlowPacket {
        FlowPacket::expand(self.first, self.first_ts_ns, self.first_number, self.tunnel_depth())
    }
}

/// A flow that is over, or, for the reason `Active`, a slice of one that goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended<'a> {
    pub(crate) flow: &'a Flow,
    pub(crate) detail: &'a Detail,
    /// The slice it is in, if that is not the first.
    pub(crate) slice: Option<&'a Slice>,
    /// What was learnt of it; of a flow that goes on nothing yet.
    pub(crate) features: Option<&'a Vector>,
    pub(crate) reason: EndReason,
}

/// What is behind [`Ended`], for the time after the packet that ended it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) flow: Flow,
    pub(crate) detail: Detail,
    slice: Option<Box<Slice>>,
    features: Option<Box<Vector>>,
    reason: EndReason,
}

impl Kept {
    pub(super) fn new(ended: Ended<'_>) -> Self {
        let Ended { flow, detail, slice, features, reason } = ended;
        Self {
            flow: flow.clone(),
            detail: detail.clone(),
            slice: slice.cloned().map(Box::new),
            features: features.copied().map(Box::new),
            reason,
        }
    }

    /// Whether it is the flow that is over, not only a slice of it.
    pub(crate) fn is_over(&self) -> bool {
        self.reason != EndReason::Active
    }

    pub(crate) fn ended(&self) -> Ended<'_> {
        Ended {
            flow: &self.flow,
            detail: &self.detail,
            slice: self.slice.as_deref(),
            features: self.features.as_deref(),
            reason: self.reason,
        }
    }
}
