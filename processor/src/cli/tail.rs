//! `weir tail`.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::bail;
use weir_contract::Selection;
use weir_service::{config::over, kafka::KafkaConfig, logs, stop};

use super::{EXIT_INCOMPLETE, file};
use crate::{
    tail::{self, Condition, Format, Settings, Show},
    terminal,
};

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Record types and groups; `weir records` lists them.
    #[arg(value_name = "TYPE", required = true)]
    types: Vec<String>,

    /// Show only records with this value in a field; FIELD!=VALUE for those without. Can be given several times.
    #[arg(short = 'w', long = "where", value_name = "FIELD=VALUE", help_heading = "Output")]
    conditions: Vec<Condition>,

    /// How records are shown [default: table on a terminal, json otherwise].
    #[arg(short, long, value_name = "FORMAT", help_heading = "Output")]
    format: Option<Format>,

    /// End after so many records.
    #[arg(short = 'n', long, value_name = "N", help_heading = "Output")]
    count: Option<u64>,

    /// Begin with the oldest records there are, instead of those to come.
    #[arg(long, help_heading = "Output")]
    from_beginning: bool,

    #[command(flatten)]
    kafka: KafkaConfig,

    /// Read settings from this TOML file: those of the environment and of flags count more.
    #[arg(short, long, value_name = "FILE", env = "WEIR_CONFIG", hide_env = true, help_heading = "Settings")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Settings can also come from the environment (WEIR_KAFKA_BROKERS for --brokers)
and, under [kafka], from the file of --config.

Exit status: 0 there were enough, nobody read on, or it was interrupted, 1 some
records could not be read, 2 what was asked for cannot be done.

Examples:
  weir tail dns --brokers localhost:9092
  weir tail connection dns --brokers kafka:9092 --where src_ip=10.0.0.7
  weir tail weird --brokers kafka:9092 --from-beginning -n 20 -f json";

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let file = file(arguments.config.as_deref())?;
    let kafka = over(&arguments.kafka, &file.kafka)?;
    kafka.check()?;
    if let Some(word) = arguments.types.iter().find(|word| word.starts_with(['+', '-'])) {
        bail!("{word}: name the types to show");
    }
    let selection = Selection::parse(&arguments.types.join(","))?;
    let usual = if io::stdout().is_terminal() { Format::Table } else { Format::Json };
    let format = arguments.format.unwrap_or(usual);
    let show = Show::new(format, arguments.conditions, terminal::columns(&io::stdout()));
    show.check(&selection)?;
    logs::init()?;
    let (from_beginning, count) = (arguments.from_beginning, arguments.count);
    let unreadable = tail::run(&Settings { kafka, selection, show, from_beginning, count }, &stop::on_signal()?)?;
    Ok(if unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INCOMPLETE) })
}
