//! MPLS (RFC 3032 §2.1): one record per label stack.
//!
//! Nothing in the stack says what follows it. The first nibble does (RFC 4928, RFC 4385 §3): 4 and 6
//! for IP, 0 for a control word and 1 for an associated channel, or else for the first digit of the
//! address that an Ethernet frame without control word begins with.
//!
//! A stack is no tunnel of its own, or every packet in a provider's network would be in one. It is
//! one when IP, UDP or Ethernet is on its other side.

use weir_contract::{WeirdReason, record};

use super::{Key, Layer, Next, Tunnel, Walk, tunnel};
use crate::{
    cursor::{Cursor, Malformed},
    flow::{Encapsulation, EncapsulationKind},
    limits::LIST_MAX,
    output::Draft,
};

pub(crate) struct Mpls;

impl Layer for Mpls {
    const NAME: &'static str = "mpls";
    const KEYS: &'static [Key] =
        &[Key::EtherType(0x8847), Key::EtherType(0x8848), Key::IpProtocol(137), Key::UdpPort(6635)];

    /// A stack with a bottom, and IP or Ethernet below it.
    fn accepts(bytes: &[u8]) -> bool {
        let mut input = Cursor::new(bytes);
        let Ok(_) = read_stack(&mut input, |_| {}) else { return false };
        let payload = input.peek();
        tunnel::proven_ip(payload).is_some() || Payload::of(payload).is_ethernet()
    }

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let mut innermost = Innermost::default();
        let mut copy = input;
        let read = read_stack(&mut input, |entry| innermost.see(entry));
        let payload = Payload::of(input.peek());
        if let Some(mut mpls) = walk.record::<record::Mpls>() {
            fill_entries(&mut copy, &mut mpls);
            mpls.truncated = read.is_err();
            mpls.payload_bytes = input.remaining_u32();
            if read.is_ok() {
                payload.fill(input, &mut mpls);
            }
        }
        read?;
        let encapsulation =
            innermost.label.map_or(walk.encapsulation, |id| Encapsulation { kind: EncapsulationKind::Mpls, id });
        let key = match payload {
            Payload::Packet(key) => key,
            Payload::ControlWord => {
                input.skip(4)?;
                tunnel::ETHERNET
            }
            Payload::AssociatedChannel => return Ok(Next::End),
            Payload::Unknown if input.is_empty() => return Ok(Next::End),
            Payload::Unknown => Key::Unnamed,
        };
        if payload.is_ethernet() || walk.is_in_flow() {
            return walk.enter_tunnel(
                Tunnel { kind: "mpls", identifier: innermost.label, encapsulation },
                key,
                input.rest(),
            );
        }
        walk.encapsulation = encapsulation;
        Ok(Next::Layer(key, input.rest()))
    }
}

/// Label 20 bits, traffic class 3, bottom of stack 1, time to live 8.
#[derive(Clone, Copy)]
struct StackEntry(u32);

impl StackEntry {
    fn label(self) -> u32 {
        self.0 >> 12
    }

    fn is_bottom(self) -> bool {
        self.0 & 0x100 != 0
    }
}

/// Reads entries up to the bottom.
fn read_stack(input: &mut Cursor<'_>, mut see: impl FnMut(StackEntry)) -> Result<(), Malformed> {
    loop {
        let entry = StackEntry(input.u32()?);
        see(entry);
        if entry.is_bottom() {
            return Ok(());
        }
    }
}

/// The innermost label that names a path: neither one of the special-purpose labels, 0 to 15, nor
/// an entropy label, which differs from flow to flow (RFC 6790 §4.2).
#[derive(Default)]
struct Innermost {
    label: Option<u32>,
    is_entropy_next: bool,
}

impl Innermost {
    fn see(&mut self, entry: StackEntry) {
        const ENTROPY_LABEL_INDICATOR: u32 = 7;
        let is_entropy = std::mem::replace(&mut self.is_entropy_next, entry.label() == ENTROPY_LABEL_INDICATOR);
        if !is_entropy && entry.label() > 15 {
            self.label = Some(entry.label());
        }
    }
}

fn fill_entries(input: &mut Cursor<'_>, mpls: &mut Draft<'_, record::Mpls>) {
    while let Ok(word) = input.u32() {
        let entry = StackEntry(word);
        if mpls.entries.len() >= LIST_MAX {
            return mpls.note(input.malformed(WeirdReason::Limit, "too many labels"));
        }
        let mut draft: record::MplsEntry = mpls.spare();
        draft.label = entry.label();
        draft.traffic_class = word >> 9 & 7;
        draft.bottom = entry.is_bottom();
        draft.ttl = word & 0xff;
        mpls.entries.push(draft);
        if entry.is_bottom() {
            return;
        }
    }
}

/// What follows the bottom of the stack.
#[derive(Clone, Copy)]
enum Payload {
    Packet(Key),
    /// A control word (RFC 4448 §4.6), then Ethernet.
    ControlWord,
    /// A channel that comes with a pseudowire or a path (RFC 4385 §5, RFC 5586).
    AssociatedChannel,
    Unknown,
}

impl Payload {
    /// Where a frame of either form could begin, the one whose EtherType makes sense is taken; a
    /// nibble of 0 decides where neither does.
    fn of(bytes: &[u8]) -> Self {
        let behind_word = bytes.get(4..).unwrap_or_default();
        match (bytes.first().map(|first| first >> 4), tunnel::ip_version(bytes)) {
            (_, Some(key)) => Self::Packet(key),
            (Some(0), _) if tunnel::looks_like_ethernet(behind_word) => Self::ControlWord,
            _ if tunnel::looks_like_ethernet(bytes) => Self::Packet(tunnel::ETHERNET),
            (Some(0), _) if behind_word.len() >= ETHERNET_BYTES => Self::ControlWord,
            (Some(1), _) => Self::AssociatedChannel,
            _ => Self::Unknown,
        }
    }

    fn is_ethernet(self) -> bool {
        matches!(self, Self::ControlWord | Self::Packet(tunnel::ETHERNET))
    }

    fn fill(self, mut input: Cursor<'_>, mpls: &mut record::Mpls) {
        let word = input.u32().ok();
        match self {
            Self::ControlWord => mpls.control_word = word.map(i64::from),
            Self::AssociatedChannel => mpls.channel_type = word.map(|word| word & 0xffff),
            Self::Packet(_) | Self::Unknown => {}
        }
    }
}

const ETHERNET_BYTES: usize = 14;

#[cfg(test)]
mod tests {
    use weir_contract::record::{Connection, Ethernet, Ipv4, Mpls, Tunnel, Unknown};

    use crate::testing::{self, Records};

    /// An entry of class 5 and 64 hops.
    fn entry(label: u32, bottom: bool) -> [u8; 4] {
        (label << 12 | 5 << 9 | u32::from(bottom) << 8 | 64).to_be_bytes()
    }

    fn on_ethernet(stack: &[[u8; 4]], payload: &[u8]) -> Vec<u8> {
        let header = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0x47];
        [&header[..], stack.as_flattened(), payload].concat()
    }

    fn decode(stack: &[[u8; 4]], payload: &[u8]) -> Records {
        testing::decode(testing::ETHERNET, &[on_ethernet(stack, payload)])
    }

    fn inner_frame() -> Vec<u8> {
        testing::udp(1000, 2000, b"payload")
    }

    fn depths(records: &Records) -> Vec<u32> {
        records.of::<Ipv4>().iter().map(|ipv4| ipv4.meta.as_ref().unwrap().tunnel_depth).collect()
    }

    #[test]
    fn a_stack_of_labels_is_no_tunnel() {
        let records = decode(&[entry(16001, false), entry(299_776, true)], testing::packet_of(&inner_frame()));
        let [mpls] = &records.of::<Mpls>()[..] else { panic!("one stack") };
        let entries: Vec<_> =
            mpls.entries.iter().map(|entry| (entry.label, entry.traffic_class, entry.bottom, entry.ttl)).collect();
        assert_eq!(entries, [(16001, 5, false, 64), (299_776, 5, true, 64)]);
        assert_eq!((mpls.payload_bytes, mpls.truncated), (35, false));
        assert_eq!(depths(&records), [0]);
        let connection = &records.of::<Connection>()[0];
        assert_eq!((connection.encapsulation.as_str(), connection.encapsulation_id), ("mpls", Some(299_776)));
        assert!(records.of::<Tunnel>().is_empty());
    }

    #[test]
    fn labels_that_name_no_path_tell_no_flows_apart() {
        // A path, the entropy label indicator, entropy, and an explicit null.
        let stack = [entry(16001, false), entry(7, false), entry(654_321, false), entry(0, true)];
        let connections = decode(&stack, testing::packet_of(&inner_frame())).of::<Connection>();
        assert_eq!(connections[0].encapsulation_id, Some(16001));
        let connections = decode(&[entry(0, true)], testing::packet_of(&inner_frame())).of::<Connection>();
        assert_eq!((connections[0].encapsulation.as_str(), connections[0].encapsulation_id), ("", None));
    }

    #[test]
    fn ethernet_with_and_without_control_word_is_a_tunnel() {
        // RFC 4448 §4.6: sequence number 7.
        let records = decode(&[entry(100, true)], &[&[0, 0, 0, 7][..], &inner_frame()].concat());
        assert_eq!(records.of::<Mpls>()[0].control_word, Some(7));
        assert_eq!((records.of::<Ethernet>().len(), depths(&records)), (2, vec![1]));
        let records = decode(&[entry(100, true)], &inner_frame());
        assert_eq!(records.of::<Mpls>()[0].control_word, None);
        assert_eq!((records.of::<Ethernet>().len(), depths(&records)), (2, vec![1]));
    }

    #[test]
    fn an_address_that_begins_with_zero_is_no_control_word() {
        let mut frame = inner_frame();
        frame[0] = 0;
        assert_eq!(decode(&[entry(100, true)], &frame).of::<Mpls>()[0].control_word, None);
    }

    #[test]
    fn an_associated_channel() {
        let records = decode(&[entry(13, true)], &[0x10, 0, 0x00, 0x21, 1, 2, 3, 4]);
        assert_eq!(records.of::<Mpls>()[0].channel_type, Some(0x21));
        assert!(records.of::<Unknown>().is_empty());
    }

    #[test]
    fn other_payloads_are_unknown() {
        let unknown = decode(&[entry(100, true)], &[0x50; 8]).of::<Unknown>();
        assert_eq!((unknown[0].key.as_str(), unknown[0].layer.as_str(), unknown[0].unread_bytes), ("", "mpls", 8));
    }

    #[test]
    fn a_stack_in_ip_or_udp_is_a_tunnel() {
        let inside = [&entry(100, true)[..], testing::packet_of(&inner_frame())].concat();
        for frame in [testing::ipv4(137, &inside), testing::udp(50000, 6635, &inside)] {
            let records = testing::decode(testing::ETHERNET, &[frame]);
            let tunnel = &records.of::<Tunnel>()[0];
            assert_eq!((tunnel.kind.as_str(), tunnel.identifier), ("mpls", Some(100)));
            assert_eq!(depths(&records), [0, 1]);
        }
        let frame = testing::udp(50000, 6635, b"neither a stack nor anything below it");
        assert!(testing::decode(testing::ETHERNET, &[frame]).of::<Mpls>().is_empty());
    }

    #[test]
    fn a_stack_of_many_labels_is_bounded() {
        let mut stack = vec![entry(100, false); 200];
        stack.push(entry(101, true));
        let records = decode(&stack, testing::packet_of(&inner_frame()));
        assert_eq!(records.of::<Mpls>()[0].entries.len(), 100);
        assert_eq!(records.weirds(), ["mpls Limit: too many labels"]);
        assert_eq!(records.of::<Connection>()[0].encapsulation_id, Some(101));
    }

    #[test]
    fn a_stack_cut_short_keeps_the_labels_that_were_read() {
        let frame = on_ethernet(&[entry(100, false), entry(200, true)], testing::packet_of(&inner_frame()));
        for (length, records) in testing::decode_cut_everywhere(&frame).iter().enumerate().skip(14) {
            let [mpls] = &records.of::<Mpls>()[..] else { panic!("one stack in {length} bytes") };
            assert_eq!(mpls.entries.len(), ((length - 14) / 4).min(2), "{length} bytes");
            assert_eq!(mpls.truncated, length < 22, "{length} bytes");
        }
    }
}
