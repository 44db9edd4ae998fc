//! Protection of Initial and Retry packets (RFC 9001 §5, RFC 9369 §3.3). It keeps out those who don't see the
//! packets: keys come from the destination of the client's first one.

use aes::{
    Aes128, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use aes_gcm::{Aes128Gcm, aead::AeadInOut};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::version::{RetryKey, Version};

/// Bytes of the tag behind each protected payload, and behind a Retry packet.
pub(super) const TAG_BYTES: usize = 16;

/// The keys of both sides' Initial packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InitialKeys {
    pub(super) client: PacketKeys,
    pub(super) server: PacketKeys,
}

/// The keys of one side. AES's own schedule is not kept: it is made in less time than an Initial packet takes to
/// decrypt, and would be three times as large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PacketKeys {
    pub(super) key: [u8; 16],
    pub(super) iv: [u8; 12],
    /// Key of header protection.
    pub(super) header: [u8; 16],
}

/// A packet without its protection.
pub(super) struct Opened {
    pub(super) number: u64,
    /// Header, and the payload without its tag.
    bytes: Vec<u8>,
    payload_at: usize,
}

/// What the keys of both sides are made from, each when it is asked for: half of what is tried is no client's.
pub(super) struct InitialSecret<'v> {
    version: &'v Version,
    secret: Hkdf<Sha256>,
}

impl<'v> InitialSecret<'v> {
    /// Secrets that a connection may have whose client's first Initial packet went to `destination`: one, but for
    /// reserved versions.
    pub(super) fn candidates(version: &'v Version, destination: &'v [u8]) -> impl Iterator<Item = Self> {
        version.salts.iter().map(move |salt| Self { version, secret: Hkdf::new(Some(salt), destination) })
    }

    pub(super) fn client(&self) -> Option<PacketKeys> {
        self.side("client in")
    }

    pub(super) fn server(&self) -> Option<PacketKeys> {
        self.side("server in")
    }

    pub(super) fn keys(&self) -> Option<InitialKeys> {
        Some(InitialKeys { client: self.client()?, server: self.server()? })
    }

    fn side(&self, label: &str) -> Option<PacketKeys> {
        let secret = expand_label::<32>(&self.secret, label)?;
        PacketKeys::derive(self.version, &Hkdf::from_prk(&secret).ok()?)
    }
}

impl PacketKeys {
    fn derive(version: &Version, secret: &Hkdf<Sha256>) -> Option<Self> {
        let [key, iv, header] = match version.is_second {
            false => ["quic key", "quic iv", "quic hp"],
            true => ["quicv2 key", "quicv2 iv", "quicv2 hp"],
        };
        Some(Self {
            key: expand_label(secret, key)?,
            iv: expand_label(secret, iv)?,
            header: expand_label(secret, header)?,
        })
    }

    /// Removes the protection of a packet whose number begins at `number_at` and is expected to follow `largest`
    /// (RFC 9001 §5.3, §5.4). `None` where the keys are not this packet's, or it was changed or cut.
    pub(super) fn open(&self, packet: &[u8], number_at: usize, largest: Option<u64>) -> Option<Opened> {
        let mask = self.header_mask(packet.get(number_at + 4..)?.first_chunk()?);
        let mut bytes = packet.to_vec();
        let first = bytes.first_mut()?;
        *first ^= mask[0] & 0x0f;
        let payload_at = number_at + usize::from(*first & 3) + 1;
        let (header, protected) = bytes.split_at_mut_checked(payload_at)?;
        let mut truncated = 0;
        for (byte, mask) in header.get_mut(number_at..)?.iter_mut().zip(&mask[1..]) {
            *byte ^= mask;
            truncated = truncated << 8 | u64::from(*byte);
        }
        let number = full_number(truncated, 8 * (payload_at - number_at), largest);
        let (payload, tag) = protected.split_last_chunk_mut::<TAG_BYTES>()?;
        let cipher = Aes128Gcm::new(&self.key.into());
        cipher.decrypt_inout_detached(&self.nonce(number).into(), header, payload.into(), (&*tag).into()).ok()?;
        bytes.truncate(packet.len() - TAG_BYTES);
        Some(Opened { number, bytes, payload_at })
    }

    /// RFC 9001 §5.4.3.
    fn header_mask(&self, sample: &[u8; 16]) -> [u8; 16] {
        let mut block = Block::from(*sample);
        Aes128::new(&self.header.into()).encrypt_block(&mut block);
        block.into()
    }

    /// RFC 9001 §5.3.
    fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, number) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte ^= number;
        }
        nonce
    }
}

impl Opened {
    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload_at..).unwrap_or_default()
    }

    /// Where in the packet the payload begins.
    pub(super) fn payload_at(&self) -> usize {
        self.payload_at
    }
}

/// Whether a Retry packet was made by somebody who saw the packet to `destination` that it answers (RFC 9001 §5.8).
pub(super) fn retry_is_genuine(retry: &RetryKey, destination: &[u8], packet: &[u8]) -> bool {
    let Some((packet, tag)) = packet.split_last_chunk::<TAG_BYTES>() else { return false };
    let Ok(length) = u8::try_from(destination.len()) else { return false };
    let pseudo_packet = [&[length], destination, packet].concat();
    let cipher = Aes128Gcm::new(&retry.key.into());
    cipher.decrypt_inout_detached(&retry.nonce.into(), &pseudo_packet, (&mut [][..]).into(), tag.into()).is_ok()
}

/// HKDF-Expand-Label without a context (RFC 8446 §7.1).
pub(super) fn expand_label<const N: usize>(secret: &Hkdf<Sha256>, label: &str) -> Option<[u8; N]> {
    const PREFIX: &[u8] = b"tls13 ";
    let mut out = [0; N];
    let length = u16::try_from(N).ok()?.to_be_bytes();
    let label_length = u8::try_from(PREFIX.len() + label.len()).ok()?;
    secret.expand_multi_info(&[&length, &[label_length], PREFIX, label.as_bytes(), &[0]], &mut out).ok()?;
    Some(out)
}

/// The packet number of which the lowest `bits` were sent (RFC 9000 appendix A.3).
pub(super) fn full_number(truncated: u64, bits: usize, largest: Option<u64>) -> u64 {
    let window = 1u64 << bits;
    let expected = largest.map_or(0, |largest| largest + 1);
    let candidate = expected & !(window - 1) | truncated;
    if candidate + window / 2 <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}
