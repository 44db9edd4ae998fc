//! What may stand between a GRE header and the packet in it: an ERSPAN or a WCCP redirect header.

use weir_contract::record;

use super::{Header, protocol};
use crate::{
    cursor::{Cursor, Malformed},
    layers::{Key, tunnel},
};

pub(super) enum Shim {
    None,
    Erspan(Erspan),
    /// The redirect header; none where WCCP version 1 redirects.
    Wccp(Option<u32>),
}

impl Shim {
    pub(super) fn read(header: &Header, input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        match header.protocol {
            // An acknowledgement alone has no payload.
            _ if input.is_empty() => Ok(Self::None),
            protocol::ERSPAN if header.sequence.is_none() => Ok(Self::Erspan(Erspan::Type1)),
            protocol::ERSPAN => Ok(Self::Erspan(Erspan::Type2(input.u64()?))),
            protocol::ERSPAN_III => Erspan::read_type_3(input).map(Self::Erspan),
            // Version 2 put the redirect header in front of the packet under the same number; its
            // first nibble is not the 4 of an IP packet.
            protocol::WCCP if tunnel::ip_version(input.peek()).is_none() => Ok(Self::Wccp(Some(input.u32()?))),
            protocol::WCCP => Ok(Self::Wccp(None)),
            _ => Ok(Self::None),
        }
    }

    pub(super) fn fill(&self, gre: &mut record::Gre) {
        match self {
            Self::Erspan(erspan) => erspan.fill(gre),
            Self::Wccp(redirect) => gre.wccp_redirect = redirect.map(i64::from),
            Self::None => {}
        }
    }
}

/// draft-foschiano-erspan §4.
pub(super) enum Erspan {
    /// No header.
    Type1,
    Type2(u64),
    Type3 {
        first: u64,
        last: u32,
        /// Optional platform specific subheader.
        platform: Option<u64>,
    },
}

impl Erspan {
    fn read_type_3(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let first = input.u64()?;
        let last = input.u32()?;
        let platform = if last & 1 == 1 { Some(input.u64()?) } else { None };
        Ok(Self::Type3 { first, last, platform })
    }

    /// Both headers begin with: version 4 bits, VLAN 12, class of service 3, encapsulation 2,
    /// truncated 1, session 10; index 20 at the end of type II, timestamp 32 in type III.
    fn common(&self) -> Option<u64> {
        match self {
            Self::Type1 => None,
            Self::Type2(header) | Self::Type3 { first: header, .. } => Some(*header),
        }
    }

    pub(super) fn session(&self) -> Option<u32> {
        self.common().map(|header| bits(header, 32, 10))
    }

    /// Type III says by frame type 2 that it carries IP without a frame.
    pub(super) fn payload(&self, payload: &[u8]) -> Key {
        match self {
            Self::Type3 { last, .. } => match bits((*last).into(), 10, 5) {
                0 => tunnel::ETHERNET,
                2 => tunnel::ip_version(payload).unwrap_or(Key::Unnamed),
                _ => Key::Unnamed,
            },
            Self::Type1 | Self::Type2(_) => tunnel::ETHERNET,
        }
    }

    fn fill(&self, gre: &mut record::Gre) {
        gre.erspan_type = Some(match self {
            Self::Type1 => 1,
            Self::Type2(_) => 2,
            Self::Type3 { .. } => 3,
        });
        if let Some(header) = self.common() {
            gre.erspan_version = Some(bits(header, 60, 4));
            gre.erspan_vlan = Some(bits(header, 48, 12));
            gre.erspan_class_of_service = Some(bits(header, 45, 3));
            gre.erspan_encapsulation = Some(bits(header, 43, 2));
            gre.erspan_frame_truncated = Some(bits(header, 42, 1) == 1);
            gre.erspan_session = self.session();
        }
        match *self {
            Self::Type1 => {}
            Self::Type2(header) => gre.erspan_index = Some(bits(header, 0, 20)),
            Self::Type3 { first, last, platform } => {
                let last = u64::from(last);
                gre.erspan_timestamp = Some(bits(first, 0, 32).into());
                gre.erspan_security_group_tag = Some(bits(last, 16, 16));
                gre.erspan_is_frame = Some(bits(last, 15, 1) == 1);
                gre.erspan_frame_type = Some(bits(last, 10, 5));
                gre.erspan_hardware_id = Some(bits(last, 4, 6));
                gre.erspan_is_egress = Some(bits(last, 3, 1) == 1);
                gre.erspan_granularity = Some(bits(last, 1, 2));
                gre.erspan_platform_id = platform.map(|platform| bits(platform, 58, 6));
                gre.erspan_platform_info = platform.map(|platform| (platform & ((1 << 58) - 1)).cast_signed());
            }
        }
    }
}

/// So many bits, up to 32, above the lowest `shift`.
fn bits(value: u64, shift: u32, count: u32) -> u32 {
    u32::try_from(value >> shift & ((1 << count) - 1)).unwrap_or_default()
}
