//! The walk through a packet: from layer to layer, and into the flow table.

use std::net::IpAddr;

use weir_contract::{Packet, Record, WeirdReason, record};

use super::{Key, Next, Table};
use crate::{
    cursor::{Cursor, Malformed},
    datagram::{Context, Dispatch, Expectations, Expected, ParserState, Place, Running},
    defrag::{Fragment, Fragments},
    flow::{
        Anatomy, Compact, Encapsulation, FlowKey, FlowPacket, FlowTable, Found, Identity, Ports, Seen, SensorHash,
        flag, protocol,
    },
    limits::LAYERS_MAX,
    output::{Draft, Output, Scope, Vlans},
    stream::{Reader, Readers},
};

/// What an engine remembers from packet to packet, and where it writes.
pub(crate) struct State {
    pub(crate) flows: FlowTable,
    pub(crate) readers: Readers,
    pub(crate) expectations: Expectations,
    pub(crate) fragments: Fragments,
    pub(crate) out: Output,
    pub(crate) table: Table,
    /// The flow whose parser is at work: it is to blame for a panic.
    pub(crate) parsing: Option<u32>,
    /// Names of the layers walked through, where Packet records are written.
    pub(crate) path: String,
}

/// What is known of a packet when it arrives.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) packet: Packet<'a>,
    /// Name of the interface it came from.
    pub(crate) interface: &'a str,
    pub(crate) partition_key: u64,
    pub(crate) seen: Seen,
    /// SHA-256 that has taken in sensor and epoch.
    pub(crate) sensor_hash: &'a SensorHash,
}

/// What the innermost IP header says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct IpHeader {
    /// Bytes of header and payload, of all fragments together.
    pub(crate) total_bytes: u32,
    /// Time to live or hop limit.
    pub(crate) ttl: u8,
    /// Packets the datagram came in.
    pub(crate) fragments: u32,
    /// Bytes behind the header, and behind IPv6 extension headers, as the header counts them.
    pub(crate) payload_bytes: usize,
    /// Bytes of the transport header and what follows it, of all fragments together.
    pub(crate) transport_bytes: u32,
    /// All of them were captured.
    pub(crate) is_complete: bool,
    /// Where a source route or a routing header sends the packet in the end.
    pub(crate) last_destination: Option<IpAddr>,
    /// Whom the packet is from, if its source is where that one roams (RFC 6275 §6.3).
    pub(crate) home_address: Option<IpAddr>,
}

/// What a transport layer tells the flow table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Transport<'a> {
    pub(crate) protocol: u8,
    pub(crate) ports: Ports,
    pub(crate) header_bytes: usize,
    pub(crate) payload_bytes: u32,
    /// The payload as far as it was captured.
    pub(crate) payload: &'a [u8],
    pub(crate) acknowledgement: u32,
    /// Flags, sequence, window and options of TCP.
    pub(crate) tcp: Compact,
}

/// One packet on its way through the layers.
pub(crate) struct Walk<'e> {
    pub(crate) state: &'e mut State,
    pub(crate) arrival: Arrival<'e>,
    pub(crate) scope: Scope,
    pub(crate) encapsulation: Encapsulation,
    /// Link-layer addresses around the innermost network layer: source, destination.
    pub(crate) macs: Option<([u8; 6], [u8; 6])>,
    pub(crate) ip: IpHeader,
    pub(super) flow: Option<Found>,
    /// Between a tunnel's header and the IP header inside: the flow that carries the tunnel, and its scope.
    pub(super) carrier: Option<(Found, Scope)>,
    /// VLANs of the frame itself, not of those in its tunnels.
    pub(super) frame_vlans: Vlans,
    /// Name of the layer being read.
    layer: &'static str,
    /// What named the layer that is being read.
    pub(crate) key: Key,
    layers: u8,
    keeps_path: bool,
}

impl IpHeader {
    /// Bytes behind the header as it counts them, where `captured` of them were captured.
    pub(crate) fn payload_bytes(&self, captured: usize) -> usize {
        if self.is_complete { captured } else { self.payload_bytes }
    }

    /// Takes an extension header off the payload.
    pub(crate) fn pass_extension(&mut self, header_bytes: usize) {
        self.payload_bytes = self.payload_bytes.saturating_sub(header_bytes);
    }
}

impl<'e> Walk<'e> {
    pub(crate) fn new(state: &'e mut State, arrival: Arrival<'e>) -> Self {
        let keeps_path = state.out.selects::<record::Packet>();
        state.path.clear();
        Self {
            state,
            arrival,
            scope: Scope::default(),
            encapsulation: Encapsulation::default(),
            macs: None,
            ip: IpHeader::default(),
            key: Key::LinkType(arrival.packet.link_type),
            flow: None,
            carrier: None,
            frame_vlans: Vlans::default(),
            layer: "",
            layers: 0,
            keeps_path,
        }
    }

    /// Walks through all layers, and through datagrams that the packet completed.
    pub(crate) fn run(mut self) {
        let packet = self.arrival.packet;
        let mut reassembled = self.walk(Key::LinkType(packet.link_type), Cursor::new(packet.data));
        while let Some((key, datagram)) = reassembled {
            reassembled = self.walk(key, Cursor::new(&datagram));
        }
        if self.keeps_path {
            self.write_packet();
        }
    }

    fn walk(&mut self, mut key: Key, mut input: Cursor<'_>) -> Option<(Key, Vec<u8>)> {
        loop {
            if let Key::IpProtocol(protocol) = key {
                let payload_bytes = u32::try_from(self.ip.payload_bytes(input.remaining())).unwrap_or(u32::MAX);
                self.ip.transport_bytes = payload_bytes;
                if is_portless(protocol, self.scope.addresses) {
                    let payload = input.peek();
                    self.count(&Transport { protocol, payload_bytes, payload, ..Transport::default() });
                }
            }
            let Some(entry) = self.state.table.find(key) else {
                self.write_unknown(key, &input);
                return None;
            };
            if self.layers == LAYERS_MAX {
                self.weird(entry.name, input.malformed(WeirdReason::TooManyLayers, "more than 16 layers"));
                return None;
            }
            self.layers += 1;
            self.layer = entry.name;
            self.keep_path(entry.name);
            self.key = key;
            let parsed = (entry.parse)(input, self);
            self.write_notes(entry.name);
            match parsed {
                Ok(Next::Layer(next_key, next_input)) => (key, input) = (next_key, next_input),
                Ok(Next::Reassembled(key, datagram)) => return Some((key, datagram)),
                Ok(Next::End) => return None,
                Err(malformed) => {
                    self.weird(entry.name, malformed);
                    return None;
                }
            }
        }
    }

    /// Where records are written.
    pub(crate) fn out(&mut self) -> &mut Output {
        &mut self.state.out
    }

    /// A record of this packet as on the wire, and of its flow where it was counted in one. `None`
    /// where the type is not selected.
    pub(crate) fn record<R: Record>(&mut self) -> Option<Draft<'_, R>> {
        if !self.state.out.selects::<R>() {
            return None;
        }
        if let Some(found) = self.flow {
            self.set_packet_scope(found);
        }
        self.state.out.record()
    }

    /// Sets addresses and ports of the records to come, as on the wire.
    pub(crate) fn set_addresses(&mut self, src: IpAddr, dst: IpAddr) {
        self.scope.addresses = Some((src, dst));
        self.scope.ports = (0, 0);
        self.scope.identity = None;
        self.flow = None;
        self.carrier = None;
        self.state.out.set_scope(self.scope, false);
    }

    /// Adds a VLAN to the records to come.
    pub(crate) fn push_vlan(&mut self, id: u16) {
        self.scope.vlans.push(id);
        if self.scope.tunnel_depth == 0 {
            self.frame_vlans.push(id);
        }
        self.state.out.set_scope(self.scope, false);
    }

    /// The addresses that checksums of transport protocols cover (RFC 8200 §8.1, RFC 6275 §11.3.1).
    pub(crate) fn checksum_addresses(&self) -> Option<(IpAddr, IpAddr)> {
        let (src, dst) = self.scope.addresses?;
        Some((self.ip.home_address.unwrap_or(src), self.ip.last_destination.unwrap_or(dst)))
    }

    /// Whether the packet was captured in part.
    pub(crate) fn is_truncated(&self) -> bool {
        let packet = &self.arrival.packet;
        u32::try_from(packet.data.len()).is_ok_and(|captured| captured < packet.original_length)
    }

    /// Counts the packet in its flow; `None` without an IP header.
    pub(crate) fn count(&mut self, transport: &Transport<'_>) -> Option<Found> {
        let addresses = self.scope.addresses?;
        let Transport { protocol, ports, payload_bytes, acknowledgement, .. } = *transport;
        let (key, src_is_high) =
            FlowKey::new(self.arrival.partition_key, protocol, addresses, ports, self.encapsulation);
        let mut flags = transport.tcp.flags;
        if self.is_truncated() {
            flags |= flag::TRUNCATED;
        }
        let (src_mac, dst_mac) = self.macs.unwrap_or_default();
        if self.macs.is_some() {
            flags |= flag::MACS;
        }
        let packet = FlowPacket {
            ts_ns: self.arrival.packet.ts_ns,
            number: self.arrival.packet.number,
            packets: self.ip.fragments,
            acknowledgement,
            vlans: self.scope.vlans,
            tunnel_depth: self.scope.tunnel_depth,
            rest: Compact {
                link_bytes: self.arrival.packet.original_length,
                ip_bytes: self.ip.total_bytes,
                payload_bytes,
                src_mac,
                dst_mac,
                flags,
                ttl: self.ip.ttl,
                ..transport.tcp
            },
        };
        let found = self.state.flows.count(&key, src_is_high, &packet, self.arrival.seen);
        if self.state.flows.learns() {
            let anatomy = Anatomy {
                ip_header_bytes: self.ip.total_bytes.saturating_sub(self.ip.transport_bytes),
                transport_header_bytes: u32::try_from(transport.header_bytes).unwrap_or(u32::MAX),
                payload: transport.payload,
            };
            self.state.flows.learn(found, &packet, anatomy);
        }
        self.flow = Some(found);
        self.scope.ports = (ports.src, ports.dst);
        Some(found)
    }

    /// The records to come are of this packet, and of its flow: endpoints as on the wire.
    pub(crate) fn set_packet_scope(&mut self, found: Found) {
        self.scope.identity = self.identity(found);
        self.state.out.set_scope(self.scope, found.from_responder);
    }

    /// The records to come are of the flow: originator to responder.
    pub(crate) fn set_flow_scope(&mut self, found: Found) {
        let mut scope = self.scope;
        scope.identity = self.identity(found);
        if found.from_responder {
            scope.addresses = scope.addresses.map(|(src, dst)| (dst, src));
            scope.ports = (scope.ports.1, scope.ports.0);
        }
        self.state.out.set_scope(scope, found.from_responder);
    }

    fn identity(&mut self, found: Found) -> Option<Identity> {
        if self.state.out.is_silent() {
            return None;
        }
        self.state.flows.identity(found.flow, self.arrival.sensor_hash)
    }

    /// Hands a datagram to the decoder of its flow, if it has one.
    pub(crate) fn datagram(&mut self, found: Found, ports: (u16, u16), payload: Cursor<'_>) {
        if payload.is_empty() {
            return;
        }
        let expected = self.expected(found, ports, payload.peek());
        let Some(service) = self.service(found, expected, ports, payload.peek()) else { return };
        let Some(parser) = self.parser(found.flow, service) else { return };
        self.keep_path(service.name());
        self.set_flow_scope(found);
        let mut context = Context {
            ts_ns: self.arrival.packet.ts_ns,
            from_responder: found.from_responder,
            expected_since_ns: expected.map(|expected| expected.since_ns),
            expects_answer_elsewhere: false,
        };
        let Some(running) = self.state.readers.decoders.get_mut(parser) else { return };
        running.identity = self.state.out.scope().identity;
        self.state.parsing = Some(found.flow);
        let parsed = running.state.parse(payload, &mut context, &mut self.state.out);
        self.state.parsing = None;
        running.recount(&mut self.state.readers.held_bytes);
        if context.expects_answer_elsewhere
            && let Some((address, _)) = self.scope.addresses
        {
            let place = Place { partition_key: self.arrival.partition_key, address, port: ports.0 };
            self.state.expectations.announce(place, self.arrival.packet.ts_ns, service);
        }
        self.write_notes(service.name());
        if let Err(malformed) = parsed {
            self.weird(service.name(), malformed);
        }
    }

    /// What a new flow was expected to be.
    fn expected(&mut self, found: Found, ports: (u16, u16), bytes: &[u8]) -> Option<Expected> {
        if !found.is_new {
            return None;
        }
        let (_, address) = self.scope.addresses?;
        let place = Place { partition_key: self.arrival.partition_key, address, port: ports.1 };
        self.state.expectations.take(place, self.arrival.packet.ts_ns, bytes)
    }

    /// The flow's decoder, decided now if need be.
    fn service(
        &mut self,
        found: Found,
        expected: Option<Expected>,
        ports: (u16, u16),
        bytes: &[u8],
    ) -> Option<Dispatch> {
        let service = self.state.flows.get(found.flow)?.service();
        match service {
            Dispatch::Parser(_) => Some(service),
            Dispatch::Never => None,
            Dispatch::Undecided(tries) => {
                let decided =
                    expected.map_or_else(|| Dispatch::probe(tries, ports, bytes), |expected| expected.service);
                self.state.flows.set_service(found.flow, decided);
                matches!(decided, Dispatch::Parser(_)).then_some(decided)
            }
        }
    }

    fn parser(&mut self, flow: u32, service: Dispatch) -> Option<u32> {
        if let Some(parser) = self.state.flows.parser(flow) {
            return Some(parser);
        }
        let parser = self.state.readers.insert(Reader::Decoder(Running::new(ParserState::new(service.name())?)));
        self.state.flows.set_parser(flow, Some(parser));
        Some(parser)
    }

    /// Whether what is being read is the payload of a flow.
    pub(crate) fn is_in_flow(&self) -> bool {
        self.flow.is_some()
    }

    /// Adds a fragment to its datagram, and goes on with that if it is whole. A fragment that was
    /// captured in part makes no datagram whole, but the first one still tells what it is of.
    pub(crate) fn fragment<'a>(&mut self, layer: &'static str, fragment: &Fragment<'_>, input: Cursor<'a>) -> Next<'a> {
        if !self.ip.is_complete {
            let is_first = fragment.offset == 0;
            return if is_first { Next::Layer(Key::IpProtocol(fragment.protocol), input) } else { Next::End };
        }
        let outcome = self.state.fragments.add(fragment);
        if let Some((reason, detail)) = outcome.weird {
            self.weird(layer, input.malformed(reason, detail));
        }
        for incomplete in &outcome.given_up {
            let scope = Scope { addresses: Some((incomplete.key.src, incomplete.key.dst)), ..Scope::default() };
            self.state.out.set_scope(scope, false);
            let detail = "fragments of a datagram that never became whole";
            self.state.out.weird(layer, input.malformed(incomplete.reason, detail));
            self.state.out.set_scope(self.scope, false);
        }
        let Some(datagram) = outcome.datagram else { return Next::End };
        self.ip.total_bytes = datagram.ip_bytes;
        self.ip.fragments = datagram.fragments;
        self.ip.is_complete = true;
        Next::Reassembled(Key::IpProtocol(datagram.protocol), datagram.payload)
    }

    /// The layer that a UDP port stands for, if the bytes are that layer's.
    pub(crate) fn tunnel_behind_udp(&self, (src, dst): (u16, u16), bytes: &[u8]) -> Option<Key> {
        [dst, src]
            .into_iter()
            .map(Key::UdpPort)
            .find(|&key| self.state.table.find(key).is_some_and(|entry| (entry.accepts)(bytes)))
    }

    /// Writes the complaints that a decoder went on after.
    #[inline]
    pub(crate) fn write_notes(&mut self, layer: &'static str) {
        while let Some(note) = self.state.out.next_note() {
            self.weird(layer, note);
        }
    }

    /// Writes a Weird of the innermost flow, or of the packet where there is none yet.
    pub(crate) fn weird(&mut self, layer: &'static str, malformed: Malformed) {
        if let Some(found) = self.innermost_flow() {
            if !self.state.flows.admit_weird(found.flow, layer, malformed.reason) {
                return;
            }
            self.set_innermost_scope(found);
        }
        self.state.out.weird(layer, malformed);
    }

    fn innermost_flow(&self) -> Option<Found> {
        self.flow.or(self.carrier.map(|(found, _)| found))
    }

    fn set_innermost_scope(&mut self, found: Found) {
        match self.carrier {
            None => self.set_flow_scope(found),
            Some((_, scope)) => {
                let inner = std::mem::replace(&mut self.scope, scope);
                self.set_flow_scope(found);
                self.scope = inner;
            }
        }
    }

    fn write_unknown(&mut self, key: Key, input: &Cursor<'_>) {
        const HEAD_BYTES: usize = 64;
        if let Some(found) = self.innermost_flow() {
            self.set_innermost_scope(found);
        }
        let layer = self.layer;
        let Some(mut unknown) = self.state.out.record::<record::Unknown>() else { return };
        let (kind, value) = key.kind_and_value();
        unknown.key.push_str(kind);
        unknown.value = value;
        unknown.layer.push_str(layer);
        unknown.offset_bytes = input.offset();
        unknown.unread_bytes = u32::try_from(input.remaining()).unwrap_or(u32::MAX);
        let head = input.peek();
        unknown.head.extend_from_slice(head.get(..HEAD_BYTES).unwrap_or(head));
    }

    pub(crate) fn keep_path(&mut self, name: &str) {
        if self.keeps_path {
            if !self.state.path.is_empty() {
                self.state.path.push(':');
            }
            self.state.path.push_str(name);
        }
    }
}

/// Whether an IP protocol is counted as a flow without ports before its layer is read. The others
/// count themselves, or lead to the protocol that is counted.
fn is_portless(number: u8, addresses: Option<(IpAddr, IpAddr)>) -> bool {
    use protocol::{ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};
    match number {
        TCP | UDP | UDP_LITE | ICMP | ICMPV6 | SCTP => false,
        // Authentication header.
        51 => false,
        // Hop-by-hop options, routing, fragment, destination options, Shim6.
        0 | 43 | 44 | 60 | 140 => addresses.is_some_and(|(src, _)| src.is_ipv4()),
        _ => true,
    }
}
