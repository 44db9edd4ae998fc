//! Ethernet (IEEE 802.3 §3): one record per header.

use weir_contract::record;

use super::{Key, Layer, Next, Walk};
use crate::{
    cursor::{Cursor, Malformed},
    output::push_mac,
};

pub(crate) struct Ethernet;

/// Below this the field is a length and LLC follows (IEEE 802.3 §3.2.6).
pub(super) const ETHER_TYPE_MIN: u16 = 1536;

/// Transparent Ethernet bridging: the EtherType of Ethernet in GRE (RFC 1701).
const BRIDGED: u16 = 0x6558;

impl Layer for Ethernet {
    const NAME: &'static str = "ethernet";
    const KEYS: &'static [Key] = &[Key::LinkType(1), Key::EtherType(BRIDGED)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = input.header(&[6, 6, 2])?;
        let (dst_mac, src_mac) = ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]);
        let ether_type = u16::from_be_bytes([t0, t1]);
        walk.macs = Some((src_mac, dst_mac));
        if let Some(mut ethernet) = walk.out().record::<record::Ethernet>() {
            push_mac(&mut ethernet.src_mac, &src_mac);
            push_mac(&mut ethernet.dst_mac, &dst_mac);
            if ether_type >= ETHER_TYPE_MIN {
                ethernet.ether_type = ether_type.into();
            } else {
                ethernet.length_bytes = Some(ether_type.into());
            }
            ethernet.payload_bytes = u32::try_from(input.remaining()).unwrap_or(u32::MAX);
        }
        if ether_type >= ETHER_TYPE_MIN {
            return Ok(Next::Layer(Key::EtherType(ether_type), input.rest()));
        }
        Ok(Next::Layer(Key::Llc, input.message_up_to(ether_type.into())))
    }
}
