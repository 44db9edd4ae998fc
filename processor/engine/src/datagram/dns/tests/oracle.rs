//! Random messages and broken ones, as hickory-proto reads them.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RData, Record, RecordType, rdata},
};
use proptest::{prelude::*, sample::Index};
use weir_contract::{record, text::push_escaped};

use super::decode_to;
use crate::datagram::dns::name::push_label;

fn names() -> impl Strategy<Value = Name> {
    // Few labels, so that names share suffixes and are compressed.
    let label = prop_oneof![Just("www".to_owned()), Just("Example".to_owned()), "[a-zA-Z0-9_-]{1,12}"];
    prop::collection::vec(label, 0..5)
        .prop_map(|labels| Name::from_labels(labels.iter().map(String::as_bytes)).unwrap())
}

fn strings() -> impl Strategy<Value = Box<[u8]>> {
    prop::collection::vec(any::<u8>(), 0..30).prop_map(Vec::into_boxed_slice)
}

fn data() -> impl Strategy<Value = RData> {
    use rdata::{A, AAAA, CNAME, HINFO, MX, NAPTR, NS, PTR, SOA, SRV, TXT};
    let soa = (names(), names(), any::<[u32; 2]>(), any::<[i32; 3]>());
    prop_oneof![
        any::<Ipv4Addr>().prop_map(|address| RData::A(A(address))),
        any::<Ipv6Addr>().prop_map(|address| RData::AAAA(AAAA(address))),
        names().prop_map(|name| RData::CNAME(CNAME(name))),
        names().prop_map(|name| RData::NS(NS(name))),
        names().prop_map(|name| RData::PTR(PTR(name))),
        (any::<u16>(), names()).prop_map(|(preference, name)| RData::MX(MX::new(preference, name))),
        (any::<[u16; 3]>(), names())
            .prop_map(|([priority, weight, port], name)| { RData::SRV(SRV::new(priority, weight, port, name)) }),
        soa.prop_map(|(primary, mailbox, [serial, minimum], [refresh, retry, expire])| {
            RData::SOA(SOA::new(primary, mailbox, serial, refresh, retry, expire, minimum))
        }),
        prop::collection::vec(strings(), 1..4)
            .prop_map(|strings| RData::TXT(TXT::from_bytes(strings.iter().map(|string| &string[..]).collect()))),
        (strings(), strings()).prop_map(|(cpu, os)| RData::HINFO(HINFO::from_bytes(cpu, os))),
        (any::<[u16; 2]>(), "[A-Z]{0,2}", strings(), names()).prop_map(|([order, preference], flags, regexp, name)| {
            let flags = flags.into_bytes().into_boxed_slice();
            RData::NAPTR(NAPTR::new(order, preference, flags, b"E2U+sip"[..].into(), regexp, name))
        }),
    ]
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let record = (names(), any::<u32>(), data()).prop_map(|(name, ttl, data)| Record::from_rdata(name, ttl, data));
    prop::collection::vec(record, 0..5)
}

prop_compose! {
    fn messages()(
        id: u16,
        flags: [bool; 7],
        rcode in 0u16..12,
        asked in names(),
        asked_type in 1u16..66,
        sections in (records(), records(), records()),
        edns in prop::option::of((any::<u16>(), any::<bool>())),
    ) -> Message {
        let [response, authoritative, truncation, desired, available, authentic, unchecked] = flags;
        let kind = if response { MessageType::Response } else { MessageType::Query };
        let mut message = Message::new(id, kind, OpCode::Query);
        let header = &mut message.metadata;
        header.authoritative = authoritative;
        header.truncation = truncation;
        header.recursion_desired = desired;
        header.recursion_available = available;
        header.authentic_data = authentic;
        header.checking_disabled = unchecked;
        header.response_code = rcode.into();
        message.add_query(Query::query(asked, RecordType::from(asked_type)));
        (message.answers, message.authorities, message.additionals) = sections;
        message.edns = edns.map(|(payload, dnssec_ok)| {
            let mut edns = Edns::new();
            edns.set_max_payload(payload).set_dnssec_ok(dnssec_ok);
            edns
        });
        message
    }
}

/// A name as our records have it, from hickory's labels.
fn text(name: &Name) -> String {
    let labels: Vec<String> = name.iter().map(|label| written(|out| push_label(out, label))).collect();
    if labels.is_empty() { ".".to_owned() } else { labels.join(".").to_ascii_lowercase() }
}

fn written(push: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    push(&mut out);
    out
}

fn quoted(string: &[u8]) -> String {
    format!("\"{}\"", written(|out| push_escaped(out, string)).replace('"', "\\x22"))
}

/// Data as our records have them; `None` for types that this test leaves to the vectors.
fn data_text(data: &RData) -> Option<String> {
    Some(match data {
        RData::A(address) => address.to_string(),
        RData::AAAA(address) => address.to_string(),
        RData::CNAME(name) => text(name),
        RData::NS(name) => text(name),
        RData::PTR(name) => text(name),
        RData::MX(mx) => format!("{} {}", mx.preference, text(&mx.exchange)),
        RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, text(&srv.target)),
        RData::SOA(soa) => {
            let [refresh, retry, expire] = [soa.refresh, soa.retry, soa.expire].map(i32::cast_unsigned);
            let (primary, mailbox) = (text(&soa.mname), text(&soa.rname));
            format!("{primary} {mailbox} {} {refresh} {retry} {expire} {}", soa.serial, soa.minimum)
        }
        RData::TXT(txt) => txt.txt_data.iter().map(|string| quoted(string)).collect::<Vec<_>>().join(" "),
        RData::HINFO(hinfo) => format!("{} {}", quoted(&hinfo.cpu), quoted(&hinfo.os)),
        RData::NAPTR(naptr) => {
            let [flags, services, regexp] = [&naptr.flags, &naptr.services, &naptr.regexp].map(|string| quoted(string));
            format!("{} {} {flags} {services} {regexp} {}", naptr.order, naptr.preference, text(&naptr.replacement))
        }
        _ => return None,
    })
}

fn assert_same_records(ours: &[record::DnsResourceRecord], theirs: &[Record]) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        prop_assert_eq!(&ours.name, &text(&theirs.name));
        prop_assert_eq!(ours.r#type, u32::from(u16::from(theirs.record_type())));
        prop_assert_eq!(ours.class, u32::from(u16::from(theirs.dns_class)));
        prop_assert_eq!(ours.ttl, i64::from(theirs.ttl));
        if let Some(data) = data_text(&theirs.data) {
            prop_assert_eq!(&ours.data, &data);
        }
    }
    Ok(())
}

fn assert_same(ours: &record::Dns, theirs: &Message) -> Result<(), TestCaseError> {
    let header = &theirs.metadata;
    prop_assert_eq!(ours.id, u32::from(header.id));
    prop_assert_eq!(ours.response, header.message_type == MessageType::Response);
    prop_assert_eq!(ours.opcode, u32::from(u8::from(header.op_code)));
    prop_assert_eq!(
        [ours.authoritative, ours.truncation, ours.recursion_desired, ours.recursion_available],
        [header.authoritative, header.truncation, header.recursion_desired, header.recursion_available]
    );
    prop_assert_eq!([ours.authentic_data, ours.checking_disabled], [header.authentic_data, header.checking_disabled]);
    prop_assert_eq!(ours.rcode.unwrap_or_default(), u32::from(u16::from(header.response_code)));
    prop_assert_eq!(ours.questions.len(), theirs.queries.len());
    for (ours, theirs) in ours.questions.iter().zip(&theirs.queries) {
        prop_assert_eq!(&ours.name, &text(&theirs.name));
        prop_assert_eq!(ours.r#type, u32::from(u16::from(theirs.query_type)));
        prop_assert_eq!(ours.class, u32::from(u16::from(theirs.query_class)));
    }
    assert_same_records(&ours.answers, &theirs.answers)?;
    assert_same_records(&ours.authorities, &theirs.authorities)?;
    assert_same_records(&ours.additionals, &theirs.additionals)?;
    prop_assert_eq!(ours.edns_udp_bytes, theirs.edns.as_ref().map(|edns| edns.max_payload().into()));
    prop_assert_eq!(ours.edns_dnssec_ok, theirs.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok));
    Ok(())
}

proptest! {
    #[test]
    fn messages_are_read_as_hickory_wrote_them(message in messages()) {
        let records = decode_to(53, &message.to_vec().unwrap());
        prop_assert_eq!(records.weirds(), Vec::<String>::new());
        let dns = records.of::<record::Dns>();
        prop_assert_eq!(dns.len(), 1);
        prop_assert!(!dns[0].truncated);
        assert_same(&dns[0], &message)?;
    }

    #[test]
    fn broken_messages_that_hickory_reads_are_read_alike(
        message in messages(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = message.to_vec().unwrap();
        for (place, byte) in changes {
            *place.get_mut(&mut bytes[..]) = byte;
        }
        if let Ok(theirs) = Message::from_vec(&bytes)
            && let [ours] = &decode_to(53, &bytes).of::<record::Dns>()[..]
        {
            prop_assert!(!ours.truncated);
            assert_same(ours, &theirs)?;
        }
    }
}
