//! The record of the packet as a whole.

use weir_contract::{record, text::push_escaped};

use super::{State, Walk};
use crate::{limits::TEXT_MAX, output::Scope};

impl Walk<'_> {
    /// Writes the record of the packet, all of whose layers were read.
    pub(super) fn write_packet(&mut self) {
        self.state.out.set_scope(Scope { vlans: self.frame_vlans, ..Scope::default() }, false);
        let truncated = self.is_truncated();
        let packet = &self.arrival.packet;
        let State { out, path, .. } = &mut *self.state;
        let Some(mut draft) = out.record::<record::Packet>() else { return };
        draft.link_type = packet.link_type.into();
        draft.original_bytes = packet.original_length;
        draft.captured_bytes = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
        push_escaped(&mut draft.layers, path.as_bytes());
        draft.truncated = truncated;
        let interface = self.arrival.interface;
        draft.interface.push_str(&interface[..interface.floor_char_boundary(TEXT_MAX)]);
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::{BatchBuilder, Interface, Packet, PacketBatch, Partition, record};

    use crate::testing;

    #[test]
    fn a_packet_is_told_with_its_layers_its_lengths_and_its_interface() {
        let frame = testing::ipv4(17, &[0, 9, 0, 9, 0, 12, 0, 0, 1, 2, 3, 4]);
        let mut builder = BatchBuilder::new("test", 1, Partition { number: 0, count: 1 });
        for (interface, name, captured, original_length) in [(0, "eth0", 46, 46), (7, r"\x5cDevice\x5cé", 20, 46)] {
            let data = &frame[..captured];
            let packet = Packet { number: interface + 1, ts_ns: 0, data, original_length, link_type: 1, interface: 0 };
            let packet = Packet { interface: u32::try_from(interface).unwrap(), ..packet };
            builder.push(&packet, &Interface { name: name.to_owned(), link_type: 1 }).unwrap();
        }
        let batch = PacketBatch { end_of_capture: true, ..builder.finish(0, PacketBatch::default()) };
        let told: Vec<_> = testing::decode_batch(&batch)
            .of::<record::Packet>()
            .into_iter()
            .map(|of| (of.layers, of.captured_bytes, of.original_bytes, of.truncated, of.interface))
            .collect();
        let whole = ("ethernet:ipv4:udp".to_owned(), 46, 46, false, "eth0".to_owned());
        assert_eq!(told, [whole, ("ethernet:ipv4".to_owned(), 20, 46, true, r"\x5cDevice\x5cé".to_owned())]);
    }
}
