//! Linux cooked captures, version 1 (LINKTYPE_LINUX_SLL) and 2 (LINKTYPE_LINUX_SLL2): one record per
//! header.

use weir_contract::record;

use super::{Key, Layer, Next, Walk};
use crate::{
    cursor::{Cursor, Malformed},
    output::push_mac,
};

pub(crate) struct LinuxSll;

const VERSION_2: Key = Key::LinkType(276);

/// Linux's values below the smallest EtherType (`linux/if_ether.h`).
const ETH_P_802_2: u16 = 4;

impl Layer for LinuxSll {
    const NAME: &'static str = "linux_sll";
    const KEYS: &'static [Key] = &[Key::LinkType(113), VERSION_2];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let header = if walk.key == VERSION_2 {
            Header::read_2(&mut input.message_of(20)?)?
        } else {
            Header::read_1(&mut input.message_of(16)?)?
        };
        if header.address_bytes == 6
            && let Some(src) = header.address.first_chunk()
        {
            walk.macs = Some((*src, [0; 6]));
        }
        if let Some(mut sll) = walk.record::<record::LinuxSll>() {
            sll.version = if header.interface.is_some() { 2 } else { 1 };
            sll.packet_type = header.packet_type.into();
            sll.packet_type_name.push_str(packet_type_name(header.packet_type));
            sll.hardware_type = header.hardware_type.into();
            sll.address_bytes = header.address_bytes.into();
            let address = header.address.get(..usize::from(header.address_bytes)).unwrap_or(&header.address);
            push_mac(&mut sll.src_address, address);
            sll.protocol = header.protocol.into();
            sll.capture_interface = header.interface;
            sll.payload_bytes = input.remaining_u32();
        }
        let next = if header.protocol == ETH_P_802_2 { Key::Llc } else { Key::EtherType(header.protocol) };
        Ok(Next::Layer(next, input.rest()))
    }
}

struct Header {
    packet_type: u16,
    hardware_type: u16,
    address_bytes: u16,
    address: [u8; 8],
    protocol: u16,
    /// In version 2 only.
    interface: Option<u32>,
}

impl Header {
    fn read_1(header: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            packet_type: header.u16()?,
            hardware_type: header.u16()?,
            address_bytes: header.u16()?,
            address: header.array()?,
            protocol: header.u16()?,
            interface: None,
        })
    }

    fn read_2(header: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let protocol = header.u16()?;
        header.skip(2)?;
        let interface = Some(header.u32()?);
        Ok(Self {
            hardware_type: header.u16()?,
            packet_type: header.u8()?.into(),
            address_bytes: header.u8()?.into(),
            address: header.array()?,
            protocol,
            interface,
        })
    }
}

fn packet_type_name(packet_type: u16) -> &'static str {
    match packet_type {
        0 => "host",
        1 => "broadcast",
        2 => "multicast",
        3 => "otherhost",
        4 => "outgoing",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    fn ip_packet() -> Vec<u8> {
        testing::ipv4(253, b"payload").split_off(14)
    }

    #[test]
    fn version_1_names_sender_and_protocol() {
        // Sent by the host, Ethernet, address of 6 bytes, IPv4.
        let mut packet = vec![0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0, 8, 0];
        packet.extend(ip_packet());
        let records = testing::decode(113, &[packet]);
        let sll = &records.of::<record::LinuxSll>()[0];
        assert_eq!((sll.version, sll.packet_type_name.as_str()), (1, "outgoing"));
        assert_eq!((sll.src_address.as_str(), sll.capture_interface), ("02:00:00:00:00:09", None));
        assert_eq!(records.of::<record::Ipv4>()[0].payload_bytes, 7);
    }

    #[test]
    fn each_side_of_a_connection_has_the_address_it_sent_from() {
        let packet = |last: u8, ip: &[u8]| [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, last, 0, 0, 8, 0][..], ip].concat();
        let mut answer = ip_packet();
        answer[12..20].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
        let question = packet(1, &ip_packet());
        let macs = |packets: &[Vec<u8>]| {
            let connection = testing::decode(113, packets).of::<record::Connection>().remove(0);
            (connection.orig_mac, connection.resp_mac)
        };
        assert_eq!(macs(std::slice::from_ref(&question)), ("02:00:00:00:00:01".to_owned(), String::new()));
        let both = ("02:00:00:00:00:01".to_owned(), "02:00:00:00:00:02".to_owned());
        assert_eq!(macs(&[question, packet(2, &answer)]), both);
    }

    #[test]
    fn version_2_names_the_interface() {
        // IPv4, interface 3, loopback (772), to the host, address of 6 bytes.
        let mut packet = vec![8, 0, 0, 0, 0, 0, 0, 3, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0];
        packet.extend(ip_packet());
        let records = testing::decode(276, &[packet]);
        let sll = &records.of::<record::LinuxSll>()[0];
        assert_eq!((sll.version, sll.hardware_type, sll.capture_interface), (2, 772, Some(3)));
        assert_eq!(sll.packet_type_name, "host");
        assert_eq!(records.of::<record::Ipv4>().len(), 1);
    }

    #[test]
    fn an_address_longer_than_the_header_holds_is_shown_as_far_as_it_goes() {
        // InfiniBand: 20 bytes.
        let packet = vec![0, 0, 0, 32, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 0, 12];
        let records = testing::decode(113, &[packet]);
        let sll = &records.of::<record::LinuxSll>()[0];
        assert_eq!((sll.address_bytes, sll.src_address.as_str()), (20, "01:02:03:04:05:06:07:08"));
    }

    #[test]
    fn a_header_cut_short_has_no_record() {
        for (link_type, header_bytes) in [(113, 16), (276, 20)] {
            for length in 0..header_bytes {
                let records = testing::decode(link_type, &[vec![0; length]]);
                assert!(records.of::<record::LinuxSll>().is_empty());
                assert_eq!(records.weirds(), ["linux_sll Truncated: ends before its fields do"]);
            }
        }
    }
}
