//! Capturing on a real interface: a veth pair in a network namespace of its own.
//!
//! Needs root and `ip`; is skipped with a message otherwise. Each test makes the namespace and runs
//! itself in it once more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pcap::Capture;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use weir_agent::{Live, LiveError, LiveHandles, LiveOptions, Merge, Merged, Source, Step};
use weir_tests::namespace::{in_namespace, ip};

/// A frame of a test EtherType, with its number in it.
fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut frame = [&[2; 12][..], &[0x88, 0xb5], &number.to_be_bytes()].concat();
    frame.resize(length, 0);
    frame
}

fn number(data: &[u8]) -> Option<u32> {
    (data.get(12..14)? == [0x88, 0xb5]).then(|| u32::from_be_bytes(data[14..18].try_into().unwrap()))
}

fn send(frames: u32, length: usize) {
    let mut sender = Capture::from_device("wb").unwrap().open().unwrap();
    (0..frames).for_each(|number| sender.sendpacket(frame(number, length)).unwrap());
}

fn open(options: &LiveOptions) -> (Live, Arc<AtomicBool>) {
    let stop = Arc::new(AtomicBool::new(false));
    (start(&["wa"], options, &stop), stop)
}

fn start(names: &[&str], options: &LiveOptions, stop: &Arc<AtomicBool>) -> Live {
    handles(names, options).unwrap().start("", stop).unwrap()
}

fn handles(names: &[&str], options: &LiveOptions) -> Result<LiveHandles, LiveError> {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    LiveHandles::open(&names, options)
}

fn now_ns() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_nanos()).unwrap()
}

#[test]
fn all_packets_arrive_and_the_kernel_counts_the_same() {
    in_namespace("all_packets_arrive_and_the_kernel_counts_the_same", || {
        let before = now_ns();
        let (live, stop) = open(&LiveOptions::default());
        let mut merge = Merge::one("wa", live);
        let sender = thread::spawn(|| send(20_000, 300));
        let mut expected = 0;
        let mut fractions = 0;
        let deadline = Instant::now() + Duration::from_secs(20);
        while expected < 20_000 && Instant::now() < deadline {
            match merge.next_packet().unwrap() {
                Merged::Packet(packet, interface) => {
                    assert_eq!((interface.name.as_str(), interface.link_type), ("wa", 1));
                    assert!((before..=now_ns()).contains(&packet.ts_ns));
                    fractions += usize::from(packet.ts_ns % 1000 != 0);
                    if let Some(number) = number(packet.data) {
                        assert_eq!((number, packet.data.len(), packet.original_length), (expected, 300, 300));
                        expected += 1;
                    }
                }
                Merged::Idle => {}
            }
        }
        sender.join().unwrap();
        assert_eq!(expected, 20_000);
        assert!(fractions > 10_000, "time is in nanoseconds");
        stop.store(true, Ordering::Relaxed);
        while merge.next_packet().is_some() {}
        let outcome = merge.outcomes().next().unwrap();
        assert_eq!(outcome.kernel.received, outcome.packets + outcome.kernel.dropped);
        assert!(outcome.damage.problems.is_empty());
    });
}

#[test]
fn idle_interface_says_so_and_stops_at_once() {
    in_namespace("idle_interface_says_so_and_stops_at_once", || {
        let options = LiveOptions { filter: Some("ether proto 0x88b5".to_owned()), ..LiveOptions::default() };
        let (mut live, stop) = open(&options);
        let start = Instant::now();
        assert_eq!(live.advance(), Step::Idle);
        assert!(start.elapsed() < Duration::from_secs(2), "idle for {:?}", start.elapsed());
        let stopped = Instant::now();
        stop.store(true, Ordering::Relaxed);
        while live.advance() == Step::Idle {}
        assert_eq!(live.advance(), Step::End);
        assert!(stopped.elapsed() < Duration::from_secs(1), "stopped within {:?}", stopped.elapsed());
    });
}

#[test]
fn packets_received_before_the_stop_are_handed_out_after_it() {
    in_namespace("packets_received_before_the_stop_are_handed_out_after_it", || {
        let options = LiveOptions { filter: Some("ether proto 0x88b5".to_owned()), ..LiveOptions::default() };
        let (mut live, stop) = open(&options);
        send(500, 100);
        stop.store(true, Ordering::Relaxed);
        let mut packets = 0;
        loop {
            match live.advance() {
                Step::Packet => packets += 1,
                Step::Idle => {}
                Step::End => break,
            }
        }
        assert_eq!((packets, live.kernel_counters().received), (500, 500));
    });
}

#[test]
fn filter_and_snap_length_are_the_kernels() {
    in_namespace("filter_and_snap_length_are_the_kernels", || {
        let filter = Some("ether proto 0x88b5 and ether[17] = 7".to_owned());
        let (mut live, stop) = open(&LiveOptions { snap_length: 40, filter, ..LiveOptions::default() });
        send(20, 100);
        stop.store(true, Ordering::Relaxed);
        let mut seen = Vec::new();
        loop {
            match live.advance() {
                Step::Packet => seen.push((number(live.data()), live.data().len(), live.info().original_length)),
                Step::Idle => {}
                Step::End => break,
            }
        }
        assert_eq!(seen, [(Some(7), 40, 100)]);
    });
}

#[test]
fn interface_may_go_down_and_come_back_but_its_end_is_told() {
    in_namespace("interface_may_go_down_and_come_back_but_its_end_is_told", || {
        let options = LiveOptions { filter: Some("ether proto 0x88b5".to_owned()), ..LiveOptions::default() };
        let (mut live, _stop) = open(&options);
        assert!(ip("link set wa down"));
        assert_eq!([(); 3].map(|()| live.advance()), [Step::Idle; 3]);
        assert!(ip("link set wa up"));
        thread::sleep(Duration::from_millis(500));
        send(1, 100);
        let deadline = Instant::now() + Duration::from_secs(10);
        while live.advance() != Step::Packet {
            assert!(Instant::now() < deadline, "no packet");
        }
        assert!(ip("link del wa"));
        while live.advance() != Step::End {
            assert!(Instant::now() < deadline, "no end");
        }
        let problem = live.take_damage().problems.remove(0);
        let text = problem.to_string();
        assert!(text.starts_with("wa: capturing ended (") && text.contains("is the interface still there"), "{text}");
        assert!(!problem.is_damage());
    });
}

#[test]
fn absent_down_and_misfiltered_interfaces_are_told_apart() {
    in_namespace("absent_down_and_misfiltered_interfaces_are_told_apart", || {
        let error = |interface, filter: Option<&str>| {
            let options = LiveOptions { filter: filter.map(str::to_owned), ..LiveOptions::default() };
            handles(&[interface], &options).map(|_| ()).unwrap_err()
        };
        let absent = error("wnone", None).to_string();
        assert!(absent.starts_with("interface wnone: there is none of that name; there are "), "{absent}");
        assert!(absent.contains("wa, ") || absent.ends_with("wa"), "{absent}");
        assert_eq!(error("wdown", None), LiveError::Down { interface: "wdown".to_owned() });
        let filter = error("wa", Some("prt 53")).to_string();
        assert!(filter.contains("filter `prt 53` does not compile: "), "{filter}");
    });
}

#[test]
fn capturing_without_the_right_says_which_is_needed() {
    in_namespace("capturing_without_the_right_says_which_is_needed", || {
        const UNPRIVILEGED: &str = "WEIR_TEST_UNPRIVILEGED";
        if std::env::var_os(UNPRIVILEGED).is_some() {
            let error = handles(&["wa"], &LiveOptions::default()).map(|_| ()).unwrap_err();
            assert!(matches!(error, LiveError::Forbidden { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("needs CAP_NET_RAW: run as root or `setcap cap_net_raw+ep /"), "{text}");
            return;
        }
        let test = "capturing_without_the_right_says_which_is_needed";
        let run = Command::new("setpriv")
            .args(["--bounding-set=-all", "--inh-caps=-all", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(UNPRIVILEGED, "1")
            .output();
        match run {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) => eprintln!("skipped: setpriv can't be run: {error}"),
        }
    });
}
