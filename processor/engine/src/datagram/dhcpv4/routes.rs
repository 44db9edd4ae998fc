//! Routes that a server gives: with a prefix length (RFC 3442), or by their class (RFC 2132 §5.8).

use std::net::Ipv4Addr;

use weir_contract::{Spares, WeirdReason, record};

use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::push_address,
};

/// Prefix length, the octets of the destination that it covers, and a router.
pub(super) fn parse_classless(
    mut data: Cursor<'_>,
    routes: &mut Vec<record::DhcpRoute>,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    while !data.is_empty() {
        let bits = data.u8()?;
        if bits > 32 {
            return Err(data.malformed(WeirdReason::BadValue, "prefix of more than 32 bits"));
        }
        let covered = data.take(usize::from(bits.div_ceil(8)))?;
        let mut destination = [0; 4];
        for (octet, &covered) in destination.iter_mut().zip(covered) {
            *octet = covered;
        }
        let router = data.array()?;
        push_route(&data, routes, spares, (destination, bits), router)?;
    }
    Ok(())
}

/// Destination and router. The class of the destination says its prefix, unless host bits are set.
pub(super) fn parse_classful(
    mut data: Cursor<'_>,
    routes: &mut Vec<record::DhcpRoute>,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    while !data.is_empty() {
        let destination: [u8; 4] = data.array()?;
        let bits = match destination {
            [0..128, 0, 0, 0] => 8,
            [128..192, _, 0, 0] => 16,
            [192..224, _, _, 0] => 24,
            _ => 32,
        };
        let router = data.array()?;
        push_route(&data, routes, spares, (destination, bits), router)?;
    }
    Ok(())
}

fn push_route(
    data: &Cursor<'_>,
    routes: &mut Vec<record::DhcpRoute>,
    spares: &mut Spares,
    (destination, bits): ([u8; 4], u8),
    router: [u8; 4],
) -> Result<(), Malformed> {
    use std::fmt::Write as _;
    if routes.len() >= LIST_MAX {
        return Err(data.malformed(WeirdReason::Limit, "more than 100 routes"));
    }
    let mut route: record::DhcpRoute = spares.take();
    push_address(&mut route.prefix, Ipv4Addr::from(destination).into());
    let _ = write!(route.prefix, "/{bits}");
    push_address(&mut route.router, Ipv4Addr::from(router).into());
    routes.push(route);
    Ok(())
}
