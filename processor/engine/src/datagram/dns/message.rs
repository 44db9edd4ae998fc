//! One message: header, questions, and three sections of resource records (RFC 1035 §4.1).

use weir_contract::{WeirdReason, record};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    Flavour, edns, name, netbios,
    numbers::{self, push_class, push_type},
    rdata,
};
use crate::{
    cursor::{Cursor, Malformed},
    datagram::Requests,
    entropy::entropy,
    limits::LIST_MAX,
    output::{Draft, Output},
};

/// What a query and its response share: a hash of identifier and question.
pub(crate) type RequestKey = u64;

/// The fixed header (RFC 1035 §4.1.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) flags: u16,
    pub(super) questions: u16,
    pub(super) answers: u16,
    pub(super) authorities: u16,
    pub(super) additionals: u16,
}

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 12;

impl Header {
    pub(super) fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut words = [0; 6];
        for word in &mut words {
            *word = input.u16()?;
        }
        Ok(Self::of(words))
    }

    /// The header at the beginning of bytes, for the probe, which is asked of any datagram and forgets errors.
    #[inline]
    pub(super) fn begins(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        let mut words = [0; 6];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u16::from_be_bytes(*bytes);
        }
        Some(Self::of(words))
    }

    fn of([id, flags, questions, answers, authorities, additionals]: [u16; 6]) -> Self {
        Self { id, flags, questions, answers, authorities, additionals }
    }

    pub(super) fn is_response(self) -> bool {
        self.flags >> 15 == 1
    }

    pub(super) fn opcode(self) -> u8 {
        self.flags.to_be_bytes()[0] >> 3 & 15
    }
}

/// A pointer to behind the header, where the first question begins.
const POINTER_TO_QUESTION: [u8; 2] = [0xc0, 12];

/// Where a resource record stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Answer,
    Authority,
    Additional,
}

/// Decodes a message, which is all that is left of `input`, into a record. Without `requests`, queries and
/// responses are not told which belong together. A stream is another source of messages: nothing here is about datagrams.
///
/// # Errors
///
/// Where the message ends early or can't be read on. The record has what was readable.
pub(crate) fn parse(
    mut input: Cursor<'_>,
    flavour: Flavour,
    ts_ns: i64,
    requests: Option<&mut Requests<RequestKey>>,
    out: &mut Output,
) -> Result<(), Malformed> {
    // Pointers count from the message's first byte.
    let mut input = input.rest();
    let header = Header::read(&mut input)?;
    let Some(mut dns) = out.record::<record::Dns>() else { return Ok(()) };
    dns.flavour.push_str(flavour.name());
    dns.message_bytes = u32::try_from(input.message().len()).unwrap_or(u32::MAX);
    take_header(&mut dns, flavour, header);
    let parsed = parse_sections(&mut input, flavour, header, &mut dns);
    dns.truncated = parsed.is_err();
    if let Some(rcode) = dns.rcode {
        dns.rcode_name.push_str(numbers::rcode_name(flavour, u16::try_from(rcode).unwrap_or(u16::MAX)));
    }
    describe_query(&mut dns);
    if let Some(requests) = requests {
        match_request(&mut dns, flavour, ts_ns, requests);
    }
    parsed
}

fn take_header(dns: &mut record::Dns, flavour: Flavour, header: Header) {
    let flag = |mask: u16| header.flags & mask != 0;
    let opcode = header.opcode();
    dns.id = header.id.into();
    dns.response = header.is_response();
    dns.opcode = opcode.into();
    dns.opcode_name.push_str(numbers::opcode_name(flavour, opcode));
    dns.truncation = flag(0x0200);
    match flavour {
        Flavour::Llmnr => {
            dns.conflict = flag(0x0400);
            dns.tentative = flag(0x0100);
            dns.z = (header.flags >> 4 & 15).into();
        }
        Flavour::Dns | Flavour::Mdns | Flavour::Nbns => {
            dns.authoritative = flag(0x0400);
            dns.recursion_desired = flag(0x0100);
            dns.recursion_available = flag(0x0080);
        }
    }
    match flavour {
        Flavour::Dns | Flavour::Mdns => {
            dns.z = (header.flags >> 6 & 1).into();
            dns.authentic_data = flag(0x0020);
            dns.checking_disabled = flag(0x0010);
        }
        Flavour::Nbns => {
            dns.z = (header.flags >> 5 & 3).into();
            dns.broadcast = flag(0x0010);
        }
        Flavour::Llmnr => {}
    }
    let rcode = header.flags & 15;
    if header.is_response() || rcode != 0 {
        dns.rcode = Some(rcode.into());
    }
    dns.question_count = header.questions.into();
    dns.answer_count = header.answers.into();
    dns.authority_count = header.authorities.into();
    dns.additional_count = header.additionals.into();
}

fn parse_sections(
    input: &mut Cursor<'_>,
    flavour: Flavour,
    header: Header,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    for number in 0..usize::from(header.questions) {
        parse_question(input, flavour, number, dns)?;
    }
    let sections = [
        (Section::Answer, header.answers),
        (Section::Authority, header.authorities),
        (Section::Additional, header.additionals),
    ];
    for (section, count) in sections {
        for number in 0..usize::from(count) {
            let is_additional = section == Section::Additional;
            if is_additional && dns.edns_version.is_none() && edns::begins_record(input.peek()) {
                edns::parse(input, dns)?;
            } else if number < LIST_MAX {
                parse_record(input, flavour, section, dns)?;
            } else {
                if number == LIST_MAX {
                    dns.note(input.malformed(WeirdReason::Limit, "more than 100 records in a section"));
                }
                skip_record(input)?;
            }
        }
    }
    // Stateful operations go on with fields of their own (RFC 8490 §5.4).
    if !input.is_empty() && header.opcode() != numbers::DSO {
        dns.note(input.malformed(WeirdReason::TrailingBytes, "bytes behind the message"));
    }
    Ok(())
}

fn parse_question(
    input: &mut Cursor<'_>,
    flavour: Flavour,
    number: usize,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    if number == LIST_MAX {
        dns.note(input.malformed(WeirdReason::Limit, "more than 100 questions"));
    }
    if number >= LIST_MAX {
        name::skip(input)?;
        return input.skip(4);
    }
    let mut question: record::DnsQuestion = dns.spare();
    let owner = (&mut question.name, &mut question.netbios_scope);
    question.netbios_suffix = push_owner(input, flavour, owner, dns)?;
    let question_type = input.u16()?;
    let (class, unicast_response) = split_class(flavour, input.u16()?);
    question.r#type = question_type.into();
    push_type(&mut question.type_name, flavour, question_type);
    question.class = class.into();
    question.unicast_response = unicast_response;
    if number == 0 {
        dns.query.push_str(&question.name);
        dns.query_type = question_type.into();
        dns.query_type_name.push_str(&question.type_name);
        dns.query_class = class.into();
        push_class(&mut dns.query_class_name, class);
        dns.query_netbios_suffix = question.netbios_suffix;
    }
    dns.questions.push(question);
    Ok(())
}

fn parse_record(
    input: &mut Cursor<'_>,
    flavour: Flavour,
    section: Section,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    let mut rr: record::DnsResourceRecord = dns.spare();
    rr.netbios_suffix = push_owner(input, flavour, (&mut rr.name, &mut rr.netbios_scope), dns)?;
    let (rr_type, class, ttl, length) = (input.u16()?, input.u16()?, input.u32()?, input.u16()?);
    let complete = { *input }.skip(length.into());
    let data = input.window_up_to(length.into());
    rr.r#type = rr_type.into();
    push_type(&mut rr.type_name, flavour, rr_type);
    let (masked_class, cache_flush) = split_class(flavour, class);
    rr.class = masked_class.into();
    rr.cache_flush = cache_flush;
    rr.ttl = ttl.into();
    rr.length_bytes = length.into();
    rdata::parse(data, rdata::Header { rr_type, class, data_bytes: length }, flavour, &mut rr, dns);
    if section == Section::Answer {
        let mut text = dns.spare_string();
        text.push_str(&rr.data);
        dns.answer_data.push(text);
        dns.answer_ttls.push(rr.ttl);
    }
    match section {
        Section::Answer => dns.answers.push(rr),
        Section::Authority => dns.authorities.push(rr),
        Section::Additional => dns.additionals.push(rr),
    }
    complete
}

fn skip_record(input: &mut Cursor<'_>) -> Result<(), Malformed> {
    name::skip(input)?;
    input.skip(8)?;
    let length = input.u16()?;
    input.skip(length.into())
}

/// Appends the name that a question or record is about, and its scope; returns the suffix of a NetBIOS name.
fn push_owner(
    input: &mut Cursor<'_>,
    flavour: Flavour,
    (name, scope): (&mut String, &mut String),
    dns: &mut Draft<'_, record::Dns>,
) -> Result<Option<u32>, Malformed> {
    if flavour != Flavour::Nbns {
        // Most records point at the question, whose name is known already: half the time of a name.
        if !dns.questions.is_empty() && input.peek().starts_with(&POINTER_TO_QUESTION) {
            input.skip(POINTER_TO_QUESTION.len())?;
            name.push_str(&dns.query);
            return Ok(None);
        }
        rdata::push_name(input, name, dns)?;
        return Ok(None);
    }
    let (suffix, flaw) = netbios::read_name(input, name, scope)?;
    if let Some(flaw) = flaw {
        dns.note(flaw);
    }
    Ok(suffix.map(u32::from))
}

/// The class, and the bit that multicast DNS keeps above it (RFC 6762 §5.4, §10.2).
fn split_class(flavour: Flavour, class: u16) -> (u16, bool) {
    match flavour {
        Flavour::Mdns => (class & 0x7fff, class >> 15 == 1),
        Flavour::Dns | Flavour::Llmnr | Flavour::Nbns => (class, false),
    }
}

/// What can be said of the first question's name.
fn describe_query(dns: &mut record::Dns) {
    if dns.query.is_empty() || dns.query == "." {
        return;
    }
    dns.query_entropy = entropy(dns.query.as_bytes());
    let dots = dns.query.bytes().filter(|&byte| byte == b'.').count();
    dns.query_labels = u32::try_from(dots + 1).unwrap_or(u32::MAX);
    let tld = dns.query.rsplit('.').next().unwrap_or_default();
    dns.query_tld.push_str(tld);
}

/// NetBIOS responses have no question; their first answer is about the same name.
fn match_request(dns: &mut record::Dns, flavour: Flavour, ts_ns: i64, requests: &mut Requests<RequestKey>) {
    let (name, kind) = match flavour {
        Flavour::Nbns if dns.response => (dns.answers.first().map_or("", |answer| &answer.name), 0),
        Flavour::Nbns => (dns.query.as_str(), 0),
        _ => (dns.query.as_str(), dns.query_type << 16 | dns.query_class),
    };
    let key = xxh3_64_with_seed(name.as_bytes(), u64::from(dns.id) << 32 | u64::from(kind));
    if dns.response {
        dns.response_time_ns = requests.response(&key, ts_ns);
        dns.request_seen = dns.response_time_ns.is_some();
        return;
    }
    dns.retransmission = requests.is_pending(&key, ts_ns);
    requests.request(key, ts_ns);
}
