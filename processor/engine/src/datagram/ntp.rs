//! NTP (RFC 5905 §7.3), its control messages (RFC 9327 §2) and ntpd's private ones: one record per
//! message.

use std::net::Ipv4Addr;

use weir_contract::{WeirdReason, record, text::push_escaped};

use super::{Context, Datagram, Probe, Requests};
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::{Draft, Output},
};

pub(crate) struct Ntp;

const CONTROL: u8 = 6;
const PRIVATE: u8 = 7;
const MODE_NAMES: [&str; 8] =
    ["reserved", "symmetric active", "symmetric passive", "client", "server", "broadcast", "control", "private"];

/// Bytes of a message of modes 1 to 5 without extensions and authenticator.
const HEADER_BYTES: usize = 48;

/// What a request and its response share: the client's transmit timestamp, or mode and sequence.
type RequestKey = u64;

impl Datagram for Ntp {
    const NAME: &'static str = "ntp";
    const PORTS: &'static [u16] = &[123];
    const NEEDS_PORT: bool = true;
    type State = Requests<RequestKey>;

    fn probe(bytes: &[u8]) -> Probe {
        let [first, ..] = *bytes else { return Probe::No };
        let (version, mode) = (first >> 3 & 7, first & 7);
        let long_enough = match mode {
            CONTROL => bytes.len() >= 12,
            PRIVATE => bytes.len() >= 8,
            _ => bytes.len() >= HEADER_BYTES,
        };
        if (1..=4).contains(&version) && mode != 0 && long_enough { Probe::Unsure } else { Probe::No }
    }

    fn parse(
        mut input: Cursor<'_>,
        context: &mut Context,
        requests: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        let Some(mut ntp) = out.record::<record::Ntp>() else { return Ok(()) };
        let parsed = parse_message(&mut input, context, requests, &mut ntp);
        ntp.truncated = parsed.is_err();
        parsed
    }
}

fn parse_message(
    input: &mut Cursor<'_>,
    context: &Context,
    requests: &mut Requests<RequestKey>,
    ntp: &mut Draft<'_, record::Ntp>,
) -> Result<(), Malformed> {
    let first = input.u8()?;
    let mode = first & 7;
    ntp.version = (first >> 3 & 7).into();
    ntp.mode = mode.into();
    ntp.mode_name.push_str(MODE_NAMES[usize::from(mode)]);
    match mode {
        CONTROL => parse_control(input, context, requests, first, ntp),
        PRIVATE => parse_private(input, context, requests, first, ntp),
        _ => parse_time(input, context, requests, first, ntp),
    }
}

fn parse_time(
    input: &mut Cursor<'_>,
    context: &Context,
    requests: &mut Requests<RequestKey>,
    first: u8,
    ntp: &mut Draft<'_, record::Ntp>,
) -> Result<(), Malformed> {
    ntp.leap_indicator = (first >> 6).into();
    let stratum = input.u8()?;
    ntp.stratum = Some(stratum.into());
    ntp.poll_log2 = Some(input.u8()?.cast_signed().into());
    ntp.precision_log2 = Some(input.u8()?.cast_signed().into());
    ntp.root_delay_ns = Some(short_to_ns(input.u32()?));
    ntp.root_dispersion_ns = Some(short_to_ns(input.u32()?));
    let reference = input.array::<4>()?;
    push_reference(&mut ntp.reference_id, stratum, reference);
    ntp.reference_ts_ns = timestamp_to_ns(input.u64()?);
    let origin = input.u64()?;
    ntp.origin_ts_ns = timestamp_to_ns(origin);
    ntp.receive_ts_ns = timestamp_to_ns(input.u64()?);
    let transmit = input.u64()?;
    ntp.transmit_ts_ns = timestamp_to_ns(transmit);
    match first & 7 {
        3 => requests.request(transmit, context.ts_ns),
        4 => answer(ntp, requests, origin, context.ts_ns),
        _ => {}
    }
    parse_extensions(input, ntp)
}

/// Extension fields (RFC 7822 §3) and the message authentication code (RFC 5905 §7.3): what is left
/// of up to 24 bytes is the code, since no extension is shorter than 28 bytes before one.
fn parse_extensions(input: &mut Cursor<'_>, ntp: &mut Draft<'_, record::Ntp>) -> Result<(), Malformed> {
    while input.remaining() > 24 && !is_long_code(input.peek()) {
        let field_type = input.u16()?;
        let length = usize::from(input.u16()?);
        if length < 16 || length % 4 != 0 {
            return Err(input.malformed(WeirdReason::BadLength, "extension field of impossible length"));
        }
        input.skip(length - 4)?;
        if ntp.extension_types.len() >= LIST_MAX {
            return Err(input.malformed(WeirdReason::Limit, "too many extension fields"));
        }
        ntp.extension_types.push(field_type.into());
    }
    if !input.is_empty() {
        ntp.key_id = Some(input.u32()?);
        ntp.digest_bytes = u32::try_from(input.remaining()).ok();
    }
    Ok(())
}

/// Whether the rest of a message is a code of 32 bytes or more, as OpenSSL's digests make them for ntpd:
/// no RFC provides for these, and the key's identifier then reads as an extension of impossible length.
fn is_long_code(rest: &[u8]) -> bool {
    let [_, _, high, low, ..] = *rest else { return false };
    let extension_bytes = usize::from(u16::from_be_bytes([high, low]));
    matches!(rest.len(), 36 | 52 | 68) && !(16..=rest.len()).contains(&extension_bytes)
}

/// RFC 9327 §2.
fn parse_control(
    input: &mut Cursor<'_>,
    context: &Context,
    requests: &mut Requests<RequestKey>,
    first: u8,
    ntp: &mut Draft<'_, record::Ntp>,
) -> Result<(), Malformed> {
    ntp.leap_indicator = (first >> 6).into();
    let operation = input.u8()?;
    let sequence = input.u16()?;
    ntp.operation = Some((operation & 0x1f).into());
    ntp.sequence = Some(sequence.into());
    ntp.status = Some(input.u16()?.into());
    ntp.association_id = Some(input.u16()?.into());
    let offset = input.u16()?;
    let count = usize::from(input.u16()?);
    let key = u64::from(CONTROL) << 32 | u64::from(sequence);
    if operation >> 7 == 0 {
        requests.request(key, context.ts_ns);
    } else if offset == 0 {
        answer(ntp, requests, key, context.ts_ns);
    } else {
        // A further fragment of a response that was matched already.
        ntp.response = true;
    }
    let data = input.take(count)?;
    push_escaped(&mut ntp.control_data, data.get(..TEXT_MAX).unwrap_or(data));
    Ok(())
}

/// Mode 7 as in ntpd's `ntp_request.h`.
fn parse_private(
    input: &mut Cursor<'_>,
    context: &Context,
    requests: &mut Requests<RequestKey>,
    first: u8,
    ntp: &mut Draft<'_, record::Ntp>,
) -> Result<(), Malformed> {
    let sequence = input.u8()? & 0x7f;
    input.skip(1)?;
    ntp.operation = Some(input.u8()?.into());
    ntp.sequence = Some(sequence.into());
    let key = u64::from(PRIVATE) << 32 | u64::from(sequence);
    if first >> 7 == 0 {
        requests.request(key, context.ts_ns);
    } else {
        answer(ntp, requests, key, context.ts_ns);
    }
    Ok(())
}

fn answer(ntp: &mut Draft<'_, record::Ntp>, requests: &mut Requests<RequestKey>, key: RequestKey, ts_ns: i64) {
    ntp.response = true;
    ntp.response_time_ns = requests.response(&key, ts_ns);
    ntp.request_seen = ntp.response_time_ns.is_some();
}

/// Four letters for a primary server or a kiss-o'-death, else an address (RFC 5905 §7.3).
fn push_reference(out: &mut String, stratum: u8, reference: [u8; 4]) {
    if stratum > 1 {
        crate::output::push_address(out, Ipv4Addr::from(reference).into());
        return;
    }
    let end = reference.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    push_escaped(out, reference.get(..end).unwrap_or_default());
}

/// Seconds as 16.16 fixed point.
fn short_to_ns(short: u32) -> i64 {
    i64::try_from(u64::from(short) * 1_000_000_000 >> 16).unwrap_or(i64::MAX)
}

/// Seconds as 32.32 fixed point, since 1900 where the top bit is set, else since 2036 (RFC 4330 §3).
fn timestamp_to_ns(timestamp: u64) -> Option<i64> {
    const SECONDS_1900_TO_1970: i64 = 2_208_988_800;
    if timestamp == 0 {
        return None;
    }
    let mut seconds = i64::try_from(timestamp >> 32).ok()?;
    if timestamp >> 63 == 0 {
        seconds += 1 << 32;
    }
    let fraction_ns = i64::try_from((timestamp & 0xffff_ffff) * 1_000_000_000 >> 32).ok()?;
    Some((seconds - SECONDS_1900_TO_1970) * 1_000_000_000 + fraction_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn timestamps_of_both_eras() {
        assert_eq!(timestamp_to_ns(0x83aa_7e80 << 32), Some(0));
        assert_eq!(timestamp_to_ns(0x83aa_7e80 << 32 | 0x8000_0000), Some(500_000_000));
        // RFC 4330 §3: 6h 28m 16s UTC on 7 February 2036.
        assert_eq!(timestamp_to_ns(1), Some(2_085_978_496_000_000_000));
    }

    /// A client's request and the server's answer, which repeats the request's transmit timestamp.
    fn exchange() -> [Vec<u8>; 2] {
        let mut request = vec![0x23, 0, 6, 0xec];
        request.resize(HEADER_BYTES - 8, 0);
        request.extend([0xe0, 1, 2, 3, 4, 5, 6, 7]);
        let mut response = vec![0x24, 1, 6, 0xec, 0, 0, 0x80, 0, 0, 1, 0, 0];
        response.extend(b"GPS\0");
        response.extend([0; 8]);
        response.extend([0xe0, 1, 2, 3, 4, 5, 6, 7]);
        response.extend([0; 16]);
        [testing::udp(40000, 123, &request), testing::udp_back(123, 40000, &response)]
    }

    #[test]
    fn a_response_knows_its_request() {
        let records = testing::decode(testing::ETHERNET, &exchange());
        let [request, response] = &records.of::<record::Ntp>()[..] else { panic!("two messages") };
        assert_eq!((request.mode_name.as_str(), request.response), ("client", false));
        assert_eq!((response.reference_id.as_str(), response.root_delay_ns), ("GPS", Some(500_000_000)));
        assert_eq!((response.request_seen, response.response_time_ns), (true, Some(1_000_000)));
        let [request, response] = [request, response].map(|ntp| ntp.meta.clone().unwrap());
        assert_eq!((request.src_ip.as_str(), request.dst_port), ("10.0.0.1", 123));
        assert_eq!((&response.src_ip, &response.uid, response.from_responder), (&request.src_ip, &request.uid, true));
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn a_code_may_be_longer_than_the_standard_has_it() {
        let mut request = vec![0x23; HEADER_BYTES];
        request.extend([0, 0, 0, 3]);
        request.extend([0xaa; 32]);
        let records = testing::decode(testing::ETHERNET, &[testing::udp(40000, 123, &request)]);
        let [request] = &records.of::<record::Ntp>()[..] else { panic!("one message") };
        assert_eq!((request.key_id, request.digest_bytes, request.truncated), (Some(3), Some(32), false));
    }

    #[test]
    fn a_message_cut_short_keeps_what_was_read() {
        let frames = exchange().map(|mut frame| {
            frame.truncate(14 + 20 + 8 + 12);
            frame
        });
        let records = testing::decode(testing::ETHERNET, &frames);
        assert!(records.of::<record::Ntp>().is_empty(), "12 bytes are too few to tell NTP");
        let mut cut = exchange()[0].clone();
        cut[42] = 0x26;
        cut.truncate(42 + 14);
        let records = testing::decode(testing::ETHERNET, &[cut]);
        let [control] = &records.of::<record::Ntp>()[..] else { panic!("one message") };
        assert!(control.truncated || control.control_data.is_empty());
    }

    #[test]
    fn fixed_point_seconds() {
        assert_eq!(short_to_ns(0x0001_8000), 1_500_000_000);
    }
}
