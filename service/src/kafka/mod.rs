//! How to reach Kafka, and to hear why it can't be reached.

mod admin;
mod certificate;
mod reporter;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::{ClientConfig, client::OAuthToken, config::RDKafkaLogLevel, consumer::BaseConsumer};
use serde::{Deserialize, Serialize};
use weir_contract::topics;

pub use certificate::EXPIRY as CERTIFICATE_EXPIRY;
pub use reporter::{ERROR_KINDS, Reporter, STATISTICS_MS, error_kind, why};

/// The variable of the environment that may hold the password instead of a file.
pub const PASSWORD_VARIABLE: &str = "WEIR_KAFKA_SASL_PASSWORD";

/// How long a token lasts that doesn't say so itself.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// How to reach Kafka.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers to begin with, as host:port with commas between.
    #[arg(long, value_name = "HOST:PORT,…", env = "WEIR_KAFKA_BROKERS", hide_env = true, help_heading = "Kafka")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brokers: Option<String>,

    /// What the names of all topics begin with [default: weir].
    #[arg(long, value_name = "NAME", env = "WEIR_KAFKA_TOPIC_PREFIX", hide_env = true, help_heading = "Kafka")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_prefix: Option<String>,

    /// Talk TLS with the brokers [default: false].
    #[arg(long, env = "WEIR_KAFKA_TLS", hide_env = true, help_heading = "Kafka", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,

    /// Certificates (PEM) of those who may vouch for the brokers [default: the system's].
    #[arg(long, value_name = "FILE", env = "WEIR_KAFKA_TLS_CA", hide_env = true, help_heading = "Kafka")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,

    /// Own certificate (PEM), for brokers that ask for one.
    #[arg(long, value_name = "FILE", env = "WEIR_KAFKA_TLS_CERTIFICATE", hide_env = true, help_heading = "Kafka")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,

    /// Key (PEM) of the own certificate.
    #[arg(long, value_name = "FILE", env = "WEIR_KAFKA_TLS_KEY", hide_env = true, help_heading = "Kafka")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,

    /// File with the password of the key.
    #[arg(
        long,
        value_name = "FILE",
        env = "WEIR_KAFKA_TLS_KEY_PASSWORD_FILE",
        hide_env = true,
        help_heading = "Kafka"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key_password_file: Option<PathBuf>,

    /// How to log in: plain, scram-sha-256, scram-sha-512 or oauthbearer [default: not at all].
    #[arg(long, value_name = "MECHANISM", env = "WEIR_KAFKA_SASL_MECHANISM", hide_env = true, help_heading = "Kafka")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl_mechanism: Option<SaslMechanism>,

    /// Name to log in with.
    #[arg(long, value_name = "NAME", env = "WEIR_KAFKA_SASL_USERNAME", hide_env = true, help_heading = "Kafka")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl_username: Option<String>,

    /// File with the password to log in with; WEIR_KAFKA_SASL_PASSWORD may hold it instead.
    #[arg(long, value_name = "FILE", env = "WEIR_KAFKA_SASL_PASSWORD_FILE", hide_env = true, help_heading = "Kafka")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl_password_file: Option<PathBuf>,

    /// File with the token of oauthbearer; it is read again whenever a new token is due.
    #[arg(long, value_name = "FILE", env = "WEIR_KAFKA_SASL_TOKEN_FILE", hide_env = true, help_heading = "Kafka")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl_token_file: Option<PathBuf>,
}

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[value(rename_all = "kebab-case")]
pub enum SaslMechanism {
    /// Name and password as they are: only over TLS.
    Plain,
    /// RFC 7677.
    #[serde(rename = "scram-sha-256")]
    #[value(name = "scram-sha-256")]
    ScramSha256,
    /// RFC 7677, with SHA-512.
    #[serde(rename = "scram-sha-512")]
    #[value(name = "scram-sha-512")]
    ScramSha512,
    /// RFC 7628.
    Oauthbearer,
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Oauthbearer => "OAUTHBEARER",
        })
    }
}

impl KafkaConfig {
    /// What the names of all topics begin with.
    pub fn topic_prefix(&self) -> &str {
        self.topic_prefix.as_deref().unwrap_or(topics::DEFAULT_PREFIX)
    }

    /// Checks what can be told without a connection; files must be there.
    ///
    /// # Errors
    ///
    /// Names the setting, and what it may be.
    pub fn check(&self) -> anyhow::Result<()> {
        let brokers = self.brokers.as_deref().unwrap_or_default();
        if brokers.trim().is_empty() {
            bail!("brokers is empty: name at least one, as in --brokers localhost:9092 or WEIR_KAFKA_BROKERS");
        }
        for broker in brokers.split(',') {
            let port = broker.trim().rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(1..))) {
                bail!("brokers has {:?}, but each must be host:port", broker.trim());
            }
        }
        topics::check_prefix(self.topic_prefix()).map_err(anyhow::Error::msg)?;
        self.check_tls()?;
        self.check_sasl()
    }

    fn check_tls(&self) -> anyhow::Result<()> {
        let files = [
            ("tls-ca", &self.tls_ca),
            ("tls-certificate", &self.tls_certificate),
            ("tls-key", &self.tls_key),
            ("tls-key-password-file", &self.tls_key_password_file),
        ];
        for (name, path) in files {
            let Some(path) = path else { continue };
            if self.tls != Some(true) {
                bail!("{name} is set, but tls is not: set both or none");
            }
            fs::File::open(path).with_context(|| format!("{name}: {} can't be read", path.display()))?;
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            bail!("tls-certificate and tls-key belong together: set both or none");
        }
        Ok(())
    }

    fn check_sasl(&self) -> anyhow::Result<()> {
        let Some(mechanism) = self.sasl_mechanism else {
            if self.sasl_username.is_some() || self.sasl_password_file.is_some() || self.sasl_token_file.is_some() {
                bail!("sasl-mechanism is missing: say how to log in");
            }
            return Ok(());
        };
        if mechanism == SaslMechanism::Oauthbearer {
            let path = self.sasl_token_file.as_deref().context("sasl-token-file is missing: oauthbearer needs it")?;
            read_token(path, self.sasl_username.as_deref())?;
            return Ok(());
        }
        if mechanism == SaslMechanism::Plain && self.tls != Some(true) {
            bail!("sasl-mechanism is plain, which tells the password to all on the way: set tls");
        }
        if self.sasl_username.as_deref().unwrap_or_default().is_empty() {
            bail!("sasl-username is missing: {mechanism} needs it");
        }
        self.password()?;
        Ok(())
    }

    fn password(&self) -> anyhow::Result<String> {
        match (&self.sasl_password_file, std::env::var(PASSWORD_VARIABLE)) {
            (Some(path), _) => read_secret("sasl-password-file", path),
            (None, Ok(password)) => Ok(password),
            (None, Err(_)) => bail!("sasl-password-file is missing: name the file, or set {PASSWORD_VARIABLE}"),
        }
    }

    /// What all clients of a program begin with; `role` is how brokers' logs and quotas know them.
    ///
    /// # Errors
    ///
    /// A file with a secret that can't be read.
    pub fn client(&self, role: &str) -> anyhow::Result<ClientConfig> {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.brokers.as_deref().unwrap_or_default());
        client.set("client.id", format!("weir-{role}"));
        client.set("topic.metadata.refresh.interval.ms", "30000");
        client.set("socket.keepalive.enable", "true");
        client.set_log_level(RDKafkaLogLevel::Warning);
        let tls = self.tls == Some(true);
        let protocol = match (self.sasl_mechanism.is_some(), tls) {
            (false, false) => "plaintext",
            (false, true) => "ssl",
            (true, false) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        let files = [
            ("ssl.ca.location", &self.tls_ca),
            ("ssl.certificate.location", &self.tls_certificate),
            ("ssl.key.location", &self.tls_key),
        ];
        for (key, path) in files {
            if let Some(path) = path {
                client.set(key, path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))?);
            }
        }
        if cfg!(feature = "static") && tls && self.tls_ca.is_none() {
            // An OpenSSL that is part of the program does not know where the system has its certificates.
            client.set("ssl.ca.location", "probe");
        }
        for (setting, path) in [("tls-ca", &self.tls_ca), ("tls-certificate", &self.tls_certificate)] {
            if let Some(path) = path {
                certificate::tell_expiry(setting, path);
            }
        }
        if let Some(path) = &self.tls_key_password_file {
            client.set("ssl.key.password", read_secret("tls-key-password-file", path)?);
        }
        if let Some(mechanism) = self.sasl_mechanism {
            client.set("sasl.mechanisms", mechanism.to_string());
            if mechanism != SaslMechanism::Oauthbearer {
                client.set("sasl.username", self.sasl_username.as_deref().unwrap_or_default());
                client.set("sasl.password", self.password()?);
            }
        }
        Ok(client)
    }

    /// A consumer of no group: it looks on, and commits nothing. It has asked for its token, if it needs one.
    ///
    /// # Errors
    ///
    /// A file with a secret that can't be read, or settings that no client can be made with.
    pub fn onlooker(&self, role: &str) -> anyhow::Result<BaseConsumer<Reporter>> {
        let mut client = self.client(role)?;
        // The client can't do without; whether it may be joined is nobody's concern.
        client.set("group.id", format!("weir-{role}"));
        client.set("enable.auto.commit", "false");
        client.set("enable.partition.eof", "true");
        client.set("isolation.level", "read_committed");
        let reporter = Reporter::without_group(self);
        let consumer: BaseConsumer<Reporter> = client.create_with_context(reporter)?;
        let _ = consumer.poll(Duration::ZERO);
        Ok(consumer)
    }
}

/// The first line of a file.
fn read_secret(setting: &str, path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("{setting}: {} can't be read", path.display()))?;
    let secret = text.lines().next().unwrap_or_default().to_owned();
    if secret.is_empty() {
        bail!("{setting}: {} is empty", path.display());
    }
    Ok(secret)
}

/// The token in a file, with the name and the life it has by its own claims `sub` and `exp` (RFC 7519 §4.1).
fn read_token(path: &Path, username: Option<&str>) -> anyhow::Result<OAuthToken> {
    #[derive(Deserialize, Default)]
    struct Claims {
        sub: Option<String>,
        exp: Option<f64>,
    }
    let token = read_secret("sasl-token-file", path)?;
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
    let claims: Claims = claims.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let life =
        claims.exp.filter(|seconds| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let lifetime = life.unwrap_or(now + TOKEN_LIFE);
    if lifetime <= now {
        bail!("sasl-token-file: the token in {} has expired: whoever writes it should write a new one", path.display());
    }
    Ok(OAuthToken {
        token,
        principal_name: username.map(str::to_owned).or(claims.sub).unwrap_or_default(),
        lifetime_ms: i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn config() -> KafkaConfig {
        KafkaConfig { brokers: Some("kafka-0:9092, [::1]:9093".into()), ..KafkaConfig::default() }
    }

    fn refusal(config: &KafkaConfig) -> String {
        format!("{:#}", config.check().unwrap_err())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        assert!(config().check().is_ok());
        assert!(refusal(&KafkaConfig::default()).contains("brokers is empty"));
        assert!(refusal(&KafkaConfig { brokers: Some("kafka".into()), ..config() }).contains("\"kafka\""));
        assert!(refusal(&KafkaConfig { brokers: Some("kafka:0".into()), ..config() }).contains("host:port"));
        assert!(refusal(&KafkaConfig { topic_prefix: Some("a.b".into()), ..config() }).contains("topic prefix"));
        let ca = KafkaConfig { tls_ca: Some("/nowhere".into()), ..config() };
        assert!(refusal(&ca).contains("tls is not"));
        assert!(refusal(&KafkaConfig { tls: Some(true), ..ca }).contains("tls-ca: /nowhere can't be read"));
        let plain = KafkaConfig { sasl_mechanism: Some(SaslMechanism::Plain), ..config() };
        assert!(refusal(&plain).contains("set tls"));
        let scram = KafkaConfig { sasl_mechanism: Some(SaslMechanism::ScramSha512), ..config() };
        assert!(refusal(&scram).contains("sasl-username is missing"));
        let no_password = KafkaConfig { sasl_username: Some("agent".into()), ..scram };
        assert!(refusal(&no_password).contains("sasl-password-file is missing"));
        assert!(refusal(&KafkaConfig { sasl_username: Some("agent".into()), ..config() }).contains("sasl-mechanism"));
    }

    #[test]
    fn secrets_come_from_files_and_are_not_shown() {
        let password = file("secret\n");
        let scram = KafkaConfig {
            tls: Some(true),
            sasl_mechanism: Some(SaslMechanism::ScramSha256),
            sasl_username: Some("agent".into()),
            sasl_password_file: Some(password.path().to_owned()),
            ..config()
        };
        scram.check().unwrap();
        let client = scram.client("agent").unwrap();
        assert_eq!(client.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(client.get("sasl.password"), Some("secret"));
        assert_eq!(client.get("sasl.mechanisms"), Some("SCRAM-SHA-256"));
        assert!(!format!("{scram:?}").contains("secret") && !toml::to_string(&scram).unwrap().contains("secret\""));
    }

    #[test]
    fn tokens_tell_their_name_and_life_or_get_five_minutes() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"system:weir","exp":4000000000}"#);
        let token = read_token(file(&format!("head.{claims}.tail\n")).path(), None).unwrap();
        assert_eq!((token.principal_name.as_str(), token.lifetime_ms), ("system:weir", 4_000_000_000_000));
        let opaque = read_token(file("opaque").path(), Some("weir")).unwrap();
        assert_eq!(opaque.principal_name, "weir");
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        assert!((200_000..=300_000).contains(&(opaque.lifetime_ms - now)));
        let expired = URL_SAFE_NO_PAD.encode(r#"{"exp":1}"#);
        let error = read_token(file(&format!("head.{expired}.tail")).path(), None).err().unwrap();
        assert!(error.to_string().contains("has expired"), "{error}");
        let oauth = KafkaConfig { sasl_mechanism: Some(SaslMechanism::Oauthbearer), ..config() };
        assert!(refusal(&oauth).contains("sasl-token-file is missing"));
    }

    #[test]
    fn mechanisms_have_one_name_everywhere() {
        let text = "brokers = \"a:1\"\nsasl-mechanism = \"scram-sha-512\"\n";
        let config: KafkaConfig = crate::config::parse(text).unwrap();
        assert_eq!(config.sasl_mechanism, Some(SaslMechanism::ScramSha512));
        assert_eq!(toml::to_string(&config).unwrap(), text);
    }
}
