//! Any bytes as an encoded packet batch: refused, or read to its last packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use weir_contract::PacketBatch;

fuzz_target!(|bytes: &[u8]| {
    let Ok(batch) = PacketBatch::decode(bytes) else { return };
    if let Ok(packets) = batch.packets() {
        assert_eq!(packets.count(), batch.packet_count());
    }
});
