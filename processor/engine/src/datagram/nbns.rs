//! The NetBIOS Name Service (RFC 1002 §4.2): messages of DNS, read by [`super::dns`].

use super::{
    Context, Datagram, Probe, Requests,
    dns::{self, Flavour, RequestKey},
};
use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
};

pub(crate) struct Nbns;

impl Datagram for Nbns {
    const NAME: &'static str = "nbns";
    const PORTS: &'static [u16] = &[137];
    const NEEDS_PORT: bool = true;
    type State = Requests<RequestKey>;

    fn probe(bytes: &[u8]) -> Probe {
        dns::probe(bytes, Flavour::Nbns)
    }

    fn parse(
        input: Cursor<'_>,
        context: &mut Context,
        requests: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        dns::parse(input, Flavour::Nbns, context.ts_ns, Some(requests), out)
    }
}
