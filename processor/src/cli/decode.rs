//! `weir decode`.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    thread,
};

use anyhow::bail;
use weir_agent::{Filter, STDIN};
use weir_engine::Limits;
use weir_service::{
    config::over,
    stop::{self, EXIT_INTERRUPTED},
};

use super::{EXIT_INCOMPLETE, file, selection, to_stdout};
use crate::{
    config::{DecodeConfig, File},
    decode::{self, Input, Settings},
    output::{Format, Output, Target},
    privacy::PrivacyConfig,
    terminal,
};

const PARTITIONS: u32 = 16;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Capture files (pcap, pcapng; gzip, zstd or lz4 around them) and folders of them; `-` for the
    /// standard input.
    #[arg(value_name = "FILE", required_unless_present_any = ["interface", "check", "print_config"])]
    files: Vec<PathBuf>,

    /// Decode live from this interface, until interrupted; given more than once, from all of them.
    #[arg(short, long, value_name = "NAME", conflicts_with = "files", help_heading = "Input")]
    interface: Vec<String>,

    #[command(flatten)]
    settings: DecodeConfig,

    #[command(flatten)]
    privacy: PrivacyConfig,

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
Settings can also come from the environment (WEIR_OUT for --out) and, under
[decode] and [privacy], from the file of --config (out = \"records\"). Flags
count most, the file least.

Exit status: 0 all was decoded and written, 1 some was not, 2 what was asked for
cannot be done, 130 interrupted.

Examples:
  weir decode day.pcap                           count what is in a capture
  weir decode day.pcap -o records                a Parquet file for each type
  weir decode captures/ -o - -r dns              DNS messages as lines of JSON
  weir decode day.pcap -o csv -f csv -r +tcp     the default and tcp, as CSV
  zcat day.pcap.gz | weir decode - -o records    from the standard input
  weir decode -i eth0 -o - -r connection,dns     watch an interface";

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let file = file(arguments.config.as_deref())?;
    let config = with_defaults(&over(&arguments.settings, &file.decode)?)?;
    let privacy = over(&arguments.privacy, &file.privacy)?;
    if arguments.print_config {
        let file = toml::to_string(&File { decode: config, privacy, ..File::default() })?;
        return Ok(to_stdout(file.as_bytes()));
    }
    let merge = config.merge.unwrap_or_default();
    let input = match arguments.interface {
        names if !names.is_empty() => Input::Interfaces(names),
        _ if merge => Input::Merged(arguments.files),
        _ => Input::Files(arguments.files),
    };
    let settings = settings(&config, &privacy, input)?;
    if arguments.check {
        terminal::tell("the settings are fine");
        return Ok(ExitCode::SUCCESS);
    }
    if matches!(&settings.input, Input::Files(paths) | Input::Merged(paths) if paths.iter().any(|path| path == STDIN))
        && io::stdin().is_terminal()
    {
        bail!("the standard input is a terminal: pipe a capture into it, or name a file");
    }
    if let Some(output) = &settings.output {
        output.prepare()?;
    } else if !matches!(config.format, None | Some(Format::Parquet | Format::Null)) {
        terminal::tell("note: nothing is written without --out: name a folder, or `-` for the standard output");
    }

    let stop = stop::on_signal()?;
    let report = decode::run(&settings, &stop)?;
    report.print();
    if report.was_interrupted() {
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INCOMPLETE) })
}

fn with_defaults(config: &DecodeConfig) -> anyhow::Result<DecodeConfig> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let limits = Limits::per_partition(1);
    let to_stdout = config.out.as_deref() == Some("-");
    let defaults = DecodeConfig {
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
        stream_bytes: u32::try_from(limits.stream_bytes).ok(),
    };
    over(config, &defaults)
}

fn settings(config: &DecodeConfig, privacy: &PrivacyConfig, input: Input) -> anyhow::Result<Settings> {
    config.check()?;
    let selection = selection(config.records.as_deref().unwrap_or_default())?;
    let sensor = config.sensor.clone().unwrap_or_default();
    let format = config.format.unwrap_or(Format::Parquet);
    let output = match config.out.as_deref() {
        None => None,
        Some("-") => Output::new(format, Target::Stdout, &selection)?,
        Some(folder) => Output::new(format, Target::Folder(folder.into()), &selection)?,
    };
    let bpf = config.bpf.clone().unwrap_or_default();
    Filter::check(&bpf)?;
    let partitions = config.partitions.unwrap_or(PARTITIONS);
    let share = |of: Option<u32>| of.and_then(|all| usize::try_from((all / partitions).max(1)).ok());
    let standard = Limits::per_partition(partitions);
    Ok(Settings {
        input,
        output,
        selection,
        privacy: privacy.privacy()?,
        bpf,
        sensor,
        partitions,
        workers: config.workers.and_then(|workers| usize::try_from(workers).ok()).unwrap_or(1),
        limits: Limits {
            flows: share(config.flows).unwrap_or(standard.flows),
            fragment_bytes: share(config.fragment_bytes).unwrap_or(standard.fragment_bytes),
            stream_bytes: share(config.stream_bytes).unwrap_or(standard.stream_bytes),
        },
    })
}
