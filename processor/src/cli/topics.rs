//! `weir topics`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use weir_contract::Selection;
use weir_service::{config::over, kafka::KafkaConfig};

use super::{EXIT_INCOMPLETE, file, selection, to_stdout};
use crate::{
    config::File,
    terminal,
    topics::{self, Report, Topic, TopicsConfig, acl::Principals},
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make the topics that are missing, and give the others the settings they should have; a change that
    /// endangers what they hold is refused.
    Create(Arguments),
    /// List the topics there are.
    List(Arguments),
    /// Say what is not as it should be, and change nothing.
    Verify(Arguments),
    /// Print the commands that give agents, processors and sinks the rights they need.
    Acl(AclArguments),
}

#[derive(clap::Args)]
#[command(after_help = STATUS)]
pub struct Arguments {
    #[command(flatten)]
    kafka: KafkaConfig,

    #[command(flatten)]
    topics: TopicsConfig,

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

#[derive(clap::Args)]
pub struct AclArguments {
    #[command(flatten)]
    principals: Principals,

    #[command(flatten)]
    arguments: Arguments,
}

const STATUS: &str = "\
Settings can also come from the environment (WEIR_KAFKA_BROKERS for --brokers)
and, under [kafka] and [topics], from the file of --config.

Exit status: 0 all is as it should be, 1 some is not, 2 what was asked for cannot
be done.

Examples:
  weir topics create --brokers kafka:9092 --partitions 32
  weir topics create --brokers localhost:9092 --replication 1
  weir topics verify --config weir.toml";

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => with_settings(arguments, |kafka, wanted, _| {
            let report = topics::create(kafka, wanted)?;
            Ok(tell(&report, "the topics are as they should be"))
        }),
        Command::Verify(arguments) => with_settings(arguments, |kafka, wanted, _| {
            let report = topics::verify(kafka, wanted)?;
            Ok(tell(&report, "the topics are as they should be"))
        }),
        Command::List(arguments) => {
            with_settings(arguments, |kafka, _, _| Ok(to_stdout(topics::list(kafka)?.as_bytes())))
        }
        Command::Acl(AclArguments { principals, arguments }) => with_settings(arguments, |kafka, _, selection| {
            let brokers = kafka.brokers.as_deref().unwrap_or_default();
            let commands = topics::acl::commands(kafka.topic_prefix(), brokers, selection, &principals);
            Ok(to_stdout(commands.as_bytes()))
        }),
    }
}

fn with_settings(
    arguments: Arguments,
    run: impl FnOnce(&KafkaConfig, &[Topic], Selection) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let file = file(arguments.config.as_deref())?;
    let kafka = over(&arguments.kafka, &file.kafka)?;
    let config = over(&over(&arguments.topics, &file.topics)?, &TopicsConfig::defaults())?;
    if arguments.print_config {
        let file = File { kafka, topics: config, ..File::default() };
        return Ok(to_stdout(toml::to_string(&file)?.as_bytes()));
    }
    kafka.check()?;
    config.check()?;
    let selection = selection(config.records.as_deref().unwrap_or_default())?;
    let wanted = topics::wanted(&kafka, &config, selection)?;
    if arguments.check {
        terminal::tell("the settings are fine");
        return Ok(ExitCode::SUCCESS);
    }
    run(&kafka, &wanted, selection)
}

fn tell(report: &Report, fine: &str) -> ExitCode {
    let mut text = String::new();
    for name in &report.created {
        let _ = writeln!(text, "made {name}");
    }
    for change in &report.changed {
        let _ = writeln!(text, "changed {change}");
    }
    for note in &report.notes {
        terminal::tell(format_args!("note: {note}"));
    }
    for wrong in &report.wrong {
        terminal::tell(format_args!("error: {wrong}"));
    }
    if !report.wrong.is_empty() {
        to_stdout(text.as_bytes());
        return ExitCode::from(EXIT_INCOMPLETE);
    }
    let _ = writeln!(text, "{fine}");
    to_stdout(text.as_bytes())
}
