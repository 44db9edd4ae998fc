//! Capturing on several interfaces and rings, with what is left out: each packet that the kernel counted is
//! handed out or counted as lost.
//!
//! In a network namespace with a pair of interfaces, as `live.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pcap::Capture;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroU32;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use weir_agent::{Live, LiveError, LiveHandles, LiveOptions, Source, Step};
use weir_tests::namespace::{in_namespace, ip};

/// A UDP datagram over Ethernet from 10.0.x.y port 1000 to 10.9.9.9, with its number in it.
fn datagram(number: u32, client: u16, port: u16) -> Vec<u8> {
    let [x, y] = client.to_be_bytes();
    let ethernet = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &[8, 0]].concat();
    let ip = [0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, x, y, 10, 9, 9, 9];
    let udp = [&1000u16.to_be_bytes()[..], &port.to_be_bytes(), &[0, 12, 0, 0], &number.to_be_bytes()].concat();
    [ethernet, ip.to_vec(), udp].concat()
}

/// Number and client of one of our datagrams; none for what the kernel itself sends.
fn marks(data: &[u8]) -> Option<(u32, u16)> {
    let ours = data.get(23) == Some(&17) && data.get(30..34) == Some(&[10, 9, 9, 9]);
    let number = || u32::from_be_bytes(data[42..46].try_into().unwrap());
    ours.then(|| (number(), u16::from_be_bytes([data[28], data[29]])))
}

fn send(numbers: std::ops::Range<u32>, clients: u16, port: u16) {
    let mut sender = Capture::from_device("wb").unwrap().open().unwrap();
    for number in numbers {
        let client = u16::try_from(number % u32::from(clients)).unwrap();
        sender.sendpacket(datagram(number, client, port)).unwrap();
    }
}

fn start(names: &[&str], options: &LiveOptions) -> (Live, Arc<AtomicBool>) {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    (LiveHandles::open(&names, options).unwrap().start("", &stop).unwrap(), stop)
}

/// A packet that was handed out.
struct Seen {
    ts_ns: i64,
    interface: String,
    marks: Option<(u32, u16)>,
}

/// All packets up to the end.
fn drain(live: &mut Live) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        match live.advance() {
            Step::Packet => {
                let info = live.info();
                let interface = live.interfaces()[usize::try_from(info.interface).unwrap()].name.clone();
                all.push(Seen { ts_ns: info.ts_ns, interface, marks: marks(live.data()) });
            }
            Step::Idle => {}
            Step::End => return all,
        }
    }
}

fn count(packets: &[Seen]) -> i64 {
    i64::try_from(packets.len()).unwrap()
}

/// Asserts that nothing was lost uncounted.
fn assert_accounted(live: &mut Live, handed_out: i64) {
    let sum = live.kernel_counters();
    assert_eq!(sum.received, handed_out + sum.dropped + sum.queue_dropped + sum.sampled_out, "{sum:?}");
    for interface in live.control().counters() {
        let lost = interface.kernel_dropped + interface.queue_dropped + interface.sampled_out;
        assert_eq!(interface.received, interface.captured + lost, "{interface:?}");
        assert!(!interface.is_open);
    }
}

#[test]
fn packets_of_all_rings_and_interfaces_come_in_order_of_time() {
    in_namespace("packets_of_all_rings_and_interfaces_come_in_order_of_time", || {
        // Where a machine does much else, even the kernel's timers may be late.
        let late = (0..5).map(|_| late_packets_of_two_interfaces()).find(|&late| late < 40);
        assert!(late.is_some(), "in five runs 40 of 40,000 packets and more were late");
    });
}

/// Captures 20,000 packets where they leave and where they arrive, and checks that all are there. Gives the number
/// of those that came late.
fn late_packets_of_two_interfaces() -> usize {
    let options = LiveOptions {
        rings: NonZeroU32::new(3).unwrap(),
        ring_bytes: 16 << 20,
        filter: Some("udp port 53".to_owned()),
        ..LiveOptions::default()
    };
    let (mut live, stop) = start(&["wa", "wb"], &options);
    let sender = thread::spawn(move || {
        send(0..20_000, 500, 53);
        stop.store(true, Ordering::Relaxed);
    });
    let all = drain(&mut live);
    sender.join().unwrap();
    assert_accounted(&mut live, count(&all));
    assert!(live.take_damage().problems.is_empty());

    let mut places: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    for (place, packet) in all.iter().enumerate() {
        let (number, _) = packet.marks.unwrap();
        assert_eq!(places.insert((number, packet.interface.as_str()), place), None, "{number} came twice");
    }
    assert_eq!(places.len(), 40_000);
    let mut latest = 0;
    let late = all.iter().filter(|packet| {
        latest = latest.max(packet.ts_ns);
        packet.ts_ns < latest
    });
    let late = late.count();
    // What leaves by wb arrives on wa.
    let reversed = (0..20_000).filter(|&number| places[&(number, "wb")] > places[&(number, "wa")]).count();
    assert!(reversed <= late, "{reversed} of 20,000 packets arrived before they left, {late} were late");
    late
}

#[test]
fn a_quiet_interface_does_not_hold_up_another() {
    in_namespace("a_quiet_interface_does_not_hold_up_another", || {
        assert!(ip("link set lo up"));
        let options = LiveOptions { filter: Some("udp port 53".to_owned()), ..LiveOptions::default() };
        let (mut live, _stop) = start(&["wa", "lo"], &options);
        let sent = Instant::now();
        send(0..1, 1, 53);
        while live.advance() != Step::Packet {}
        assert!(sent.elapsed() < Duration::from_secs(1), "{:?}", sent.elapsed());
    });
}

#[test]
fn idle_is_said_while_packets_trickle() {
    in_namespace("idle_is_said_while_packets_trickle", || {
        assert!(ip("link set lo up"));
        let options = LiveOptions { filter: Some("udp port 53".to_owned()), ..LiveOptions::default() };
        let (mut live, stop) = start(&["wa", "lo"], &options);
        let sender = thread::spawn(move || {
            for number in 0..50 {
                send(number..number + 1, 1, 53);
                thread::sleep(Duration::from_millis(20));
            }
            stop.store(true, Ordering::Relaxed);
        });
        let begun = Instant::now();
        let mut idle = 0;
        loop {
            match live.advance() {
                Step::Packet => {}
                Step::Idle => idle += 1,
                Step::End => break,
            }
        }
        sender.join().unwrap();
        let tenths = begun.elapsed().as_millis() / 100;
        assert!((tenths / 4..=tenths + 2).contains(&idle), "{idle} times in {tenths} tenths of a second");
    });
}

#[test]
fn sampling_keeps_whole_conversations_and_counts_the_others() {
    in_namespace("sampling_keeps_whole_conversations_and_counts_the_others", || {
        let options = LiveOptions {
            one_in: NonZeroU32::new(4).unwrap(),
            filter: Some("udp port 53".to_owned()),
            ..LiveOptions::default()
        };
        let (mut live, stop) = start(&["wa"], &options);
        send(0..10_000, 1000, 53);
        stop.store(true, Ordering::Relaxed);
        let all = drain(&mut live);
        assert_accounted(&mut live, count(&all));
        assert_eq!(live.kernel_counters().sampled_out, 10_000 - count(&all));
        let mut by_client: BTreeMap<u16, usize> = BTreeMap::new();
        all.iter().for_each(|packet| *by_client.entry(packet.marks.unwrap().1).or_default() += 1);
        assert!(by_client.values().all(|&packets| packets == 10), "{by_client:?}");
        assert!((150..350).contains(&by_client.len()), "{} of 1,000 clients", by_client.len());
    });
}

#[test]
fn what_is_excluded_while_capturing_is_exact() {
    in_namespace("what_is_excluded_while_capturing_is_exact", || {
        let options = LiveOptions { filter: Some("udp port 53 or udp port 54".to_owned()), ..LiveOptions::default() };
        let (mut live, stop) = start(&["wa"], &options);
        let control = live.control();
        let sender = thread::spawn(move || {
            send(0..100, 10, 53);
            control.exclude("dst port 53 and host 10.9.9.9");
            thread::sleep(Duration::from_millis(300));
            send(100..200, 10, 53);
            send(200..300, 10, 54);
            control.exclude("");
            thread::sleep(Duration::from_millis(300));
            send(300..400, 10, 53);
            control.pause("wa");
            thread::sleep(Duration::from_millis(300));
            assert!(control.counters()[0].is_paused);
            send(400..500, 10, 53);
            control.resume("wa");
            thread::sleep(Duration::from_millis(300));
            send(500..600, 10, 53);
            stop.store(true, Ordering::Relaxed);
        });
        let all = drain(&mut live);
        sender.join().unwrap();
        assert_accounted(&mut live, count(&all));
        let numbers: Vec<_> = all.iter().map(|packet| packet.marks.unwrap().0).collect();
        let expected: Vec<_> = (0..100).chain(200..400).chain(500..600).collect();
        assert_eq!(numbers, expected);
    });
}

#[test]
fn no_packet_is_lost_uncounted_while_the_exclusion_changes() {
    in_namespace("no_packet_is_lost_uncounted_while_the_exclusion_changes", || {
        let options = LiveOptions { filter: Some("udp port 53".to_owned()), ..LiveOptions::default() };
        let (mut live, stop) = start(&["wa"], &options);
        let control = live.control();
        let changing = Arc::new(AtomicBool::new(true));
        let changer = thread::spawn({
            let changing = Arc::clone(&changing);
            move || {
                for port in (1..50).cycle().take_while(|_| changing.load(Ordering::Relaxed)) {
                    control.exclude(&format!("udp port {port}"));
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let sender = thread::spawn(move || {
            send(0..100_000, 100, 53);
            changing.store(false, Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
        });
        let all = drain(&mut live);
        sender.join().unwrap();
        changer.join().unwrap();
        assert_accounted(&mut live, count(&all));
        assert_eq!(count(&all) + live.kernel_counters().dropped, 100_000);
    });
}

#[test]
fn exclusion_that_is_none_ends_the_capture_with_a_word() {
    in_namespace("exclusion_that_is_none_ends_the_capture_with_a_word", || {
        let (mut live, _stop) = start(&["wa"], &LiveOptions::default());
        live.control().exclude("prt 5");
        drain(&mut live);
        let problem = live.take_damage().problems.remove(0).to_string();
        assert!(problem.contains("`not (prt 5)` does not compile"), "{problem}");
    });
}

#[test]
fn all_interfaces_at_once_are_filtered_in_the_kernel() {
    in_namespace("all_interfaces_at_once_are_filtered_in_the_kernel", || {
        let filter = Some("inbound and udp and dst port 53 and src host 10.0.0.7".to_owned());
        let (mut live, stop) = start(&["any"], &LiveOptions { filter, ..LiveOptions::default() });
        send(0..100, 10, 53);
        stop.store(true, Ordering::Relaxed);
        // The made-up header of `any` is two bytes longer than Ethernet's.
        let mut numbers = BTreeSet::new();
        loop {
            match live.advance() {
                Step::Packet => assert!(numbers.insert(marks(&live.data()[2..]).unwrap())),
                Step::Idle => {}
                Step::End => break,
            }
        }
        assert_eq!(numbers, (0..10).map(|number| (number * 10 + 7, 7)).collect());
        assert_accounted(&mut live, 10);
    });
}

#[test]
fn what_comes_over_loopback_is_captured_once() {
    in_namespace("what_comes_over_loopback_is_captured_once", || {
        assert!(ip("link set lo up"));
        for name in ["lo", "any"] {
            let filter = Some("udp and dst port 9".to_owned());
            let (mut live, stop) = start(&[name], &LiveOptions { filter, ..LiveOptions::default() });
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..100 {
                // The next one may be told that nobody is there.
                let _ = socket.send_to(&[7; 100], "127.0.0.1:9");
            }
            stop.store(true, Ordering::Relaxed);
            let all = drain(&mut live);
            assert!((50..=100).contains(&all.len()), "{} on {name}", all.len());
            assert_accounted(&mut live, count(&all));
        }
    });
}

#[test]
fn interface_is_captured_once() {
    in_namespace("interface_is_captured_once", || {
        let open = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            LiveHandles::open(&names, &LiveOptions::default()).map(|_| ()).unwrap_err()
        };
        assert_eq!(open(&["wa", "wb", "wa"]), LiveError::Twice { interface: "wa".to_owned() });
        assert_eq!(open(&["wa", "any"]), LiveError::Twice { interface: "any".to_owned() });
    });
}

/// Set for the process that is frozen.
const FROZEN: &str = "WEIR_TEST_FROZEN";

#[test]
fn what_is_lost_while_the_process_is_frozen_is_counted_to_the_packet() {
    let test = "what_is_lost_while_the_process_is_frozen_is_counted_to_the_packet";
    in_namespace(test, || {
        if std::env::var_os(FROZEN).is_some() {
            return capture_until_input_ends();
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(FROZEN, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("capturing")));
        let signal = |name: &str| {
            let pid = child.id().to_string();
            assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
        };
        send(0..1000, 50, 53);
        signal("STOP");
        send(1000..90_000, 50, 53);
        thread::sleep(Duration::from_secs(2));
        signal("CONT");
        thread::sleep(Duration::from_millis(500));
        send(90_000..91_000, 50, 53);
        drop(child.stdin.take());
        let mut numbers = Vec::new();
        for line in lines {
            if let Some((_, counts)) = line.unwrap().split_once("counted ") {
                numbers = counts.split(' ').map(|number| number.parse::<i64>().unwrap()).collect();
            }
        }
        assert!(child.wait().unwrap().success());
        let [received, handed_out, lost] = numbers[..] else { panic!("{numbers:?}") };
        assert_eq!((received, handed_out + lost), (91_000, 91_000));
        assert!(lost > 10_000 && handed_out > 2000, "{handed_out} handed out, {lost} lost");
    });
}

fn capture_until_input_ends() {
    let options = LiveOptions { ring_bytes: 2 << 20, filter: Some("udp port 53".to_owned()), ..LiveOptions::default() };
    let (mut live, stop) = start(&["wa"], &options);
    println!("capturing");
    std::io::stdout().flush().unwrap();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
    });
    let handed_out = count(&drain(&mut live));
    assert_accounted(&mut live, handed_out);
    let counted = live.kernel_counters();
    println!("counted {} {handed_out} {}", counted.received, counted.dropped + counted.queue_dropped);
}
