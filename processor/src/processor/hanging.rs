//! Transactions that hang: over for their coordinator, and open for ever in some partition.
//!
//! A transaction ends by a marker in each partition that it wrote to. Kafka 4.3.1 takes a partition without a leader for
//! one that was deleted, and writes it no marker (KAFKA-20734). With a single broker that is what a SIGKILL and a start
//! within the broker's session come to, for a second or two, or any stop. What lies in such a partition shares the fate
//! of the next transaction of the same producer there: aborted records become visible with the next commit, committed
//! ones are lost with the next abort. Of 13 runs of chaos in which the broker was killed twice, 5 had doubled records by
//! that.
//!
//! So no worker writes before all that was written in its name is over:
//!
//! - After a commit it waits for the markers in `weir-state`, where nobody else writes: 6 ms. In other topics it can't
//!   see its own among those of others, but a partition that got none has no leader, and won't for some seconds: so all
//!   that it wrote to are asked where they end. What doesn't come, or doesn't answer, ends the worker's life.
//! - At the begin of a life ([`settle`]) it waits until nothing is open any more of what was in any topic then. What
//!   stays open it ends itself, by a transaction of the same producer that writes to those partitions.
//!   A transactional id of its own for each life would not do: nobody would be left to end the transaction, and readers
//!   would wait for it for ever. Nor would it do to write to `weir-state` before all else in each transaction: whoever
//!   restores a partition would wait instead of going on, at the price of a round trip, but nothing would end.
//! - When it takes over partitions it notes what is open, goes on, and looks again ([`Watch`]): who left it may be gone.
//!
//! How it ends them is not ours to choose: the coordinator decided once, and some partitions may have been told. The
//! worker itself may have heard of a commit, and knows it in its next life, unless the process died. Else the log tells
//! ([`evidence`]): the first message that a transaction writes to each partition has its name in a
//! header, so a commit is found wherever one marker came. What was committed there is committed in the other partitions
//! too, for which each has to be given a message: one without a value, which is no record. What was committed nowhere is
//! aborted.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use metrics::counter;
use rdkafka::TopicPartitionList;
use weir_service::random::random;

use super::{
    Shared, Trouble, evidence,
    outgoing::{Ending, Outgoing},
    partitions::{ends, list, name_of, still_open},
    restore::Reader,
};

/// How long until partitions are asked again how far they are: a marker takes some milliseconds.
const AGAIN: Duration = Duration::from_millis(5);

/// The same where transactions of others may be open, which end with their commits.
const AGAIN_LATER: Duration = Duration::from_millis(50);

/// The same while a worker goes on.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);

/// Brokers look for transactions past their time-out every 10 s, unless they are told otherwise.
const LOOKED_FOR: Duration = Duration::from_secs(15);

/// Time over which workers take turns.
const TURNS: Duration = Duration::from_secs(8);

/// How long a transaction may be open that nobody has left open.
pub(super) fn longest(shared: &Shared) -> Duration {
    shared.settings.transaction_timeout + LOOKED_FOR
}

/// Waits until a commit to these partitions has come to pass.
pub(super) fn wait_for_markers(shared: &Shared, reader: &Reader, written: &TopicPartitionList) -> Result<(), Trouble> {
    let state = written.elements_for_topic(&shared.topics.state);
    let state = list(state.iter().filter_map(|of| Some((of.topic(), u32::try_from(of.partition()).ok()?))));
    let mut open = reader.ask(|| ends(&reader.any, &state))?;
    let begun = Instant::now();
    loop {
        open = reader.ask(|| still_open(&reader.committed, &open))?;
        if open.count() == 0 {
            break;
        }
        if begun.elapsed() > shared.settings.transaction_timeout {
            return Err(Trouble::restart("hanging", format!("Kafka did not end a commit in {}", name_of(&open))));
        }
        thread::sleep(AGAIN);
    }
    // Once, for one that has come back would say nothing.
    let answers = ends(&reader.any, written);
    answers.map_err(|error| Trouble::restart("hanging", format!("what a commit wrote to has no leader: {error}")))?;
    Ok(())
}

/// Waits until nothing is open any more of what processors had written to any topic, and ends what hangs: in the name of
/// the worker, and if that is not it, of others who may not come back. `committed` are the offsets of the worker's last
/// transaction, if it is known to be committed and may hang.
pub(super) fn settle(
    shared: &Arc<Shared>,
    worker: u32,
    outgoing: &mut Outgoing,
    reader: &Reader,
    committed: Option<&TopicPartitionList>,
) -> Result<(), Trouble> {
    let written = list(shared.topics.written());
    let mut open = reader.ask(|| ends(&reader.any, &written))?;
    let begun = Instant::now();
    let own = format!("{}-{worker}", shared.settings.instance);
    // What others have open meanwhile ends with their commits.
    let mut own_at = Some(2 * shared.settings.commit_interval.0);
    let mut others_at = Some(turn(shared));
    loop {
        open = reader.ask(|| still_open(&reader.committed, &open))?;
        if open.count() == 0 {
            return Ok(());
        }
        shared.tell(worker, Some(format!("waiting for transactions to end in {}", name_of(&open))));
        if own_at.take_if(|at| begun.elapsed() > *at).is_some() {
            let own = Some(own.as_str());
            let found = evidence::find(shared, reader, &open)?;
            for hung in found.iter().filter(|hung| hung.owner().is_none() || hung.owner() == own) {
                let ending = match committed {
                    Some(offsets) => Ending::Commit(offsets.clone()),
                    None => evidence::ending(shared, reader, hung)?,
                };
                tell_end(worker, "this worker", &ending, &hung.partitions);
                outgoing.end_in(&hung.partitions, &ending, reader)?;
            }
        }
        if others_at.take_if(|at| begun.elapsed() > *at).is_some() {
            end_others(shared, worker, reader, &open)?;
        }
        if begun.elapsed() > 2 * longest(shared) {
            let what = format!(
                "a transaction does not end in {}; `kafka-transactions find-hanging` tells whose, and `abort` ends it",
                name_of(&open)
            );
            return Err(Trouble::restart("hanging", what));
        }
        if shared.is_stopped() {
            return Err(Trouble::Stopped);
        }
        thread::sleep(AGAIN_LATER);
    }
}

/// How long until a worker ends what hangs of others: not all workers at once, or they would fence one another.
fn turn(shared: &Shared) -> Duration {
    longest(shared) + TURNS.mul_f64(f64::from(u16::try_from(random() % 1000).unwrap_or_default()) / 1000.0)
}

/// What was open in any topic when partitions were taken over. Whoever left it open may be gone for good, and readers
/// would wait for it for ever.
pub(super) struct Watch {
    open: TopicPartitionList,
    looked: Instant,
    ends_at: Instant,
}

impl Watch {
    pub(super) fn begin(shared: &Shared, reader: &Reader) -> Result<Self, Trouble> {
        let written = list(shared.topics.written());
        let open = reader.ask(|| ends(&reader.any, &written))?;
        Ok(Self { open, looked: Instant::now(), ends_at: Instant::now() + turn(shared) })
    }

    /// Looks again if it is time, and ends what hangs; whether all is over.
    pub(super) fn is_over(&mut self, shared: &Arc<Shared>, worker: u32, reader: &Reader) -> Result<bool, Trouble> {
        if self.looked.elapsed() < LOOKED_AGAIN {
            return Ok(false);
        }
        self.looked = Instant::now();
        self.open = reader.ask(|| still_open(&reader.committed, &self.open))?;
        if self.open.count() == 0 {
            return Ok(true);
        }
        if Instant::now() > self.ends_at {
            self.ends_at = Instant::now() + turn(shared);
            end_others(shared, worker, reader, &self.open)?;
        }
        Ok(false)
    }
}

/// Ends what hangs of others.
fn end_others(shared: &Arc<Shared>, worker: u32, reader: &Reader, open: &TopicPartitionList) -> Result<(), Trouble> {
    let own = format!("{}-{worker}", shared.settings.instance);
    for hung in evidence::find(shared, reader, open)? {
        let Some(owner) = hung.owner().filter(|owner| *owner != own) else { continue };
        let ending = evidence::ending(shared, reader, &hung)?;
        tell_end(worker, owner, &ending, &hung.partitions);
        Outgoing::start(shared, owner)?.end_in(&hung.partitions, &ending, reader)?;
    }
    Ok(())
}

fn tell_end(worker: u32, of: &str, ending: &Ending, open: &TopicPartitionList) {
    counter!("weir_processor_hanging_transactions_total").increment(1);
    tracing::warn!(
        worker,
        of,
        "a transaction is open for long in {}: in case that Kafka forgot it, it is {}",
        name_of(open),
        match ending {
            Ending::Abort => "aborted",
            Ending::Commit(_) => "committed, as it was elsewhere",
        }
    );
}
