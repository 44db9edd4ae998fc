//! Decoders of the layers of a packet, and the walk from one to the next.
//!
//! To add one: a message in `proto/`, a file in this folder that implements [`Layer`], and a line in
//! the list below.

mod tunnel;
mod walk;

use tunnel::Tunnel;
pub(crate) use walk::{Arrival, IpHeader, State, Table, Transport, Walk};

use crate::cursor::{Cursor, Malformed};

layers! {
    ethernet::Ethernet,
    geneve::Geneve,
    gre::Gre,
    gtp_u::GtpU,
    gue::Gue,
    ipip::IpInIp,
    ipv4::Ipv4,
    mpls::Mpls,
    sctp::Sctp,
    tcp::Tcp,
    teredo::Teredo,
    udp::Udp,
    udplite::UdpLite,
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
    /// PPP protocol number.
    Ppp(u16),
    /// Nothing names it, and its bytes don't show what it is. No layer has this key.
    Unnamed,
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
            Self::Ppp(value) => ("ppp_protocol", value.into()),
            Self::Unnamed => ("", 0),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_one_layer() {
        let mut keys: Vec<Key> = LAYERS.iter().flat_map(|entry| entry.keys).copied().collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
