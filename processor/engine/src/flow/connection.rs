//! The records of a connection that is over, and of a slice of one.

use weir_contract::{EndReason, record};

use super::{
    detail::Detail,
    entry::{Ended, Flow},
    features::write_features,
    side::Side,
};
use crate::{
    flow::Identity,
    names::ip_protocol_name,
    output::{Output, Scope, push_mac},
};

/// Writes what a flow was that ended; of a flow that goes on only the slice that ended.
pub(crate) fn write_ended(out: &mut Output, ended: Ended<'_>, identity: Identity) {
    let previous = out.scope();
    out.set_scope(connection_scope(ended.flow, ended.detail, Some(identity)), false);
    if ended.reason != EndReason::Active {
        write_connection(out, ended);
    }
    if out.selects::<record::Flow>() {
        write_flow(out, ended);
    }
    write_features(out, ended);
    out.set_scope(previous, false);
}

fn write_connection(out: &mut Output, ended: Ended<'_>) {
    let Some(mut connection) = out.record::<record::Connection>() else { return };
    let Ended { flow, detail, reason, .. } = ended;
    connection.ts_ns = detail.first_ts_ns;
    connection.packet_number = detail.last_number;
    fill_connection(&mut connection, flow, detail, reason);
    push_service(&mut connection.service, flow, detail);
}

fn write_flow(out: &mut Output, ended: Ended<'_>) {
    let Some(mut record) = out.record::<record::Flow>() else { return };
    let Ended { flow, detail, slice, reason, .. } = ended;
    let own = slice.map(|slice| slice.of(detail));
    let detail = own.as_ref().unwrap_or(detail);
    record.ts_ns = detail.first_ts_ns;
    record.packet_number = detail.last_number;
    fill_flow(&mut record, flow, detail, reason);
    record.slice_index = slice.map_or(0, |slice| slice.index);
}

/// The protocols that were found in it, in that order.
pub(super) fn push_service(service: &mut String, flow: &Flow, detail: &Detail) {
    service.push_str(flow.service().name());
    for name in detail.services.names() {
        if !service.is_empty() {
            service.push(',');
        }
        service.push_str(name);
    }
}

/// What the records of a connection have in common: endpoints from originator to responder.
pub(crate) fn connection_scope(flow: &Flow, detail: &Detail, identity: Option<Identity>) -> Scope {
    let key = flow.key();
    let ((low, high), (low_port, high_port)) = (key.addresses(), key.ports());
    let (addresses, ports) = if flow.originator_is_high() {
        ((high, low), (high_port, low_port))
    } else {
        ((low, high), (low_port, high_port))
    };
    Scope { addresses: Some(addresses), ports, identity, vlans: detail.vlans, tunnel_depth: detail.tunnel_depth }
}

/// Counters of 64 bits hold less than 2⁶³ of anything.
fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The two halves of a record differ in their prefix only.
macro_rules! fill_side {
    ($name:ident, $record:ty, $($packets:ident $link:ident $ip:ident $payload:ident $first:ident $last:ident
     $ttl_min:ident $ttl_max:ident [$($flag:ident)+] $window:ident $scale:ident $mss:ident $sack:ident
     $retransmitted:ident $retransmitted_bytes:ident $out_of_order:ident $zero_window:ident $gap_bytes:ident
     $gaps:ident)+) => {
        fn $name(record: &mut $record, side: &Side) {
            let has_sent = side.packets > 0;
            $(
                record.$packets = count(side.packets);
                record.$link = count(side.link_bytes);
                record.$ip = count(side.ip_bytes);
                record.$payload = count(side.payload_bytes);
                record.$first = has_sent.then_some(side.first_ts_ns);
                record.$last = has_sent.then_some(side.last_ts_ns);
                record.$ttl_min = has_sent.then_some(side.ttl_min.into());
                record.$ttl_max = has_sent.then_some(side.ttl_max.into());
                let mut flags = side.flag_packets.iter();
                $(record.$flag = flags.next().map_or(0, |&packets| packets.into());)+
                record.$window = side.window_first.map(u32::from);
                record.$scale = side.window_scale.map(u32::from);
                record.$mss = side.mss.map(u32::from);
                record.$sack = side.sack_permitted;
                record.$retransmitted = side.retransmitted_packets.into();
                record.$retransmitted_bytes = count(side.retransmitted_bytes);
                record.$out_of_order = side.out_of_order_packets.into();
                record.$zero_window = side.zero_window_packets.into();
                record.$gap_bytes = count(side.gap_bytes);
                record.$gaps = side.gaps.into();
            )+
        }
    };
}

/// Connection and Flow have the same fields for what they both tell.
macro_rules! fill {
    ($fill:ident, $record:ty, $originator:ident, $responder:ident) => {
        fn $fill(record: &mut $record, flow: &Flow, detail: &Detail, reason: EndReason) {
            let key = flow.key();
            record.duration_ns = detail.last_ts_ns.saturating_sub(detail.first_ts_ns);
            record.ip_protocol = key.protocol().into();
            record.ip_protocol_name.push_str(ip_protocol_name(key.protocol()));
            record.conn_state.push_str(detail.conn_state());
            record.history.push_str(detail.history.as_str());
            record.set_end_reason(reason);
            record.partial = detail.partial;
            record.late = flow.is_late();
            if let Some(mac) = detail.orig_mac {
                push_mac(&mut record.orig_mac, &mac);
            }
            if let Some(mac) = detail.resp_mac {
                push_mac(&mut record.resp_mac, &mac);
            }
            if let Some((name, id)) = key.encapsulation() {
                record.encapsulation.push_str(name);
                record.encapsulation_id = Some(id.into());
            }
            record.syn_rtt_ns = detail.syn_rtt_ns;
            record.ack_rtt_ns = detail.ack_rtt_ns;
            record.weird_count = count(detail.weird_count);
            record.truncated_packets = count(detail.truncated_packets);
            $originator(record, &detail.orig);
            $responder(record, &detail.resp);
        }

        fill_side! { $originator, $record,
            orig_packets orig_link_bytes orig_ip_bytes orig_payload_bytes orig_first_ts_ns orig_last_ts_ns orig_ttl_min
            orig_ttl_max [orig_fin_packets orig_syn_packets orig_rst_packets orig_psh_packets orig_ack_packets
            orig_urg_packets orig_ece_packets orig_cwr_packets] orig_window_first orig_window_scale orig_mss_bytes
            orig_sack_permitted orig_retransmitted_packets orig_retransmitted_bytes orig_out_of_order_packets
            orig_zero_window_packets orig_gap_bytes orig_gaps
        }

        fill_side! { $responder, $record,
            resp_packets resp_link_bytes resp_ip_bytes resp_payload_bytes resp_first_ts_ns resp_last_ts_ns resp_ttl_min
            resp_ttl_max [resp_fin_packets resp_syn_packets resp_rst_packets resp_psh_packets resp_ack_packets
            resp_urg_packets resp_ece_packets resp_cwr_packets] resp_window_first resp_window_scale resp_mss_bytes
            resp_sack_permitted resp_retransmitted_packets resp_retransmitted_bytes resp_out_of_order_packets
            resp_zero_window_packets resp_gap_bytes resp_gaps
        }
    };
}

fill! { fill_connection, record::Connection, fill_connection_originator, fill_connection_responder }
fill! { fill_flow, record::Flow, fill_flow_originator, fill_flow_responder }
