//! VXLAN (RFC 7348 §5), with the group policy extension (draft-smith-vxlan-group-policy) and the
//! generic protocol extension (draft-ietf-nvo3-vxlan-gpe): one record per header.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |R|R|R|R|I|R|R|R|                   Reserved                    |  RFC 7348
//! |G|R|R|R|I|R|R|R|R|D|R|R|A|R|R|R|        Group Policy ID        |  group policy
//! |R|R|Ver|I|P|B|O|           Reserved            | Next Protocol |  generic protocol
//! |                VXLAN Network Identifier       |    Reserved   |
//! ```

use weir_contract::record;

use super::{Key, Layer, Next, Tunnel, Walk, tunnel};
use crate::{
    cursor::{Cursor, Malformed},
    flow::{Encapsulation, EncapsulationKind},
};

pub(crate) struct Vxlan;

impl Layer for Vxlan {
    const NAME: &'static str = "vxlan";
    /// IANA's port, the one Linux used before, and that of the generic protocol extension.
    const KEYS: &'static [Key] = &[Key::UdpPort(4789), Key::UdpPort(8472), Key::UdpPort(4790)];

    fn accepts(bytes: &[u8]) -> bool {
        let mut input = Cursor::new(bytes);
        Header::read(&mut input).is_ok_and(|header| header.format(input.peek()).is_some())
    }

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let header = Header::read(&mut input)?;
        let format = header.format(input.peek());
        if let Some(mut vxlan) = walk.record::<record::Vxlan>() {
            vxlan.flags = header.flags.into();
            vxlan.vni = header.vni();
            vxlan.reserved_bits = header.clean_format().is_none();
            vxlan.payload_bytes = input.remaining_u32();
            match format {
                Some(Format::GroupPolicy) => {
                    vxlan.group_policy_id = Some(u16::from_be_bytes([header.middle[1], header.middle[2]]).into());
                    vxlan.dont_learn = header.middle[0] & DONT_LEARN != 0;
                    vxlan.policy_applied = header.middle[0] & POLICY_APPLIED != 0;
                }
                Some(Format::GenericProtocol(number)) => {
                    vxlan.next_protocol = Some(number.into());
                    vxlan.next_protocol_name.push_str(next_protocol(number).1);
                }
                Some(Format::Plain) | None => {}
            }
        }
        let key = match format {
            Some(Format::GenericProtocol(number)) => next_protocol(number).0,
            _ => tunnel::ETHERNET,
        };
        let tunnel = Tunnel {
            kind: "vxlan",
            identifier: Some(header.vni()),
            encapsulation: Encapsulation { kind: EncapsulationKind::Vxlan, id: header.vni() },
        };
        walk.enter_tunnel(tunnel, key, input.rest())
    }
}

const GROUP_POLICY: u8 = 0x80;
const VNI_VALID: u8 = 0x08;
const NEXT_PROTOCOL: u8 = 0x04;
const DONT_LEARN: u8 = 0x40;
const POLICY_APPLIED: u8 = 0x08;

enum Format {
    Plain,
    GroupPolicy,
    GenericProtocol(u8),
}

struct Header {
    flags: u8,
    middle: [u8; 3],
    vni_and_reserved: u32,
}

impl Header {
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut header = Cursor::new(input.take(8)?);
        Ok(Self { flags: header.u8()?, middle: header.array()?, vni_and_reserved: header.u32()? })
    }

    fn vni(&self) -> u32 {
        self.vni_and_reserved >> 8
    }

    /// The format whose reserved bits are all 0. RFC 7348 wants them ignored, so where some are
    /// set the payload must show what it is.
    fn format(&self, payload: &[u8]) -> Option<Format> {
        if self.flags & VNI_VALID == 0 {
            return None;
        }
        if let Some(format) = self.clean_format() {
            return Some(format);
        }
        if tunnel::looks_like_ethernet(payload) {
            let is_group_policy = self.flags & GROUP_POLICY != 0;
            return Some(if is_group_policy { Format::GroupPolicy } else { Format::Plain });
        }
        // Senders of the generic protocol extension that forget its flag.
        let [0, 0, number] = self.middle else { return None };
        let is_generic = tunnel::ip_version(payload).is_some_and(|key| key == next_protocol(number).0);
        is_generic.then_some(Format::GenericProtocol(number))
    }

    fn clean_format(&self) -> Option<Format> {
        const OTHER_GENERIC_FLAGS: u8 = 0x03;
        if self.vni_and_reserved & 0xff != 0 {
            return None;
        }
        match (self.flags, self.middle) {
            (VNI_VALID, [0, 0, 0]) => Some(Format::Plain),
            (flags, [bits, _, _])
                if flags == VNI_VALID | GROUP_POLICY && bits & !(DONT_LEARN | POLICY_APPLIED) == 0 =>
            {
                Some(Format::GroupPolicy)
            }
            (flags, [0, 0, number])
                if flags & !OTHER_GENERIC_FLAGS == VNI_VALID | NEXT_PROTOCOL && !next_protocol(number).1.is_empty() =>
            {
                Some(Format::GenericProtocol(number))
            }
            _ => None,
        }
    }
}

/// What the generic protocol extension's numbers stand for, and their names (§3.2).
fn next_protocol(number: u8) -> (Key, &'static str) {
    match number {
        1 => (tunnel::IPV4, "ipv4"),
        2 => (tunnel::IPV6, "ipv6"),
        3 => (tunnel::ETHERNET, "ethernet"),
        4 => (tunnel::NSH, "nsh"),
        5 => (tunnel::MPLS, "mpls"),
        _ => (Key::Unnamed, ""),
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record::{Ethernet, Ipv4, Unknown, Vxlan};

    use crate::testing;

    fn decode(port: u16, header: [u8; 8], payload: &[u8]) -> testing::Records {
        testing::decode(testing::ETHERNET, &[testing::udp(50000, port, &[&header[..], payload].concat())])
    }

    fn frame() -> Vec<u8> {
        testing::udp(1000, 2000, b"payload")
    }

    #[test]
    fn a_frame_in_a_virtual_network() {
        let records = decode(4789, [8, 0, 0, 0, 0x12, 0x34, 0x56, 0], &frame());
        let [vxlan] = &records.of::<Vxlan>()[..] else { panic!("one header") };
        assert_eq!((vxlan.flags, vxlan.vni, vxlan.reserved_bits), (8, 0x12_3456, false));
        assert_eq!((vxlan.group_policy_id, vxlan.next_protocol), (None, None));
        assert_eq!(vxlan.payload_bytes, 14 + 20 + 8 + 7);
        assert_eq!(records.of::<Ipv4>().len(), 2);
    }

    #[test]
    fn a_group_policy() {
        let records = decode(8472, [0x88, 0x48, 0x01, 0x02, 0, 0, 1, 0], &frame());
        let vxlan = &records.of::<Vxlan>()[0];
        assert_eq!((vxlan.group_policy_id, vxlan.dont_learn, vxlan.policy_applied), (Some(0x0102), true, true));
    }

    #[test]
    fn the_generic_extension_names_its_payload() {
        let packet = testing::packet_of(&frame()).to_vec();
        // With the flag that announces the next protocol, and from senders that forget it.
        for flags in [0x0c, 0x08] {
            let records = decode(4790, [flags, 0, 0, 1, 0, 0, 1, 0], &packet);
            let vxlan = &records.of::<Vxlan>()[0];
            assert_eq!((vxlan.next_protocol, vxlan.next_protocol_name.as_str()), (Some(1), "ipv4"));
            assert_eq!((records.of::<Ipv4>().len(), records.of::<Ethernet>().len()), (2, 1));
        }
        let records = decode(4790, [0x0c, 0, 0, 4, 0, 0, 1, 0], b"service header");
        let [unknown] = &records.of::<Unknown>()[..] else { panic!("one unknown payload") };
        assert_eq!((unknown.key.as_str(), unknown.value, unknown.layer.as_str()), ("ether_type", 0x894f, "vxlan"));
    }

    #[test]
    fn reserved_bits_need_a_payload_that_explains_itself() {
        let header = [0xff, 1, 0xd1, 0xf2, 0, 0, 11, 0];
        assert!(decode(4789, header, &frame()).of::<Vxlan>()[0].reserved_bits);
        assert!(decode(4789, header, b"something else").of::<Vxlan>().is_empty());
    }

    #[test]
    fn a_port_proves_nothing() {
        // A DNS response to a client whose port happens to be 4789.
        let dns = b"\x08\x00\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
        let records = testing::decode(testing::ETHERNET, &[testing::udp(53, 4789, dns)]);
        assert!(records.of::<Vxlan>().is_empty());
        assert!(decode(4789, [0, 0, 0, 0, 0, 0, 1, 0], &frame()).of::<Vxlan>().is_empty());
    }

    #[test]
    fn a_header_is_read_whole_or_not_at_all() {
        let whole = testing::udp(50000, 4789, &[&[8, 0, 0, 0, 0, 0, 1, 0], &frame()[..]].concat());
        for (length, records) in testing::decode_cut_everywhere(&whole).iter().enumerate() {
            assert_eq!(records.of::<Vxlan>().len(), usize::from(length >= 14 + 20 + 8 + 8), "{length} bytes");
        }
    }
}
