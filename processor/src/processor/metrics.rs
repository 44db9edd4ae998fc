//! What a processor measures.

use weir_service::metrics::{Kind, Label, Metric, SECONDS};

/// Why workers begin anew.
pub const RESTARTS: &[&str] = &["aborted", "consumer", "fenced", "gap", "hanging", "panic", "restore"];

const PARTITION: &[Label] = &[Label { name: "partition", values: &[] }];
const TYPE: &[Label] = &[Label { name: "type", values: &[] }];

const fn counter(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn seconds(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram(SECONDS), labels: &[], help }
}

/// Sizes from 1 KiB to 1 GiB, in bytes.
const BYTES: &[f64] =
    &[1024.0, 16384.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0, 1_073_741_824.0];

/// The metrics of `weir processor`.
pub const METRICS: &[Metric] = &[
    counter("weir_processor_messages_total", &[], "Messages of packet batches that were decoded live."),
    counter("weir_processor_message_bytes_total", &[], "Bytes of them."),
    counter("weir_processor_replayed_messages_total", &[], "Messages that were decoded in silence to restore state."),
    counter("weir_processor_packets_total", &[], "Packets in records that were committed."),
    counter("weir_processor_records_total", TYPE, "Records that were committed, by type."),
    counter(
        "weir_processor_weirds_total",
        &[Label { name: "reason", values: &[] }],
        "Weird records that were committed, by reason.",
    ),
    counter(
        "weir_processor_late_flows_total",
        &[],
        "Flows begun by a packet that came after the watermark had passed it.",
    ),
    counter("weir_processor_evicted_flows_total", &[], "Flows written early since the flow table was full."),
    counter("weir_processor_evicted_datagrams_total", &[], "Datagrams given up since fragments took too much memory."),
    counter(
        "weir_processor_evicted_streams_total",
        &[],
        "Connections read no further since parsers held too much memory.",
    ),
    counter(
        "weir_processor_failed_packets_total",
        &[],
        "Packets at which a decoder failed; they are in the dead letters.",
    ),
    counter("weir_processor_repeated_batches_total", &[], "Batches that came again and were dropped."),
    counter(
        "weir_processor_shared_sensor_names_total",
        &[],
        "Batches of a sensor's run that came after batches of another run: two agents have the same sensor name.",
    ),
    counter(
        "weir_processor_lost_packets_total",
        &[],
        "Packets that sensors captured and that never arrived; CaptureLoss has more.",
    ),
    counter("weir_processor_lost_messages_total", &[], "Offsets that Kafka deleted before they were read."),
    counter(
        "weir_processor_dead_letters_total",
        &[],
        "Messages and packets that could not be decoded and were put aside.",
    ),
    counter(
        "weir_processor_oversize_records_total",
        TYPE,
        "Records larger than a message may be; they are in the dead letters.",
    ),
    counter("weir_processor_transactions_total", &[], "Transactions that were committed."),
    counter(
        "weir_processor_hanging_transactions_total",
        &[],
        "How often a worker ended what was open for long in some partition, in case that Kafka had forgotten it.",
    ),
    counter(
        "weir_processor_restarts_total",
        &[Label { name: "why", values: RESTARTS }],
        "How often a worker dropped what was not committed and began anew.",
    ),
    counter("weir_processor_rebalances_total", &[], "How often a worker was assigned partitions."),
    counter("weir_processor_partial_states_total", &[], "How often a partition went on without all of its state."),
    counter(
        "weir_processor_changed_replays_total",
        &[],
        "Replays over messages that another build or other settings had decoded.",
    ),
    counter("weir_processor_snapshots_total", &[], "Snapshots that were committed."),
    gauge("weir_processor_partitions", &[Label { name: "worker", values: &[] }], "Partitions a worker has."),
    gauge(
        "weir_processor_replaying_partitions",
        &[Label { name: "worker", values: &[] }],
        "Partitions it has that are not live yet.",
    ),
    gauge("weir_processor_lag_messages", PARTITION, "Messages behind the end of a partition."),
    gauge("weir_processor_flows", PARTITION, "Flows that are alive in a partition's engine."),
    seconds("weir_processor_decode_seconds", "Time to decode a message."),
    seconds("weir_processor_transaction_seconds", "Time to commit a transaction."),
    seconds("weir_processor_restore_seconds", "Time to read the state of newly assigned partitions."),
    seconds("weir_processor_replay_seconds", "Time from the assignment of a partition until it was live."),
    seconds("weir_processor_latency_seconds", "Time from the capture of a packet to the commit of its records."),
    Metric {
        name: "weir_processor_snapshot_bytes",
        kind: Kind::Histogram(BYTES),
        labels: &[],
        help: "Size of a snapshot.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        assert_eq!(weir_service::metrics::breaches(METRICS), Vec::<String>::new());
    }
}
