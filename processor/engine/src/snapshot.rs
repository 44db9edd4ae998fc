//! The state of an engine as bytes, and an engine out of them.

use prost::Message as _;
use weir_contract::{
    Selection,
    record::{EngineState, FlowState, GapState, SensorState},
};

use crate::{
    datagram::{Expectations, ParserState, Running},
    defrag::Fragments,
    engine::{Counters, Engine},
    flow::protocol,
    limits::Limits,
    section,
    sensors::{Gap, Heard, Sensor, Sensors},
    stream::{Conversation, Reader},
};

/// What this release writes and reads.
const FORMAT: u32 = 1;

/// Numbers of the layouts of what is the engine's own.
const FRAGMENTS: u32 = 1;
const EXPECTATIONS: u32 = 1;
const COUNTERS: u32 = 1;

/// Runs that are over in [`Engine::runs`].
const FINISHED_RUNS: usize = 100;

/// Why a snapshot can't be restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is no snapshot.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// It is of a release that is too far away.
    #[error("the snapshot has format {found}, this release reads {FORMAT}: restore it with the release that wrote it")]
    Format {
        /// Its format.
        found: u32,
    },
}

impl Engine {
    /// The state between two batches: an engine restored from it gives the same records for what
    /// follows.
    pub fn snapshot(&self) -> Vec<u8> {
        let readers = &self.state.readers;
        let flows = self.state.flows.save().map(|(mut flow, parser)| {
            if flow.ip_protocol == u32::from(protocol::TCP) {
                let conversation = parser.and_then(|parser| readers.conversations.get(parser));
                (flow.stream, flow.decoder) = conversation.map(Conversation::save).unwrap_or_default();
            } else {
                flow.decoder = parser.and_then(|parser| readers.decoders.get(parser)?.state.save());
            }
            flow
        });
        let state = EngineState {
            format: FORMAT,
            seed: self.state.flows.seed(),
            sensors: self.sensors.iter().map(save_sensor).collect(),
            flows: flows.collect(),
            free_indexes: self.state.flows.free_indexes().to_vec(),
            fragments: section::save("fragments", FRAGMENTS, &self.state.fragments),
            expectations: section::save("expectations", EXPECTATIONS, &self.state.expectations),
            counters: section::save("counters", COUNTERS, &self.counters),
            batches: self.sensors.batches,
            appended_ms: self.sensors.appended_ms,
            gaps: self.sensors.gaps,
            gap: self.sensors.gap.map(save_gap),
            repeated_batches: self.counters.repeated_batches,
            lost_packets: self.counters.lost_packets,
            evicted_streams: self.counters.evicted_streams,
        };
        state.encode_to_vec()
    }

    /// The engine that wrote the snapshot, with limits and selection that may differ from its own.
    /// A flow whose decoder can't read its state goes on without it, and is counted in [`Self::unread_states`].
    ///
    /// # Errors
    ///
    /// Bytes that are no snapshot, or of a format this release does not know.
    pub fn restore(snapshot: &[u8], limits: Limits, selection: Selection) -> Result<Self, SnapshotError> {
        let damaged = |what: &str| SnapshotError::Damaged(what.to_owned());
        let saved = EngineState::decode(snapshot).map_err(|error| damaged(&error.to_string()))?;
        if saved.format != FORMAT {
            return Err(SnapshotError::Format { found: saved.format });
        }
        if !indexes_agree(&saved) {
            return Err(damaged("the places of flows leave gaps or come twice"));
        }
        let mut engine = Self::new(saved.seed, limits, selection);
        engine.load_sensors(&saved);
        for flow in &saved.flows {
            let parser = engine.load_parser(flow);
            engine.state.flows.load(flow, parser).ok_or_else(|| damaged("a flow lacks a field"))?;
        }
        engine.state.flows.set_free_indexes(&saved.free_indexes);
        let fragments = saved.fragments.and_then(|saved| section::load::<Fragments>(&saved, FRAGMENTS));
        let fragments = fragments.and_then(|fragments| fragments.restored(limits.fragment_bytes));
        engine.state.fragments = fragments.ok_or_else(|| damaged("the fragments can't be read"))?;
        let expectations = saved.expectations.and_then(|saved| section::load::<Expectations>(&saved, EXPECTATIONS));
        engine.unread_states += u64::from(expectations.is_none());
        engine.state.expectations = expectations.unwrap_or_default();
        let counters = saved.counters.and_then(|saved| section::load::<Counters>(&saved, COUNTERS)).unwrap_or_default();
        let EngineState { repeated_batches, lost_packets, evicted_streams, .. } = saved;
        engine.counters = Counters { repeated_batches, lost_packets, evicted_streams, ..counters }.bounded();
        Ok(engine)
    }

    /// Puts the decoder of a flow in its place.
    fn load_parser(&mut self, flow: &FlowState) -> Option<u32> {
        let decoder = flow.decoder.as_ref();
        let reader = match &flow.stream {
            Some(stream) => Conversation::load(stream, decoder).map(Reader::Conversation),
            None => ParserState::load(decoder?).map(|state| Reader::Decoder(Running::new(state))),
        };
        self.unread_states += u64::from(reader.is_none());
        Some(self.state.readers.insert(reader?))
    }

    /// How many states of decoders [`Self::restore`] left out, since another build wrote them that lays them out
    /// otherwise.
    pub fn unread_states(&self) -> u64 {
        self.unread_states
    }

    /// What is known of sensors' runs, without their flows: enough for an engine that goes on without its
    /// state to know which batches came before, and which are missing. Of runs that are over only the last
    /// hundred are in it, since it is written all the time.
    pub fn runs(&self) -> EngineState {
        let mut runs: Vec<&Sensor> = self.sensors.iter().collect();
        runs.sort_by_key(|run| (run.finished, std::cmp::Reverse(run.heard.ordinal)));
        let live = runs.iter().filter(|run| !run.finished).count();
        EngineState {
            format: FORMAT,
            sensors: runs.into_iter().take(live + FINISHED_RUNS).map(save_sensor).collect(),
            batches: self.sensors.batches,
            appended_ms: self.sensors.appended_ms,
            gaps: self.sensors.gaps,
            gap: self.sensors.gap.map(save_gap),
            ..EngineState::default()
        }
    }

    /// Takes what another engine knew of sensors' runs, in place of its own knowledge.
    #[must_use]
    pub fn with_runs(mut self, runs: &EngineState) -> Self {
        self.load_sensors(runs);
        self
    }

    fn load_sensors(&mut self, saved: &EngineState) {
        let mut sensors = Sensors::default();
        sensors.batches = saved.batches;
        sensors.appended_ms = saved.appended_ms;
        sensors.gaps = saved.gaps;
        sensors.gap = saved.gap.as_ref().map(load_gap);
        for sensor in &saved.sensors {
            sensors.insert(load_sensor(sensor));
        }
        self.sensors = sensors;
    }
}

/// Whether each place up to the last is a flow's, or free: so no index asks for more memory than the snapshot
/// itself takes.
fn indexes_agree(saved: &EngineState) -> bool {
    let taken = saved.flows.iter().map(|flow| flow.index);
    let mut indexes: Vec<u32> = taken.chain(saved.free_indexes.iter().copied()).collect();
    indexes.sort_unstable();
    indexes.into_iter().eq((0..).take(saved.flows.len() + saved.free_indexes.len()))
}

fn save_sensor(sensor: &Sensor) -> SensorState {
    let heard = &sensor.heard;
    SensorState {
        name: sensor.name.clone(),
        epoch: sensor.epoch,
        watermark_ns: (sensor.watermark_ns != i64::MIN).then_some(sensor.watermark_ns),
        finished: sensor.finished,
        sequence: heard.sequence,
        packets: heard.packets,
        packet_number: heard.packet_number,
        batch_ordinal: heard.ordinal,
        appended_ms: heard.appended_ms,
        stats_packet_number: heard.stats.0,
        stats_count: heard.stats.1,
        losses: heard.losses,
        gaps: heard.gaps,
    }
}

fn load_sensor(state: &SensorState) -> Sensor {
    let mut sensor = Sensor::new(&state.name, state.epoch);
    sensor.watermark_ns = state.watermark_ns.unwrap_or(i64::MIN);
    sensor.finished = state.finished;
    sensor.heard = Heard {
        sequence: state.sequence,
        packets: state.packets,
        packet_number: state.packet_number,
        ordinal: state.batch_ordinal,
        appended_ms: state.appended_ms,
        stats: (state.stats_packet_number, state.stats_count),
        losses: state.losses,
        gaps: state.gaps,
    };
    sensor
}

fn save_gap(gap: Gap) -> GapState {
    GapState { reason: gap.reason.into(), first_offset: gap.first_offset, last_offset: gap.last_offset }
}

fn load_gap(state: &GapState) -> Gap {
    Gap { reason: state.reason(), first_offset: state.first_offset, last_offset: state.last_offset }
}

/// Layouts of all that snapshots hold in sections.
#[cfg(test)]
pub(crate) fn layouts() -> Vec<section::Layout> {
    let mut layouts = vec![
        section::Layout::of::<Fragments>("fragments", FRAGMENTS),
        section::Layout::of::<Expectations>("expectations", EXPECTATIONS),
        section::Layout::of::<Counters>("counters", COUNTERS),
        crate::stream::conversation_layout(),
    ];
    layouts.extend(crate::datagram::layouts());
    layouts.extend(crate::stream::layouts());
    layouts
}

#[cfg(test)]
mod tests {
    use weir_contract::PacketBatch;

    use super::*;
    use crate::testing::{self, ETHERNET, Records};

    /// The state behind a datagram, with something changed in it.
    fn restored(change: impl FnOnce(&mut EngineState)) -> Result<Engine, SnapshotError> {
        restored_behind(&testing::udp(1, 2, b"x"), change)
    }

    fn restored_behind(packet: &[u8], change: impl FnOnce(&mut EngineState)) -> Result<Engine, SnapshotError> {
        let limits = Limits::per_partition(1);
        let mut engine = Engine::new(0, limits, Selection::all());
        let mut batch = testing::batch(ETHERNET, &[packet.to_vec()]);
        batch.end_of_capture = false;
        engine.push(&batch, &mut Records::default()).unwrap();
        let mut state = EngineState::decode(&engine.snapshot()[..]).unwrap();
        change(&mut state);
        Engine::restore(&state.encode_to_vec(), limits, Selection::all())
    }

    #[test]
    fn a_flow_at_a_place_that_is_not_there_is_refused() {
        assert_eq!(restored(|_| {}).unwrap().flow_count(), 1);
        for change in [
            |state: &mut EngineState| state.flows[0].index = u32::MAX,
            |state: &mut EngineState| state.flows.extend_from_within(..),
            |state: &mut EngineState| state.free_indexes.push(0),
        ] {
            assert!(matches!(restored(change), Err(SnapshotError::Damaged(_))));
        }
    }

    #[test]
    fn a_state_with_another_layout_is_left_out_and_counted() {
        // A client's request (RFC 5905 §7.3), which waits for its answer.
        let mut request = [0; 48];
        request[0] = 0x23;
        let packet = testing::udp(40_000, 123, &request);
        let unread = |change: fn(&mut EngineState)| {
            let engine = restored_behind(&packet, change).unwrap();
            (engine.unread_states(), engine.state.readers.decoders.len(), engine.flow_count())
        };
        assert_eq!(unread(|_| {}), (0, 1, 1));
        assert_eq!(unread(|state| state.flows[0].decoder.as_mut().unwrap().version += 1), (1, 0, 1));
        assert_eq!(unread(|state| state.expectations.as_mut().unwrap().version += 1), (1, 1, 1));
        let fragments = restored(|state| state.fragments.as_mut().unwrap().version += 1);
        assert!(matches!(fragments, Err(SnapshotError::Damaged(_))));
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        let restore = |bytes: &[u8]| Engine::restore(bytes, Limits::per_partition(1), Selection::all());
        assert!(matches!(restore(b"\xff"), Err(SnapshotError::Damaged(_))));
        assert!(matches!(restore(b""), Err(SnapshotError::Format { found: 0 })));
    }

    #[test]
    fn counts_go_on_from_wherever_they_were() {
        let engine = restored(|state| {
            let all = Counters { packets: u64::MAX, bytes: u64::MAX, ..Counters::default() };
            state.counters = section::save("counters", COUNTERS, &all);
            let flow = &mut state.flows[0];
            let side = weir_contract::record::FlowSideState { packets: u64::MAX, ..Default::default() };
            flow.detail = Some(weir_contract::record::FlowDetailState { orig: Some(side), ..Default::default() });
        });
        let batch = PacketBatch { sequence: 2, ..testing::batch(ETHERNET, &[testing::udp(1, 2, b"x")]) };
        engine.unwrap().push(&batch, &mut Records::default()).unwrap();
    }
}
