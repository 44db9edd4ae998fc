use weir_contract::{
    CaptureCounters, PacketBatch, PreviousRun, Selection,
    record::{CaptureLoss, CaptureLossReason, CaptureStats, Connection},
};

use crate::{
    Engine, Limits,
    testing::{self, ETHERNET, Records},
};

/// An engine that takes a snapshot behind each batch and goes on from it.
struct Restored {
    engine: Engine,
    records: Records,
}

impl Restored {
    fn new() -> Self {
        let engine = Engine::new(0, Limits::per_partition(1), Selection::all());
        Self { engine, records: Records::default() }
    }

    fn push(&mut self, batch: &PacketBatch) {
        self.engine.push(batch, &mut self.records).unwrap();
        self.engine = Engine::restore(&self.engine.snapshot(), Limits::per_partition(1), Selection::all()).unwrap();
    }

    /// Packets, first and last sequence, and reason of each loss.
    fn losses(&self) -> Vec<(i64, i64, i64, CaptureLossReason)> {
        let losses = self.records.of::<CaptureLoss>();
        let sequences = |loss: &CaptureLoss| (loss.first_sequence.unwrap(), loss.last_sequence.unwrap());
        losses.iter().map(|loss| (loss.packets.unwrap(), sequences(loss).0, sequences(loss).1, loss.reason())).collect()
    }

    fn connections(&self) -> usize {
        self.records.of::<Connection>().len()
    }
}

/// A batch of two packets, the numbers of which follow from those before.
fn batch(sequence: i64, packets_before: i64) -> PacketBatch {
    let frames = [testing::udp(1, 2, b"x"), testing::udp(1, 2, b"y")];
    PacketBatch {
        sequence,
        packets_before,
        first_packet_number: packets_before + 1,
        end_of_capture: false,
        ..testing::batch(ETHERNET, &frames)
    }
}

#[test]
fn a_batch_that_comes_again_is_dropped() {
    let mut sensor = Restored::new();
    for sequence in [1, 2, 1, 2] {
        sensor.push(&batch(sequence, 2 * (sequence - 1)));
    }
    sensor.push(&PacketBatch { end_of_capture: true, ..batch(3, 4) });
    assert_eq!((sensor.engine.counters().packets, sensor.engine.counters().repeated_batches), (6, 2));
    assert_eq!(sensor.connections(), 1);
    // Also when its run is over.
    sensor.push(&PacketBatch { end_of_capture: true, ..batch(3, 4) });
    sensor.push(&batch(1, 0));
    assert_eq!((sensor.connections(), sensor.losses()), (1, vec![]));
}

#[test]
fn a_jump_of_the_sequence_is_a_loss_of_exactly_the_packets_between() {
    let mut sensor = Restored::new();
    sensor.push(&batch(3, 7));
    sensor.push(&batch(4, 9));
    sensor.push(&batch(9, 100));
    sensor.push(&batch(10, 102));
    use CaptureLossReason::Sequence;
    assert_eq!(sensor.losses(), [(7, 1, 2, Sequence), (89, 5, 8, Sequence)]);
    assert_eq!(sensor.engine.counters().lost_packets, 96);
    // What was taken for lost stays lost.
    sensor.push(&batch(5, 11));
    assert_eq!(sensor.engine.counters().packets, 8);
}

#[test]
fn losses_of_a_run_are_told_apart_across_partitions() {
    let mut indexes = Vec::new();
    for partition in [0, 1, 2] {
        let mut sensor = Restored::new();
        for sequence in [2, 4] {
            sensor.push(&PacketBatch { partition, partition_count: 3, heartbeat: true, sequence, ..lone_heartbeat() });
        }
        let losses = sensor.records.of::<CaptureLoss>();
        indexes.extend(losses.into_iter().map(|loss| loss.meta.unwrap().record_index));
    }
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1, 2, 3, 4, 5]);
}

fn lone_heartbeat() -> PacketBatch {
    PacketBatch { sensor: "test".to_owned(), epoch: 1, heartbeat: true, ..PacketBatch::default() }
}

#[test]
fn two_heartbeats_at_the_same_packet_have_records_of_their_own() {
    let mut sensor = Restored::new();
    for (sequence, packets) in [(1, 5), (2, 5), (3, 5), (4, 6)] {
        let counters = CaptureCounters { packets, ..CaptureCounters::default() };
        sensor.push(&PacketBatch { sequence, counters: Some(counters), ..lone_heartbeat() });
    }
    let stats = sensor.records.of::<CaptureStats>().into_iter().map(|stats| stats.meta.unwrap());
    let identities: Vec<_> = stats.map(|meta| (meta.packet_number, meta.record_index)).collect();
    assert_eq!(identities, [(5, 0), (5, 1), (5, 2), (6, 0)]);
}

#[test]
fn a_new_run_ends_the_one_before_and_tells_what_is_missing_of_it() {
    let mut sensor = Restored::new();
    sensor.push(&batch(1, 0));
    let previous = PreviousRun { epoch: 1, last_sequence: 4, packets: 9 };
    let next = PacketBatch { epoch: 2, previous_run: Some(previous), ..batch(1, 0) };
    sensor.push(&next);
    assert_eq!(sensor.losses(), [(7, 2, 4, CaptureLossReason::Restart)]);
    assert_eq!(sensor.records.of::<CaptureLoss>()[0].meta.as_ref().unwrap().epoch, 1);
    assert_eq!((sensor.connections(), sensor.engine.flow_count()), (1, 1));
    // What of the old run comes after all was counted as lost.
    sensor.push(&batch(2, 2));
    assert_eq!(sensor.engine.counters().packets, 4);
}

#[test]
fn a_run_nothing_of_which_arrived_is_missing_as_a_whole() {
    let mut sensor = Restored::new();
    let previous = PreviousRun { epoch: 7, last_sequence: 2, packets: 5 };
    sensor.push(&PacketBatch { previous_run: Some(previous), ..batch(1, 0) });
    assert_eq!(sensor.losses(), [(5, 1, 2, CaptureLossReason::Restart)]);
    let nothing = PreviousRun { epoch: 8, last_sequence: 0, packets: 0 };
    sensor.push(&PacketBatch { epoch: 9, previous_run: Some(nothing), ..batch(1, 0) });
    assert_eq!(sensor.losses().len(), 1);
}

#[test]
fn a_sensor_that_is_silent_for_ten_minutes_of_append_time_is_finished() {
    let mut sensor = Restored::new();
    let at = |seconds: i64| 1_700_000_000_000 + 1000 * seconds;
    let mut push = |seconds: i64, name: i64, sequence: i64| {
        sensor.engine.append(at(seconds), &mut sensor.records);
        sensor.push(&PacketBatch { sensor: name.to_string(), ..batch(sequence, 2 * (sequence - 1)) });
        sensor.connections()
    };
    assert_eq!(push(0, 1, 1), 0);
    assert_eq!((push(300, 2, 1), push(600, 2, 2)), (0, 0));
    assert_eq!(push(611, 2, 3), 1);
    // Whoever comes back goes on where it was.
    assert_eq!((push(612, 1, 2), push(1200, 2, 4)), (1, 1));
    assert_eq!((push(1225, 2, 5), sensor.losses()), (2, vec![]));
}

#[test]
fn what_is_missing_behind_a_gap_in_the_log_is_missing_for_it() {
    let mut sensor = Restored::new();
    sensor.push(&batch(1, 0));
    sensor.engine.miss(CaptureLossReason::Retention, (10, 19));
    sensor.push(&batch(5, 8));
    sensor.push(&batch(7, 12));
    sensor.push(&PacketBatch { epoch: 2, ..batch(4, 6) });
    use CaptureLossReason::{Retention, Sequence};
    assert_eq!(sensor.losses(), [(6, 2, 4, Retention), (2, 6, 6, Sequence), (6, 1, 3, Retention)]);
    let offsets = sensor.records.of::<CaptureLoss>();
    assert_eq!((offsets[0].first_offset, offsets[0].last_offset), (Some(10), Some(19)));
    assert_eq!(offsets[1].first_offset, None);
}

#[test]
fn an_engine_without_its_state_still_knows_what_came_before() {
    let mut sensor = Restored::new();
    sensor.push(&batch(1, 0));
    sensor.push(&batch(2, 2));
    let runs = sensor.engine.runs();
    sensor.engine = Engine::new(0, Limits::per_partition(1), Selection::all()).with_runs(&runs);
    sensor.push(&batch(2, 2));
    sensor.push(&batch(3, 4));
    assert_eq!((sensor.engine.counters().packets, sensor.losses()), (2, vec![]));
}

#[test]
fn the_state_of_a_release_without_sequences_goes_on_with_any() {
    let mut sensor = Restored::new();
    sensor.push(&batch(1, 0));
    let mut runs = sensor.engine.runs();
    runs.sensors[0].sequence = None;
    sensor.engine = Engine::new(0, Limits::per_partition(1), Selection::all()).with_runs(&runs);
    sensor.push(&batch(9, 16));
    assert_eq!((sensor.engine.counters().packets, sensor.losses()), (2, vec![]));
}

#[test]
fn skipped_packets_are_not_lost_packets() {
    let mut sensor = Restored::new();
    sensor.engine.push_without(&batch(1, 0), &[2], &mut sensor.records).unwrap();
    sensor.push(&batch(2, 2));
    assert_eq!((sensor.engine.counters().packets, sensor.losses()), (3, vec![]));
}

#[test]
fn a_run_that_goes_on_after_another_one_of_its_sensor_tells_of_two_agents() {
    #[derive(Default)]
    struct Told(Vec<String>);
    impl crate::RecordSink for Told {
        fn record(&mut self, _: weir_contract::RecordType, _: &[u8]) {}
        fn shared_name(&mut self, sensor: &str) {
            self.0.push(sensor.to_owned());
        }
    }
    let mut engine = Engine::new(0, Limits::per_partition(1), Selection::all());
    let mut told = Told::default();
    let mut push = |sensor: &str, epoch, sequence| {
        let batch = PacketBatch { sensor: sensor.to_owned(), epoch, ..batch(sequence, 2 * (sequence - 1)) };
        engine.push(&batch, &mut told).unwrap();
        std::mem::take(&mut told.0).len()
    };
    // One run after the other, another sensor between, and a run that is sent again.
    for (sensor, epoch, sequence) in
        [("a", 1, 1), ("b", 1, 1), ("a", 1, 2), ("a", 2, 1), ("b", 1, 2), ("a", 1, 2), ("a", 2, 2)]
    {
        assert_eq!(push(sensor, epoch, sequence), 0, "{sensor} {epoch} {sequence}");
    }
    assert_eq!((push("a", 1, 3), push("a", 1, 4), push("a", 2, 3)), (1, 0, 1));
}
