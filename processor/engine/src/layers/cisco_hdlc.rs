//! Cisco's HDLC framing of serial lines (RFC 1547 §4.3.1): the way to what it carries. It has no
//! record of its own.

use super::{Key, Layer, Next, Walk};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct CiscoHdlc;

/// Addresses, the first octet.
pub(super) const UNICAST: u8 = 0x0f;
pub(super) const MULTICAST: u8 = 0x8f;

/// Serial Line ARP, which has the EtherType of Reverse ARP and no other likeness to it. Protocols are
/// EtherTypes otherwise.
const SLARP: u16 = 0x8035;

impl Layer for CiscoHdlc {
    const NAME: &'static str = "cisco_hdlc";
    const KEYS: &'static [Key] = &[Key::LinkType(104)];

    fn parse<'a>(mut input: Cursor<'a>, _walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let mut header = input.message_of(4)?;
        header.skip(2)?;
        let next = match header.u16()? {
            SLARP => Key::CiscoHdlc(SLARP),
            ether_type => Key::EtherType(ether_type),
        };
        Ok(Next::Layer(next, input.rest()))
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    #[test]
    fn slarp_is_no_reverse_arp() {
        // A keep-alive: type 2, sequence numbers 4 and 3, reliability 0xffff, uptime; would be an ARP header.
        let keep_alive = [0x8f, 0, 0x80, 0x35, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3, 0xff, 0xff, 0, 0, 0, 9];
        let records = testing::decode(104, &[keep_alive.to_vec()]);
        assert!(records.of::<record::Arp>().is_empty());
        let unknown = &records.of::<record::Unknown>()[0];
        assert_eq!((unknown.key.as_str(), unknown.value), ("cisco_hdlc_protocol", 0x8035));
    }

    #[test]
    fn the_ether_type_leads_on() {
        let ip = testing::ipv4(253, b"payload").split_off(14);
        let packet = [&[0x0f, 0, 8, 0][..], &ip].concat();
        let records = testing::decode(104, &[packet, vec![0x0f, 0, 8]]);
        assert_eq!(records.of::<record::Ipv4>().len(), 1);
        assert_eq!(records.weirds(), ["cisco_hdlc Truncated: ends before its fields do"]);
    }
}
