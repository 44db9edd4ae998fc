//! The partition key: which packets must meet in one engine.
//!
//! The key is a 64-bit hash of the sensor and the unordered pair of *outer* addresses, without
//! ports, so that both directions and all IP fragments of a conversation get the same one. It is
//! part of the wire contract: agents route by it and engines file their state under it, so another
//! implementation must agree to the bit.
//!
//! # Definition (version 1)
//!
//! ```text
//! sensor hash = XXH3-64(UTF-8 bytes of the sensor's name, seed 0)
//! key         = XXH3-64(canonical bytes, seed = sensor hash)
//! partition   = floor(key × count / 2^64)
//! ```
//!
//! The canonical bytes are the two addresses end to end as they stand on the wire, the lower first
//! (compared byte by byte, unsigned). Their length tells the kinds apart:
//!
//! | found | canonical bytes |
//! |---|---|
//! | an IPv4 header (≥ 20 bytes present, first nibble 4) | 8 |
//! | an IPv6 header (≥ 40 bytes present, first nibble 6) | 32 |
//! | no IP header, but two MAC addresses | 12 |
//! | neither | 0 |
//!
//! The first IP header counts, whatever its lengths, checksum and payload say. The MAC pair is that
//! of the first Ethernet header. To find the IP header, start as the link type says and go on for
//! at most 16 headers:
//!
//! | header | goes on with |
//! |---|---|
//! | link types 1 (Ethernet), and Ethernet below | EtherType; below 0x0600 it is a length and LLC follows |
//! | 0 (NULL), 108 (LOOP) | family of 4 bytes, byte-swapped if above 0xffff: 2, 10, 24, 28 and 30 mean IP |
//! | 12, 14, 101 (raw IP), 228 (IPv4), 229 (IPv6) | IP |
//! | 9, 50 (PPP) | `ff 03` is skipped if there; PPP protocol |
//! | 51 (PPPoE) | PPPoE session |
//! | 104 (Cisco HDLC) | EtherType at 2 |
//! | 113 (SLL) | EtherType at 14, header of 16 |
//! | 276 (SLL2) | EtherType at 0, header of 20 |
//! | 239 (NFLOG) | IP in the first attribute of type 9 (payload) among the first 64; attributes are little-endian unless the first one's length so read is under 4 or beyond the packet |
//! | EtherType 0x0800, 0x86dd | IP |
//! | EtherType 0x8100, 0x88a8, 0x9100 (VLAN) | EtherType or length at 2, header of 4 |
//! | EtherType 0x8847, 0x8848 (MPLS) | entries of 4 bytes up to the bottom of the stack, each one of the 16; then by the next nibble: 4 and 6 IP, 0 a control word of 4 bytes and Ethernet |
//! | EtherType 0x8864 (PPPoE session) | 6 bytes, PPP protocol |
//! | SLL and SLL2 protocol 4 | LLC |
//! | LLC | `aa aa 03` and an OUI of 00-00-00 or 00-00-f8: EtherType at 6, header of 8; `06 06 03`: IP |
//! | PPP protocol (one byte if odd, else two) | 0x0021, 0x0057: IP; 0x0281, 0x0283: MPLS |
//!
//! Whatever is cut short or not in the table ends the search.
//!
//! `partition_key_vectors.tsv` beside this file holds test vectors.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Version of the definition above. Agents and processors of one topic must agree on it.
pub const PARTITION_KEY_VERSION: u32 = 1;

/// Headers looked at before the search for an IP header ends.
const MAX_LAYERS: usize = 16;

/// NFLOG attributes looked at before the search for the payload ends.
const MAX_NFLOG_ATTRIBUTES: usize = 64;

/// A sensor as the partition key sees it: the hash of its name, computed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SensorKey {
    hash: u64,
}

impl SensorKey {
    /// The key of the sensor with this name.
    pub fn new(sensor: &str) -> Self {
        Self { hash: xxh3_64(sensor.as_bytes()) }
    }

    fn hash(self, canonical: &[u8]) -> u64 {
        xxh3_64_with_seed(canonical, self.hash)
    }

    fn hash_pair<const N: usize, const TWICE: usize>(self, a: &[u8; N], b: &[u8; N]) -> u64 {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        let mut canonical = [0; TWICE];
        for (place, byte) in canonical.iter_mut().zip(low.iter().chain(high)) {
            *place = *byte;
        }
        self.hash(&canonical)
    }
}

/// Key of a packet captured by `sensor` on an interface of this link type (LINKTYPE_ value).
///
/// Any bytes give a key; see the module's page for how. About 5 ns for Ethernet and IPv4.
pub fn partition_key(sensor: &SensorKey, link_type: u16, packet: &[u8]) -> u64 {
    // Nearly all packets, and a third of what the search costs.
    if link_type == 1
        && let Some((0x0800 | 0x86dd, rest)) = split_u16(packet, 12, 14)
        && let Some(key) = ip_pair(sensor, rest)
    {
        return key;
    }
    search(sensor, link_type, packet)
}

/// The key by the table above.
fn search(sensor: &SensorKey, link_type: u16, packet: &[u8]) -> u64 {
    let mut macs = None;
    let mut header = Header::of_link_type(link_type);
    let mut rest = packet;
    for _ in 0..MAX_LAYERS {
        let step = match header {
            Header::Ip => {
                if let Some(key) = ip_pair(sensor, rest) {
                    return key;
                }
                None
            }
            Header::Ethernet => {
                macs = macs.or_else(|| pair::<6>(rest));
                ethernet(rest)
            }
            Header::Vlan => split_u16(rest, 2, 4).map(|(kind, rest)| (ether_type(kind), rest)),
            Header::Mpls => mpls(rest),
            Header::Llc => llc(rest),
            Header::Pppoe => rest.get(6..).map(|rest| (Header::PppProtocol, rest)),
            Header::Ppp => Some((Header::PppProtocol, rest.strip_prefix(&[0xff, 0x03]).unwrap_or(rest))),
            Header::PppProtocol => ppp_protocol(rest),
            Header::CiscoHdlc => split_u16(rest, 2, 4).map(|(kind, rest)| (ether_type(kind), rest)),
            Header::Sll => split_u16(rest, 14, 16).map(|(kind, rest)| (sll_type(kind), rest)),
            Header::Sll2 => split_u16(rest, 0, 20).map(|(kind, rest)| (sll_type(kind), rest)),
            Header::Loopback => loopback(rest),
            Header::Nflog => nflog_payload(rest).map(|rest| (Header::Ip, rest)),
            Header::Other => None,
        };
        let Some(next) = step else { break };
        (header, rest) = next;
    }
    match macs {
        Some((destination, source)) => sensor.hash_pair::<6, 12>(destination, source),
        None => sensor.hash(&[]),
    }
}

/// Partition of a key among `count` partitions: 0 to `count` − 1, and 0 for a count of 0.
pub fn partition(key: u64, count: u32) -> u32 {
    let scaled = (u128::from(key) * u128::from(count)) >> 64;
    u32::try_from(scaled).unwrap_or_default() // < count, so it always fits
}

/// Partition that carries a sensor's counters, and its packets that have no address.
pub fn home_partition(sensor: &SensorKey, count: u32) -> u32 {
    partition(sensor.hash(&[]), count)
}

/// What the next bytes of a packet are.
#[derive(Clone, Copy)]
enum Header {
    Ethernet,
    Vlan,
    Mpls,
    Llc,
    Pppoe,
    Ppp,
    PppProtocol,
    CiscoHdlc,
    Sll,
    Sll2,
    Loopback,
    Nflog,
    Ip,
    Other,
}

impl Header {
    fn of_link_type(link_type: u16) -> Self {
        match link_type {
            1 => Self::Ethernet,
            0 | 108 => Self::Loopback,
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            9 | 50 => Self::Ppp,
            51 => Self::Pppoe,
            104 => Self::CiscoHdlc,
            113 => Self::Sll,
            239 => Self::Nflog,
            276 => Self::Sll2,
            _ => Self::Other,
        }
    }
}

/// A header and the bytes from its start.
type Step<'a> = Option<(Header, &'a [u8])>;

/// The big-endian u16 at `offset`, and the bytes after the first `header_length`.
fn split_u16(bytes: &[u8], offset: usize, header_length: usize) -> Option<(u16, &[u8])> {
    let (header, rest) = bytes.split_at_checked(header_length)?;
    let value = header.get(offset..)?.first_chunk::<2>()?;
    Some((u16::from_be_bytes(*value), rest))
}

/// The two addresses of `N` bytes that `bytes` starts with.
fn pair<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    Some((first, rest.first_chunk::<N>()?))
}

fn ip_pair(sensor: &SensorKey, bytes: &[u8]) -> Option<u64> {
    match bytes.first()? >> 4 {
        4 => pair::<4>(bytes.get(12..)?).map(|(a, b)| {
            let (a, b) = (u32::from_be_bytes(*a), u32::from_be_bytes(*b));
            sensor.hash(&(u64::from(a.min(b)) << 32 | u64::from(a.max(b))).to_be_bytes())
        }),
        6 => pair::<16>(bytes.get(8..)?).map(|(a, b)| sensor.hash_pair::<16, 32>(a, b)),
        _ => None,
    }
}

fn ethernet(bytes: &[u8]) -> Step<'_> {
    let (kind, rest) = split_u16(bytes, 12, 14)?;
    Some((ether_type(kind), rest))
}

fn ether_type(kind: u16) -> Header {
    match kind {
        0x0800 | 0x86dd => Header::Ip,
        0x8100 | 0x88a8 | 0x9100 => Header::Vlan,
        0x8847 | 0x8848 => Header::Mpls,
        0x8864 => Header::Pppoe,
        0..0x0600 => Header::Llc,
        _ => Header::Other,
    }
}

/// Linux's cooked headers have protocol numbers of their own below 0x0600; 4 is LLC.
fn sll_type(kind: u16) -> Header {
    match kind {
        4 => Header::Llc,
        0..0x0600 => Header::Other,
        _ => ether_type(kind),
    }
}

fn mpls(bytes: &[u8]) -> Step<'_> {
    const BOTTOM_OF_STACK: u8 = 1;
    let (entry, rest) = bytes.split_first_chunk::<4>()?;
    if entry[2] & BOTTOM_OF_STACK == 0 {
        return Some((Header::Mpls, rest));
    }
    match rest.first()? >> 4 {
        4 | 6 => Some((Header::Ip, rest)),
        0 => Some((Header::Ethernet, rest.get(4..)?)), // pseudowire control word, RFC 4385 §3
        _ => None,
    }
}

fn llc(bytes: &[u8]) -> Step<'_> {
    match bytes {
        [0xaa, 0xaa, 0x03, 0, 0, 0x00 | 0xf8, high, low, rest @ ..] => {
            Some((ether_type(u16::from_be_bytes([*high, *low])), rest))
        }
        [0x06, 0x06, 0x03, rest @ ..] => Some((Header::Ip, rest)),
        _ => None,
    }
}

/// A protocol field may be compressed to its low byte, which is always odd (RFC 1661 §6.5).
fn ppp_protocol(bytes: &[u8]) -> Step<'_> {
    let (protocol, rest) = match bytes {
        [low, rest @ ..] if low & 1 == 1 => (u16::from(*low), rest),
        [high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        _ => return None,
    };
    match protocol {
        0x0021 | 0x0057 => Some((Header::Ip, rest)),
        0x0281 | 0x0283 => Some((Header::Mpls, rest)),
        _ => None,
    }
}

/// The family is in the byte order of the machine that captured, which the file need not share.
fn loopback(bytes: &[u8]) -> Step<'_> {
    let (family, rest) = bytes.split_first_chunk::<4>()?;
    let family = match u32::from_be_bytes(*family) {
        big if big > 0xffff => big.swap_bytes(),
        big => big,
    };
    // AF_INET everywhere; AF_INET6 of Linux, NetBSD, FreeBSD and macOS.
    matches!(family, 2 | 10 | 24 | 28 | 30).then_some((Header::Ip, rest))
}

fn nflog_payload(bytes: &[u8]) -> Option<&[u8]> {
    const PAYLOAD: u16 = 9;
    let mut rest = bytes.get(4..)?;
    let first_length = usize::from(u16::from_le_bytes(*rest.first_chunk()?));
    let little_endian = (4..=rest.len()).contains(&first_length);
    let read = |pair: [u8; 2]| {
        if little_endian { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    };
    for _ in 0..MAX_NFLOG_ATTRIBUTES {
        let [l0, l1, t0, t1] = *rest.first_chunk::<4>()?;
        let length = usize::from(read([l0, l1]));
        if length < 4 {
            return None;
        }
        if read([t0, t1]) == PAYLOAD {
            // A packet cut by the snap length keeps the length the attribute had.
            return rest.get(4..length.min(rest.len()));
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
#[path = "partition_key_tests.rs"]
mod tests;
