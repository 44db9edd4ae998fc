//! VLAN tags (IEEE 802.1Q §9.6): one record per tag.

use weir_contract::record;

use super::{Key, Layer, Next, Walk, ethernet::ETHER_TYPE_MIN};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct Vlan;

impl Layer for Vlan {
    const NAME: &'static str = "vlan";
    const KEYS: &'static [Key] = &[Key::EtherType(0x8100), Key::EtherType(0x88a8), Key::EtherType(0x9100)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let mut header = input.message_of(4)?;
        let control = header.u16()?;
        let ether_type = header.u16()?;
        let id = control & 0xfff;
        // The null identifier marks a tag that gives a priority only (IEEE 802.1Q table 9-2).
        if id != 0 {
            walk.push_vlan(id);
        }
        let (_, tag_protocol) = walk.key.kind_and_value();
        if let Some(mut vlan) = walk.record::<record::Vlan>() {
            vlan.tag_protocol = tag_protocol;
            vlan.priority = (control >> 13).into();
            vlan.drop_eligible = control & 0x1000 != 0;
            vlan.vlan_id = id.into();
            if ether_type >= ETHER_TYPE_MIN {
                vlan.ether_type = ether_type.into();
            } else {
                vlan.length_bytes = Some(ether_type.into());
            }
            vlan.payload_bytes = input.remaining_u32();
        }
        if ether_type >= ETHER_TYPE_MIN {
            return Ok(Next::Layer(Key::EtherType(ether_type), input.rest()));
        }
        Ok(Next::Layer(Key::Llc, input.message_up_to(ether_type.into())))
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    /// Destination, source, a service tag and a customer tag, and an IPv4 header without payload.
    fn double_tagged() -> Vec<u8> {
        let mut frame = testing::ipv4(253, &[]);
        // 802.1ad, priority 5, id 100; 802.1Q, priority 1, drop eligible, id 7.
        frame.splice(12..12, [0x88, 0xa8, 0xa0, 0x64, 0x81, 0x00, 0x30, 0x07]);
        frame
    }

    #[test]
    fn both_tags_have_records_and_the_packet_is_in_both() {
        let records = testing::decode(testing::ETHERNET, &[double_tagged()]);
        let [outer, inner] = &records.of::<record::Vlan>()[..] else { panic!("two tags") };
        assert_eq!((outer.tag_protocol, outer.priority, outer.drop_eligible, outer.vlan_id), (0x88a8, 5, false, 100));
        assert_eq!((inner.tag_protocol, inner.priority, inner.drop_eligible, inner.vlan_id), (0x8100, 1, true, 7));
        assert_eq!((outer.ether_type, inner.ether_type), (0x8100, 0x0800));
        let ipv4 = &records.of::<record::Ipv4>()[0];
        assert_eq!(ipv4.meta.as_ref().unwrap().vlan, [100, 7]);
    }

    #[test]
    fn a_priority_tag_is_no_vlan() {
        let mut frame = testing::ipv4(253, &[]);
        frame.splice(12..12, [0x81, 0x00, 0xe0, 0x00]);
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.of::<record::Vlan>()[0].priority, 7);
        assert!(records.of::<record::Ipv4>()[0].meta.as_ref().unwrap().vlan.is_empty());
    }

    #[test]
    fn a_tag_cut_short_has_no_record() {
        for length in 14..18 {
            let records = testing::decode(testing::ETHERNET, &[double_tagged()[..length].to_vec()]);
            assert!(records.of::<record::Vlan>().is_empty());
            assert_eq!(records.weirds(), ["vlan Truncated: ends before its fields do"]);
        }
    }

    #[test]
    fn more_tags_than_layers_end_the_walk() {
        let mut frame = vec![0; 12];
        frame.extend([0x81, 0x00, 0x00, 0x01].repeat(40));
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.of::<record::Vlan>().len(), 15);
        assert_eq!(records.weirds(), ["vlan TooManyLayers: more than 16 layers"]);
    }
}
