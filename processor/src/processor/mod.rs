//! `weir processor`: packet batches from Kafka to records in Kafka, each exactly once.

pub mod partition;
pub mod state;
