//! What a connection carries for its receiver: its length, its hash and its first bytes, as it passes by.

mod gzip;
mod inflate;
pub(super) mod media_type;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{
    Digest as _, Sha256,
    digest::common::hazmat::{SerializableState as _, SerializedState},
};
use weir_contract::WeirdReason;

use self::{
    inflate::{Inflate, Stage},
    media_type::Beginning,
};

/// Why content is not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: WeirdReason,
    pub(super) detail: &'static str,
}

/// Content as far as it came.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Content {
    /// Undoes the encoding in which it is transferred.
    inflate: Option<Box<Inflate>>,
    #[serde(serialize_with = "save", deserialize_with = "restore")]
    hash: Sha256,
    first: Beginning,
    /// Bytes without their encoding.
    bytes: u64,
    /// It is not read on: something is missing, malformed or too much.
    is_lost: bool,
}

impl Content {
    /// Content in this encoding (RFC 9110 §8.4.1), where it is one that can be undone.
    pub(super) fn new(encoding: &[u8]) -> Self {
        Self {
            inflate: Inflate::of(encoding).map(Box::new),
            hash: Sha256::new(),
            first: Beginning::default(),
            bytes: 0,
            is_lost: false,
        }
    }

    /// Whether an encoding is undone.
    pub(super) fn undoes(encoding: &[u8]) -> bool {
        encoding.is_empty() || Stage::first(encoding).is_some()
    }

    /// Whether more of it is of use.
    pub(super) fn is_read_on(&self) -> bool {
        !self.is_lost
    }

    /// Takes the next bytes as they are transferred.
    pub(super) fn push(&mut self, transferred: &[u8]) -> Result<(), Fault> {
        if self.is_lost {
            return Ok(());
        }
        let Self { inflate, hash, first, bytes, .. } = self;
        let mut take = |content: &[u8]| {
            hash.update(content);
            first.push(content);
            *bytes = bytes.saturating_add(content.len() as u64);
        };
        let pushed = match inflate {
            Some(inflate) => inflate.push(transferred, take),
            None => {
                take(transferred);
                Ok(())
            }
        };
        self.is_lost = pushed.is_err();
        pushed
    }

    /// Says that bytes of it will never come.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
    }

    /// Bytes so far, without their encoding.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The media type that its first bytes tell.
    pub(super) fn media_type(&self) -> &'static str {
        self.first.media_type()
    }

    /// The hash of it all, once all was taken; `None` where something is missing.
    pub(super) fn sha256(&self) -> Option<[u8; 32]> {
        let is_whole = !self.is_lost && self.inflate.as_ref().is_none_or(|inflate| inflate.has_ended());
        is_whole.then(|| self.hash.clone().finalize().into())
    }

    pub(super) fn held_bytes(&self) -> usize {
        let inflate = self.inflate.as_ref().map_or(0, |inflate| inflate.held_bytes());
        size_of::<Self>() + self.first.held_bytes() + inflate
    }
}

fn save<S: Serializer>(hash: &Sha256, serializer: S) -> Result<S::Ok, S::Error> {
    hash.serialize().as_slice().serialize(serializer)
}

fn restore<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sha256, D::Error> {
    let state = Vec::<u8>::deserialize(deserializer)?;
    let state = SerializedState::<Sha256>::try_from(&state[..]).map_err(D::Error::custom)?;
    Sha256::deserialize(&state).map_err(D::Error::custom)
}
