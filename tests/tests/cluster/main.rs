//! Agent, processors and sinks with a real Kafka and a real S3 server between them: the records are those of
//! `weir decode`, also when everything is killed, paused and cut off again and again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod chaos;
mod checker;
mod deployment;
mod end_to_end;
mod log;
mod records;
mod restarts;
