//! NetBIOS names and data (RFC 1001 §14, RFC 1002 §4.2).

use weir_contract::{WeirdReason, text::push_escaped};

use super::{
    name::{self, Labels, push_label},
    text::{push_hex, push_number},
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::TEXT_MAX,
    output::push_address,
};

/// Bytes of a NetBIOS name; the last is its suffix.
const NAME_BYTES: usize = 16;

/// A label that holds a NetBIOS name: half a byte in each letter.
pub(super) const LABEL_BYTES: u8 = 32;

/// Appends a name and its scope, if it has one; returns the name's suffix. A dot in the name is kept: it is
/// the machine's whole DNS name, or its beginning, more often than not. Names that are not encoded are appended as
/// DNS names. Flaws are as with [`name::read`].
pub(super) fn read_name(
    input: &mut Cursor<'_>,
    out: &mut String,
    scope: &mut String,
) -> Result<(Option<u8>, Option<Malformed>), Malformed> {
    let mut labels = Labels::of(input);
    let first = labels.next().ok().flatten().and_then(decode);
    let Some([text @ .., suffix]) = first else {
        let not_encoded = input.malformed(WeirdReason::BadEncoding, "name is not encoded as NetBIOS names are");
        let flaw = name::read(input, out)?;
        return Ok((None, flaw.or(Some(not_encoded))));
    };
    push_escaped(out, without_padding(&text));
    let flaw = loop {
        match labels.next() {
            Ok(Some(label)) => {
                if !scope.is_empty() {
                    scope.push('.');
                }
                push_label(scope, label);
            }
            Ok(None) => break None,
            Err(flaw) => break Some(flaw),
        }
    };
    Ok((Some(suffix), labels.finish(input, flaw)?))
}

/// First-level decoding: letters from A, for half a byte each.
fn decode(label: &[u8]) -> Option<[u8; NAME_BYTES]> {
    let mut name = [0; NAME_BYTES];
    let (pairs, []) = label.as_chunks() else { return None };
    if pairs.len() != NAME_BYTES {
        return None;
    }
    for (byte, [high, low]) in name.iter_mut().zip(pairs) {
        if !(b'A'..=b'P').contains(high) || !(b'A'..=b'P').contains(low) {
            return None;
        }
        *byte = (high - b'A') << 4 | (low - b'A');
    }
    Some(name)
}

/// Names are filled up with spaces; the wildcard `*` with zeros.
fn without_padding(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|&byte| byte != b' ' && byte != 0).map_or(0, |last| last + 1);
    name.get(..end).unwrap_or_default()
}

/// The data of a NAME QUERY RESPONSE: flags and addresses of the name's owners. Appends them as
/// `address group|unique node-type`, separated by `, `; returns the first.
pub(super) fn push_owners(data: &mut Cursor<'_>, out: &mut String) -> Result<Option<(u16, [u8; 4])>, Malformed> {
    const NODE_TYPES: [&str; 4] = ["b-node", "p-node", "m-node", "h-node"];
    let mut first = None;
    while !data.is_empty() && out.len() <= TEXT_MAX {
        let flags = data.u16()?;
        let address = data.array::<4>()?;
        if first.replace(first.unwrap_or((flags, address))).is_some() {
            out.push_str(", ");
        }
        push_address(out, address.into());
        out.push_str(kind(flags));
        out.push(' ');
        out.push_str(NODE_TYPES[usize::from(flags >> 13 & 3)]);
    }
    Ok(first)
}

fn kind(flags: u16) -> &'static str {
    if flags >> 15 == 1 { " group" } else { " unique" }
}

/// The data of a NODE STATUS RESPONSE: names with their suffixes and flags, and the unit's identifier, which
/// is its hardware address. The statistics behind it are left unread.
pub(super) fn push_status(data: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    const FLAGS: [(u16, &str); 4] =
        [(0x1000, " deregistering"), (0x0800, " conflict"), (0x0400, " active"), (0x0200, " permanent")];
    for _ in 0..data.u8()? {
        let [name @ .., suffix] = data.array::<NAME_BYTES>()?;
        let flags = data.u16()?;
        push_escaped(out, without_padding(&name));
        out.push('<');
        push_hex(out, &[suffix]);
        out.push('>');
        out.push_str(kind(flags));
        for (flag, name) in FLAGS {
            if flags & flag != 0 {
                out.push_str(name);
            }
        }
        out.push_str(", ");
    }
    out.push_str("unit ");
    crate::output::push_mac(out, &data.array::<6>()?);
    data.rest();
    Ok(())
}

/// The data of a WAIT FOR ACKNOWLEDGEMENT: the flags of the request that takes long.
pub(super) fn push_wait(data: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    push_number(out, data.u16()?);
    Ok(())
}
