//! Where a worker reads its partitions: asked when they are assigned, and again when a position is out of range.

use std::time::Instant;

use metrics::counter;

use super::{RETRY, Worker};
use crate::sink::chain::Step;
use crate::sink::metrics as name;
use crate::sink::partition::Next;

/// Partitions whose position is asked for in one turn: each takes a round trip, while the group waits to be polled.
const LOCATE_AT_ONCE: usize = 50;

impl Worker {
    /// Asks for the positions of partitions that are to be taken up.
    pub(super) fn locate(&mut self) -> anyhow::Result<()> {
        let mut places = Vec::new();
        self.each(|place, partition| {
            if partition.must_locate && places.len() < LOCATE_AT_ONCE {
                places.push(place.clone());
            }
        });
        if places.is_empty() {
            return Ok(());
        }
        let asked = self.consumer.committed(&places).and_then(|committed| {
            let bounds = places.iter().map(|place| self.consumer.bounds(place)).collect::<Result<Vec<_>, _>>()?;
            Ok(committed.into_iter().zip(bounds).collect::<Vec<_>>())
        });
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => {
                tracing::warn!("positions can't be asked for: {error} {}", self.consumer.reason());
                self.ask_again = Instant::now() + RETRY;
                return Ok(());
            }
        };
        let mut starts = Vec::new();
        for (place, (group, (start, end))) in places.into_iter().zip(asked) {
            let Some(source) = self.source(&place) else { continue };
            let Some(partition) = self.partition(&place) else { continue };
            partition.must_locate = false;
            match partition.chain.located(group, start, end) {
                Step::Read(offset) => starts.push((place, offset)),
                step => self.proceed(source, Next::Step(step))?,
            }
        }
        Ok(self.consumer.read(&starts)?)
    }

    /// After an error of the client, which does not say of which partition: what is out of the log's range is taken up
    /// anew, the rest read on from where it stands.
    pub(super) fn check_range(&mut self) -> anyhow::Result<()> {
        if !std::mem::take(&mut self.doubts_range) {
            return Ok(());
        }
        self.ask_again = Instant::now() + RETRY;
        let mut positions = Vec::new();
        self.each(|place, partition| positions.extend(partition.chain.position().map(|at| (place.clone(), at))));
        for (place, position) in positions {
            let Some(source) = self.source(&place) else { continue };
            let step = match self.consumer.bounds(&place) {
                Ok((start, end)) if (start..=end).contains(&position) => Step::Read(position),
                Ok((start, end)) => {
                    counter!(name::RESUMED, "reason" => "out_of_range").increment(1);
                    tracing::warn!(
                        "{source}: offset {position} is not in the log, which has {start} to {end}: resuming anew"
                    );
                    let Some(partition) = self.partition(&place) else { continue };
                    partition.chain.out_of_range()
                }
                Err(error) => {
                    tracing::warn!("the bounds of {source} can't be asked for: {error} {}", self.consumer.reason());
                    self.doubts_range = true;
                    return Ok(());
                }
            };
            self.proceed(source.clone(), Next::Step(step))?;
            self.put(&source);
        }
        Ok(())
    }
}
