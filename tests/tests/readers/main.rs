//! The pages of `docs/readers`: what they say to copy is run as it stands, with a real Kafka and a lake that the sink
//! wrote, and gives the numbers of `weir decode`.
//!
//! What is other than on the pages: `localhost:9092` is the broker's address, `lake` the lake's folder,
//! `/var/lib/clickhouse/format_schemas` the page's own folder, `FLINK_HOME` has Flink's SQL client with a cluster inside, and
//! `clickhouse client` is ClickHouse inside Python (both in `tests/harness/readers`).
//! Blocks that begin with `sh install` are run once, and what they make is kept in the cache.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod page;
mod site;

use std::process::Command;

use answers::Answers;
use page::Page;
use site::site;

fn answers_as_decode(page: &Page) {
    let output = page.run(site());
    assert_eq!(Answers::printed(&output), site().expected, "{output}");
}

#[test]
fn duckdb_reads_the_lake() {
    answers_as_decode(&Page::read("duckdb"));
}

#[test]
fn spark_reads_the_lake() {
    answers_as_decode(&Page::read("spark").section("The lake"));
}

/// Needs `spark-protobuf`, which not every mirror of Maven's has: where it can't be had, the test says so and passes.
#[test]
fn spark_reads_the_topics() {
    let page = Page::read("spark").section("The topics");
    let artifact = page.word_with("org.apache.spark:spark-protobuf");
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "dependency:get", "-Dtransitive=false", &format!("-Dartifact={artifact}")]);
    if !maven.output().unwrap().status.success() {
        println!("skipped: Maven does not give {artifact}");
        return;
    }
    answers_as_decode(&page);
}

#[test]
fn flink_reads_the_topics() {
    answers_as_decode(&Page::read("flink"));
}

#[test]
fn a_consumer_in_python_reads_the_topics() {
    answers_as_decode(&Page::read("python"));
}

#[test]
fn clickhouse_reads_the_topics() {
    answers_as_decode(&Page::read("clickhouse"));
}
