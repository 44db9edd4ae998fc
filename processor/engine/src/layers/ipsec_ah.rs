//! IPsec authentication headers (RFC 4302 §2): the way to what they authenticate.

use weir_contract::WeirdReason;

use super::{Key, Layer, Next, Walk};
use crate::cursor::{Cursor, Malformed};

pub(crate) struct IpsecAh;

/// Up to the sequence number.
const FIXED_BYTES: usize = 12;

impl Layer for IpsecAh {
    const NAME: &'static str = "ipsec_ah";
    const KEYS: &'static [Key] = &[Key::IpProtocol(51)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let start = input;
        let next_header = input.u8()?;
        // Words of 4 bytes without the first two (RFC 4302 §2.2).
        let header_bytes = (usize::from(input.u8()?) + 2) * 4;
        if header_bytes < FIXED_BYTES {
            return Err(start.malformed(WeirdReason::BadLength, "header length is less than 12 bytes"));
        }
        let mut input = start;
        input.skip(header_bytes)?;
        walk.ip.pass_extension(header_bytes);
        Ok(Next::Layer(Key::IpProtocol(next_header), input.rest()))
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    /// UDP from port 1 to port 2 behind a header with a check value of 12 bytes.
    fn authenticated() -> Vec<u8> {
        let mut payload = vec![17, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
        payload.extend([0xcc; 12]);
        payload.extend([0, 1, 0, 2, 0, 8, 0, 0]);
        payload
    }

    #[test]
    fn what_is_authenticated_makes_the_flow() {
        let frames = [testing::ipv4(51, &authenticated()), testing::ipv6(51, &authenticated())];
        let records = testing::decode(testing::ETHERNET, &frames);
        let protocols: Vec<_> = records.of::<record::Connection>().iter().map(|flow| flow.ip_protocol).collect();
        assert_eq!(protocols, [17, 17]);
        assert_eq!(records.weirds(), Vec::<String>::new());
    }

    #[test]
    fn headers_that_lie_or_are_cut_are_weird() {
        let mut short = authenticated();
        short[1] = 0;
        let cut = &authenticated()[..20];
        let records = testing::decode(testing::ETHERNET, &[testing::ipv4(51, &short), testing::ipv4(51, cut)]);
        let weirds = [
            "ipsec_ah BadLength: header length is less than 12 bytes",
            "ipsec_ah Truncated: ends before its fields do",
        ];
        assert_eq!(records.weirds(), weirds);
    }
}
