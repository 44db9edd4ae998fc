//! MACsec (IEEE 802.1AE §9): one record per security tag. What is neither encrypted nor changed is
//! read further.

use weir_contract::{WeirdReason, record};

use super::{Key, Layer, Next, Walk};
use crate::{
    cursor::{Cursor, Malformed},
    output::push_mac,
};

pub(crate) struct MacSec;

/// Integrity check value of both default cipher suites (IEEE 802.1AE §14.5).
const CHECK_VALUE_BYTES: usize = 16;

/// Bits of the tag's first octet (IEEE 802.1AE §9.5).
const VERSION: u8 = 0x80;
const END_STATION: u8 = 0x40;
const SCI_PRESENT: u8 = 0x20;
const SINGLE_COPY_BROADCAST: u8 = 0x10;
const ENCRYPTED: u8 = 0x08;
const CHANGED: u8 = 0x04;

impl Layer for MacSec {
    const NAME: &'static str = "mac_sec";
    const KEYS: &'static [Key] = &[Key::EtherType(0x88e5)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let control = input.u8()?;
        let short_length = input.u8()? & 0x3f;
        let packet_number = input.u32()?;
        let identifier = if control & SCI_PRESENT != 0 { Some((input.array::<6>()?, input.u16()?)) } else { None };
        let payload_bytes = input.remaining_u32();
        let is_plain = control & (ENCRYPTED | CHANGED | VERSION) == 0;
        let secured = match short_length {
            0 => input.remaining().saturating_sub(CHECK_VALUE_BYTES),
            length => length.into(),
        };
        let mut payload = input.message_up_to(secured);
        let ether_type = if is_plain { payload.u16().ok() } else { None };

        if let Some(mut tag) = walk.record::<record::MacSec>() {
            tag.version = (control >> 7).into();
            tag.end_station = control & END_STATION != 0;
            tag.sci_present = control & SCI_PRESENT != 0;
            tag.single_copy_broadcast = control & SINGLE_COPY_BROADCAST != 0;
            tag.encrypted = control & ENCRYPTED != 0;
            tag.changed = control & CHANGED != 0;
            tag.association_number = (control & 3).into();
            tag.short_length_bytes = short_length.into();
            tag.pn = packet_number;
            if let Some((mac, port)) = identifier {
                push_mac(&mut tag.sci_mac, &mac);
                tag.sci_port = Some(port.into());
            }
            tag.ether_type = ether_type.map(u32::from);
            tag.payload_bytes = payload_bytes;
        }
        if control & VERSION != 0 {
            return Err(input.at(0).malformed(WeirdReason::BadVersion, "version is not 0"));
        }
        match ether_type {
            Some(ether_type) => Ok(Next::Layer(Key::EtherType(ether_type), payload.rest())),
            None => Ok(Next::End),
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    /// An IPv4 packet behind a tag with these control bits, an identifier and 16 bytes of check value.
    fn secured(control: u8) -> Vec<u8> {
        let mut frame = testing::ipv4(253, b"payload");
        // Control, short length 0, packet number 9, SCI 02:00:00:00:00:01 port 1.
        frame.splice(12..12, [0x88, 0xe5, control, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0, 1]);
        frame.extend([0xcc; 16]);
        frame
    }

    #[test]
    fn an_unchanged_payload_is_read_without_its_check_value() {
        let records = testing::decode(testing::ETHERNET, &[secured(0x22)]);
        let tag = &records.of::<record::MacSec>()[0];
        assert_eq!((tag.pn, tag.sci_mac.as_str(), tag.sci_port), (9, "02:00:00:00:00:01", Some(1)));
        assert_eq!((tag.encrypted, tag.association_number, tag.ether_type), (false, 2, Some(0x0800)));
        assert_eq!(records.of::<record::Ipv4>()[0].payload_bytes, 7);
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn an_encrypted_payload_is_left_alone() {
        let records = testing::decode(testing::ETHERNET, &[secured(0x2c)]);
        let tag = &records.of::<record::MacSec>()[0];
        assert_eq!((tag.encrypted, tag.changed, tag.ether_type), (true, true, None));
        assert!(records.of::<record::Ipv4>().is_empty());
    }

    #[test]
    fn a_tag_cut_short_has_no_record() {
        for length in 14..28 {
            let records = testing::decode(testing::ETHERNET, &[secured(0x22)[..length].to_vec()]);
            assert!(records.of::<record::MacSec>().is_empty());
            assert_eq!(records.weirds(), ["mac_sec Truncated: ends before its fields do"]);
        }
    }
}
