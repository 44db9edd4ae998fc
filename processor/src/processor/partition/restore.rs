//! How a partition comes back from what `weir-state` holds.

use std::{sync::Arc, time::Duration};

use weir_contract::record::{CaptureLossReason, Progress, Skipped};
use weir_engine::Engine;

use super::{Failure, Note, Partition, Rules};
use crate::processor::state::{Kept, Unusable};

impl Partition {
    /// A partition as `weir-state` says it is. `log` are the offsets of the log's first message and of the one
    /// behind its last. `skips` is what this process wants left out. `now` is any clock that goes on.
    ///
    /// # Errors
    ///
    /// The log or the state is not ours.
    pub fn restore(
        number: u32,
        rules: &Arc<Rules>,
        kept: &Kept,
        log: (i64, i64),
        skips: Vec<Skipped>,
        now: Duration,
    ) -> Result<(Self, Vec<Note>), Failure> {
        let progress = kept.progress();
        let progress = progress.map_err(|error| Failure::Progress { partition: number, error: error.to_string() })?;
        let (log_start, log_end) = log;
        let mut notes = Vec::new();
        let fresh = || Engine::new(rules.seed, rules.limits, rules.selection);
        let is_first = progress.is_none();
        let progress = progress.unwrap_or_else(|| Progress {
            offset: log_start,
            begin_offset: log_start,
            released: true,
            ..Progress::default()
        });
        if progress.offset > log_end {
            let what = format!("the records have come to offset {}, but it ends at {log_end}", progress.offset);
            return Err(Failure::Foreign { topic: rules.topic.clone(), partition: number, what });
        }
        let mut snapshot_bytes = 0;
        let without_state = |runs: &Progress| match &runs.runs {
            Some(runs) => fresh().with_runs(runs),
            None => fresh(),
        };
        let snapshot = kept.snapshot(progress.snapshot.as_ref()).and_then(|state| {
            snapshot_bytes = state.len() as u64;
            let engine = Engine::restore(&state, rules.limits, rules.selection);
            engine.map_err(|error| Unusable::Damaged(error.to_string()))
        });
        let (engine, next) = match snapshot {
            Ok(engine) => {
                let from = progress.snapshot.as_ref().map_or(progress.offset, |pointer| pointer.offset);
                (engine, from)
            }
            Err(Unusable::Absent) if progress.begin_offset >= log_start => (fresh(), progress.begin_offset),
            Err(why) => {
                notes.push(Note::Partial(why.to_string()));
                (without_state(&progress), progress.offset)
            }
        };
        if engine.unread_states() > 0 {
            let count = engine.unread_states();
            notes
                .push(Note::Partial(format!("{count} states of decoders were laid out otherwise by the build before")));
        }
        let written_by = progress.snapshot.as_ref().and_then(|pointer| pointer.fingerprint.as_ref());
        let written_by = written_by.or(progress.fingerprint.as_ref());
        if !is_first && next < progress.offset && written_by != Some(&rules.fingerprint) {
            notes.push(Note::OtherSettings);
        }
        if next < progress.offset && next < log_start {
            notes.push(Note::Partial("messages to replay were deleted".to_owned()));
        }
        let mut partition = Self {
            number,
            rules: Arc::clone(rules),
            engine,
            next,
            last_message: progress.last_message,
            claimed: false,
            lost: None,
            begins: false,
            begun: false,
            skipped: progress.skipped.clone(),
            captured_ns: None,
            progress,
            input_bytes: 0,
            snapshot_bytes,
            snapshot_at: now,
        };
        if partition.progress.offset < log_start {
            let lost = (partition.progress.offset, log_start - 1);
            notes.push(Note::Lost(lost.0, lost.1));
            notes.push(Note::Partial("messages were deleted before they were read".to_owned()));
            partition.engine.miss(CaptureLossReason::Retention, lost);
            partition.lost = Some(lost);
            partition.next = log_start;
            partition.last_message = None;
        }
        for skip in skips {
            if !partition.skipped.contains(&skip) {
                partition.skipped.push(skip);
            }
        }
        if partition.claim().careful_until > partition.progress.offset {
            notes.push(Note::Careful);
        }
        Ok((partition, notes))
    }
}
