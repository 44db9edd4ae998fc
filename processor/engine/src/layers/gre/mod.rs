//! GRE (RFC 2784, RFC 2890, RFC 1701) and the enhanced GRE of PPTP (RFC 2637 §4.1): one record per
//! header, with what stands between it and the payload. NVGRE (RFC 7637) is GRE with a meaning
//! given to the key.
//!
//! ```text
//! |C|R|K|S|s|Recur|A| Flags | Ver |         Protocol Type         |
//! |      Checksum (optional)      |       Offset (optional)       |  with C or R
//! |                         Key (optional)                        |  with K
//! |                    Sequence Number (optional)                 |  with S
//! |                 Acknowledgement Number (version 1)            |  with A
//! |                         Routing (optional)                    |  with R
//! ```

mod shim;

use weir_contract::{WeirdReason, record};

use self::shim::Shim;
use super::{Key, Layer, Next, Tunnel, Walk, tunnel};
use crate::{
    checksum,
    cursor::{Cursor, Malformed},
    flow::{Encapsulation, EncapsulationKind},
    limits::LIST_MAX,
    output::Draft,
};

pub(crate) struct Gre;

impl Layer for Gre {
    const NAME: &'static str = "gre";
    /// IP protocol 47, and GRE in UDP (RFC 8086).
    const KEYS: &'static [Key] = &[Key::IpProtocol(47), Key::UdpPort(4754)];

    /// In UDP only version 0, no bits but those of checksum, key and sequence, and a known payload.
    fn accepts(bytes: &[u8]) -> bool {
        let Ok(header) = Header::read(&mut Cursor::new(bytes)) else { return false };
        header.bits & !(CHECKSUM | KEY | SEQUENCE) == 0 && !tunnel::ether_type_name(header.protocol).is_empty()
    }

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let message = input.peek();
        let header = Header::read(&mut input)?;
        let mut routes = input;
        if header.has(ROUTING) {
            skip_routes(&mut input)?;
        }
        if let Some(payload_bytes) = header.payload_bytes() {
            input = input.message_up_to(payload_bytes);
        }
        let shim = Shim::read(&header, &mut input);
        let is_complete = walk.ip.is_complete;
        if let Some(mut gre) = walk.record::<record::Gre>() {
            header.fill(&mut gre);
            gre.checksum_ok = (header.has(CHECKSUM) && is_complete).then(|| checksum::is_right(checksum::sum(message)));
            if header.has(ROUTING) {
                fill_routes(&mut routes, &mut gre);
            }
            if let Ok(shim) = &shim {
                shim.fill(&mut gre);
            }
            gre.payload_bytes = input.remaining_u32();
        }
        let shim = shim?;
        if input.is_empty() {
            return Ok(Next::End);
        }
        let (tunnel, key) = tunnel(&header, &shim, input.peek());
        walk.enter_tunnel(tunnel, key, input.rest())
    }
}

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const STRICT_SOURCE_ROUTE: u16 = 0x0800;
/// Version 1 only; a reserved flag otherwise.
const ACKNOWLEDGEMENT: u16 = 0x0080;

mod protocol {
    pub(super) const BRIDGED: u16 = 0x6558;
    pub(super) const WCCP: u16 = 0x883e;
    /// ERSPAN types I and II.
    pub(super) const ERSPAN: u16 = 0x88be;
    pub(super) const ERSPAN_III: u16 = 0x22eb;
}

struct Header {
    bits: u16,
    protocol: u16,
    checksum_and_offset: Option<(u16, u16)>,
    key: Option<u32>,
    sequence: Option<u32>,
    acknowledgement: Option<u32>,
}

impl Header {
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let bits = input.u16()?;
        let version = bits & 7;
        if version > 1 {
            return Err(input.malformed(WeirdReason::BadVersion, "version is neither 0 nor 1"));
        }
        let protocol = input.u16()?;
        let mut header =
            Self { bits, protocol, checksum_and_offset: None, key: None, sequence: None, acknowledgement: None };
        if bits & (CHECKSUM | ROUTING) != 0 {
            header.checksum_and_offset = Some((input.u16()?, input.u16()?));
        }
        if header.has(KEY) {
            header.key = Some(input.u32()?);
        }
        if header.has(SEQUENCE) {
            header.sequence = Some(input.u32()?);
        }
        if header.is_pptp() && header.has(ACKNOWLEDGEMENT) {
            header.acknowledgement = Some(input.u32()?);
        }
        Ok(header)
    }

    fn has(&self, bit: u16) -> bool {
        self.bits & bit != 0
    }

    fn is_pptp(&self) -> bool {
        self.bits & 7 == 1
    }

    /// Length of the payload, which version 1 has in the upper half of the key.
    fn payload_bytes(&self) -> Option<usize> {
        let key = self.key.filter(|_| self.is_pptp())?;
        usize::try_from(key >> 16).ok()
    }

    /// Virtual subnet and flow identifier (RFC 7637 §3.2): neither checksum nor sequence number, and
    /// none of the identifiers up to 4095, which are reserved. What has one of those is GRE with a key.
    fn nvgre(&self) -> Option<(u32, u32)> {
        let key = self.key?;
        let is_nvgre = self.bits == KEY && self.protocol == protocol::BRIDGED && key >> 8 > 0xfff;
        is_nvgre.then_some((key >> 8, key & 0xff))
    }

    fn fill(&self, gre: &mut record::Gre) {
        gre.version = (self.bits & 7).into();
        gre.protocol = self.protocol.into();
        gre.protocol_name.push_str(tunnel::ether_type_name(self.protocol));
        gre.checksum = self.checksum_and_offset.filter(|_| self.has(CHECKSUM)).map(|(checksum, _)| checksum.into());
        gre.route_offset_bytes =
            self.checksum_and_offset.filter(|_| self.has(ROUTING)).map(|(_, offset)| offset.into());
        gre.sequence = self.sequence.map(i64::from);
        gre.acknowledgement = self.acknowledgement.map(i64::from);
        gre.strict_source_route = self.has(STRICT_SOURCE_ROUTE);
        gre.recursion_control = (self.bits >> 8 & 7).into();
        let flags = self.bits >> 3 & 0x1f;
        if self.is_pptp() {
            gre.payload_length_bytes = self.key.map(|key| key >> 16);
            gre.call_id = self.key.map(|key| key & 0xffff);
            gre.flags = (flags & 0x0f).into();
        } else {
            gre.key = self.key.map(i64::from);
            gre.flags = flags.into();
        }
        if let Some((subnet, flow)) = self.nvgre() {
            gre.virtual_subnet_id = Some(subnet);
            gre.nvgre_flow_id = Some(flow);
        }
    }
}

struct Route<'a> {
    family: u16,
    offset: u8,
    data: &'a [u8],
}

/// Source route entries end with one of no family and no length (RFC 1701).
fn next_route<'a>(input: &mut Cursor<'a>) -> Result<Option<Route<'a>>, Malformed> {
    let family = input.u16()?;
    let offset = input.u8()?;
    let length = input.u8()?;
    if family == 0 && length == 0 {
        return Ok(None);
    }
    Ok(Some(Route { family, offset, data: input.take(length.into())? }))
}

fn skip_routes(input: &mut Cursor<'_>) -> Result<(), Malformed> {
    while next_route(input)?.is_some() {}
    Ok(())
}

fn fill_routes(input: &mut Cursor<'_>, gre: &mut Draft<'_, record::Gre>) {
    while let Ok(Some(Route { family, offset, data })) = next_route(input) {
        if gre.routes.len() >= LIST_MAX {
            return gre.note(input.malformed(WeirdReason::Limit, "too many source route entries"));
        }
        let mut route: record::GreRoute = gre.spare();
        route.address_family = family.into();
        route.offset_bytes = offset.into();
        route.data.extend_from_slice(data);
        gre.routes.push(route);
    }
}

/// What the header makes of the payload: which kind of tunnel, and what is in it.
fn tunnel(header: &Header, shim: &Shim, payload: &[u8]) -> (Tunnel, Key) {
    let none = Encapsulation::default();
    let by = |kind, id| Encapsulation { kind, id };
    match (shim, header.nvgre()) {
        (Shim::Erspan(erspan), _) => {
            let session = erspan.session();
            let encapsulation = by(EncapsulationKind::Erspan, session.unwrap_or_default());
            (Tunnel { kind: "erspan", identifier: session, encapsulation }, erspan.payload(payload))
        }
        (Shim::Wccp(_), _) => (Tunnel { kind: "gre", identifier: None, encapsulation: none }, tunnel::IPV4),
        (Shim::None, Some((subnet, _))) => {
            let encapsulation = by(EncapsulationKind::Nvgre, subnet);
            (Tunnel { kind: "nvgre", identifier: Some(subnet), encapsulation }, tunnel::ETHERNET)
        }
        // A call has an identifier at each end, so its directions must not be told apart by them.
        (Shim::None, None) if header.is_pptp() => {
            let call = header.key.map(|key| key & 0xffff);
            (Tunnel { kind: "pptp", identifier: call, encapsulation: none }, Key::EtherType(header.protocol))
        }
        (Shim::None, None) => {
            let encapsulation = header.key.map_or(none, |key| by(EncapsulationKind::Gre, key));
            (Tunnel { kind: "gre", identifier: header.key, encapsulation }, Key::EtherType(header.protocol))
        }
    }
}

#[cfg(test)]
mod tests;
