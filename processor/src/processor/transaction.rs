//! What a transaction says of itself in each partition that it writes to, so that what hangs there has a name.

use weir_contract::RecordType;
use weir_service::random::random;

use super::topics::Topic;

/// The header of the first message that a transaction writes to a partition; its value is the transaction's [`Name`].
pub(super) const HEADER: &str = "weir-transaction";

/// Whose transaction, and which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// The worker: instance and number.
    pub(super) owner: String,
    /// A random number; 0 of a release that gave transactions none.
    pub(super) number: u64,
}

impl Name {
    /// The header's value: number in hex, and owner.
    pub(super) fn to_header(owner: &str, number: u64) -> String {
        format!("{number:016x} {owner}")
    }

    pub(super) fn from_header(value: &[u8]) -> Option<Self> {
        let (number, owner) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        Some(Self { owner: owner.to_owned(), number: u64::from_str_radix(number, 16).ok()? })
    }
}

/// The number of a worker's transaction, and which partitions it has written to.
pub(super) struct Written {
    number: u64,
    /// Of each partition of each topic the transaction that wrote there last.
    by: Vec<Vec<u64>>,
}

impl Written {
    pub(super) fn new() -> Self {
        Self { number: fresh(), by: vec![Vec::new(); 2 + RecordType::all().len()] }
    }

    /// The number of the transaction that is open, or else of the next.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// That the transaction is over.
    pub(super) fn end(&mut self) {
        self.number = fresh();
    }

    /// Enters a partition; whether it is the first time.
    pub(super) fn enter(&mut self, topic: Topic, partition: u32) -> bool {
        let number = self.number;
        self.slot(topic, partition).is_some_and(|slot| std::mem::replace(slot, number) != number)
    }

    /// Takes back that a partition was written to.
    pub(super) fn withdraw(&mut self, topic: Topic, partition: u32) {
        if let Some(slot) = self.slot(topic, partition) {
            *slot = 0;
        }
    }

    /// The partitions of a topic that the transaction has written to.
    pub(super) fn partitions(&self, topic: Topic) -> impl Iterator<Item = u32> {
        let by = self.by.get(row(topic)).map(Vec::as_slice).unwrap_or_default();
        (0..).zip(by).filter(|(_, number)| **number == self.number).map(|(partition, _)| partition)
    }

    fn slot(&mut self, topic: Topic, partition: u32) -> Option<&mut u64> {
        let by = self.by.get_mut(row(topic))?;
        let index = usize::try_from(partition).ok()?;
        if by.len() <= index {
            by.resize(index + 1, 0);
        }
        by.get_mut(index)
    }
}

fn row(topic: Topic) -> usize {
    match topic {
        Topic::State => 0,
        Topic::DeadLetters => 1,
        Topic::Records(record_type) => 2 + record_type.index(),
    }
}

fn fresh() -> u64 {
    random().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_from_its_header() {
        let name = Name { owner: "pod 7-0".to_owned(), number: 0xfe };
        assert_eq!(Name::from_header(Name::to_header(&name.owner, name.number).as_bytes()), Some(name));
        for other in [&b""[..], b"fe", b"xyz p0-0", b"\xff p0-0"] {
            assert_eq!(Name::from_header(other), None);
        }
    }

    #[test]
    fn each_partition_is_entered_once_a_transaction() {
        let mut written = Written::new();
        let udp = Topic::Records(RecordType::Udp);
        assert!(
            written.enter(udp, 3) && !written.enter(udp, 3) && written.enter(udp, 1) && written.enter(Topic::State, 3)
        );
        assert_eq!(written.partitions(udp).collect::<Vec<_>>(), [1, 3]);
        written.withdraw(udp, 1);
        assert_eq!(written.partitions(udp).collect::<Vec<_>>(), [3]);

        written.end();

        assert_eq!(written.partitions(udp).count(), 0);
        assert!(written.enter(udp, 3));
    }
}
