//! A worker: a thread with a consumer and a producer of its own, that shares nothing with the others.
//!
//! Whenever anything is in doubt, an aborted transaction, a lost session, an engine that panicked, it drops all it
//! has and begins anew. So there is one way to recover, and it is the one that a crash takes too.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use metrics::counter;
use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use weir_service::kafka::STATISTICS_MS;

use super::{
    Shared, Trouble,
    listener::Listener,
    outgoing::Outgoing,
    restore::Reader,
    work::{Lessons, Work},
};

/// The longest a poll waits, so that the stop flag is seen.
const POLL: Duration = Duration::from_millis(100);

/// Pauses before a worker begins anew, the first and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A worker that lived so long begins anew without a long pause.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// Works until the process is to stop.
pub(super) fn run(shared: &Arc<Shared>, number: u32) {
    let mut lessons = Lessons::default();
    let mut pause = PAUSE.0;
    loop {
        let begun = Instant::now();
        match live(shared, number, &mut lessons) {
            Ok(()) | Err(Trouble::Stopped) => return,
            Err(Trouble::Fatal(why)) => {
                tracing::error!(worker = number, "{why}");
                return shared.fail(why);
            }
            Err(Trouble::Restart { why, what }) if shared.is_stopped() => {
                return tracing::warn!(worker = number, why, "stopped without a last commit: {what}");
            }
            Err(Trouble::Restart { why, what }) => {
                counter!("weir_processor_restarts_total", "why" => why).increment(1);
                shared.tell(number, Some(format!("beginning anew: {what}")));
                tracing::warn!(worker = number, why, "what was not committed is dropped, and all begins anew: {what}");
                if why == "fenced" {
                    tracing::warn!(
                        worker = number,
                        "was it paused, or is there another process with the instance name {}?",
                        shared.settings.instance
                    );
                }
            }
        }
        if begun.elapsed() > LONG_LIFE {
            pause = PAUSE.0;
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !shared.is_stopped() {
            thread::sleep(POLL.min(pause));
        }
        pause = (2 * pause).min(PAUSE.1);
    }
}

/// One life of a worker, from joining the group until it has to begin anew.
fn live(shared: &Arc<Shared>, number: u32, lessons: &mut Lessons) -> Result<(), Trouble> {
    let settings = &shared.settings;
    let name = format!("{}-{number}", settings.instance);
    // First of all: it ends what the worker of that name before had begun.
    let outgoing = Outgoing::start(shared, &name)?;
    let reader = Reader::start(shared)?;
    let work = Work::new(shared, number, outgoing, reader, std::mem::take(lessons));
    let session_ms = settings.session_timeout.as_millis();
    let mut client = shared.client.clone();
    client
        .set("group.id", &settings.group)
        .set("group.instance.id", &name)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", session_ms.to_string())
        .set("heartbeat.interval.ms", (session_ms / 4).clamp(1, 3000).to_string())
        .set("max.poll.interval.ms", session_ms.max(300_000).to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("fetch.message.max.bytes", "2000000")
        .set("fetch.queue.backoff.ms", "20")
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "32768")
        .set("statistics.interval.ms", STATISTICS_MS);
    let consumer: BaseConsumer<Listener> = client
        .create_with_context(Listener::new(shared, work))
        .map_err(|error| Trouble::Fatal(format!("a consumer can't be made: {error}")))?;
    let done = join(shared, &consumer).and_then(|()| poll(shared, &consumer));
    *lessons = consumer.context().work().close();
    done
}

/// Joins the group, once what was begun before is over.
fn join(shared: &Shared, consumer: &BaseConsumer<Listener>) -> Result<(), Trouble> {
    consumer.context().work().settle()?;
    consumer.subscribe(&[&shared.topics.packets]).map_err(|error| Trouble::restart("consumer", error))
}

/// Polls until the process is to stop.
fn poll(shared: &Shared, consumer: &BaseConsumer<Listener>) -> Result<(), Trouble> {
    loop {
        if shared.is_stopped() {
            return consumer.context().work().release();
        }
        let wait = consumer.context().work().until_commit().min(POLL);
        let message = consumer.poll(wait);
        consumer.context().check()?;
        let mut work = consumer.context().work();
        work.check()?;
        match message {
            Some(Ok(message)) => work.take(&message)?,
            Some(Err(error)) => judge(&error)?,
            None => {}
        }
        work.tick()?;
    }
}

/// What an error of the consumer means for the worker. Most pass by themselves; the log has them all.
fn judge(error: &KafkaError) -> Result<(), Trouble> {
    use RDKafkaErrorCode as Code;
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return Err(Trouble::restart("fenced", error));
    }
    match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Err(Trouble::restart("restore", error)),
        Some(Code::FencedInstanceId) => Err(Trouble::restart("fenced", error)),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            Err(Trouble::restart("consumer", error))
        }
        Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed) => Err(Trouble::Fatal(format!(
            "Kafka refused to be read: {error}; `weir topics acl` lists what a processor must be allowed"
        ))),
        _ => Ok(()),
    }
}
