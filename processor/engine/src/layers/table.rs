//! Which layer a key stands for.

use super::{Entry, Key, LAYERS};

/// Layers by the keys that name them: each UDP datagram asks for both its ports.
///
/// A slot for each key, or the next free one behind it. One in six is taken, so nearly every search ends at once.
pub(crate) struct Table {
    slots: Box<[Option<(u64, &'static Entry)>; SLOTS]>,
}

const SLOTS: usize = 512;

impl Table {
    pub(crate) fn new() -> Self {
        let mut slots = Box::new([None; SLOTS]);
        for entry in LAYERS {
            for &key in entry.keys {
                let number = number(key);
                let free = places(number).find(|&at| slots[at].is_none());
                if let Some(at) = free {
                    slots[at] = Some((number, entry));
                }
            }
        }
        Self { slots }
    }

    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<&'static Entry> {
        let number = number(key);
        for at in places(number) {
            match self.slots[at] {
                Some((other, entry)) if other == number => return Some(entry),
                Some(_) => {}
                None => return None,
            }
        }
        None
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

/// The slots in which a key may stand, in the order they are tried.
fn places(number: u64) -> impl Iterator<Item = usize> {
    /// 2⁶⁴ over the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let first = (number.wrapping_mul(SPREAD) >> 32) as usize;
    (0..SLOTS).map(move |step| (first + step) % SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_within_few_steps() {
        let table = Table::new();
        for entry in LAYERS {
            for &key in entry.keys {
                assert!(table.find(key).is_some_and(|found| found.name == entry.name));
                let steps = places(number(key)).position(|at| table.slots[at].is_some_and(|(of, _)| of == number(key)));
                assert!(steps.unwrap() < 4);
            }
        }
        assert!(table.slots.iter().flatten().count() < SLOTS / 4);
        assert!(table.find(Key::Unnamed).is_none());
    }

    #[test]
    fn a_key_names_one_layer() {
        let mut keys: Vec<Key> = LAYERS.iter().flat_map(|entry| entry.keys).copied().collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
