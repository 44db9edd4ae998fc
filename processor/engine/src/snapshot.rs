//! The state of an engine as bytes, and an engine out of them.

use prost::Message as _;
use serde::{Serialize, de::DeserializeOwned};
use weir_contract::{
    Selection,
    record::{EngineState, Section, SensorState},
};

use crate::{
    datagram::ParserState,
    engine::{Engine, Sensor},
    flow::snapshot::section,
    limits::Limits,
};

/// What this release writes and reads.
const FORMAT: u32 = 1;

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
        let parsers = &self.state.parsers;
        let flows = self.state.flows.save().map(|(mut flow, parser)| {
            flow.decoder = parser.and_then(|parser| save_parser(parsers.get(parser)?));
            flow
        });
        let state = EngineState {
            format: FORMAT,
            seed: self.state.flows.seed(),
            sensors: self.sensors.iter().map(save_sensor).collect(),
            flows: flows.collect(),
            free_indexes: self.state.flows.free_indexes().to_vec(),
            fragments: save("fragments", &self.state.fragments),
            expectations: save("expectations", &self.state.expectations),
            counters: save("counters", &self.counters),
        };
        state.encode_to_vec()
    }

    /// The engine that wrote the snapshot, with limits and selection that may differ from its own.
    /// A flow whose decoder can't read its state goes on without it.
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
        let mut engine = Self::new(saved.seed, limits, selection);
        engine.sensors = saved.sensors.iter().map(load_sensor).collect();
        for flow in &saved.flows {
            let parser = flow.decoder.as_ref().and_then(load_parser);
            let parser = parser.map(|parser| engine.state.parsers.insert(parser));
            engine.state.flows.load(flow, parser).ok_or_else(|| damaged("a flow lacks a field"))?;
        }
        engine.state.flows.set_free_indexes(&saved.free_indexes);
        engine.state.fragments = load(saved.fragments).ok_or_else(|| damaged("fragments"))?;
        engine.state.fragments.set_bytes_max(limits.fragment_bytes);
        engine.state.expectations = load(saved.expectations).unwrap_or_default();
        engine.counters = load(saved.counters).unwrap_or_default();
        Ok(engine)
    }
}

fn save_sensor(sensor: &Sensor) -> SensorState {
    SensorState {
        name: sensor.name.clone(),
        epoch: sensor.epoch,
        watermark_ns: (sensor.watermark_ns != i64::MIN).then_some(sensor.watermark_ns),
        finished: sensor.finished,
    }
}

fn load_sensor(state: &SensorState) -> Sensor {
    let mut sensor = Sensor::new(&state.name, state.epoch);
    sensor.watermark_ns = state.watermark_ns.unwrap_or(i64::MIN);
    sensor.finished = state.finished;
    sensor
}

fn save_parser(parser: &ParserState) -> Option<Section> {
    let (name, data) = parser.save();
    data.ok().map(|data| section(name, data))
}

fn load_parser(saved: &Section) -> Option<ParserState> {
    (saved.version == 1).then(|| ParserState::load(&saved.name, &saved.data)).flatten()
}

/// Writing plain data to memory does not fail; were it to, the section would be missing.
fn save(name: &str, part: &impl Serialize) -> Option<Section> {
    postcard::to_stdvec(part).ok().map(|data| section(name, data))
}

fn load<T: DeserializeOwned>(saved: Option<Section>) -> Option<T> {
    let saved = saved.filter(|saved| saved.version == 1)?;
    postcard::from_bytes(&saved.data).ok()
}
