//! Tokens that expire, and are followed by others in time or too late.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use weir_tests::http::metric;
use weir_tests::process::{free_port, wait_until};

use crate::site::{LIMIT, Login, RECORDS, Site, kafka, secured, text};

/// How long a token is good for. There is a new one each 2 s.
const LIFE: Duration = Duration::from_secs(12);

#[test]
fn tokens_that_rotate_keep_all_parts_going_and_one_that_expires_stops_them_until_there_is_a_new_one() {
    let site = Site::new("tokens");
    let file = site.home.path().join("token");
    let all = ["--operation", "All", "--topic", "tokens-", "--group", "tokens-", "--transactional-id", "tokens-"];
    kafka().allow("bearer", &[&all[..], &["--resource-pattern-type", "prefixed"]].concat());
    kafka().allow("bearer", &["--operation", "Create", "--cluster"]);
    let write = || secured().issuer().write(&file, "bearer", LIFE);
    // When the next token is due, ms since the start; none where that is far.
    let (begun, due_ms) = (Instant::now(), AtomicU64::new(0));
    let elapsed_ms = || u64::try_from(begun.elapsed().as_millis()).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    write();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if due_ms.load(Ordering::Relaxed) <= elapsed_ms() {
                    write();
                    due_ms.store(elapsed_ms() + 2000, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let login = Login::Token(&file);
            let mut create = site.command("weir topics create --replication 1 --partitions 2", login);
            let created = create.args(["--records", RECORDS]).output().unwrap();
            assert!(created.status.success(), "{}", text(&created));

            let [agent_port, processor_port, sink_port] = [(); 3].map(|()| free_port());
            let mut agent = site.agent(login, agent_port);
            agent.args(["--loop", "--speed", "original"]);
            let mut agent = site.start(agent, "agent");
            let mut processor = site.start(site.processor(login, processor_port), "processor");
            let mut sink = site.start(site.sink(login, sink_port), "sink");
            let progress = || {
                [
                    metric(agent_port, "weir_agent_published_packets_total", ""),
                    metric(processor_port, "weir_processor_packets_total", ""),
                    metric(sink_port, "weir_sink_rows_total", ""),
                ]
                .map(Option::unwrap_or_default)
            };
            let logs = || {
                ["agent", "processor", "sink"]
                    .map(|name| {
                        format!(
                            "-- {name}\n{}",
                            std::fs::read_to_string(site.home.path().join(format!("{name}.log"))).unwrap()
                        )
                    })
                    .concat()
            };
            let all_go_on = |since: [f64; 3]| {
                let moved = || progress().iter().zip(since).all(|(now, before)| *now > before);
                assert!(wait_until(LIMIT, moved), "{since:?}, then {:?}\n{}", progress(), logs());
            };
            all_go_on([0.0; 3]);
            std::thread::sleep(2 * LIFE);
            all_go_on(progress());
            for log in [agent.log(), processor.log(), sink.log()] {
                assert!(!log.contains("expired") && !log.contains("\"ERROR\""), "{}", logs());
            }

            due_ms.store(u64::MAX, Ordering::Relaxed);
            for process in [&mut agent, &mut processor, &mut sink] {
                process.write_within(LIMIT, "has expired: whoever writes it should write a new one");
            }
            std::thread::sleep(Duration::from_secs(3));
            let stopped = progress();
            due_ms.store(0, Ordering::Relaxed);
            all_go_on(stopped);
            assert_eq!(agent.stop_within(LIMIT).code(), Some(130), "{}", agent.log());
            assert!(agent.log().contains("+ 0 dropped"), "{}", agent.log());
            assert!(processor.stop_within(LIMIT).success() && sink.stop_within(LIMIT).success(), "{}", logs());
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
    });
}
