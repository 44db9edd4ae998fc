//! Versions whose Initial packets can be read, and how they differ.

/// What differs from version to version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    number: u32,
    pub(super) name: &'static str,
    /// Salts of the Initial packets' keys (RFC 9001 §5.2), to be tried in turn.
    pub(super) salts: &'static [[u8; 20]],
    /// Key and nonce of a Retry packet's integrity tag (RFC 9001 §5.8). Drafts before 25 had none.
    pub(super) retry: Option<&'static RetryKey>,
    /// RFC 9369 §3 renamed labels and renumbered types.
    pub(super) is_second: bool,
}

/// The secret of Retry packets, which everybody knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RetryKey {
    pub(super) key: [u8; 16],
    pub(super) nonce: [u8; 12],
}

/// Types of packets with a long header (RFC 9000 §17.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PacketType {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
}

/// The version with which a server says which others it speaks (RFC 8999 §6).
pub(super) const NEGOTIATION: u32 = 0;

const DRAFT_22_SALT: [u8; 20] = *b"\x7f\xbc\xdb\x0e\x7c\x66\xbb\xe9\x19\x3a\x96\xcd\x21\x51\x9e\xbd\x7a\x02\x64\x4a";
const DRAFT_23_SALT: [u8; 20] = *b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02";
const DRAFT_29_SALT: [u8; 20] = *b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99";
const FIRST_SALT: [u8; 20] = *b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a";
const SECOND_SALT: [u8; 20] = *b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9";

const DRAFT_25_RETRY: RetryKey = RetryKey {
    key: *b"\x4d\x32\xec\xdb\x2a\x21\x33\xc8\x41\xe4\x04\x3d\xf2\x7d\x44\x30",
    nonce: *b"\x4d\x16\x11\xd0\x55\x13\xa5\x52\xc5\x87\xd5\x75",
};
const DRAFT_29_RETRY: RetryKey = RetryKey {
    key: *b"\xcc\xce\x18\x7e\xd0\x9a\x09\xd0\x57\x28\x15\x5a\x6c\xb9\x6b\xe1",
    nonce: *b"\xe5\x49\x30\xf9\x7f\x21\x36\xf0\x53\x0a\x8c\x1c",
};
const FIRST_RETRY: RetryKey = RetryKey {
    key: *b"\xbe\x0c\x69\x0b\x9f\x66\x57\x5a\x1d\x76\x6b\x54\xe3\x68\xc8\x4e",
    nonce: *b"\x46\x15\x99\xd3\x5d\x63\x2b\xf2\x23\x98\x25\xbb",
};
const SECOND_RETRY: RetryKey = RetryKey {
    key: *b"\x8f\xb4\xb0\x1b\x56\xac\x48\xe2\x60\xfb\xcb\xce\xad\x7c\xcc\x92",
    nonce: *b"\xd8\x69\x69\xbc\x2d\x7c\x6d\x99\x90\xef\xb0\x4a",
};

/// The drafts are those of draft-ietf-quic-tls; mvfst is Facebook's and follows the draft in its name. Google's own
/// versions are left out: they have other frames, and most of them no TLS.
static VERSIONS: &[Version] = &[
    version(1, "1", &[FIRST_SALT], Some(&FIRST_RETRY)),
    Version { is_second: true, ..version(0x6b33_43cf, "2", &[SECOND_SALT], Some(&SECOND_RETRY)) },
    Version { is_second: true, ..version(0x709a_50c4, "2-draft", &[SECOND_SALT], Some(&SECOND_RETRY)) },
    version(0xff00_0016, "draft-22", &[DRAFT_22_SALT], None),
    version(0xff00_0017, "draft-23", &[DRAFT_23_SALT], None),
    version(0xff00_0018, "draft-24", &[DRAFT_23_SALT], None),
    version(0xff00_0019, "draft-25", &[DRAFT_23_SALT], Some(&DRAFT_25_RETRY)),
    version(0xff00_001a, "draft-26", &[DRAFT_23_SALT], Some(&DRAFT_25_RETRY)),
    version(0xff00_001b, "draft-27", &[DRAFT_23_SALT], Some(&DRAFT_25_RETRY)),
    version(0xff00_001c, "draft-28", &[DRAFT_23_SALT], Some(&DRAFT_25_RETRY)),
    version(0xff00_001d, "draft-29", &[DRAFT_29_SALT], Some(&DRAFT_29_RETRY)),
    version(0xff00_001e, "draft-30", &[DRAFT_29_SALT], Some(&DRAFT_29_RETRY)),
    version(0xff00_001f, "draft-31", &[DRAFT_29_SALT], Some(&DRAFT_29_RETRY)),
    version(0xff00_0020, "draft-32", &[DRAFT_29_SALT], Some(&DRAFT_29_RETRY)),
    version(0xff00_0021, "draft-33", &[FIRST_SALT], Some(&FIRST_RETRY)),
    version(0xff00_0022, "draft-34", &[FIRST_SALT], Some(&FIRST_RETRY)),
    version(0xface_b001, "mvfst-22", &[DRAFT_22_SALT], None),
    version(0xface_b002, "mvfst-27", &[DRAFT_23_SALT], Some(&DRAFT_25_RETRY)),
    version(0xface_b00e, "mvfst-experimental", &[DRAFT_23_SALT], Some(&DRAFT_25_RETRY)),
];

/// What clients provoke negotiation with (RFC 9000 §15): no server speaks it, but they protect it like a packet of
/// the version that they would rather speak.
static RESERVED: Version = version(0x0a0a_0a0a, "reserved", &[FIRST_SALT, DRAFT_29_SALT], None);

const fn version(
    number: u32,
    name: &'static str,
    salts: &'static [[u8; 20]],
    retry: Option<&'static RetryKey>,
) -> Version {
    Version { number, name, salts, retry, is_second: false }
}

impl Version {
    /// The version of that number, if its packets can be read.
    pub(super) fn of(number: u32) -> Option<&'static Self> {
        let reserved = is_reserved(number).then_some(&RESERVED);
        VERSIONS.iter().find(|version| version.number == number).or(reserved)
    }

    /// Transport parameters have numbers and lengths of two bytes, as in drafts before 27.
    pub(super) fn has_early_parameters(&self) -> bool {
        matches!(self.number, 0xff00_0016..=0xff00_001a | 0xface_b001)
    }

    /// Type of a packet, from the first byte of its long header (RFC 9000 §17.2, RFC 9369 §3.2).
    pub(super) fn packet_type(&self, first: u8) -> PacketType {
        match (first >> 4 & 3).wrapping_sub(u8::from(self.is_second)) & 3 {
            0 => PacketType::Initial,
            1 => PacketType::ZeroRtt,
            2 => PacketType::Handshake,
            _ => PacketType::Retry,
        }
    }
}

/// Whether a version is never spoken.
pub(super) fn is_reserved(number: u32) -> bool {
    number & 0x0f0f_0f0f == 0x0a0a_0a0a
}

/// Name of a version, as in the record.
pub(super) fn name(number: u32) -> &'static str {
    match Version::of(number) {
        Some(version) => version.name,
        None if number == NEGOTIATION => "negotiation",
        None => "unknown",
    }
}
