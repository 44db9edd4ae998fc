//! Which layer a key stands for.

use hashbrown::HashTable;

use super::{Entry, Key, LAYERS};

/// Layers by the keys that name them: each UDP datagram asks for both its ports.
pub(crate) struct Table {
    layers: HashTable<(u64, &'static Entry)>,
}

impl Table {
    pub(crate) fn new() -> Self {
        let mut layers = HashTable::new();
        for entry in LAYERS {
            for &key in entry.keys {
                let number = number(key);
                layers.insert_unique(hash(number), (number, entry), |&(number, _)| hash(number));
            }
        }
        Self { layers }
    }

    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<&'static Entry> {
        let number = number(key);
        self.layers.find(hash(number), |&(other, _)| other == number).map(|&(_, entry)| entry)
    }
}

/// One number for each key, which is quicker to compare.
fn number(key: Key) -> u64 {
    let (kind, number) = match key {
        Key::LinkType(number) => (0, number.into()),
        Key::EtherType(number) => (1, number.into()),
        Key::IpProtocol(number) => (2, number.into()),
        Key::UdpPort(number) => (3, number.into()),
        Key::Llc => (4, 0),
        Key::LlcSap(number) => (5, number.into()),
        Key::Snap { oui, protocol } => (6, u64::from(oui) << 16 | u64::from(protocol)),
        Key::Ppp(number) => (7, number.into()),
        Key::CiscoHdlc(number) => (8, number.into()),
        Key::Unnamed => (9, 0),
        Key::AddressFamily(number) => (10, number.into()),
        Key::Icmpv6Type(number) => (11, number.into()),
    };
    number << 4 | kind
}

/// Keys are known beforehand, so that nobody can choose them to collide.
fn hash(number: u64) -> u64 {
    /// 2⁶⁴ over the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    number.wrapping_mul(SPREAD).rotate_right(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_one_layer() {
        let mut keys: Vec<Key> = LAYERS.iter().flat_map(|entry| entry.keys).copied().collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
