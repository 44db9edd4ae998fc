//! IGMP, versions 1 (RFC 1112 appendix I), 2 (RFC 2236 §2) and 3 (RFC 3376 §4): one record per message.

use std::net::Ipv4Addr;

use weir_contract::record;

use super::{
    Key, Layer, Next, Walk,
    multicast::{expand_code, push_records, push_sources},
};
use crate::{
    checksum,
    cursor::{Cursor, Malformed},
    output::{Draft, push_address},
};

pub(crate) struct Igmp;

const QUERY: u8 = 0x11;
const REPORT_1: u8 = 0x12;
const REPORT_2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_3: u8 = 0x22;

/// Queries of at least so many bytes are of version 3 (RFC 3376 §7.1).
const QUERY_3_BYTES: usize = 12;

const TENTH_NS: i64 = 100_000_000;
const SECOND_NS: i64 = 1_000_000_000;

impl Layer for Igmp {
    const NAME: &'static str = "igmp";
    const KEYS: &'static [Key] = &[Key::IpProtocol(2)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        if !walk.out().selects::<record::Igmp>() {
            return Ok(Next::End);
        }
        let bytes = input.peek();
        let mut head = input.message_of(8)?;
        let message_type = head.u8()?;
        let response_code = head.u8()?;
        let checksum = head.u16()?;
        let checksum_ok = walk.ip.is_complete.then(|| checksum::is_right(checksum::sum(bytes)));
        let Some(mut igmp) = walk.record::<record::Igmp>() else { return Ok(Next::End) };
        igmp.version = version(message_type, response_code, bytes.len());
        igmp.r#type = message_type.into();
        igmp.type_name.push_str(type_name(message_type));
        igmp.checksum = checksum.into();
        igmp.checksum_ok = checksum_ok;
        let read = match (message_type, igmp.version) {
            (REPORT_3, _) => fill_report_3(&mut igmp, &mut head, &mut input),
            (QUERY, version) => fill_query(&mut igmp, version, response_code, &mut head, &mut input),
            _ => fill_group(&mut igmp, &mut head),
        };
        igmp.truncated = read.is_err();
        read?;
        Ok(Next::End)
    }
}

/// RFC 3376 §7.1.
fn version(message_type: u8, response_code: u8, length: usize) -> u32 {
    match message_type {
        REPORT_1 => 1,
        REPORT_2 | LEAVE => 2,
        REPORT_3 => 3,
        QUERY if length >= QUERY_3_BYTES => 3,
        QUERY if response_code == 0 => 1,
        QUERY => 2,
        _ => 0,
    }
}

fn fill_group(igmp: &mut record::Igmp, head: &mut Cursor<'_>) -> Result<(), Malformed> {
    push_address(&mut igmp.group, Ipv4Addr::from(head.array::<4>()?).into());
    Ok(())
}

fn fill_query(
    igmp: &mut Draft<'_, record::Igmp>,
    version: u32,
    response_code: u8,
    head: &mut Cursor<'_>,
    input: &mut Cursor<'_>,
) -> Result<(), Malformed> {
    fill_group(igmp, head)?;
    match version {
        1 => return Ok(()),
        2 => {
            igmp.max_response_time_ns = Some(i64::from(response_code) * TENTH_NS);
            return Ok(());
        }
        _ => igmp.max_response_time_ns = Some(expand_code(response_code) * TENTH_NS),
    }
    let flags = input.u8()?;
    igmp.suppress = flags & 8 != 0;
    igmp.robustness = Some((flags & 7).into());
    igmp.query_interval_ns = Some(expand_code(input.u8()?) * SECOND_NS);
    let count = input.u16()?;
    let (record, spares) = igmp.parts();
    push_sources(&mut record.sources, spares, input, count, read_address)
}

fn fill_report_3(
    igmp: &mut Draft<'_, record::Igmp>,
    head: &mut Cursor<'_>,
    input: &mut Cursor<'_>,
) -> Result<(), Malformed> {
    head.skip(2)?;
    let count = head.u16()?;
    let (record, spares) = igmp.parts();
    push_records(&mut record.group_records, spares, input, count, read_address)
}

fn read_address(input: &mut Cursor<'_>) -> Result<std::net::IpAddr, Malformed> {
    Ok(Ipv4Addr::from(input.array::<4>()?).into())
}

/// IANA IGMP type numbers.
fn type_name(message_type: u8) -> &'static str {
    match message_type {
        QUERY => "query",
        REPORT_1 => "report-v1",
        0x13 => "dvmrp",
        0x14 => "pim-v1",
        0x15 => "cisco-trace",
        REPORT_2 => "report-v2",
        LEAVE => "leave",
        0x1e => "mtrace-response",
        0x1f => "mtrace",
        REPORT_3 => "report-v3",
        0x30 => "multicast-router-advertisement",
        0x31 => "multicast-router-solicitation",
        0x32 => "multicast-router-termination",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    const GROUP: [u8; 4] = [239, 1, 2, 3];

    fn decode(message: &[u8]) -> testing::Records {
        testing::decode(testing::ETHERNET, &[testing::ipv4(2, message)])
    }

    #[test]
    fn types_and_lengths_tell_the_version() {
        let group = |head: [u8; 4]| [head, GROUP].concat();
        let query_3 = [&group([0x11, 0x88, 0, 0])[..], &[0x0a, 125, 0, 1, 10, 0, 0, 9]].concat();
        let messages =
            [group([0x11, 0, 0, 0]), group([0x11, 100, 0, 0]), query_3, group([0x12, 0, 0, 0]), group([0x17, 0, 0, 0])];
        let frames: Vec<_> = messages.iter().map(|message| testing::ipv4(2, message)).collect();
        let igmp = testing::decode(testing::ETHERNET, &frames).of::<record::Igmp>();
        let seen: Vec<_> = igmp.iter().map(|igmp| (igmp.version, igmp.type_name.as_str())).collect();
        assert_eq!(seen, [(1, "query"), (2, "query"), (3, "query"), (1, "report-v1"), (2, "leave")]);
        let times: Vec<_> = igmp.iter().map(|igmp| igmp.max_response_time_ns).collect();
        assert_eq!(times, [None, Some(10_000_000_000), Some(19_200_000_000), None, None]);
        assert_eq!(
            (igmp[2].suppress, igmp[2].robustness, igmp[2].query_interval_ns),
            (true, Some(2), Some(125_000_000_000))
        );
        assert_eq!((igmp[2].group.as_str(), igmp[2].sources[0].as_str()), ("239.1.2.3", "10.0.0.9"));
    }

    #[test]
    fn a_report_of_version_3_lists_groups_and_its_flow_has_no_ports() {
        let report = [&[0x22, 0, 0xf8, 0xe9, 0, 0, 0, 1, 3, 0, 0, 1][..], &GROUP, &[10, 0, 0, 9]].concat();
        let records = decode(&report);
        let report = &records.of::<record::Igmp>()[0];
        assert_eq!((report.version, report.group.as_str()), (3, ""));
        assert_eq!(report.group_records[0].type_name, "change-to-include");
        assert_eq!(report.group_records[0].sources, ["10.0.0.9"]);
        let connection = &records.of::<record::Connection>()[0];
        assert_eq!((connection.ip_protocol, connection.orig_payload_bytes), (2, 20));
        assert_eq!(report.meta.as_ref().unwrap().uid, connection.meta.as_ref().unwrap().uid);
    }

    #[test]
    fn every_cut_keeps_what_was_read() {
        let report = [&[0x22, 0, 0, 0, 0, 0, 0, 9, 3, 0, 0, 1][..], &GROUP, &[10, 0, 0, 9]].concat();
        for length in 0..=report.len() {
            let records = decode(&report[..length]);
            let igmp = records.of::<record::Igmp>();
            assert_eq!(igmp.len(), usize::from(length >= 8));
            assert_eq!(igmp.first().map_or(0, |igmp| igmp.group_records.len()), usize::from(length >= 16));
            assert_eq!(records.weirds(), ["igmp Truncated: ends before its fields do"]);
        }
    }
}
