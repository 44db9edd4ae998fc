//! What the `weir` binary is made of: the shells around the engine.

mod cli;
mod config;
mod decode;
pub mod output;
mod terminal;

pub use cli::run;
