//! DNS (RFC 1035, 2136, 6891, 9460 and those of its record types), and what it shares with multicast DNS
//! (RFC 6762), LLMNR (RFC 4795) and the NetBIOS Name Service (RFC 1002 §4.2): one record per message.

mod dnssec;
mod edns;
mod message;
mod name;
mod netbios;
mod numbers;
mod probe;
mod rdata;
mod svcb;
mod text;

#[cfg(test)]
mod tests;

pub(crate) use message::{RequestKey, parse};
pub(super) use name::read as read_name;
pub(super) use probe::probe;
pub(crate) use probe::{is_message, may_begin};

use super::{Context, Datagram, Probe, Requests};
use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
};

pub(crate) struct Dns;

/// Protocols that share the format and differ in some bits of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Dns,
    Mdns,
    Llmnr,
    Nbns,
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Mdns => "mdns",
            Self::Llmnr => "llmnr",
            Self::Nbns => "nbns",
        }
    }
}

impl Datagram for Dns {
    const NAME: &'static str = "dns";
    const PORTS: &'static [u16] = &[53];
    type State = Requests<RequestKey>;

    fn probe(bytes: &[u8]) -> Probe {
        probe(bytes, Flavour::Dns)
    }

    fn parse(
        input: Cursor<'_>,
        context: &mut Context,
        requests: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        parse(input, Flavour::Dns, context.ts_ns, Some(requests), out)
    }
}
