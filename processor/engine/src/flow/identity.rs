//! What identifies a connection: its uid and its Community ID.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::key::FlowKey;

/// Identity of one connection, in its raw form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    uid: [u8; 12],
    community_id: [u8; 20],
}

/// 62¹⁷ > 2⁹⁶: so many digits hold 96 bits.
const UID_DIGITS: usize = 17;

/// SHA-256 that has taken in a sensor's name, 0, its epoch, and zeros up to a whole number of blocks.
pub(crate) fn sensor_hash(sensor: &str, epoch: i64) -> Sha256 {
    const BLOCK_BYTES: usize = 64;
    let mut bytes = sensor.as_bytes().to_vec();
    bytes.push(0);
    bytes.extend(epoch.to_be_bytes());
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    Sha256::new_with_prefix(bytes)
}

impl Identity {
    /// Hashes what identifies the connection behind the sensor's own block, see [`sensor_hash`]. The
    /// partition key is left out: one packet has one.
    pub(crate) fn new(sensor_hash: &Sha256, key: &FlowKey, first_packet_number: i64) -> Self {
        // 52 bytes and the padding make one block, so that a uid costs one compression.
        let mut own = [0; 52];
        own[..44].copy_from_slice(&key.to_bytes()[8..]);
        own[44..].copy_from_slice(&first_packet_number.to_be_bytes());
        let mut hash = sensor_hash.clone();
        hash.update(own);
        let digest: [u8; 32] = hash.finalize().into();
        let mut uid = [0; 12];
        uid.copy_from_slice(&digest[..12]);
        Self { uid, community_id: community_id(key) }
    }

    /// Appends the uid: 96 bits as 17 base62 digits, most significant first.
    pub(crate) fn push_uid(&self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        // Two halves, so that the divisions are of 64 bits: 62⁹ < 2⁶⁴.
        const HALF: u128 = 62u128.pow(9);
        let mut value = [0; 16];
        value[4..].copy_from_slice(&self.uid);
        let value = u128::from_be_bytes(value);
        let mut text = [0; UID_DIGITS];
        let mut low = u64::try_from(value % HALF).unwrap_or_default();
        let mut high = u64::try_from(value / HALF).unwrap_or_default();
        for digit in text[8..].iter_mut().rev() {
            *digit = DIGITS[(low % 62) as usize];
            low /= 62;
        }
        for digit in text[..8].iter_mut().rev() {
            *digit = DIGITS[(high % 62) as usize];
            high /= 62;
        }
        out.extend_from_slice(&text);
    }

    /// Appends the Community ID v1: `1:` and 20 bytes in base64.
    pub(crate) fn push_community_id(&self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        out.extend_from_slice(b"1:");
        for chunk in self.community_id.chunks(3) {
            let mut group = [0; 4];
            group[1..=chunk.len()].copy_from_slice(chunk);
            let group = u32::from_be_bytes(group);
            for at in 0..4 {
                let digit = DIGITS[(group >> (18 - 6 * at) & 63) as usize];
                out.push(if at <= chunk.len() { digit } else { b'=' });
            }
        }
    }
}

/// SHA-1 over seed 0, the lower and the higher endpoint, protocol, 0, and their ports
/// (https://github.com/corelight/community-id-spec, version 1).
fn community_id(key: &FlowKey) -> [u8; 20] {
    let mut bytes = [0; 40];
    let (low, high) = key.addresses();
    let mut end = 2;
    let mut push = |part: &[u8]| {
        if let Some(slot) = bytes.get_mut(end..end + part.len()) {
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
    Sha1::digest(bytes.get(..end).unwrap_or_default()).into()
}
