//! What the agent tells of itself.

use crate::delivery::{Accounts, Delivery, Store};
use crate::spool::Disk;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_agent::InterfaceCounters;
use weir_service::metrics::{Kind, Label, Metric};

const PLACES: &[&str] = &[
    "kernel",
    "interface",
    "queue",
    "spool_full",
    "spool_oldest",
    "spool_error",
    "spool_damaged",
    "too_large",
    "overtaken",
];

/// Labels of what is counted by interface.
const INTERFACE: &[Label] = &[Label { name: "interface", values: &[] }];

/// Where packets can be lost before they are batched.
const CAPTURE_PLACES: &[Label] =
    &[Label { name: "interface", values: &[] }, Label { name: "place", values: &["kernel", "interface", "queue"] }];

/// The agent's metrics.
pub const METRICS: &[Metric] = &[
    counter("weir_agent_received_packets_total", "Packets that came in, those that the kernel lost too."),
    counter("weir_agent_found_packets_total", "Packets that were in the spool when the agent started."),
    counter("weir_agent_published_packets_total", "Packets that Kafka has acknowledged."),
    counter("weir_agent_published_batches_total", "Batches that Kafka has acknowledged."),
    counter("weir_agent_published_bytes_total", "Bytes of those batches, before compression."),
    Metric {
        name: "weir_agent_dropped_packets_total",
        kind: Kind::Counter,
        labels: &[Label { name: "place", values: PLACES }],
        help: "Packets that are lost, by the place where they were.",
    },
    gauge("weir_agent_queued_packets", "Packets before the thread that delivers, or in a batch that is not finished."),
    gauge("weir_agent_in_flight_packets", "Packets that the producer has, or that wait for another producer."),
    gauge("weir_agent_in_flight_bytes", "Bytes of the batches that the producer has, or that wait for another one."),
    gauge("weir_agent_spool_packets", "Packets in the spool, but for those in flight from there."),
    gauge("weir_agent_spool_bytes", "Bytes of the spool's segments."),
    gauge("weir_agent_spool_limit_bytes", "Bytes that the spool may take; 0 where there is none."),
    counter("weir_agent_spool_errors_total", "Errors that the spool's disk gave."),
    counter("weir_agent_producer_failures_total", "Times that the producer failed, and another one was made."),
    gauge(
        "weir_agent_clock_ahead_seconds",
        "By how much the agent's clock was ahead of the broker's when that acknowledged the last batch, and how long the \
         acknowledgement took; below 0 the agent's clock is behind.",
    ),
    Metric {
        name: "weir_agent_capture_received_packets_total",
        kind: Kind::Counter,
        labels: INTERFACE,
        help: "Packets that the kernel received on an interface and that passed the filter.",
    },
    Metric {
        name: "weir_agent_capture_packets_total",
        kind: Kind::Counter,
        labels: INTERFACE,
        help: "Packets that were captured on an interface.",
    },
    Metric {
        name: "weir_agent_capture_bytes_total",
        kind: Kind::Counter,
        labels: INTERFACE,
        help: "Bytes of those packets.",
    },
    Metric {
        name: "weir_agent_capture_dropped_packets_total",
        kind: Kind::Counter,
        labels: CAPTURE_PLACES,
        help: "Packets of an interface that were lost, by the place: the kernel's ring, the interface itself, or the \
               queue behind the ring.",
    },
    Metric {
        name: "weir_agent_capture_unsampled_packets_total",
        kind: Kind::Counter,
        labels: INTERFACE,
        help: "Packets of an interface that sampling has left out.",
    },
    Metric {
        name: "weir_agent_capture_open",
        kind: Kind::Gauge,
        labels: INTERFACE,
        help: "Whether an interface is captured on: 0 once that has ended, or while it is paused.",
    },
    counter(
        "weir_agent_capture_late_packets_total",
        "Packets that came when others of a later time had been handed out.",
    ),
];

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels: &[], help }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels: &[], help }
}

/// Brings the metrics up to date.
pub fn record<D: Disk>(accounts: &Accounts, delivery: &mut Delivery<D>) {
    let traffic = delivery.traffic();
    metrics::counter!("weir_agent_received_packets_total").absolute(accounts.received);
    metrics::counter!("weir_agent_found_packets_total").absolute(accounts.found_in_spool);
    metrics::counter!("weir_agent_published_packets_total").absolute(accounts.published);
    metrics::counter!("weir_agent_published_batches_total").absolute(traffic.published_batches);
    metrics::counter!("weir_agent_published_bytes_total").absolute(traffic.published_bytes);
    for (place, packets) in accounts.dropped.iter() {
        metrics::counter!("weir_agent_dropped_packets_total", "place" => place.name()).absolute(packets);
    }
    set("weir_agent_queued_packets", accounts.queued);
    set("weir_agent_in_flight_packets", accounts.in_flight);
    set("weir_agent_in_flight_bytes", traffic.in_flight_bytes);
    set("weir_agent_spool_packets", accounts.in_spool);
    let store = delivery.store();
    set("weir_agent_spool_bytes", store.as_ref().map_or(0, |store| store.bytes()));
    metrics::counter!("weir_agent_spool_errors_total").absolute(store.map_or(0, |store| Store::errors(store)));
}

/// Brings what is counted by interface up to date.
pub fn record_interface(interface: &InterfaceCounters) {
    let name = &interface.name;
    let set = |metric: &'static str, packets: i64| {
        metrics::counter!(metric, "interface" => name.clone()).absolute(u64::try_from(packets).unwrap_or_default());
    };
    set("weir_agent_capture_received_packets_total", interface.received);
    set("weir_agent_capture_packets_total", interface.captured);
    set("weir_agent_capture_bytes_total", interface.captured_bytes);
    set("weir_agent_capture_unsampled_packets_total", interface.sampled_out);
    let dropped = [
        ("kernel", interface.kernel_dropped),
        ("interface", interface.interface_dropped),
        ("queue", interface.queue_dropped),
    ];
    for (place, packets) in dropped {
        metrics::counter!("weir_agent_capture_dropped_packets_total", "interface" => name.clone(), "place" => place)
            .absolute(u64::try_from(packets).unwrap_or_default());
    }
    let is_captured = interface.is_open && !interface.is_paused;
    metrics::gauge!("weir_agent_capture_open", "interface" => name.clone()).set(f64::from(u8::from(is_captured)));
}

/// Brings up to date how many packets were late.
pub fn record_late(packets: i64) {
    metrics::counter!("weir_agent_capture_late_packets_total").absolute(u64::try_from(packets).unwrap_or_default());
}

/// Tells how large the spool may be.
pub fn set_spool_limit(bytes: u64) {
    set("weir_agent_spool_limit_bytes", bytes);
}

/// Compares the clock with that of the broker, which acknowledged a batch just now and had appended it at that time, in
/// ms since 1970.
pub fn compare_clocks(appended_ms: i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let Ok(now_ms) = i64::try_from(now.as_millis()) else { return };
    // Exact up to 2⁵³ ms, which is 285,000 years.
    #[allow(clippy::cast_precision_loss)]
    let ahead_ms = now_ms.saturating_sub(appended_ms) as f64;
    metrics::gauge!("weir_agent_clock_ahead_seconds").set(ahead_ms / 1000.0);
}

/// Counts a producer that failed.
pub fn producer_failed() {
    metrics::counter!("weir_agent_producer_failures_total").increment(1);
}

/// Sets a gauge, to within what a metric can tell.
fn set(name: &'static str, value: u64) {
    #[allow(clippy::cast_precision_loss)]
    metrics::gauge!(name).set(value as f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Dropped;

    #[test]
    fn names_follow_the_conventions() {
        assert_eq!(weir_service::metrics::breaches(METRICS), Vec::<String>::new());
        assert_eq!(PLACES, Dropped::ALL.map(Dropped::name));
    }
}
