//! UDP-Lite (RFC 3828): UDP with a checksum that covers a part; a Udp record per header.

use super::{Key, Layer, Next, Walk, udp};
use crate::{
    cursor::{Cursor, Malformed},
    flow::protocol,
};

pub(crate) struct UdpLite;

impl Layer for UdpLite {
    const NAME: &'static str = "udplite";
    const KEYS: &'static [Key] = &[Key::IpProtocol(protocol::UDP_LITE)];

    fn parse<'a>(input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        udp::parse(input, walk, protocol::UDP_LITE)
    }
}
