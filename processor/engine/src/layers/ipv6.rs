//! IPv6 (RFC 8200 §3): one record per header. Extension headers are layers of their own.

use std::net::Ipv6Addr;

use weir_contract::{WeirdReason, record};

use super::{IpHeader, Key, Layer, Next, Walk};
use crate::{
    cursor::{Cursor, Malformed},
    names::ip_protocol_name,
};

pub(crate) struct Ipv6;

pub(super) const HEADER_BYTES: usize = 40;

/// Next header of a packet that carries nothing (RFC 8200 §4.7).
pub(super) const NO_NEXT_HEADER: u8 = 59;

impl Layer for Ipv6 {
    const NAME: &'static str = "ipv6";
    const KEYS: &'static [Key] = &[Key::LinkType(229), Key::EtherType(0x86dd)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let header = Header::read(&mut input.message_of(HEADER_BYTES)?)?;
        walk.set_addresses(header.src.into(), header.dst.into());
        if header.version() != 6 {
            return Err(input.at(0).malformed(WeirdReason::BadVersion, "version is not 6"));
        }
        // 0 in a jumbogram, whose length is in an option, and where the network card fills it in.
        let is_counted = header.payload_length != 0 || header.next_header == NO_NEXT_HEADER;
        let payload_bytes = if is_counted { header.payload_length.into() } else { input.remaining() };
        write_record(walk, &header, payload_bytes);
        let is_complete = payload_bytes <= input.remaining() && (is_counted || !walk.is_truncated());
        if payload_bytes > input.remaining() && !walk.is_truncated() {
            let detail = "payload length is more than the packet has";
            walk.weird(Self::NAME, input.malformed(WeirdReason::BadLength, detail));
        }
        // A packet that was captured in full has no more than there is, whatever it says.
        let present_bytes = if walk.is_truncated() { payload_bytes } else { payload_bytes.min(input.remaining()) };
        walk.ip = IpHeader {
            total_bytes: u32::try_from(HEADER_BYTES + present_bytes).unwrap_or(u32::MAX),
            ttl: header.hop_limit,
            fragments: 1,
            payload_bytes: present_bytes,
            is_complete,
            ..IpHeader::default()
        };
        Ok(Next::Layer(Key::IpProtocol(header.next_header), input.message_up_to(payload_bytes)))
    }
}

struct Header {
    version_class_and_label: u32,
    payload_length: u16,
    next_header: u8,
    hop_limit: u8,
    src: Ipv6Addr,
    dst: Ipv6Addr,
}

impl Header {
    fn read(header: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            version_class_and_label: header.u32()?,
            payload_length: header.u16()?,
            next_header: header.u8()?,
            hop_limit: header.u8()?,
            src: header.array::<16>()?.into(),
            dst: header.array::<16>()?.into(),
        })
    }

    fn version(&self) -> u32 {
        self.version_class_and_label >> 28
    }
}

fn write_record(walk: &mut Walk<'_>, header: &Header, payload_bytes: usize) {
    let Some(mut ipv6) = walk.record::<record::Ipv6>() else { return };
    let traffic_class = header.version_class_and_label >> 20 & 0xff;
    ipv6.version = header.version();
    ipv6.dscp = traffic_class >> 2;
    ipv6.ecn = traffic_class & 3;
    ipv6.flow_label = header.version_class_and_label & 0xf_ffff;
    ipv6.payload_length_bytes = header.payload_length.into();
    ipv6.next_header = header.next_header.into();
    ipv6.next_header_name.push_str(ip_protocol_name(header.next_header));
    ipv6.hop_limit = header.hop_limit.into();
    ipv6.payload_bytes = i64::try_from(payload_bytes).unwrap_or(i64::MAX);
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    #[test]
    fn the_fields_are_read() {
        let mut frame = testing::ipv6(253, b"payload");
        // Traffic class 0xba: expedited forwarding, congestion experienced by 2; label 0x12345.
        frame[14..18].copy_from_slice(&[0x6b, 0xa1, 0x23, 0x45]);
        let records = testing::decode(testing::ETHERNET, &[frame]);
        let ipv6 = &records.of::<record::Ipv6>()[0];
        assert_eq!((ipv6.version, ipv6.dscp, ipv6.ecn, ipv6.flow_label), (6, 46, 2, 0x12345));
        assert_eq!((ipv6.payload_length_bytes, ipv6.next_header, ipv6.hop_limit), (7, 253, 64));
        let meta = ipv6.meta.as_ref().unwrap();
        assert_eq!((meta.src_ip.as_str(), meta.dst_ip.as_str()), ("fe80::1", "fe80::2"));
        let connection = &records.of::<record::Connection>()[0];
        assert_eq!((connection.ip_protocol, connection.orig_ip_bytes, connection.orig_payload_bytes), (253, 47, 7));
        assert_eq!(connection.orig_ttl_min, Some(64));
    }

    #[test]
    fn padding_behind_the_payload_is_no_part_of_it() {
        let mut frame = testing::ipv6(253, b"payload");
        frame.extend([0; 9]);
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.of::<record::Connection>()[0].orig_payload_bytes, 7);
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn a_length_left_to_the_network_card_is_what_was_captured() {
        let mut frame = testing::ipv6(253, b"payload");
        frame[19] = 0;
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.of::<record::Connection>()[0].orig_payload_bytes, 7);
        assert_eq!(records.of::<record::Ipv6>()[0].payload_length_bytes, 0);
    }

    #[test]
    fn a_length_that_lies_is_weird_and_the_packet_is_read() {
        let mut frame = testing::ipv6(253, b"payload");
        frame[19] = 200;
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.weirds(), ["ipv6 BadLength: payload length is more than the packet has"]);
        assert_eq!(records.of::<record::Connection>()[0].orig_payload_bytes, 7);
    }

    #[test]
    fn another_version_is_weird() {
        let mut frame = testing::ipv6(253, b"payload");
        frame[14] = 0x50;
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.weirds(), ["ipv6 BadVersion: version is not 6"]);
        assert!(records.of::<record::Ipv6>().is_empty());
    }

    #[test]
    fn a_header_cut_short_has_no_record() {
        let frame = testing::ipv6(253, b"");
        for length in 14..54 {
            let records = testing::decode(testing::ETHERNET, &[frame[..length].to_vec()]);
            assert!(records.of::<record::Ipv6>().is_empty());
            assert_eq!(records.weirds(), ["ipv6 Truncated: ends before its fields do"]);
        }
    }

    #[test]
    fn a_protocol_without_decoder_is_a_connection_without_ports() {
        // DCCP.
        let records = testing::decode(testing::ETHERNET, &[testing::ipv6(33, b"payload")]);
        assert_eq!(records.of::<record::Connection>()[0].ip_protocol, 33);
        assert_eq!(records.of::<record::Unknown>()[0].value, 33);
    }

    #[test]
    fn no_next_header_is_a_flow_of_its_own_and_not_unknown() {
        let records = testing::decode(testing::ETHERNET, &[testing::ipv6(59, b"ignored")]);
        assert_eq!(records.of::<record::Connection>()[0].ip_protocol, 59);
        assert!(records.of::<record::Unknown>().is_empty());
    }
}
