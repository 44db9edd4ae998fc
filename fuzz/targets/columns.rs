//! Any bytes as a record of any type: taken or refused as prost would, and what is refused leaves no
//! trace. The input begins with the number of the type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost_reflect::{DescriptorPool, DynamicMessage, prost::Message};
use std::sync::LazyLock;
use weir_contract::{
    DESCRIPTORS, RecordType,
    columns::{Reason, RecordColumns, write_csv, write_json_lines},
};
use weir_fuzz::Bytes;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap());

fuzz_target!(|input: &[u8]| {
    let mut input = Bytes::new(input);
    let id = u32::from(input.u16());
    let Some(info) = RecordType::all().iter().find(|info| info.id == id) else { return };
    let (mut columns, mut taken) = (RecordColumns::new(info.record_type), RecordColumns::new(info.record_type));
    let descriptor = POOL.get_message_by_name(&format!("weir.v1.{}", info.message)).unwrap();
    // The same bytes between two records without a value, so that a trace would show.
    let bytes = input.rest();
    for bytes in [&[], bytes, &[]] {
        let rows = columns.len();
        match columns.push_wire(bytes) {
            Ok(()) => taken.push_wire(bytes).unwrap(),
            Err(malformed) => {
                assert_eq!(columns.len(), rows);
                assert!(malformed.offset <= bytes.len(), "{malformed}");
                // No record has groups, which prost skips where it doesn't know the field.
                if malformed.reason == Reason::Group {
                    continue;
                }
            }
        }
        let oracle = DynamicMessage::decode(descriptor.clone(), bytes);
        assert_eq!(columns.len() > rows, oracle.is_ok(), "{oracle:?}");
        if let Ok(message) = oracle {
            // What was taken is the same record in protobuf's canonical form.
            let mut canonical = RecordColumns::new(info.record_type);
            canonical.push_wire(&message.encode_to_vec()).unwrap();
        }
    }
    let batch = columns.finish().unwrap();
    assert_eq!(batch, taken.finish().unwrap());
    write_csv(&batch, &mut Vec::new()).unwrap();
    write_json_lines(&batch, None, &mut Vec::new()).unwrap();
});
