//! What users see of the `weir` binary: its files, its messages, its exit status.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_input;
mod bad_output;
mod harness;
mod inputs;
mod interrupts;
mod invariance;
mod live;
mod schema;
mod settings;
mod terminal;
