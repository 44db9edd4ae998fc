//! What a client of Kafka complains of.

use std::{
    error::Error,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Statistics,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::ProducerContext,
};

use super::{KafkaConfig, read_token};

/// What errors of the client are about: the values of a metric's label.
pub const ERROR_KINDS: &[&str] = &["authentication", "authorization", "fatal", "other", "resolve", "tls", "transport"];

/// An error that repeats is logged again after so long.
const REPEAT: Duration = Duration::from_secs(30);

/// Between two looks at what a client knows, ms: `statistics.interval.ms` of those that ask [`Reporter::is_stranded`].
pub const STATISTICS_MS: &str = "10000";

/// After so many looks in a row at which it knows no broker a client is stranded.
const LOOKS: u32 = 2;

/// Tells what goes wrong with a client: to the log, in a metric, and to whoever asks why.
#[derive(Debug, Default)]
pub struct Reporter {
    token_file: Option<PathBuf>,
    username: Option<String>,
    /// That the group may not be joined is no trouble.
    has_no_group: bool,
    last: Mutex<Option<(String, Instant)>>,
    /// Looks in a row at which the client knew no broker.
    without_brokers: AtomicU32,
}

impl Reporter {
    /// For clients made by [`KafkaConfig::client`].
    pub fn new(config: &KafkaConfig) -> Self {
        Self {
            token_file: config.sasl_token_file.clone(),
            username: config.sasl_username.clone(),
            has_no_group: false,
            last: Mutex::default(),
            without_brokers: AtomicU32::new(0),
        }
    }

    /// As [`Self::new`], for a consumer that need not be allowed to join its group.
    pub(super) fn without_group(config: &KafkaConfig) -> Self {
        Self { has_no_group: true, ..Self::new(config) }
    }

    /// What the client complained of last: the reason behind a time-out.
    pub fn reason(&self) -> Option<String> {
        self.last().as_ref().map(|(reason, _)| reason.clone())
    }

    /// Whether the client can never talk to a broker again, and has to be made anew.
    ///
    /// A broker that is stopped may say at last that there are no brokers. librdkafka (2.12.1) then forgets all it knew,
    /// and is to begin again with those of its settings; but that waits for a timer that the end of the same answer
    /// stops, and once it was stopped nothing starts it again. In one of 140 runs of chaos an agent never sent a packet more.
    pub fn is_stranded(&self) -> bool {
        self.without_brokers.load(Ordering::Relaxed) >= LOOKS
    }

    /// Takes note of a client's statistics: to be called by contexts with statistics of their own.
    pub fn see(&self, statistics: &Statistics) {
        let sources: Vec<_> = statistics.brokers.values().map(|broker| broker.source.as_str()).collect();
        self.see_brokers(&sources);
    }

    /// Where the client knows its brokers from. Those that only stand for a coordinator are none.
    fn see_brokers(&self, sources: &[&str]) {
        if sources.iter().any(|source| matches!(*source, "configured" | "learned")) {
            self.without_brokers.store(0, Ordering::Relaxed);
        } else {
            self.without_brokers.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<(String, Instant)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this has not been said a moment ago.
    fn is_news(&self, reason: &str) -> bool {
        let mut last = self.last();
        if last.as_ref().is_some_and(|(before, at)| before == reason && at.elapsed() < REPEAT) {
            return false;
        }
        *last = Some((reason.to_owned(), Instant::now()));
        true
    }
}

impl ClientContext for Reporter {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Errors come with their code as well, see below.
        if !matches!(facility, "FAIL" | "ERROR") {
            tracing::warn!(facility, level = ?level, "Kafka's client: {message}");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return; // No error: all of the partition was read.
        }
        if self.has_no_group && code == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            return;
        }
        let kind = error_kind(code);
        metrics::counter!("weir_kafka_client_errors_total", "kind" => kind).increment(1);
        // That all are down adds nothing to why the last one is.
        let said = code == Some(RDKafkaErrorCode::AllBrokersDown) && self.last().is_some();
        if !said && self.is_news(reason) {
            tracing::error!(kind, code = code.map(tracing::field::debug), "Kafka: {reason}");
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.see(&statistics);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let path = self.token_file.as_deref().ok_or("sasl-token-file is missing")?;
        Ok(read_token(path, self.username.as_deref())?)
    }
}

impl ConsumerContext for Reporter {}

impl ProducerContext for Reporter {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Why a request of a consumer failed, in the words of its client, which tells them only to who polls. For
/// consumers that have nothing assigned yet: messages would be lost.
pub fn why(consumer: &BaseConsumer<Reporter>, error: &KafkaError) -> String {
    for _ in 0..16 {
        let _ = consumer.poll(Duration::ZERO);
    }
    consumer.context().reason().unwrap_or_else(|| error.to_string())
}

/// What an error is about: one of [`ERROR_KINDS`].
pub fn error_kind(code: Option<RDKafkaErrorCode>) -> &'static str {
    use RDKafkaErrorCode as Code;
    match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism) => {
            "authentication"
        }
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed,
        ) => "authorization",
        Some(Code::Fatal) => "fatal",
        Some(Code::Resolve) => "resolve",
        Some(Code::SSL) => "tls",
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::RequestTimedOut) => "transport",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_knows_no_broker_for_long_is_stranded() {
        let reporter = Reporter::new(&KafkaConfig::default());
        for (sources, is_stranded) in [
            (vec!["configured"], false),
            (vec!["logical"], false),
            (vec!["logical", "learned"], false),
            (vec![], false),
            (vec!["logical"], true),
            (vec!["learned"], false),
        ] {
            reporter.see_brokers(&sources);
            assert_eq!(reporter.is_stranded(), is_stranded, "{sources:?}");
        }
    }

    #[test]
    fn an_error_that_repeats_is_told_once() {
        let reporter = Reporter::new(&KafkaConfig::default());
        assert!(reporter.is_news("refused") && !reporter.is_news("refused") && reporter.is_news("wrong password"));
        assert_eq!(reporter.reason().as_deref(), Some("wrong password"));
    }
}
