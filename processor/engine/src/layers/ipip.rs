//! IP in IP (RFC 2003, RFC 4213 §3, RFC 2473; IP protocol 94 KA9Q): a Tunnel record per flow.

use std::net::IpAddr;

use weir_contract::WeirdReason;

use super::{Key, Layer, Next, Tunnel, Walk, tunnel};
use crate::{
    cursor::{Cursor, Malformed},
    flow::Encapsulation,
};

pub(crate) struct IpInIp;

impl Layer for IpInIp {
    const NAME: &'static str = "ipip";
    const KEYS: &'static [Key] = &[Key::IpProtocol(4), Key::IpProtocol(41), Key::IpProtocol(94)];

    fn parse<'a>(input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        if input.is_empty() {
            return Ok(Next::End);
        }
        let Some(key) = tunnel::ip_version(input.peek()) else {
            return Err(input.malformed(WeirdReason::BadVersion, "version of the inner packet is neither 4 nor 6"));
        };
        let is_in_ipv4 = matches!(walk.scope.addresses, Some((IpAddr::V4(_), _)));
        let kind = if is_in_ipv4 && key == tunnel::IPV6 { "6in4" } else { "ipip" };
        walk.enter_tunnel(Tunnel { kind, identifier: None, encapsulation: Encapsulation::default() }, key, input)
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record::{Ipv4, Tunnel};

    use crate::testing;

    #[test]
    fn ipv4_in_ipv4() {
        let inner = testing::udp(1000, 2000, b"payload");
        for protocol in [4, 94] {
            let frame = testing::ipv4(protocol, testing::packet_of(&inner));
            let records = testing::decode(testing::ETHERNET, &[frame]);
            let [tunnel] = &records.of::<Tunnel>()[..] else { panic!("one tunnel") };
            assert_eq!((tunnel.kind.as_str(), tunnel.inner_protocol.as_str()), ("ipip", "ipv4"));
            assert_eq!((tunnel.identifier, records.of::<Ipv4>().len()), (None, 2));
        }
    }

    #[test]
    fn ipv6_on_either_side() {
        let kind = |frame: Vec<u8>| {
            let tunnel = testing::decode(testing::ETHERNET, &[frame]).of::<Tunnel>().remove(0);
            (tunnel.kind, tunnel.inner_protocol)
        };
        let (ipv4, ipv6) = (testing::udp(1000, 2000, b"payload"), testing::ipv6(59, &[]));
        let (ipv4, ipv6) = (testing::packet_of(&ipv4), testing::packet_of(&ipv6));
        assert_eq!(kind(testing::ipv4(41, ipv6)), ("6in4".to_owned(), "ipv6".to_owned()));
        assert_eq!(kind(testing::ipv6(41, ipv6)), ("ipip".to_owned(), "ipv6".to_owned()));
        assert_eq!(kind(testing::ipv6(4, ipv4)), ("ipip".to_owned(), "ipv4".to_owned()));
    }

    #[test]
    fn other_versions_are_weird() {
        let records = testing::decode(testing::ETHERNET, &[testing::ipv4(4, &[0x50; 20])]);
        assert_eq!(records.weirds(), ["ipip BadVersion: version of the inner packet is neither 4 nor 6"]);
        assert!(records.of::<Tunnel>().is_empty());
    }
}
