//! The agent's settings, wherever they are said. A missing one is left to the next source, and at last to its default.

use crate::pace::Speed;
use crate::spool::{Limits, WhenFull};
use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use weir_service::http::HttpConfig;
use weir_service::kafka::KafkaConfig;

/// A configuration file: what all commands share, and a table for each.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct File {
    /// How to reach Kafka.
    #[serde(default)]
    pub kafka: KafkaConfig,
    /// Where metrics and health are told.
    #[serde(default)]
    pub metrics: HttpConfig,
    /// Settings of `weir-agent replay`.
    #[serde(default)]
    pub replay: ReplayConfig,
    /// The spool of `weir-agent capture`.
    #[serde(default)]
    pub spool: SpoolConfig,
}

/// What `weir-agent replay` can be told.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReplayConfig {
    /// Name of the sensor in the records [default: local].
    #[arg(long, value_name = "NAME", env = "WEIR_SENSOR", hide_env = true, help_heading = "Replay")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,

    /// Merge all files by time into one capture, instead of taking each for a capture of its own [default: false].
    #[arg(short, long, env = "WEIR_MERGE", hide_env = true, help_heading = "Replay", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<bool>,

    /// How fast: `full`, `original`, or a number of times faster than that, such as 10x [default: full].
    #[arg(short, long, value_name = "SPEED", env = "WEIR_SPEED", hide_env = true, help_heading = "Replay")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,

    /// Begin again at the end, until stopped [default: false].
    #[arg(long = "loop", env = "WEIR_LOOP", hide_env = true, help_heading = "Replay", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(rename = "loop", skip_serializing_if = "Option::is_none")]
    pub repeat: Option<bool>,

    /// Move the times of packets, so that each capture begins now [default: false].
    #[arg(long, env = "WEIR_NOW", hide_env = true, help_heading = "Replay", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
}

impl ReplayConfig {
    /// What is so where nobody says otherwise.
    pub fn defaults() -> Self {
        Self {
            sensor: Some("local".into()),
            merge: Some(false),
            speed: Some("full".into()),
            repeat: Some(false),
            now: Some(false),
        }
    }

    /// How fast the replay goes.
    ///
    /// # Errors
    /// What a speed may be.
    pub fn speed(&self) -> anyhow::Result<Speed> {
        self.speed.as_deref().unwrap_or("full").parse().map_err(anyhow::Error::msg)
    }
}

/// Where packets are kept while Kafka does not take them.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SpoolConfig {
    /// Folder of the sensor's own for packets that Kafka does not take at once, and for what its next run must know of
    /// this one [default: none, such packets are dropped].
    #[arg(long, value_name = "DIR", env = "WEIR_SPOOL_FOLDER", hide_env = true, help_heading = "Spool")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_folder: Option<PathBuf>,

    /// Bytes that the spool may take, from 16777216 [default: 4294967296].
    #[arg(long, value_name = "N", env = "WEIR_SPOOL_BYTES", hide_env = true, help_heading = "Spool")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_bytes: Option<u64>,

    /// What gives way when it is full: drop-newest or drop-oldest [default: drop-newest].
    #[arg(long, value_name = "WHAT", env = "WEIR_SPOOL_FULL", hide_env = true, help_heading = "Spool")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_full: Option<SpoolFull>,
}

/// What gives way when the spool is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpoolFull {
    /// The packets that come.
    DropNewest,
    /// Those that have been there for longest.
    DropOldest,
}

/// The least size of a spool: eight segments of two batches.
const LEAST_SPOOL_BYTES: u64 = 16 << 20;

impl SpoolConfig {
    /// What is so where nobody says otherwise.
    pub fn defaults() -> Self {
        Self { spool_folder: None, spool_bytes: Some(4 << 30), spool_full: Some(SpoolFull::DropNewest) }
    }

    /// How large the spool may be.
    ///
    /// # Errors
    /// What its size may be.
    pub fn limits(&self) -> anyhow::Result<Limits> {
        let max_bytes = self.spool_bytes.unwrap_or(4 << 30);
        if max_bytes < LEAST_SPOOL_BYTES {
            bail!("spool-bytes is {max_bytes}, but must be at least {LEAST_SPOOL_BYTES}");
        }
        let when_full = match self.spool_full {
            Some(SpoolFull::DropOldest) => WhenFull::DropOldest,
            _ => WhenFull::DropNewest,
        };
        Ok(Limits { max_bytes, when_full })
    }
}

/// Checks a sensor's name.
///
/// # Errors
/// What it may be.
pub fn check_sensor(sensor: &str) -> anyhow::Result<()> {
    if sensor.is_empty() || sensor.len() > 255 || sensor.chars().any(char::is_control) {
        bail!("sensor is {sensor:?}, but must be a name of 1 to 255 bytes without control characters");
    }
    Ok(())
}
