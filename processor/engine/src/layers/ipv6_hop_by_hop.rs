//! IPv6 hop-by-hop options (RFC 8200 §4.3): one record per header. The jumbo payload option
//! (RFC 2675) tells the packet's length.

use weir_contract::{WeirdReason, record};

use super::{
    Key, Layer, Next, Walk,
    ipv6::HEADER_BYTES,
    ipv6_extension::{ExtensionHeader, next_option, push_options},
};
use crate::{
    cursor::{Cursor, Malformed},
    names::ip_protocol_name,
};

pub(crate) struct Ipv6HopByHop;

const ROUTER_ALERT: u8 = 0x05;
const JUMBO_PAYLOAD: u8 = 0xc2;

/// What fits the IPv6 header's own length field needs no jumbo payload option (RFC 2675 §3).
const JUMBO_MIN: u32 = 65_536;

impl Layer for Ipv6HopByHop {
    const NAME: &'static str = "ipv6_hop_by_hop";
    const KEYS: &'static [Key] = &[Key::IpProtocol(0)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let start = input;
        let header = ExtensionHeader::read(&mut input, walk)?;
        let values = Values::read(header.body);
        write_record(walk, &header, &values);
        if usize::try_from(walk.ip.total_bytes).unwrap_or(usize::MAX) != HEADER_BYTES + walk.ip.payload_bytes {
            let detail = "hop-by-hop options are not directly behind the IPv6 header";
            walk.weird(Self::NAME, start.malformed(WeirdReason::Unexpected, detail));
        }
        header.whole?;
        if let Some(jumbo) = values.jumbo_payload {
            read_jumbo(walk, jumbo, &start);
        }
        walk.ip.pass_extension(header.bytes);
        let payload_bytes = walk.ip.payload_bytes;
        Ok(Next::Layer(Key::IpProtocol(header.next_header), input.message_up_to(payload_bytes)))
    }
}

/// The options that say something of the packet as a whole.
#[derive(Default)]
struct Values {
    jumbo_payload: Option<u32>,
    router_alert: Option<u16>,
}

impl Values {
    fn read(mut options: Cursor<'_>) -> Self {
        let mut values = Self::default();
        while let Ok(Some((option_type, mut data))) = next_option(&mut options) {
            match option_type {
                JUMBO_PAYLOAD => values.jumbo_payload = data.u32().ok(),
                ROUTER_ALERT => values.router_alert = data.u16().ok(),
                _ => {}
            }
        }
        values
    }
}

/// Takes the packet's length from the option, if it can be true.
fn read_jumbo(walk: &mut Walk<'_>, jumbo: u32, start: &Cursor<'_>) {
    let on_the_wire = walk.arrival.packet.original_length;
    if jumbo < JUMBO_MIN {
        let detail = "jumbo payload length is less than 65,536";
        return walk.weird(Ipv6HopByHop::NAME, start.malformed(WeirdReason::BadValue, detail));
    }
    if jumbo > on_the_wire {
        let detail = "jumbo payload length is more than the packet has";
        return walk.weird(Ipv6HopByHop::NAME, start.malformed(WeirdReason::BadLength, detail));
    }
    let payload_bytes = usize::try_from(jumbo).unwrap_or(usize::MAX);
    walk.ip.total_bytes = jumbo.saturating_add(40);
    walk.ip.payload_bytes = payload_bytes;
    walk.ip.is_complete = payload_bytes <= start.remaining();
}

fn write_record(walk: &mut Walk<'_>, header: &ExtensionHeader<'_>, values: &Values) {
    let Some(mut draft) = walk.record::<record::Ipv6HopByHop>() else { return };
    let (record, spares) = draft.parts();
    record.next_header = header.next_header.into();
    record.next_header_name.push_str(ip_protocol_name(header.next_header));
    record.header_bytes = u32::try_from(header.bytes).unwrap_or_default();
    record.jumbo_payload_bytes = values.jumbo_payload.map(i64::from);
    record.router_alert = values.router_alert.map(u32::from);
    if let Err(malformed) = push_options(&mut record.options, spares, header.body) {
        draft.note(malformed);
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    /// UDP from port 1 to port 2.
    const UDP: [u8; 8] = [0, 1, 0, 2, 0, 8, 0, 0];

    #[test]
    fn options_are_listed_and_a_router_alert_is_read() {
        // UDP next, 8 bytes, router alert for MLD, 2 bytes of padding.
        let payload = [&[17, 0, 5, 2, 0, 0, 1, 0][..], &UDP].concat();
        let records = testing::decode(testing::ETHERNET, &[testing::ipv6(0, &payload)]);
        let header = &records.of::<record::Ipv6HopByHop>()[0];
        assert_eq!((header.next_header_name.as_str(), header.header_bytes, header.router_alert), ("udp", 8, Some(0)));
        let names: Vec<_> = header.options.iter().map(|option| option.name.as_str()).collect();
        assert_eq!(names, ["router-alert", "padn"]);
        assert_eq!(records.of::<record::Connection>()[0].ip_protocol, 17);
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn a_jumbogram_has_the_length_of_its_option() {
        let mut payload = vec![253, 0, 0xc2, 4, 0, 1, 0x11, 0x78];
        payload.resize(70_008, 7);
        let mut frame = testing::ipv6(0, &[]);
        frame.extend(&payload);
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.of::<record::Ipv6HopByHop>()[0].jumbo_payload_bytes, Some(70_008));
        let connection = &records.of::<record::Connection>()[0];
        assert_eq!((connection.orig_ip_bytes, connection.orig_payload_bytes), (70_048, 70_000));
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn jumbo_lengths_that_cannot_be_are_weird() {
        let of = |length: [u8; 4]| {
            let mut frame = testing::ipv6(0, &[]);
            frame.extend([&[17, 0, 0xc2, 4][..], &length, &UDP].concat());
            frame
        };
        let frames = [of([0, 0, 0, 16]), of([0xff; 4])];
        let records = testing::decode(testing::ETHERNET, &frames);
        let weirds = [
            "ipv6_hop_by_hop BadValue: jumbo payload length is less than 65,536",
            "ipv6_hop_by_hop BadLength: jumbo payload length is more than the packet has",
        ];
        assert_eq!(records.weirds(), weirds);
        assert_eq!(records.of::<record::Connection>()[0].orig_ip_bytes, 2 * 56);
    }

    #[test]
    fn the_header_belongs_directly_behind_ipv6() {
        // Destination options, then hop-by-hop options, each of padding.
        let payload = [&[0, 0, 1, 4, 0, 0, 0, 0][..], &[17, 0, 1, 4, 0, 0, 0, 0], &UDP].concat();
        let records = testing::decode(testing::ETHERNET, &[testing::ipv6(60, &payload)]);
        let weird = "ipv6_hop_by_hop Unexpected: hop-by-hop options are not directly behind the IPv6 header";
        assert_eq!(records.weirds(), [weird]);
        assert_eq!(records.of::<record::Udp>().len(), 1);
    }

    #[test]
    fn cut_options_are_listed_as_far_as_they_go() {
        // 16 bytes: router alert, padding of 6, padding of 0.
        let whole = [17, 1, 5, 2, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0, 1, 0];
        for length in 2..whole.len() {
            let records = testing::decode(testing::ETHERNET, &[testing::ipv6(0, &whole[..length])]);
            let read = [6, 14].into_iter().filter(|&end| length >= end).count();
            assert_eq!(records.of::<record::Ipv6HopByHop>()[0].options.len(), read);
            assert!(records.weirds().iter().all(|weird| weird.starts_with("ipv6_hop_by_hop Truncated")));
            assert!(!records.weirds().is_empty());
        }
    }

    #[test]
    fn behind_ipv4_it_is_weird() {
        let records = testing::decode(testing::ETHERNET, &[testing::ipv4(0, &[17, 0, 1, 4, 0, 0, 0, 0])]);
        assert_eq!(records.weirds(), ["ipv6_hop_by_hop Unexpected: IPv6 extension header behind IPv4"]);
        assert_eq!(records.of::<record::Connection>()[0].ip_protocol, 0);
    }
}
