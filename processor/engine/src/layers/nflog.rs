//! Linux's netfilter log (LINKTYPE_NFLOG): attributes around a packet. It has no record of its own:
//! what it knows of the packet is how the capturing host's firewall saw it.

use weir_contract::WeirdReason;

use super::{Key, Layer, Next, Walk};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct Nflog;

/// Types of attributes (`linux/netfilter/nfnetlink_log.h`).
const HARDWARE_ADDRESS: u16 = 8;
const PAYLOAD: u16 = 9;

/// The kernel writes some 20; a packet with more of them is no log of its.
const ATTRIBUTES_MAX: usize = 64;

impl Layer for Nflog {
    const NAME: &'static str = "nflog";
    const KEYS: &'static [Key] = &[Key::LinkType(239)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let family = input.u8()?;
        let version = input.u8()?;
        if version != 0 {
            return Err(input.at(1).malformed(WeirdReason::BadVersion, "version is not 0"));
        }
        input.skip(2)?;
        let order = ByteOrder::of(&input);
        for _ in 0..ATTRIBUTES_MAX {
            if input.is_empty() {
                return Ok(Next::End);
            }
            let length = usize::from(order.u16(&mut input)?);
            let attribute = order.u16(&mut input)?;
            let Some(length) = length.checked_sub(4) else {
                return Err(input.malformed(WeirdReason::BadLength, "attribute length is less than 4"));
            };
            if attribute == PAYLOAD {
                return Ok(Next::Layer(network_of(family), input.message_up_to(length)));
            }
            let value = input.message_of(length)?;
            if attribute == HARDWARE_ADDRESS {
                read_address(value, walk);
            }
            input.message_up_to(length.next_multiple_of(4) - length);
        }
        Err(input.malformed(WeirdReason::Limit, "more than 64 attributes before the payload"))
    }
}

/// Attributes are in the byte order of the capturing host, which nothing tells: a first length that
/// fits the packet does.
#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn of(attributes: &Cursor<'_>) -> Self {
        let mut first = *attributes;
        match first.u16_le() {
            Ok(length) if !(4..=attributes.remaining()).contains(&usize::from(length)) => Self::Big,
            _ => Self::Little,
        }
    }

    fn u16(self, input: &mut Cursor<'_>) -> Result<u16, Malformed> {
        match self {
            Self::Little => input.u16_le(),
            Self::Big => input.u16(),
        }
    }
}

/// Length, padding and the sender's address, in network byte order.
fn read_address(mut value: Cursor<'_>, walk: &mut Walk<'_>) {
    if let (Ok(6), Ok([_, _, src @ ..])) = (value.u16(), value.array::<8>()) {
        walk.macs = Some((src, [0; 6]));
    }
}

/// Linux's address families.
fn network_of(family: u8) -> Key {
    match family {
        2 => Key::EtherType(0x0800),
        10 => Key::EtherType(0x86dd),
        family => Key::AddressFamily(family.into()),
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    fn ip_packet() -> Vec<u8> {
        testing::ipv4(253, b"payload").split_off(14)
    }

    fn log(to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        // IPv4, version 0, group 1.
        let mut packet = vec![2, 0, 0, 1];
        let mut push = |kind: u16, value: &[u8]| {
            packet.extend(to_bytes(u16::try_from(value.len() + 4).unwrap()));
            packet.extend(to_bytes(kind));
            packet.extend(value);
            packet.resize(packet.len().next_multiple_of(4), 0);
        };
        push(10, b"a prefix\0");
        push(8, &[0, 6, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0]);
        push(9, &ip_packet());
        packet
    }

    #[test]
    fn the_payload_is_read_in_either_byte_order() {
        let records = testing::decode(239, &[log(u16::to_le_bytes), log(u16::to_be_bytes)]);
        assert_eq!(records.of::<record::Ipv4>().len(), 2);
        assert_eq!(records.of::<record::Connection>()[0].orig_mac, "02:00:00:00:00:09");
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn every_cut_is_survived() {
        let whole = log(u16::to_le_bytes);
        for length in 0..whole.len() {
            let records = testing::decode(239, &[whole[..length].to_vec()]);
            assert!(records.of::<record::Ipv4>().len() <= 1);
        }
    }

    #[test]
    fn attributes_without_end_are_left() {
        let mut packet = vec![2, 0, 0, 1];
        packet.extend([4, 0, 1, 0].repeat(100));
        let records = testing::decode(239, &[packet]);
        assert_eq!(records.weirds(), ["nflog Limit: more than 64 attributes before the payload"]);
    }
}
