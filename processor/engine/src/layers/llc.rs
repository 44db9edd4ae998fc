//! IEEE 802.2 logical link control (§3, §5.4): one record per header.

use weir_contract::record;

use super::{Key, Layer, Next, Walk};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct Llc;

const SAP_IP: u8 = 0x06;

/// EtherTypes.
const IPV4: u16 = 0x0800;
const IPX: u16 = 0x8137;

impl Layer for Llc {
    const NAME: &'static str = "llc";
    const KEYS: &'static [Key] = &[Key::Llc];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        // NetWare put IPX straight behind the length; it begins with a checksum of all ones.
        if input.peek().starts_with(&[0xff, 0xff]) {
            return Ok(Next::Layer(Key::EtherType(IPX), input.rest()));
        }
        let dsap = input.u8()?;
        let ssap = input.u8()?;
        let control = Control::read(&mut input)?;
        if let Some(mut llc) = walk.record::<record::Llc>() {
            llc.dsap = dsap.into();
            llc.dsap_name.push_str(sap_name(dsap));
            llc.group = dsap & 1 != 0;
            llc.ssap = ssap.into();
            llc.ssap_name.push_str(sap_name(ssap));
            llc.response = ssap & 1 != 0;
            control.fill(&mut llc);
            llc.payload_bytes = input.remaining_u32();
        }
        if !control.has_payload() || input.is_empty() {
            return Ok(Next::End);
        }
        let next = if dsap == SAP_IP { Key::EtherType(IPV4) } else { Key::LlcSap(dsap) };
        Ok(Next::Layer(next, input.rest()))
    }
}

/// The control field (IEEE 802.2 §5.4.1): the lowest bits of the first octet tell its format.
enum Control {
    Information(u8, u8),
    Supervisory(u8, u8),
    Unnumbered(u8),
}

/// Unnumbered information.
const UI: u8 = 0x03;

/// Poll or final bit of an unnumbered frame.
const POLL_FINAL: u8 = 0x10;

impl Control {
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let first = input.u8()?;
        Ok(match first & 3 {
            3 => Self::Unnumbered(first),
            1 => Self::Supervisory(first, input.u8()?),
            _ => Self::Information(first, input.u8()?),
        })
    }

    /// Whether bytes of the service access point's protocol follow.
    fn has_payload(&self) -> bool {
        match *self {
            Self::Information(..) => true,
            Self::Supervisory(..) => false,
            Self::Unnumbered(control) => control & !POLL_FINAL == UI,
        }
    }

    fn fill(&self, llc: &mut record::Llc) {
        match *self {
            Self::Information(first, second) => {
                llc.control = u16::from_be_bytes([first, second]).into();
                llc.format.push('i');
                llc.command_name.push('i');
                llc.send_sequence = Some((first >> 1).into());
                llc.receive_sequence = Some((second >> 1).into());
                llc.poll_final = second & 1 != 0;
            }
            Self::Supervisory(first, second) => {
                llc.control = u16::from_be_bytes([first, second]).into();
                llc.format.push('s');
                llc.command_name.push_str(supervisory_name(first));
                llc.receive_sequence = Some((second >> 1).into());
                llc.poll_final = second & 1 != 0;
            }
            Self::Unnumbered(control) => {
                llc.control = control.into();
                llc.format.push('u');
                llc.command_name.push_str(unnumbered_name(control & !POLL_FINAL));
                llc.poll_final = control & POLL_FINAL != 0;
            }
        }
    }
}

fn supervisory_name(control: u8) -> &'static str {
    match control & 0x0f {
        0x01 => "rr",
        0x05 => "rnr",
        0x09 => "rej",
        _ => "",
    }
}

fn unnumbered_name(control: u8) -> &'static str {
    match control {
        UI => "ui",
        0x0f => "dm",
        0x43 => "disc",
        0x63 => "ua",
        0x6f => "sabme",
        0x87 => "frmr",
        0xaf => "xid",
        0xe3 => "test",
        _ => "",
    }
}

/// IEEE 802 and manufacturers' service access points.
fn sap_name(sap: u8) -> &'static str {
    match sap & !1 {
        0x00 => "null",
        0x02 => "llc-management",
        0x04 | 0x08 => "sna",
        SAP_IP => "ip",
        0x0e => "proway",
        0x42 => "stp",
        0x4e => "mms",
        0x7e => "iso8208",
        0x80 => "xns",
        0x98 => "arp",
        0xaa => "snap",
        0xbc => "vines",
        0xe0 => "ipx",
        0xf0 => "netbios",
        0xf8 => "rpl",
        0xfe if sap & 1 != 0 => "global",
        0xfe => "osi",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    /// An Ethernet frame with a length and these bytes behind it.
    fn frame(bytes: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x01, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0];
        frame.push(u8::try_from(bytes.len()).unwrap());
        frame.extend(bytes);
        frame
    }

    #[test]
    fn the_three_formats_are_told_apart() {
        // NetBIOS: information 3, expecting 5, poll; receiver ready, expecting 5; SABME with poll.
        let frames =
            [frame(&[0xf0, 0xf0, 0x06, 0x0b, 1]), frame(&[0xf0, 0xf1, 0x01, 0x0a]), frame(&[0xf0, 0xf0, 0x7f])];
        let records = testing::decode(testing::ETHERNET, &frames);
        let [i, s, u] = &records.of::<record::Llc>()[..] else { panic!("three headers") };
        assert_eq!(
            (i.format.as_str(), i.send_sequence, i.receive_sequence, i.poll_final),
            ("i", Some(3), Some(5), true)
        );
        assert_eq!(
            (s.command_name.as_str(), s.send_sequence, s.receive_sequence, s.response),
            ("rr", None, Some(5), true)
        );
        assert_eq!((u.command_name.as_str(), u.control, u.poll_final), ("sabme", 0x7f, true));
        assert_eq!(records.of::<record::Unknown>().len(), 1, "only the first carries a payload");
    }

    #[test]
    fn a_service_access_point_without_decoder_is_unknown() {
        let records = testing::decode(testing::ETHERNET, &[frame(&[0xbc, 0xbc, 0x03, 1, 2])]);
        let unknown = &records.of::<record::Unknown>()[0];
        assert_eq!((unknown.key.as_str(), unknown.value, unknown.unread_bytes), ("llc_sap", 0xbc, 2));
        assert_eq!(records.of::<record::Llc>()[0].dsap_name, "vines");
    }

    #[test]
    fn ipx_straight_behind_the_length_is_no_llc() {
        let records = testing::decode(testing::ETHERNET, &[frame(&[0xff, 0xff, 0, 30])]);
        assert!(records.of::<record::Llc>().is_empty());
        assert_eq!(records.of::<record::Unknown>()[0].value, 0x8137);
    }

    #[test]
    fn a_header_cut_short_has_no_record() {
        for length in 0..4 {
            let records = testing::decode(testing::ETHERNET, &[frame(&[0xf0, 0xf0, 0x06, 0x0b][..length])]);
            assert!(records.of::<record::Llc>().is_empty());
            assert_eq!(records.weirds(), ["llc Truncated: ends before its fields do"]);
        }
    }
}
