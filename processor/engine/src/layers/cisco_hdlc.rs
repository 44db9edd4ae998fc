//! Cisco's HDLC framing of serial lines (RFC 1547 §4.3.1): the way to what it carries. It has no
//! record of its own.

use super::{Key, Layer, Next, Walk};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct CiscoHdlc;

/// Addresses, the first octet.
pub(super) const UNICAST: u8 = 0x0f;
pub(super) const MULTICAST: u8 = 0x8f;

impl Layer for CiscoHdlc {
    const NAME: &'static str = "cisco_hdlc";
    const KEYS: &'static [Key] = &[Key::LinkType(104)];

    fn parse<'a>(mut input: Cursor<'a>, _walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let mut header = input.message_of(4)?;
        header.skip(2)?;
        let ether_type = header.u16()?;
        Ok(Next::Layer(Key::EtherType(ether_type), input.rest()))
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    #[test]
    fn the_ether_type_leads_on() {
        let ip = testing::ipv4(253, b"payload").split_off(14);
        let packet = [&[0x0f, 0, 8, 0][..], &ip].concat();
        let records = testing::decode(104, &[packet, vec![0x0f, 0, 8]]);
        assert_eq!(records.of::<record::Ipv4>().len(), 1);
        assert_eq!(records.weirds(), ["cisco_hdlc Truncated: ends before its fields do"]);
    }
}
