//! The end of an IPv6 packet that carries nothing (RFC 8200 §4.7). It has no record: what is behind
//! it is to be ignored.

use super::{Key, Layer, Next, Walk, ipv6::NO_NEXT_HEADER};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct Ipv6NoNextHeader;

impl Layer for Ipv6NoNextHeader {
    const NAME: &'static str = "ipv6_no_next_header";
    const KEYS: &'static [Key] = &[Key::IpProtocol(NO_NEXT_HEADER)];

    fn parse<'a>(_input: Cursor<'a>, _walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        Ok(Next::End)
    }
}
