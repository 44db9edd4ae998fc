//! What the sink counts.

use weir_service::metrics::{Kind, Label, Metric, SECONDS};

use super::chain::Trouble;

pub const FILES: &str = "weir_sink_files_total";
pub const ROWS: &str = "weir_sink_rows_total";
pub const BYTES: &str = "weir_sink_bytes_total";
pub const TAKEN: &str = "weir_sink_files_taken_total";
pub const RECORDS: &str = "weir_sink_records_read_total";
pub const LAST_COMMIT: &str = "weir_sink_last_commit_timestamp_seconds";
pub const STORE_ERRORS: &str = "weir_sink_store_errors_total";
pub const REFUSED: &str = "weir_sink_store_refused";
pub const PUT_SECONDS: &str = "weir_sink_put_duration_seconds";
pub const MEMORY: &str = "weir_sink_memory_bytes";
pub const MEMORY_LIMIT: &str = "weir_sink_memory_limit_bytes";
pub const HELD_BACK: &str = "weir_sink_held_back_seconds_total";
pub const OPEN: &str = "weir_sink_open_files";
pub const PARTITIONS: &str = "weir_sink_partitions";
pub const STOPPED: &str = "weir_sink_stopped_partitions";
pub const LAG: &str = "weir_sink_lag_records";
pub const DEAD_LETTERS: &str = "weir_sink_dead_letters_total";
pub const RESUMED: &str = "weir_sink_resumes_total";
pub const COMMIT_ERRORS: &str = "weir_sink_commit_errors_total";

const TYPE: &[Label] = &[Label { name: "type", values: &[] }];
const WORKER: &[Label] = &[Label { name: "worker", values: &[] }];

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric { name: RECORDS, kind: Kind::Counter, labels: TYPE, help: "Messages read from the record topics." },
    Metric { name: FILES, kind: Kind::Counter, labels: TYPE, help: "Files put into the lake." },
    Metric { name: ROWS, kind: Kind::Counter, labels: TYPE, help: "Records in those files." },
    Metric { name: BYTES, kind: Kind::Counter, labels: TYPE, help: "Bytes of those files." },
    Metric {
        name: TAKEN,
        kind: Kind::Counter,
        labels: TYPE,
        help: "Files not put because another sink had put one that begins with the same message.",
    },
    Metric {
        name: LAST_COMMIT,
        kind: Kind::Gauge,
        labels: TYPE,
        help: "When a file was last put, in seconds since 1970.",
    },
    Metric {
        name: PUT_SECONDS,
        kind: Kind::Histogram(SECONDS),
        labels: &[],
        help: "How long a file took to be put, with all attempts.",
    },
    Metric {
        name: STORE_ERRORS,
        kind: Kind::Counter,
        labels: &[Label {
            name: "kind",
            values: &[
                "answer",
                "conflict",
                "connection",
                "denied",
                "disk",
                "no_bucket",
                "refused",
                "server",
                "throttled",
                "timeout",
                "vanished",
            ],
        }],
        help: "Requests that the store did not answer as it should; each was tried again.",
    },
    Metric {
        name: REFUSED,
        kind: Kind::Gauge,
        labels: &[],
        help: "1 while the store refuses requests (credentials, permissions, bucket): nothing is lost, and nothing goes on.",
    },
    Metric {
        name: MEMORY,
        kind: Kind::Gauge,
        labels: WORKER,
        help: "Bytes of records that are in memory, open or being put.",
    },
    Metric { name: MEMORY_LIMIT, kind: Kind::Gauge, labels: WORKER, help: "Bytes of records that may be in memory." },
    Metric {
        name: HELD_BACK,
        kind: Kind::Counter,
        labels: WORKER,
        help: "Seconds in which nothing was read because memory was full of files that are being put.",
    },
    Metric { name: OPEN, kind: Kind::Gauge, labels: WORKER, help: "Open files." },
    Metric { name: PARTITIONS, kind: Kind::Gauge, labels: WORKER, help: "Partitions assigned." },
    Metric {
        name: STOPPED,
        kind: Kind::Gauge,
        labels: &[Label { name: "reason", values: &Trouble::NAMES }],
        help: "Partitions that are read no more, since somebody has to do something first; the log says what.",
    },
    Metric {
        name: LAG,
        kind: Kind::Gauge,
        labels: &[Label { name: "type", values: &[] }, Label { name: "worker", values: &[] }],
        help: "Messages in the topic that were not read yet.",
    },
    Metric {
        name: DEAD_LETTERS,
        kind: Kind::Counter,
        labels: TYPE,
        help: "Messages that are no records of their type, written to the topic of dead letters.",
    },
    Metric {
        name: RESUMED,
        kind: Kind::Counter,
        labels: &[Label { name: "reason", values: &["assigned", "out_of_range", "taken"] }],
        help: "How often a partition was taken up, by why: newly assigned, out of the log's range, or behind another sink's file.",
    },
    Metric {
        name: COMMIT_ERRORS,
        kind: Kind::Counter,
        labels: &[],
        help: "Commits of group offsets that failed; they are hints, so that nothing is lost or doubled.",
    },
];

/// A number of bytes or things for a gauge.
pub fn as_number(count: usize) -> f64 {
    // Exact up to 2⁵³, which no memory holds.
    #[allow(clippy::cast_precision_loss)]
    let number = count as f64;
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::store::Kind as Failure;

    #[test]
    fn the_table_follows_the_conventions_and_knows_all_kinds() {
        assert_eq!(weir_service::metrics::breaches(METRICS), Vec::<String>::new());
        let errors = METRICS.iter().find(|metric| metric.name == STORE_ERRORS).unwrap();
        let mut kinds = Failure::ALL.map(Failure::name);
        kinds.sort_unstable();
        assert_eq!(errors.labels[0].values, kinds);
    }
}
