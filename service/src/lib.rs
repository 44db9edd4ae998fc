//! What Weir's long-running programs share: settings, clients of Kafka, metrics, health, logs, signals.

pub mod config;
pub mod health;
pub mod http;
pub mod kafka;
pub mod logs;
pub mod metrics;
pub mod random;
pub mod stop;
