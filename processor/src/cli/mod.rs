//! The command line.

mod decode;
#[cfg(test)]
mod docs;
mod man;
mod records;
mod schema;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::anyhow;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::terminal;

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
    /// List the record types, or the fields of one.
    Records(records::Arguments),
    /// Write what other programs need to read the records.
    #[command(subcommand)]
    Schema(schema::Command),
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
        Command::Records(arguments) => records::run(&arguments),
        Command::Schema(command) => schema::run(&command),
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
