//! Which layer a key stands for.

use super::{Entry, Key, LAYERS};

/// Layers by the keys that name them.
pub(crate) struct Table {
    /// Sorted by key: each UDP datagram asks for both its ports.
    keys: Vec<(Key, &'static Entry)>,
    ip_protocols: Vec<Option<&'static Entry>>,
}

impl Table {
    pub(crate) fn new() -> Self {
        let mut keys = Vec::new();
        let mut ip_protocols = vec![None; 256];
        for entry in LAYERS {
            for &key in entry.keys {
                match key {
                    Key::IpProtocol(number) => ip_protocols[usize::from(number)] = Some(entry),
                    key => keys.push((key, entry)),
                }
            }
        }
        keys.sort_unstable_by_key(|&(key, _)| key);
        Self { keys, ip_protocols }
    }

    pub(super) fn find(&self, key: Key) -> Option<&'static Entry> {
        match key {
            Key::IpProtocol(number) => self.ip_protocols.get(usize::from(number)).copied().flatten(),
            key => {
                let at = self.keys.binary_search_by_key(&key, |&(key, _)| key).ok()?;
                self.keys.get(at).map(|&(_, entry)| entry)
            }
        }
    }
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
