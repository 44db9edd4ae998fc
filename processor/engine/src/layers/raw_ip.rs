//! Packets without a link layer (LINKTYPE_RAW and the DLT_RAW of BSDs): the version tells the protocol.

use weir_contract::WeirdReason;

use super::{Key, Layer, Next, Walk};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct RawIp;

impl Layer for RawIp {
    const NAME: &'static str = "raw_ip";
    const KEYS: &'static [Key] = &[Key::LinkType(12), Key::LinkType(14), Key::LinkType(101)];

    fn parse<'a>(mut input: Cursor<'a>, _walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let start = input;
        let next = match input.u8()? >> 4 {
            4 => Key::EtherType(0x0800),
            6 => Key::EtherType(0x86dd),
            _ => return Err(start.malformed(WeirdReason::BadVersion, "version is neither 4 nor 6")),
        };
        Ok(Next::Layer(next, start))
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    #[test]
    fn the_version_tells_the_protocol() {
        let ip = testing::ipv4(253, b"payload").split_off(14);
        let records = testing::decode(101, &[ip, vec![0x50], vec![]]);
        assert_eq!(records.of::<record::Ipv4>().len(), 1);
        let weirds = ["raw_ip BadVersion: version is neither 4 nor 6", "raw_ip Truncated: ends before its fields do"];
        assert_eq!(records.weirds(), weirds);
    }
}
