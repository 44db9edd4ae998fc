//! What a replay sends.

use super::agent::*;
use weir_tests::process::{Scratch, Signal};

const PARTITIONS: u32 = 4;

#[test]
fn replay_sends_every_packet_once_and_can_be_repeated() {
    let kafka = kafka();
    let home = Scratch::new("replay");
    let file = capture("office.pcapng");
    kafka.create_topic("once-packets", 4, &[]);
    let mut agent = replay(kafka, "once", &file, &home, &[]);
    assert!(agent.end_within(LIMIT).success(), "{}", agent.log());
    let sent = batches(kafka, "once");
    assert!(sent == expected(&file, PARTITIONS), "{} batches sent", sent.len());
    assert!(sent.iter().filter(|batch| batch.end_of_capture).count() == 4);
    let log = agent.log();
    assert!(log.contains(&format!("{} published + 0 queued + 0 in flight", packets(&sent))), "{log}");

    // Killed at any moment and started again, it repeats itself to the byte.
    kafka.create_topic("again-packets", 4, &[]);
    for killed in 0..3 {
        let mut agent = replay(kafka, "again", &file, &home, &["--speed", "full"]);
        std::thread::sleep(std::time::Duration::from_millis(50 + 100 * killed));
        agent.signal(Signal::KILL);
    }
    let mut agent = replay(kafka, "again", &file, &home, &[]);
    assert!(agent.end_within(LIMIT).success(), "{}", agent.log());
    assert!(without_repetitions(batches(kafka, "again")) == sent);
}

#[test]
fn paced_replay_takes_its_time_and_cuts_batches_by_the_captures_own() {
    let kafka = kafka();
    let home = Scratch::new("paced");
    let file = capture("tcp-keepalive.pcap");
    kafka.create_topic("paced-packets", 2, &[]);
    let begun = std::time::Instant::now();
    let mut agent = replay(kafka, "paced", &file, &home, &["--speed", "4x", "--now"]);
    assert!(agent.end_within(LIMIT).success(), "{}", agent.log());
    let took = begun.elapsed();
    let sent = batches(kafka, "paced");
    let times: Vec<_> = sent.iter().flat_map(|batch| batch.packets().unwrap().map(|packet| packet.ts_ns)).collect();
    let original: Vec<_> = expected(&file, 2)
        .iter()
        .flat_map(|batch| batch.packets().unwrap().map(|packet| packet.ts_ns).collect::<Vec<_>>())
        .collect();
    let span = |times: &[i64]| u64::try_from(times.iter().max().unwrap() - times.iter().min().unwrap()).unwrap();
    assert_eq!((times.len(), span(&times)), (original.len(), span(&original)));
    assert!(took.as_nanos() >= u128::from(span(&original)) / 4, "{took:?}");
    assert!(sent.iter().filter(|batch| !batch.end_of_capture).count() > 0, "batches close before the end");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    assert!(now - u128::try_from(*times.iter().min().unwrap()).unwrap() < 120_000_000_000);
}

#[test]
fn interrupted_replay_says_so() {
    let kafka = kafka();
    let home = Scratch::new("interrupted");
    kafka.create_topic("stopped-packets", 2, &[]);
    let mut agent = replay(kafka, "stopped", &capture("office.pcapng"), &home, &["--loop"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let status = agent.stop_within(LIMIT);
    assert_eq!(status.code(), Some(130), "{}", agent.log());
    let sent = without_repetitions(batches(kafka, "stopped"));
    let published = format!(" = {} published", packets(&sent));
    assert!(agent.log().contains(&published), "{published}: {}", agent.log());
}
