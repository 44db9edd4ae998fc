//! The Internet checksum (RFC 1071).

/// Sums 16-bit words; an odd last byte is the high half of a word.
///
/// The sum is the same in either byte order but for a swap of the result (RFC 1071 §2), so that words
/// of 32 bits are added as they lie in memory.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let sum: u64 = words.iter().chain([&last]).map(|&word| u64::from(u32::from_ne_bytes(word))).sum();
    fold(sum).to_be().into()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (sum & 0xffff) as u16
}

/// Whether sums over bytes that hold their checksum fold to what a right one gives.
pub(crate) fn is_right(sum: u64) -> bool {
    fold(sum) == 0xffff
}

/// Sum over the pseudo-header of a transport protocol (RFC 768, RFC 8200 §8.1).
pub(crate) fn pseudo_header(src: std::net::IpAddr, dst: std::net::IpAddr, protocol: u8, length: u64) -> u64 {
    let address = |address| match address {
        std::net::IpAddr::V4(address) => sum(&std::net::Ipv4Addr::octets(&address)),
        std::net::IpAddr::V6(address) => sum(&std::net::Ipv6Addr::octets(&address)),
    };
    address(src) + address(dst) + u64::from(protocol) + (length >> 16) + (length & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_its_checksum_sums_to_all_ones() {
        // RFC 1071 §3: the words 0001 f203 f4f5 f6f7 sum to ddf2, so 220d is their checksum.
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7, 0x22, 0x0d];
        assert!(is_right(sum(&words)));
        assert!(!is_right(sum(&words[..8])));
    }
}
