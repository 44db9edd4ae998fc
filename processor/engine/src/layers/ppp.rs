//! PPP (RFC 1661 §2): the way to what it carries. It has no record of its own.

use super::{
    Key, Layer, Next, Walk,
    cisco_hdlc::{MULTICAST, UNICAST},
};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct Ppp;

const PPP: Key = Key::LinkType(9);
const PPP_HDLC: Key = Key::LinkType(50);
/// What either type holds where a frame begins with an address and the control octet of Cisco's framing.
const CISCO_HDLC: Key = Key::LinkType(104);

/// All stations, unnumbered information: may be left out (RFC 1662 §3.1, RFC 1661 §6.6).
const ADDRESS_AND_CONTROL: [u8; 2] = [0xff, 0x03];

impl Layer for Ppp {
    const NAME: &'static str = "ppp";
    const KEYS: &'static [Key] = &[PPP, PPP_HDLC, Key::EtherType(0x880b)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        if matches!(walk.key, PPP | PPP_HDLC) && matches!(input.peek(), [UNICAST | MULTICAST, 0, ..]) {
            return Ok(Next::Layer(CISCO_HDLC, input.rest()));
        }
        if input.peek().starts_with(&ADDRESS_AND_CONTROL) {
            input.skip(2)?;
        }
        let mut protocol = u16::from(input.u8()?);
        // May be cut to its lower octet, which alone is odd (RFC 1661 §6.5).
        if protocol & 1 == 0 {
            protocol = protocol << 8 | u16::from(input.u8()?);
        }
        let next = match protocol {
            0x0021 => Key::EtherType(0x0800),
            0x0057 => Key::EtherType(0x86dd),
            0x0281 => Key::EtherType(0x8847),
            0x0283 => Key::EtherType(0x8848),
            protocol => Key::Ppp(protocol),
        };
        Ok(Next::Layer(next, input.rest()))
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    #[test]
    fn headers_of_all_lengths_lead_to_ip() {
        let ip = testing::ipv4(253, b"payload").split_off(14);
        let headers: [&[u8]; 4] = [&[0xff, 3, 0, 0x21], &[0xff, 3, 0x21], &[0, 0x21], &[0x21]];
        let packets = headers.map(|header| [header, &ip].concat());
        let records = testing::decode(9, &packets);
        assert_eq!(records.of::<record::Ipv4>().len(), 4);
    }

    #[test]
    fn serial_lines_may_have_ciscos_framing() {
        let ip = testing::ipv4(253, b"payload").split_off(14);
        let packets = [[&[0x0f, 0, 8, 0][..], &ip].concat(), [&[0xff, 3, 0, 0x21][..], &ip].concat()];
        for link_type in [9, 50] {
            let records = testing::decode(link_type, &packets);
            assert_eq!(records.of::<record::Ipv4>().len(), 2);
        }
    }

    #[test]
    fn other_protocols_are_unknown() {
        // LCP, an echo request.
        let records = testing::decode(9, &[vec![0xff, 3, 0xc0, 0x21, 9, 1, 0, 8]]);
        let unknown = &records.of::<record::Unknown>()[0];
        assert_eq!((unknown.key.as_str(), unknown.value, unknown.unread_bytes), ("ppp_protocol", 0xc021, 4));
    }

    #[test]
    fn a_header_cut_short_is_weird() {
        for packet in [vec![], vec![0xff, 3], vec![0xff, 3, 0]] {
            let records = testing::decode(9, &[packet]);
            assert_eq!(records.weirds(), ["ppp Truncated: ends before its fields do"]);
        }
    }
}
