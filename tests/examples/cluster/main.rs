//! What agent, processor, sink and broker cost together on this machine. `scripts/bench-cluster.sh` runs it.
//!
//! Usage: `cluster line CAPTURE…`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
mod lab;
mod line;

use std::path::PathBuf;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let what = arguments.next().unwrap_or_default();
    let captures: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    match what.to_str() {
        Some("line") if !captures.is_empty() => line::measure(&captures),
        _ => panic!("usage: cluster line CAPTURE…"),
    }
}
