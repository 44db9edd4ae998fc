//! The command line.

mod decode;
#[cfg(test)]
mod docs;
mod lake;
mod man;
mod processor;
mod records;
mod schema;
mod sink;
mod tail;
mod topics;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{anyhow, bail};
use clap::{CommandFactory as _, Parser, Subcommand};
use weir_contract::Selection;
use weir_service::config::{check_environment, read};

use crate::{config::File, terminal};

/// Something could not be read or written; the rest was.
pub const EXIT_INCOMPLETE: u8 = 1;

/// What was asked for can't be done: bad usage or configuration.
pub const EXIT_USAGE: u8 = 2;

/// Typed, joinable records from network traffic.
#[derive(Parser)]
#[command(name = "weir", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Decode captures, or an interface, into records.
    Decode(Box<decode::Arguments>),
    /// Turn packet batches from Kafka into records in Kafka, each exactly once.
    Processor(Box<processor::Arguments>),
    /// Write records from Kafka to a lake of Parquet files, each once.
    Sink(Box<sink::Arguments>),
    /// Look at a lake.
    #[command(subcommand)]
    Lake(lake::Command),
    /// Show records from Kafka as they come.
    Tail(Box<tail::Arguments>),
    /// Make Kafka's topics, and look at them.
    #[command(subcommand)]
    Topics(Box<topics::Command>),
    /// List the record types, or the fields of one.
    Records(records::Arguments),
    /// Write what other programs need to read the records.
    #[command(subcommand)]
    Schema(schema::Command),
    /// Ask a processor or sink that runs whether it does its work: for images, which have no other program.
    Health {
        /// Where it listens, as in 127.0.0.1:9478.
        #[arg(value_name = "ADDRESS")]
        address: SocketAddr,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell that will read it.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one for each command.
    Man {
        /// Folder to write them to; it is made if need be.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Does what the arguments say; the exit status is 0 if all of it was done.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Decode(arguments) => decode::run(*arguments),
        Command::Processor(arguments) => processor::run(&arguments),
        Command::Sink(arguments) => sink::run(*arguments),
        Command::Lake(command) => lake::run(command),
        Command::Tail(arguments) => tail::run(*arguments),
        Command::Topics(command) => topics::run(*command),
        Command::Records(arguments) => records::run(&arguments),
        Command::Schema(command) => schema::run(&command),
        Command::Health { address } => health(address),
        Command::Completions { shell } => Ok(completions(shell)),
        Command::Man { folder } => match man::write(Cli::command(), &folder) {
            Ok(()) => {
                terminal::tell(format_args!("wrote the manual pages to {}", folder.display()));
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                Err(anyhow!("{}: writing the manual pages failed: {error}; choose another folder", folder.display()))
            }
        },
    };
    done.unwrap_or_else(|error| {
        terminal::tell(format_args!("error: {error:#}"));
        ExitCode::from(EXIT_USAGE)
    })
}

/// The configuration file, if there is one. The environment is looked through for names that are nearly ours.
fn file(path: Option<&Path>) -> anyhow::Result<File> {
    let mut known = Vec::new();
    variables(&Cli::command(), &mut known);
    check_environment(known.iter().map(String::as_str))?;
    Ok(path.map(read::<File>).transpose()?.unwrap_or_default())
}

/// The record types that `records` selects: at least one.
fn selection(records: &str) -> anyhow::Result<Selection> {
    let selection = Selection::parse(records)?;
    if selection.types().next().is_none() {
        bail!("records `{records}` select no record type; `weir records` lists them");
    }
    Ok(selection)
}

/// The variables of the environment that a command and those below it know.
fn variables(command: &clap::Command, known: &mut Vec<String>) {
    let named = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    known.extend(named.map(str::to_owned));
    command.get_subcommands().for_each(|command| variables(command, known));
}

/// Prints at once, and takes a reader that goes away early for the end of its interest.
fn to_stdout(text: &[u8]) -> ExitCode {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            terminal::tell(format_args!("error: standard output: writing failed: {error}; look at where it goes"));
            ExitCode::from(EXIT_INCOMPLETE)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn health(address: SocketAddr) -> anyhow::Result<ExitCode> {
    Ok(match weir_service::http::ask_ready(address)? {
        Ok(()) => ExitCode::SUCCESS,
        Err(why_not) => {
            terminal::tell(format_args!("not ready: {why_not}"));
            ExitCode::from(EXIT_INCOMPLETE)
        }
    })
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut script);
    to_stdout(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
