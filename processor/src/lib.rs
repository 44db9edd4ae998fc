//! What the `weir` binary is made of: the shells around the engine.

mod cli;
mod config;
mod decode;
pub mod output;

pub use cli::run;
