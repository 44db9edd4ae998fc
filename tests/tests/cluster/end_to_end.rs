//! Agent, two processors and a sink make of captures what `weir decode` makes of them.

use std::path::PathBuf;

use weir_tests::captures;
use weir_tests::process::{Scratch, wait_while_it_moves};

use crate::deployment::{Cluster, Deployment, LIMIT, Settings, cluster, decoded};

/// How many of the shared captures are taken.
const SHARED: usize = 50;

#[test]
fn own_captures_give_the_records_of_decode() {
    assert_same_as_decode(&cluster(), Settings::new("own", 4, "all"), &captures::own());
}

#[test]
fn addresses_get_the_pseudonyms_of_decode() {
    let folder = Scratch::new("pseudonyms");
    let key = folder.path().join("key");
    std::fs::write(&key, "7d0c4b0bb6c1a1f0a3c5e2d49be8f6170f1e2d3c4b5a69788796a5b4c3d2e1f0\n").unwrap();
    let settings = Settings { address_key: Some(key), ..Settings::new("pseudonyms", 2, "all") };
    let office = captures::own().into_iter().filter(|path| path.ends_with("office.pcapng")).collect::<Vec<_>>();
    assert_same_as_decode(&cluster(), settings, &office);
}

/// The captures are not part of the project. Where `SHARED_CAPTURES` (by default `../shared/captures` beside the
/// checkout) has none, the test says so and passes.
#[test]
fn shared_captures_give_the_records_of_decode() {
    let Some(chosen) = captures::some_shared(SHARED) else { return };
    assert_same_as_decode(&cluster(), Settings::new("shared", 4, "all"), &chosen);
}

fn assert_same_as_decode(cluster: &Cluster, settings: Settings, captures: &[PathBuf]) {
    let name = settings.name.clone();
    let expected = decoded(&name, captures, &settings);
    let deployment = Deployment::new(cluster, settings);
    let _processors = [deployment.start_processor("p0"), deployment.start_processor("p1")];
    let mut sink = deployment.start_sink("s0");
    let replayed = deployment.start_replay(&name, captures, "full").end_within(LIMIT);
    assert!(matches!(replayed.code(), Some(0 | 1)), "{replayed}\n{}", deployment.last_words());
    let decoding = deployment.decoding(&cluster.kafka);
    let decoded = wait_while_it_moves(LIMIT, || decoding.left());
    assert!(decoded, "not all is decoded\n{}", deployment.last_words());
    // What doesn't come within the time is what the differences tell.
    let mut rows = deployment.rows(cluster);
    wait_while_it_moves(LIMIT, || expected.count().saturating_sub(rows.count()));
    assert!(sink.stop_within(LIMIT).success(), "{}", deployment.last_words());
    println!("{} captures: {} records of {} types", captures.len(), expected.count(), expected.types());
    for (place, differences) in deployment.differences(cluster, &expected) {
        assert!(differences.none(), "{place}: {differences}\n{}", deployment.last_words());
    }
    assert_eq!(deployment.faults(cluster), Vec::<String>::new());
    deployment.remove(cluster);
}
