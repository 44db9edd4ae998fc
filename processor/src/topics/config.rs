//! Settings of `weir topics`.

use anyhow::bail;
use serde::{Deserialize, Serialize};
use weir_service::config::check_ranges;

/// What the topics should be like.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TopicsConfig {
    /// Partitions of the topics of packets and state, and of record types that packets cause many of; 1 to 4096.
    /// It can't be changed later [default: 16].
    #[arg(long, value_name = "N", env = "WEIR_TOPICS_PARTITIONS", hide_env = true, help_heading = "Topics")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,

    /// Brokers that keep a copy of each message [default: 3].
    #[arg(long, value_name = "N", env = "WEIR_TOPICS_REPLICATION", hide_env = true, help_heading = "Topics")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication: Option<u32>,

    /// Brokers that must have a message before it counts as written [default: one less than replication, at
    /// least 1].
    #[arg(long, value_name = "N", env = "WEIR_TOPICS_MIN_INSYNC", hide_env = true, help_heading = "Topics")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_insync: Option<u32>,

    /// Hours that packets are kept: as long as processors may stand still [default: 24].
    #[arg(long, value_name = "HOURS", env = "WEIR_TOPICS_PACKET_HOURS", hide_env = true, help_heading = "Topics")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_hours: Option<u32>,

    /// Hours that records are kept: as long as sinks and other readers may stand still [default: 168].
    #[arg(long, value_name = "HOURS", env = "WEIR_TOPICS_RECORD_HOURS", hide_env = true, help_heading = "Topics")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_hours: Option<u32>,

    /// Record types that have a topic, as for `weir decode` [default: default].
    #[arg(
        short,
        long,
        value_name = "SELECTION",
        env = "WEIR_RECORDS",
        hide_env = true,
        help_heading = "Topics",
        allow_hyphen_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,

    /// A setting of Kafka's for one topic, as in dns:retention.ms=3600000; can be given several times.
    #[arg(long, value_name = "TOPIC:KEY=VALUE", help_heading = "Topics")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Vec<String>>,
}

impl TopicsConfig {
    /// What counts where nothing is said.
    pub fn defaults() -> Self {
        Self {
            partitions: Some(16),
            replication: Some(3),
            min_insync: None,
            packet_hours: Some(24),
            record_hours: Some(168),
            records: Some("default".into()),
            set: None,
        }
    }

    /// Brokers that must have a message before it counts as written.
    pub fn min_insync(&self) -> u32 {
        self.min_insync.unwrap_or(self.replication.unwrap_or(1).saturating_sub(1).max(1))
    }

    /// Checks what can be told from the settings alone.
    ///
    /// # Errors
    ///
    /// Names the setting and what it may be.
    pub fn check(&self) -> anyhow::Result<()> {
        check_ranges(&[
            ("partitions", self.partitions, 1, 4096),
            ("replication", self.replication, 1, 100),
            ("min-insync", self.min_insync, 1, 100),
            ("packet-hours", self.packet_hours, 1, 24 * 3650),
            ("record-hours", self.record_hours, 1, 24 * 3650),
        ])?;
        if self.replication.is_some_and(|replication| self.min_insync() > replication) {
            bail!("min-insync is {}, but there are only as many copies as replication says", self.min_insync());
        }
        Ok(())
    }
}
