//! `weir sink`.

use std::path::PathBuf;
use std::process::ExitCode;

use weir_service::config::over;
use weir_service::health::Health;
use weir_service::http::{self, HttpConfig};
use weir_service::kafka::KafkaConfig;
use weir_service::{logs, metrics, stop};

use super::{EXIT_INCOMPLETE, file, selection, to_stdout};
use crate::config::File;
use crate::sink::{
    self, METRICS, Settings,
    config::{LakeConfig, SinkConfig},
};
use crate::terminal;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    kafka: KafkaConfig,

    #[command(flatten)]
    lake: LakeConfig,

    #[command(flatten)]
    sink: SinkConfig,

    #[command(flatten)]
    http: HttpConfig,

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
Settings can also come from the environment (WEIR_LAKE for --lake) and, under
[kafka], [lake], [sink] and [metrics], from the file of --config.

Credentials for an S3 store come from where AWS's own tools take them: the
environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), a web
identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN), the shared file
(AWS_SHARED_CREDENTIALS_FILE), the container's service, the instance's role.
Certificates that an endpoint's is signed with are the system's, or those in the
file that SSL_CERT_FILE names.

Exit status: 0 asked to stop, 1 it failed, or the store did not take all that it
had read before it stopped, 2 what was asked for cannot be done. What was not put
is read again at the next start.

Examples:
  weir sink --brokers kafka:9092 --lake s3://weir/lake --s3-region eu-west-1
  weir sink --brokers kafka:9092 --lake /data/lake -r dns,http
  weir sink --brokers kafka:9092 --lake s3://lake --s3-endpoint https://minio:9000";

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let file = file(arguments.config.as_deref())?;
    let kafka = over(&arguments.kafka, &file.kafka)?;
    let lake = over(&over(&arguments.lake, &file.lake)?, &LakeConfig::defaults())?;
    let sink = over(&over(&arguments.sink, &file.sink)?, &SinkConfig::defaults(kafka.topic_prefix()))?;
    let http = over(&arguments.http, &file.metrics)?;
    if arguments.print_config {
        let file = File { kafka, lake, sink, metrics: http, ..File::default() };
        return Ok(to_stdout(toml::to_string(&file)?.as_bytes()));
    }
    kafka.check()?;
    lake.check()?;
    sink.check()?;
    let selection = selection(sink.records.as_deref().unwrap_or_default())?;
    if arguments.check {
        terminal::tell("the settings are fine");
        return Ok(ExitCode::SUCCESS);
    }
    logs::init()?;
    let stop = stop::on_signal()?;
    let health = Health::default();
    let metrics = metrics::install(&[METRICS])?;
    let address = http::serve(http::Part::Sink, &http, metrics, health.clone())?;
    tracing::info!(%address, lake = lake.lake, "the sink starts");
    match sink::run(&Settings { kafka, lake, sink, selection }, &stop, &health) {
        Ok(true) => {
            tracing::info!("the sink stopped");
            Ok(ExitCode::SUCCESS)
        }
        Ok(false) => {
            tracing::error!("the sink stopped before all that it had read was in the lake");
            Ok(ExitCode::from(EXIT_INCOMPLETE))
        }
        Err(error) => {
            tracing::error!("{error:#}");
            Ok(ExitCode::from(EXIT_INCOMPLETE))
        }
    }
}
