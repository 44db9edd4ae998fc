//! BSD loopback encapsulation (LINKTYPE_NULL, LINKTYPE_LOOP): one record per header.

use weir_contract::record;

use super::{Key, Layer, Next, Walk};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct Loopback;

impl Layer for Loopback {
    const NAME: &'static str = "loopback";
    const KEYS: &'static [Key] = &[Key::LinkType(0), Key::LinkType(108)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let field = input.u32()?;
        // NULL has the capturing machine's byte order, which nothing tells: families are small numbers.
        let big_endian = field <= 0xffff;
        let family = if big_endian { field } else { field.swap_bytes() };
        let network = network_of(family);
        if let Some(mut loopback) = walk.record::<record::Loopback>() {
            loopback.family = family;
            loopback.family_name.push_str(network.map_or("", |(name, _)| name));
            loopback.big_endian = big_endian;
            loopback.payload_bytes = input.remaining_u32();
        }
        let next = network.map_or(Key::AddressFamily(family), |(_, next)| next);
        Ok(Next::Layer(next, input.rest()))
    }
}

/// AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS.
fn network_of(family: u32) -> Option<(&'static str, Key)> {
    match family {
        2 => Some(("ipv4", Key::EtherType(0x0800))),
        10 | 24 | 28 | 30 => Some(("ipv6", Key::EtherType(0x86dd))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    fn packet(family: [u8; 4]) -> Vec<u8> {
        let ip = testing::ipv4(253, b"payload").split_off(14);
        [family.to_vec(), ip].concat()
    }

    #[test]
    fn both_byte_orders_lead_to_ip() {
        let records = testing::decode(0, &[packet([0, 0, 0, 2]), packet([2, 0, 0, 0])]);
        let [big, little] = &records.of::<record::Loopback>()[..] else { panic!("two headers") };
        assert_eq!((big.family, big.big_endian, big.family_name.as_str()), (2, true, "ipv4"));
        assert_eq!((little.family, little.big_endian), (2, false));
        assert_eq!(records.of::<record::Ipv4>().len(), 2);
    }

    #[test]
    fn a_family_without_decoder_is_unknown() {
        // AF_APPLETALK.
        let records = testing::decode(108, &[vec![0, 0, 0, 16, 1, 2, 3]]);
        let unknown = &records.of::<record::Unknown>()[0];
        assert_eq!(
            (unknown.key.as_str(), unknown.value, unknown.head.as_slice()),
            ("address_family", 16, &[1, 2, 3][..])
        );
    }

    #[test]
    fn a_header_cut_short_has_no_record() {
        let records = testing::decode(0, &[vec![2, 0, 0]]);
        assert!(records.of::<record::Loopback>().is_empty());
        assert_eq!(records.weirds(), ["loopback Truncated: ends before its fields do"]);
    }
}
