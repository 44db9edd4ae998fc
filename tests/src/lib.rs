//! Black-box tests of Weir: see `tests/`. And what tests of several packages share: programs they run, a real
//! Kafka and a real S3 server, and faults between them.
//!
//! ```no_run
//! let kafka = weir_tests::kafka::Kafka::start();
//! println!("brokers at {}", kafka.bootstrap());
//! ```
//!
//! Whatever is started here ends with its value, and with the test's process however that ends.

pub mod cache;
pub mod captures;
pub mod docs;
pub mod fault_proxy;
pub mod http;
pub mod kafka;
pub mod messages;
pub mod namespace;
pub mod process;
pub mod random;
pub mod s3;
pub mod tls;
pub mod tokens;
mod watchdog;
