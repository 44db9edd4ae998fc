//! `weir processor`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use weir_contract::RecordType;
use weir_engine::Limits;
use weir_service::{
    config::over,
    health::Health,
    http::{self, HttpConfig},
    kafka::KafkaConfig,
    logs, metrics, stop,
};

use super::{file, selection, to_stdout};
use crate::{
    config::File,
    privacy::PrivacyConfig,
    processor::{self, ProcessorConfig, Settings, metrics::METRICS},
    terminal,
};

/// Settings of `weir processor`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    settings: ProcessorConfig,

    #[command(flatten)]
    privacy: PrivacyConfig,

    #[command(flatten)]
    kafka: KafkaConfig,

    #[command(flatten)]
    metrics: HttpConfig,

    /// Read settings from this TOML file: those of the environment and of flags count more.
    #[arg(short, long, value_name = "FILE", env = "WEIR_CONFIG", hide_env = true, help_heading = "Settings")]
    config: Option<PathBuf>,

    /// Check the settings, and do nothing else.
    #[arg(long, help_heading = "Settings")]
    check: bool,

    /// Print the settings in force as a configuration file, and do nothing else.
    #[arg(long, help_heading = "Settings")]
    print_config: bool,
}

const EXAMPLES: &str = "\
Any number of processors share the partitions of a topic prefix. Each needs an
instance name of its own that stays the same when it is started again.

Settings can also come from the environment (WEIR_GROUP for --group) and, under
[processor], [privacy], [kafka] and [metrics], from the file of --config. Flags
count most, the file least.

Exit status: 0 stopped as asked, 2 what was asked for cannot be done, 130 stopped
at once by a second signal.

Examples:
  weir processor --brokers kafka:9092
  weir processor --brokers kafka:9092 --workers 8 --records default,+flow
  weir processor --config /etc/weir.toml --instance processor-3";

/// Settings in force.
struct InForce {
    settings: ProcessorConfig,
    privacy: PrivacyConfig,
    kafka: KafkaConfig,
    metrics: HttpConfig,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let file = file(arguments.config.as_deref())?;
    let kafka = over(&arguments.kafka, &file.kafka)?;
    let in_force = InForce {
        settings: over(&over(&arguments.settings, &file.processor)?, &defaults(kafka.topic_prefix())?)?,
        privacy: over(&arguments.privacy, &file.privacy)?,
        kafka,
        metrics: over(&arguments.metrics, &file.metrics)?,
    };
    if arguments.print_config {
        let InForce { settings, privacy, kafka, metrics } = in_force;
        let file = toml::to_string(&File { processor: settings, privacy, kafka, metrics, ..File::default() })?;
        return Ok(to_stdout(file.as_bytes()));
    }
    let settings = settings(&in_force)?;
    if arguments.check {
        terminal::tell("the settings are fine");
        return Ok(ExitCode::SUCCESS);
    }
    logs::init()?;
    let stop = stop::on_signal()?;
    let health = Health::default();
    let recorder = metrics::install(&[METRICS])?;
    let address = http::serve(http::Part::Processor, &in_force.metrics, recorder, health.clone())?;
    tracing::info!(%address, instance = settings.instance, group = settings.group, "processor begins");
    processor::run(settings, &stop, &health)?;
    tracing::info!("processor has stopped");
    Ok(ExitCode::SUCCESS)
}

fn defaults(topic_prefix: &str) -> anyhow::Result<ProcessorConfig> {
    let limits = Limits::per_partition(1);
    let instance = rustix::system::uname();
    let instance = instance.nodename().to_str().context("the host's name is no UTF-8: set --instance")?;
    Ok(ProcessorConfig {
        group: Some(format!("{topic_prefix}-processor")),
        instance: Some(instance.to_owned()),
        workers: Some(1),
        records: Some("default".to_owned()),
        flows: u32::try_from(limits.flows).ok(),
        fragment_bytes: u32::try_from(limits.fragment_bytes).ok(),
        stream_bytes: u32::try_from(limits.stream_bytes).ok(),
        commit_interval_ms: Some(1000),
        commit_interval_max_ms: Some(5000),
        session_timeout_ms: Some(10_000),
        transaction_timeout_ms: Some(15_000),
        snapshot_age_ms: Some(60_000),
    })
}

fn settings(in_force: &InForce) -> anyhow::Result<Settings> {
    let config = &in_force.settings;
    config.check()?;
    in_force.kafka.check()?;
    let records = config.records.as_deref().unwrap_or_default();
    let selection = selection(records)?;
    if !selection.contains(RecordType::CaptureLoss) {
        bail!("records `{records}` leave out capture_loss: what is lost has to be told somewhere");
    }
    let time = |ms: Option<u32>| Duration::from_millis(ms.unwrap_or_default().into());
    let size = |of: Option<u32>| of.and_then(|of| usize::try_from(of).ok()).unwrap_or(1);
    Ok(Settings {
        kafka: in_force.kafka.clone(),
        group: config.group.clone().unwrap_or_default(),
        instance: config.instance.clone().unwrap_or_default(),
        workers: config.workers.unwrap_or(1),
        selection,
        privacy: in_force.privacy.privacy()?,
        limits: Limits {
            flows: size(config.flows),
            fragment_bytes: size(config.fragment_bytes),
            stream_bytes: size(config.stream_bytes),
        },
        commit_interval: (time(config.commit_interval_ms), time(config.commit_interval_max_ms)),
        session_timeout: time(config.session_timeout_ms),
        transaction_timeout: time(config.transaction_timeout_ms),
        snapshot_age: time(config.snapshot_age_ms),
    })
}
