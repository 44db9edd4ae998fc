//! Packets of any link types at any times through an engine with hardly any room: it keeps its
//! bounds, and the cuts between batches, each with a snapshot, change nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_engine::Limits;
use weir_fuzz::{Bytes, OwnedPacket, Run, assert_same, check_records};

const LIMITS: Limits = Limits { flows: 3, fragment_bytes: 2048, stream_bytes: 4096 };

fuzz_target!(|input: &[u8]| {
    let packets = OwnedPacket::read_all(Bytes::new(input), |input, _| (input.u16(), input.message().to_vec()));
    let whole = Run::whole(&packets, LIMITS);
    check_records(&whole.records);
    assert_same(&whole, &Run::in_parts(&packets, LIMITS));
});
