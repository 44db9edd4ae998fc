//! Whether bytes are a message.

use super::{
    Flavour,
    message::{HEADER_BYTES, Header},
    name::{self, Labels},
    netbios,
    numbers::{DSO, class, opcode_name, rr_type},
};
use crate::{
    cursor::{Cursor, Malformed},
    datagram::Probe,
};

pub(in crate::datagram) fn probe(bytes: &[u8], flavour: Flavour) -> Probe {
    let Some(header) = Header::begins(bytes) else { return Probe::No };
    let input = Cursor::new(bytes).at(HEADER_BYTES);
    if flavour == Flavour::Dns && (is_plain_query(header, input) || asks_for_dnscrypt(header, input)) {
        return Probe::Yes;
    }
    let is_empty = header.questions == 0 && counts_records(header) == 0;
    if is_empty {
        // Servers that give up answer with a bare header.
        let is_bare = header.is_response() || header.opcode() == DSO;
        return if is_bare && has_known_opcode(header, flavour) { Probe::Unsure } else { Probe::No };
    }
    // One of three signs may be missing in a message that is broken or an attack: such ones are wanted.
    let may_be = match (has_known_opcode(header, flavour), has_credible_counts(header, input.remaining())) {
        (true, true) => true,
        (false, false) => false,
        _ => begins_with_entry(input, flavour).unwrap_or(false),
    };
    if may_be { Probe::Unsure } else { Probe::No }
}

/// Whether bytes that begin a message of `length` bytes may be DNS: on a stream, where more of it is to come.
pub(crate) fn may_begin(bytes: &[u8], length: usize) -> bool {
    Header::begins(bytes).is_none_or(|header| {
        let is_empty = header.questions == 0 && counts_records(header) == 0;
        let is_credible = header.questions <= 1 && needed_bytes(header) <= length;
        is_credible && has_known_opcode(header, Flavour::Dns) && (header.is_response() || !is_empty)
    })
}

/// Whether bytes are a message beyond doubt, which its length before it says as well.
pub(crate) fn is_message(bytes: &[u8]) -> bool {
    let is_question = || begins_with_entry(Cursor::new(bytes).at(HEADER_BYTES), Flavour::Dns).unwrap_or(false);
    may_begin(bytes, bytes.len()) && (probe(bytes, Flavour::Dns) == Probe::Yes || is_question())
}

fn has_known_opcode(header: Header, flavour: Flavour) -> bool {
    !opcode_name(flavour, header.opcode()).is_empty()
}

fn counts_records(header: Header) -> usize {
    [header.answers, header.authorities, header.additionals].into_iter().map(usize::from).sum()
}

/// Whether as much can follow as the header announces; or, in what was captured in part, as much as usual.
fn has_credible_counts(header: Header, available: usize) -> bool {
    const USUAL_RECORDS: usize = 255;
    needed_bytes(header) <= available || header.questions == 1 && counts_records(header) <= USUAL_RECORDS
}

/// What the entries that a header announces take at least.
fn needed_bytes(header: Header) -> usize {
    const SHORTEST_QUESTION: usize = 5;
    const SHORTEST_RECORD: usize = 11;
    usize::from(header.questions) * SHORTEST_QUESTION + counts_records(header) * SHORTEST_RECORD
}

/// Whether a name, a type and a class follow that the flavour knows.
fn begins_with_entry(mut input: Cursor<'_>, flavour: Flavour) -> Result<bool, Malformed> {
    if flavour == Flavour::Nbns && input.peek().first() != Some(&netbios::LABEL_BYTES) {
        return Ok(false);
    }
    name::skip(&mut input)?;
    let rr_type = input.u16()?;
    let class = input.u16()?;
    let class = if flavour == Flavour::Mdns { class & 0x7fff } else { class };
    let is_known = matches!(class, class::IN | class::CH | class::HS | class::NONE | class::ANY);
    Ok(is_known || rr_type == rr_type::OPT)
}

/// Whether a message is what resolvers ask all day, and nothing else: unmistakable on any port. One
/// question for a host name in the Internet, with at most the record of EDNS, to the last byte.
fn is_plain_query(header: Header, mut input: Cursor<'_>) -> bool {
    const RECURSION_DESIRED: u16 = 0x0100;
    const AUTHENTIC_AND_UNCHECKED: u16 = 0x0030;
    let counts = (header.questions, header.answers, header.authorities);
    if header.flags & !AUTHENTIC_AND_UNCHECKED != RECURSION_DESIRED || counts != (1, 0, 0) || header.additionals > 1 {
        return false;
    }
    let mut labels = Labels::of(&input);
    let mut count = 0;
    while let Ok(Some(label)) = labels.next() {
        let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !label.iter().all(is_host) {
            return false;
        }
        count += 1;
    }
    if count < 2 || !matches!(labels.finish(&mut input, None), Ok(None)) {
        return false;
    }
    ends_as_plain_query(input, header.additionals).unwrap_or(false)
}

/// Whether a message asks for the certificate of a DNSCrypt resolver, or answers that; both are mostly seen
/// on port 443, where encrypted messages follow.
fn asks_for_dnscrypt(header: Header, input: Cursor<'_>) -> bool {
    const NAME: &[u8] = b"\x012\x0ddnscrypt-cert";
    header.questions == 1 && header.opcode() == 0 && input.peek().starts_with(NAME)
}

fn ends_as_plain_query(mut input: Cursor<'_>, additionals: u16) -> Result<bool, Malformed> {
    use rr_type::{A, AAAA, ANY, CNAME, HTTPS, MX, NS, OPT, PTR, SOA, SRV, TXT};
    let question_type = input.u16()?;
    let is_usual = matches!(question_type, A | AAAA | ANY | CNAME | HTTPS | MX | NS | PTR | SOA | SRV | TXT);
    if !is_usual || input.u16()? != class::IN {
        return Ok(false);
    }
    if additionals == 1 {
        let is_edns = input.u8()? == 0 && input.u16()? == OPT;
        input.skip(6)?;
        let length = input.u16()?;
        input.skip(length.into())?;
        return Ok(is_edns && input.is_empty());
    }
    Ok(input.is_empty())
}
