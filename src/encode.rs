//! Encoding records in one pass.

/// A message that appends its own encoding.
pub trait Encode {
    /// Appends the protobuf encoding: fields by their numbers, as prost would.
    fn encode_to(&self, out: &mut Vec<u8>);
}

/// The pieces of protobuf's wire format that encoders are made of.
pub mod wire {
    use prost::encoding::encode_varint;

    /// Appends a number of 7 bits a byte, the least significant first.
    #[inline]
    pub fn varint(out: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push((value & 0x7f) as u8);
    }

    /// Appends a field of bytes.
    #[inline]
    pub fn bytes(out: &mut Vec<u8>, key: &[u8], bytes: &[u8]) {
        out.extend_from_slice(key);
        varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }

    /// Appends a field whose length is known only when it is written. One byte is left for the length,
    /// which suffices for nearly all; others are moved on.
    #[inline]
    pub fn message(out: &mut Vec<u8>, key: &[u8], push: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(key);
        out.push(0);
        let begin = out.len();
        push(out);
        let length = out.len() - begin;
        if length < 0x80 {
            if let (Some(slot), Ok(length)) = (out.get_mut(begin - 1), u8::try_from(length)) {
                *slot = length;
            }
            return;
        }
        lengthen(out, begin, length);
    }

    #[cold]
    fn lengthen(out: &mut Vec<u8>, begin: usize, length: usize) {
        let mut prefix = [0; 10];
        let mut unused = &mut prefix[..];
        encode_varint(length as u64, &mut unused);
        let used = 10 - unused.len();
        out.splice(begin - 1..begin, prefix.into_iter().take(used));
    }
}

#[allow(clippy::all)]
mod generated {
    use super::{Encode, wire};
    use crate::proto::*;

    include!(concat!(env!("OUT_DIR"), "/encode.rs"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Connection, Meta, Tcp, TcpOption};
    use prost::Message as _;

    #[test]
    fn encoding_is_what_prost_writes() {
        let connection = Connection {
            meta: Some(Meta { ts_ns: -1, vlan: vec![1, 4000], sensor: "s".repeat(200), ..Meta::default() }),
            service: "dns".into(),
            late: true,
            end_reason: 3,
            encapsulation_id: Some(0),
            orig_ttl_min: Some(64),
            resp_gaps: i64::MAX,
            ..Connection::default()
        };
        let tcp = Tcp {
            option_kinds: (0..300).collect(),
            options: vec![TcpOption { kind: 30, name: "mptcp".into(), data: vec![0; 130] }, TcpOption::default()],
            checksum_ok: Some(false),
            ..Tcp::default()
        };
        let mut encoded = Vec::new();
        connection.encode_to(&mut encoded);
        assert_eq!(encoded, connection.encode_to_vec());
        encoded.clear();
        tcp.encode_to(&mut encoded);
        assert_eq!(encoded, tcp.encode_to_vec());
    }
}
