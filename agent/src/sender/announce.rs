//! Where the sensor's last run ended, told in the first batch of each partition.

use crate::delivery::{Head, Pushed};
use crate::ledger::Position;
use weir_contract::record::PreviousRun;

/// What is still to be told.
#[derive(Debug)]
pub struct Announcements(Vec<Announcement>);

/// The end of the last run in a partition.
#[derive(Debug)]
struct Announcement {
    previous: Position,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be told in the next batch.
    Due,
    /// Told in a batch that the producer has.
    UnderWay,
    /// Told in a batch that Kafka or the spool has.
    Told,
}

impl Announcements {
    /// Of what the ledger says of each partition.
    pub fn new(previous: &[Position]) -> Self {
        Self(previous.iter().map(|previous| Announcement { previous: *previous, state: State::Due }).collect())
    }

    /// What a new batch is to tell.
    pub fn due(&self, head: Head) -> Option<PreviousRun> {
        let Announcement { previous, state } = self.0.get(usize::try_from(head.partition).ok()?)?;
        let Position { epoch, last_sequence, packets } = *previous;
        let due = *state == State::Due && epoch != 0 && epoch != head.epoch;
        due.then_some(PreviousRun { epoch, last_sequence, packets })
    }

    /// Takes note of where a batch went.
    pub fn made(&mut self, head: Head, pushed: Pushed) {
        let index = usize::try_from(head.partition).unwrap_or(usize::MAX);
        if let Some(of) = self.0.get_mut(index).filter(|of| of.state == State::Due) {
            of.state = match pushed {
                Pushed::ToProducer => State::UnderWay,
                Pushed::ToSpool => State::Told,
                Pushed::Lost => State::Due,
            };
        }
    }

    /// What the ledger is to say of each partition: how far this run has come, or as long as that was not told,
    /// where the one before it ended.
    pub fn positions(&mut self, current: &[Position], has_published: impl Fn(u32, i64) -> bool) -> Vec<Position> {
        let mut positions = current.to_vec();
        for (index, of) in self.0.iter_mut().enumerate() {
            let (Some(position), Ok(partition)) = (positions.get_mut(index), u32::try_from(index)) else {
                positions.push(of.previous);
                continue;
            };
            if of.state == State::UnderWay && has_published(partition, position.epoch) {
                of.state = State::Told;
            }
            if of.state != State::Told && of.previous.epoch != 0 {
                *position = of.previous;
            }
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Position = Position { epoch: 7, last_sequence: 3, packets: 40 };
    const NOW: Position = Position { epoch: 8, last_sequence: 1, packets: 10 };

    fn head(partition: u32) -> Head {
        Head { epoch: 8, partition, sequence: 1, packets: 10 }
    }

    #[test]
    fn first_batch_that_arrives_tells_where_the_last_run_ended() {
        let mut announcements = Announcements::new(&[BEFORE, Position::default()]);
        let told = Some(PreviousRun { epoch: 7, last_sequence: 3, packets: 40 });
        assert_eq!(
            (announcements.due(head(0)), announcements.due(head(1)), announcements.due(head(2))),
            (told, None, None)
        );
        announcements.made(head(0), Pushed::Lost);
        assert_eq!(announcements.due(head(0)), told);
        announcements.made(head(0), Pushed::ToProducer);
        assert_eq!(announcements.due(head(0)), None);
    }

    #[test]
    fn ledger_keeps_the_last_run_until_it_was_told() {
        let mut announcements = Announcements::new(&[BEFORE, BEFORE, BEFORE]);
        assert_eq!(announcements.positions(&[], |_, _| false), [BEFORE, BEFORE, BEFORE]);
        announcements.made(head(0), Pushed::ToProducer);
        announcements.made(head(1), Pushed::ToSpool);
        assert_eq!(announcements.positions(&[NOW; 3], |_, _| false), [BEFORE, NOW, BEFORE]);
        assert_eq!(
            announcements.positions(&[NOW; 3], |partition, epoch| partition == 0 && epoch == 8),
            [NOW, NOW, BEFORE]
        );
        assert_eq!(announcements.positions(&[NOW; 3], |_, _| false), [NOW, NOW, BEFORE]);
    }

    #[test]
    fn first_run_of_a_sensor_has_nothing_to_tell() {
        let mut announcements = Announcements::new(&[]);
        assert_eq!(announcements.due(head(0)), None);
        assert_eq!(announcements.positions(&[NOW], |_, _| false), [NOW]);
    }
}
