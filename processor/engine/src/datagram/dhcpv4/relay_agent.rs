//! Relay agent information (RFC 3046).

use std::net::Ipv4Addr;

use weir_contract::{Spares, record};

use super::{dhcp::push_opaque, options::parse_sub_options};
use crate::{
    cursor::{Cursor, Malformed},
    output::push_address,
};

/// Reads all sub-options; with an error those that were readable.
pub(super) fn parse(data: Cursor<'_>, spares: &mut Spares) -> (record::DhcpRelayAgent, Result<(), Malformed>) {
    let mut agent: record::DhcpRelayAgent = spares.take();
    let parsed = parse_sub_options(data, &mut agent.sub_options, spares, sub_option_name);
    let list = std::mem::take(&mut agent.sub_options);
    for option in &list {
        read_sub_option(option, &mut agent);
    }
    agent.sub_options = list;
    (agent, parsed)
}

fn read_sub_option(option: &record::DhcpOption, agent: &mut record::DhcpRelayAgent) {
    let data = Cursor::new(&option.data);
    match option.code {
        1 => push_opaque(&mut agent.circuit_id, &data),
        2 => push_opaque(&mut agent.remote_id, &data),
        5 => push_ipv4(&mut agent.link_selection_ip, &option.data),
        6 => push_opaque(&mut agent.subscriber_id, &data),
        11 => push_ipv4(&mut agent.server_id_override, &option.data),
        _ => {}
    }
}

fn push_ipv4(out: &mut String, data: &[u8]) {
    if let Ok(octets) = <[u8; 4]>::try_from(data) {
        out.clear();
        push_address(out, Ipv4Addr::from(octets).into());
    }
}

/// IANA DHCP relay agent sub-option codes.
fn sub_option_name(code: u8) -> &'static str {
    match code {
        1 => "circuit_id",
        2 => "remote_id",
        4 => "docsis_device_class",
        5 => "link_selection",
        6 => "subscriber_id",
        7 => "radius_attributes",
        8 => "authentication",
        9 => "vendor_specific",
        10 => "relay_agent_flags",
        11 => "server_id_override",
        12 => "relay_id",
        13 => "access_technology",
        14 => "access_network_name",
        15 => "access_point_name",
        16 => "access_point_bssid",
        17 => "operator_id",
        18 => "operator_realm",
        19 => "relay_source_port",
        133 => "link_layer_address",
        134 => "physical_layer_address",
        150 => "link_selection_old",
        151 => "virtual_subnet",
        152 => "server_id_override_old",
        _ => "",
    }
}
