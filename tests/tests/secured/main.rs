//! All parts with a Kafka that asks everybody who they are, and allows them what they need and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod passwords;
mod rights;
mod site;
mod tokens;
