//! Generic UDP encapsulation (draft-ietf-intarea-gue) of IP, and IP right behind UDP, which is its
//! variant 1 and what Linux calls FOU. A Tunnel record per flow.

use super::{Key, Layer, Next, Tunnel, Walk, tunnel};
use crate::{
    cursor::{Cursor, Malformed},
    flow::Encapsulation,
};

pub(crate) struct Gue;

impl Layer for Gue {
    const NAME: &'static str = "gue";
    /// The port of GUE, and the one that Linux's manuals give FOU.
    const KEYS: &'static [Key] = &[Key::UdpPort(6080), Key::UdpPort(5555)];

    /// Little in the header can be checked, so the IP packet behind it must be beyond doubt.
    fn accepts(bytes: &[u8]) -> bool {
        find_ip(Cursor::new(bytes)).is_ok_and(|(_, _, input)| tunnel::proven_ip(input.peek()).is_some())
    }

    fn parse<'a>(input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let (kind, key, input) = find_ip(input)?;
        walk.enter_tunnel(Tunnel { kind, identifier: None, encapsulation: Encapsulation::default() }, key, input)
    }
}

/// Kind of tunnel, and the packet in it. Only data messages (C bit 0) carry one.
fn find_ip(mut input: Cursor<'_>) -> Result<(&'static str, Key, Cursor<'_>), Malformed> {
    if let Some(key) = tunnel::ip_version(input.peek()) {
        return Ok(("fou", key, input));
    }
    let first = input.u8()?;
    let protocol = input.u8()?;
    let extension_words = usize::from(first & 0x1f);
    input.skip(2 + extension_words * 4)?;
    let is_data = first & 0xe0 == 0;
    let key = match protocol {
        4 if is_data => tunnel::IPV4,
        41 if is_data => tunnel::IPV6,
        _ => Key::Unnamed,
    };
    Ok(("gue", key, input.rest()))
}

#[cfg(test)]
mod tests {
    use weir_contract::record::{Ipv4, Tunnel};

    use crate::testing;

    fn kind(port: u16, header: &[u8], inner: &[u8]) -> Option<String> {
        let frame = testing::udp(50000, port, &[header, inner].concat());
        let records = testing::decode(testing::ETHERNET, &[frame]);
        let tunnel = records.of::<Tunnel>().pop()?;
        assert_eq!(records.of::<Ipv4>().len(), 2);
        Some(tunnel.kind)
    }

    #[test]
    fn both_variants_need_a_packet_that_proves_itself() {
        let frame = testing::udp(1000, 2000, b"payload");
        let packet = testing::packet_of(&frame);
        assert_eq!(kind(6080, &[], packet).as_deref(), Some("fou"));
        assert_eq!(kind(5555, &[], packet).as_deref(), Some("fou"));
        assert_eq!(kind(6080, &[0, 4, 0, 0], packet).as_deref(), Some("gue"));
        // Extension fields of one word, which flags announce.
        assert_eq!(kind(6080, &[1, 4, 0x10, 0, 1, 2, 3, 4], packet).as_deref(), Some("gue"));

        assert_eq!(kind(6080, &[0x20, 4, 0, 0], packet), None, "a control message");
        assert_eq!(kind(6080, &[0, 4, 0, 0], &packet[..packet.len() - 1]), None, "not all of it");
        assert_eq!(kind(5555, &[], b"E as in another protocol, no header"), None);
        for length in 0..4 {
            assert_eq!(kind(6080, &[0, 4, 0, 0][..length], &[]), None);
        }
    }
}
