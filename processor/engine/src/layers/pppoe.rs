//! PPPoE sessions (RFC 2516 §4): the way to PPP. They have no record of their own.

use weir_contract::WeirdReason;

use super::{Key, Layer, Next, Walk};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct Pppoe;

/// Version 1, type 1.
const VERSION_AND_TYPE: u8 = 0x11;

/// EtherType of PPP.
const PPP: u16 = 0x880b;

impl Layer for Pppoe {
    const NAME: &'static str = "pppoe";
    const KEYS: &'static [Key] = &[Key::EtherType(0x8864), Key::LinkType(51)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let mut header = input.message_of(6)?;
        if header.u8()? != VERSION_AND_TYPE {
            return Err(header.at(0).malformed(WeirdReason::BadVersion, "version and type are not 1"));
        }
        let code = header.u8()?;
        header.skip(2)?;
        let length = usize::from(header.u16()?);
        if length > input.remaining() && !walk.is_truncated() {
            walk.weird(Self::NAME, input.malformed(WeirdReason::BadLength, "length is more than the packet has"));
        }
        // Others than session data are discovery, which has tags and no PPP (RFC 2516 §5).
        if code != 0 {
            return Ok(Next::End);
        }
        Ok(Next::Layer(Key::EtherType(PPP), input.message_up_to(length)))
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    /// An IPv4 packet of 27 bytes in PPP in a session.
    fn session() -> Vec<u8> {
        let mut frame = testing::ipv4(253, b"payload");
        // Version and type, session data, session 7, 29 bytes, IPv4.
        frame.splice(12..14, [0x88, 0x64, 0x11, 0, 0, 7, 0, 29, 0, 0x21]);
        frame
    }

    #[test]
    fn a_session_leads_to_ip_without_padding() {
        let mut frame = session();
        frame.extend([0; 10]);
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.of::<record::Ipv4>()[0].payload_bytes, 7);
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn lengths_that_lie_are_weird() {
        let mut frame = session();
        frame[18] = 1;
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!(records.weirds(), ["pppoe BadLength: length is more than the packet has"]);
        assert_eq!(records.of::<record::Ipv4>().len(), 1);
    }

    #[test]
    fn a_header_cut_short_is_weird() {
        for length in 14..20 {
            let records = testing::decode(testing::ETHERNET, &[session()[..length].to_vec()]);
            assert_eq!(records.weirds(), ["pppoe Truncated: ends before its fields do"]);
        }
    }
}
