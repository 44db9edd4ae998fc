//! Decoders of the layers of a packet, and the walk from one to the next.
//!
//! To add one: a message in `proto/`, a file in this folder that implements [`Layer`], and a line in
//! the list below.

mod icmp_error;
mod multicast;
mod packet;
mod table;
mod tunnel;
mod walk;

pub(crate) use table::Table;
use tunnel::Tunnel;
pub(crate) use walk::{Arrival, IpHeader, State, Transport, Walk};

use crate::cursor::{Cursor, Malformed};

layers! {
    arp::Arp,
    cisco_hdlc::CiscoHdlc,
    ethernet::Ethernet,
    geneve::Geneve,
    gre::Gre,
    gtp_u::GtpU,
    gue::Gue,
    icmpv4::Icmpv4,
    icmpv6::Icmpv6,
    igmp::Igmp,
    ipip::IpInIp,
    ipsec_ah::IpsecAh,
    ipv4::Ipv4,
    ipv6::Ipv6,
    ipv6_extension::Ipv6Extension,
    ipv6_fragment::Ipv6Fragment,
    ipv6_hop_by_hop::Ipv6HopByHop,
    ipv6_no_next_header::Ipv6NoNextHeader,
    linux_sll::LinuxSll,
    llc::Llc,
    loopback::Loopback,
    mac_sec::MacSec,
    mld::Mld,
    mpls::Mpls,
    ndp::Ndp,
    nflog::Nflog,
    ppp::Ppp,
    pppoe::Pppoe,
    raw_ip::RawIp,
    sctp::Sctp,
    snap::Snap,
    tcp::Tcp,
    teredo::Teredo,
    udp::Udp,
    udplite::UdpLite,
    vlan::Vlan,
    vxlan::Vxlan,
}

/// A protocol that other protocols follow, or that ends the packet.
pub(crate) trait Layer {
    /// The protocol's name, as in `Weird.layer` and `Packet.layers`.
    const NAME: &'static str;

    /// Under which keys the layers below name it.
    const KEYS: &'static [Key];

    /// Whether bytes behind a UDP port of [`Self::KEYS`] are this protocol's: ports prove nothing.
    fn accepts(_bytes: &[u8]) -> bool {
        true
    }

    /// Reads its header, writes its record, and says what follows.
    fn parse<'a>(input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed>;
}

/// How a layer names the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// LINKTYPE_ value of a capture (https://www.tcpdump.org/linktypes.html).
    LinkType(u16),
    /// IEEE 802 EtherType.
    EtherType(u16),
    /// IP protocol number, or IPv6 next header.
    IpProtocol(u8),
    /// UDP port of a tunnel.
    UdpPort(u16),
    /// IEEE 802.2 logical link control: what follows an Ethernet header with a length.
    Llc,
    /// Destination service access point of IEEE 802.2.
    LlcSap(u8),
    /// Protocol identifier of an organisation in a SNAP header.
    Snap { oui: u32, protocol: u16 },
    /// PPP protocol number.
    Ppp(u16),
    /// Protocol of Cisco's HDLC framing that is no EtherType.
    CiscoHdlc(u16),
    /// Nothing names it, and its bytes don't show what it is. No layer has this key.
    Unnamed,
    /// Address family of the capturing system.
    AddressFamily(u32),
    /// Type of an ICMPv6 message that has a record of its own; its bytes begin with the type.
    Icmpv6Type(u8),
}

impl Key {
    /// As in `Unknown.key`.
    pub(crate) fn kind_and_value(self) -> (&'static str, u32) {
        match self {
            Self::LinkType(value) => ("link_type", value.into()),
            Self::EtherType(value) => ("ether_type", value.into()),
            Self::IpProtocol(value) => ("ip_protocol", value.into()),
            Self::UdpPort(value) => ("udp_port", value.into()),
            Self::Llc => ("llc", 0),
            Self::LlcSap(value) => ("llc_sap", value.into()),
            Self::Snap { protocol, .. } => ("snap_protocol", protocol.into()),
            Self::Ppp(value) => ("ppp_protocol", value.into()),
            Self::CiscoHdlc(value) => ("cisco_hdlc_protocol", value.into()),
            Self::Unnamed => ("", 0),
            Self::AddressFamily(value) => ("address_family", value),
            Self::Icmpv6Type(value) => ("icmpv6_type", value.into()),
        }
    }
}

/// What comes after a layer.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// Bytes of the protocol of that key.
    Layer(Key, Cursor<'a>),
    /// A datagram whose last fragment the packet was.
    Reassembled(Key, Vec<u8>),
    /// Nothing that is read further.
    End,
}

/// A row of the table of layers.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
    pub(crate) accepts: fn(&[u8]) -> bool,
    pub(crate) parse: for<'a> fn(Cursor<'a>, &mut Walk<'_>) -> Result<Next<'a>, Malformed>,
}

impl Entry {
    const fn of<L: Layer>(_: std::marker::PhantomData<L>) -> Self {
        Self { name: L::NAME, keys: L::KEYS, accepts: L::accepts, parse: L::parse }
    }
}

/// Declares the layers' modules and the table of them.
macro_rules! layers {
    ($($module:ident::$layer:ident,)+) => {
        $(mod $module;)+

        pub(crate) static LAYERS: &[Entry] = &[$(Entry::of(std::marker::PhantomData::<$module::$layer>),)+];
    };
}
use layers;
