//! Features as protobuf, so that another release can go on with them.

use weir_contract::record::{
    FeatureBulksState, FeatureHalfState, FeaturePacketState, FeatureRunState, FeatureSumsState, FeatureVectorState,
    FlowFeaturesState,
};

use super::{
    Brief, Features,
    sums::Sums,
    vector::{Bulks, FIRST_PACKETS, FirstPacket, FirstPackets, Half, Head, Run, Vector},
};
use crate::entropy::BYTES_MAX;

pub(in crate::flow) fn save_features(features: &Features) -> FlowFeaturesState {
    match features {
        Features::Brief(brief) => FlowFeaturesState {
            ip_header_bytes: brief.ip_header_bytes,
            transport_header_bytes: brief.transport_header_bytes.into(),
            head: brief.head.to_vec(),
            vector: None,
        },
        Features::Vector(vector) => FlowFeaturesState { vector: Some(save_vector(vector)), ..Default::default() },
    }
}

pub(in crate::flow) fn load_features(state: &FlowFeaturesState) -> Features {
    match &state.vector {
        Some(vector) => Features::Vector(Box::new(load_vector(vector))),
        None => Features::Brief(Brief {
            ip_header_bytes: state.ip_header_bytes,
            transport_header_bytes: u16::try_from(state.transport_header_bytes).unwrap_or(u16::MAX),
            head: state.head.get(..BYTES_MAX).unwrap_or(&state.head).into(),
        }),
    }
}

/// A count that goes on without an overflow, even if it is added to another.
fn count(saved: u64) -> u64 {
    saved.min(u64::MAX / 4)
}

fn save_vector(vector: &Vector) -> FeatureVectorState {
    FeatureVectorState {
        incomplete: vector.incomplete,
        packets: vector.packets,
        now_ns: vector.now_ns,
        backward_packets: vector.backward_packets,
        iat: save_sums(&vector.iat),
        iat_histogram: vector.iat_histogram.to_vec(),
        breaks: vector.breaks,
        active_begin_ns: vector.active_begin_ns,
        active: save_sums(&vector.active),
        idle: save_sums(&vector.idle),
        run: (vector.run.packets > 0).then(|| save_run(&vector.run)),
        first: vector.first.as_slice().iter().map(save_packet).collect(),
        orig: Some(save_half(&vector.orig)),
        resp: Some(save_half(&vector.resp)),
    }
}

fn load_vector(state: &FeatureVectorState) -> Vector {
    Vector {
        incomplete: state.incomplete,
        packets: count(state.packets),
        now_ns: state.now_ns,
        backward_packets: count(state.backward_packets),
        iat: load_sums(state.iat.as_ref()),
        iat_histogram: counts(&state.iat_histogram),
        breaks: count(state.breaks),
        active_begin_ns: state.active_begin_ns,
        active: load_sums(state.active.as_ref()),
        idle: load_sums(state.idle.as_ref()),
        run: state.run.as_ref().map(load_run).unwrap_or_default(),
        first: load_first(&state.first),
        orig: state.orig.as_ref().map(load_half).unwrap_or_default(),
        resp: state.resp.as_ref().map(load_half).unwrap_or_default(),
    }
}

fn save_half(half: &Half) -> FeatureHalfState {
    FeatureHalfState {
        now_ns: half.now_ns,
        lengths: save_sums(&half.lengths),
        length_histogram: half.length_histogram.to_vec(),
        payloads: save_sums(&half.payloads),
        payload_packets: half.payload_packets,
        iat: save_sums(&half.iat),
        iat_histogram: half.iat_histogram.to_vec(),
        windows: save_sums(&half.windows),
        ip_header_bytes: half.ip_header_bytes,
        transport_header_bytes: half.transport_header_bytes,
        transport_header_min: half.transport_header_min,
        bulks: (half.bulks.count > 0).then(|| save_bulks(&half.bulks)),
        head: half.head.as_slice().to_vec(),
    }
}

fn load_half(state: &FeatureHalfState) -> Half {
    let mut head = Head::default();
    head.push(&state.head);
    Half {
        now_ns: state.now_ns,
        lengths: load_sums(state.lengths.as_ref()),
        length_histogram: counts(&state.length_histogram),
        payloads: load_sums(state.payloads.as_ref()),
        payload_packets: count(state.payload_packets),
        iat: load_sums(state.iat.as_ref()),
        iat_histogram: counts(&state.iat_histogram),
        windows: load_sums(state.windows.as_ref()),
        ip_header_bytes: count(state.ip_header_bytes),
        transport_header_bytes: count(state.transport_header_bytes),
        transport_header_min: state.transport_header_min,
        bulks: state.bulks.as_ref().map(load_bulks).unwrap_or_default(),
        head,
    }
}

/// Sums of nothing are left out.
fn save_sums(sums: &Sums) -> Option<FeatureSumsState> {
    if sums.count == 0 {
        return None;
    }
    let ((sum_high, sum_low), (squares_high, squares_low)) = (halves(sums.sum), halves(sums.squares));
    let Sums { count, min, max, .. } = *sums;
    Some(FeatureSumsState { count, sum_high, sum_low, squares_high, squares_low, min, max })
}

fn halves(sum: u128) -> (u64, u64) {
    ((sum >> 64) as u64, (sum & 0xffff_ffff_ffff_ffff) as u64)
}

fn load_sums(state: Option<&FeatureSumsState>) -> Sums {
    let Some(state) = state else { return Sums::default() };
    let whole = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
    Sums {
        count: count(state.count),
        sum: whole(state.sum_high, state.sum_low),
        squares: whole(state.squares_high, state.squares_low),
        min: state.min,
        max: state.max,
    }
}

fn counts<const N: usize>(saved: &[u32]) -> [u32; N] {
    let mut counts = [0; N];
    for (slot, &saved) in counts.iter_mut().zip(saved) {
        *slot = saved;
    }
    counts
}

fn save_run(run: &Run) -> FeatureRunState {
    FeatureRunState {
        from_originator: run.from_originator,
        packets: run.packets,
        bytes: run.bytes,
        begin_ns: run.begin_ns,
        now_ns: run.now_ns,
    }
}

fn load_run(state: &FeatureRunState) -> Run {
    Run {
        from_originator: state.from_originator,
        packets: count(state.packets),
        bytes: count(state.bytes),
        begin_ns: state.begin_ns,
        now_ns: state.now_ns,
    }
}

fn save_bulks(bulks: &Bulks) -> FeatureBulksState {
    FeatureBulksState { count: bulks.count, packets: bulks.packets, bytes: bulks.bytes, duration_ns: bulks.duration_ns }
}

fn load_bulks(state: &FeatureBulksState) -> Bulks {
    Bulks {
        count: count(state.count),
        packets: count(state.packets),
        bytes: count(state.bytes),
        duration_ns: count(state.duration_ns),
    }
}

fn save_packet(packet: &FirstPacket) -> FeaturePacketState {
    FeaturePacketState {
        gap_ns: packet.gap_ns,
        ip_bytes: packet.ip_bytes,
        payload_bytes: packet.payload_bytes,
        flags: packet.flags.into(),
        from_originator: packet.from_originator,
    }
}

fn load_first(states: &[FeaturePacketState]) -> FirstPackets {
    let mut first = FirstPackets::default();
    for state in states.iter().take(FIRST_PACKETS) {
        first.push(FirstPacket {
            gap_ns: state.gap_ns,
            ip_bytes: state.ip_bytes,
            payload_bytes: state.payload_bytes,
            flags: u16::try_from(state.flags).unwrap_or_default(),
            from_originator: state.from_originator,
        });
    }
    first
}
