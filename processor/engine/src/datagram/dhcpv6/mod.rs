//! DHCPv6 (RFC 8415): one record per datagram, that of the innermost message of a relayed one.

mod association;
mod names;
mod options;

use std::net::Ipv6Addr;

use weir_contract::{WeirdReason, record};

use super::{Context, Datagram, Probe, Requests, dhcp};
use crate::{
    cursor::{Cursor, Malformed},
    output::{Draft, Output, push_address},
};

pub(crate) struct Dhcpv6;

const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;
/// The last of IANA's message types.
const MESSAGE_TYPE_MAX: u8 = 37;

/// Relay messages around a message. Relays give up at a hop count of 8 (RFC 8415 §7.6).
const RELAYS_MAX: usize = 16;

/// Bytes of message type and transaction identifier, and of a relay message's header.
const HEADER_BYTES: usize = 4;
const RELAY_HEADER_BYTES: usize = 34;

impl Datagram for Dhcpv6 {
    const NAME: &'static str = "dhcpv6";
    const PORTS: &'static [u16] = &[546, 547];
    const NEEDS_PORT: bool = true;
    type State = Requests<u32>;

    fn probe(bytes: &[u8]) -> Probe {
        // Nothing in it is beyond doubt.
        match bytes.first() {
            Some(&(RELAY_FORWARD | RELAY_REPLY)) if bytes.len() >= RELAY_HEADER_BYTES => Probe::Unsure,
            Some(1..RELAY_FORWARD | 14..=MESSAGE_TYPE_MAX) if bytes.len() >= HEADER_BYTES => Probe::Unsure,
            _ => Probe::No,
        }
    }

    fn parse(
        mut input: Cursor<'_>,
        context: &mut Context,
        requests: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        let Some(&message_type) = input.peek().first() else { return Ok(()) };
        let header_bytes = if is_relay(message_type) { RELAY_HEADER_BYTES } else { HEADER_BYTES };
        // A header is read whole or not at all.
        { input }.skip(header_bytes)?;
        let Some(mut dhcp) = out.record::<record::Dhcpv6>() else { return Ok(()) };
        let parsed = parse_message(&mut input, context, requests, &mut dhcp);
        dhcp.truncated |= parsed.is_err();
        parsed
    }
}

fn is_relay(message_type: u8) -> bool {
    matches!(message_type, RELAY_FORWARD | RELAY_REPLY)
}

/// Unpacks relay messages, then reads the one they carry.
fn parse_message(
    input: &mut Cursor<'_>,
    context: &Context,
    requests: &mut Requests<u32>,
    dhcp: &mut Draft<'_, record::Dhcpv6>,
) -> Result<(), Malformed> {
    let mut message = *input;
    loop {
        let message_type = message.u8()?;
        dhcp.message_type = message_type.into();
        dhcp.message_type_name.clear();
        dhcp.message_type_name.push_str(names::message_type(message_type));
        if !is_relay(message_type) {
            return parse_innermost(message_type, &mut message, context, requests, dhcp);
        }
        if dhcp.relays.len() >= RELAYS_MAX {
            return Err(message.malformed(WeirdReason::Limit, "more than 16 relay messages in one another"));
        }
        let mut relay: record::Dhcpv6Relay = dhcp.spare();
        let relayed = parse_relay(message_type, &mut message, &mut relay, dhcp);
        dhcp.relays.push(relay);
        match relayed? {
            Some(relayed) => message = relayed,
            None => return Ok(()),
        }
    }
}

/// Reads a relay message behind its type; gives the one it carries (RFC 8415 §9).
fn parse_relay<'a>(
    message_type: u8,
    input: &mut Cursor<'a>,
    relay: &mut record::Dhcpv6Relay,
    dhcp: &mut Draft<'_, record::Dhcpv6>,
) -> Result<Option<Cursor<'a>>, Malformed> {
    relay.message_type = message_type.into();
    relay.message_type_name.push_str(names::message_type(message_type));
    relay.hop_count = input.u8()?.into();
    push_unless_zero(&mut relay.link_ip, input.array()?);
    push_address(&mut relay.peer_ip, Ipv6Addr::from(input.array::<16>()?).into());
    options::parse_of_relay(input, relay, dhcp)
}

fn parse_innermost(
    message_type: u8,
    input: &mut Cursor<'_>,
    context: &Context,
    requests: &mut Requests<u32>,
    dhcp: &mut Draft<'_, record::Dhcpv6>,
) -> Result<(), Malformed> {
    let transaction_id = input.u24()?;
    dhcp.transaction_id = Some(transaction_id);
    match message_type {
        // Solicit, Request, Confirm, Renew, Rebind, Release, Decline, Information-request, Leasequery,
        // Reconfigure-request, DHCPv4-query, Addr-reg-inform.
        1 | 3 | 4 | 5 | 6 | 8 | 9 | 11 | 14 | 18 | 20 | 36 => requests.request(transaction_id, context.ts_ns),
        // Advertise, Reply, Leasequery-reply, Reconfigure-reply, DHCPv4-response, Addr-reg-reply.
        2 | 7 | 15 | 19 | 21 | 37 => {
            dhcp.response = true;
            dhcp.response_time_ns = requests.response(&transaction_id, context.ts_ns);
            dhcp.request_seen = dhcp.response_time_ns.is_some();
        }
        _ => {}
    }
    options::parse(input, dhcp)
}

fn push_unless_zero(out: &mut String, octets: [u8; 16]) {
    if octets != [0; 16] {
        push_address(out, Ipv6Addr::from(octets).into());
    }
}

#[cfg(test)]
mod tests;
