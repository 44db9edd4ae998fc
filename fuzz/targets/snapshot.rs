//! Any bytes as the state of an engine: refused, or an engine that decodes what comes and can be
//! saved again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_contract::{Interface, PacketBatch, Selection};
use weir_engine::{Engine, Limits};
use weir_fuzz::{Run, SENSOR, START_NS, Way, check_forms};

const LIMITS: Limits = Limits { flows: 8, fragment_bytes: 4096, stream_bytes: 4096 };

/// A DNS query and its answer.
const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
const ANSWER: &[u8] = b"\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";

fuzz_target!(|snapshot: &[u8]| {
    let Ok(mut engine) = Engine::restore(snapshot, LIMITS, Selection::all()) else { return };
    let mut run = Run::default();
    let (datagrams, stream) = (Way::Udp(40_000, 53), Way::Tcp(53));
    let frames = [
        datagrams.packet(QUERY, false, [0; 2]),
        datagrams.packet(ANSWER, true, [0; 2]),
        stream.packet(&[&[0, 19], QUERY].concat(), false, [0; 2]),
        stream.packet(&[&[0, 19], ANSWER].concat(), true, [21, 0]),
    ]
    .map(|(_, frame)| frame);
    for (sequence, end_of_capture) in [(1, false), (2, true)] {
        let batch = PacketBatch {
            sensor: SENSOR.to_owned(),
            sequence,
            first_packet_number: 1_000 * sequence,
            first_ts_ns: START_NS,
            packet_number_delta: vec![0, 1, 1, 1],
            ts_delta_ns: vec![0, 1_000_000, 1_000_000, 1_000_000],
            captured_length: frames.iter().map(|frame| frame.len() as u32).collect(),
            original_length: frames.iter().map(|frame| frame.len() as u32).collect(),
            interfaces: vec![Interface { name: String::new(), link_type: 1 }],
            data: frames.concat().into(),
            watermark_ns: START_NS + 100_000_000_000,
            end_of_capture,
            ..PacketBatch::default()
        };
        engine.push(&batch, &mut run).expect("the columns agree");
        engine = Engine::restore(&engine.snapshot(), LIMITS, Selection::all()).expect("an engine reads its own state");
    }
    // What a lying state has counted and named already may come again: only the form is checked.
    check_forms(&run.records);
});
