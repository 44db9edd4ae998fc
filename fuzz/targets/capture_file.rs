//! Any bytes as a capture file: no panic, an end, and packets that go into batches and come out of
//! them as they were.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use weir_agent::{Batcher, CaptureFile, LOCAL_BATCH_BYTES, Merge, Merged};

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = CaptureFile::from_stream("fuzz", Cursor::new(bytes.to_vec())) else { return };
    let mut merge = Merge::one("fuzz", file);
    let mut batcher = Batcher::new("fuzz", 1, 3, LOCAL_BATCH_BYTES);
    let (mut pushed, mut batched) = ((0, 0), (0, 0));
    // A small compressed file may hold hours of empty packets.
    while let Some(Merged::Packet(packet, interface)) = merge.next_packet().filter(|_| pushed.0 < 100_000) {
        pushed = (pushed.0 + 1, pushed.1 + packet.data.len());
        if let Some(batch) = batcher.push(&packet, interface) {
            batch.packets().unwrap().for_each(|packet| batched = (batched.0 + 1, batched.1 + packet.data.len()));
            batcher.recycle(batch);
        }
    }
    for batch in batcher.finish() {
        batch.packets().unwrap().for_each(|packet| batched = (batched.0 + 1, batched.1 + packet.data.len()));
    }
    assert_eq!(pushed, batched);
    for outcome in merge.outcomes() {
        outcome.damage.problems.iter().for_each(|problem| assert!(!problem.to_string().is_empty()));
    }
});
