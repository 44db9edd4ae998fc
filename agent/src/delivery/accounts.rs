//! Where all packets are: nothing goes missing between the counters.

use std::fmt;

/// What became of an agent's packets. At any moment
///
/// ```text
/// received + found in the spool = published + queued + in flight + in the spool + dropped
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Packets that came in, those that the kernel lost too.
    pub received: u64,
    /// Packets that the runs before this one had left.
    pub found_in_spool: u64,
    /// Packets that Kafka has acknowledged.
    pub published: u64,
    /// Packets that wait for the thread that delivers, or for their batch to be finished.
    pub queued: u64,
    /// Packets that the producer has, or that came back from it and wait for another.
    pub in_flight: u64,
    /// Packets in the spool, but for those in flight from there.
    pub in_spool: u64,
    /// Packets that are lost, by the place where they were.
    pub dropped: DroppedPackets,
}

/// A place where packets can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// In the kernel's ring, because the agent did not read fast enough.
    Kernel,
    /// In the interface or its driver.
    Interface,
    /// At the queues between the kernel's rings and the thread that delivers, because one was full.
    Queue,
    /// At the spool, because it was full.
    SpoolFull,
    /// In the spool, for newer ones.
    SpoolOldest,
    /// At the spool, because its disk gave an error or was full.
    SpoolError,
    /// In the spool, because they could not be read from it any more.
    SpoolDamaged,
    /// At Kafka, which takes no message so large.
    TooLarge,
    /// After a failure of the producer, because a later batch of the partition had got ahead.
    Overtaken,
}

impl Dropped {
    /// All places.
    pub const ALL: [Self; 9] = [
        Self::Kernel,
        Self::Interface,
        Self::Queue,
        Self::SpoolFull,
        Self::SpoolOldest,
        Self::SpoolError,
        Self::SpoolDamaged,
        Self::TooLarge,
        Self::Overtaken,
    ];

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Interface => "interface",
            Self::Queue => "queue",
            Self::SpoolFull => "spool_full",
            Self::SpoolOldest => "spool_oldest",
            Self::SpoolError => "spool_error",
            Self::SpoolDamaged => "spool_damaged",
            Self::TooLarge => "too_large",
            Self::Overtaken => "overtaken",
        }
    }
}

/// Packets lost in each place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedPackets([u64; Dropped::ALL.len()]);

impl DroppedPackets {
    /// Counts packets that were lost in a place.
    pub fn add(&mut self, packets: u64, place: Dropped) {
        for (count, of) in self.0.iter_mut().zip(Dropped::ALL) {
            *count += if of == place { packets } else { 0 };
        }
    }

    /// Packets lost in a place.
    pub fn of(&self, place: Dropped) -> u64 {
        self.iter().find(|(of, _)| *of == place).map_or(0, |(_, packets)| packets)
    }

    /// Each place with the packets lost there.
    pub fn iter(&self) -> impl Iterator<Item = (Dropped, u64)> {
        Dropped::ALL.into_iter().zip(self.0)
    }

    /// Packets lost anywhere.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Accounts {
    /// Whether the counters agree. Where they do not, Weir has a bug.
    pub fn balance(&self) -> bool {
        let Self { received, found_in_spool, published, queued, in_flight, in_spool, dropped } = self;
        received + found_in_spool == published + queued + in_flight + in_spool + dropped.total()
    }
}

impl fmt::Display for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, found_in_spool, published, queued, in_flight, in_spool, dropped } = self;
        write!(f, "{received} packets received + {found_in_spool} found in the spool = {published} published")?;
        write!(
            f,
            " + {queued} queued + {in_flight} in flight + {in_spool} in the spool + {} dropped",
            dropped.total()
        )?;
        let lost = dropped.iter().filter(|(_, packets)| *packets > 0);
        let lost: Vec<_> = lost.map(|(place, packets)| format!("{} {packets}", place.name())).collect();
        if lost.is_empty() { Ok(()) } else { write!(f, " ({})", lost.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_is_somewhere() {
        let mut accounts =
            Accounts { received: 10, found_in_spool: 5, published: 7, in_spool: 4, ..Accounts::default() };
        assert!(!accounts.balance());
        accounts.dropped.add(1, Dropped::Queue);
        accounts.dropped.add(3, Dropped::Overtaken);
        assert!(accounts.balance());
        assert_eq!((accounts.dropped.of(Dropped::Queue), accounts.dropped.of(Dropped::Kernel)), (1, 0));
        assert_eq!(
            accounts.to_string(),
            "10 packets received + 5 found in the spool = 7 published + 0 queued + 0 in flight + 4 in the spool \
             + 4 dropped (queue 1, overtaken 3)"
        );
    }
}
