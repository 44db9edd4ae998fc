//! GTP-U (3GPP TS 29.281 §5): one record per message, and the user's packets in G-PDUs.
//!
//! ```text
//! |Version|PT|*|E|S|PN| Message Type  |             Length            |
//! |                  Tunnel Endpoint Identifier                       |
//! |        Sequence Number        |  N-PDU Number | Next Extension    |  with E, S or PN
//! ```

use weir_contract::{WeirdReason, record};

use super::{Key, Layer, Next, Tunnel, Walk, tunnel};
use crate::{
    cursor::{Cursor, Malformed},
    flow::Encapsulation,
    limits::{LIST_MAX, TEXT_MAX},
    output::Draft,
};

pub(crate) struct GtpU;

impl Layer for GtpU {
    const NAME: &'static str = "gtp_u";
    const KEYS: &'static [Key] = &[Key::UdpPort(2152)];

    /// Version 1, a message of GTP-U, and a length that fits: a cut G-PDU is accepted for the packet in it.
    fn accepts(bytes: &[u8]) -> bool {
        let mut input = Cursor::new(bytes);
        let Ok(header) = Header::read(&mut input) else { return false };
        if header.flags & !OPTIONAL_FIELDS != VERSION_1 || message_name(header.message_type).is_empty() {
            return false;
        }
        let is_whole = usize::from(header.length) == bytes.len() - FIXED_BYTES;
        is_whole || header.message_type == G_PDU && holds_ip(&header, input)
    }

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let header = Header::read(&mut input)?;
        input = input.message_up_to(usize::from(header.length).saturating_sub(header.optional_bytes()));
        let extensions = input;
        let skipped = skip_extensions(&header, &mut input);
        if let Some(mut gtp) = walk.record::<record::GtpU>() {
            header.fill(&mut gtp);
            gtp.truncated = skipped.is_err();
            fill_extensions(&header, extensions, &mut gtp);
            if header.message_type != G_PDU && skipped.is_ok() {
                if let Err(malformed) = fill_elements(input, &mut gtp) {
                    gtp.truncated = true;
                    gtp.note(malformed);
                }
            } else if skipped.is_ok() {
                gtp.payload_bytes = input.remaining_u32();
            }
        }
        skipped?;
        // A session may carry other things than IP; only the control plane knows which.
        let Some(key) = tunnel::ip_version(input.peek()).filter(|_| header.message_type == G_PDU) else {
            return Ok(Next::End);
        };
        let tunnel = Tunnel { kind: "gtp_u", identifier: Some(header.teid), encapsulation: Encapsulation::default() };
        walk.enter_tunnel(tunnel, key, input.rest())
    }
}

const FIXED_BYTES: usize = 8;
/// Version 1 and protocol type 1, the spare bit 0.
const VERSION_1: u8 = 0x30;
const EXTENSION: u8 = 4;
const SEQUENCE: u8 = 2;
const N_PDU: u8 = 1;
const OPTIONAL_FIELDS: u8 = EXTENSION | SEQUENCE | N_PDU;
const G_PDU: u8 = 255;

struct Header {
    flags: u8,
    message_type: u8,
    length: u16,
    teid: u32,
    /// All three are there if one of them is valid.
    sequence: u16,
    npdu_number: u8,
    next_extension: u8,
}

impl Header {
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut header = Self {
            flags: input.u8()?,
            message_type: input.u8()?,
            length: input.u16()?,
            teid: input.u32()?,
            sequence: 0,
            npdu_number: 0,
            next_extension: 0,
        };
        if header.optional_bytes() > 0 {
            header.sequence = input.u16()?;
            header.npdu_number = input.u8()?;
            header.next_extension = input.u8()?;
        }
        Ok(header)
    }

    fn optional_bytes(&self) -> usize {
        if self.flags & OPTIONAL_FIELDS == 0 { 0 } else { 4 }
    }

    /// Type of the first extension header; 0 for none.
    fn first_extension(&self) -> u8 {
        if self.flags & EXTENSION == 0 { 0 } else { self.next_extension }
    }

    fn fill(&self, gtp: &mut record::GtpU) {
        gtp.message_type = self.message_type.into();
        gtp.message_name.push_str(message_name(self.message_type));
        gtp.length_bytes = self.length.into();
        gtp.teid = self.teid.into();
        gtp.sequence = (self.flags & SEQUENCE != 0).then(|| self.sequence.into());
        gtp.npdu_number = (self.flags & N_PDU != 0).then(|| self.npdu_number.into());
    }
}

fn holds_ip(header: &Header, mut input: Cursor<'_>) -> bool {
    skip_extensions(header, &mut input).is_ok() && tunnel::ip_version(input.peek()).is_some()
}

/// Extension headers in one message. More than a handful make no sense.
const EXTENSIONS_MAX: usize = 16;

/// Content of an extension header, and the type of the next one (§5.2.1). The length counts words of
/// 4 bytes, itself and the next type included.
fn next_extension<'a>(input: &mut Cursor<'a>) -> Result<(&'a [u8], u8), Malformed> {
    let words = usize::from(input.u8()?);
    let Some(content_bytes) = (words * 4).checked_sub(2) else {
        return Err(input.malformed(WeirdReason::BadLength, "extension header of no length"));
    };
    Ok((input.take(content_bytes)?, input.u8()?))
}

fn skip_extensions(header: &Header, input: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut extension_type = header.first_extension();
    for _ in 0..EXTENSIONS_MAX {
        if extension_type == 0 {
            return Ok(());
        }
        (_, extension_type) = next_extension(input)?;
    }
    Err(input.malformed(WeirdReason::Limit, "too many extension headers"))
}

fn fill_extensions(header: &Header, mut input: Cursor<'_>, gtp: &mut Draft<'_, record::GtpU>) {
    let mut extension_type = header.first_extension();
    while extension_type != 0 && gtp.extension_headers.len() < EXTENSIONS_MAX {
        let Ok((content, next_type)) = next_extension(&mut input) else { return };
        if let (PDU_SESSION_CONTAINER, [first, second, ..]) = (extension_type, content) {
            gtp.pdu_type = Some((first >> 4).into());
            gtp.qos_flow_id = Some((second & 0x3f).into());
        }
        let mut extension: record::GtpUExtension = gtp.spare();
        extension.r#type = extension_type.into();
        extension.name.push_str(extension_name(extension_type));
        extension.data.extend_from_slice(content);
        gtp.extension_headers.push(extension);
        extension_type = next_type;
    }
}

/// Elements of types below 128 have the length that their type gives them, others say it (§8.1).
fn fill_elements(mut input: Cursor<'_>, gtp: &mut Draft<'_, record::GtpU>) -> Result<(), Malformed> {
    while !input.is_empty() {
        if gtp.elements.len() >= LIST_MAX {
            return Err(input.malformed(WeirdReason::Limit, "too many information elements"));
        }
        let element_type = input.u8()?;
        let length = match element_type {
            RECOVERY => 1,
            TEID_DATA => 4,
            0..128 => return Err(input.malformed(WeirdReason::BadValue, "information element of unknown length")),
            EXTENSION_TYPE_LIST => input.u8()?.into(),
            _ => usize::from(input.u16()?),
        };
        let data = input.message_up_to(length);
        let mut element: record::GtpUElement = gtp.spare();
        element.r#type = element_type.into();
        element.name.push_str(element_name(element_type));
        element.data.extend_from_slice(data.peek().get(..TEXT_MAX).unwrap_or(data.peek()));
        gtp.elements.push(element);
        if data.remaining() > TEXT_MAX {
            gtp.note(data.malformed(WeirdReason::Limit, "information element is too long to be kept whole"));
        }
        if data.remaining() < length {
            return Err(input.malformed(WeirdReason::Truncated, "ends in an information element"));
        }
    }
    Ok(())
}

/// TS 29.281 §6.1.
fn message_name(number: u8) -> &'static str {
    match number {
        1 => "echo_request",
        2 => "echo_response",
        26 => "error_indication",
        31 => "supported_extension_headers_notification",
        253 => "tunnel_status",
        254 => "end_marker",
        G_PDU => "g_pdu",
        _ => "",
    }
}

const PDU_SESSION_CONTAINER: u8 = 0x85;

/// TS 29.281 §5.2.1, and TS 29.060 for those of GTP-C version 1 that are met here.
fn extension_name(number: u8) -> &'static str {
    match number {
        0x03 => "long_pdcp_pdu_number",
        0x20 => "service_class_indicator",
        0x40 => "udp_port",
        0x81 => "ran_container",
        0x82 => "long_pdcp_pdu_number",
        0x83 => "xw_ran_container",
        0x84 => "nr_ran_container",
        PDU_SESSION_CONTAINER => "pdu_session_container",
        0xc0 => "pdcp_pdu_number",
        _ => "",
    }
}

const RECOVERY: u8 = 14;
const TEID_DATA: u8 = 16;
const EXTENSION_TYPE_LIST: u8 = 141;

/// TS 29.281 §8.1.
fn element_name(number: u8) -> &'static str {
    match number {
        RECOVERY => "recovery",
        TEID_DATA => "teid_data",
        133 => "peer_address",
        EXTENSION_TYPE_LIST => "extension_header_type_list",
        230 => "tunnel_status",
        255 => "private_extension",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
