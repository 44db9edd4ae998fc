//! ARP (RFC 826), RARP (RFC 903) and inverse ARP (RFC 2390): one record per message.

use std::net::Ipv4Addr;

use weir_contract::{WeirdReason, record};

use super::{Key, Layer, Next, Walk};
use crate::{
    cursor::{Cursor, Malformed},
    names::hardware_type_name,
    output::{push_address, push_mac},
};

pub(crate) struct Arp;

const IPV4: u16 = 0x0800;
const REQUEST: u16 = 1;

impl Layer for Arp {
    const NAME: &'static str = "arp";
    const KEYS: &'static [Key] = &[Key::EtherType(0x0806), Key::EtherType(0x8035)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let message = Message::read(&mut input)?;
        let ipv4 = message.ipv4();
        if let Some((sender, target)) = ipv4 {
            walk.set_addresses(sender.into(), target.into());
        }
        if let Some(mut arp) = walk.record::<record::Arp>() {
            arp.hardware_type = message.hardware_type.into();
            arp.hardware_type_name.push_str(hardware_type_name(message.hardware_type));
            arp.protocol_type = message.protocol_type.into();
            arp.hardware_address_bytes = message.hardware_address_bytes.into();
            arp.protocol_address_bytes = message.protocol_address_bytes.into();
            arp.operation = message.operation.into();
            arp.operation_name.push_str(operation_name(message.operation));
            push_mac(&mut arp.sender_hardware_address, message.sender_hardware);
            push_mac(&mut arp.target_hardware_address, message.target_hardware);
            match ipv4 {
                Some((sender, target)) => {
                    push_address(&mut arp.sender_protocol_address, sender.into());
                    push_address(&mut arp.target_protocol_address, target.into());
                    arp.gratuitous = sender == target;
                    arp.probe = message.operation == REQUEST && sender.is_unspecified();
                }
                None => {
                    push_mac(&mut arp.sender_protocol_address, message.sender_protocol);
                    push_mac(&mut arp.target_protocol_address, message.target_protocol);
                }
            }
        }
        if message.protocol_type == IPV4 && ipv4.is_none() {
            return Err(input.at(4).malformed(WeirdReason::BadLength, "IPv4 addresses are not of 4 bytes"));
        }
        Ok(Next::End)
    }
}

struct Message<'a> {
    hardware_type: u16,
    protocol_type: u16,
    hardware_address_bytes: u8,
    protocol_address_bytes: u8,
    operation: u16,
    sender_hardware: &'a [u8],
    sender_protocol: &'a [u8],
    target_hardware: &'a [u8],
    target_protocol: &'a [u8],
}

impl<'a> Message<'a> {
    fn read(input: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let hardware_type = input.u16()?;
        let protocol_type = input.u16()?;
        let hardware_address_bytes = input.u8()?;
        let protocol_address_bytes = input.u8()?;
        Ok(Self {
            hardware_type,
            protocol_type,
            hardware_address_bytes,
            protocol_address_bytes,
            operation: input.u16()?,
            sender_hardware: input.take(hardware_address_bytes.into())?,
            sender_protocol: input.take(protocol_address_bytes.into())?,
            target_hardware: input.take(hardware_address_bytes.into())?,
            target_protocol: input.take(protocol_address_bytes.into())?,
        })
    }

    /// The protocol addresses of sender and target, where they are IPv4's.
    fn ipv4(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        if self.protocol_type != IPV4 {
            return None;
        }
        let sender: [u8; 4] = self.sender_protocol.try_into().ok()?;
        let target: [u8; 4] = self.target_protocol.try_into().ok()?;
        Some((sender.into(), target.into()))
    }
}

/// IANA ARP parameters.
fn operation_name(operation: u16) -> &'static str {
    match operation {
        REQUEST => "request",
        2 => "reply",
        3 => "request-reverse",
        4 => "reply-reverse",
        5 => "drarp-request",
        6 => "drarp-reply",
        7 => "drarp-error",
        8 => "inarp-request",
        9 => "inarp-reply",
        10 => "arp-nak",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    /// Ethernet, and a message of these addresses.
    fn arp(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let mut frame = [[0xff; 6], [2, 0, 0, 0, 0, 1]].concat();
        frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation]);
        frame.extend([2, 0, 0, 0, 0, 1]);
        frame.extend(sender);
        frame.extend([0; 6]);
        frame.extend(target);
        frame
    }

    #[test]
    fn addresses_stand_in_the_record_and_in_its_meta() {
        let records = testing::decode(testing::ETHERNET, &[arp(1, [10, 0, 0, 1], [10, 0, 0, 2])]);
        let arp = &records.of::<record::Arp>()[0];
        assert_eq!((arp.operation_name.as_str(), arp.hardware_type_name.as_str()), ("request", "ethernet"));
        assert_eq!(arp.sender_hardware_address, "02:00:00:00:00:01");
        assert_eq!(arp.target_protocol_address, "10.0.0.2");
        assert_eq!((arp.gratuitous, arp.probe), (false, false));
        let meta = arp.meta.as_ref().unwrap();
        assert_eq!((meta.src_ip.as_str(), meta.dst_ip.as_str(), meta.uid.as_str()), ("10.0.0.1", "10.0.0.2", ""));
        assert!(records.of::<record::Connection>().is_empty());
    }

    #[test]
    fn announcements_and_probes_are_marked() {
        let frames = [arp(2, [10, 0, 0, 1], [10, 0, 0, 1]), arp(1, [0; 4], [10, 0, 0, 1])];
        let records = testing::decode(testing::ETHERNET, &frames);
        let [announcement, probe] = &records.of::<record::Arp>()[..] else { panic!("two messages") };
        assert_eq!((announcement.gratuitous, announcement.probe), (true, false));
        assert_eq!((probe.gratuitous, probe.probe), (false, true));
    }

    #[test]
    fn addresses_of_other_sizes_are_hex() {
        // Hardware type 6, Chaosnet, addresses of 2 bytes each.
        let mut frame = [[0xff; 6], [2, 0, 0, 0, 0, 1]].concat();
        frame.extend([0x08, 0x06, 0, 6, 8, 4, 2, 2, 0, 1, 0xa, 0xb, 1, 2, 0, 0, 3, 4]);
        let records = testing::decode(testing::ETHERNET, &[frame]);
        let arp = &records.of::<record::Arp>()[0];
        assert_eq!((arp.sender_hardware_address.as_str(), arp.target_protocol_address.as_str()), ("0a:0b", "03:04"));
        assert_eq!(arp.meta.as_ref().unwrap().src_ip, "");
    }

    #[test]
    fn ipv4_addresses_of_another_size_are_weird() {
        let mut frame = arp(1, [10, 0, 0, 1], [10, 0, 0, 2]);
        frame[19] = 2;
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.weirds(), ["arp BadLength: IPv4 addresses are not of 4 bytes"]);
        assert_eq!(records.of::<record::Arp>()[0].sender_protocol_address, "0a:00");
    }

    #[test]
    fn a_message_cut_short_has_no_record() {
        let whole = arp(1, [10, 0, 0, 1], [10, 0, 0, 2]);
        for length in 14..whole.len() {
            let records = testing::decode(testing::ETHERNET, &[whole[..length].to_vec()]);
            assert!(records.of::<record::Arp>().is_empty());
            assert_eq!(records.weirds(), ["arp Truncated: ends before its fields do"]);
        }
    }
}
