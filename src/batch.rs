//! Packet batches: reading one packet after another out of the columns, and filling them.
//!
//! ```
//! use weir_contract::{BatchBuilder, Interface, Packet, PacketBatch, Partition};
//!
//! let partition = Partition { number: 0, count: 1 };
//! let mut builder = BatchBuilder::new("lab", 7, partition);
//! let ethernet = Interface { name: "eth0".into(), link_type: 1 };
//! let packet = Packet { number: 1, ts_ns: 5, data: b"frame", original_length: 5, link_type: 1, interface: 0 };
//! builder.push(&packet, &ethernet)?;
//!
//! let batch = builder.finish(5, PacketBatch::default());
//! assert_eq!(batch.packets()?.next(), Some(packet));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::{Interface, PacketBatch};
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::mem;
use std::slice;

/// Encoded size at which a batch closes: the broker's usual limit of a message, 1 MiB, less
/// room for what a client adds.
pub const MAX_BATCH_BYTES: usize = 900_000;

/// One packet of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Number in the sensor's epoch, from 1.
    pub number: i64,
    /// When it was captured, nanoseconds since 1970-01-01 UTC.
    pub ts_ns: i64,
    /// What was captured of it.
    pub data: &'a [u8],
    /// Bytes it had on the wire, if the capture tells the truth: it may say less than it holds.
    pub original_length: u32,
    /// Link type of the interface (LINKTYPE_ value).
    pub link_type: u16,
    /// Index of the interface in its table: the batch's where the packet comes out of one, the
    /// capture's where it goes into one.
    pub interface: u32,
}

/// Why a batch can't be read: its columns disagree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A column has another number of entries than `captured_length`.
    #[error("packet batch: `{column}` has {found} entries where `captured_length` has {expected}")]
    ColumnLength {
        /// Name of the column.
        column: &'static str,
        /// Entries it has.
        found: usize,
        /// Entries of `captured_length`.
        expected: usize,
    },
    /// The lengths in `captured_length` don't add up to the bytes in `data`.
    #[error("packet batch: `captured_length` adds up to {expected} bytes where `data` has {found}")]
    DataLength {
        /// Bytes in `data`.
        found: usize,
        /// Sum of `captured_length`.
        expected: u64,
    },
    /// A value that its column can't have.
    #[error("packet batch: `{column}` has {value} for packet {index}, which must be {expected}")]
    Value {
        /// Name of the column or field.
        column: &'static str,
        /// The value found.
        value: i64,
        /// Which packet of the batch, from 0; for `interfaces.link_type` which interface.
        index: usize,
        /// What it may be.
        expected: &'static str,
    },
}

impl PacketBatch {
    /// The batch's packets, in order, without allocation.
    ///
    /// Time and number saturate rather than wrap.
    ///
    /// # Errors
    /// The columns disagree; the error names one that does.
    pub fn packets(&self) -> Result<Packets<'_>, BatchError> {
        self.check()?;
        Ok(Packets {
            number: self.first_packet_number,
            ts_ns: self.first_ts_ns,
            number_delta: self.packet_number_delta.iter(),
            ts_delta: self.ts_delta_ns.iter(),
            captured_length: self.captured_length.iter(),
            original_length: self.original_length.iter(),
            interface_index: self.interface_index.iter(),
            interfaces: &self.interfaces,
            data: &self.data,
        })
    }

    /// Number of packets, if the columns agree.
    pub fn packet_count(&self) -> usize {
        self.captured_length.len()
    }

    fn check(&self) -> Result<(), BatchError> {
        let expected = self.captured_length.len();
        let same_length = |column, found| match found == expected {
            true => Ok(()),
            false => Err(BatchError::ColumnLength { column, found, expected }),
        };
        same_length("packet_number_delta", self.packet_number_delta.len())?;
        same_length("ts_delta_ns", self.ts_delta_ns.len())?;
        same_length("original_length", self.original_length.len())?;
        if !self.interface_index.is_empty() {
            same_length("interface_index", self.interface_index.len())?;
        }
        let captured: u64 = self.captured_length.iter().copied().map(u64::from).sum();
        if u64::try_from(self.data.len()) != Ok(captured) {
            return Err(BatchError::DataLength { found: self.data.len(), expected: captured });
        }
        if expected > 0 {
            self.check_numbers()?;
            self.check_interfaces()?;
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), BatchError> {
        let wrong = |column, value, index, expected| Err(BatchError::Value { column, value, index, expected });
        if self.first_packet_number < 1 {
            return wrong("first_packet_number", self.first_packet_number, 0, "at least 1");
        }
        if let Some(&delta) = self.ts_delta_ns.first().filter(|&&delta| delta != 0) {
            return wrong("ts_delta_ns", delta, 0, "0");
        }
        if let Some(&delta) = self.packet_number_delta.first().filter(|&&delta| delta != 0) {
            return wrong("packet_number_delta", delta.into(), 0, "0");
        }
        match self.packet_number_delta.iter().skip(1).position(|&delta| delta == 0) {
            Some(before) => wrong("packet_number_delta", 0, before + 1, "at least 1"),
            None => Ok(()),
        }
    }

    fn check_interfaces(&self) -> Result<(), BatchError> {
        let link_types = || self.interfaces.iter().map(|interface| interface.link_type);
        if let Some(index) = link_types().position(|link_type| link_type > 0xffff) {
            return Err(BatchError::Value {
                column: "interfaces.link_type",
                value: link_types().nth(index).unwrap_or_default().into(),
                index,
                expected: "below 65536",
            });
        }
        let known = |&index: &u32| usize::try_from(index).is_ok_and(|index| index < self.interfaces.len());
        let unknown = if self.interface_index.is_empty() {
            self.interfaces.is_empty().then_some((0, 0))
        } else {
            self.interface_index.iter().copied().enumerate().find(|(_, index)| !known(index))
        };
        match unknown {
            Some((packet, interface)) => Err(BatchError::Value {
                column: "interface_index",
                value: interface.into(),
                index: packet,
                expected: "an index into `interfaces`",
            }),
            None => Ok(()),
        }
    }
}

/// Iterator over a batch's packets; see [`PacketBatch::packets`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    number: i64,
    ts_ns: i64,
    number_delta: slice::Iter<'a, u32>,
    ts_delta: slice::Iter<'a, i64>,
    captured_length: slice::Iter<'a, u32>,
    original_length: slice::Iter<'a, u32>,
    interface_index: slice::Iter<'a, u32>,
    interfaces: &'a [Interface],
    data: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        let captured = usize::try_from(*self.captured_length.next()?).ok()?;
        let (data, rest) = self.data.split_at_checked(captured)?;
        self.data = rest;
        self.number = self.number.saturating_add((*self.number_delta.next()?).into());
        self.ts_ns = self.ts_ns.saturating_add(*self.ts_delta.next()?);
        let interface = self.interface_index.next().copied().unwrap_or_default();
        let link_type = self.interfaces.get(usize::try_from(interface).ok()?)?.link_type;
        Some(Packet {
            number: self.number,
            ts_ns: self.ts_ns,
            data,
            original_length: *self.original_length.next()?,
            link_type: u16::try_from(link_type).ok()?,
            interface,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.captured_length.size_hint()
    }
}

impl ExactSizeIterator for Packets<'_> {}

/// A partition, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Which one, from 0.
    pub number: u32,
    /// Number of partitions the sensor divides its packets among.
    pub count: u32,
}

/// The batch under construction can't take the packet: finish it, and push the packet again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet batch is full: finish it, then push the packet into the next one")]
pub struct Full;

/// Fills the packet batches of one (sensor, epoch, partition), one after another.
#[derive(Debug)]
pub struct BatchBuilder {
    /// The batch so far, but for `data`, `sequence` and `watermark_ns`.
    batch: PacketBatch,
    data: BytesMut,
    last_number: i64,
    last_ts_ns: i64,
    encoded_bytes: usize,
    max_bytes: usize,
    sequence: i64,
    /// Packets in all batches that were finished.
    packets: i64,
    /// Index in the batch's table of each interface of the capture that the batch uses.
    interfaces: BTreeMap<u32, u32>,
    /// The entry of `interfaces` used last: most packets come from the same one.
    last_interface: Option<(u32, u32)>,
}

impl BatchBuilder {
    /// A builder of batches of up to [`MAX_BATCH_BYTES`], of which the first has the sequence 1.
    pub fn new(sensor: &str, epoch: i64, partition: Partition) -> Self {
        let batch = PacketBatch {
            sensor: sensor.to_owned(),
            epoch,
            partition: partition.number,
            partition_count: partition.count,
            ..PacketBatch::default()
        };
        Self {
            encoded_bytes: fixed_bytes(&batch),
            max_bytes: MAX_BATCH_BYTES,
            batch,
            data: BytesMut::new(),
            last_number: 0,
            last_ts_ns: 0,
            sequence: 0,
            packets: 0,
            interfaces: BTreeMap::new(),
            last_interface: None,
        }
    }

    /// Lowers the encoded size at which batches close.
    #[must_use]
    pub fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes.min(MAX_BATCH_BYTES);
        self
    }

    /// Adds a packet; `packet.interface` tells the interfaces of the capture apart.
    ///
    /// # Errors
    /// [`Full`] if the batch would grow beyond its limit, or the step from the packet
    /// before is beyond what its columns hold. An empty batch takes any packet.
    #[inline]
    pub fn push(&mut self, packet: &Packet<'_>, interface: &Interface) -> Result<(), Full> {
        let captured = u32::try_from(packet.data.len()).map_err(|_| Full)?;
        let (number_delta, ts_delta) = if self.is_empty() {
            (0, 0)
        } else {
            let number_delta = packet.number.checked_sub(self.last_number).ok_or(Full)?;
            let ts_delta = packet.ts_ns.checked_sub(self.last_ts_ns).ok_or(Full)?;
            (u32::try_from(number_delta).map_err(|_| Full)?, ts_delta)
        };
        let index = match self.last_interface {
            Some((of_capture, index)) if of_capture == packet.interface => Some(index),
            _ => self.interfaces.get(&packet.interface).copied(),
        };
        let encoded = self.encoded_bytes
            + encoded_bytes(packet, captured, number_delta, ts_delta)
            + if index.is_none() { interface.name.len() + 16 } else { 0 };
        if self.is_empty() {
            self.batch.first_packet_number = packet.number;
            self.batch.first_ts_ns = packet.ts_ns;
        } else if number_delta == 0 || encoded > self.max_bytes {
            return Err(Full);
        }
        self.encoded_bytes = encoded;
        let index = index.unwrap_or_else(|| self.add_interface(packet.interface, interface));
        self.last_interface = Some((packet.interface, index));
        if self.batch.interfaces.len() > 1 {
            self.batch.interface_index.push(index);
        }
        self.batch.packet_number_delta.push(number_delta);
        self.batch.ts_delta_ns.push(ts_delta);
        self.batch.captured_length.push(captured);
        self.batch.original_length.push(packet.original_length);
        self.data.extend_from_slice(packet.data);
        self.last_number = packet.number;
        self.last_ts_ns = packet.ts_ns;
        Ok(())
    }

    /// Enters an interface of the capture into the batch's table; its index there.
    fn add_interface(&mut self, of_capture: u32, interface: &Interface) -> u32 {
        let index = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.interfaces.insert(of_capture, index);
        self.batch.interfaces.push(interface.clone());
        if index == 1 {
            // All packets so far came from interface 0, which needed no column.
            self.batch.interface_index.resize(self.batch.captured_length.len(), 0);
        }
        index
    }

    /// Whether the batch has no packets yet.
    pub fn is_empty(&self) -> bool {
        self.batch.captured_length.is_empty()
    }

    /// Packets that were pushed so far, into this batch and all before it.
    pub fn packets(&self) -> i64 {
        self.packets + i64::try_from(self.batch.captured_length.len()).unwrap_or(i64::MAX)
    }

    /// Bytes of the batch once encoded, at most.
    pub fn encoded_bytes(&self) -> usize {
        self.encoded_bytes
    }

    /// The finished batch, with the next sequence; an empty one if nothing was pushed. Flags and
    /// counters are the caller's to set.
    ///
    /// The builder goes on in the memory of `spare`, a batch that nobody needs any more (or an
    /// empty one): fresh memory for each batch costs more than filling it, 70 to 180 ns a packet
    /// against 10 and the copy, since the kernel clears every page.
    pub fn finish(&mut self, watermark_ns: i64, spare: PacketBatch) -> PacketBatch {
        let next = PacketBatch {
            sensor: self.batch.sensor.clone(),
            epoch: self.batch.epoch,
            partition: self.batch.partition,
            partition_count: self.batch.partition_count,
            packet_number_delta: cleared(spare.packet_number_delta, Vec::clear),
            ts_delta_ns: cleared(spare.ts_delta_ns, Vec::clear),
            captured_length: cleared(spare.captured_length, Vec::clear),
            original_length: cleared(spare.original_length, Vec::clear),
            interface_index: cleared(spare.interface_index, Vec::clear),
            interfaces: cleared(spare.interfaces, Vec::clear),
            ..PacketBatch::default()
        };
        // Bytes that someone still holds can't be written to: then the memory is new after all.
        let next_data = cleared(spare.data.try_into_mut().unwrap_or_default(), BytesMut::clear);
        self.encoded_bytes = fixed_bytes(&next);
        self.interfaces.clear();
        self.last_interface = None;
        self.sequence += 1;
        let mut batch = mem::replace(&mut self.batch, next);
        batch.data = mem::replace(&mut self.data, next_data).freeze();
        batch.sequence = self.sequence;
        batch.packets_before = self.packets;
        self.packets += i64::try_from(batch.packet_count()).unwrap_or(i64::MAX);
        batch.watermark_ns = watermark_ns;
        batch
    }
}

fn cleared<T>(mut value: T, clear: impl FnOnce(&mut T)) -> T {
    clear(&mut value);
    value
}

/// Upper bound of what a batch takes without packets and interfaces.
fn fixed_bytes(batch: &PacketBatch) -> usize {
    batch.sensor.len() + 512 // 20 numbers, 8 lengths, and the counters with the name of a source
}

/// What a packet adds to the encoded batch, interface index at its widest of 65,536.
#[inline]
fn encoded_bytes(packet: &Packet<'_>, captured: u32, number_delta: u32, ts_delta: i64) -> usize {
    let zigzag = (ts_delta << 1) ^ (ts_delta >> 63);
    packet.data.len()
        + varint_bytes(number_delta.into())
        + varint_bytes(u64::from_ne_bytes(zigzag.to_ne_bytes()))
        + varint_bytes(captured.into())
        + varint_bytes(packet.original_length.into())
        + 3
}

/// Bytes of a number as a protobuf varint: one for each 7 bits, at least one.
#[inline]
fn varint_bytes(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    // bits / 7, rounded up, without a division; at most 10, so it fits any usize.
    usize::try_from((bits * 9 + 64) / 64).unwrap_or(10)
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
