//! What errors of both ICMPs hold: a quoted packet, and extension objects (RFC 4884).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use weir_contract::{Spares, WeirdReason, record};

use crate::{
    checksum,
    cursor::{Cursor, Malformed},
    flow::protocol,
    limits::LIST_MAX,
};

/// Extension headers of a quoted IPv6 packet that are gone through.
const EXTENSIONS_MAX: usize = 8;

/// Where extensions lie in messages of routers that came before RFC 4884 (its §5.5), and the least
/// that a quoted packet is padded to.
const LEGACY_QUOTE_BYTES: usize = 128;

/// The head of the packet that an error quotes. Quotes are cut, so what is missing is no error.
pub(super) struct Original {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    /// For ICMP type and code; absent in fragments but the first.
    pub(super) ports: Option<(u16, u16)>,
}

impl Original {
    pub(super) fn read(mut quoted: Cursor<'_>) -> Option<Self> {
        let mut quoted = quoted.rest();
        match quoted.peek().first()? >> 4 {
            4 => Self::read_ipv4(&mut quoted).ok(),
            6 => Self::read_ipv6(&mut quoted).ok(),
            _ => None,
        }
    }

    fn read_ipv4(quoted: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let header_bytes = usize::from(quoted.u8()? & 15) * 4;
        quoted.skip(5)?;
        let is_first = quoted.u16()? & 0x1fff == 0;
        quoted.skip(1)?;
        let protocol = quoted.u8()?;
        quoted.skip(2)?;
        let src: Ipv4Addr = quoted.array::<4>()?.into();
        let dst: Ipv4Addr = quoted.array::<4>()?.into();
        let ports = if is_first { read_ports(quoted.at(header_bytes), protocol) } else { None };
        Ok(Self { src: src.into(), dst: dst.into(), protocol, ports })
    }

    fn read_ipv6(quoted: &mut Cursor<'_>) -> Result<Self, Malformed> {
        quoted.skip(6)?;
        let next_header = quoted.u8()?;
        quoted.skip(1)?;
        let src: Ipv6Addr = quoted.array::<16>()?.into();
        let dst: Ipv6Addr = quoted.array::<16>()?.into();
        let (protocol, is_first) = skip_extensions(quoted, next_header);
        let ports = if is_first { read_ports(*quoted, protocol) } else { None };
        Ok(Self { src: src.into(), dst: dst.into(), protocol, ports })
    }
}

/// Goes to the upper-layer header: its protocol, and whether it is there and not in another fragment.
fn skip_extensions(quoted: &mut Cursor<'_>, mut next_header: u8) -> (u8, bool) {
    for _ in 0..EXTENSIONS_MAX {
        let read = match next_header {
            0 | 43 | 60 => skip_extension(quoted),
            44 => quoted.array::<8>().map(|[next, _, high, low, ..]| (next, high == 0 && low & !7 == 0)),
            _ => return (next_header, true),
        };
        match read {
            Ok((next, true)) => next_header = next,
            Ok((next, false)) => return (next, false),
            Err(_) => return (next_header, false),
        }
    }
    (next_header, false)
}

fn skip_extension(quoted: &mut Cursor<'_>) -> Result<(u8, bool), Malformed> {
    let next_header = quoted.u8()?;
    let length = usize::from(quoted.u8()?) * 8 + 6;
    quoted.skip(length)?;
    Ok((next_header, true))
}

fn read_ports(mut header: Cursor<'_>, ip_protocol: u8) -> Option<(u16, u16)> {
    use protocol::{DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};
    match ip_protocol {
        TCP | UDP | UDP_LITE | SCTP | DCCP => Some((header.u16().ok()?, header.u16().ok()?)),
        ICMP | ICMPV6 => Some((header.u8().ok()?.into(), header.u8().ok()?.into())),
        _ => None,
    }
}

/// Parts what follows an error's first eight bytes into the quoted packet and the extensions behind
/// it, if there are any. `quoted_bytes` is what the message says of the former, 0 for nothing.
pub(super) fn split(mut body: Cursor<'_>, quoted_bytes: usize) -> (Cursor<'_>, Option<Cursor<'_>>) {
    let whole = body;
    let length = if quoted_bytes == 0 { LEGACY_QUOTE_BYTES } else { quoted_bytes };
    let quoted = body.message_up_to(length);
    let structure = body.rest();
    let [version, _, high, low, ..] = *structure.peek() else { return (whole, None) };
    let has_checksum = high != 0 || low != 0;
    let is_right = checksum::is_right(checksum::sum(structure.peek()));
    // Old messages don't say that extensions follow, so that only the checksum tells them from data.
    let is_structure = version >> 4 == 2 && (is_right || !has_checksum && quoted_bytes > 0);
    if is_structure { (quoted, Some(structure)) } else { (whole, None) }
}

const MPLS_LABEL_STACK: u8 = 1;

/// Lists the objects of an extension structure (RFC 4884 §7, §8).
pub(super) fn push_extensions(
    list: &mut Vec<record::IcmpExtension>,
    spares: &mut Spares,
    mut structure: Cursor<'_>,
) -> Result<(), Malformed> {
    structure.skip(4)?;
    while !structure.is_empty() {
        if list.len() == LIST_MAX {
            return Err(structure.malformed(WeirdReason::Limit, "more than 100 extension objects"));
        }
        let length = usize::from(structure.u16()?);
        let class = structure.u8()?;
        let class_type = structure.u8()?;
        let Some(length) = length.checked_sub(4) else {
            return Err(structure.malformed(WeirdReason::BadLength, "extension object is shorter than its header"));
        };
        let mut data = structure.message_of(length)?;
        let mut extension: record::IcmpExtension = spares.take();
        extension.class = class.into();
        extension.class_name.push_str(class_name(class));
        extension.r#type = class_type.into();
        extension.data.extend_from_slice(data.peek());
        while class == MPLS_LABEL_STACK
            && extension.mpls_labels.len() < LIST_MAX
            && let Ok(entry) = data.u32()
        {
            extension.mpls_labels.push(entry >> 12);
        }
        list.push(extension);
    }
    Ok(())
}

/// IANA ICMP extension object classes.
fn class_name(class: u8) -> &'static str {
    match class {
        MPLS_LABEL_STACK => "mpls-label-stack",
        2 => "interface-information",
        3 => "interface-identification",
        4 => "extended-information",
        5 => "node-identification",
        _ => "",
    }
}
