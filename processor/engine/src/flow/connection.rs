//! The record of a connection that is over.

use weir_contract::{EndReason, record};

use super::{
    detail::Detail,
    key::FlowKey,
    side::Side,
    table::{Ended, Flow},
};
use crate::{
    flow::Identity,
    names::ip_protocol_name,
    output::{Output, Scope, push_mac},
};

/// Writes the Connection of a flow that ended.
pub(crate) fn write_connection(out: &mut Output, ended: Ended<'_>, identity: Identity) {
    let Ended { flow, detail, reason } = ended;
    let previous = out.scope();
    out.set_scope(connection_scope(flow, detail, identity), false);
    if let Some(mut connection) = out.record::<record::Connection>() {
        connection.ts_ns = detail.first_ts_ns;
        connection.packet_number = detail.last_number;
        fill(&mut connection, flow.key(), detail, reason);
        push_service(&mut connection.service, flow, detail);
        connection.late = flow.is_late();
    }
    out.set_scope(previous, false);
}

/// The protocols that were found in it, in that order.
fn push_service(service: &mut String, flow: &Flow, detail: &Detail) {
    service.push_str(flow.service().name());
    for name in detail.services.names() {
        if !service.is_empty() {
            service.push(',');
        }
        service.push_str(name);
    }
}

/// What the records of a connection have in common: endpoints from originator to responder.
pub(crate) fn connection_scope(flow: &Flow, detail: &Detail, identity: Identity) -> Scope {
    let key = flow.key();
    let ((low, high), (low_port, high_port)) = (key.addresses(), key.ports());
    let (addresses, ports) = if flow.originator_is_high() {
        ((high, low), (high_port, low_port))
    } else {
        ((low, high), (low_port, high_port))
    };
    Scope {
        addresses: Some(addresses),
        ports,
        identity: Some(identity),
        vlans: detail.vlans,
        tunnel_depth: detail.tunnel_depth,
    }
}

fn fill(connection: &mut record::Connection, key: &FlowKey, detail: &Detail, reason: EndReason) {
    connection.duration_ns = detail.last_ts_ns.saturating_sub(detail.first_ts_ns);
    connection.ip_protocol = key.protocol().into();
    connection.ip_protocol_name.push_str(ip_protocol_name(key.protocol()));
    connection.conn_state.push_str(detail.conn_state());
    connection.history.push_str(detail.history.as_str());
    connection.set_end_reason(reason);
    connection.partial = detail.partial;
    if let Some(mac) = detail.orig_mac {
        push_mac(&mut connection.orig_mac, &mac);
    }
    if let Some(mac) = detail.resp_mac {
        push_mac(&mut connection.resp_mac, &mac);
    }
    if let Some((name, id)) = key.encapsulation() {
        connection.encapsulation.push_str(name);
        connection.encapsulation_id = Some(id.into());
    }
    connection.syn_rtt_ns = detail.syn_rtt_ns;
    connection.ack_rtt_ns = detail.ack_rtt_ns;
    connection.weird_count = count(detail.weird_count);
    connection.truncated_packets = count(detail.truncated_packets);
    fill_originator(connection, &detail.orig);
    fill_responder(connection, &detail.resp);
}

/// Counters of 64 bits hold less than 2⁶³ of anything.
fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The two halves of the record differ in their prefix only.
macro_rules! fill_side {
    ($name:ident, $($packets:ident $link:ident $ip:ident $payload:ident $first:ident $last:ident $ttl_min:ident
     $ttl_max:ident [$($flag:ident)+] $window:ident $scale:ident $mss:ident $sack:ident $retransmitted:ident
     $retransmitted_bytes:ident $out_of_order:ident $zero_window:ident $gap_bytes:ident $gaps:ident)+) => {
        fn $name(connection: &mut record::Connection, side: &Side) {
            if side.packets == 0 {
                return;
            }
            $(
                connection.$packets = count(side.packets);
                connection.$link = count(side.link_bytes);
                connection.$ip = count(side.ip_bytes);
                connection.$payload = count(side.payload_bytes);
                connection.$first = Some(side.first_ts_ns);
                connection.$last = Some(side.last_ts_ns);
                connection.$ttl_min = Some(side.ttl_min.into());
                connection.$ttl_max = Some(side.ttl_max.into());
                let mut flags = side.flag_packets.iter();
                $(connection.$flag = flags.next().map_or(0, |&packets| packets.into());)+
                connection.$window = side.window_first.map(u32::from);
                connection.$scale = side.window_scale.map(u32::from);
                connection.$mss = side.mss.map(u32::from);
                connection.$sack = side.sack_permitted;
                connection.$retransmitted = side.retransmitted_packets.into();
                connection.$retransmitted_bytes = count(side.retransmitted_bytes);
                connection.$out_of_order = side.out_of_order_packets.into();
                connection.$zero_window = side.zero_window_packets.into();
                connection.$gap_bytes = count(side.gap_bytes);
                connection.$gaps = side.gaps.into();
            )+
        }
    };
}

fill_side! { fill_originator,
    orig_packets orig_link_bytes orig_ip_bytes orig_payload_bytes orig_first_ts_ns orig_last_ts_ns orig_ttl_min
    orig_ttl_max [orig_fin_packets orig_syn_packets orig_rst_packets orig_psh_packets orig_ack_packets orig_urg_packets
    orig_ece_packets orig_cwr_packets] orig_window_first orig_window_scale orig_mss_bytes orig_sack_permitted
    orig_retransmitted_packets orig_retransmitted_bytes orig_out_of_order_packets orig_zero_window_packets
    orig_gap_bytes orig_gaps
}

fill_side! { fill_responder,
    resp_packets resp_link_bytes resp_ip_bytes resp_payload_bytes resp_first_ts_ns resp_last_ts_ns resp_ttl_min
    resp_ttl_max [resp_fin_packets resp_syn_packets resp_rst_packets resp_psh_packets resp_ack_packets resp_urg_packets
    resp_ece_packets resp_cwr_packets] resp_window_first resp_window_scale resp_mss_bytes resp_sack_permitted
    resp_retransmitted_packets resp_retransmitted_bytes resp_out_of_order_packets resp_zero_window_packets
    resp_gap_bytes resp_gaps
}
