//! Frames of Initial packets (RFC 9000 §12.4, §19): CRYPTO and CONNECTION_CLOSE, read past PADDING, PING and ACK.

use weir_contract::WeirdReason;

use crate::cursor::{Cursor, Malformed};

/// A frame that a record is made of.
pub(super) enum Frame<'a> {
    /// A piece of the TLS messages, and where in them it belongs.
    Crypto {
        offset: u64,
        data: Cursor<'a>,
    },
    Close(Close<'a>),
}

/// A CONNECTION_CLOSE frame of the transport.
pub(super) struct Close<'a> {
    pub(super) error_code: u64,
    /// Type of the frame that caused the error.
    pub(super) frame_type: u64,
    pub(super) reason: Cursor<'a>,
}

const PADDING: u64 = 0x00;
const PING: u64 = 0x01;
const ACK: u64 = 0x02;
const ACK_ECN: u64 = 0x03;
const CRYPTO: u64 = 0x06;
const CONNECTION_CLOSE: u64 = 0x1c;

/// The next frame that is of interest; `None` behind the last one.
pub(super) fn next<'a>(payload: &mut Cursor<'a>) -> Result<Option<Frame<'a>>, Malformed> {
    while !payload.is_empty() {
        let at = *payload;
        match varint(payload)? {
            PADDING => skip_padding(payload)?,
            PING => {}
            frame_type @ (ACK | ACK_ECN) => skip_ack(payload, frame_type)?,
            CRYPTO => {
                let offset = varint(payload)?;
                let length = length(payload)?;
                return Ok(Some(Frame::Crypto { offset, data: payload.message_of(length)? }));
            }
            CONNECTION_CLOSE => {
                let (error_code, frame_type) = (varint(payload)?, varint(payload)?);
                let length = length(payload)?;
                let reason = payload.message_of(length)?;
                return Ok(Some(Frame::Close(Close { error_code, frame_type, reason })));
            }
            _ => return Err(at.malformed(WeirdReason::BadValue, "frame that Initial packets may not hold")),
        }
    }
    Ok(None)
}

/// A variable-length integer (RFC 9000 §16): up to 2⁶²−1.
pub(super) fn varint(input: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let Some(first) = input.peek().first() else { return input.u8().map(u64::from) };
    Ok(match first >> 6 {
        0 => input.u8()?.into(),
        1 => (input.u16()? & 0x3fff).into(),
        2 => (input.u32()? & 0x3fff_ffff).into(),
        _ => input.u64()? & 0x3fff_ffff_ffff_ffff,
    })
}

/// A length, of more bytes than there are if they can't be counted.
pub(super) fn length(input: &mut Cursor<'_>) -> Result<usize, Malformed> {
    Ok(usize::try_from(varint(input)?).unwrap_or(usize::MAX))
}

/// Most of a client's first packet is padding.
fn skip_padding(payload: &mut Cursor<'_>) -> Result<(), Malformed> {
    let bytes = payload.peek();
    payload.skip(bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len()))
}

/// RFC 9000 §19.3. However many ranges are announced, each takes bytes.
fn skip_ack(payload: &mut Cursor<'_>, frame_type: u64) -> Result<(), Malformed> {
    let (_largest, _delay) = (varint(payload)?, varint(payload)?);
    let ranges = varint(payload)?;
    let _first = varint(payload)?;
    for _ in 0..ranges {
        let (_gap, _length) = (varint(payload)?, varint(payload)?);
    }
    if frame_type == ACK_ECN {
        let (_ect0, _ect1, _ce) = (varint(payload)?, varint(payload)?, varint(payload)?);
    }
    Ok(())
}
