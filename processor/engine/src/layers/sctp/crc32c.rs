//! CRC32c, the checksum of SCTP (RFC 9260 §6.8, appendix A).

/// The Castagnoli polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    let mut at = 0;
    while at < table.len() {
        let mut crc: u32 = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
        byte += 1;
    }
    table
}

/// Takes bytes into a sum, which begins and ends inverted.
fn update(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, &byte| {
        let [low, ..] = crc.to_le_bytes();
        crc >> 8 ^ TABLE[usize::from(low ^ byte)]
    })
}

/// Whether the checksum in bytes 8 to 11 of a packet is the CRC32c of the rest. It is sent with the
/// least significant byte first.
pub(super) fn is_right(packet: &[u8]) -> bool {
    let (Some(ports_and_tag), Some(checksum), Some(chunks)) =
        (packet.get(..8), packet.get(8..).and_then(<[u8]>::first_chunk), packet.get(12..))
    else {
        return false;
    };
    let crc = update(update(update(u32::MAX, ports_and_tag), &[0; 4]), chunks);
    !crc == u32::from_le_bytes(*checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_catalogue() {
        // The CRC of "123456789" is the check value of CRC-32/ISCSI; RFC 3720 B.4 has that of 32 zeros.
        assert_eq!(!update(u32::MAX, b"123456789"), 0xe306_9283);
        assert_eq!((!update(u32::MAX, &[0; 32])).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
    }
    #[test]
    fn the_checksum_is_sent_with_its_least_significant_byte_first() {
        // Ports 1000 and 2000, tag 1, checksum 0efbf418, an acknowledgement of a cookie.
        let mut packet = [3, 0xe8, 7, 0xd0, 0, 0, 0, 1, 0x18, 0xf4, 0xfb, 0x0e, 11, 0, 0, 4];
        assert!(is_right(&packet));
        packet[15] = 5;
        assert!(!is_right(&packet));
        assert!(!is_right(&packet[..11]));
    }
}
