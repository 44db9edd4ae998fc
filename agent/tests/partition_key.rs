//! etherparse as oracle of the partition key on real captures; see `libpcap.rs` for where they are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket};
use weir_agent::{CaptureFile, Source, Step, inputs};
use weir_contract::{SensorKey, partition_key};

const ETHERNET: u32 = 1;
const RAW: u16 = 101;

/// Of the packet's IP header alone, as etherparse finds it, what is there of it.
fn ip_header(packet: &[u8]) -> Option<Vec<u8>> {
    let sliced = LaxSlicedPacket::from_ethernet(packet).ok()?;
    if sliced.link_exts.iter().any(|ext| !matches!(ext, LaxLinkExtSlice::Vlan(_))) {
        return None; // MACsec, which the key doesn't look into
    }
    match sliced.net? {
        LaxNetSlice::Ipv4(ip) => Some(ip.header().slice().to_vec()),
        LaxNetSlice::Ipv6(ip) => Some(ip.header().slice().to_vec()),
        LaxNetSlice::Arp(_) => None,
    }
}

#[test]
fn key_is_that_of_the_first_ip_header() {
    let Some(folder) = weir_tests::captures::shared_folder() else { return };
    let sensor = SensorKey::new("lab");
    let mut compared = 0;
    for path in inputs::expand(std::slice::from_ref(&folder)).files {
        let Ok(mut file) = CaptureFile::open(&path) else { continue };
        let mut number = 0;
        while file.advance() == Step::Packet {
            number += 1;
            if file.interfaces()[file.info().interface as usize].link_type != ETHERNET {
                continue;
            }
            if let Some(header) = ip_header(file.data()) {
                let expected = partition_key(&sensor, RAW, &header);
                assert_eq!(partition_key(&sensor, 1, file.data()), expected, "packet {number} of {}", path.display());
                compared += 1;
            }
        }
    }
    println!("{compared} packets");
    assert!(compared > 100_000);
}
