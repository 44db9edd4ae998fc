//! IPv6 fragment headers (RFC 8200 §4.5): one record per header, fragments put together.

use weir_contract::record;

use super::{Key, Layer, Next, Walk, ipv6_extension::require_ipv6};
use crate::{
    cursor::{Cursor, Malformed},
    defrag::{Fragment, FragmentKey},
    names::ip_protocol_name,
};

pub(crate) struct Ipv6Fragment;

const HEADER_BYTES: usize = 8;

impl Layer for Ipv6Fragment {
    const NAME: &'static str = "ipv6_fragment";
    const KEYS: &'static [Key] = &[Key::IpProtocol(44)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        require_ipv6(walk, &input)?;
        let header = Header::read(&mut input.message_of(HEADER_BYTES)?)?;
        write_record(walk, &header, input.remaining_u32());
        walk.ip.pass_extension(HEADER_BYTES);
        if header.is_atomic() {
            return Ok(Next::Layer(Key::IpProtocol(header.next_header), input.rest()));
        }
        let Some((src, dst)) = walk.scope.addresses else { return Ok(Next::End) };
        let fragment = Fragment {
            key: FragmentKey {
                partition_key: walk.arrival.partition_key,
                src,
                dst,
                identification: header.identification,
                protocol: 0,
                encapsulation_id: walk.encapsulation.id,
            },
            protocol: header.next_header,
            offset: header.offset(),
            more: header.more_fragments(),
            payload: input.peek(),
            ip_bytes: walk.ip.total_bytes,
            ts_ns: walk.arrival.packet.ts_ns,
            packet_number: walk.arrival.packet.number,
            sensor: walk.arrival.seen.sensor,
        };
        Ok(walk.fragment(Self::NAME, &fragment, input))
    }
}

struct Header {
    next_header: u8,
    reserved: u8,
    offset_and_flags: u16,
    identification: u32,
}

impl Header {
    fn read(header: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            next_header: header.u8()?,
            reserved: header.u8()?,
            offset_and_flags: header.u16()?,
            identification: header.u32()?,
        })
    }

    /// The field counts 8 bytes and is their upper 13 bits.
    fn offset(&self) -> u32 {
        (self.offset_and_flags & !7).into()
    }

    fn more_fragments(&self) -> bool {
        self.offset_and_flags & 1 != 0
    }

    fn is_atomic(&self) -> bool {
        self.offset() == 0 && !self.more_fragments()
    }
}

fn write_record(walk: &mut Walk<'_>, header: &Header, payload_bytes: u32) {
    let Some(mut fragment) = walk.record::<record::Ipv6Fragment>() else { return };
    fragment.next_header = header.next_header.into();
    fragment.next_header_name.push_str(ip_protocol_name(header.next_header));
    fragment.fragment_offset_bytes = header.offset();
    fragment.more_fragments = header.more_fragments();
    fragment.identification = header.identification;
    fragment.reserved = header.reserved.into();
    fragment.reserved_bits = (header.offset_and_flags >> 1 & 3).into();
    fragment.atomic = header.is_atomic();
    fragment.payload_bytes = payload_bytes;
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    /// A fragment of a UDP datagram, identification 7.
    fn fragment(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
        let [high, low] = (offset | u16::from(more)).to_be_bytes();
        testing::ipv6(44, &[&[17, 0, high, low, 0, 0, 0, 7], payload].concat())
    }

    /// UDP from port 1 to port 2 with 8 bytes.
    const UDP: [u8; 16] = [0, 1, 0, 2, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn fragments_make_a_datagram_and_one_flow() {
        let frames = [fragment(8, false, &UDP[8..]), fragment(0, true, &UDP[..8])];
        let records = testing::decode(testing::ETHERNET, &frames);
        let [second, first] = &records.of::<record::Ipv6Fragment>()[..] else { panic!("two fragments") };
        assert_eq!((second.fragment_offset_bytes, second.more_fragments, second.identification), (8, false, 7));
        assert_eq!(
            (first.fragment_offset_bytes, first.more_fragments, first.next_header_name.as_str()),
            (0, true, "udp")
        );
        let connection = &records.of::<record::Connection>()[0];
        assert_eq!((connection.orig_packets, connection.orig_payload_bytes, connection.orig_ip_bytes), (2, 8, 112));
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn an_atomic_fragment_waits_for_none() {
        let records = testing::decode(testing::ETHERNET, &[fragment(0, false, &UDP)]);
        assert!(records.of::<record::Ipv6Fragment>()[0].atomic);
        assert_eq!(records.of::<record::Udp>()[0].payload_bytes, 8);
    }

    #[test]
    fn a_cut_fragment_waits_for_none_and_the_first_makes_the_flow() {
        // Two fragments, each 4 bytes shorter than its headers say: the first has 4 of its datagram's 8.
        let cut = |mut frame: Vec<u8>| {
            frame.truncate(frame.len() - 4);
            frame
        };
        let frames = [cut(fragment(0, true, &UDP)), cut(fragment(16, false, &UDP))];
        let records = testing::decode(testing::ETHERNET, &frames);
        let [connection] = &records.of::<record::Connection>()[..] else { panic!("one connection") };
        assert_eq!((connection.ip_protocol, connection.orig_packets, connection.orig_payload_bytes), (17, 1, 4));
        let lies = "ipv6 BadLength: payload length is more than the packet has";
        assert_eq!(records.weirds(), [lies, lies]);
    }

    #[test]
    fn overlapping_fragments_are_given_up() {
        let frames = [fragment(0, true, &UDP), fragment(8, false, &UDP[..8])];
        let records = testing::decode(testing::ETHERNET, &frames);
        assert!(records.of::<record::Udp>().is_empty());
        assert_eq!(records.weirds()[0], "ipv6_fragment OverlapConflict: fragments overlap with different bytes");
    }

    #[test]
    fn a_header_cut_short_has_no_record() {
        for length in 0..8 {
            let records = testing::decode(testing::ETHERNET, &[testing::ipv6(44, &[0; 8][..length])]);
            assert!(records.of::<record::Ipv6Fragment>().is_empty());
            assert_eq!(records.weirds(), ["ipv6_fragment Truncated: ends before its fields do"]);
        }
    }
}
