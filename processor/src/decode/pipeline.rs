//! Batches to records to files, on all cores and in one order.
//!
//! The reader deals batches to workers by partition; a single worker is the reader itself. Each worker
//! hands what it makes of a batch to all writers, which take the workers' pieces in the order of the
//! batches: so files do not depend on how threads were scheduled. All channels are bounded. Nobody waits
//! in a circle, since a worker that waits for a writer works on a later batch than the one that the
//! writer waits for.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread::{self, JoinHandle},
};

use weir_contract::{PacketBatch, RecordType, Selection, wire};
use weir_engine::{Counters, Engine, Limits, PushError, RecordSink};

use super::tally::Tally;
use crate::{
    output::{self, Output, OutputError},
    privacy::{Privacy, Rewriter},
};

/// Batches that wait for a worker.
const BATCHES_AHEAD: usize = 4;

/// Pieces of records that wait for a writer, from each worker.
const PIECES_AHEAD: usize = 4;

/// Records travel to the writers in pieces of about so many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// What the pipeline is to do.
pub struct Plan {
    pub workers: usize,
    pub limits: Limits,
    pub seed: u64,
    pub selection: Selection,
    /// What becomes of addresses in records, unless they are kept.
    pub privacy: Option<Privacy>,
    /// `None` to count records only.
    pub output: Option<Output>,
    /// Whether somebody waits for each record, so that none waits for others to be written with.
    pub prompt: bool,
}

/// Records of one batch, or a part of them, for one writer.
enum Piece {
    Records(Vec<(RecordType, Vec<u8>)>),
    /// The batch has no more records.
    End,
}

/// What came of it all.
pub struct Finished {
    pub tally: Tally,
    pub counters: Counters,
    pub written: Vec<output::Written>,
    pub errors: Vec<OutputError>,
}

/// Running workers and writers.
pub struct Pipeline {
    workers: Workers,
    writers: Vec<Writer>,
    failed: Arc<AtomicBool>,
}

/// Who decodes.
enum Workers {
    /// The thread that reads, where one worker is all that was asked for: what it reads is in its core's cache, and
    /// nobody is woken for a batch.
    Here(Box<Decoder>),
    /// Threads of their own.
    Threads { workers: Vec<Worker>, spares: Receiver<PacketBatch> },
}

struct Worker {
    batches: SyncSender<PacketBatch>,
    thread: JoinHandle<(Tally, Counters)>,
}

struct Writer {
    /// Which worker has each batch, in the order of the batches.
    order: Sender<usize>,
    thread: JoinHandle<(Vec<output::Written>, Vec<OutputError>)>,
}

impl Pipeline {
    pub fn start(plan: &Plan) -> Self {
        let failed = Arc::new(AtomicBool::new(false));
        let writer_count = plan.output.as_ref().map_or(0, |_| plan.workers);
        let assignment = assign(plan.selection, writer_count);

        let mut to_writers: Vec<Vec<SyncSender<Piece>>> = (0..plan.workers).map(|_| Vec::new()).collect();
        let mut writers = Vec::new();
        for _ in 0..writer_count {
            let mut pieces = Vec::new();
            for senders in &mut to_writers {
                let (sender, receiver) = mpsc::sync_channel(PIECES_AHEAD);
                senders.push(sender);
                pieces.push(receiver);
            }
            let (order, ordered) = mpsc::channel();
            let (output, failed, prompt) = (plan.output.clone(), Arc::clone(&failed), plan.prompt);
            let thread = thread::spawn(move || match output {
                Some(output) => write(&output, prompt, &ordered, &pieces, &failed),
                None => (Vec::new(), Vec::new()),
            });
            writers.push(Writer { order, thread });
        }

        let mut decoders: Vec<_> =
            to_writers.into_iter().map(|writers| Decoder::new(plan, writers, assignment.clone())).collect();
        let workers = match decoders.pop() {
            Some(only) if decoders.is_empty() => Workers::Here(Box::new(only)),
            last => {
                decoders.extend(last);
                Workers::start(decoders)
            }
        };
        Self { workers, writers, failed }
    }

    /// Whether writing has failed, so that there is no sense in going on.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Decodes a batch, or waits while its worker has enough to do. Gives a batch whose memory can be used again.
    pub fn push(&mut self, batch: PacketBatch) -> Option<PacketBatch> {
        let worker = usize::try_from(batch.partition).unwrap_or_default() % self.workers.count();
        for writer in &self.writers {
            // A writer lives until this end is dropped.
            let _ = writer.order.send(worker);
        }
        match &mut self.workers {
            Workers::Here(decoder) => {
                decoder.push(&batch);
                Some(batch)
            }
            Workers::Threads { workers, spares } => {
                if let Some(worker) = workers.get(worker) {
                    let _ = worker.batches.send(batch);
                }
                spares.try_recv().ok()
            }
        }
    }

    /// Waits for everything to be decoded and written.
    pub fn finish(self) -> Finished {
        let mut finished = Finished {
            tally: Tally::default(),
            counters: Counters::default(),
            written: Vec::new(),
            errors: Vec::new(),
        };
        for (tally, counters) in self.workers.finish() {
            finished.tally.add(&tally);
            finished.counters.add(&counters);
        }
        for Writer { order, thread } in self.writers {
            drop(order);
            let (written, errors) = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            finished.written.extend(written);
            finished.errors.extend(errors);
        }
        finished.written.sort_by_key(|written| written.record_type);
        finished
    }
}

impl Workers {
    fn start(decoders: Vec<Decoder>) -> Self {
        let (spare_sender, spares) = mpsc::channel();
        let workers = decoders.into_iter().map(|mut decoder| {
            let (batches, receiver) = mpsc::sync_channel::<PacketBatch>(BATCHES_AHEAD);
            let spares = spare_sender.clone();
            let thread = thread::spawn(move || {
                for batch in receiver {
                    decoder.push(&batch);
                    // Nobody takes it back at the end.
                    let _ = spares.send(batch);
                }
                decoder.finish()
            });
            Worker { batches, thread }
        });
        Self::Threads { workers: workers.collect(), spares }
    }

    fn count(&self) -> usize {
        match self {
            Self::Here(_) => 1,
            Self::Threads { workers, .. } => workers.len(),
        }
    }

    /// What each worker counted.
    fn finish(self) -> Vec<(Tally, Counters)> {
        let workers = match self {
            Self::Here(decoder) => return vec![decoder.finish()],
            Self::Threads { workers, .. } => workers,
        };
        let ends = workers.into_iter().map(|Worker { batches, thread }| {
            drop(batches);
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        ends.collect()
    }
}

/// Deals record types to writers so that the ones of high volume are apart.
fn assign(selection: Selection, writers: usize) -> Vec<usize> {
    let mut types: Vec<_> = selection.types().collect();
    types.sort_by_key(|of| std::cmp::Reverse(of.info().volume));
    let mut assignment = vec![0; RecordType::all().len()];
    for (at, record_type) in types.into_iter().enumerate() {
        if let Some(slot) = assignment.get_mut(record_type.index()) {
            *slot = at % writers.max(1);
        }
    }
    assignment
}

/// The work of one worker: an engine for each partition that comes along.
struct Decoder {
    engines: BTreeMap<u32, Engine>,
    records: Records,
    limits: Limits,
    seed: u64,
    selection: Selection,
}

impl Decoder {
    fn new(plan: &Plan, writers: Vec<SyncSender<Piece>>, assignment: Vec<usize>) -> Self {
        let records = Records {
            writers,
            assignment,
            rewriter: plan.privacy.as_ref().map(Rewriter::new),
            rewritten: Vec::new(),
            blocks: BTreeMap::new(),
            bytes: 0,
            tally: Tally::default(),
        };
        let engines = BTreeMap::new();
        Self { engines, records, limits: plan.limits, seed: plan.seed, selection: plan.selection }
    }

    fn push(&mut self, batch: &PacketBatch) {
        let engine = || Engine::new(self.seed, self.limits, self.selection);
        let of = self.engines.entry(batch.partition).or_insert_with(engine);
        match of.push(batch, &mut self.records) {
            Ok(()) => {}
            // The batcher is ours: its columns agree.
            Err(PushError::Batch(_)) => self.records.tally.refused_batches += 1,
            Err(panicked @ PushError::Panicked { .. }) => resume_unwind(Box::new(panicked.to_string())),
        }
        self.records.end_batch();
    }

    /// Closes its writers' channels.
    fn finish(self) -> (Tally, Counters) {
        let mut counters = Counters::default();
        for engine in self.engines.values() {
            counters.add(engine.counters());
        }
        (self.records.tally, counters)
    }
}

/// Gathers the records of a batch by type and sends them to their writers.
struct Records {
    writers: Vec<SyncSender<Piece>>,
    /// Writer of each record type.
    assignment: Vec<usize>,
    /// Where addresses are not kept.
    rewriter: Option<Rewriter>,
    /// A rewritten record.
    rewritten: Vec<u8>,
    blocks: BTreeMap<RecordType, Vec<u8>>,
    bytes: usize,
    tally: Tally,
}

impl RecordSink for Records {
    fn record(&mut self, record_type: RecordType, bytes: &[u8]) {
        let Some(rewriter) = &mut self.rewriter else { return self.add(record_type, bytes) };
        let mut rewritten = std::mem::take(&mut self.rewritten);
        rewritten.clear();
        rewriter.push(record_type, bytes, &mut rewritten);
        self.add(record_type, &rewritten);
        self.rewritten = rewritten;
    }
}

impl Records {
    /// Adds a record in the form in which it is to be read.
    fn add(&mut self, record_type: RecordType, bytes: &[u8]) {
        self.tally.count(record_type, bytes);
        if self.writers.is_empty() {
            return;
        }
        let block = self.blocks.entry(record_type).or_default();
        wire::bytes(block, &[], bytes);
        self.bytes += bytes.len();
        if self.bytes >= PIECE_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        self.bytes = 0;
        let mut pieces: Vec<Vec<(RecordType, Vec<u8>)>> = self.writers.iter().map(|_| Vec::new()).collect();
        for (record_type, block) in std::mem::take(&mut self.blocks) {
            let writer = self.assignment.get(record_type.index()).copied().unwrap_or_default();
            if let Some(piece) = pieces.get_mut(writer) {
                piece.push((record_type, block));
            }
        }
        for (writer, piece) in self.writers.iter().zip(pieces) {
            if !piece.is_empty() {
                let _ = writer.send(Piece::Records(piece));
            }
        }
    }

    fn end_batch(&mut self) {
        self.send();
        for writer in &self.writers {
            let _ = writer.send(Piece::End);
        }
    }
}

/// The work of one writer: the pieces of all workers in the order of the batches.
fn write(
    output: &Output,
    prompt: bool,
    order: &Receiver<usize>,
    pieces: &[Receiver<Piece>],
    failed: &AtomicBool,
) -> (Vec<output::Written>, Vec<OutputError>) {
    let mut files: BTreeMap<RecordType, output::TypeWriter> = BTreeMap::new();
    let mut errors = Vec::new();
    for worker in order {
        let Some(pieces) = pieces.get(worker) else { continue };
        while let Ok(Piece::Records(blocks)) = pieces.recv() {
            // Pieces are taken even when writing has failed, so that the workers come to their end.
            if failed.load(Ordering::Relaxed) {
                continue;
            }
            for (record_type, block) in blocks {
                if let Err(error) = write_block(output, &mut files, record_type, &block) {
                    failed.store(true, Ordering::Relaxed);
                    errors.push(error);
                }
            }
        }
        for file in files.values_mut().filter(|_| prompt) {
            if let Err(error) = file.write() {
                failed.store(true, Ordering::Relaxed);
                errors.push(error);
            }
        }
    }
    let mut written = Vec::new();
    for file in files.into_values() {
        match output::TypeWriter::finish(file) {
            Ok(of) => written.push(of),
            Err(error) => errors.push(error),
        }
    }
    (written, errors)
}

fn write_block(
    output: &Output,
    files: &mut BTreeMap<RecordType, output::TypeWriter>,
    record_type: RecordType,
    mut block: &[u8],
) -> Result<(), OutputError> {
    let file = match files.entry(record_type) {
        std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
        std::collections::btree_map::Entry::Vacant(entry) => entry.insert(output.create(record_type)?),
    };
    while let Ok(length) = prost::decode_length_delimiter(block) {
        let prefix = prost::length_delimiter_len(length);
        let Some(bytes) = block.get(prefix..prefix + length) else { break };
        file.push(bytes)?;
        block = block.get(prefix + length..).unwrap_or_default();
    }
    Ok(())
}
