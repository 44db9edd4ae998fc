//! What each part of Weir must be allowed in Kafka, as commands of Kafka's own tools.

use std::fmt::Write as _;

use weir_contract::{Selection, topics};

/// Who asks for what: `kafka-acls` commands for the principals of agents, processors, sinks and of those who look on.
/// They need nothing else, and no part may read or write what it has no business with.
pub fn commands(prefix: &str, brokers: &str, selection: Selection, principals: &Principals) -> String {
    let [packets, state, dead_letter, incarnations] =
        [topics::packets(prefix), topics::state(prefix), topics::dead_letter(prefix), topics::incarnations(prefix)];
    let records: Vec<String> = selection.types().map(|of| of.topic(prefix)).collect();
    let mut script = String::new();
    let mut allow = |who: &str, operations: &[&str], resources: &str| {
        let operations: Vec<_> = operations.iter().map(|operation| format!("--operation {operation}")).collect();
        let operations = operations.join(" ");
        let _ = writeln!(
            script,
            "kafka-acls --bootstrap-server {brokers} --add --allow-principal {who} {operations} {resources}"
        );
    };
    // One command for many topics: each starts a Java program.
    let with = |names: &[&String]| {
        let all = records.iter().chain(names.iter().copied());
        all.map(|name| format!("--topic {name}")).collect::<Vec<_>>().join(" ")
    };
    let Principals { agent, processor, sink, tail } = principals;
    allow(agent, &["Write", "Describe"], &format!("--topic {packets}"));
    allow(processor, &["Read", "Describe", "DescribeConfigs"], &format!("--topic {packets}"));
    allow(processor, &["Read", "Write", "Describe", "DescribeConfigs"], &format!("--topic {state}"));
    allow(processor, &["Write", "Describe", "DescribeConfigs"], &with(&[&dead_letter]));
    allow(processor, &["Read"], &format!("--group {prefix}-processor"));
    let transactions = format!("--transactional-id {prefix}-processor --resource-pattern-type prefixed");
    allow(processor, &["Write", "Describe"], &transactions);
    allow(sink, &["Read", "Describe"], &with(&[&incarnations]));
    allow(sink, &["Write", "Describe"], &format!("--topic {dead_letter}"));
    allow(sink, &["Read"], &format!("--group {prefix}-sink"));
    allow(tail, &["Read", "Describe"], &with(&[]));
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
    /// Principal of those who use `weir tail`.
    #[arg(long, value_name = "PRINCIPAL", default_value = "User:weir-tail")]
    tail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_do_more_than_its_part_needs() {
        let who = |name: &str| format!("User:{name}");
        let principals = Principals { agent: who("a"), processor: who("p"), sink: who("s"), tail: who("t") };
        let script = commands("weir", "kafka:9092", Selection::parse("dns,ntp").unwrap(), &principals);
        let lines = |of: &str| script.lines().filter(|line| line.contains(of)).count();
        assert_eq!(["User:a ", "User:p ", "User:s ", "User:t "].map(lines), [1, 5, 3, 1], "{script}");
        assert_eq!(["--topic weir-dns ", "--topic weir-ntp"].map(lines), [3, 3], "{script}");
        assert!(!script.lines().any(|line| line.contains("User:a ") && line.contains("Read")));
        assert!(!script.lines().any(|line| line.contains("User:s ") && line.contains("weir-packets")));
        assert!(!script.lines().any(|line| line.contains("User:t ") && line.contains("Write")));
    }
}
