//! Multicast DNS (RFC 6762): messages of DNS, read by [`super::dns`]. Anyone may answer anyone,
//! so that queries and responses are not matched.

use super::{
    Context, Datagram, Probe,
    dns::{self, Flavour},
};
use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
};

pub(crate) struct Mdns;

impl Datagram for Mdns {
    const NAME: &'static str = "mdns";
    const PORTS: &'static [u16] = &[5353];
    const NEEDS_PORT: bool = true;
    type State = ();

    fn probe(bytes: &[u8]) -> Probe {
        dns::probe(bytes, Flavour::Mdns)
    }

    fn parse(input: Cursor<'_>, context: &mut Context, _: &mut Self::State, out: &mut Output) -> Result<(), Malformed> {
        dns::parse(input, Flavour::Mdns, context.ts_ns, None, out)
    }
}
