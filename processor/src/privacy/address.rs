//! What stands in the place of one address, or of what was computed from addresses.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ipcrypt_rs::IpcryptPfx;
use sha2::Sha256;

use super::{
    Privacy, Treatment,
    memo::{Memo, Output},
    text::{Veil, parse_octets, push_octets},
};

/// Digits of a uid: 62¹⁷ > 2⁹⁶.
const UID_DIGITS: usize = 17;

/// Longest link-layer address, octets: InfiniBand's has 20. A hash gives so many.
const LINK_OCTETS_MAX: usize = 32;

/// What of addresses stays where they are truncated, bits.
const TRUNCATED_BITS: (u32, u32) = (24, 48);

/// Octets of a link-layer address that tell its manufacturer.
const MANUFACTURER_OCTETS: usize = 3;

/// What is hashed and remembered: equal bytes of two kinds have nothing to do with one another.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Ip = 1,
    Link,
    Uid,
    CommunityId,
}

/// Puts other things in the place of addresses.
pub struct Addresses {
    treatment: Treatment,
    prefix_cipher: IpcryptPfx,
    /// For all but IP addresses.
    hash: Hmac<Sha256>,
    memo: Memo,
}

impl Addresses {
    pub fn new(privacy: &Privacy) -> Self {
        // Their own key: with the one of the file other programs of ipcrypt can find the IP addresses again.
        let mut hash_key = [0; 64];
        // Only a longer key could be refused.
        let _ = Hkdf::<Sha256>::new(None, &privacy.key).expand(b"weir identities", &mut hash_key);
        Self {
            treatment: privacy.treatment,
            prefix_cipher: IpcryptPfx::new(privacy.key),
            hash: Hmac::new(&hash_key.into()),
            memo: Memo::default(),
        }
    }

    /// Appends what stands for a text that is an IP address, or a prefix with its length, and nothing else; or a
    /// link-layer address in its place, as ARP may have. For any other text that is nothing.
    pub fn push_ip_text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let Ok(words) = std::str::from_utf8(text) else { return };
        let (address, bits) = match words.split_once('/') {
            Some((address, bits)) => (address, bits.parse::<u32>().ok()),
            None => (words, None),
        };
        let Ok(address) = address.parse() else { return self.push_link_text(text, out) };
        let Some(address) = self.ip(address) else { return };
        // Writing to a `Vec` does not fail.
        let _ = match bits {
            Some(bits) => write!(out, "{}/{bits}", masked(address, bits)),
            None => write!(out, "{address}"),
        };
    }

    /// Appends what stands for a text that is a link-layer address, as hex with colons, and nothing else. For any
    /// other text that is nothing.
    pub fn push_link_text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let mut octets = [0; LINK_OCTETS_MAX];
        let count = parse_octets(text, b':', &mut octets);
        if let Some(octets) = count.and_then(|count| octets.get_mut(..count))
            && self.veil_link(octets)
        {
            push_octets(out, octets, b':');
        }
    }

    /// Appends what stands for a uid: another one, by which the records of a connection can be joined as before.
    /// Without the key nobody can try out of which addresses it was made.
    pub fn push_uid(&mut self, uid: &[u8], out: &mut Vec<u8>) {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let hash = &self.hash;
        let text = self.memo.get(Kind::Uid as u8, uid, || {
            let mut rest =
                digest(hash, Kind::Uid, uid).iter().take(12).fold(0, |bits, &octet| bits << 8 | u128::from(octet));
            let mut text = Output::default();
            for place in text.iter_mut().take(UID_DIGITS).rev() {
                *place =
                    usize::try_from(rest % 62).ok().and_then(|digit| DIGITS.get(digit)).copied().unwrap_or_default();
                rest /= 62;
            }
            text
        });
        out.extend(text.iter().take(UID_DIGITS));
    }

    /// Appends what stands for a Community ID where addresses have pseudonyms: `k:` and a keyed hash, the same wherever
    /// the key is. Nothing otherwise, for it would tell apart what truncation makes one.
    pub fn push_community_id(&mut self, id: &[u8], out: &mut Vec<u8>) {
        if self.treatment != Treatment::Pseudonymise {
            return;
        }
        let hash = &self.hash;
        let digest = self.memo.get(Kind::CommunityId as u8, id, || digest(hash, Kind::CommunityId, id));
        let mut text = [0; 28];
        let length = STANDARD.encode_slice(digest.get(..20).unwrap_or_default(), &mut text).unwrap_or_default();
        out.extend_from_slice(b"k:");
        out.extend(text.iter().take(length));
    }

    /// Puts others in the place of the octets; false where nothing is to stand there.
    fn veil_link(&mut self, octets: &mut [u8]) -> bool {
        match self.treatment {
            Treatment::Drop => return false,
            Treatment::Truncate => octets.iter_mut().skip(MANUFACTURER_OCTETS).for_each(|octet| *octet = 0),
            Treatment::Pseudonymise => {
                let hash = &self.hash;
                let others = self.memo.get(Kind::Link as u8, octets, || digest(hash, Kind::Link, octets));
                let is_group = octets.first().map_or(0, |first| first & 1);
                octets.iter_mut().zip(others).for_each(|(octet, other)| *octet = other);
                if let Some(first) = octets.first_mut() {
                    // Locally administered, and for one or for a group as before (IEEE 802-2014 §8.2.2).
                    *first = *first & 0xfc | 2 | is_group;
                }
            }
        }
        true
    }

    fn pseudonym(&mut self, address: IpAddr) -> [u8; 16] {
        let cipher = &self.prefix_cipher;
        let input = octets_of(address);
        let output = self.memo.get(Kind::Ip as u8, &input, || {
            let mut output = Output::default();
            let (front, _) = output.split_at_mut(16);
            front.copy_from_slice(&octets_of(cipher.encrypt_ipaddr(address)));
            output
        });
        output.first_chunk().copied().unwrap_or_default()
    }
}

impl Veil for Addresses {
    fn ip(&mut self, address: IpAddr) -> Option<IpAddr> {
        // The same host in both families.
        if let IpAddr::V6(both) = address
            && let Some(address) = both.to_ipv4_mapped()
        {
            let IpAddr::V4(address) = self.ip(address.into())? else { return None };
            return Some(address.to_ipv6_mapped().into());
        }
        match self.treatment {
            Treatment::Drop => None,
            Treatment::Truncate => {
                Some(masked(address, if address.is_ipv4() { TRUNCATED_BITS.0 } else { TRUNCATED_BITS.1 }))
            }
            Treatment::Pseudonymise => {
                let pseudonym = Ipv6Addr::from(self.pseudonym(address));
                Some(if address.is_ipv4() { pseudonym.to_ipv4_mapped()?.into() } else { pseudonym.into() })
            }
        }
    }

    fn mac(&mut self, mut octets: [u8; 6]) -> Option<[u8; 6]> {
        self.veil_link(&mut octets).then_some(octets)
    }
}

fn digest(hash: &Hmac<Sha256>, kind: Kind, bytes: &[u8]) -> Output {
    let mut hash = hash.clone();
    hash.update(&[kind as u8]);
    hash.update(bytes);
    hash.finalize().into_bytes().into()
}

/// The octets of an IPv6 address, or of an IPv4 address as one (RFC 4291 §2.5.5.2).
fn octets_of(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The address with zeros behind its first bits.
fn masked(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(treatment: Treatment) -> Addresses {
        // Key of the first test vector of draft-denis-ipcrypt, appendix "Test Vectors".
        let key = std::array::from_fn(|at| {
            const KEY: &[u8; 64] = b"0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301";
            u8::from_str_radix(std::str::from_utf8(&KEY[2 * at..2 * at + 2]).unwrap(), 16).unwrap()
        });
        Addresses::new(&Privacy { treatment, key })
    }

    fn pushed(push: impl Fn(&mut Addresses, &[u8], &mut Vec<u8>), addresses: &mut Addresses, text: &str) -> String {
        let mut out = Vec::new();
        push(addresses, text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn ip(addresses: &mut Addresses, text: &str) -> String {
        pushed(Addresses::push_ip_text, addresses, text)
    }

    #[test]
    fn pseudonyms_are_those_of_the_draft() {
        let addresses = &mut addresses(Treatment::Pseudonymise);
        // Twice: as computed, and as remembered.
        for _ in 0..2 {
            assert_eq!(ip(addresses, "0.0.0.0"), "151.82.155.134");
            assert_eq!(ip(addresses, "255.255.255.255"), "94.185.169.89");
            assert_eq!(ip(addresses, "192.0.2.1"), "100.115.72.131");
            assert_eq!(ip(addresses, "2001:db8::1"), "c180:5dd4:2587:3524:30ab:fa65:6ab6:f88");
        }
        assert_eq!(ip(addresses, "::ffff:192.0.2.1"), "::ffff:100.115.72.131");
        assert_eq!(ip(addresses, "192.0.2.0/24"), "100.115.72.0/24");
        assert_eq!(ip(addresses, "unknown"), "");
        assert_eq!(ip(addresses, ""), "");
    }

    #[test]
    fn truncated_addresses_keep_their_network() {
        let addresses = &mut addresses(Treatment::Truncate);
        assert_eq!(ip(addresses, "192.0.2.1"), "192.0.2.0");
        assert_eq!(ip(addresses, "2001:db8:1:2:3::4"), "2001:db8:1::");
        assert_eq!(ip(addresses, "::ffff:192.0.2.1"), "::ffff:192.0.2.0");
        assert_eq!(ip(addresses, "192.0.2.1/32"), "192.0.2.0/32");
        assert_eq!(pushed(Addresses::push_link_text, addresses, "00:00:5e:00:53:01"), "00:00:5e:00:00:00");
        assert_eq!(pushed(Addresses::push_community_id, addresses, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="), "");
    }

    #[test]
    fn dropped_addresses_leave_nothing() {
        let addresses = &mut addresses(Treatment::Drop);
        for text in ["192.0.2.1", "192.0.2.0/24", "2001:db8::1", "00:00:5e:00:53:01"] {
            assert_eq!(ip(addresses, text), "", "{text}");
        }
        assert_eq!(pushed(Addresses::push_link_text, addresses, "00:00:5e:00:53:01"), "");
        assert_eq!(pushed(Addresses::push_community_id, addresses, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="), "");
    }

    #[test]
    fn link_layer_addresses_go_on_to_be_of_one_or_of_a_group() {
        let addresses = &mut addresses(Treatment::Pseudonymise);
        let mut first_octet = |text| {
            let other = pushed(Addresses::push_link_text, addresses, text);
            assert_eq!(other.len(), text.len());
            assert_ne!(other, text);
            u8::from_str_radix(&other[..2], 16).unwrap()
        };
        assert_eq!(first_octet("00:00:5e:00:53:01") & 3, 2);
        assert_eq!(first_octet("33:33:ff:00:53:01") & 3, 3);
        assert_eq!(first_octet("80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:10:11") & 3, 2);
        assert_eq!(pushed(Addresses::push_link_text, addresses, "0000.5e00.5301"), "");
    }

    #[test]
    fn identities_have_their_form_and_depend_on_the_key() {
        let mut one = addresses(Treatment::Pseudonymise);
        let mut other =
            Addresses::new(&Privacy { treatment: Treatment::Pseudonymise, key: *b"another key of thirty-two bytes!" });
        let (uid, id) = ("0aZ9aZ9aZ9aZ9aZ9a", "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        for treatment in [Treatment::Truncate, Treatment::Drop, Treatment::Pseudonymise] {
            let veiled = pushed(Addresses::push_uid, &mut addresses(treatment), uid);
            assert_eq!(veiled, pushed(Addresses::push_uid, &mut one, uid));
            assert!(veiled.len() == 17 && veiled.bytes().all(|byte| byte.is_ascii_alphanumeric()) && veiled != uid);
        }
        assert_ne!(pushed(Addresses::push_uid, &mut other, uid), pushed(Addresses::push_uid, &mut one, uid));
        let veiled = pushed(Addresses::push_community_id, &mut one, id);
        assert!(veiled.len() == 30 && veiled.starts_with("k:") && veiled.ends_with('='), "{veiled}");
        assert_ne!(veiled, pushed(Addresses::push_community_id, &mut other, id));
    }

    proptest! {
        #[test]
        fn pseudonyms_share_as_many_first_bits_as_the_addresses(a: u32, b: u32, shared in 0_u32..=32) {
            let addresses = &mut addresses(Treatment::Pseudonymise);
            let mask = u32::MAX.checked_shl(32 - shared).unwrap_or(0);
            let b = a & mask | b & !mask;
            let [veiled_a, veiled_b] = [a, b].map(|bits| match addresses.ip(Ipv4Addr::from(bits).into()) {
                Some(IpAddr::V4(address)) => u32::from(address),
                other => panic!("{other:?}"),
            });
            prop_assert_eq!((a ^ b).leading_zeros(), (veiled_a ^ veiled_b).leading_zeros());
        }

        #[test]
        fn so_do_those_of_ipv6(a: u128, b: u128, shared in 0_u32..=128) {
            let addresses = &mut addresses(Treatment::Pseudonymise);
            let mask = u128::MAX.checked_shl(128 - shared).unwrap_or(0);
            let b = a & mask | b & !mask;
            let [veiled_a, veiled_b] = [a, b].map(|bits| match addresses.ip(Ipv6Addr::from(bits).into()) {
                Some(IpAddr::V6(address)) => u128::from(address),
                other => panic!("{other:?}"),
            });
            prop_assert_eq!((a ^ b).leading_zeros(), (veiled_a ^ veiled_b).leading_zeros());
        }
    }
}
