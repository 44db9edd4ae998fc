//! The agent against a real Kafka, on good days and bad ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod capture;
mod replay;
mod trouble;
