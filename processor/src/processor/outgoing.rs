//! The transaction under construction: what leaves a worker.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::counter;
use prost::Message as _;
use rdkafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    client::OAuthToken,
    config::{ClientConfig, RDKafkaLogLevel},
    consumer::{Consumer as _, ConsumerGroupMetadata},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};
use weir_contract::{
    DeadLetter, RecordType,
    record::{Weird, WeirdReason},
};
use weir_service::kafka::{Reporter, STATISTICS_MS};

use super::{
    Shared, Trouble,
    partitions::list,
    restore::Reader,
    sink::{Outbox, TooLarge},
    stranded,
    topics::{Topic, Topics},
    transaction::{self, Name, Written},
};
use crate::privacy::Rewriter;

/// How long one call waits for brokers before the stop flag is looked at.
const WAIT: Duration = Duration::from_secs(1);

/// Records between two looks at what the producer has to tell.
const RECORDS_BETWEEN_POLLS: u32 = 4096;

/// How long records wait for others in the same batch. Nobody sees them before the commit, which waits as long.
const LINGER_MS: &str = "20";

/// How long until a flush looks again whether all is delivered.
const FLUSHED_AGAIN: Duration = Duration::from_millis(2);

/// That two agents have one name is logged again after so long.
const REPEAT: Duration = Duration::from_secs(30);

/// Largest message a producer is allowed, bytes: the usual limit of a topic, less what frames it.
pub(super) const MESSAGE_MAX: usize = 1_000_000;

/// Listens to a producer.
struct Listener(Reporter);

impl ClientContext for Listener {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Reporter::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.see(&statistics);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.0.generate_oauth_token(config)
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.error(error.clone(), &format!("a message was not delivered: {error}"));
        }
    }
}

/// What a worker writes, in transactions.
pub(super) struct Outgoing {
    shared: Arc<Shared>,
    /// The worker in whose name it writes.
    owner: String,
    producer: BaseProducer<Listener>,
    /// A transaction has begun.
    is_open: bool,
    written: Written,
    /// What went wrong with it; it is not to be committed.
    trouble: Option<Trouble>,
    until_poll: u32,
    /// Records of each type in the transaction.
    records: Vec<u64>,
    weirds: Vec<(WeirdReason, u64)>,
    letters: u64,
    told_shared_name: Option<Instant>,
    /// Where addresses are not kept.
    rewriter: Option<Rewriter>,
    /// A rewritten record.
    rewritten: Vec<u8>,
}

impl Outgoing {
    /// A producer that has put an end to whatever the one before in the name of this worker had begun, as far as its
    /// coordinator knows.
    pub(super) fn start(shared: &Arc<Shared>, owner: &str) -> Result<Self, Trouble> {
        let settings = &shared.settings;
        let mut client: ClientConfig = shared.client.clone();
        let transaction_ms = settings.transaction_timeout.as_millis().to_string();
        client
            .set("transactional.id", shared.transactional_id(owner))
            .set("transaction.timeout.ms", &transaction_ms)
            .set("message.timeout.ms", &transaction_ms)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("linger.ms", LINGER_MS)
            .set("batch.size", "1000000")
            .set("batch.num.messages", "100000")
            .set("message.max.bytes", MESSAGE_MAX.to_string())
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "131072")
            .set("delivery.report.only.error", "true")
            .set("statistics.interval.ms", STATISTICS_MS);
        let listener = Listener(Reporter::new(&settings.kafka));
        let producer: BaseProducer<Listener> = client
            .create_with_context(listener)
            .map_err(|error| Trouble::Fatal(format!("a producer can't be made: {error}")))?;
        let outgoing = Self {
            shared: Arc::clone(shared),
            owner: owner.to_owned(),
            producer,
            is_open: false,
            written: Written::new(),
            trouble: None,
            until_poll: RECORDS_BETWEEN_POLLS,
            records: vec![0; RecordType::all().len()],
            weirds: Vec::new(),
            letters: 0,
            told_shared_name: None,
            rewriter: settings.privacy.as_ref().map(Rewriter::new),
            rewritten: Vec::new(),
        };
        // As long as it takes: without brokers there is nothing else to do.
        outgoing.insist(None, Duration::ZERO, || outgoing.producer.init_transactions(WAIT))?;
        Ok(outgoing)
    }

    /// Lets the producer tell its errors, and ask for a new token before the one it has expires. To be called often.
    pub(super) fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Begins a transaction, if none is open.
    pub(super) fn begin(&mut self) {
        if self.is_open || self.trouble.is_some() {
            return;
        }
        match self.producer.begin_transaction() {
            Ok(()) => self.is_open = true,
            Err(error) => self.trouble = Some(Trouble::of(&error)),
        }
    }

    /// Whether anything waits to be committed.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// What went wrong since the last commit.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        self.trouble.clone().map_or(Ok(()), Err)
    }

    /// The number of the transaction that is open, or else of the next.
    pub(super) fn transaction(&self) -> u64 {
        self.written.number()
    }

    /// The partitions that the transaction has written to.
    pub(super) fn written(&self) -> TopicPartitionList {
        let topics = &self.shared.topics;
        let written = Topics::all().filter_map(|topic| {
            let (name, _) = topics.of(topic)?;
            Some(self.written.partitions(topic).map(move |partition| (name, partition)))
        });
        list(written.flatten())
    }

    /// Adds a message to the transaction, for the partition of that number among as many as the topic has. Waits while
    /// the producer has too many.
    pub(super) fn send(&mut self, topic: Topic, partition: u32, key: Option<&[u8]>, value: Option<&[u8]>) -> Sent {
        let shared = Arc::clone(&self.shared);
        let Some((name, count)) = shared.topics.of(topic) else { return Sent::Done };
        let partition = partition % count.max(1);
        let is_first = self.written.enter(topic, partition);
        let header = is_first.then(|| Name::to_header(&self.owner, self.transaction()));
        let sent = self.produce(name, i32::try_from(partition).unwrap_or(i32::MAX), key, value, header.as_deref());
        if is_first && sent == Sent::TooLarge {
            self.written.withdraw(topic, partition);
        }
        sent
    }

    fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        transaction: Option<&str>,
    ) -> Sent {
        self.begin();
        if self.trouble.is_some() {
            return Sent::Done;
        }
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        record.key = key;
        record.payload = value;
        record.headers = transaction.map(|name| {
            OwnedHeaders::new_with_capacity(1).insert(Header { key: transaction::HEADER, value: Some(name) })
        });
        let mut waits_since = None;
        loop {
            let (error, unsent) = match self.producer.send(record) {
                Ok(()) => return Sent::Done,
                Err(unsent) => unsent,
            };
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => {
                    self.producer.poll(Duration::from_millis(2));
                    let since: &mut Instant = waits_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > self.shared.settings.transaction_timeout {
                        let what = "brokers took nothing for as long as a transaction lasts";
                        self.trouble = Some(Trouble::restart("aborted", what));
                        return Sent::Done;
                    }
                }
                KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge) => return Sent::TooLarge,
                error => {
                    self.trouble = Some(Trouble::of(&error));
                    return Sent::Done;
                }
            }
            record = unsent;
        }
    }

    /// Commits the transaction with the offsets. An answer that doesn't come is asked for again: what it will be
    /// is not for us to guess.
    pub(super) fn commit(
        &mut self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), Trouble> {
        self.check()?;
        let patience = self.shared.settings.transaction_timeout;
        let limit = Some(Instant::now() + 2 * patience);
        let producer = &self.producer;
        // Offsets go last: who sees them accepted knows that all else is in the log.
        self.insist(limit, patience, || self.flush())?;
        self.insist(limit, patience, || producer.send_offsets_to_transaction(offsets, group, WAIT))?;
        self.insist(None, patience, || producer.commit_transaction(WAIT))?;
        self.end();
        self.count();
        Ok(())
    }

    /// Gives up the transaction, if one is open, so that readers need not wait for its end.
    pub(super) fn abort(&mut self) {
        if self.is_open {
            // Whoever comes next with this name aborts it otherwise.
            let _ = self.producer.abort_transaction(WAIT);
            self.end();
        }
    }

    fn end(&mut self) {
        self.is_open = false;
        self.written.end();
    }

    /// Ends what this producer, or the one before of its name, may have open in some partitions, whatever its
    /// coordinator takes it for: by a transaction of a message without a value in each.
    pub(super) fn end_in(
        &mut self,
        partitions: &TopicPartitionList,
        ending: &Ending,
        reader: &Reader,
    ) -> Result<(), Trouble> {
        let shared = Arc::clone(&self.shared);
        for of in partitions.elements() {
            // A topic that is compacted takes none without a key; records have none.
            let key = (of.topic() == shared.topics.state).then_some(&b"end"[..]);
            self.produce(of.topic(), of.partition(), key, None, None);
        }
        let group = reader.committed.group_metadata().ok_or_else(|| Trouble::Fatal("there is no group".to_owned()))?;
        if let Ending::Commit(offsets) = ending {
            return self.commit(offsets, &group);
        }
        self.check()?;
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(&shared.topics.packets, 0, Offset::Offset(0))
            .map_err(|error| Trouble::restart("aborted", error))?;
        let patience = shared.settings.transaction_timeout;
        let limit = Some(Instant::now() + 2 * patience);
        let producer = &self.producer;
        self.insist(limit, patience, || self.flush())?;
        self.insist(limit, patience, || producer.send_offsets_to_transaction(&offsets, &group, WAIT))?;
        self.insist(limit, patience, || producer.abort_transaction(WAIT))?;
        self.end();
        Ok(())
    }

    /// Waits until everything is delivered or given up. rdkafka's own sleeps for 100 ms between two looks.
    fn flush(&self) -> KafkaResult<()> {
        let until = Instant::now() + WAIT;
        loop {
            let done = self.producer.flush(Duration::ZERO);
            if done.is_ok() || Instant::now() > until {
                return done;
            }
            self.producer.poll(FLUSHED_AGAIN);
        }
    }

    /// Tries again as long as that makes sense: until the limit, and once the process is to stop not much longer.
    fn insist(
        &self,
        limit: Option<Instant>,
        patience: Duration,
        attempt: impl Fn() -> KafkaResult<()>,
    ) -> Result<(), Trouble> {
        let mut asked_to_stop = None;
        loop {
            self.serve();
            let error = match attempt() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let is_retriable = match &error {
                KafkaError::Transaction(error) => error.is_retriable() && !error.txn_requires_abort(),
                KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
                _ => false,
            };
            if self.producer.context().0.is_stranded() {
                // What a commit has come to is found out in the next life.
                return Err(stranded("aborted"));
            }
            if !is_retriable || limit.is_some_and(|limit| Instant::now() > limit) {
                return Err(Trouble::of(&error));
            }
            if self.shared.is_stopped() {
                let since = *asked_to_stop.get_or_insert_with(Instant::now);
                if since.elapsed() >= patience {
                    return Err(Trouble::Stopped);
                }
            }
        }
    }

    /// Adds a record, in the form in which it is to be read, to the transaction.
    fn add_record(&mut self, partition: u32, record_type: RecordType, bytes: &[u8]) -> Result<(), TooLarge> {
        if self.shared.topics.of(Topic::Records(record_type)).is_none() {
            return Ok(());
        }
        self.until_poll -= 1;
        if self.until_poll == 0 {
            self.until_poll = RECORDS_BETWEEN_POLLS;
            self.serve();
        }
        if self.send(Topic::Records(record_type), partition, None, Some(bytes)) == Sent::TooLarge {
            counter!("weir_processor_oversize_records_total", "type" => record_type.name()).increment(1);
            return Err(TooLarge);
        }
        if let Some(count) = self.records.get_mut(record_type.index()) {
            *count += 1;
        }
        if record_type == RecordType::Weird {
            self.count_weird(bytes);
        }
        Ok(())
    }

    fn count(&mut self) {
        counter!("weir_processor_transactions_total").increment(1);
        counter!("weir_processor_dead_letters_total").increment(std::mem::take(&mut self.letters));
        for (info, count) in RecordType::all().iter().zip(&mut self.records) {
            if *count > 0 {
                counter!("weir_processor_records_total", "type" => info.name).increment(std::mem::take(count));
            }
        }
        for (reason, count) in self.weirds.drain(..) {
            let name = reason.as_str_name().trim_start_matches("WEIRD_REASON_").to_ascii_lowercase();
            counter!("weir_processor_weirds_total", "reason" => name).increment(count);
        }
    }

    fn count_weird(&mut self, bytes: &[u8]) {
        let Ok(weird) = Weird::decode(bytes) else { return };
        let reason = weird.reason();
        match self.weirds.iter_mut().find(|(seen, _)| *seen == reason) {
            Some((_, count)) => *count += 1,
            None => self.weirds.push((reason, 1)),
        }
    }
}

/// How a transaction that hangs is to end.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    /// As if it had never been.
    Abort,
    /// As it did in other partitions, with these offsets of the group.
    Commit(TopicPartitionList),
}

/// What became of a message for a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is in it, or the transaction has failed.
    Done,
    /// No topic takes it.
    TooLarge,
}

impl Outbox for Outgoing {
    fn record(&mut self, partition: u32, record_type: RecordType, bytes: &[u8]) -> Result<(), TooLarge> {
        #[cfg(test)]
        super::poison_tests::panic_at(bytes);
        let Some(rewriter) = &mut self.rewriter else { return self.add_record(partition, record_type, bytes) };
        let mut rewritten = std::mem::take(&mut self.rewritten);
        rewritten.clear();
        rewriter.push(record_type, bytes, &mut rewritten);
        let added = self.add_record(partition, record_type, &rewritten);
        self.rewritten = rewritten;
        added
    }

    fn dead_letter(&mut self, mut letter: DeadLetter) {
        if self.rewriter.is_some() {
            // A packet as it was captured, or a record before it was rewritten.
            letter.payload.clear();
        }
        tracing::warn!(
            topic = letter.topic,
            partition = letter.partition,
            offset = letter.offset,
            packet = letter.packet_number,
            "put aside in the dead letters: {}",
            letter.reason
        );
        self.letters += 1;
        self.send(Topic::DeadLetters, letter.partition, None, Some(&letter.encode_to_vec()));
    }

    fn shared_name(&mut self, sensor: &str) {
        counter!("weir_processor_shared_sensor_names_total").increment(1);
        if self.told_shared_name.is_none_or(|told| told.elapsed() > REPEAT) {
            self.told_shared_name = Some(Instant::now());
            tracing::error!(sensor, "two agents send at once under this sensor's name: give each one of its own");
        }
    }
}
