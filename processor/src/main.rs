//! `weir`: typed, joinable records from network traffic.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir::run()
}
