//! The threads that talk to the store, so that consumers never wait for it.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use metrics::{counter, histogram};

use super::chain::{Open, Put, Tail};
use super::dead_letter::DeadLetters;
use super::encode::{self, File};
use super::link::{Hour, Log, Source, key};
use super::metrics as name;
use super::store::{Patient, Stopped, tail};

/// A partition as it was assigned: what comes back for an earlier assignment is nobody's.
pub type Owner = (Source, u64);

/// What to do for a partition.
pub struct Job {
    pub owner: Owner,
    /// Bytes that it keeps in memory.
    pub bytes: usize,
    pub what: What,
    /// To whom to say what came of it.
    pub answer: Sender<Answer>,
}

/// Kinds of jobs.
pub enum What {
    /// Find the last file of the chain.
    List(Hour),
    /// Encode and put a file; dead letters of its messages first.
    Put { open: Box<Open<File>>, log: Log, has_dead_letters: bool },
}

/// What came of a job.
pub struct Answer {
    pub owner: Owner,
    /// Bytes that are free again.
    pub bytes: usize,
    pub what: Outcome,
}

/// Kinds of answers.
pub enum Outcome {
    Listed(Option<Tail>),
    Put(Put),
    /// The process stops.
    Stopped,
    /// A mistake of ours.
    Failed(io::Error),
}

/// The threads. They end when all senders are gone.
#[derive(Clone)]
pub struct Pool {
    jobs: Sender<Job>,
}

impl Pool {
    /// Starts so many threads.
    pub fn start(threads: usize, store: &Arc<Patient>, dead_letters: &Arc<DeadLetters>) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads.max(1) {
            let (queue, store, dead_letters) = (queue.clone(), store.clone(), dead_letters.clone());
            let run = move || work(&queue, &store, &dead_letters);
            thread::Builder::new().name(format!("store-{number}")).spawn(run)?;
        }
        Ok(Self { jobs })
    }

    /// Hands in a job.
    pub fn give(&self, job: Job) {
        // The threads live as long as this end of the channel.
        let _ = self.jobs.send(job);
    }
}

fn work(queue: &Mutex<Receiver<Job>>, store: &Patient, dead_letters: &DeadLetters) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { owner, bytes, what, answer }) = job else { return };
        let what = match what {
            What::List(hour) => tail(store, &owner.0, hour).map(Outcome::Listed),
            What::Put { open, log, has_dead_letters } => {
                put(store, dead_letters, &owner.0, *open, &log, has_dead_letters)
            }
        };
        let what = what.unwrap_or(Outcome::Stopped);
        // Who asked may be gone: its partition was revoked.
        let _ = answer.send(Answer { owner, bytes, what });
    }
}

fn put(
    store: &Patient,
    dead_letters: &DeadLetters,
    source: &Source,
    open: Open<File>,
    log: &Log,
    has_dead_letters: bool,
) -> Result<Outcome, Stopped> {
    // Behind this file nobody reads these messages again.
    if has_dead_letters {
        dead_letters.settle()?;
    }
    let key = key(source, open.hour, open.first);
    let (body, link) = match encode::finish(open, log) {
        Ok(encoded) => encoded,
        Err(error) => return Ok(Outcome::Failed(error)),
    };
    let begun = Instant::now();
    let put = store.put(&key, &body, &link)?;
    histogram!(name::PUT_SECONDS).record(begun.elapsed().as_secs_f64());
    let record_type = source.record_type.name();
    if matches!(put, Put::Stored) || matches!(&put, Put::Taken(Some(winner)) if *winner == link) {
        counter!(name::FILES, "type" => record_type).increment(1);
        counter!(name::ROWS, "type" => record_type).increment(link.rows);
        counter!(name::BYTES, "type" => record_type).increment(body.len() as u64);
        tracing::debug!(key, rows = link.rows, bytes = body.len(), "stored");
    } else {
        counter!(name::TAKEN, "type" => record_type).increment(1);
        tracing::info!(key, "another sink's file is there already");
    }
    Ok(Outcome::Put(put))
}
