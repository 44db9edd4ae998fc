//! Geneve (RFC 8926 §3.4): one record per header, with its options.
//!
//! ```text
//! |Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
//! |        Virtual Network Identifier (VNI)       |    Reserved   |
//! |                 Variable-length options                       |
//! ```

use weir_contract::{WeirdReason, record};

use super::{Key, Layer, Next, Tunnel, Walk, tunnel};
use crate::{
    cursor::{Cursor, Malformed},
    flow::{Encapsulation, EncapsulationKind},
    output::Draft,
};

pub(crate) struct Geneve;

impl Layer for Geneve {
    const NAME: &'static str = "geneve";
    const KEYS: &'static [Key] = &[Key::UdpPort(6081)];

    fn accepts(bytes: &[u8]) -> bool {
        Header::read(&mut Cursor::new(bytes)).is_ok_and(|header| header.is_geneve())
    }

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let header = Header::read(&mut input)?;
        let options = input.message_up_to(header.options_bytes());
        if let Some(mut geneve) = walk.record::<record::Geneve>() {
            header.fill(&mut geneve);
            geneve.payload_bytes = input.remaining_u32();
            if let Err(malformed) = read_options(options, &mut geneve) {
                geneve.truncated = true;
                geneve.note(malformed);
            }
        }
        if options.remaining() < header.options_bytes() {
            return Err(options.at(options.remaining()).malformed(WeirdReason::Truncated, "ends in its options"));
        }
        if input.is_empty() {
            return Ok(Next::End);
        }
        let tunnel = Tunnel {
            kind: "geneve",
            identifier: Some(header.vni()),
            encapsulation: Encapsulation { kind: EncapsulationKind::Geneve, id: header.vni() },
        };
        walk.enter_tunnel(tunnel, Key::EtherType(header.protocol), input.rest())
    }
}

const CONTROL: u8 = 0x80;
const CRITICAL: u8 = 0x40;

struct Header {
    version_and_length: u8,
    flags: u8,
    protocol: u16,
    vni_and_reserved: u32,
}

impl Header {
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut header = Cursor::new(input.take(8)?);
        Ok(Self {
            version_and_length: header.u8()?,
            flags: header.u8()?,
            protocol: header.u16()?,
            vni_and_reserved: header.u32()?,
        })
    }

    fn vni(&self) -> u32 {
        self.vni_and_reserved >> 8
    }

    fn options_bytes(&self) -> usize {
        usize::from(self.version_and_length & 0x3f) * 4
    }

    /// Version 0, all reserved bits 0, and a payload that is known to be sent in Geneve.
    fn is_geneve(&self) -> bool {
        self.version_and_length >> 6 == 0
            && self.flags & !(CONTROL | CRITICAL) == 0
            && self.vni_and_reserved & 0xff == 0
            && !tunnel::ether_type_name(self.protocol).is_empty()
    }

    fn fill(&self, geneve: &mut record::Geneve) {
        geneve.version = (self.version_and_length >> 6).into();
        geneve.options_bytes = u32::try_from(self.options_bytes()).unwrap_or_default();
        geneve.control = self.flags & CONTROL != 0;
        geneve.critical = self.flags & CRITICAL != 0;
        geneve.protocol = self.protocol.into();
        geneve.protocol_name.push_str(tunnel::ether_type_name(self.protocol));
        geneve.vni = self.vni();
    }
}

/// RFC 8926 §3.5: class, type, three reserved bits, length in words without this header. No more
/// than 63 options fit.
fn read_options(mut options: Cursor<'_>, geneve: &mut Draft<'_, record::Geneve>) -> Result<(), Malformed> {
    while !options.is_empty() {
        let class = options.u16()?;
        let option_type = options.u8()?;
        let flags_and_length = options.u8()?;
        let data = options.take(usize::from(flags_and_length & 0x1f) * 4)?;
        let mut option: record::GeneveOption = geneve.spare();
        option.class = class.into();
        option.r#type = option_type.into();
        option.critical = option_type & 0x80 != 0;
        option.flags = (flags_and_length >> 5).into();
        option.data.extend_from_slice(data);
        geneve.options.push(option);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use weir_contract::record::{Geneve, Ipv4, Tunnel};

    use crate::testing;

    /// Two options: 0103/critical 1 of 4 bytes, 0104/2 without data; then a frame.
    fn frame() -> Vec<u8> {
        let header = [3, 0x40, 0x65, 0x58, 0, 0x02, 0xa5, 0];
        let options = [1, 3, 0x81, 1, 0xde, 0xad, 0xbe, 0xef, 1, 4, 2, 0x20];
        let inner = testing::udp(1000, 2000, b"payload");
        testing::udp(50000, 6081, &[&header[..], &options, &inner].concat())
    }

    #[test]
    fn options_and_the_frame_behind_them() {
        let records = testing::decode(testing::ETHERNET, &[frame()]);
        let [geneve] = &records.of::<Geneve>()[..] else { panic!("one header") };
        assert_eq!((geneve.vni, geneve.protocol_name.as_str(), geneve.options_bytes), (0x2a5, "ethernet", 12));
        assert!(geneve.critical && !geneve.control && !geneve.truncated);
        let [first, second] = &geneve.options[..] else { panic!("two options") };
        assert_eq!((first.class, first.r#type, first.critical), (0x0103, 0x81, true));
        assert_eq!(first.data, [0xde, 0xad, 0xbe, 0xef]);
        assert_eq!((second.class, second.r#type, second.flags, second.data.len()), (0x0104, 2, 1, 0));
        assert_eq!(records.of::<Ipv4>().len(), 2);
        assert_eq!(records.of::<Tunnel>()[0].identifier, Some(0x2a5));
    }

    #[test]
    fn an_option_longer_than_the_options_is_weird() {
        let mut frame = frame();
        frame[42 + 8 + 3] = 0x1f;
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert!(records.of::<Geneve>()[0].truncated);
        assert_eq!(records.weirds(), ["geneve Truncated: ends before its fields do"]);
        assert_eq!(records.of::<Ipv4>().len(), 2, "the frame is behind the options whatever they say");
    }

    #[test]
    fn a_port_proves_nothing() {
        for (at, value) in [(0, 0x43), (1, 0x01), (2, 0x12), (7, 1)] {
            let mut frame = frame();
            frame[42 + at] = value;
            assert!(testing::decode(testing::ETHERNET, &[frame]).of::<Geneve>().is_empty(), "byte {at}");
        }
    }

    #[test]
    fn a_header_is_read_whole_or_not_at_all() {
        for (length, records) in testing::decode_cut_everywhere(&frame()).iter().enumerate() {
            let geneve = records.of::<Geneve>();
            assert_eq!(geneve.len(), usize::from(length >= 42 + 8), "{length} bytes");
            let in_options = (42 + 8..42 + 20).contains(&length);
            assert!(geneve.iter().all(|geneve| !geneve.truncated || in_options), "{length} bytes");
            assert!(!in_options || !records.weirds().is_empty(), "{length} bytes");
        }
    }
}
