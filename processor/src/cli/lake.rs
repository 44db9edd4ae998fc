//! `weir lake`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use weir_contract::Selection;
use weir_service::config::over;

use super::{EXIT_INCOMPLETE, file, to_stdout};
use crate::sink::config::LakeConfig;
use crate::sink::verify::{Report, verify};

#[derive(Subcommand)]
pub enum Command {
    /// Walk the chains of files, and report holes, overlaps and foreign files.
    Verify(Box<Arguments>),
}

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    lake: LakeConfig,

    /// Record types to verify: names and groups with commas between.
    #[arg(short, long, value_name = "SELECTION", default_value = "all", allow_hyphen_values = true)]
    records: String,

    /// Read settings from this TOML file: those of the environment and of flags count more.
    #[arg(short, long, value_name = "FILE", env = "WEIR_CONFIG", hide_env = true, help_heading = "Settings")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Each file says from which offset its sink read, and with which it begins and
ends: so a message that is in no file, or in two, is seen without reading them.

Exit status: 0 nothing is wrong, 1 something is, 2 the lake cannot be read.

Examples:
  weir lake verify --lake s3://weir/lake
  weir lake verify --lake /data/lake -r dns";

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Verify(arguments) = command;
    let file = file(arguments.config.as_deref())?;
    let lake = over(&over(&arguments.lake, &file.lake)?, &LakeConfig::defaults())?;
    let report = verify(&lake, &Selection::parse(&arguments.records)?)?;
    let shown = to_stdout(show(&report).as_bytes());
    Ok(if report.faults.is_empty() { shown } else { ExitCode::from(EXIT_INCOMPLETE) })
}

fn show(report: &Report) -> String {
    if report.held.is_empty() && report.faults.is_empty() {
        return "no files: a sink puts its first an hour after their records came, or as --small-file-seconds says; \
                a lake that should have some stands elsewhere\n"
            .to_owned();
    }
    let mut text = format!("{:<28} {:>8} {:>8} {:>14} {:>16}\n", "type", "chains", "files", "rows", "bytes");
    for (name, held) in &report.held {
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{name:<28} {:>8} {:>8} {:>14} {:>16}", held.chains, held.files, held.rows, held.bytes);
    }
    for fault in &report.faults {
        let _ = writeln!(text, "{fault}");
    }
    let _ = match report.faults.len() {
        0 => writeln!(text, "no holes, no overlaps, no foreign files"),
        1 => writeln!(text, "1 fault"),
        faults => writeln!(text, "{faults} faults"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lake_without_files_is_not_told_as_if_all_were_well() {
        assert!(show(&Report::default()).starts_with("no files: "));
    }
}
