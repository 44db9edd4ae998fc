//! Encoding records in one pass.

/// A message that appends its own encoding.
pub trait Encode {
    /// Appends the protobuf encoding: fields by their numbers, as prost would.
    fn encode_to(&self, out: &mut Vec<u8>);
}

/// The pieces of protobuf's wire format that encoders are made of.
pub mod wire {
    /// Says in each byte but the last one that more follow.
    const MORE: u64 = 0x8080_8080_8080_8080;

    /// Appends a number of 7 bits a byte, the least significant first.
    #[inline]
    pub fn varint(out: &mut Vec<u8>, value: u64) {
        if value < 0x80 {
            return out.push((value & 0x7f) as u8);
        }
        long_varint(out, value);
    }

    /// All bytes at once: a loop over them ends where the processor can't foresee.
    fn long_varint(out: &mut Vec<u8>, value: u64) {
        // 56 bits in halves of 28, these in halves of 14, and these in halves of 7: one in each byte.
        let mut bytes = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
        bytes = bytes & 0x0000_3fff_0000_3fff | (bytes & 0x0fff_c000_0fff_c000) << 2;
        bytes = bytes & 0x007f_007f_007f_007f | (bytes & 0x3f80_3f80_3f80_3f80) << 1;
        let rest = value >> 56;
        if rest > 0 {
            out.extend_from_slice(&(bytes | MORE).to_le_bytes());
            return varint(out, rest);
        }
        let last = (bytes.ilog2() / 8) as usize;
        let end = out.len() + last + 1;
        out.extend_from_slice(&(bytes | MORE & ((1 << (8 * last)) - 1)).to_le_bytes());
        out.truncate(end);
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
        let mut prefix = Vec::new();
        varint(&mut prefix, length as u64);
        out.splice(begin - 1..begin, prefix);
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
    fn numbers_are_what_prost_writes() {
        for bits in 0..=u64::BITS {
            let greatest = u64::MAX.checked_shr(u64::BITS - bits).unwrap_or_default();
            for value in [greatest, greatest / 2 + 1, greatest / 3 * 2] {
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                wire::varint(&mut ours, value);
                prost::encoding::encode_varint(value, &mut theirs);
                assert_eq!(ours, theirs, "{value}");
            }
        }
    }

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
