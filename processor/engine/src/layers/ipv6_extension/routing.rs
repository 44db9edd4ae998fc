//! Routing headers (RFC 8200 §4.4): types 0 (RFC 2460 §4.4), 2 (RFC 6275 §6.4), 3 (RFC 6554 §3) and
//! 4 (RFC 8754 §2).

use std::net::Ipv6Addr;

use weir_contract::WeirdReason;

use crate::cursor::{Cursor, Malformed};

const SOURCE_ROUTE: u8 = 0;
const HOME_ADDRESS: u8 = 2;
const RPL: u8 = 3;
const SEGMENT_ROUTING: u8 = 4;

/// A routing header. It is at most 2,048 bytes long, so that it holds no more than 2,040 addresses.
pub(super) struct Routing<'a> {
    pub(super) routing_type: u8,
    pub(super) segments_left: u8,
    pub(super) addresses: Vec<Ipv6Addr>,
    /// Last entry, flags and tag of a segment routing header.
    pub(super) segments: Option<(u8, u8, u16)>,
    /// What follows the addresses.
    pub(super) rest: Cursor<'a>,
    /// Whether all addresses could be read.
    pub(super) whole: Result<(), Malformed>,
}

impl<'a> Routing<'a> {
    /// Reads what follows the header's length. `dst` is that of the IPv6 header.
    pub(super) fn read(mut body: Cursor<'a>, dst: Ipv6Addr) -> Result<Self, Malformed> {
        let routing_type = body.u8()?;
        let segments_left = body.u8()?;
        let special = body.u32()?;
        let mut routing =
            Self { routing_type, segments_left, addresses: Vec::new(), segments: None, rest: body, whole: Ok(()) };
        routing.whole = match routing_type {
            SOURCE_ROUTE | HOME_ADDRESS => routing.read_all(),
            RPL => routing.read_compressed(special, dst),
            SEGMENT_ROUTING => routing.read_segments(special),
            _ => Ok(()),
        };
        Ok(routing)
    }

    fn read_all(&mut self) -> Result<(), Malformed> {
        while !self.rest.is_empty() {
            self.addresses.push(self.rest.array::<16>()?.into());
        }
        Ok(())
    }

    fn read_segments(&mut self, special: u32) -> Result<(), Malformed> {
        let [last_entry, flags, tag @ ..] = special.to_be_bytes();
        self.segments = Some((last_entry, flags, u16::from_be_bytes(tag)));
        for _ in 0..=last_entry {
            self.addresses.push(self.rest.array::<16>()?.into());
        }
        Ok(())
    }

    /// Addresses without the octets that they share with the destination: so many of all, other many
    /// of the last (RFC 6554 §3).
    fn read_compressed(&mut self, special: u32, dst: Ipv6Addr) -> Result<(), Malformed> {
        let [compression, padding, ..] = special.to_be_bytes();
        let own = 16 - usize::from(compression >> 4);
        let own_of_last = 16 - usize::from(compression & 15);
        let padding = usize::from(padding >> 4);
        let Some(listed) = self.rest.remaining().checked_sub(padding) else {
            return Err(self.rest.malformed(WeirdReason::BadLength, "padding is longer than the addresses"));
        };
        let mut list = self.rest.message_up_to(listed);
        while list.remaining() > own_of_last {
            self.addresses.push(complete(dst, list.take(own)?));
        }
        self.addresses.push(complete(dst, list.take(own_of_last)?));
        Ok(())
    }

    /// Where the packet ends up, if it is not there yet.
    pub(super) fn last_destination(&self) -> Option<Ipv6Addr> {
        if self.segments_left == 0 {
            return None;
        }
        let last = if self.segments.is_some() { self.addresses.first() } else { self.addresses.last() };
        last.copied()
    }

    pub(super) fn name(&self) -> &'static str {
        match self.routing_type {
            SOURCE_ROUTE => "source-route",
            1 => "nimrod",
            HOME_ADDRESS => "home-address",
            RPL => "rpl",
            SEGMENT_ROUTING => "segment-routing",
            5 => "crh-16",
            6 => "crh-32",
            _ => "",
        }
    }
}

/// `dst` with other last octets.
fn complete(dst: Ipv6Addr, last: &[u8]) -> Ipv6Addr {
    let mut octets = dst.octets();
    for (octet, &own) in octets.iter_mut().rev().zip(last.iter().rev()) {
        *octet = own;
    }
    octets.into()
}
