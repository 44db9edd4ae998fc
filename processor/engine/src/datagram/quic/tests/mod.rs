//! Packets made as a client or server would make them, and what becomes of them.

#![allow(clippy::unwrap_used)]

mod handshake;
mod hostile;
mod vectors;

use aes::{
    Aes128, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use aes_gcm::{Aes128Gcm, aead::AeadInOut};

use weir_contract::{WeirdReason, record};

use super::{connection::Sender, keys::InitialSecret, version::Version};
use crate::testing::{ETHERNET, Records, decode, udp, udp_back};

/// The client's first destination in RFC 9001 appendix A and RFC 9369 appendix A.
const DESTINATION: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

/// The server's identifier there.
const SERVER: [u8; 8] = [0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5];

const VERSION_1: u32 = 1;
const VERSION_2: u32 = 0x6b33_43cf;

/// The client hello of RFC 9001 appendix A.2: `example.com`, ALPN `alpn`.
const CLIENT_HELLO: &str = "
    010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302
    010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007
    000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa
    71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d000201
    01001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff080110010480007530090110
    0f088394c8f03e51570806048000ffff";

/// The server hello of appendix A.3.
const SERVER_HELLO: &str = "
    020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a1200130100002e00
    330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// An Initial packet to be made.
#[derive(Clone)]
struct Initial<'a> {
    version: u32,
    sender: Sender,
    /// What the keys are made of.
    key_source: &'a [u8],
    destination: &'a [u8],
    source: &'a [u8],
    token: &'a [u8],
    number: u32,
}

/// The client's first one in version 1.
const FIRST: Initial<'static> = Initial {
    version: VERSION_1,
    sender: Sender::Client,
    key_source: &DESTINATION,
    destination: &DESTINATION,
    source: &[],
    token: &[],
    number: 0,
};

/// The server's answer.
const ANSWER: Initial<'static> = Initial { sender: Sender::Server, destination: &[], source: &SERVER, ..FIRST };

impl Initial<'_> {
    /// The packet with protection (RFC 9001 §5), its number of four bytes.
    fn seal(&self, payload: &[u8]) -> Vec<u8> {
        self.seal_with(0xc0, payload)
    }

    fn seal_without_fixed_bit(&self, payload: &[u8]) -> Vec<u8> {
        self.seal_with(0x80, payload)
    }

    /// `form` is the first byte's upper bits.
    fn seal_with(&self, form: u8, payload: &[u8]) -> Vec<u8> {
        let version = Version::of(self.version).unwrap();
        let keys = InitialSecret::candidates(version, self.key_source).next().unwrap().keys().unwrap();
        let keys = match self.sender {
            Sender::Client => keys.client,
            Sender::Server => keys.server,
        };
        let kind = if version.is_second { 0x10 } else { 0 };
        let mut packet = vec![form | kind | 3];
        packet.extend(self.version.to_be_bytes());
        for id in [self.destination, self.source] {
            packet.push(u8::try_from(id.len()).unwrap());
            packet.extend(id);
        }
        packet.extend(varint(self.token.len()));
        packet.extend(self.token);
        packet.extend(varint(4 + payload.len() + 16));
        let number_at = packet.len();
        packet.extend(self.number.to_be_bytes());
        let mut nonce = keys.iv;
        nonce.iter_mut().rev().zip(self.number.to_le_bytes()).for_each(|(byte, number)| *byte ^= number);
        let mut sealed = payload.to_vec();
        let cipher = Aes128Gcm::new(&keys.key.into());
        let tag = cipher.encrypt_inout_detached(&nonce.into(), &packet, sealed.as_mut_slice().into()).unwrap();
        packet.extend(sealed);
        packet.extend(tag);
        let sample: [u8; 16] = packet[number_at + 4..number_at + 20].try_into().unwrap();
        let mut mask = Block::from(sample);
        Aes128::new(&keys.header.into()).encrypt_block(&mut mask);
        packet[0] ^= mask[0] & 0x0f;
        (0..4).for_each(|at| packet[number_at + at] ^= mask[1 + at]);
        packet
    }
}

/// A length as a variable-length integer of two bytes.
fn varint(value: usize) -> Vec<u8> {
    match u16::try_from(value).unwrap() {
        small @ 0..64 => vec![small.to_be_bytes()[1]],
        large => (0x4000 | large).to_be_bytes().to_vec(),
    }
}

/// A CRYPTO frame.
fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    [&[6][..], &varint(offset), &varint(data.len()), data].concat()
}

/// What becomes of datagrams of the client's.
fn from_client(datagrams: &[Vec<u8>]) -> Records {
    exchange(&datagrams.iter().map(|datagram| (Sender::Client, datagram.clone())).collect::<Vec<_>>())
}

/// What becomes of datagrams of either side, a millisecond apart.
fn exchange(datagrams: &[(Sender, Vec<u8>)]) -> Records {
    let records = decode(ETHERNET, &datagrams.iter().map(frame).collect::<Vec<_>>());
    let failed = records.of::<record::Weird>().into_iter().any(|weird| weird.reason() == WeirdReason::DecoderError);
    assert!(!failed, "the decoder panicked");
    records
}

fn frame((sender, datagram): &(Sender, Vec<u8>)) -> Vec<u8> {
    match sender {
        Sender::Client => udp(50_000, 443, datagram),
        Sender::Server => udp_back(443, 50_000, datagram),
    }
}
