//! `weir-agent replay`.

use super::config::{File, ReplayConfig, check_sensor};
use super::{EXIT_INCOMPLETE, Shared, print, tell};
use crate::replay::{Plan, Replay};
use crate::sender::{Sender, Settings};
use anyhow::bail;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use weir_agent::STDIN;
use weir_service::config::over;
use weir_service::health::Health;
use weir_service::stop::EXIT_INTERRUPTED;

/// How long sending goes on once the replay was interrupted.
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Capture files (pcap, pcapng; gzip, zstd or lz4 around them) and folders of them; `-` for the
    /// standard input.
    #[arg(value_name = "FILE", required_unless_present_any = ["check", "print_config"])]
    files: Vec<PathBuf>,

    #[command(flatten)]
    replay: ReplayConfig,

    #[command(flatten)]
    shared: Shared,
}

const EXAMPLES: &str = "\
A file is a capture of its own, which has the same identity whenever it is
replayed: what was sent before is not decoded twice, so an interrupted replay can
simply be started again. That is not so with --loop and --now. At original speed,
pauses of more than ten minutes are left out.

Settings can also come from the environment (WEIR_SPEED for --speed) and, under
[replay] and [kafka], from the file of --config. Flags count most, the file least.

Exit status: 0 all was read and published, 1 some was not, 2 what was asked for
cannot be done, 130 interrupted.

Examples:
  weir-agent replay day.pcap --brokers kafka:9092
  weir-agent replay captures/ -s 10x --brokers kafka:9092   ten times as fast as it was
  weir-agent replay day.pcap --loop --now -s original --brokers kafka:9092";

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { files, replay, shared } = arguments;
    let file = shared.file()?;
    let replay = over(&over(&replay, &file.replay)?, &ReplayConfig::defaults())?;
    let kafka = over(&shared.kafka, &file.kafka)?;
    let http = over(&shared.http, &file.metrics)?;
    if shared.print_config {
        return print(&File { kafka, metrics: http, replay, ..file });
    }
    kafka.check()?;
    let sensor = replay.sensor.clone().unwrap_or_default();
    check_sensor(&sensor)?;
    let speed = replay.speed()?;
    if shared.check {
        tell("the settings are fine");
        return Ok(ExitCode::SUCCESS);
    }
    let from_stdin = files.iter().any(|path| path == STDIN);
    let repeat = replay.repeat.unwrap_or_default();
    if from_stdin && repeat {
        bail!("the standard input can be read only once: it can't be replayed in a loop");
    }
    if from_stdin && io::stdin().is_terminal() {
        bail!("the standard input is a terminal: pipe a capture into it, or name a file");
    }

    weir_service::logs::init()?;
    let health = Health::default();
    let metrics = weir_service::metrics::install(&[crate::metrics::METRICS])?;
    weir_service::http::serve(weir_service::http::Part::Agent, &http, metrics, health.clone())?;
    let stop = weir_service::stop::on_signal()?;
    let sender =
        Sender::start(Settings { kafka, state: None, stop_limit: STOP_LIMIT, stop: Arc::clone(&stop), health })?;
    let (merge, now) = (replay.merge.unwrap_or_default(), replay.now.unwrap_or_default());
    let plan = Plan { files, sensor, merge, speed, repeat, now };
    let complete = Replay::new(&plan, &sender, &stop).run();
    let accounts = sender.finish()?;
    tracing::info!("{accounts}");
    if !accounts.balance() {
        tracing::error!("the counters of packets do not agree: this is a bug of Weir");
    }
    if stop.load(Ordering::Relaxed) {
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    let all = complete && accounts.balance() && accounts.published == accounts.received;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INCOMPLETE) })
}
