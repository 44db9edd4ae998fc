//! Any bytes as a packet of any link type: a key; and where etherparse finds an IP header in
//! Ethernet, the key is that of this header.
#![no_main]

use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket};
use libfuzzer_sys::fuzz_target;
use weir_contract::{SensorKey, partition_key};

const RAW: u16 = 101;

fuzz_target!(|input: (u16, &[u8])| {
    let (link_type, packet) = input;
    let sensor = SensorKey::new("fuzz");
    partition_key(&sensor, link_type % 300, packet);
    let key = partition_key(&sensor, 1, packet);
    let Ok(sliced) = LaxSlicedPacket::from_ethernet(packet) else { return };
    if sliced.link_exts.iter().any(|ext| !matches!(ext, LaxLinkExtSlice::Vlan(_))) {
        return; // MACsec, which the key doesn't look into
    }
    let expected = match sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => partition_key(&sensor, RAW, ip.header().slice()),
        Some(LaxNetSlice::Ipv6(ip)) => partition_key(&sensor, RAW, ip.header().slice()),
        _ => return,
    };
    assert_eq!(key, expected);
});
