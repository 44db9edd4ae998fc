//! IP addresses as text, without the formatting machinery of the standard library, which takes four times
//! as long: every record has two.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the longest text: `ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff`.
const TEXT_BYTES: usize = 39;

/// The text of an address: dotted IPv4, RFC 5952 IPv6.
pub(crate) struct AddressText {
    bytes: [u8; TEXT_BYTES],
    length: usize,
}

/// The decimal digits of each octet, and how many of the three they are.
const OCTETS: [([u8; 3], u8); 256] = {
    let mut octets = [([0; 3], 0); 256];
    let mut octet: u8 = 0;
    loop {
        let [hundreds, tens, ones] = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
        octets[octet as usize] = match octet {
            0..10 => ([ones, 0, 0], 1),
            10..100 => ([tens, ones, 0], 2),
            100.. => ([hundreds, tens, ones], 3),
        };
        if octet == u8::MAX {
            break octets;
        }
        octet += 1;
    }
};

impl AddressText {
    pub(crate) fn new(address: IpAddr) -> Self {
        let mut text = Self { bytes: [0; TEXT_BYTES], length: 0 };
        match address {
            IpAddr::V4(address) => text.push_ipv4(address),
            IpAddr::V6(address) => text.push_ipv6(address),
        }
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    fn push_ipv4(&mut self, address: Ipv4Addr) {
        for (at, octet) in address.octets().into_iter().enumerate() {
            if at > 0 {
                self.push(b'.');
            }
            let (digits, count) = OCTETS[usize::from(octet)];
            if let Some(place) = self.bytes.get_mut(self.length..self.length + 3) {
                place.copy_from_slice(&digits);
                self.length += usize::from(count);
            }
        }
    }

    fn push_ipv6(&mut self, address: Ipv6Addr) {
        if let Some(mapped) = address.to_ipv4_mapped() {
            b"::ffff:".iter().for_each(|&byte| self.push(byte));
            return self.push_ipv4(mapped);
        }
        let groups = address.segments();
        let (zeros_start, zeros_end) = longest_zeros(&groups);
        for (at, group) in groups.into_iter().enumerate() {
            if at == zeros_start && zeros_end > zeros_start {
                self.push(b':');
            }
            if (zeros_start..zeros_end).contains(&at) {
                continue;
            }
            if at > 0 {
                self.push(b':');
            }
            self.push_group(group);
        }
        if zeros_end == groups.len() {
            self.push(b':');
        }
    }

    /// Hex without leading zeros.
    fn push_group(&mut self, group: u16) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut shift = 16u32.saturating_sub(group.leading_zeros()).max(1).div_ceil(4) * 4;
        while shift > 0 {
            shift -= 4;
            self.push(DIGITS[usize::from(group >> shift & 15)]);
        }
    }
}

/// The first of the longest runs of two zero groups or more (RFC 5952 §4.2); an empty one where there is
/// none.
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let mut longest = (0, 0);
    let mut start = 0;
    for (at, &group) in groups.iter().enumerate() {
        if group != 0 {
            start = at + 1;
        } else if at + 1 - start > (longest.1 - longest.0).max(1) {
            longest = (start, at + 1);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ipv4_is_written_as_the_standard_library_does(octets: [u8; 4]) {
            let address = Ipv4Addr::from(octets);
            let text = AddressText::new(address.into());
            prop_assert_eq!(text.as_str(), address.to_string());
        }

        #[test]
        fn ipv6_is_written_as_the_standard_library_does(
            groups in proptest::array::uniform8(prop_oneof![Just(0u16), 0u16..0x20, any::<u16>()]),
        ) {
            let address = Ipv6Addr::from(groups);
            let text = AddressText::new(address.into());
            prop_assert_eq!(text.as_str(), address.to_string());
        }
    }

    #[test]
    fn short_and_mapped_addresses() {
        for text in ["::", "::1", "1::", "::ffff:192.0.2.1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1:0:2::3"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(AddressText::new(address).as_str(), address.to_string());
        }
    }
}
