//! Flows as protobuf, so that another release can go on with them.

use weir_contract::record::{
    FirstPacketState, FlowDetailState, FlowSideState, FlowSliceState, FlowSpanState, FlowState, WeirdBudgetState,
};

use super::{
    detail::{Detail, WeirdBudget},
    entry::{Flow, NONE},
    features::{load_features, save_features},
    key::{FlowKey, KEY_BYTES},
    packet::{Compact, NO_VLAN},
    sequence::Sequence,
    side::Side,
    slice::{Slice, Span},
    table::FlowTable,
    tcp::{Endpoint, History},
};
use crate::{datagram::Dispatch, limits::IdleClass, output::Vlans, stream::Services};

/// Probes of a flow whose decoder is not asked for any more.
const NEVER: u32 = 255;

impl FlowTable {
    /// All flows, each with the index of its decoder's state.
    pub(crate) fn save(&self) -> impl Iterator<Item = (FlowState, Option<u32>)> {
        self.flows.iter().map(|(index, flow)| {
            let detail = self.details.get(flow.detail).map(save_detail);
            let slice = self.extras.slices.as_ref().and_then(|slices| slices.get(index)).map(|slice| save_slice(slice));
            let features = self.extras.features.as_ref().and_then(|all| all.get(index)).map(save_features);
            (FlowState { detail, slice, features, ..save_flow(index, flow) }, flow.parser())
        })
    }

    /// Free places in the order they will be used in, the last one first.
    pub(crate) fn free_indexes(&self) -> &[u32] {
        self.flows.free()
    }

    /// Puts a flow in its place. `parser` is the index of its decoder's state, which is lost where it
    /// had one and has none now.
    pub(crate) fn load(&mut self, state: &FlowState, parser: Option<u32>) -> Option<()> {
        let detail = state.detail.as_ref().map(load_detail);
        let mut flow = load_flow(state)?;
        flow.class = detail.as_ref().map_or_else(|| flow.first_class(), Detail::idle_class);
        flow.parser = parser.unwrap_or(NONE);
        let had_decoder =
            matches!(flow.service, Dispatch::Parser(_)) || !state.service.is_empty() || state.stream.is_some();
        if had_decoder && parser.is_none() {
            flow.service = Dispatch::Never;
        }
        if let Some(detail) = detail {
            flow.detail = self.details.insert(detail);
        }
        self.place(state.index, flow);
        if let (Some(slices), Some(slice)) = (&mut self.extras.slices, &state.slice) {
            slices.set(state.index, Box::new(load_slice(slice)));
        }
        if let Some(features) = &state.features {
            self.extras.set_features(state.index, load_features(features));
        }
        Some(())
    }

    /// Sets the free places once all flows are in theirs.
    pub(crate) fn set_free_indexes(&mut self, free: &[u32]) {
        self.flows.set_free(free);
    }
}

fn save_flow(index: u32, flow: &Flow) -> FlowState {
    let key = flow.key.to_bytes();
    let number =
        |range: std::ops::Range<usize>| key.get(range).into_iter().flatten().fold(0, |n, &b| n << 8 | u32::from(b));
    let (probes, service) = match flow.service {
        Dispatch::Undecided(tries) => (tries.into(), ""),
        Dispatch::Never => (NEVER, ""),
        Dispatch::Parser(_) => (0, flow.service.name()),
    };
    FlowState {
        index,
        partition_key: u64::from(number(0..4)) << 32 | u64::from(number(4..8)),
        low_address: key[8..24].to_vec(),
        high_address: key[24..40].to_vec(),
        encapsulation_id: number(40..44),
        low_port: number(44..46),
        high_port: number(46..48),
        icmp_identifier: number(48..50),
        ip_protocol: key[50].into(),
        key_bits: key[51].into(),
        sensor: flow.sensor.into(),
        first_ts_ns: flow.first_ts_ns,
        first_packet_number: flow.first_number,
        first: Some(save_first(&flow.first)),
        flow_bits: flow.bits.into(),
        probes,
        service: service.to_owned(),
        decoder: None,
        detail: None,
        stream: None,
        slice: None,
        features: None,
    }
}

fn load_flow(state: &FlowState) -> Option<Flow> {
    let mut key = [0; KEY_BYTES];
    key[0..8].copy_from_slice(&state.partition_key.to_be_bytes());
    key[8..24].copy_from_slice(state.low_address.get(..16)?);
    key[24..40].copy_from_slice(state.high_address.get(..16)?);
    key[40..44].copy_from_slice(&state.encapsulation_id.to_be_bytes());
    key[44..46].copy_from_slice(&u16::try_from(state.low_port).ok()?.to_be_bytes());
    key[46..48].copy_from_slice(&u16::try_from(state.high_port).ok()?.to_be_bytes());
    key[48..50].copy_from_slice(&u16::try_from(state.icmp_identifier).ok()?.to_be_bytes());
    key[50] = u8::try_from(state.ip_protocol).ok()?;
    key[51] = u8::try_from(state.key_bits).ok()?;
    let service = match state.service.as_str() {
        "" if state.probes == NEVER => Dispatch::Never,
        "" => Dispatch::Undecided(u8::try_from(state.probes).ok()?),
        name => Dispatch::from_name(name).unwrap_or(Dispatch::Never),
    };
    Some(Flow {
        key: FlowKey::from_bytes(&key),
        first: load_first(state.first.as_ref()?)?,
        first_ts_ns: state.first_ts_ns,
        first_number: state.first_packet_number,
        detail: NONE,
        parser: NONE,
        reminder: 0,
        sensor: u16::try_from(state.sensor).ok()?,
        class: IdleClass::Other,
        service,
        bits: u8::try_from(state.flow_bits).ok()?,
    })
}

fn save_first(first: &Compact) -> FirstPacketState {
    FirstPacketState {
        link_bytes: first.link_bytes,
        ip_bytes: first.ip_bytes,
        payload_bytes: first.payload_bytes,
        sequence: first.sequence,
        src_mac: first.src_mac.to_vec(),
        dst_mac: first.dst_mac.to_vec(),
        vlan: first.vlans.iter().filter(|&&id| id != NO_VLAN).map(|&id| id.into()).collect(),
        window: first.window.into(),
        mss: first.mss.into(),
        flags: first.flags.into(),
        ttl: first.ttl.into(),
        window_scale: first.window_scale.into(),
    }
}

fn load_first(state: &FirstPacketState) -> Option<Compact> {
    let vlan = |at: usize| state.vlan.get(at).and_then(|&id| u16::try_from(id).ok()).unwrap_or(NO_VLAN);
    Some(Compact {
        link_bytes: state.link_bytes,
        ip_bytes: state.ip_bytes,
        payload_bytes: state.payload_bytes,
        sequence: state.sequence,
        src_mac: mac(&state.src_mac)?,
        dst_mac: mac(&state.dst_mac)?,
        vlans: [vlan(0), vlan(1)],
        window: u16::try_from(state.window).ok()?,
        mss: u16::try_from(state.mss).ok()?,
        flags: u16::try_from(state.flags).ok()?,
        ttl: u8::try_from(state.ttl).ok()?,
        window_scale: u8::try_from(state.window_scale).ok()?,
    })
}

fn mac(bytes: &[u8]) -> Option<[u8; 6]> {
    bytes.try_into().ok()
}

fn save_detail(detail: &Detail) -> FlowDetailState {
    FlowDetailState {
        first_ts_ns: detail.first_ts_ns,
        last_ts_ns: detail.last_ts_ns,
        last_packet_number: detail.last_number,
        orig: Some(save_side(&detail.orig)),
        resp: Some(save_side(&detail.resp)),
        history: detail.history.as_str().to_owned(),
        syn_ts_ns: detail.syn_ts_ns,
        syn_ack_ts_ns: detail.syn_ack_ts_ns,
        syn_rtt_ns: detail.syn_rtt_ns,
        ack_rtt_ns: detail.ack_rtt_ns,
        truncated_packets: detail.truncated_packets,
        partial: detail.partial,
        initial_sequence: detail.initial_sequence,
        orig_mac: detail.orig_mac.map(Into::into),
        resp_mac: detail.resp_mac.map(Into::into),
        vlan: detail.vlans.as_slice().iter().map(|&id| id.into()).collect(),
        tunnel_depth: detail.tunnel_depth.into(),
        weird_count: detail.weird_count,
        weirds: detail
            .weirds
            .iter()
            .map(|seen| WeirdBudgetState {
                layer: seen.layer.clone(),
                reason: seen.reason,
                written: seen.written.into(),
            })
            .collect(),
        services: detail.services.names().map(str::to_owned).collect(),
    }
}

fn load_detail(state: &FlowDetailState) -> Detail {
    let mut vlans = Vlans::default();
    for &id in &state.vlan {
        vlans.push(u16::try_from(id).unwrap_or_default());
    }
    Detail {
        first_ts_ns: state.first_ts_ns,
        last_ts_ns: state.last_ts_ns,
        last_number: state.last_packet_number,
        orig: state.orig.as_ref().map(load_side).unwrap_or_default(),
        resp: state.resp.as_ref().map(load_side).unwrap_or_default(),
        history: History::from_letters(&state.history),
        syn_ts_ns: state.syn_ts_ns,
        syn_ack_ts_ns: state.syn_ack_ts_ns,
        syn_rtt_ns: state.syn_rtt_ns,
        ack_rtt_ns: state.ack_rtt_ns,
        truncated_packets: count(state.truncated_packets),
        partial: state.partial,
        initial_sequence: state.initial_sequence,
        orig_mac: state.orig_mac.as_deref().and_then(mac),
        resp_mac: state.resp_mac.as_deref().and_then(mac),
        vlans,
        tunnel_depth: u8::try_from(state.tunnel_depth).unwrap_or_default(),
        weird_count: count(state.weird_count),
        identity: None,
        weirds: state
            .weirds
            .iter()
            .map(|seen| WeirdBudget {
                layer: seen.layer.clone(),
                reason: seen.reason,
                written: u8::try_from(seen.written).unwrap_or(u8::MAX),
            })
            .collect(),
        services: Services::from_names(&state.services),
    }
}

fn save_slice(slice: &Slice) -> FlowSliceState {
    FlowSliceState {
        index: slice.index,
        before: Some(save_detail(&slice.before)),
        orig: slice.orig.map(save_span),
        resp: slice.resp.map(save_span),
    }
}

fn load_slice(state: &FlowSliceState) -> Slice {
    Slice {
        index: state.index,
        before: state.before.as_ref().map(load_detail).unwrap_or_default(),
        orig: state.orig.as_ref().map(load_span),
        resp: state.resp.as_ref().map(load_span),
    }
}

fn save_span(span: Span) -> FlowSpanState {
    FlowSpanState {
        first_ts_ns: span.first_ts_ns,
        last_ts_ns: span.last_ts_ns,
        ttl_min: span.ttl_min.into(),
        ttl_max: span.ttl_max.into(),
    }
}

fn load_span(state: &FlowSpanState) -> Span {
    Span {
        first_ts_ns: state.first_ts_ns,
        last_ts_ns: state.last_ts_ns,
        ttl_min: u8::try_from(state.ttl_min).unwrap_or_default(),
        ttl_max: u8::try_from(state.ttl_max).unwrap_or_default(),
    }
}

fn save_side(side: &Side) -> FlowSideState {
    FlowSideState {
        packets: side.packets,
        link_bytes: side.link_bytes,
        ip_bytes: side.ip_bytes,
        payload_bytes: side.payload_bytes,
        first_ts_ns: side.first_ts_ns,
        last_ts_ns: side.last_ts_ns,
        retransmitted_bytes: side.retransmitted_bytes,
        gap_bytes: side.gap_bytes,
        flag_packets: side.flag_packets.to_vec(),
        retransmitted_packets: side.retransmitted_packets,
        out_of_order_packets: side.out_of_order_packets,
        zero_window_packets: side.zero_window_packets,
        gaps: side.gaps,
        window_first: side.window_first.map(u32::from),
        mss: side.mss.map(u32::from),
        window_scale: side.window_scale.map(u32::from),
        sack_permitted: side.sack_permitted,
        ttl_min: side.ttl_min.into(),
        ttl_max: side.ttl_max.into(),
        endpoint: side.endpoint as u32,
        next_sequence: side.sequence.next(),
        runs: side.sequence.runs().iter().flat_map(|&(begin, end)| [begin, end]).collect(),
    }
}

fn load_side(state: &FlowSideState) -> Side {
    let mut flag_packets = [0; 8];
    for (slot, &packets) in flag_packets.iter_mut().zip(&state.flag_packets) {
        *slot = packets;
    }
    let short = |value: Option<u32>| value.and_then(|value| u16::try_from(value).ok());
    Side {
        packets: count(state.packets),
        link_bytes: count(state.link_bytes),
        ip_bytes: count(state.ip_bytes),
        payload_bytes: count(state.payload_bytes),
        first_ts_ns: state.first_ts_ns,
        last_ts_ns: state.last_ts_ns,
        retransmitted_bytes: count(state.retransmitted_bytes),
        gap_bytes: count(state.gap_bytes),
        flag_packets,
        retransmitted_packets: state.retransmitted_packets,
        out_of_order_packets: state.out_of_order_packets,
        zero_window_packets: state.zero_window_packets,
        gaps: state.gaps,
        sequence: Sequence::restore(state.next_sequence, &state.runs),
        window_first: short(state.window_first),
        mss: short(state.mss),
        window_scale: state.window_scale.and_then(|scale| u8::try_from(scale).ok()),
        sack_permitted: state.sack_permitted,
        ttl_min: u8::try_from(state.ttl_min).unwrap_or_default(),
        ttl_max: u8::try_from(state.ttl_max).unwrap_or_default(),
        endpoint: Endpoint::from_number(state.endpoint),
    }
}

/// A count that goes on without an overflow.
fn count(saved: u64) -> u64 {
    saved.min(i64::MAX.unsigned_abs())
}
