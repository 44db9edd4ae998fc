//! DHCP (RFC 2131) and BOOTP (RFC 951), which has the same header: one record per message.

mod names;
mod options;
mod relay_agent;
mod routes;

use std::net::Ipv4Addr;

use weir_contract::{WeirdReason, record};

use super::{Context, Datagram, Probe, Requests, dhcp};
use crate::{
    cursor::{Cursor, Malformed},
    names::hardware_type_name,
    output::{Draft, Output, push_address, push_mac},
};

pub(crate) struct Dhcpv4;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;

/// Bytes up to the client's hardware address. Behind it are the server's name, the boot file and the
/// options: what captures with few bytes a packet lack.
const HEADER_BYTES: usize = 44;
const SERVER_NAME_BYTES: usize = 64;
const BOOT_FILE_BYTES: usize = 128;
const HARDWARE_ADDRESS_MAX: u8 = 16;

/// What begins the options (RFC 2131 §3).
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];

/// What a request and its reply share: the transaction, and what the client asked.
type RequestKey = (u32, u8);

impl Datagram for Dhcpv4 {
    const NAME: &'static str = "dhcpv4";
    const PORTS: &'static [u16] = &[67, 68, 4011];
    type State = Requests<RequestKey>;

    fn probe(bytes: &[u8]) -> Probe {
        const COOKIE_AT: usize = HEADER_BYTES + SERVER_NAME_BYTES + BOOT_FILE_BYTES;
        let Some([REQUEST | REPLY, _, 0..=HARDWARE_ADDRESS_MAX, ..]) = bytes.get(..HEADER_BYTES) else {
            return Probe::No;
        };
        match bytes.get(COOKIE_AT..) {
            Some(options) if options.starts_with(&MAGIC_COOKIE) => Probe::Yes,
            _ => Probe::Unsure,
        }
    }

    fn parse(
        mut input: Cursor<'_>,
        context: &mut Context,
        requests: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        let mut header = input.message_of(HEADER_BYTES)?;
        let Some(mut dhcp) = out.record::<record::Dhcpv4>() else { return Ok(()) };
        parse_header(&mut header, &mut dhcp)?;
        let parsed = parse_rest(&mut input, &mut dhcp);
        match_request(context, requests, &mut dhcp);
        dhcp.truncated = parsed.is_err();
        parsed
    }
}

/// RFC 2131 §2.
fn parse_header(input: &mut Cursor<'_>, dhcp: &mut Draft<'_, record::Dhcpv4>) -> Result<(), Malformed> {
    let operation = input.u8()?;
    dhcp.operation = operation.into();
    dhcp.operation_name.push_str(names::operation(operation));
    let hardware_type = input.u8()?;
    dhcp.hardware_type = hardware_type.into();
    dhcp.hardware_type_name.push_str(hardware_type_name(hardware_type.into()));
    let address_bytes = input.u8()?;
    dhcp.hardware_address_bytes = address_bytes.into();
    dhcp.hops = input.u8()?.into();
    dhcp.transaction_id = input.u32()?.into();
    dhcp.elapsed_ns = i64::from(input.u16()?) * 1_000_000_000;
    let flags = input.u16()?;
    dhcp.flags = flags.into();
    dhcp.broadcast = flags >> 15 == 1;
    push_unless_zero(&mut dhcp.client_ip, input.array()?);
    push_unless_zero(&mut dhcp.your_ip, input.array()?);
    push_unless_zero(&mut dhcp.next_server_ip, input.array()?);
    push_unless_zero(&mut dhcp.relay_ip, input.array()?);
    let address = input.message_up_to(address_bytes.into());
    push_mac(&mut dhcp.client_mac, address.peek());
    if address_bytes > HARDWARE_ADDRESS_MAX {
        dhcp.note(address.malformed(WeirdReason::BadLength, "hardware address of more than 16 bytes"));
    }
    Ok(())
}

fn parse_rest(input: &mut Cursor<'_>, dhcp: &mut Draft<'_, record::Dhcpv4>) -> Result<(), Malformed> {
    let server_name = input.message_of(SERVER_NAME_BYTES)?;
    let boot_file = input.message_of(BOOT_FILE_BYTES)?;
    let parsed = match input.peek().first_chunk() {
        Some(&MAGIC_COOKIE) => {
            input.skip(MAGIC_COOKIE.len())?;
            options::parse(input.rest(), boot_file, server_name, dhcp)
        }
        // BOOTP needs no vendor area, and leaves open what is in it.
        None | Some(&[0, 0, 0, 0]) => Ok(()),
        Some(_) => Err(input.malformed(WeirdReason::BadValue, "options without the magic cookie")),
    };
    let overload = dhcp.option_overload.unwrap_or_default();
    // Options 66 and 67 stand in for the fields that hold options (RFC 2132 §9.4, §9.5).
    if overload & options::IN_SERVER_NAME == 0 {
        push_terminated(&mut dhcp.server_name, server_name.peek());
    }
    if overload & options::IN_BOOT_FILE == 0 {
        push_terminated(&mut dhcp.boot_file, boot_file.peek());
    }
    parsed
}

/// Appends a text that ends at a NUL, in the place of what an option said, unless it is empty.
fn push_terminated(out: &mut String, field: &[u8]) {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    let text = field.get(..end).unwrap_or_default();
    if !text.is_empty() {
        out.clear();
        weir_contract::text::push_escaped(out, text);
    }
}

/// Matches replies to what asked for them. A reply to a client without address goes to another
/// address than the request came from, and so is of another flow.
fn match_request(context: &Context, requests: &mut Requests<RequestKey>, dhcp: &mut Draft<'_, record::Dhcpv4>) {
    const BOOTP: u8 = 0;
    const DISCOVER: u8 = 1;
    const ASK: u8 = 3;
    const INFORM: u8 = 8;
    const LEASEQUERY: u8 = 10;
    let Ok(transaction) = u32::try_from(dhcp.transaction_id) else { return };
    let message_type = dhcp.message_type.unwrap_or(BOOTP.into());
    if dhcp.operation == u32::from(REQUEST) {
        if let Ok(asked @ (BOOTP | DISCOVER | ASK | INFORM | LEASEQUERY)) = u8::try_from(message_type) {
            requests.request((transaction, asked), context.ts_ns);
        }
        return;
    }
    // Offer, ack (to a discover with rapid commit, RFC 4039), nak, and those to a leasequery (RFC 4388).
    let asked: &[u8] = match message_type {
        0 => &[BOOTP],
        2 => &[DISCOVER],
        5 => &[ASK, INFORM, DISCOVER],
        6 => &[ASK],
        11..=13 => &[LEASEQUERY],
        _ => return,
    };
    dhcp.response = true;
    dhcp.response_time_ns = asked.iter().find_map(|&asked| requests.response(&(transaction, asked), context.ts_ns));
    dhcp.request_seen = dhcp.response_time_ns.is_some();
}

fn push_unless_zero(out: &mut String, octets: [u8; 4]) {
    if octets != [0; 4] {
        push_address(out, Ipv4Addr::from(octets).into());
    }
}

#[cfg(test)]
mod tests;
