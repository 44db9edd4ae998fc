//! Settings of the sink and of the lake.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use weir_service::config::check_ranges;

use super::roll::Rolling;
use super::store::credentials::Origin;
use super::store::{Encryption, Failure, Folder, Patience, Patient, S3, S3Settings, Store};

const MIB: u32 = 1 << 20;

/// Where the lake is.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LakeConfig {
    /// Where the files stand: a folder, or s3://bucket or s3://bucket/prefix.
    #[arg(long, value_name = "FOLDER|URL", env = "WEIR_LAKE", hide_env = true, help_heading = "Lake")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lake: Option<String>,

    /// Region of the bucket [default: that of AWS_REGION, or us-east-1].
    #[arg(long, value_name = "REGION", env = "WEIR_S3_REGION", hide_env = true, help_heading = "Lake")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_region: Option<String>,

    /// Where the S3 store listens, as https://host:port [default: AWS].
    #[arg(long, value_name = "URL", env = "WEIR_S3_ENDPOINT", hide_env = true, help_heading = "Lake")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_endpoint: Option<String>,

    /// The bucket's name stands in the path, not before the host's name [default: false for AWS, true with
    /// an endpoint].
    #[arg(long, env = "WEIR_S3_PATH_STYLE", hide_env = true, help_heading = "Lake", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_path_style: Option<bool>,

    /// Encryption by the store: aes256 or kms [default: as the bucket has it].
    #[arg(long, value_name = "KIND", env = "WEIR_S3_ENCRYPTION", hide_env = true, help_heading = "Lake")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_encryption: Option<String>,

    /// Key of the key management service, for kms [default: the account's own].
    #[arg(long, value_name = "ID", env = "WEIR_S3_KMS_KEY", hide_env = true, help_heading = "Lake")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_kms_key: Option<String>,

    /// Seconds that an answer of the store may take, besides a second for each MiB sent [default: 30].
    #[arg(long, value_name = "SECONDS", env = "WEIR_S3_TIMEOUT_SECONDS", hide_env = true, help_heading = "Lake")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_timeout_seconds: Option<u32>,

    /// Work with a store that can't put a file only where there is none; records may be doubled then, when a
    /// partition changes its sink [default: false].
    #[arg(long, env = "WEIR_AT_LEAST_ONCE", hide_env = true, help_heading = "Lake", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least_once: Option<bool>,
}

/// What `weir sink` can be told besides.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SinkConfig {
    /// Record types whose topics are read: names and groups with commas between; after a leading `+` or `-` a change
    /// of the default selection. `weir records` lists them [default: default].
    #[arg(
        short,
        long,
        value_name = "SELECTION",
        env = "WEIR_RECORDS",
        hide_env = true,
        help_heading = "Input",
        allow_hyphen_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,

    /// Consumer group: all sinks of one lake are one group [default: the prefix and -sink].
    #[arg(long, value_name = "NAME", env = "WEIR_GROUP", hide_env = true, help_heading = "Input")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,

    /// Leave out fields that this release does not know, instead of stopping the partition [default: false].
    #[arg(long, env = "WEIR_DROP_UNKNOWN_FIELDS", hide_env = true, help_heading = "Input", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_unknown_fields: Option<bool>,

    /// MiB that a file may have, 1 to 1024 [default: 128].
    #[arg(long, value_name = "N", env = "WEIR_FILE_MIB", hide_env = true, help_heading = "Files")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mib: Option<u32>,

    /// Seconds after which a file of 8 MiB or more ends [default: 300].
    #[arg(long, value_name = "SECONDS", env = "WEIR_FILE_SECONDS", hide_env = true, help_heading = "Files")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_seconds: Option<u32>,

    /// Seconds after which a smaller file ends. Each file ends with its hour in any case [default: 3600].
    #[arg(long, value_name = "SECONDS", env = "WEIR_SMALL_FILE_SECONDS", hide_env = true, help_heading = "Files")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub small_file_seconds: Option<u32>,

    /// MiB of records that may be in memory, for all workers together [default: 1024].
    #[arg(long, value_name = "N", env = "WEIR_MEMORY_MIB", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,

    /// Threads that read, each a member of the group, 1 to 256 [default: 1].
    #[arg(short, long, value_name = "N", env = "WEIR_WORKERS", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,

    /// Files that are put at the same time, 1 to 256 [default: 4].
    #[arg(long, value_name = "N", env = "WEIR_UPLOADS", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploads: Option<u32>,
}

impl LakeConfig {
    /// With defaults for what is not said.
    pub fn defaults() -> Self {
        Self { s3_timeout_seconds: Some(30), at_least_once: Some(false), ..Self::default() }
    }

    /// Checks what can be told without asking the store.
    ///
    /// # Errors
    ///
    /// Names the setting, and what it may be.
    pub fn check(&self) -> anyhow::Result<()> {
        self.settings().map(drop)
    }

    /// The store, asked with this much patience until `stop` is set.
    ///
    /// # Errors
    ///
    /// The settings can't be.
    pub fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        Ok(match self.settings()? {
            Place::Folder(root) => Arc::new(Folder::new(root)),
            Place::Bucket(settings) => {
                let origin = Origin::find(|name| std::env::var(name).ok(), &settings.region);
                tracing::info!(bucket = settings.bucket, credentials = ?origin, "the lake is in an S3 store");
                let s3 = S3::new(*settings, origin).map_err(|Failure { what, .. }| anyhow::anyhow!("{what}"))?;
                Arc::new(s3)
            }
        })
    }

    fn settings(&self) -> anyhow::Result<Place> {
        let lake = self.lake.as_deref().unwrap_or_default();
        if lake.is_empty() {
            bail!("lake is missing: say where the files stand, as --lake folder or --lake s3://bucket/prefix");
        }
        let Some(place) = lake.strip_prefix("s3://") else {
            if lake.contains("://") {
                bail!("lake is {lake:?}, but must be a folder or s3://bucket/prefix");
            }
            return Ok(Place::Folder(lake.into()));
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            bail!("lake is {lake:?}, but must name a bucket: s3://bucket/prefix");
        }
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let encryption = match (self.s3_encryption.as_deref(), &self.s3_kms_key) {
            (None, None) => None,
            (Some("aes256"), None) => Some(Encryption::Aes256),
            (Some("kms"), key) => Some(Encryption::Kms(key.clone())),
            (_, Some(_)) => bail!("s3-kms-key is set, but s3-encryption is not kms"),
            (Some(other), _) => bail!("s3-encryption is {other:?}, but may be aes256 or kms"),
        };
        if let Some(endpoint) = &self.s3_endpoint
            && !endpoint.starts_with("http://")
            && !endpoint.starts_with("https://")
        {
            bail!("s3-endpoint is {endpoint:?}, but must begin with https:// or http://");
        }
        let timeout = self.s3_timeout_seconds.unwrap_or(30);
        if timeout == 0 {
            bail!("s3-timeout-seconds is 0, but must be at least 1");
        }
        let of_aws = || std::env::var("AWS_REGION").ok();
        Ok(Place::Bucket(Box::new(S3Settings {
            bucket: bucket.to_owned(),
            prefix,
            region: self.s3_region.clone().or_else(of_aws).unwrap_or_else(|| "us-east-1".into()),
            endpoint: self.s3_endpoint.clone(),
            path_style: self.s3_path_style.unwrap_or(self.s3_endpoint.is_some()),
            encryption,
            timeout: Duration::from_secs(timeout.into()),
            conditional: self.at_least_once != Some(true),
        })))
    }
}

enum Place {
    Folder(PathBuf),
    Bucket(Box<S3Settings>),
}

impl SinkConfig {
    /// With defaults for what is not said, for topics with this prefix.
    pub fn defaults(topic_prefix: &str) -> Self {
        Self {
            records: Some("default".into()),
            group: Some(format!("{topic_prefix}-sink")),
            drop_unknown_fields: Some(false),
            file_mib: Some(128),
            file_seconds: Some(300),
            small_file_seconds: Some(3600),
            memory_mib: Some(1024),
            workers: Some(1),
            uploads: Some(4),
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// Names the setting, and what it may be.
    pub fn check(&self) -> anyhow::Result<()> {
        check_ranges(&[
            ("file-mib", self.file_mib, 1, 1024),
            ("file-seconds", self.file_seconds, 1, 86_400),
            ("small-file-seconds", self.small_file_seconds, 1, 86_400),
            ("memory-mib", self.memory_mib, 64, 1 << 20),
            ("workers", self.workers, 1, 256),
            ("uploads", self.uploads, 1, 256),
        ])?;
        if self.group.as_deref() == Some("") {
            bail!("group is empty: name the consumer group");
        }
        Ok(())
    }

    /// When files end.
    pub fn rolling(&self) -> Rolling {
        let seconds = |value: Option<u32>, default| Duration::from_secs(value.unwrap_or(default).into());
        Rolling {
            bytes: bytes(self.file_mib.unwrap_or(128)),
            age: seconds(self.file_seconds, 300),
            age_small: seconds(self.small_file_seconds, 3600),
        }
    }

    /// Bytes of records that a worker may keep in memory.
    pub fn memory(&self) -> usize {
        let workers = usize::try_from(self.workers.unwrap_or(1)).unwrap_or(1).max(1);
        bytes(self.memory_mib.unwrap_or(1024)) / workers
    }
}

fn bytes(mib: u32) -> usize {
    usize::try_from(u64::from(mib) * u64::from(MIB)).unwrap_or(usize::MAX)
}

/// A patient view of a store.
pub fn patient(store: &Arc<dyn Store>, patience: Patience, stop: &Arc<AtomicBool>) -> Patient {
    Patient::new(store.clone(), patience, stop.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lake(lake: &str) -> LakeConfig {
        LakeConfig { lake: Some(lake.into()), ..LakeConfig::default() }
    }

    fn refusal(config: &LakeConfig) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn a_lake_is_a_folder_or_a_bucket() {
        assert!(matches!(lake("data/lake").settings().unwrap(), Place::Folder(root) if root == *"data/lake"));
        let Place::Bucket(settings) = lake("s3://data/a/b/").settings().unwrap() else { panic!() };
        assert_eq!((settings.bucket.as_str(), settings.prefix.as_str()), ("data", "a/b/"));
        assert!(!settings.path_style && settings.conditional);
        let Place::Bucket(settings) = lake("s3://data").settings().unwrap() else { panic!() };
        assert_eq!(settings.prefix, "");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        assert!(refusal(&LakeConfig::default()).contains("lake is missing"));
        assert!(refusal(&lake("gs://data")).contains("s3://bucket"));
        assert!(refusal(&lake("s3:///x")).contains("must name a bucket"));
        let kms = LakeConfig { s3_kms_key: Some("k".into()), ..lake("s3://data") };
        assert!(refusal(&kms).contains("s3-encryption is not kms"));
        let endpoint = LakeConfig { s3_endpoint: Some("minio:9000".into()), ..lake("s3://data") };
        assert!(refusal(&endpoint).contains("must begin with"));
        let config = SinkConfig { uploads: Some(0), ..SinkConfig::default() };
        assert_eq!(config.check().unwrap_err().to_string(), "uploads is 0, but may be 1 to 256");
        assert!(SinkConfig::defaults("weir").check().is_ok());
    }

    #[test]
    fn memory_is_shared_by_the_workers() {
        let config = SinkConfig { memory_mib: Some(100), workers: Some(4), ..SinkConfig::default() };
        assert_eq!(config.memory(), 25 << 20);
    }
}
