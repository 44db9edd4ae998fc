//! SNMP: v1 (RFC 1157), v2c (RFC 1901, PDUs RFC 3416) and v3 (RFC 3412) with the user-based security
//! model (RFC 3414): one record per message.
//!
//! Read by our own BER reader and not by a crate for SNMP, since those give nothing of a message that
//! is cut or wrong in one place, and keep lists that we bound.

mod engine_id;
mod names;
mod variables;

use serde::{Deserialize, Serialize};
use weir_contract::{WeirdReason, record};

use super::{Context, Datagram, Probe, Requests};
use crate::{
    ber::{Element, tag},
    cursor::{Cursor, Malformed},
    limits::TEXT_MAX,
    output::{Draft, Output, push_wire_text},
};

pub(crate) struct Snmp;

const V1: i64 = 0;
const V2C: i64 = 1;
const V3: i64 = 3;

/// Flags of v3 (RFC 3412 §6.4).
const AUTHENTICATED: u8 = 1;
const ENCRYPTED: u8 = 2;
const REPORTABLE: u8 = 4;

/// PDUs by their tags (RFC 3416 §3; the trap of v1 RFC 1157 §4.1.6).
mod pdu {
    pub(super) const GET: u8 = 0xa0;
    pub(super) const GET_NEXT: u8 = 0xa1;
    pub(super) const RESPONSE: u8 = 0xa2;
    pub(super) const SET: u8 = 0xa3;
    pub(super) const TRAP_V1: u8 = 0xa4;
    pub(super) const GET_BULK: u8 = 0xa5;
    pub(super) const INFORM: u8 = 0xa6;
    pub(super) const REPORT: u8 = 0xa8;
}

/// What a request and its response share.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RequestKey {
    /// The request identifier of v1 and v2c.
    Request(i64),
    /// The message identifier of v3, known also where the PDU is encrypted.
    Message(i64),
}

impl Datagram for Snmp {
    const NAME: &'static str = "snmp";
    const PORTS: &'static [u16] = &[161, 162];
    type State = Requests<RequestKey>;

    fn probe(bytes: &[u8]) -> Probe {
        let mut input = Cursor::new(bytes);
        match shape(&mut input) {
            Ok(Shape::Whole) if input.is_empty() => Probe::Yes,
            Ok(Shape::Whole | Shape::Cut) => Probe::Unsure,
            _ => Probe::No,
        }
    }

    fn parse(
        mut input: Cursor<'_>,
        context: &mut Context,
        requests: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        let message = Element::expect(&mut input, tag::SEQUENCE, "message that is no sequence")?;
        let mut content = message.content;
        let version = integer(&mut content, "version that is no integer")?;
        let Some(mut snmp) = out.record::<record::Snmp>() else { return Ok(()) };
        let parsed = parse_message(version, &mut content, context, requests, &mut snmp);
        let parsed = parsed.and_then(|()| message.whole());
        snmp.truncated = parsed.is_err();
        if !input.is_empty() {
            snmp.note(input.malformed(WeirdReason::TrailingBytes, "bytes behind the message"));
        }
        parsed
    }
}

/// How much of a message of the right shape there is.
enum Shape {
    Whole,
    Cut,
}

/// Whether bytes begin as a message of SNMP must: version, then what only that version has.
fn shape(input: &mut Cursor<'_>) -> Result<Shape, Malformed> {
    let message = Element::expect(input, tag::SEQUENCE, "message that is no sequence")?;
    let mut content = message.content;
    let version = integer(&mut content, "version that is no integer")?;
    let second = match version {
        V1 | V2C => tag::OCTET_STRING,
        V3 => tag::SEQUENCE,
        _ => return Err(content.malformed(WeirdReason::BadVersion, "version that is not 0, 1 or 3")),
    };
    let second = Element::expect(&mut content, second, "neither community nor header")?;
    if message.whole().is_err() || second.whole().is_err() {
        return Ok(Shape::Cut);
    }
    let third = Element::read(&mut content)?;
    let is_of_version = match version {
        V3 => third.tag == tag::OCTET_STRING,
        _ => (pdu::GET..=pdu::REPORT).contains(&third.tag),
    };
    if is_of_version { Ok(Shape::Whole) } else { Err(content.malformed(WeirdReason::BadValue, "no PDU")) }
}

fn parse_message(
    version: i64,
    content: &mut Cursor<'_>,
    context: &Context,
    requests: &mut Requests<RequestKey>,
    snmp: &mut Draft<'_, record::Snmp>,
) -> Result<(), Malformed> {
    snmp.version = u32::try_from(version).unwrap_or(u32::MAX);
    snmp.version_name.push_str(names::version(version));
    match version {
        V1 | V2C => {
            let community = Element::expect(content, tag::OCTET_STRING, "community that is no octet string")?;
            push_octets(&mut snmp.community, &community)?;
            parse_pdu(content, context, requests, snmp)
        }
        V3 => parse_v3(content, context, requests, snmp),
        _ => Err(content.malformed(WeirdReason::BadVersion, "version that is not 0, 1 or 3")),
    }
}

/// RFC 3412 §6.
fn parse_v3(
    content: &mut Cursor<'_>,
    context: &Context,
    requests: &mut Requests<RequestKey>,
    snmp: &mut Draft<'_, record::Snmp>,
) -> Result<(), Malformed> {
    let header = Element::expect(content, tag::SEQUENCE, "header that is no sequence")?;
    let mut fields = header.content;
    let message_id = counter(&mut fields, "message identifier that is no integer")?;
    snmp.message_id = Some(message_id);
    snmp.max_message_bytes = Some(counter(&mut fields, "message size that is no integer")?);
    let flags = Element::expect(&mut fields, tag::OCTET_STRING, "flags that are no octet string")?;
    let flags = flags.bytes()?.first().copied().unwrap_or_default();
    snmp.flags = Some(flags.into());
    snmp.authenticated = flags & AUTHENTICATED != 0;
    snmp.encrypted = flags & ENCRYPTED != 0;
    snmp.reportable = flags & REPORTABLE != 0;
    let model = integer(&mut fields, "security model that is no integer")?;
    snmp.security_model = Some(model);
    snmp.security_model_name.push_str(names::security_model(model));
    header.whole()?;

    let parameters = Element::expect(content, tag::OCTET_STRING, "security parameters that are no octet string")?;
    if model == names::USER_BASED {
        parse_user_based(parameters.content, snmp)?;
    }
    parameters.whole()?;

    let data = Element::read(content)?;
    match data.tag {
        tag::OCTET_STRING => {
            snmp.encrypted = true;
            snmp.encrypted_bytes = u32::try_from(data.content.remaining()).ok();
            match_encrypted(message_id, context, requests, snmp);
        }
        tag::SEQUENCE => {
            let mut scoped = data.content;
            let engine = Element::expect(&mut scoped, tag::OCTET_STRING, "context engine that is no octet string")?;
            let engine = engine_id::read(&engine, snmp)?;
            snmp.context_engine = engine;
            let name = Element::expect(&mut scoped, tag::OCTET_STRING, "context name that is no octet string")?;
            push_octets(&mut snmp.context_name, &name)?;
            parse_pdu(&mut scoped, context, requests, snmp)?;
        }
        _ => return Err(data.content.malformed(WeirdReason::BadValue, "data that are neither plain nor encrypted")),
    }
    data.whole()
}

/// RFC 3414 §2.4.
fn parse_user_based(mut parameters: Cursor<'_>, snmp: &mut Draft<'_, record::Snmp>) -> Result<(), Malformed> {
    let sequence = Element::expect(&mut parameters, tag::SEQUENCE, "security parameters that are no sequence")?;
    let mut fields = sequence.content;
    let engine = Element::expect(&mut fields, tag::OCTET_STRING, "engine identifier that is no octet string")?;
    let engine = engine_id::read(&engine, snmp)?;
    snmp.engine = engine;
    snmp.engine_boots = Some(counter(&mut fields, "engine boots that are no integer")?);
    snmp.engine_time_ns = counter(&mut fields, "engine time that is no integer")?.checked_mul(1_000_000_000);
    let user = Element::expect(&mut fields, tag::OCTET_STRING, "user name that is no octet string")?;
    push_octets(&mut snmp.user_name, &user)?;
    let code = Element::expect(&mut fields, tag::OCTET_STRING, "authentication that is no octet string")?.bytes()?;
    snmp.authentication_parameters.extend_from_slice(code.get(..TEXT_MAX).unwrap_or(code));
    let salt = Element::expect(&mut fields, tag::OCTET_STRING, "salt that is no octet string")?.bytes()?;
    snmp.privacy_parameters.extend_from_slice(salt.get(..TEXT_MAX).unwrap_or(salt));
    sequence.whole()
}

/// Whether an encrypted message is a request is not known, but only requests and informs ask for
/// Reports (RFC 3412 §6.4).
fn match_encrypted(
    message_id: i64,
    context: &Context,
    requests: &mut Requests<RequestKey>,
    snmp: &mut Draft<'_, record::Snmp>,
) {
    let key = RequestKey::Message(message_id);
    if snmp.reportable {
        requests.request(key, context.ts_ns);
        return;
    }
    snmp.response_time_ns = requests.response(&key, context.ts_ns);
    snmp.request_seen = snmp.response_time_ns.is_some();
    snmp.response = snmp.request_seen;
}

fn parse_pdu(
    input: &mut Cursor<'_>,
    context: &Context,
    requests: &mut Requests<RequestKey>,
    snmp: &mut Draft<'_, record::Snmp>,
) -> Result<(), Malformed> {
    let element = Element::read(input)?;
    let Some(pdu_type) = element.tag.checked_sub(pdu::GET).filter(|_| element.tag <= pdu::REPORT) else {
        return Err(element.content.malformed(WeirdReason::BadValue, "PDU of unknown type"));
    };
    snmp.pdu_type = Some(pdu_type.into());
    snmp.pdu_type_name.push_str(names::pdu(pdu_type));
    let mut fields = element.content;
    if element.tag == pdu::TRAP_V1 {
        parse_trap_v1(&mut fields, snmp)?;
    } else {
        let request_id = integer(&mut fields, "request identifier that is no integer")?;
        snmp.request_id = Some(request_id);
        let key = snmp.message_id.map_or(RequestKey::Request(request_id), RequestKey::Message);
        match_pdu(element.tag, key, context, requests, snmp);
        let second = integer(&mut fields, "error status that is no integer")?;
        let third = integer(&mut fields, "error index that is no integer")?;
        if element.tag == pdu::GET_BULK {
            snmp.non_repeaters = Some(second);
            snmp.max_repetitions = Some(third);
        } else {
            snmp.error_status = Some(second);
            snmp.error_status_name.push_str(names::error_status(second));
            snmp.error_index = Some(third);
        }
    }
    let list = Element::expect(&mut fields, tag::SEQUENCE, "variables that are no sequence")?;
    variables::parse(list.content, snmp)?;
    list.whole()?;
    element.whole()
}

fn match_pdu(
    pdu_tag: u8,
    key: RequestKey,
    context: &Context,
    requests: &mut Requests<RequestKey>,
    snmp: &mut Draft<'_, record::Snmp>,
) {
    match pdu_tag {
        pdu::GET | pdu::GET_NEXT | pdu::SET | pdu::GET_BULK | pdu::INFORM => requests.request(key, context.ts_ns),
        pdu::RESPONSE | pdu::REPORT => {
            snmp.response = true;
            snmp.response_time_ns = requests.response(&key, context.ts_ns);
            snmp.request_seen = snmp.response_time_ns.is_some();
        }
        _ => {}
    }
}

/// RFC 1157 §4.1.6.
fn parse_trap_v1(fields: &mut Cursor<'_>, snmp: &mut Draft<'_, record::Snmp>) -> Result<(), Malformed> {
    let enterprise = Element::expect(fields, tag::OBJECT_IDENTIFIER, "enterprise that is no object identifier")?;
    enterprise.push_object_identifier(&mut snmp.enterprise)?;
    let agent = Element::expect(fields, variables::IP_ADDRESS, "agent that is no address")?;
    variables::push_ip_address(&agent, &mut snmp.agent_ip)?;
    let generic = integer(fields, "generic trap that is no integer")?;
    snmp.generic_trap = Some(generic);
    snmp.generic_trap_name.push_str(names::generic_trap(generic));
    snmp.specific_trap = Some(integer(fields, "specific trap that is no integer")?);
    let uptime = Element::expect(fields, variables::TIME_TICKS, "time that is no TimeTicks")?;
    snmp.uptime_ns = variables::ticks_to_ns(uptime.unsigned()?);
    Ok(())
}

fn integer(input: &mut Cursor<'_>, detail: &'static str) -> Result<i64, Malformed> {
    Element::expect(input, tag::INTEGER, detail)?.integer()
}

/// A number that cannot be negative; some senders leave out the zero octet that says so.
fn counter(input: &mut Cursor<'_>, detail: &'static str) -> Result<i64, Malformed> {
    let number = Element::expect(input, tag::INTEGER, detail)?;
    i64::try_from(number.unsigned()?).or_else(|_| number.integer())
}

fn push_octets(out: &mut String, element: &Element<'_>) -> Result<(), Malformed> {
    push_wire_text(out, &element.content)?;
    element.whole()
}

#[cfg(test)]
mod tests;
