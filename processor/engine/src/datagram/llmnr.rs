//! LLMNR (RFC 4795): messages of DNS, read by [`super::dns`].

use super::{
    Context, Datagram, Probe, Requests,
    dns::{self, Flavour, RequestKey},
};
use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
};

pub(crate) struct Llmnr;

impl Datagram for Llmnr {
    const NAME: &'static str = "llmnr";
    const PORTS: &'static [u16] = &[5355];
    const NEEDS_PORT: bool = true;
    type State = Requests<RequestKey>;

    fn probe(bytes: &[u8]) -> Probe {
        dns::probe(bytes, Flavour::Llmnr)
    }

    fn parse(
        input: Cursor<'_>,
        context: &mut Context,
        requests: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        dns::parse(input, Flavour::Llmnr, context.ts_ns, Some(requests), out)
    }
}
