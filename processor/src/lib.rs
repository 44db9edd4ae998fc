//! What the `weir` binary is made of: the shells around the engine.

#![forbid(unsafe_code)]
// They panic where a pipe is closed or a disk is full: `terminal::tell` and `cli::to_stdout` do not.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod cli;
pub mod config;
mod decode;
pub mod output;
pub mod privacy;
pub mod processor;
mod sink;
mod tail;
mod terminal;
pub mod topics;

pub use cli::run;
