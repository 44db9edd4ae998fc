//! Settings of each command, as they are said by a file, the environment and the command line.

use anyhow::bail;
use serde::{Deserialize, Serialize};
use weir_service::{config::check_ranges, http::HttpConfig, kafka::KafkaConfig};

use crate::{
    output::Format,
    privacy::PrivacyConfig,
    processor::ProcessorConfig,
    sink::config::{LakeConfig, SinkConfig},
    topics::TopicsConfig,
};

/// What `weir decode` can be told, wherever it is said. A missing setting is left to the next source,
/// and at last to its default.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DecodeConfig {
    /// Folder for the records, one file for each type; `-` for the standard output.
    #[arg(short, long, value_name = "DIR|-", env = "WEIR_OUT", hide_env = true, help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,

    /// Format of the records: parquet, csv, json, proto, arrow or null [default: parquet, or json to the
    /// standard output].
    #[arg(short, long, value_name = "FORMAT", env = "WEIR_FORMAT", hide_env = true, help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,

    /// Record types: names and groups with commas between; after a leading `+` or `-` a change of the
    /// default selection. `weir records` lists them [default: default].
    #[arg(
        short,
        long,
        value_name = "SELECTION",
        env = "WEIR_RECORDS",
        hide_env = true,
        help_heading = "Output",
        allow_hyphen_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,

    /// Decode only packets that match this filter (see pcap-filter(7)).
    #[arg(short, long, value_name = "FILTER", env = "WEIR_BPF", hide_env = true, help_heading = "Input")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpf: Option<String>,

    /// Name of the sensor in the records [default: local].
    #[arg(long, value_name = "NAME", env = "WEIR_SENSOR", hide_env = true, help_heading = "Input")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,

    /// Merge all files by time into one capture, instead of taking each for a capture of its own.
    #[arg(short, long, env = "WEIR_MERGE", hide_env = true, help_heading = "Input", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<bool>,

    /// Threads that decode, and as many that write, 1 to 1024 [default: one for each core].
    #[arg(short, long, value_name = "N", env = "WEIR_WORKERS", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,

    /// Partitions that packets are divided among, as those of a cluster's topic, 1 to 4096 [default: 16].
    #[arg(long, value_name = "N", env = "WEIR_PARTITIONS", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,

    /// Flows kept at once; with more the least active is written early; with `+features` a flow of several packets
    /// counts as four [default: 2000000].
    #[arg(long, value_name = "N", env = "WEIR_FLOWS", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<u32>,

    /// Bytes of IP fragments kept at once [default: 67108864].
    #[arg(long, value_name = "N", env = "WEIR_FRAGMENT_BYTES", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment_bytes: Option<u32>,

    /// Bytes of streams kept at once: what waits for its turn or for more [default: 536870912].
    #[arg(long, value_name = "N", env = "WEIR_STREAM_BYTES", hide_env = true, help_heading = "Resources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_bytes: Option<u32>,
}

impl TryFrom<String> for Format {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.name().to_owned()
    }
}

/// A configuration file: a table for each command.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct File {
    /// Settings of `weir decode`.
    #[serde(default)]
    pub decode: DecodeConfig,
    /// Settings of `weir processor`.
    #[serde(default)]
    pub processor: ProcessorConfig,
    /// What readers of records get to see of addresses.
    #[serde(default)]
    pub privacy: PrivacyConfig,
    /// How to reach Kafka.
    #[serde(default)]
    pub kafka: KafkaConfig,
    /// Where metrics and health are told.
    #[serde(default)]
    pub metrics: HttpConfig,
    /// Settings of `weir topics`.
    #[serde(default)]
    pub topics: TopicsConfig,
    /// Where the lake is.
    #[serde(default)]
    pub lake: LakeConfig,
    /// Settings of `weir sink`.
    #[serde(default)]
    pub sink: SinkConfig,
}

impl DecodeConfig {
    /// Checks what can be told from the settings alone, wherever they were said.
    ///
    /// # Errors
    ///
    /// Names the setting and what it may be.
    pub fn check(&self) -> anyhow::Result<()> {
        check_ranges(&[
            ("workers", self.workers, 1, 1024),
            ("partitions", self.partitions, 1, 4096),
            ("flows", self.flows, 1, u32::MAX),
            ("fragment-bytes", self.fragment_bytes, 1, u32::MAX),
            ("stream-bytes", self.stream_bytes, 1, u32::MAX),
        ])?;
        if self.out.as_deref() == Some("") {
            bail!("out is empty, but must be a folder, or `-` for the standard output");
        }
        let sensor = self.sensor.as_deref().unwrap_or("local");
        if sensor.is_empty() || sensor.len() > 255 || sensor.chars().any(char::is_control) {
            bail!("sensor is {sensor:?}, but must be a name of 1 to 255 bytes without control characters");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_service::config::{over, parse};

    #[test]
    fn keys_that_do_not_exist_are_refused_with_the_nearest_name() {
        let (line, column, what) = parse::<File>("[decode]\nsensor = \"a\"\n  partitons = 4\n").unwrap_err();
        assert_eq!((line, column), (3, 3));
        assert_eq!(what, "there is no `partitons`; did you mean `partitions`?");
        let (line, column, what) = parse::<File>("[decod]\n").unwrap_err();
        assert_eq!((line, column, what.as_str()), (1, 2, "there is no `decod`; did you mean `decode`?"));
    }

    #[test]
    fn values_that_cannot_be_are_refused_with_their_place() {
        let (line, column, what) = parse::<File>("[decode]\nworkers = \"two\"\n").unwrap_err();
        assert_eq!((line, column), (2, 11));
        assert!(what.contains("expected u32"), "{what}");
        let zero = DecodeConfig { partitions: Some(0), ..DecodeConfig::default() };
        assert_eq!(zero.check().unwrap_err().to_string(), "partitions is 0, but may be 1 to 4096");
        let nameless = DecodeConfig { sensor: Some(String::new()), ..DecodeConfig::default() };
        assert!(nameless.check().is_err() && DecodeConfig::default().check().is_ok());
    }

    #[test]
    fn what_is_said_first_counts() {
        let flags = DecodeConfig { sensor: Some("a".into()), ..DecodeConfig::default() };
        let file = DecodeConfig { sensor: Some("b".into()), workers: Some(3), ..DecodeConfig::default() };
        let both = over(&flags, &file).unwrap();
        assert_eq!((both.sensor.as_deref(), both.workers), (Some("a"), Some(3)));
    }

    #[test]
    fn settings_survive_being_printed() {
        let settings = DecodeConfig { merge: Some(true), records: Some("+tcp".into()), ..DecodeConfig::default() };
        let file = File { decode: settings, ..File::default() };
        assert_eq!(parse::<File>(&toml::to_string(&file).unwrap()).unwrap(), file);
    }
}
