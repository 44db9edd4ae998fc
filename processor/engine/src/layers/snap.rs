//! Subnetwork access protocol (IEEE 802 §9.2): one record per header.

use weir_contract::record;

use super::{Key, Layer, Next, Walk};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct Snap;

/// Organisations whose protocol identifiers are EtherTypes: RFC 1042, and IEEE 802.1H for bridges.
const ENCAPSULATED_ETHERNET: u32 = 0;
const BRIDGE_TUNNEL: u32 = 0x0000f8;

impl Layer for Snap {
    const NAME: &'static str = "snap";
    const KEYS: &'static [Key] = &[Key::LlcSap(0xaa)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let oui = input.u24()?;
        let protocol = input.u16()?;
        if let Some(mut snap) = walk.record::<record::Snap>() {
            snap.oui = oui;
            snap.protocol = protocol.into();
            snap.payload_bytes = input.remaining_u32();
        }
        let next = match oui {
            ENCAPSULATED_ETHERNET | BRIDGE_TUNNEL => Key::EtherType(protocol),
            oui => Key::Snap { oui, protocol },
        };
        Ok(Next::Layer(next, input.rest()))
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    /// An Ethernet frame with a length, LLC, and a SNAP header with these bytes behind it.
    fn frame(snap: [u8; 5], payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0];
        frame.push(u8::try_from(8 + payload.len()).unwrap());
        frame.extend([0xaa, 0xaa, 0x03]);
        frame.extend(snap);
        frame.extend(payload);
        frame
    }

    #[test]
    fn ether_types_lead_on() {
        let ip = testing::ipv4(253, b"payload").split_off(14);
        let records = testing::decode(testing::ETHERNET, &[frame([0, 0, 0, 8, 0], &ip)]);
        assert_eq!(records.of::<record::Snap>()[0].protocol, 0x0800);
        assert_eq!(records.of::<record::Ipv4>()[0].payload_bytes, 7);
    }

    #[test]
    fn protocols_of_an_organisation_are_unknown() {
        // Cisco's discovery protocol.
        let records = testing::decode(testing::ETHERNET, &[frame([0, 0, 0x0c, 0x20, 0], &[2, 180])]);
        assert_eq!(records.of::<record::Snap>()[0].oui, 0x0c);
        let unknown = &records.of::<record::Unknown>()[0];
        assert_eq!((unknown.key.as_str(), unknown.value), ("snap_protocol", 0x2000));
    }

    #[test]
    fn a_header_cut_short_has_no_record() {
        let whole = frame([0, 0, 0, 8, 0], &[]);
        for length in 18..22 {
            let records = testing::decode(testing::ETHERNET, &[whole[..length].to_vec()]);
            assert!(records.of::<record::Snap>().is_empty());
            assert_eq!(records.weirds(), ["snap Truncated: ends before its fields do"]);
        }
    }
}
