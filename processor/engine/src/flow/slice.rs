//! Slices of a flow: what passed within half an hour of a slice's first packet.
//!
//! The first slice is the flow's detail itself. From the second on, a slice is the difference between the
//! detail and what it was when the slice began, so that slices add up to the connection by construction.

use super::{detail::Detail, packet::FlowPacket, side::Side};
use crate::limits::ACTIVE_TIMEOUT_NS;

/// A slice that is not its flow's first.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    /// Place among the slices of the flow, from 0.
    pub(crate) index: u32,
    /// The flow as it was when the slice began.
    pub(super) before: Detail,
    pub(super) orig: Option<Span>,
    pub(super) resp: Option<Span>,
}

/// What of a side's packets in a slice is no difference of counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first_ts_ns: i64,
    pub(super) last_ts_ns: i64,
    pub(super) ttl_min: u8,
    pub(super) ttl_max: u8,
}

impl Slice {
    /// Whether a packet of that time is past the end of the slice that the flow is in.
    pub(super) fn is_over(current: Option<&Self>, detail: &Detail, ts_ns: i64) -> bool {
        let first_ts_ns = current.map_or(detail.first_ts_ns, |slice| slice.first_ts_ns(detail));
        ts_ns.saturating_sub(first_ts_ns) >= ACTIVE_TIMEOUT_NS
    }

    /// The slice behind `current`, before its first packet is counted.
    pub(super) fn after(current: Option<&Self>, detail: &Detail) -> Self {
        let index = current.map_or(0, |slice| slice.index).saturating_add(1);
        Self { index, before: detail.clone(), orig: None, resp: None }
    }

    /// Takes note of a packet that the detail counts.
    pub(super) fn count(&mut self, packet: &FlowPacket, from_originator: bool) {
        let (ts_ns, ttl) = (packet.ts_ns, packet.rest.ttl);
        let side = if from_originator { &mut self.orig } else { &mut self.resp };
        let span = side.get_or_insert(Span { first_ts_ns: ts_ns, last_ts_ns: ts_ns, ttl_min: ttl, ttl_max: ttl });
        span.first_ts_ns = span.first_ts_ns.min(ts_ns);
        span.last_ts_ns = span.last_ts_ns.max(ts_ns);
        span.ttl_min = span.ttl_min.min(ttl);
        span.ttl_max = span.ttl_max.max(ttl);
    }

    fn spans(&self) -> impl Iterator<Item = &Span> {
        self.orig.iter().chain(&self.resp)
    }

    fn first_ts_ns(&self, detail: &Detail) -> i64 {
        self.spans().map(|span| span.first_ts_ns).min().unwrap_or(detail.last_ts_ns)
    }

    /// The part of the detail that is the slice's own. What is known of the connection as a whole, such as its
    /// history, stays as it is.
    pub(super) fn of(&self, whole: &Detail) -> Detail {
        let mut own = whole.clone();
        own.first_ts_ns = self.first_ts_ns(whole);
        own.last_ts_ns = self.spans().map(|span| span.last_ts_ns).max().unwrap_or(whole.last_ts_ns);
        own.truncated_packets = whole.truncated_packets.saturating_sub(self.before.truncated_packets);
        own.weird_count = whole.weird_count.saturating_sub(self.before.weird_count);
        own.syn_rtt_ns = whole.syn_rtt_ns.filter(|_| whole.syn_rtt_ns != self.before.syn_rtt_ns);
        own.ack_rtt_ns = whole.ack_rtt_ns.filter(|_| whole.ack_rtt_ns != self.before.ack_rtt_ns);
        subtract(&mut own.orig, &self.before.orig, self.orig);
        subtract(&mut own.resp, &self.before.resp, self.resp);
        own
    }
}

/// Makes a side's counters what they grew by.
fn subtract(side: &mut Side, before: &Side, span: Option<Span>) {
    if let Some(span) = span {
        side.first_ts_ns = span.first_ts_ns;
        side.last_ts_ns = span.last_ts_ns;
        side.ttl_min = span.ttl_min;
        side.ttl_max = span.ttl_max;
    }
    side.packets = side.packets.saturating_sub(before.packets);
    side.link_bytes = side.link_bytes.saturating_sub(before.link_bytes);
    side.ip_bytes = side.ip_bytes.saturating_sub(before.ip_bytes);
    side.payload_bytes = side.payload_bytes.saturating_sub(before.payload_bytes);
    side.retransmitted_bytes = side.retransmitted_bytes.saturating_sub(before.retransmitted_bytes);
    side.gap_bytes = side.gap_bytes.saturating_sub(before.gap_bytes);
    side.retransmitted_packets = side.retransmitted_packets.saturating_sub(before.retransmitted_packets);
    side.out_of_order_packets = side.out_of_order_packets.saturating_sub(before.out_of_order_packets);
    side.zero_window_packets = side.zero_window_packets.saturating_sub(before.zero_window_packets);
    side.gaps = side.gaps.saturating_sub(before.gaps);
    for (packets, before) in side.flag_packets.iter_mut().zip(before.flag_packets) {
        *packets = packets.saturating_sub(before);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_contract::{
        EndReason, PacketBatch, Selection,
        record::{Connection, Flow},
    };

    use crate::{
        Engine, Limits,
        testing::{self, ETHERNET, Records},
    };

    const SECOND: i64 = 1_000_000_000;

    /// Slices and connections of datagrams of one flow at these seconds, every third one back.
    fn slices_of(seconds: impl IntoIterator<Item = i64>) -> (Vec<Flow>, Vec<Connection>) {
        let records = testing::decode_batch(&batch_of(seconds));
        (records.of(), records.of())
    }

    fn batch_of(seconds: impl IntoIterator<Item = i64>) -> PacketBatch {
        let frame = |at: usize| match at % 3 {
            2 => testing::udp_back(2, 1, &[0; 7]),
            _ => testing::udp(1, 2, b"xyz"),
        };
        let frames = seconds.into_iter().enumerate().map(|(at, second)| (second * SECOND, frame(at)));
        testing::batch_at(ETHERNET, &frames.collect::<Vec<_>>())
    }

    #[test]
    fn a_short_connection_is_one_slice() {
        let (slices, connections) = slices_of([0, 10, 60]);
        let [slice] = &slices[..] else { panic!("{} slices", slices.len()) };
        let connection = &connections[0];
        assert_eq!((slice.slice_index, slice.end_reason()), (0, EndReason::EndOfCapture));
        assert_eq!(slice.meta, connection.meta);
        assert_eq!((slice.orig_packets, slice.resp_packets), (connection.orig_packets, connection.resp_packets));
        assert_eq!(slice.duration_ns, connection.duration_ns);
    }

    #[test]
    fn the_packet_half_an_hour_after_a_slices_first_begins_the_next() {
        let (slices, connections) = slices_of((0..=7230).step_by(30));
        let first_and_last = |slice: &Flow| {
            let begin = slice.meta.as_ref().unwrap().ts_ns;
            (begin / SECOND, (begin + slice.duration_ns) / SECOND)
        };
        assert_eq!(
            slices.iter().map(first_and_last).collect::<Vec<_>>(),
            [(0, 1770), (1800, 3570), (3600, 5370), (5400, 7170), (7200, 7230)]
        );
        assert_eq!(slices.iter().map(|slice| slice.slice_index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        let reasons: Vec<_> = slices.iter().map(Flow::end_reason).collect();
        assert_eq!(reasons[..4], [EndReason::Active; 4]);
        assert_eq!((reasons[4], connections.len()), (EndReason::EndOfCapture, 1));
        let uid = &connections[0].meta.as_ref().unwrap().uid;
        assert!(slices.iter().all(|slice| slice.meta.as_ref().unwrap().uid == *uid));
    }

    proptest! {
        #[test]
        fn slices_add_up_however_often_the_engine_is_restored(
            gaps in prop::collection::vec(prop_oneof![5 => 0i64..61, 1 => 55i64..61], 1..400),
            restore_every in 1usize..100,
        ) {
            let mut now = 0;
            let seconds: Vec<i64> = gaps.iter().map(|gap| { now += gap; now }).collect();
            let (slices, connections) = slices_of(seconds.iter().copied());
            let sum = |of: fn(&Flow) -> i64| slices.iter().map(of).sum::<i64>();
            let connection = &connections[0];
            prop_assert_eq!(connections.len(), 1);
            prop_assert_eq!(sum(|slice| slice.orig_packets), connection.orig_packets);
            prop_assert_eq!(sum(|slice| slice.resp_packets), connection.resp_packets);
            prop_assert_eq!(sum(|slice| slice.resp_payload_bytes), connection.resp_payload_bytes);
            prop_assert!(slices.iter().all(|slice| slice.duration_ns < 1800 * SECOND));

            let mut engine = Engine::new(0, Limits::per_partition(1), Selection::all());
            let mut records = Records::default();
            let whole = batch_of(seconds.iter().copied());
            let packets: Vec<_> = whole.packets().unwrap().collect();
            for (sequence, packets) in (1..).zip(packets.chunks(restore_every)) {
                let batch = testing::batch_of(ETHERNET, packets);
                engine.push(&PacketBatch { sequence, ..batch }, &mut records).unwrap();
                engine = Engine::restore(&engine.snapshot(), Limits::per_partition(1), Selection::all()).unwrap();
            }
            engine.finish("test", 1, &mut records);
            prop_assert_eq!(records.of::<Flow>(), slices);
        }
    }

    #[test]
    fn a_slice_is_written_with_the_packet_that_ends_it() {
        let mut engine = Engine::new(0, Limits::per_partition(1), Selection::all());
        let mut records = Records::default();
        let mut push = |sequence, seconds: std::ops::Range<i64>| {
            let batch = PacketBatch { sequence, end_of_capture: false, ..batch_of(seconds.step_by(50)) };
            engine.push(&batch, &mut records).unwrap();
            records.of::<Flow>().len()
        };
        assert_eq!(push(1, 0..1800), 0);
        assert_eq!(push(2, 1800..1801), 1);
    }

    #[test]
    fn time_that_runs_backwards_widens_the_slice_it_is_in() {
        let (slices, connections) = slices_of((0..=1800).step_by(60).chain([1700, 1810]));
        let times = |at: usize| (slices[at].meta.as_ref().unwrap().ts_ns / SECOND, slices[at].duration_ns / SECOND);
        assert_eq!((slices.len(), times(1)), (2, (1700, 110)));
        assert_eq!(connections[0].duration_ns, 1810 * SECOND);
    }
}
