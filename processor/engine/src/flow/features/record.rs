//! The record of a vector.

use weir_contract::record;

use super::{
    sums::Sums,
    vector::{Half, Vector},
};
use crate::{
    entropy::entropy,
    flow::{
        connection::push_service,
        detail::Detail,
        entry::{Ended, Flow},
        side::Side,
    },
    names::ip_protocol_name,
    output::Output,
};

/// Values of a byte in one bin of the histogram: sixteen bins.
const HEAD_BIN_SHIFT: u8 = 4;

/// Writes the FlowFeatures of a flow that ended. One whose packets all came before the type was selected has none.
pub(in crate::flow) fn write_features(out: &mut Output, ended: Ended<'_>) {
    let Some(vector) = ended.features else { return };
    let Some(mut draft) = out.record::<record::FlowFeatures>() else { return };
    draft.ts_ns = ended.detail.first_ts_ns;
    draft.packet_number = ended.detail.last_number;
    let record: &mut record::FlowFeatures = &mut draft;
    fill_flow(record, ended.flow, ended.detail);
    record.set_end_reason(ended.reason);
    record.duration_ns = ended.detail.last_ts_ns.saturating_sub(ended.detail.first_ts_ns);
    record.partial = ended.detail.partial;
    fill_both(record, vector);
    fill_periods(record, vector);
    fill_first(record, vector);
    fill_originator(record, &vector.orig, &ended.detail.orig);
    fill_responder(record, &vector.resp, &ended.detail.resp);
}

fn fill_flow(record: &mut record::FlowFeatures, flow: &Flow, detail: &Detail) {
    let protocol = flow.key().protocol();
    record.ip_protocol = protocol.into();
    record.ip_protocol_name.push_str(ip_protocol_name(protocol));
    push_service(&mut record.service, flow, detail);
    record.late = flow.is_late();
}

/// Sums of what packets of a capture hold, and of times that add up to its duration, are below 2⁶³.
fn sum(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Lengths of packets are those of 32 bits, windows those of 16.
fn short(value: Option<u64>) -> Option<u32> {
    value.map(|value| u32::try_from(value).unwrap_or(u32::MAX))
}

fn long(value: Option<u64>) -> Option<i64> {
    value.map(sum)
}

fn per_second(value: u64, duration_ns: i64) -> Option<f64> {
    (duration_ns > 0).then(|| value as f64 * 1e9 / duration_ns as f64)
}

fn quotient(value: u64, divisor: u64) -> Option<f64> {
    (divisor > 0).then(|| value as f64 / divisor as f64)
}

/// A time that rates are of: none where not all packets of it were counted.
fn rated_ns(duration_ns: i64, vector: &Vector) -> i64 {
    if vector.incomplete { 0 } else { duration_ns }
}

fn fill_both(record: &mut record::FlowFeatures, vector: &Vector) {
    let Vector { orig, resp, iat, .. } = vector;
    let (lengths, payloads) = (orig.lengths.plus(&resp.lengths), orig.payloads.plus(&resp.payloads));
    record.incomplete = vector.incomplete;
    record.backward_packets = sum(vector.backward_packets);
    record.packets = sum(vector.packets);
    record.ip_bytes = sum(lengths.sum);
    record.ip_min_bytes = short(lengths.min());
    record.ip_max_bytes = short(lengths.max());
    record.ip_mean_bytes = lengths.mean();
    record.ip_std_bytes = lengths.deviation();
    record.payload_packets = sum(orig.payload_packets + resp.payload_packets);
    record.payload_bytes = sum(payloads.sum);
    record.payload_min_bytes = short(payloads.min());
    record.payload_max_bytes = short(payloads.max());
    record.payload_mean_bytes = payloads.mean();
    record.payload_std_bytes = payloads.deviation();
    record.iat_sum_ns = sum(iat.sum);
    record.iat_min_ns = long(iat.min());
    record.iat_max_ns = long(iat.max());
    record.iat_mean_ns = iat.mean();
    record.iat_std_ns = iat.deviation();
    push_histogram(&mut record.iat_histogram, iat, &vector.iat_histogram);
    let rated_ns = rated_ns(record.duration_ns, vector);
    record.packets_per_second = per_second(vector.packets, rated_ns);
    record.ip_bytes_per_second = per_second(total(&lengths), rated_ns);
    record.orig_packets_per_second = per_second(orig.lengths.count, rated_ns);
    record.resp_packets_per_second = per_second(resp.lengths.count, rated_ns);
    record.resp_orig_packets_ratio = quotient(resp.lengths.count, orig.lengths.count);
    record.resp_orig_payload_ratio = quotient(total(&resp.payloads), total(&orig.payloads));
}

fn total(sums: &Sums) -> u64 {
    u64::try_from(sums.sum).unwrap_or(u64::MAX)
}

fn push_histogram(out: &mut Vec<i64>, of: &Sums, counts: &[u32]) {
    if of.count > 0 {
        out.extend(counts.iter().map(|&count| i64::from(count)));
    }
}

fn fill_periods(record: &mut record::FlowFeatures, vector: &Vector) {
    let Vector { active, idle, .. } = vector;
    let subflows = vector.breaks + 1;
    record.subflows = sum(subflows);
    record.orig_subflow_mean_packets = vector.orig.lengths.count as f64 / subflows as f64;
    record.orig_subflow_mean_payload_bytes = vector.orig.payloads.sum as f64 / subflows as f64;
    record.resp_subflow_mean_packets = vector.resp.lengths.count as f64 / subflows as f64;
    record.resp_subflow_mean_payload_bytes = vector.resp.payloads.sum as f64 / subflows as f64;
    record.active_count = sum(active.count);
    record.active_sum_ns = sum(active.sum);
    record.active_min_ns = long(active.min());
    record.active_max_ns = long(active.max());
    record.active_mean_ns = active.mean();
    record.active_std_ns = active.deviation();
    record.idle_count = sum(idle.count);
    record.idle_sum_ns = sum(idle.sum);
    record.idle_min_ns = long(idle.min());
    record.idle_max_ns = long(idle.max());
    record.idle_mean_ns = idle.mean();
    record.idle_std_ns = idle.deviation();
}

fn fill_first(record: &mut record::FlowFeatures, vector: &Vector) {
    for packet in vector.first.as_slice() {
        record.first_ip_bytes.push(packet.ip_bytes);
        record.first_payload_bytes.push(packet.payload_bytes);
        record.first_from_responder.push(!packet.from_originator);
        record.first_iat_ns.push(sum(packet.gap_ns));
        record.first_tcp_flags.push(packet.flags.into());
    }
}

fn push_head(histogram: &mut Vec<u32>, head: &[u8]) -> Option<f64> {
    if head.is_empty() {
        return None;
    }
    let mut counts = [0; 16];
    for byte in head {
        if let Some(count) = counts.get_mut(usize::from(byte >> HEAD_BIN_SHIFT)) {
            *count += 1;
        }
    }
    histogram.extend(counts);
    Some(entropy(head))
}

/// The two halves of the record differ in their prefix only.
macro_rules! fill_half {
    ($name:ident: $($packets:ident $ip:ident $ip_min:ident $ip_max:ident $ip_mean:ident $ip_std:ident
     $ip_histogram:ident $payload_packets:ident $payload:ident $payload_min:ident $payload_max:ident
     $payload_mean:ident $payload_std:ident $iat:ident $iat_min:ident $iat_max:ident $iat_mean:ident $iat_std:ident
     $iat_histogram:ident $ip_header:ident $header:ident $header_min:ident [$($flag:ident)+] $window_first:ident
     $window_scale:ident $window_min:ident $window_max:ident $window_mean:ident $window_std:ident $bulks:ident
     $bulk_packets:ident $bulk_bytes:ident $bulk_duration:ident $bulk_mean_packets:ident $bulk_mean_bytes:ident
     $bulk_rate:ident $head_bytes:ident $head_histogram:ident $head_entropy:ident)+) => {
        fn $name(record: &mut record::FlowFeatures, half: &Half, side: &Side) {
            let Half { lengths, payloads, iat, windows, bulks, head, .. } = half;
            $(
                record.$packets = sum(lengths.count);
                record.$ip = sum(lengths.sum);
                record.$ip_min = short(lengths.min());
                record.$ip_max = short(lengths.max());
                record.$ip_mean = lengths.mean();
                record.$ip_std = lengths.deviation();
                push_histogram(&mut record.$ip_histogram, lengths, &half.length_histogram);
                record.$payload_packets = sum(half.payload_packets);
                record.$payload = sum(payloads.sum);
                record.$payload_min = short(payloads.min());
                record.$payload_max = short(payloads.max());
                record.$payload_mean = payloads.mean();
                record.$payload_std = payloads.deviation();
                record.$iat = sum(iat.sum);
                record.$iat_min = long(iat.min());
                record.$iat_max = long(iat.max());
                record.$iat_mean = iat.mean();
                record.$iat_std = iat.deviation();
                push_histogram(&mut record.$iat_histogram, iat, &half.iat_histogram);
                record.$ip_header = sum(half.ip_header_bytes);
                record.$header = sum(half.transport_header_bytes);
                record.$header_min = (lengths.count > 0).then_some(half.transport_header_min);
                let mut flags = side.flag_packets.iter();
                $(record.$flag = flags.next().map_or(0, |&packets| packets.into());)+
                record.$window_first = side.window_first.map(u32::from);
                record.$window_scale = side.window_scale.map(u32::from);
                record.$window_min = short(windows.min());
                record.$window_max = short(windows.max());
                record.$window_mean = windows.mean();
                record.$window_std = windows.deviation();
                record.$bulks = sum(bulks.count);
                record.$bulk_packets = sum(bulks.packets);
                record.$bulk_bytes = sum(bulks.bytes);
                record.$bulk_duration = sum(bulks.duration_ns);
                record.$bulk_mean_packets = quotient(bulks.packets, bulks.count);
                record.$bulk_mean_bytes = quotient(bulks.bytes, bulks.count);
                record.$bulk_rate = per_second(bulks.bytes, sum(bulks.duration_ns));
                let head = head.as_slice();
                record.$head_bytes = u32::try_from(head.len()).unwrap_or(u32::MAX);
                record.$head_entropy = push_head(&mut record.$head_histogram, head);
            )+
        }
    };
}

fill_half! { fill_originator:
    orig_packets orig_ip_bytes orig_ip_min_bytes orig_ip_max_bytes orig_ip_mean_bytes orig_ip_std_bytes
    orig_ip_histogram orig_payload_packets orig_payload_bytes orig_payload_min_bytes orig_payload_max_bytes
    orig_payload_mean_bytes orig_payload_std_bytes orig_iat_sum_ns orig_iat_min_ns orig_iat_max_ns orig_iat_mean_ns
    orig_iat_std_ns orig_iat_histogram orig_ip_header_bytes orig_transport_header_bytes
    orig_transport_header_min_bytes [orig_fin_packets orig_syn_packets orig_rst_packets orig_psh_packets
    orig_ack_packets orig_urg_packets orig_ece_packets orig_cwr_packets] orig_window_first orig_window_scale
    orig_window_min orig_window_max orig_window_mean orig_window_std orig_bulks orig_bulk_packets orig_bulk_bytes
    orig_bulk_duration_ns orig_bulk_mean_packets orig_bulk_mean_bytes orig_bulk_bytes_per_second orig_head_bytes
    orig_head_histogram orig_head_entropy
}

fill_half! { fill_responder:
    resp_packets resp_ip_bytes resp_ip_min_bytes resp_ip_max_bytes resp_ip_mean_bytes resp_ip_std_bytes
    resp_ip_histogram resp_payload_packets resp_payload_bytes resp_payload_min_bytes resp_payload_max_bytes
    resp_payload_mean_bytes resp_payload_std_bytes resp_iat_sum_ns resp_iat_min_ns resp_iat_max_ns resp_iat_mean_ns
    resp_iat_std_ns resp_iat_histogram resp_ip_header_bytes resp_transport_header_bytes
    resp_transport_header_min_bytes [resp_fin_packets resp_syn_packets resp_rst_packets resp_psh_packets
    resp_ack_packets resp_urg_packets resp_ece_packets resp_cwr_packets] resp_window_first resp_window_scale
    resp_window_min resp_window_max resp_window_mean resp_window_std resp_bulks resp_bulk_packets resp_bulk_bytes
    resp_bulk_duration_ns resp_bulk_mean_packets resp_bulk_mean_bytes resp_bulk_bytes_per_second resp_head_bytes
    resp_head_histogram resp_head_entropy
}
