//! Messages of `weir-packets`, made of steps.

use prost::Message as _;
use weir_contract::{BatchBuilder, CaptureCounters, Interface, Packet, PacketBatch, PreviousRun};

/// A frame of UDP over IPv4.
fn frame(host: u8, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let length = u16::try_from(28 + payload.len()).unwrap();
    frame.extend([0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, host, 10, 0, 1, 1]);
    frame.extend(port.to_be_bytes());
    frame.extend(53u16.to_be_bytes());
    frame.extend((length - 20).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// A DNS query for a name of one letter.
fn query(letter: u8) -> Vec<u8> {
    vec![0, letter, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, letter, 0, 0, 1, 0, 1]
}

/// A message of the log under construction.
#[derive(Debug, Clone)]
pub enum Step {
    /// A batch of packets, each of a host, at so many seconds after the one before.
    Batch { sensor: bool, hosts: Vec<u8>, seconds: i64 },
    /// A batch that never arrives.
    Lost { sensor: bool, packets: u8 },
    /// The batch before once more.
    Repeat,
    /// Bytes that are no batch.
    Garbage,
    /// A sensor begins a new run.
    Restart { sensor: bool },
}

pub fn build(steps: &[Step]) -> Vec<Vec<u8>> {
    struct Run {
        builder: BatchBuilder,
        epoch: i64,
        number: i64,
        sequence: i64,
        previous: Option<PreviousRun>,
    }
    let begin = |name: usize, epoch: i64, previous| Run {
        builder: BatchBuilder::new(["a", "b"][name], epoch, weir_contract::Partition { number: 0, count: 1 }),
        epoch,
        number: 0,
        sequence: 0,
        previous,
    };
    let mut runs = [begin(0, 1, None), begin(1, 1, None)];
    let mut log: Vec<Vec<u8>> = Vec::new();
    let mut ts_ns = 1_700_000_000_000_000_000;
    for step in steps {
        match step {
            Step::Garbage => log.push(vec![0xff; 3]),
            Step::Repeat => log.extend(log.last().cloned()),
            Step::Restart { sensor } => {
                let name = usize::from(*sensor);
                let Run { epoch, sequence, number, .. } = runs[name];
                let previous = PreviousRun { epoch, last_sequence: sequence, packets: number };
                runs[name] = begin(name, epoch + 1, Some(previous));
            }
            Step::Batch { .. } | Step::Lost { .. } => {
                let (sensor, hosts, seconds) = match step {
                    Step::Batch { sensor, hosts, seconds } => (sensor, hosts.clone(), *seconds),
                    Step::Lost { sensor, packets } => (sensor, vec![9; usize::from(*packets)], 1),
                    _ => unreachable!(),
                };
                let run = &mut runs[usize::from(*sensor)];
                for host in hosts {
                    run.number += 1;
                    ts_ns += seconds * 1_000_000_000;
                    let data = frame(host, 1000 + u16::from(host), &query(b'a' + host));
                    let original_length = u32::try_from(data.len()).unwrap();
                    let packet =
                        Packet { number: run.number, ts_ns, data: &data, original_length, link_type: 1, interface: 0 };
                    let interface = Interface { name: "e".to_owned(), link_type: 1 };
                    run.builder.push(&packet, &interface).unwrap();
                }
                let mut batch = run.builder.finish(ts_ns, PacketBatch::default());
                run.sequence = batch.sequence;
                batch.previous_run = run.previous.take();
                if batch.packet_count() == 0 {
                    batch.heartbeat = true;
                    batch.counters = Some(CaptureCounters { packets: run.number, ..CaptureCounters::default() });
                }
                if matches!(step, Step::Batch { .. }) {
                    log.push(batch.encode_to_vec());
                }
            }
        }
    }
    log
}
