//! `weir decode`.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;
use weir_contract::Selection;
use weir_engine::Limits;

use super::{Cli, EXIT_INCOMPLETE, EXIT_INTERRUPTED};
use crate::{
    config::{self, DecodeConfig},
    decode::{self, Input, Settings},
    output::{Format, Output, Target},
};

const PARTITIONS: u32 = 16;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Capture files (pcap, pcapng; gzip, zstd or lz4 around them) and folders of them; `-` for the
    /// standard input.
    #[arg(value_name = "FILE", required_unless_present_any = ["interface", "check", "print_config"])]
    files: Vec<PathBuf>,

    /// Decode live from this interface, until interrupted.
    #[arg(short, long, value_name = "NAME", conflicts_with = "files")]
    interface: Option<String>,

    #[command(flatten)]
    settings: DecodeConfig,

    /// Read settings from this TOML file too.
    #[arg(short, long, value_name = "FILE", env = "WEIR_CONFIG")]
    config: Option<PathBuf>,

    /// Check the settings, and do nothing else.
    #[arg(long)]
    check: bool,

    /// Print the settings in force as a configuration file, and do nothing else.
    #[arg(long)]
    print_config: bool,
}

const EXAMPLES: &str = "\
Examples:
  weir decode capture.pcapng                         count what is in a capture
  weir decode capture.pcapng --out records           write a Parquet file for each record type
  weir decode captures/ --out - --records dns        stream DNS messages as JSON lines
  weir decode day.pcap --out csv -f csv -r +tcp      the default record types and Tcp, as CSV
  weir decode -i eth0 --out - -r connection,dns      watch an interface";

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let command = Cli::command();
    let known = command.get_subcommands().flat_map(|command| command.get_arguments());
    let known: Vec<_> = known.filter_map(|argument| argument.get_env()?.to_str()).collect();
    config::check_environment(known)?;
    let file = arguments.config.as_deref().map(config::read).transpose()?.unwrap_or_default();
    let config = with_defaults(arguments.settings.or(file.decode));
    if arguments.print_config {
        print!("{}", toml::to_string(&config::File { decode: config })?);
        return Ok(ExitCode::SUCCESS);
    }
    let merge = config.merge.unwrap_or_default();
    let input = match arguments.interface {
        Some(name) => Input::Interface(name),
        None if merge => Input::Merged(arguments.files),
        None => Input::Files(arguments.files),
    };
    let settings = settings(&config, input)?;
    if arguments.check {
        eprintln!("the settings are fine");
        return Ok(ExitCode::SUCCESS);
    }

    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("handling Ctrl-C failed")?;
    let report = decode::run(&settings, &stop)?;
    report.print();
    if report.was_interrupted() {
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INCOMPLETE) })
}

fn with_defaults(config: DecodeConfig) -> DecodeConfig {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let limits = Limits::per_partition(1);
    let to_stdout = config.out.as_deref() == Some("-");
    config.or(DecodeConfig {
        out: None,
        format: Some(if to_stdout { Format::Json } else { Format::Parquet }),
        records: Some("default".into()),
        bpf: None,
        sensor: Some("local".into()),
        merge: Some(false),
        workers: u32::try_from(workers).ok(),
        partitions: Some(PARTITIONS),
        flows: u32::try_from(limits.flows).ok(),
        fragment_bytes: u32::try_from(limits.fragment_bytes).ok(),
    })
}

fn settings(config: &DecodeConfig, input: Input) -> anyhow::Result<Settings> {
    let selection = Selection::parse(config.records.as_deref().unwrap_or_default())?;
    let sensor = config.sensor.clone().unwrap_or_default();
    if sensor.is_empty() || sensor.len() > 255 || sensor.chars().any(char::is_control) {
        bail!("--sensor: a name of 1 to 255 printable letters is needed");
    }
    let format = config.format.unwrap_or(Format::Parquet);
    let output = match config.out.as_deref() {
        None => None,
        Some("-") => Output::open(format, Target::Stdout, &selection)?,
        Some(folder) => Output::open(format, Target::Folder(folder.into()), &selection)?,
    };
    let partitions = config.partitions.unwrap_or(PARTITIONS);
    let share = |of: Option<u32>| of.and_then(|all| usize::try_from((all / partitions).max(1)).ok());
    let standard = Limits::per_partition(partitions);
    Ok(Settings {
        input,
        output,
        selection,
        bpf: config.bpf.clone().unwrap_or_default(),
        sensor,
        partitions,
        workers: config.workers.and_then(|workers| usize::try_from(workers).ok()).unwrap_or(1),
        limits: Limits {
            flows: share(config.flows).unwrap_or(standard.flows),
            fragment_bytes: share(config.fragment_bytes).unwrap_or(standard.fragment_bytes),
        },
    })
}
