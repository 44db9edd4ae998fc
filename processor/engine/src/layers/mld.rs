//! Multicast listener discovery, version 1 (RFC 2710 §3) and 2 (RFC 3810 §5): one record per message,
//! beside that of ICMPv6.

use std::net::Ipv6Addr;

use weir_contract::record;

use super::{
    Key, Layer, Next, Walk,
    icmpv6::{message, type_name},
    multicast::{expand_code, push_records, push_sources},
};
use crate::{
    cursor::{Cursor, Malformed},
    output::{Draft, push_address},
};

pub(crate) struct Mld;

/// Type, code and checksum.
const ICMP_BYTES: usize = 4;

/// Queries of at least so many bytes are of version 2 (RFC 3810 §8.1).
const QUERY_2_BYTES: usize = 28;

const MILLISECOND_NS: i64 = 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;

impl Layer for Mld {
    const NAME: &'static str = "mld";
    const KEYS: &'static [Key] = &[
        Key::Icmpv6Type(message::LISTENER_QUERY),
        Key::Icmpv6Type(message::LISTENER_REPORT),
        Key::Icmpv6Type(message::LISTENER_DONE),
        Key::Icmpv6Type(message::LISTENER_REPORT_2),
    ];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let Key::Icmpv6Type(message_type) = walk.key else { return Ok(Next::End) };
        let is_query_2 = message_type == message::LISTENER_QUERY && input.remaining() >= QUERY_2_BYTES;
        input.skip(ICMP_BYTES)?;
        let head = Head::read(&mut input, message_type)?;
        let Some(mut mld) = walk.record::<record::Mld>() else { return Ok(Next::End) };
        mld.r#type = message_type.into();
        mld.type_name.push_str(type_name(message_type));
        mld.version = if is_query_2 || message_type == message::LISTENER_REPORT_2 { 2 } else { 1 };
        let read = match head {
            Head::Records(count) => {
                let (record, spares) = mld.parts();
                push_records(&mut record.group_records, spares, &mut input, count, read_address)
            }
            Head::Group { response_code, group } => {
                push_address(&mut mld.group, group.into());
                if message_type == message::LISTENER_QUERY {
                    let delay = if is_query_2 { expand_response_code(response_code) } else { response_code.into() };
                    mld.max_response_time_ns = Some(delay * MILLISECOND_NS);
                }
                if is_query_2 { fill_query_2(&mut mld, &mut input) } else { Ok(()) }
            }
        };
        mld.truncated = read.is_err();
        read?;
        Ok(Next::End)
    }
}

/// What follows the checksum.
enum Head {
    Group { response_code: u16, group: Ipv6Addr },
    Records(u16),
}

impl Head {
    fn read(input: &mut Cursor<'_>, message_type: u8) -> Result<Self, Malformed> {
        if message_type == message::LISTENER_REPORT_2 {
            input.skip(2)?;
            return Ok(Self::Records(input.u16()?));
        }
        let response_code = input.u16()?;
        input.skip(2)?;
        Ok(Self::Group { response_code, group: input.array::<16>()?.into() })
    }
}

/// RFC 3810 §5.1.6 to §5.1.10.
fn fill_query_2(mld: &mut Draft<'_, record::Mld>, input: &mut Cursor<'_>) -> Result<(), Malformed> {
    let flags = input.u8()?;
    mld.suppress = flags & 8 != 0;
    mld.robustness = Some((flags & 7).into());
    mld.query_interval_ns = Some(expand_code(input.u8()?) * SECOND_NS);
    let count = input.u16()?;
    let (record, spares) = mld.parts();
    push_sources(&mut record.sources, spares, input, count, read_address)
}

fn read_address(input: &mut Cursor<'_>) -> Result<std::net::IpAddr, Malformed> {
    Ok(Ipv6Addr::from(input.array::<16>()?).into())
}

/// Up to 32,767 as it is, above as 12 bits shifted (RFC 3810 §5.1.3).
fn expand_response_code(code: u16) -> i64 {
    if code < 32_768 {
        return code.into();
    }
    i64::from(code & 0x0fff | 0x1000) << ((code >> 12 & 7) + 3)
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use super::*;
    use crate::testing;

    const GROUP: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb];
    const SOURCE: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

    fn decode(message: &[u8]) -> testing::Records {
        testing::decode(testing::ETHERNET, &[testing::ipv6(58, message)])
    }

    #[test]
    fn the_length_of_a_query_tells_its_version() {
        let first = [&[130, 0, 0, 0, 0x27, 0x10, 0, 0][..], &GROUP].concat();
        let records = decode(&first);
        let query = &records.of::<record::Mld>()[0];
        assert_eq!((query.version, query.group.as_str()), (1, "ff02::fb"));
        assert_eq!(query.max_response_time_ns, Some(10_000_000_000));
        // Suppress, robustness 2, 125 s, one source.
        let second = [&first[..], &[0x0a, 125, 0, 1], &SOURCE].concat();
        let records = decode(&second);
        let query = &records.of::<record::Mld>()[0];
        assert_eq!((query.version, query.suppress, query.robustness), (2, true, Some(2)));
        assert_eq!(
            (query.query_interval_ns, &query.sources[..]),
            (Some(125_000_000_000), &["2001:db8::9".to_owned()][..])
        );
        assert_eq!(records.of::<record::Icmpv6>().len(), 1);
    }

    #[test]
    fn a_report_of_version_2_lists_groups() {
        let report =
            [&[143, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 0][..], &GROUP, &[5, 1, 0, 1], &GROUP, &SOURCE, &[1, 2, 3, 4]]
                .concat();
        let records = decode(&report);
        let report = &records.of::<record::Mld>()[0];
        let [first, second] = &report.group_records[..] else { panic!("two groups") };
        assert_eq!((first.type_name.as_str(), first.group.as_str()), ("change-to-exclude", "ff02::fb"));
        assert_eq!((second.sources[0].as_str(), second.auxiliary_data.as_slice()), ("2001:db8::9", &[1, 2, 3, 4][..]));
        assert_eq!((report.version, report.truncated), (2, false));
    }

    #[test]
    fn every_cut_keeps_what_was_read() {
        let report = [&[143, 0, 0, 0, 0, 0, 0, 9, 4, 0, 0, 1][..], &GROUP, &SOURCE].concat();
        for length in 8..=report.len() {
            let records = decode(&report[..length]);
            let report = &records.of::<record::Mld>()[0];
            assert!(report.truncated);
            assert_eq!(report.group_records.len(), usize::from(length >= 28));
            assert_eq!(records.weirds(), ["mld Truncated: ends before its fields do"]);
        }
    }

    #[test]
    fn lists_end_at_100() {
        let mut report = vec![143, 0, 0, 0, 0, 0, 1, 0];
        report.extend([&[4, 0, 0, 0][..], &GROUP].concat().repeat(256));
        let records = decode(&report);
        assert_eq!(records.of::<record::Mld>()[0].group_records.len(), 100);
        assert_eq!(records.weirds(), ["mld Limit: more than 100 group records"]);
    }

    #[test]
    fn response_codes_above_32767_are_shifted() {
        assert_eq!(expand_response_code(0x7fff), 32_767);
        assert_eq!(expand_response_code(0x8000), 32_768);
        assert_eq!(expand_response_code(0xffff), 0x1fff << 10);
    }
}
