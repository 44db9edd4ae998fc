//! What agent, processor, sink and broker cost together on this machine. `scripts/bench-cluster.sh` runs it.
//!
//! Usage: `cluster line|restart|types|day CAPTURE…`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
mod day;
mod lab;
mod line;
mod restart;
mod types;

use std::path::PathBuf;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let what = arguments.next().unwrap_or_default();
    let captures: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    match what.to_str() {
        Some("line") if !captures.is_empty() => line::measure(&captures),
        Some("restart") if !captures.is_empty() => restart::measure(&captures[0]),
        Some("types") if !captures.is_empty() => types::measure(&captures[0]),
        Some("day") if !captures.is_empty() => day::measure(&captures[0]),
        _ => panic!("usage: cluster line|restart|types|day CAPTURE…"),
    }
}
