//! What each part of Weir must be allowed in Kafka, as commands of Kafka's own tools.

use std::fmt::Write as _;

use weir_contract::{Selection, topics};

/// Who asks for what: `kafka-acls` commands for the principals of agents, processors and sinks. They need nothing
/// else, and no part may read or write what it has no business with.
pub fn commands(prefix: &str, brokers: &str, selection: Selection, principals: &Principals) -> String {
    let packets = topics::packets(prefix);
    let state = topics::state(prefix);
    let dead_letter = topics::dead_letter(prefix);
    let incarnations = topics::incarnations(prefix);
    let mut script = String::new();
    let mut allow = |who: &str, operations: &[&str], resource: &str| {
        let operations: Vec<_> = operations.iter().map(|operation| format!("--operation {operation}")).collect();
        let _ = writeln!(
            script,
            "kafka-acls --bootstrap-server {brokers} --add --allow-principal {who} {} {resource}",
            operations.join(" ")
        );
    };
    let topic = |name: &str| format!("--topic {name}");
    allow(&principals.agent, &["Write", "Describe"], &topic(&packets));
    let processor = &principals.processor;
    allow(processor, &["Read", "Describe"], &topic(&packets));
    allow(processor, &["Read", "Write", "Describe", "DescribeConfigs"], &topic(&state));
    allow(processor, &["Write", "Describe", "DescribeConfigs"], &topic(&dead_letter));
    for of in selection.types() {
        allow(processor, &["Write", "Describe", "DescribeConfigs"], &topic(&of.topic(prefix)));
    }
    allow(processor, &["DescribeConfigs"], &topic(&packets));
    allow(processor, &["Read"], &format!("--group {prefix}-processor"));
    allow(
        processor,
        &["Write", "Describe"],
        &format!("--transactional-id {prefix}-processor --resource-pattern-type prefixed"),
    );
    let sink = &principals.sink;
    for of in selection.types() {
        allow(sink, &["Read", "Describe"], &topic(&of.topic(prefix)));
    }
    allow(sink, &["Read", "Describe"], &topic(&incarnations));
    allow(sink, &["Write", "Describe"], &topic(&dead_letter));
    allow(sink, &["Read"], &format!("--group {prefix}-sink"));
    script
}

/// The principals of the parts, as Kafka names them.
#[derive(Debug, clap::Args)]
pub struct Principals {
    /// Principal of the agents.
    #[arg(long, value_name = "PRINCIPAL", default_value = "User:weir-agent")]
    agent: String,
    /// Principal of the processors.
    #[arg(long, value_name = "PRINCIPAL", default_value = "User:weir-processor")]
    processor: String,
    /// Principal of the sinks.
    #[arg(long, value_name = "PRINCIPAL", default_value = "User:weir-sink")]
    sink: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_do_more_than_its_part_needs() {
        let who = |name: &str| format!("User:{name}");
        let principals = Principals { agent: who("a"), processor: who("p"), sink: who("s") };
        let script = commands("weir", "kafka:9092", Selection::parse("dns").unwrap(), &principals);
        let lines = |of: &str| script.lines().filter(|line| line.contains(of)).count();
        assert_eq!((lines("User:a "), lines("User:s ")), (1, 4), "{script}");
        assert!(!script.lines().any(|line| line.contains("User:a ") && line.contains("Read")));
        assert!(!script.lines().any(|line| line.contains("User:s ") && line.contains("weir-packets")));
    }
}
