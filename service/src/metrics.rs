//! Metrics: declared in tables, from which they are registered and documented.
//!
//! Each part of a program has one table, and records by the macros of the `metrics` crate under the names
//! that stand there.

use std::fmt::Write as _;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// A metric: name with its unit, kind, labels and meaning.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name: `weir_`, what is measured, the base unit, and `_total` for counters.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Labels, each with a bounded number of values.
    pub labels: &'static [Label],
    /// Meaning, in a sentence.
    pub help: &'static str,
}

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How values are distributed, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// A label of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Name.
    pub name: &'static str,
    /// Its values, where they are known before: then the metric is there from the start, at 0.
    pub values: &'static [&'static str],
}

/// Bounds for times from 1 ms to a minute, in seconds.
pub const SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Metrics that every program has.
pub const COMMON: &[Metric] = &[
    Metric {
        name: "weir_build_info",
        kind: Kind::Gauge,
        labels: &[Label { name: "version", values: &[] }],
        help: "Always 1; the label tells the version.",
    },
    Metric {
        name: "weir_kafka_client_errors_total",
        kind: Kind::Counter,
        labels: &[Label { name: "kind", values: crate::kafka::ERROR_KINDS }],
        help: "Errors that Kafka's client told, by what they are about; the log has their words.",
    },
    Metric {
        name: crate::kafka::CERTIFICATE_EXPIRY,
        kind: Kind::Gauge,
        labels: &[Label { name: "setting", values: &[] }],
        help: "When the first of the certificates in use expires, in seconds since 1970, by the setting that names \
               their file. A file that is replaced is read at the next start.",
    },
];

/// Makes this process's metrics those of the tables and of [`COMMON`], counters and gauges at 0 where their
/// labels are known. To be called once in a process.
///
/// # Errors
///
/// The process has metrics already, or a histogram without buckets.
pub fn install(tables: &[&[Metric]]) -> anyhow::Result<PrometheusHandle> {
    let all = || tables.iter().copied().chain([COMMON]).flatten();
    let mut builder = PrometheusBuilder::new();
    for metric in all() {
        if let Kind::Histogram(bounds) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok().context("the process has metrics already")?;
    all().for_each(register);
    metrics::gauge!("weir_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

fn register(metric: &Metric) {
    match metric.kind {
        Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
        Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
        Kind::Histogram(_) => metrics::describe_histogram!(metric.name, metric.help),
    }
    for labels in known_labels(metric.labels) {
        match metric.kind {
            Kind::Counter => metrics::counter!(metric.name, labels).absolute(0),
            Kind::Gauge => metrics::gauge!(metric.name, labels).set(0.0),
            Kind::Histogram(_) => {}
        }
    }
}

/// All combinations of the labels' values; none where one's values are not known.
fn known_labels(labels: &'static [Label]) -> Vec<Vec<metrics::Label>> {
    labels.iter().fold(vec![Vec::new()], |before, label| {
        let with = |labels: &Vec<metrics::Label>, value: &&'static str| {
            let mut labels = labels.clone();
            labels.push(metrics::Label::from_static_parts(label.name, value));
            labels
        };
        before.iter().flat_map(|labels| label.values.iter().map(move |value| with(labels, value))).collect()
    })
}

/// A page's table of metrics, as Markdown.
pub fn to_markdown(metrics: &[Metric]) -> String {
    let mut page = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in metrics {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<_> = metric.labels.iter().map(label_cell).collect();
        let _ = writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join("; "), metric.help);
    }
    page
}

fn label_cell(label: &Label) -> String {
    match label.values {
        [] => format!("`{}`", label.name),
        values => format!("`{}`: {}", label.name, values.join(", ")),
    }
}

/// What is wrong with a table of metrics, by Prometheus' conventions.
pub fn breaches(metrics: &[Metric]) -> Vec<String> {
    let mut breaches = Vec::new();
    for metric in metrics {
        let name = metric.name;
        let fine = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if !name.starts_with("weir_") || !name.chars().all(fine) {
            breaches.push(format!("{name}: names are `weir_` and lower-case words"));
        }
        if name.ends_with("_total") != (metric.kind == Kind::Counter) {
            breaches.push(format!("{name}: counters, and they alone, end in `_total`"));
        }
        if ["_ms", "_ns", "_kb", "_mb"].iter().any(|unit| name.trim_end_matches("_total").ends_with(unit)) {
            breaches.push(format!("{name}: units are base units, seconds and bytes"));
        }
        if !metric.help.ends_with('.') {
            breaches.push(format!("{name}: the meaning is a sentence"));
        }
        if metrics.iter().filter(|other| other.name == name).count() > 1 {
            breaches.push(format!("{name}: declared twice"));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: &[Metric] = &[
        Metric { name: "weir_lag", kind: Kind::Counter, labels: &[], help: "Lag." },
        Metric { name: "lag_ms", kind: Kind::Gauge, labels: &[], help: "Lag" },
    ];

    #[test]
    fn names_follow_the_conventions() {
        assert_eq!(breaches(COMMON), Vec::<String>::new());
        assert_eq!(breaches(WRONG).len(), 4);
    }

    #[test]
    fn metrics_with_known_labels_are_there_from_the_start() {
        const PAIR: &[Label] = &[Label { name: "a", values: &["1", "2"] }, Label { name: "b", values: &["x", "y"] }];
        assert_eq!(known_labels(PAIR).len(), 4);
        assert_eq!(known_labels(&[]).len(), 1);
        assert!(known_labels(&[Label { name: "partition", values: &[] }]).is_empty());
    }

    #[test]
    fn tables_become_pages() {
        let page = to_markdown(WRONG);
        assert!(page.ends_with("| `lag_ms` | gauge |  | Lag |\n"), "{page}");
    }
}
