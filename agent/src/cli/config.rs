//! The agent's settings, wherever they are said. A missing one is left to the next source, and at last to its default.

use crate::pace::Speed;
use crate::spool::{Limits, WhenFull};
use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use weir_agent::LiveOptions;
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
    /// Settings of `weir-agent capture`.
    #[serde(default)]
    pub capture: CaptureConfig,
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

/// What `weir-agent capture` can be told.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaptureConfig {
    /// Capture on this interface; given more than once, or with commas between, on all of them. `weir-agent interfaces`
    /// lists them; `any` is all.
    #[arg(
        short,
        long,
        value_name = "NAME",
        env = "WEIR_INTERFACE",
        hide_env = true,
        help_heading = "Capture",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Vec<String>>,

    /// Name of the sensor in the records [default: the host's name].
    #[arg(long, value_name = "NAME", env = "WEIR_SENSOR", hide_env = true, help_heading = "Capture")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,

    /// Capture only packets that match this filter (see pcap-filter(7)).
    #[arg(short, long, value_name = "FILTER", env = "WEIR_BPF", hide_env = true, help_heading = "Capture")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpf: Option<String>,

    /// Bytes of each packet that are captured, 64 to 262144 [default: 262144].
    #[arg(long, value_name = "N", env = "WEIR_SNAP_LENGTH", hide_env = true, help_heading = "Capture")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snap_length: Option<u32>,

    /// Capture the packets of one in N pairs of addresses, so that conversations are whole or not there at all
    /// [default: 1].
    #[arg(long, value_name = "N", env = "WEIR_SAMPLE", hide_env = true, help_heading = "Capture")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<NonZeroU32>,

    /// MiB of the kernel's ring, for each ring, 1 to 2047: what comes while the agent is held up waits there [default: 64].
    #[arg(long, value_name = "N", env = "WEIR_RING_MIB", hide_env = true, help_heading = "Capture")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_mib: Option<u32>,

    /// Rings for each interface, with a thread each, 1 to 64: more than one for links that one core can't follow
    /// [default: 1].
    #[arg(long, value_name = "N", env = "WEIR_RINGS", hide_env = true, help_heading = "Capture")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rings: Option<NonZeroU32>,

    /// Capture packets to and from this host only [default: false].
    #[arg(long, env = "WEIR_NOT_PROMISCUOUS", hide_env = true, help_heading = "Capture", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_promiscuous: Option<bool>,

    /// Capture also on an interface by which the agent reaches Kafka: its own connections are left out [default: false].
    #[arg(long, env = "WEIR_ALLOW_EGRESS", hide_env = true, help_heading = "Capture", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_egress: Option<bool>,
}

impl CaptureConfig {
    /// What is so where nobody says otherwise.
    pub fn defaults() -> Self {
        Self {
            snap_length: Some(262_144),
            sample: Some(NonZeroU32::MIN),
            ring_mib: Some(64),
            rings: Some(NonZeroU32::MIN),
            not_promiscuous: Some(false),
            allow_egress: Some(false),
            ..Self::default()
        }
    }

    /// The sensor's name.
    pub fn sensor(&self) -> String {
        let of_host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        self.sensor.clone().unwrap_or_else(of_host)
    }

    /// The interfaces to capture on.
    ///
    /// # Errors
    /// There are none.
    pub fn interfaces(&self) -> anyhow::Result<Vec<String>> {
        let names = self.interface.clone().unwrap_or_default();
        if names.is_empty() {
            bail!("interface is missing: name one or more to capture on; `weir-agent interfaces` lists them");
        }
        Ok(names)
    }

    /// How packets are captured.
    ///
    /// # Errors
    /// What a number may be.
    pub fn options(&self) -> anyhow::Result<LiveOptions> {
        let snap_length = within("snap-length", self.snap_length.unwrap_or(262_144), 64..=262_144)?;
        let ring_mib = within("ring-mib", self.ring_mib.unwrap_or(64), 1..=2047)?;
        let rings = self.rings.unwrap_or(NonZeroU32::MIN);
        within("rings", rings.get(), 1..=64)?;
        Ok(LiveOptions {
            snap_length,
            promiscuous: !self.not_promiscuous.unwrap_or_default(),
            filter: self.bpf.clone(),
            ring_bytes: ring_mib << 20,
            rings,
            one_in: self.sample.unwrap_or(NonZeroU32::MIN),
        })
    }
}

fn within(key: &str, value: u32, range: RangeInclusive<u32>) -> anyhow::Result<u32> {
    if !range.contains(&value) {
        bail!("{key} is {value}, but must be {} to {}", range.start(), range.end());
    }
    Ok(value)
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
