//! The engine: batches in, records out, and all state in between.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use weir_contract::{
    BatchError, Packet, PacketBatch, Packets, PreviousRun, RecordType, Selection, WeirdReason, partition_key,
    record::{self, CaptureLossReason},
};

use crate::{
    cursor::Malformed,
    datagram::Expectations,
    defrag::{Fragments, Incomplete},
    flow::{Ended, FlowTable, Identity, Seen, write_ended},
    layers::{Arrival, State, Table, Walk},
    limits::Limits,
    output::{AFTERWARDS, Output, RecordSink, Scope},
    sensors::{Arrival as BatchArrival, Gap, Loss, Sensor, Sensors},
    stream::{Reader, Readers},
};

/// Records are handed to the sink when so many bytes of them have gathered.
const DRAIN_BYTES: usize = 256 << 10;

/// Decodes the packets of one partition into records.
pub struct Engine {
    pub(crate) state: State,
    pub(crate) sensors: Sensors,
    pub(crate) counters: Counters,
    stream_bytes_max: usize,
    pub(crate) unread_states: u64,
    /// Memory for the partition keys of a batch.
    keys: Vec<u64>,
}

/// What an engine has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Packets decoded.
    pub packets: u64,
    /// Bytes of them, as captured.
    pub bytes: u64,
    /// Flows begun by a packet that came after the watermark had passed its time.
    pub late_flows: u64,
    /// Flows written early because the table was full.
    pub evicted_flows: u64,
    /// Datagrams given up because fragments took too much memory.
    pub evicted_datagrams: u64,
    /// Packets whose decoder failed.
    pub failed_packets: u64,
    /// Batches that came again and were dropped.
    #[serde(skip)]
    pub repeated_batches: u64,
    /// Packets of batches that never came.
    #[serde(skip)]
    pub lost_packets: u64,
    /// Connections that were read no further because parsers held too much memory.
    #[serde(skip)]
    pub evicted_streams: u64,
}

impl Counters {
    /// Adds what another engine has counted.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.late_flows += other.late_flows;
        self.evicted_flows += other.evicted_flows;
        self.evicted_datagrams += other.evicted_datagrams;
        self.failed_packets += other.failed_packets;
        self.repeated_batches += other.repeated_batches;
        self.lost_packets += other.lost_packets;
        self.evicted_streams += other.evicted_streams;
    }

    /// These, so far from an overflow that they can go on.
    pub(crate) fn bounded(self) -> Self {
        let bounded = |count: u64| count.min(i64::MAX.unsigned_abs());
        Self {
            packets: bounded(self.packets),
            bytes: bounded(self.bytes),
            late_flows: bounded(self.late_flows),
            evicted_flows: bounded(self.evicted_flows),
            evicted_datagrams: bounded(self.evicted_datagrams),
            failed_packets: bounded(self.failed_packets),
            repeated_batches: bounded(self.repeated_batches),
            lost_packets: bounded(self.lost_packets),
            evicted_streams: bounded(self.evicted_streams),
        }
    }
}

/// Why a batch was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Its columns disagree; the engine took no note of it.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The core panicked: a bug. The engine's state can't be trusted any more, so it is to be dropped.
    #[error("the engine panicked at {}: {message}", at(*.packet_number))]
    Panicked {
        /// The packet it panicked at; `None` behind the last one.
        packet_number: Option<i64>,
        /// What the panic said.
        message: String,
    },
}

fn at(packet_number: Option<i64>) -> String {
    packet_number.map_or_else(|| "the end of a batch".to_owned(), |number| format!("packet {number}"))
}

impl Engine {
    /// An engine without any state. `seed` keys its hash tables, so that nobody can choose packets
    /// that collide; it shows in no record.
    pub fn new(seed: u64, limits: Limits, selection: Selection) -> Self {
        let state = State {
            flows: FlowTable::new(seed, limits.flows, &selection),
            readers: Readers::default(),
            expectations: Expectations::default(),
            fragments: Fragments::new(limits.fragment_bytes),
            out: Output::new(selection),
            table: Table::new(),
            parsing: None,
            path: String::new(),
        };
        let stream_bytes_max = limits.stream_bytes;
        let (sensors, counters) = (Sensors::default(), Counters::default());
        Self { state, sensors, counters, stream_bytes_max, unread_states: 0, keys: Vec::new() }
    }

    /// Decodes a batch, unless it came before. Records of flows that its watermark ends follow those of its
    /// packets. Packets that the sequence says are missing before it are reported, and lost for good.
    ///
    /// # Errors
    ///
    /// A batch whose columns disagree is refused whole. After a panic the engine is to be dropped.
    pub fn push(&mut self, batch: &PacketBatch, sink: &mut impl RecordSink) -> Result<(), PushError> {
        self.push_without(batch, &[], sink)
    }

    /// As [`Self::push`], but leaves out the packets of these numbers: an engine panicked at them before.
    ///
    /// # Errors
    ///
    /// As those of [`Self::push`].
    pub fn push_without(
        &mut self,
        batch: &PacketBatch,
        skipped: &[i64],
        sink: &mut impl RecordSink,
    ) -> Result<(), PushError> {
        // Refused before anything takes note of it.
        let packets = batch.packets()?;
        self.state.out.write_to(sink);
        let mut current = None;
        let run = catch_unwind(AssertUnwindSafe(|| self.take(batch, packets, skipped, &mut current, sink)));
        run.map_err(|panic| PushError::Panicked { packet_number: current, message: message(panic) })
    }

    /// Takes a batch, with the number of the packet that it is at in `current`.
    fn take(
        &mut self,
        batch: &PacketBatch,
        packets: Packets<'_>,
        skipped: &[i64],
        current: &mut Option<i64>,
        sink: &mut impl RecordSink,
    ) {
        let sensor = self.sensor(&batch.sensor, batch.epoch, sink);
        let interrupted = self.sensors.is_interrupted(sensor);
        match self.sensors.hear(sensor, batch) {
            BatchArrival::Repeated => {
                self.counters.repeated_batches += 1;
                return;
            }
            BatchArrival::Next(loss) => self.report(sensor, batch, loss),
        }
        if interrupted {
            sink.shared_name(&batch.sensor);
        }
        if let Some(previous) = batch.previous_run.as_ref().filter(|previous| previous.epoch != batch.epoch) {
            self.close_run(batch, previous, sink);
        }
        let keys = self.partition_keys(sensor, packets.clone());
        let mut packets = packets.zip(&keys).filter(|(packet, _)| !skipped.contains(&packet.number));
        loop {
            let mut at = None;
            let mut mark = 0;
            let run = catch_unwind(AssertUnwindSafe(|| {
                for (packet, &key) in packets.by_ref() {
                    at = Some(packet);
                    mark = self.state.out.mark();
                    let interface = usize::try_from(packet.interface).ok().and_then(|at| batch.interfaces.get(at));
                    self.decode(sensor, packet, key, interface.map_or("", |interface| &interface.name));
                    if self.state.out.pending_bytes() > DRAIN_BYTES {
                        self.state.out.drain_to(sink);
                    }
                }
            }));
            *current = at.map(|packet| packet.number);
            match run {
                Ok(()) => break,
                Err(panic) => match (self.state.parsing.take(), at) {
                    (Some(flow), Some(packet)) => {
                        self.fail(sensor, flow, packet, mark);
                        sink.failed(&packet, &message(panic));
                    }
                    // Not a parser but the core itself: its state can't be trusted any more.
                    _ => std::panic::resume_unwind(panic),
                },
            }
        }
        if let (Some(number), Some(of)) = (*current, self.sensors.get_mut(sensor)) {
            of.heard.packet_number = number;
        }
        *current = None;
        self.keys = keys;
        self.advance(sensor, batch, sink);
        self.state.out.drain_to(sink);
    }

    /// Partition keys of packets. In a loop of its own, in which the processor waits for the headers of several
    /// packets at once: another core wrote them.
    fn partition_keys(&mut self, sensor: u16, packets: Packets<'_>) -> Vec<u64> {
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        if let Some(of) = self.sensors.get(sensor) {
            keys.extend(packets.map(|packet| partition_key(&of.key, packet.link_type, packet.data)));
        }
        keys
    }

    /// Says when the batch to come was appended to the log, ms since 1970-01-01 UTC. A sensor of which nothing
    /// was appended for ten minutes is over.
    pub fn append(&mut self, appended_ms: i64, sink: &mut impl RecordSink) {
        self.state.out.write_to(sink);
        for sensor in self.sensors.append(appended_ms) {
            self.finish_sensor(sensor, sink);
        }
        self.state.out.drain_to(sink);
    }

    /// Says that offsets of the log, first and last, could not be read: packets that turn out to be missing
    /// are missing for that reason.
    pub fn miss(&mut self, reason: CaptureLossReason, offsets: (i64, i64)) {
        let (first_offset, last_offset) = offsets;
        self.sensors.miss(Gap { reason, first_offset, last_offset });
    }

    /// Ends all flows of a sensor's run, as its end-of-capture batch does.
    pub fn finish(&mut self, sensor: &str, epoch: i64, sink: &mut impl RecordSink) {
        self.state.out.write_to(sink);
        if let Some(index) = self.sensors.find(sensor, epoch) {
            self.finish_sensor(index, sink);
            self.state.out.drain_to(sink);
        }
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Flows that are alive.
    pub fn flow_count(&self) -> usize {
        self.state.flows.len()
    }

    fn sensor(&mut self, name: &str, epoch: i64, sink: &mut impl RecordSink) -> u16 {
        if let Some(known) = self.sensors.find(name, epoch) {
            return known;
        }
        if let Some(oldest) = self.sensors.to_give_up() {
            self.finish_sensor(oldest, sink);
        }
        self.sensors.insert(Sensor::new(name, epoch))
    }

    /// Ends the run before the batch's, of which nothing more will come.
    fn close_run(&mut self, batch: &PacketBatch, previous: &PreviousRun, sink: &mut impl RecordSink) {
        let known = self.sensors.find(&batch.sensor, previous.epoch);
        if known.is_none() && previous.last_sequence <= 0 {
            return;
        }
        let index = self.sensor(&batch.sensor, previous.epoch, sink);
        let loss = self.sensors.hear_end(index, previous.last_sequence, previous.packets);
        self.report(index, batch, loss);
        self.finish_sensor(index, sink);
    }

    /// Writes what a run lacks. The batch says in which partition.
    fn report(&mut self, sensor: u16, batch: &PacketBatch, loss: Option<Loss>) {
        let (Some(of), Some(loss)) = (self.sensors.get_mut(sensor), loss) else { return };
        let lost = &mut self.counters.lost_packets;
        *lost = lost.saturating_add(loss.packets.unsigned_abs());
        let ordinal = of.next_loss(batch.partition, batch.partition_count);
        let out = &mut self.state.out;
        out.return_to_packet(&of.prefix, of.heard.packet_number, of.time_ns(), (RecordType::CaptureLoss, ordinal));
        let Some(mut record) = out.record::<record::CaptureLoss>() else { return };
        record.set_reason(loss.reason);
        record.partition = batch.partition;
        record.packets = Some(loss.packets);
        record.first_sequence = Some(loss.first_sequence);
        record.last_sequence = Some(loss.last_sequence);
        (record.first_offset, record.last_offset) = loss.offsets.unzip();
    }

    fn decode(&mut self, sensor: u16, packet: Packet<'_>, partition_key: u64, interface: &str) {
        self.counters.packets += 1;
        self.counters.bytes += packet.data.len() as u64;
        let Some(of) = self.sensors.get(sensor) else { return };
        self.state.out.begin_packet(&of.prefix, packet.number, packet.ts_ns);
        let arrival = Arrival {
            packet,
            interface,
            partition_key,
            seen: Seen { sensor, watermark_ns: of.watermark_ns },
            sensor_hash: &of.hash,
        };
        Walk::new(&mut self.state, arrival).run();
        if self.state.flows.has_ended() {
            self.state.out.end_packet();
            for mut kept in self.state.flows.take_ended() {
                let State { out, readers, .. } = &mut self.state;
                if kept.is_over()
                    && let Some(of) = self.sensors.get(kept.flow.sensor())
                {
                    readers.finish(&kept.flow, &mut kept.detail, of, out);
                }
                end_flow(kept.ended(), &self.sensors, out, readers, &mut self.counters);
            }
        }
        if self.state.readers.held_bytes > self.stream_bytes_max {
            self.counters.evicted_streams += self.state.evict_streams(self.stream_bytes_max, &self.sensors);
        }
    }

    /// Takes back what a packet caused whose parser panicked, and removes that parser.
    fn fail(&mut self, sensor: u16, flow: u32, packet: Packet<'_>, mark: usize) {
        self.counters.failed_packets += 1;
        self.state.out.truncate(mark);
        let service = self.state.flows.get(flow).map_or("", |flow| flow.service().name());
        let layer = match self.state.take_reader(flow) {
            Some(Reader::Conversation(conversation)) => conversation.name().unwrap_or("tcp"),
            _ => service,
        };
        let State { out, flows, .. } = &mut self.state;
        flows.fail_parser(flow);
        let Some(of) = self.sensors.get(sensor) else { return };
        out.begin_packet(&of.prefix, packet.number, packet.ts_ns);
        let malformed =
            Malformed { reason: WeirdReason::DecoderError, detail: "the decoder failed", offset: 0, shortage: None };
        if flows.admit_weird(flow, layer, malformed.reason) {
            let identity = flows.identity(flow, &of.hash);
            out.set_scope(Scope { identity, ..Scope::default() }, false);
            out.weird(layer, malformed);
        }
    }

    /// Moves the sensor's time on, and ends what that ends.
    fn advance(&mut self, sensor: u16, batch: &PacketBatch, sink: &mut impl RecordSink) {
        let Some(of) = self.sensors.get_mut(sensor) else { return };
        if let Some(counters) = &batch.counters {
            let number = batch.first_packet_number.max(counters.packets);
            let ordinal = (RecordType::CaptureStats, of.next_stats(number));
            self.state.out.return_to_packet(&of.prefix, number, counters.last_packet_ts_ns, ordinal);
            write_stats(&mut self.state.out, counters);
        }
        of.watermark_ns = of.watermark_ns.max(batch.watermark_ns);
        let watermark_ns = of.watermark_ns;
        let due = self.state.flows.take_due(sensor, watermark_ns);
        self.end_flows(&due, record::EndReason::Idle, sink);
        let incomplete = self.state.fragments.expire(sensor, watermark_ns);
        self.write_incomplete(sensor, &incomplete);
        if batch.end_of_capture {
            self.finish_sensor(sensor, sink);
        }
    }

    fn finish_sensor(&mut self, sensor: u16, sink: &mut impl RecordSink) {
        let incomplete = self.state.fragments.finish(sensor);
        self.write_incomplete(sensor, &incomplete);
        let all = self.state.flows.take_all(sensor);
        self.end_flows(&all, record::EndReason::EndOfCapture, sink);
        if let Some(of) = self.sensors.get_mut(sensor) {
            of.finished = true;
        }
    }

    /// Ends flows one after another, so that a capture that ends with millions of them needs no room for
    /// all their records.
    fn end_flows(&mut self, flows: &[u32], reason: record::EndReason, sink: &mut impl RecordSink) {
        self.state.out.end_packet();
        for &flow in flows {
            self.state.finish_stream(flow, &self.sensors);
            let State { out, readers, flows, .. } = &mut self.state;
            flows.end(flow, reason, |ended| end_flow(ended, &self.sensors, out, readers, &mut self.counters));
            if self.state.out.pending_bytes() > DRAIN_BYTES {
                self.state.out.drain_to(sink);
            }
        }
    }

    fn write_incomplete(&mut self, sensor: u16, incomplete: &[Incomplete]) {
        let Some(of) = self.sensors.get(sensor) else { return };
        for datagram in incomplete {
            let out = &mut self.state.out;
            out.return_to_packet(
                &of.prefix,
                datagram.last_packet_number,
                datagram.first_ts_ns,
                (RecordType::Weird, AFTERWARDS),
            );
            self.counters.evicted_datagrams += u64::from(datagram.reason == WeirdReason::Evicted);
            write_incomplete(out, datagram);
        }
    }
}

/// What a panic said.
fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or("no reason given", |text| text).to_owned(),
    }
}

/// Writes what a flow was, counts how it ended, and lets its parser go; of a flow that goes on only the slice
/// that ended.
fn end_flow(ended: Ended<'_>, sensors: &Sensors, out: &mut Output, readers: &mut Readers, counters: &mut Counters) {
    let Ended { flow, detail, reason, .. } = ended;
    let is_over = reason != record::EndReason::Active;
    let mut identity = detail.identity;
    if is_over {
        // A conversation was finished before.
        if let Some(Reader::Decoder(running)) = readers.take(flow) {
            identity = identity.or(running.identity);
        }
        counters.late_flows += u64::from(flow.is_late());
        counters.evicted_flows += u64::from(reason == record::EndReason::Evicted);
    }
    let Some(of) = sensors.get(flow.sensor()) else { return };
    if out.is_silent() || !out.selects_any(&[RecordType::Connection, RecordType::Flow, RecordType::FlowFeatures]) {
        return;
    }
    let identity = identity.unwrap_or_else(|| Identity::new(&of.hash, flow.key(), flow.first_number()));
    out.use_sensor(&of.prefix);
    write_ended(out, ended, identity);
}

/// A datagram that never became whole.
pub(crate) fn write_incomplete(out: &mut Output, datagram: &Incomplete) {
    let scope = Scope { addresses: Some((datagram.key.src, datagram.key.dst)), ..Scope::default() };
    out.set_scope(scope, false);
    let detail = "fragments of a datagram that never became whole";
    let layer = if datagram.key.src.is_ipv6() { "ipv6_fragment" } else { "ipv4" };
    out.weird(layer, Malformed { reason: datagram.reason, detail, offset: 0, shortage: None });
}

fn write_stats(out: &mut Output, counters: &record::CaptureCounters) {
    let Some(mut stats) = out.record::<record::CaptureStats>() else { return };
    stats.source.push_str(&counters.source);
    stats.packets = counters.packets;
    stats.captured_bytes = counters.captured_bytes;
    stats.original_bytes = counters.original_bytes;
    stats.received_packets = counters.received_packets;
    stats.dropped_kernel_packets = counters.dropped_kernel_packets;
    stats.dropped_interface_packets = counters.dropped_interface_packets;
    stats.late_packets = counters.late_packets;
    stats.damaged_packets = counters.damaged_packets;
    stats.dropped_queue_packets = counters.dropped_queue_packets;
    stats.dropped_spool_packets = counters.dropped_spool_packets;
    stats.unsampled_packets = counters.unsampled_packets;
}
