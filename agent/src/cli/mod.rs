//! The command line of the agent.

mod capture;
mod config;
#[cfg(test)]
mod docs;
mod interfaces;
mod replay;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use config::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use weir_service::http::HttpConfig;
use weir_service::kafka::KafkaConfig;

/// Packets were lost, or something could not be read.
const EXIT_INCOMPLETE: u8 = 1;

/// What was asked for can't be done: bad usage or configuration.
const EXIT_USAGE: u8 = 2;

/// Weir's capture side: packets in, packet batches to Kafka.
#[derive(Parser)]
#[command(
    name = "weir-agent",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send the packets of interfaces, until stopped.
    Capture(Box<capture::Arguments>),
    /// List the interfaces of this machine, and whether they can be captured on.
    Interfaces,
    /// Send the packets of capture files.
    Replay(Box<replay::Arguments>),
    /// Ask an agent that runs whether it does its work: for images, which have no other program.
    Health {
        /// Where it listens.
        #[arg(value_name = "ADDRESS")]
        address: SocketAddr,
    },
}

/// Settings that all commands have which send packets.
#[derive(clap::Args)]
struct Shared {
    #[command(flatten)]
    kafka: KafkaConfig,

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

impl Shared {
    /// The settings of the file, or none, once the environment is known to have no others.
    fn file(&self) -> anyhow::Result<File> {
        let command = Cli::command();
        let known = command.get_subcommands().flat_map(|command| command.get_arguments());
        let known: Vec<_> = known.filter_map(|argument| argument.get_env()?.to_str()).collect();
        weir_service::config::check_environment(known)?;
        let file = self.config.as_deref().map(weir_service::config::read).transpose()?;
        Ok(file.unwrap_or_default())
    }
}

/// Does what the arguments say; the exit status is 0 if all of it was done.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Capture(arguments) => capture::run(*arguments),
        Command::Interfaces => interfaces::run(),
        Command::Replay(arguments) => replay::run(*arguments),
        Command::Health { address } => health(address),
    };
    done.unwrap_or_else(|error| {
        tell(format_args!("error: {error:#}"));
        ExitCode::from(EXIT_USAGE)
    })
}

fn health(address: SocketAddr) -> anyhow::Result<ExitCode> {
    Ok(match weir_service::http::ask_ready(address)? {
        Ok(()) => ExitCode::SUCCESS,
        Err(why_not) => {
            tell(format_args!("not ready: {why_not}"));
            ExitCode::from(EXIT_INCOMPLETE)
        }
    })
}

/// Writes a line to the standard error. If nobody takes it, there is nobody to tell: `eprintln` would panic.
fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints settings as a configuration file.
fn print(file: &File) -> anyhow::Result<ExitCode> {
    let text = toml::to_string(file)?;
    io::stdout().lock().write_all(text.as_bytes()).context("standard output: writing failed")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
