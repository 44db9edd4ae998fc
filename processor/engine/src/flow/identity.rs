//! What identifies a connection: its uid and its Community ID.

use sha1::block_api::compress as compress_sha1;
use sha2::block_api::compress256 as compress_sha256;

use super::key::FlowKey;

/// Identity of one connection, in its raw form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    uid: [u8; 12],
    community_id: [u8; 20],
}

/// 62¹⁷ > 2⁹⁶: so many digits hold 96 bits.
const UID_DIGITS: usize = 17;

/// Block of SHA-1 and of SHA-256, bytes.
const BLOCK_BYTES: usize = 64;

/// SHA-256 that has taken in what a sensor's connections share: its name, 0, its epoch, and zeros up to a
/// whole number of blocks. So a connection costs one block more.
#[derive(Debug, Clone)]
pub(crate) struct SensorHash {
    state: [u32; 8],
    bytes: usize,
}

impl SensorHash {
    pub(crate) fn new(sensor: &str, epoch: i64) -> Self {
        let mut bytes = sensor.as_bytes().to_vec();
        bytes.push(0);
        bytes.extend(epoch.to_be_bytes());
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        // FIPS 180-4 §5.3.3.
        let mut state =
            [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
        compress_sha256(&mut state, bytes.as_chunks().0);
        Self { state, bytes: bytes.len() }
    }
}

/// The last block of a message: its bytes from `block` up to `end`, and the length of all of it in bits
/// (FIPS 180-4 §5.1.1).
fn padded(mut block: [u8; BLOCK_BYTES], end: usize, message_bytes: usize) -> [u8; BLOCK_BYTES] {
    block[end] = 0x80;
    block[BLOCK_BYTES - 8..].copy_from_slice(&(8 * message_bytes as u64).to_be_bytes());
    block
}

impl Identity {
    /// Hashes what identifies the connection behind what identifies its sensor. The partition key is left
    /// out: one packet has one.
    pub(crate) fn new(sensor: &SensorHash, key: &FlowKey, first_packet_number: i64) -> Self {
        const OWN_BYTES: usize = 52;
        let mut block = [0; BLOCK_BYTES];
        block[..44].copy_from_slice(&key.to_bytes()[8..52]);
        block[44..OWN_BYTES].copy_from_slice(&first_packet_number.to_be_bytes());
        let mut state = sensor.state;
        compress_sha256(&mut state, &[padded(block, OWN_BYTES, sensor.bytes + OWN_BYTES)]);
        let mut uid = [0; 12];
        for (place, word) in uid.as_chunks_mut().0.iter_mut().zip(state) {
            *place = word.to_be_bytes();
        }
        Self { uid, community_id: community_id(key) }
    }

    /// The uid: 96 bits as 17 base62 digits, most significant first.
    pub(crate) fn uid(&self) -> [u8; UID_DIGITS] {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        // By five digits at a time, so that the divisions are of 64 bits and by constants.
        const FIVE: u64 = 62u64.pow(5);
        let mut limbs: [u32; 3] = self.uid_limbs();
        let mut text = [0; UID_DIGITS];
        for group in text.rchunks_mut(5) {
            let mut rest = 0;
            for limb in &mut limbs {
                let value = rest << 32 | u64::from(*limb);
                *limb = (value / FIVE & 0xffff_ffff) as u32;
                rest = value % FIVE;
            }
            for digit in group.iter_mut().rev() {
                *digit = DIGITS[(rest % 62) as usize];
                rest /= 62;
            }
        }
        text
    }

    fn uid_limbs(&self) -> [u32; 3] {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.uid;
        [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes)
    }

    /// The Community ID v1: `1:` and 20 bytes in base64.
    pub(crate) fn community_id(&self) -> [u8; 30] {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = *b"1:???????????????????????????=";
        // Two zero bits stand behind the last byte, and `=` for what lacks to three bytes.
        let mut bytes = [0; 21];
        bytes[..20].copy_from_slice(&self.community_id);
        for (&[a, b, c], digits) in bytes.as_chunks().0.iter().zip(text[2..].as_chunks_mut::<4>().0) {
            let bits = u32::from_be_bytes([0, a, b, c]);
            *digits = [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize]);
        }
        text[29] = b'=';
        text
    }
}

/// SHA-1 over seed 0, the lower and the higher endpoint, protocol, 0, and their ports
/// (<https://github.com/corelight/community-id-spec>, version 1).
fn community_id(key: &FlowKey) -> [u8; 20] {
    // 40 bytes at most, and the padding: one block.
    let mut block = [0; BLOCK_BYTES];
    let (low, high) = key.addresses();
    let mut end = 2;
    let mut push = |part: &[u8]| {
        if let Some(slot) = block.get_mut(end..end + part.len()) {
            slot.copy_from_slice(part);
        }
        end += part.len();
    };
    for address in [low, high] {
        match address {
            std::net::IpAddr::V4(address) => push(&address.octets()),
            std::net::IpAddr::V6(address) => push(&address.octets()),
        }
    }
    push(&[key.protocol(), 0]);
    if let Some((low_port, high_port)) = key.community_id_ports() {
        push(&low_port.to_be_bytes());
        push(&high_port.to_be_bytes());
    }
    // FIPS 180-4 §5.3.1.
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    compress_sha1(&mut state, &[padded(block, end, end)]);
    let mut digest = [0; 20];
    for (place, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *place = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha1::Sha1;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::flow::key::KEY_BYTES;

    proptest! {
        #[test]
        fn a_uid_is_the_beginning_of_a_sha_256(sensor in ".{0,200}", epoch: i64, key: [[u8; 26]; 2], number: i64) {
            let mut bytes = [0; KEY_BYTES];
            bytes[..52].copy_from_slice(key.as_flattened());
            let key = FlowKey::from_bytes(&bytes);
            let mut message = [sensor.as_bytes(), &[0], &epoch.to_be_bytes()].concat();
            message.resize(message.len().next_multiple_of(BLOCK_BYTES), 0);
            message.extend(&key.to_bytes()[8..52]);
            message.extend(number.to_be_bytes());
            let identity = Identity::new(&SensorHash::new(&sensor, epoch), &key, number);
            prop_assert_eq!(&identity.uid, &Sha256::digest(&message)[..12]);

            // Digits stand for the number that the bytes are.
            let value = identity.uid.iter().fold(0u128, |value, &byte| value << 8 | u128::from(byte));
            let digits = identity.uid().map(|digit| match digit {
                b'0'..=b'9' => digit - b'0',
                b'A'..=b'Z' => digit - b'A' + 10,
                _ => digit - b'a' + 36,
            });
            prop_assert_eq!(digits.iter().fold(0u128, |value, &digit| value * 62 + u128::from(digit)), value);
        }

        #[test]
        fn a_community_id_is_a_sha_1(low: [u8; 16], high: [u8; 16], ports: [u16; 2]) {
            let (low, high) = if (low, ports[0]) <= (high, ports[1]) { (low, high) } else { (high, low) };
            let (key, src_is_high) = FlowKey::new(
                1,
                17,
                (std::net::Ipv6Addr::from(low).into(), std::net::Ipv6Addr::from(high).into()),
                crate::flow::Ports { src: ports[0], dst: ports[1], ..Default::default() },
                crate::flow::Encapsulation::default(),
            );
            let ports = if src_is_high { [ports[1], ports[0]] } else { ports };
            let message = [&[0, 0], &low[..], &high, &[17, 0], &ports[0].to_be_bytes(), &ports[1].to_be_bytes()].concat();
            prop_assert_eq!(&community_id(&key)[..], &Sha1::digest(&message)[..]);
        }
    }
}
