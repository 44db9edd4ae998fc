//! Finding a packet's flow, and ending flows.

use hashbrown::HashTable;
use weir_contract::{EndReason, Selection, WeirdReason};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    detail::{Detail, begins_reversed, first_idle_class},
    entry::{DECODER_FAILED, Ended, Flow, Kept, LATE, NONE, ORIGINATOR_IS_HIGH, TUNNEL_DEPTH_SHIFT, TUNNEL_REPORTED},
    extras::Extras,
    features::Anatomy,
    key::FlowKey,
    packet::FlowPacket,
    slice::Slice,
    wheel::Wheel,
};
use crate::{
    datagram::Dispatch,
    flow::{Identity, SensorHash},
    limits::GRACE_NS,
    slab::Slab,
};

/// What a packet did to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) flow: u32,
    /// The packet was sent by the responder.
    pub(crate) from_responder: bool,
    /// The packet began the flow.
    pub(crate) is_new: bool,
}

/// What the caller knows of a packet's arrival.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) sensor: u16,
    /// The sensor's watermark before the batch of the packet.
    pub(crate) watermark_ns: i64,
}

/// All flows of an engine.
#[derive(Debug)]
pub(crate) struct FlowTable {
    pub(super) seed: u64,
    pub(super) flows_max: usize,
    /// Flows by their key: its hash, cut to 32 bits, and the flow's index.
    pub(super) index: HashTable<(u32, u32)>,
    pub(super) flows: Slab<Flow>,
    pub(super) details: Slab<Detail>,
    pub(super) wheels: Vec<Wheel>,
    pub(super) extras: Extras,
    ended: Vec<Kept>,
}

impl FlowTable {
    pub(crate) fn new(seed: u64, flows_max: usize, selection: &Selection) -> Self {
        Self {
            seed,
            flows_max,
            index: HashTable::new(),
            flows: Slab::default(),
            details: Slab::default(),
            wheels: Vec::new(),
            extras: Extras::new(selection),
            ended: Vec::new(),
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    #[inline]
    pub(crate) fn get(&self, flow: u32) -> Option<&Flow> {
        self.flows.get(flow)
    }

    /// Flows and slices that packets ended since the last call, in the order they did.
    pub(crate) fn take_ended(&mut self) -> Vec<Kept> {
        std::mem::take(&mut self.ended)
    }

    pub(crate) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Counts a packet in its flow, which it may begin, and may end first.
    pub(crate) fn count(&mut self, key: &FlowKey, src_is_high: bool, packet: &FlowPacket, seen: Seen) -> Found {
        self.lose_weight(packet, seen);
        let hash = self.hash(key);
        // A sensor that was restarted begins anew, also where nobody told of the end of the run before.
        let is_same =
            |flow: u32| self.flows.get(flow).is_some_and(|flow| flow.key == *key && flow.sensor == seen.sensor);
        let known = self.index.find(spread(hash), |&(other, flow)| other == hash && is_same(flow)).copied();
        if let Some((_, index)) = known {
            match self.end_before(index, src_is_high, packet) {
                None => {
                    self.cut_slice(index, packet.ts_ns);
                    return self.count_in(index, src_is_high, packet);
                }
                Some(reason) => self.end_within(index, reason),
            }
        }
        if self.weight() >= self.flows_max {
            self.evict(packet, seen);
        }
        let index = self.begin(key, src_is_high, packet, seen);
        self.index.insert_unique(spread(hash), (hash, index), |&(hash, _)| spread(hash));
        let from_responder = begins_reversed(packet);
        Found { flow: index, from_responder, is_new: true }
    }

    fn hash(&self, key: &FlowKey) -> u32 {
        (xxh3_64_with_seed(&key.to_bytes(), self.seed) & 0xffff_ffff) as u32
    }

    /// Why the flow ends before the packet; `None` if the packet belongs to it.
    fn end_before(&mut self, index: u32, src_is_high: bool, packet: &FlowPacket) -> Option<EndReason> {
        let flow = self.flows.get(index)?;
        if packet.ts_ns.saturating_sub(self.last_ts_ns(flow)) > flow.class.timeout_ns() {
            return Some(EndReason::Idle);
        }
        let from_originator = src_is_high == flow.originator_is_high();
        let detail = self.detail_mut(index)?;
        detail.is_reused_by(packet, from_originator).then_some(EndReason::TcpReuse)
    }

    /// Time of the flow's last packet, ns.
    pub(crate) fn last_ts_ns(&self, flow: &Flow) -> i64 {
        self.details.get(flow.detail).map_or(flow.first_ts_ns, |detail| detail.last_ts_ns)
    }

    fn due_ns(&self, flow: &Flow) -> i64 {
        self.last_ts_ns(flow).saturating_add(flow.class.timeout_ns()).saturating_add(GRACE_NS)
    }

    fn begin(&mut self, key: &FlowKey, src_is_high: bool, packet: &FlowPacket, seen: Seen) -> u32 {
        let reversed = begins_reversed(packet);
        let late = packet.ts_ns.saturating_add(GRACE_NS) < seen.watermark_ns;
        let mut bits = packet.tunnel_depth << TUNNEL_DEPTH_SHIFT;
        if src_is_high != reversed {
            bits |= ORIGINATOR_IS_HIGH;
        }
        if late {
            bits |= LATE;
        }
        let detail = if packet.is_compact() { NONE } else { self.details.insert(Detail::new(packet, key.protocol())) };
        let flow = Flow {
            key: *key,
            first: packet.compact(),
            first_ts_ns: packet.ts_ns,
            first_number: packet.number,
            detail,
            parser: NONE,
            reminder: 0,
            sensor: seen.sensor,
            class: first_idle_class(packet),
            service: Dispatch::default(),
            bits,
        };
        let due_ns = self.due_ns(&flow);
        let index = self.flows.insert(flow);
        self.remind(index, due_ns);
        index
    }

    /// Puts a flow at an index.
    pub(super) fn place(&mut self, index: u32, flow: Flow) {
        let hash = self.hash(&flow.key);
        let due_ns = self.due_ns(&flow);
        self.flows.place(index, flow);
        self.index.insert_unique(spread(hash), (hash, index), |&(hash, _)| spread(hash));
        self.remind(index, due_ns);
    }

    fn count_in(&mut self, index: u32, src_is_high: bool, packet: &FlowPacket) -> Found {
        let Some(flow) = self.flows.get_mut(index) else {
            return Found { flow: index, from_responder: false, is_new: false };
        };
        let from_originator = src_is_high == flow.originator_is_high();
        if flow.detail == NONE {
            flow.detail = self.details.insert(flow.first_detail());
        }
        let mut class = flow.class;
        if let Some(detail) = self.details.get_mut(flow.detail) {
            detail.count(packet, flow.key.protocol(), from_originator);
            class = detail.idle_class();
        }
        if let Some(slices) = &mut self.extras.slices
            && let Some(slice) = slices.get_mut(index)
        {
            slice.count(packet, from_originator);
        }
        let is_sooner = class.timeout_ns() < flow.class.timeout_ns();
        flow.class = class;
        if is_sooner {
            let due_ns = self.flows.get(index).map_or(0, |flow| self.due_ns(flow));
            self.remind(index, due_ns);
        }
        Found { flow: index, from_responder: !from_originator, is_new: false }
    }

    /// Ends the slice that the flow is in if a packet of that time is past it.
    fn cut_slice(&mut self, index: u32, ts_ns: i64) {
        let Some(slices) = &mut self.extras.slices else { return };
        let Some(flow) = self.flows.get(index) else { return };
        // A flow of one packet has ended before it is so old.
        let Some(detail) = self.details.get(flow.detail) else { return };
        let slice = slices.get(index).map(Box::as_ref);
        if Slice::is_over(slice, detail, ts_ns) {
            let next = Slice::after(slice, detail);
            self.ended.push(Kept::new(Ended { flow, detail, slice, features: None, reason: EndReason::Active }));
            slices.set(index, Box::new(next));
        }
    }

    /// Whether [`Self::learn`] is to be told of packets.
    #[inline]
    pub(crate) fn learns(&self) -> bool {
        self.extras.features.is_some()
    }

    /// Learns from a packet that was counted.
    pub(crate) fn learn(&mut self, found: Found, packet: &FlowPacket, anatomy: Anatomy<'_>) {
        let Some(flow) = self.flows.get(found.flow) else { return };
        if found.is_new {
            return self.extras.begin(found.flow, anatomy);
        }
        self.extras.count((found.flow, flow), packet, anatomy, !found.from_responder);
    }

    fn remind(&mut self, index: u32, due_ns: i64) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let second = Wheel::second(due_ns);
        flow.reminder = low_bits(second);
        let sensor = usize::from(flow.sensor);
        if self.wheels.len() <= sensor {
            self.wheels.resize_with(sensor + 1, Wheel::default);
        }
        if let Some(wheel) = self.wheels.get_mut(sensor) {
            wheel.remind(second, index);
        }
    }

    /// Whether a reminder taken from a wheel is the flow's own, not one it left behind.
    fn is_current(&self, index: u32, second: i64, sensor: u16) -> bool {
        self.flows.get(index).is_some_and(|flow| flow.reminder == low_bits(second) && flow.sensor == sensor)
    }

    /// The sensor's flows whose idle timeout, and the grace behind it, the watermark has passed. The
    /// caller ends them.
    pub(crate) fn take_due(&mut self, sensor: u16, watermark_ns: i64) -> Vec<u32> {
        let mut due = Vec::new();
        let mut later = Vec::new();
        while let Some(wheel) = self.wheels.get_mut(usize::from(sensor)) {
            let Some((second, reminders)) = wheel.take_due(watermark_ns) else { break };
            let reminders: Vec<u32> = reminders.collect();
            for index in reminders.into_iter().filter(|&index| self.is_current(index, second, sensor)) {
                let Some(flow) = self.flows.get(index) else { continue };
                let due_ns = self.due_ns(flow);
                if due_ns <= watermark_ns {
                    due.push((due_ns, flow.first_number, flow.tunnel_depth(), index));
                } else {
                    later.push((due_ns, index));
                }
            }
        }
        for (due_ns, index) in later {
            self.remind(index, due_ns);
        }
        in_order(due)
    }

    /// All flows of a sensor, whose capture is over. The caller ends them.
    pub(crate) fn take_all(&mut self, sensor: u16) -> Vec<u32> {
        let due: Vec<_> = self
            .flows
            .iter()
            .filter(|(_, flow)| flow.sensor == sensor)
            .map(|(index, flow)| (self.due_ns(flow), flow.first_number, flow.tunnel_depth(), index))
            .collect();
        if let Some(wheel) = self.wheels.get_mut(usize::from(sensor)) {
            *wheel = Wheel::default();
        }
        if due.len() == self.flows.len() {
            // Cheaper than a million removals, each of which misses the cache.
            self.index.clear();
        }
        in_order(due)
    }

    /// Flows, and how many more the memory of what is kept beside them would hold.
    fn weight(&self) -> usize {
        self.flows.len() + self.extras.weight()
    }

    /// Makes room for what an earlier packet let flows grow by. A packet adds less than so many flows' weight.
    fn lose_weight(&mut self, packet: &FlowPacket, seen: Seen) {
        const EVICTIONS_MAX: usize = 8;
        for _ in 0..EVICTIONS_MAX {
            if self.weight() <= self.flows_max || self.flows.len() <= 1 {
                return;
            }
            self.evict(packet, seen);
        }
    }

    /// Ends the flow that would be idle next, of all sensors. Flows that the packet at hand was counted in stay:
    /// the packet may be of them again, in a tunnel in their tunnel, and would begin one of the same identity.
    fn evict(&mut self, packet: &FlowPacket, seen: Seen) {
        let mut kept = Vec::new();
        while let Some((second, index, sensor)) = self.take_earliest_reminder() {
            let Some(flow) = self.flows.get(index).filter(|_| self.is_current(index, second, sensor)) else { continue };
            let due_ns = self.due_ns(flow);
            if sensor == seen.sensor && self.last_number(flow) == packet.number {
                kept.push((due_ns, index));
            } else if Wheel::second(due_ns) <= second {
                self.end_within(index, EndReason::Evicted);
                break;
            } else {
                self.remind(index, due_ns);
            }
        }
        for (due_ns, index) in kept {
            self.remind(index, due_ns);
        }
    }

    /// Number of the flow's last packet.
    fn last_number(&self, flow: &Flow) -> i64 {
        self.details.get(flow.detail).map_or(flow.first_number, |detail| detail.last_number)
    }

    fn take_earliest_reminder(&mut self) -> Option<(i64, u32, u16)> {
        let seconds = (0..).zip(&self.wheels).filter_map(|(sensor, wheel)| Some((wheel.earliest()?, sensor)));
        let (_, sensor) = seconds.min()?;
        let (second, index) = self.wheels.get_mut(usize::from(sensor))?.take_earliest()?;
        Some((second, index, sensor))
    }

    /// Ends a flow, which is shown before it is gone.
    pub(crate) fn end(&mut self, index: u32, reason: EndReason, show: impl FnOnce(Ended<'_>)) {
        let Some(flow) = self.flows.get(index) else { return };
        // A flow of one packet has a detail for this moment only.
        let mut brief = Detail::default();
        let detail = match self.details.get_mut(flow.detail) {
            Some(detail) => detail,
            None => {
                brief.begin(&flow.first_packet(), flow.key.protocol());
                &mut brief
            }
        };
        detail.finish();
        let reason = match reason {
            _ if flow.decoder_failed() => EndReason::DecoderError,
            EndReason::Evicted => reason,
            _ => detail.end_reason().unwrap_or(reason),
        };
        let slice = self.extras.take_slice(index);
        let features = self.extras.take_features(index, flow);
        show(Ended { flow, detail, slice: slice.as_deref(), features: features.as_deref(), reason });
        // Empty where all flows end at once: see `take_all`.
        if !self.index.is_empty()
            && let Ok(entry) = self.index.find_entry(spread(self.hash(&flow.key)), |&(_, other)| other == index)
        {
            entry.remove();
        }
        self.details.remove(flow.detail);
        self.flows.remove(index);
        self.extras.reuse(features);
    }

    /// Ends a flow while a packet is counted.
    fn end_within(&mut self, index: u32, reason: EndReason) {
        let mut of = None;
        self.end(index, reason, |ended| of = Some(Kept::new(ended)));
        self.ended.extend(of);
    }

    /// The flow's detail, which it is given if it has none yet.
    pub(crate) fn detail_mut(&mut self, index: u32) -> Option<&mut Detail> {
        let flow = self.flows.get_mut(index)?;
        if flow.detail == NONE {
            flow.detail = self.details.insert(flow.first_detail());
        }
        self.details.get_mut(flow.detail)
    }

    /// A flow, and its detail, which it is given if it has none yet.
    pub(crate) fn with_detail(&mut self, index: u32) -> Option<(&Flow, &mut Detail)> {
        self.detail_mut(index)?;
        let flow = self.flows.get(index)?;
        Some((flow, self.details.get_mut(flow.detail)?))
    }

    /// All flows with their indexes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Flow)> {
        self.flows.iter()
    }

    /// Identity of the flow; a flow of more than one packet keeps it.
    pub(crate) fn identity(&mut self, index: u32, sensor: &SensorHash) -> Option<Identity> {
        let flow = self.flows.get(index)?;
        let compute = || Identity::new(sensor, &flow.key, flow.first_number);
        match self.details.get_mut(flow.detail) {
            Some(detail) => Some(*detail.identity.get_or_insert_with(compute)),
            None => Some(compute()),
        }
    }

    /// Takes note of a weird of a flow; says whether it is to be written.
    pub(crate) fn admit_weird(&mut self, index: u32, layer: &str, reason: WeirdReason) -> bool {
        self.detail_mut(index).is_none_or(|detail| detail.admit_weird(layer, reason))
    }

    pub(crate) fn set_service(&mut self, index: u32, service: Dispatch) {
        if let Some(flow) = self.flows.get_mut(index) {
            flow.service = service;
        }
    }

    pub(crate) fn parser(&self, index: u32) -> Option<u32> {
        self.flows.get(index)?.parser()
    }

    pub(crate) fn set_parser(&mut self, index: u32, parser: Option<u32>) {
        if let Some(flow) = self.flows.get_mut(index) {
            flow.parser = parser.unwrap_or(NONE);
        }
    }

    /// The flow goes on without its decoder, which failed.
    pub(crate) fn fail_parser(&mut self, index: u32) {
        if let Some(flow) = self.flows.get_mut(index) {
            flow.bits |= DECODER_FAILED;
            flow.parser = NONE;
            flow.service = Dispatch::Never;
        }
    }

    /// Marks that a tunnel was found in the flow; false if it was known.
    pub(crate) fn mark_tunnel(&mut self, index: u32) -> bool {
        let Some(flow) = self.flows.get_mut(index) else { return false };
        let is_first = flow.bits & TUNNEL_REPORTED == 0;
        flow.bits |= TUNNEL_REPORTED;
        is_first
    }
}

/// Reminders are compared by these: seconds that are 136 years apart need no telling apart.
fn low_bits(second: i64) -> u32 {
    (second.cast_unsigned() & 0xffff_ffff) as u32
}

/// Flows in an order that only they decide: by the end of their timeout, then by age; those that one packet
/// began, from the outermost. Their indexes depend on which flows were there before.
fn in_order(mut due: Vec<(i64, i64, u8, u32)>) -> Vec<u32> {
    due.sort_unstable();
    due.dedup();
    due.into_iter().map(|(.., index)| index).collect()
}

/// The table takes a bucket from the lower bits of a hash and a tag from the upper ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
