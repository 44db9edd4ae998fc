//! What `weir processor` can be told.

use anyhow::bail;
use serde::{Deserialize, Serialize};
use weir_service::config::check_ranges;

/// What `weir processor` can be told, wherever it is said.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProcessorConfig {
    /// Consumer group: all processors of a topic prefix are in one [default: the prefix and -processor].
    #[arg(long, value_name = "NAME", env = "WEIR_GROUP", hide_env = true, help_heading = "Processing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,

    /// Name of this process in the group, the same whenever it is started and nobody else's [default: the
    /// host's name].
    #[arg(long, value_name = "NAME", env = "WEIR_INSTANCE", hide_env = true, help_heading = "Processing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,

    /// Threads, each with partitions of its own, 1 to 1024 [default: 1].
    #[arg(short, long, value_name = "N", env = "WEIR_WORKERS", hide_env = true, help_heading = "Processing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,

    /// Record types: names and groups with commas between; after a leading `+` or `-` a change of the
    /// default selection. `weir records` lists them [default: default].
    #[arg(
        short,
        long,
        value_name = "SELECTION",
        env = "WEIR_RECORDS",
        hide_env = true,
        help_heading = "Processing",
        allow_hyphen_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,

    /// Flows kept at once for all partitions; with more the least active of a partition is written early; with
    /// `+features` a flow of several packets counts as four [default: 2000000].
    #[arg(long, value_name = "N", env = "WEIR_FLOWS", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<u32>,

    /// Bytes of IP fragments kept at once for all partitions [default: 67108864].
    #[arg(long, value_name = "N", env = "WEIR_FRAGMENT_BYTES", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment_bytes: Option<u32>,

    /// Bytes of streams kept at once for all partitions: what waits for its turn or for more
    /// [default: 536870912].
    #[arg(long, value_name = "N", env = "WEIR_STREAM_BYTES", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_bytes: Option<u32>,

    /// Shortest time between two transactions, ms [default: 1000].
    #[arg(long, value_name = "MS", env = "WEIR_COMMIT_INTERVAL_MS", hide_env = true, help_heading = "Timing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_interval_ms: Option<u32>,

    /// Longest time between two transactions, where they are slow, ms [default: 5000].
    #[arg(long, value_name = "MS", env = "WEIR_COMMIT_INTERVAL_MAX_MS", hide_env = true, help_heading = "Timing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_interval_max_ms: Option<u32>,

    /// A process that is silent for so long loses its partitions to others, ms [default: 10000].
    #[arg(long, value_name = "MS", env = "WEIR_SESSION_TIMEOUT_MS", hide_env = true, help_heading = "Timing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_timeout_ms: Option<u32>,

    /// A transaction that nobody ends is aborted after so long, ms [default: 15000].
    #[arg(long, value_name = "MS", env = "WEIR_TRANSACTION_TIMEOUT_MS", hide_env = true, help_heading = "Timing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_timeout_ms: Option<u32>,

    /// Age at which the snapshot of a partition is taken anew, ms [default: 60000].
    #[arg(long, value_name = "MS", env = "WEIR_SNAPSHOT_AGE_MS", hide_env = true, help_heading = "Timing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_age_ms: Option<u32>,
}

impl ProcessorConfig {
    /// Checks what can be told from the settings alone, wherever they were said.
    ///
    /// # Errors
    ///
    /// Names the setting and what it may be.
    pub fn check(&self) -> anyhow::Result<()> {
        check_ranges(&[
            ("workers", self.workers, 1, 1024),
            ("flows", self.flows, 1, u32::MAX),
            ("fragment-bytes", self.fragment_bytes, 1, u32::MAX),
            ("stream-bytes", self.stream_bytes, 1, u32::MAX),
            ("commit-interval-ms", self.commit_interval_ms, 1, 60_000),
            ("commit-interval-max-ms", self.commit_interval_max_ms, 1, 60_000),
            ("session-timeout-ms", self.session_timeout_ms, 1000, 300_000),
            ("transaction-timeout-ms", self.transaction_timeout_ms, 1000, 900_000),
            ("snapshot-age-ms", self.snapshot_age_ms, 1, u32::MAX),
        ])?;
        for (name, text) in [("group", &self.group), ("instance", &self.instance)] {
            let fine = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
            if let Some(text) =
                text.as_deref().filter(|text| text.is_empty() || text.len() > 200 || !text.chars().all(fine))
            {
                bail!("{name} is {text:?}, but must be 1 to 200 letters, digits, `.`, `_` and `-`");
            }
        }
        if self
            .commit_interval_max_ms
            .zip(self.transaction_timeout_ms)
            .is_some_and(|(commit, limit)| 2 * commit > limit)
        {
            bail!("transaction-timeout-ms must be at least twice commit-interval-max-ms");
        }
        Ok(())
    }
}
