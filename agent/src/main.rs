//! `weir-agent`: packets of capture files and interfaces, as batches to Kafka.

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod capture;
mod cli;
mod delivery;
mod kafka;
mod ledger;
mod metrics;
mod outbox;
mod pace;
mod replay;
mod sender;
mod spool;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
