//! `weir-agent capture`.

use super::config::{CaptureConfig, File, SpoolConfig, check_sensor};
use super::{EXIT_INCOMPLETE, Shared, print, tell};
use crate::capture::{self, Plan};
use crate::sender::{Sender, Settings, StateFolder};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use weir_agent::LiveHandles;
use weir_contract::topics;
use weir_service::config::over;
use weir_service::health::Health;

/// How long sending goes on once the agent was stopped. What is left then goes to the spool.
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    capture: CaptureConfig,

    #[command(flatten)]
    spool: SpoolConfig,

    #[command(flatten)]
    shared: Shared,
}

const EXAMPLES: &str = "\
Capturing needs root, or CAP_NET_RAW and nothing else; it is given up as soon as the
interfaces are open. What Kafka does not take at once goes to the spool folder, if
there is one. SIGTERM or Ctrl-C stops: what was captured is sent, or kept there.

Settings can also come from the environment (WEIR_INTERFACE for --interface) and,
under [capture], [spool] and [kafka], from the file of --config. Flags count most,
the file least.

Exit status: 0 it was stopped, and all is published or in the spool; 1 it ended by
itself, or packets were lost; 2 what was asked for cannot be done.

Examples:
  weir-agent capture -i eth1 --brokers kafka:9092 --spool-folder /var/lib/weir
  weir-agent capture -i tx -i rx --bpf 'not port 22' --sensor tap-1 --brokers kafka:9092
  weir-agent capture -i eth1 --rings 4 --ring-mib 256 --brokers kafka:9092   a fast link";

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { capture, spool, shared } = arguments;
    let file = shared.file()?;
    let capture = over(&over(&capture, &file.capture)?, &CaptureConfig::defaults())?;
    let spool = over(&over(&spool, &file.spool)?, &SpoolConfig::defaults())?;
    let kafka = over(&shared.kafka, &file.kafka)?;
    let http = over(&shared.http, &file.metrics)?;
    if shared.print_config {
        return print(&File { kafka, metrics: http, capture, spool, ..file });
    }
    kafka.check()?;
    let sensor = capture.sensor();
    check_sensor(&sensor)?;
    let options = capture.options()?;
    let limits = spool.limits()?;
    let interfaces = capture.interfaces()?;
    if shared.check {
        tell("the settings are fine");
        return Ok(ExitCode::SUCCESS);
    }
    weir_service::logs::init()?;
    let plan = Plan { sensor, interfaces, allow_egress: capture.allow_egress.unwrap_or_default() };
    capture::check_brokers(&plan, kafka.brokers.as_deref().unwrap_or_default())?;
    let handles = LiveHandles::open(&plan.interfaces, &options)?;
    let topic = topics::packets(kafka.topic_prefix());
    let folder = spool.spool_folder.as_deref();
    let state = folder.map(|folder| StateFolder::open(folder, &topic, limits)).transpose()?;
    if let Some(packets) = state.as_ref().map(StateFolder::packets).filter(|packets| *packets > 0) {
        tracing::info!("the spool has {packets} packets of earlier runs, which are sent first");
    }
    // No thread has begun yet: those that will have no more than this one.
    capture::give_up(&kafka, folder)?;

    let health = Health::default();
    let metrics = weir_service::metrics::install(&[crate::metrics::METRICS])?;
    if state.is_some() {
        crate::metrics::set_spool_limit(limits.max_bytes);
    }
    weir_service::http::serve(weir_service::http::Part::Agent, &http, metrics, health.clone())?;
    let stop = weir_service::stop::on_signal()?;
    let sender = Sender::start(Settings { kafka, state, stop_limit: STOP_LIMIT, stop: Arc::clone(&stop), health })?;
    let captured = capture::run(&plan, handles, &sender, &stop);
    // Where it ended by itself, sending what is left may not take forever either.
    stop.store(true, Ordering::Relaxed);
    let accounts = sender.finish()?;
    tracing::info!("{accounts}");
    if !accounts.balance() {
        tracing::error!("the counters of packets do not agree: this is a bug of Weir");
    }
    let was_stopped = captured?;
    let all = was_stopped && accounts.balance() && accounts.queued + accounts.in_flight + accounts.dropped.total() == 0;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INCOMPLETE) })
}
