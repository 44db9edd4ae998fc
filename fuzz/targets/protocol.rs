//! Messages of one protocol behind the layers that lead to it: no panic, records that keep to the contract, and
//! the same ones whatever the cuts between batches, each with a snapshot. The protocol's name is in the
//! environment; without it the names of all are printed.
#![no_main]

use std::{cell::Cell, env, process, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use weir_engine::{Limits, protocols};
use weir_fuzz::{Bytes, OwnedPacket, Run, Way, assert_same, check_records, ways};

const LIMITS: Limits = Limits { flows: 16, fragment_bytes: 1 << 16, stream_bytes: 1 << 18 };

static WAYS: LazyLock<Vec<Way>> = LazyLock::new(|| {
    let wanted = env::var("WEIR_FUZZ_PROTOCOL").unwrap_or_default();
    protocols().find(|protocol| protocol.name == wanted).map(|protocol| ways(&protocol)).unwrap_or_default()
});

fuzz_target!(
    init: {
        if WAYS.is_empty() {
            for protocol in protocols() {
                let keys: Vec<_> = protocol.keys.iter().map(|(kind, value)| format!("{kind}={value}")).collect();
                println!("{} {}", protocol.name, keys.join(" "));
            }
            process::exit(2);
        }
    },
    |input: &[u8]| {
        let mut input = Bytes::new(input);
        let way = WAYS[usize::from(input.u8()) % WAYS.len()];
        let sent = Cell::new([0_u32; 2]);
        let packets = OwnedPacket::read_all(input, |input, is_answer| {
            let message = input.message();
            let before = sent.get();
            let mut after = before;
            let of = &mut after[usize::from(is_answer)];
            *of = u32::try_from(message.len()).map_or(*of, |length| of.wrapping_add(length));
            sent.set(after);
            way.packet(message, is_answer, before)
        });
        let whole = Run::whole(&packets, LIMITS);
        check_records(&whole.records);
        assert_same(&whole, &Run::in_parts(&packets, LIMITS));
    }
);
