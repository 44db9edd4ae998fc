//! Names of numbers that several decoders meet.

/// Name of an IP protocol, as in the IANA registry of protocol numbers; empty where it has none here.
pub(crate) fn ip_protocol_name(number: u8) -> &'static str {
    match number {
        0 => "hopopt",
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        8 => "egp",
        17 => "udp",
        27 => "rdp",
        33 => "dccp",
        41 => "ipv6",
        43 => "ipv6-route",
        44 => "ipv6-frag",
        46 => "rsvp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmpv6",
        59 => "ipv6-nonxt",
        60 => "ipv6-opts",
        88 => "eigrp",
        89 => "ospf",
        94 => "ipip",
        97 => "etherip",
        103 => "pim",
        108 => "ipcomp",
        112 => "vrrp",
        115 => "l2tp",
        124 => "isis",
        132 => "sctp",
        135 => "mobility",
        136 => "udplite",
        137 => "mpls-in-ip",
        139 => "hip",
        140 => "shim6",
        _ => "",
    }
}

/// Name of a hardware type, as in the IANA registry of ARP parameters; empty where it has none here.
pub(crate) fn hardware_type_name(hardware_type: u16) -> &'static str {
    match hardware_type {
        1 => "ethernet",
        6 => "ieee802",
        7 => "arcnet",
        15 => "frame-relay",
        16 | 19 | 21 => "atm",
        17 => "hdlc",
        18 => "fibre-channel",
        20 => "serial-line",
        24 => "ieee1394",
        27 => "eui-64",
        31 => "ipsec-tunnel",
        32 => "infiniband",
        _ => "",
    }
}
