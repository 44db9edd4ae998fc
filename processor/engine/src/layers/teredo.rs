//! Teredo (RFC 4380 §5.1.1): IPv6 in UDP, behind an authentication and an origin indication where
//! they are sent. A Tunnel record per flow.

use super::{Key, Layer, Next, Tunnel, Walk, tunnel};
use crate::{
    cursor::{Cursor, Malformed},
    flow::Encapsulation,
};

pub(crate) struct Teredo;

impl Layer for Teredo {
    const NAME: &'static str = "teredo";
    const KEYS: &'static [Key] = &[Key::UdpPort(3544)];

    /// The IPv6 packet must be what it claims to be: whole, or in part and with an address of Teredo.
    fn accepts(bytes: &[u8]) -> bool {
        let mut input = Cursor::new(bytes);
        skip_indications(&mut input).is_ok() && is_ipv6(input.peek())
    }

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        skip_indications(&mut input)?;
        let tunnel = Tunnel { kind: "teredo", identifier: None, encapsulation: Encapsulation::default() };
        walk.enter_tunnel(tunnel, tunnel::IPV6, input.rest())
    }
}

/// The authentication (type 1: lengths of identifier and value, both, nonce, confirmation) comes
/// before the origin (type 0: port and address, obfuscated). An IPv6 header begins with 6.
fn skip_indications(input: &mut Cursor<'_>) -> Result<(), Malformed> {
    if input.peek().starts_with(&[0, 1]) {
        input.skip(2)?;
        let identifier_bytes = usize::from(input.u8()?);
        let value_bytes = usize::from(input.u8()?);
        input.skip(identifier_bytes + value_bytes + 8 + 1)?;
    }
    if input.peek().starts_with(&[0, 0]) {
        input.skip(2 + 2 + 4)?;
    }
    Ok(())
}

/// Trailers (RFC 6081 §4) may follow the packet.
fn is_ipv6(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<40>() else { return false };
    let [first, _, _, _, length_high, length_low, ..] = *header;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let is_teredos = |address: &[u8]| address.starts_with(&[0x20, 1, 0, 0]) || address.starts_with(&[0xfe, 0x80]);
    first >> 4 == 6 && (40 + length <= bytes.len() || is_teredos(&header[8..24]) || is_teredos(&header[24..40]))
}

#[cfg(test)]
mod tests {
    use weir_contract::record::{Ipv6, Tunnel};

    use crate::testing;

    /// A bubble (RFC 4380 §5.2.8): an IPv6 packet without next header, between two addresses of Teredo.
    fn bubble() -> Vec<u8> {
        let address = [0x20, 1, 0, 0, 0x41, 0x36, 0xe3, 0x78, 0x80, 0, 0x63, 0xbf, 0x3f, 0xff, 0xfd, 0xd2];
        [&[0x60, 0, 0, 0, 0, 0, 59, 21][..], &address, &address].concat()
    }

    fn is_teredo(payload: &[u8]) -> bool {
        let records = testing::decode(testing::ETHERNET, &[testing::udp(3544, 50000, payload)]);
        let is_told = records.of::<Tunnel>().iter().any(|tunnel| tunnel.kind == "teredo");
        let inner = records.of::<Ipv6>();
        assert_eq!(inner.len(), usize::from(is_told));
        assert!(inner.iter().all(|ipv6| ipv6.meta.as_ref().unwrap().src_ip.starts_with("2001:0:4136:e378:")));
        is_told
    }

    #[test]
    fn indications_come_before_the_packet() {
        // Identifier of 2 bytes, value of 3, nonce of 8, confirmation; then port and address.
        let authentication = [0, 1, 2, 3, b'i', b'd', 1, 2, 3, 8, 7, 6, 5, 4, 3, 2, 1, 0];
        let origin = [0, 0, 0x63, 0xbf, 0x3f, 0xff, 0xfd, 0xd2];
        assert!(is_teredo(&bubble()));
        assert!(is_teredo(&[&origin[..], &bubble()].concat()));
        assert!(is_teredo(&[&authentication[..], &origin, &bubble()].concat()));
    }

    #[test]
    fn a_port_proves_nothing() {
        let mut bubble = bubble();
        for length in 0..40 {
            assert!(!is_teredo(&bubble[..length]), "{length} bytes");
        }
        // A payload that isn't there, in a packet between other addresses.
        bubble[5] = 1;
        bubble[8] = 0x30;
        bubble[24] = 0x30;
        assert!(!is_teredo(&bubble));
        assert!(!is_teredo(b"M-SEARCH * HTTP/1.1\r\n\r\n of more than forty bytes"));
    }
}
