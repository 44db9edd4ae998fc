//! `weir sink` between a real Kafka and a real S3 server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chaos;
mod kit;
mod once;
mod rights;
mod speed;
mod store;
mod trouble;
