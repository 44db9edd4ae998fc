//! pcapng files (draft-ietf-opsawg-pcapng): sections of blocks, each with its length at both ends.
//!
//! Refill and the bounds of a block are handled here, its content by pcap-parser, which is only
//! shown the blocks that matter: a malformed name resolution block costs nothing.

use super::reading::{Current, Reading};
use super::time::TickClock;
use super::{MAX_BLOCK_BYTES, MAX_INTERFACES, MAX_PACKET_BYTES};
use crate::error::{BlockReason, SourceProblem};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, InterfaceDescriptionBlock, OptionCode, parse_block_be, parse_block_le};
use std::ops::ControlFlow;
use weir_contract::{Interface, text};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Of an interface's name, this much is kept.
const MAX_NAME_BYTES: usize = 256;

/// Whether a file that starts like this is a pcapng file: a section header, in either byte order.
pub(super) fn is_magic(head: [u8; 4]) -> bool {
    u32::from_be_bytes(head) == SECTION_HEADER
}

/// A pcapng file.
pub(super) struct PcapngReader {
    pub(super) reading: Reading,
    /// The interfaces of all sections so far, and their clocks.
    pub(super) interfaces: Vec<Interface>,
    clocks: Vec<TickClock>,
    big_endian: bool,
    /// Where the section's interfaces begin in `interfaces`.
    section_start: usize,
    /// What the section's first interface cuts packets to; 0 for nothing. Simple packets need it.
    snap_length: u32,
    pub(super) current: Current,
    /// Bytes of the current block.
    block_bytes: usize,
    ended: bool,
}

/// A packet block, as it says.
struct PacketBlock {
    /// Number of the interface in its section.
    interface: u32,
    /// `None` for simple packets, which have no time.
    ticks: Option<u64>,
    captured: u32,
    original: u32,
    /// Where the packet's bytes begin in the block.
    data_start: usize,
}

/// A block that is whole: type and length.
struct BlockHead {
    kind: u32,
    bytes: usize,
}

/// Why no further block follows: the file ends, or what is there is no block.
type End = Option<SourceProblem>;

impl PcapngReader {
    /// Reads the first section header.
    pub(super) fn new(reading: Reading) -> Result<Self, SourceProblem> {
        let mut reader = Self {
            reading,
            interfaces: Vec::new(),
            clocks: Vec::new(),
            big_endian: false,
            section_start: 0,
            snap_length: 0,
            current: Current::default(),
            block_bytes: 0,
            ended: false,
        };
        match reader.next_block() {
            Ok(block) => reader.block_bytes = block.bytes,
            Err(Some(SourceProblem::Cut { had, needed, .. })) => return Err(SourceProblem::HeaderCut { had, needed }),
            Err(problem) => return Err(problem.unwrap_or(SourceProblem::Empty)),
        }
        reader.start_section()?;
        Ok(reader)
    }

    #[inline]
    pub(super) fn advance(&mut self) -> bool {
        while !self.ended {
            self.reading.input.consume(std::mem::take(&mut self.block_bytes));
            match self.next_block().and_then(|block| {
                self.block_bytes = block.bytes;
                self.take_block(&block)
            }) {
                Ok(ControlFlow::Break(())) => return true,
                Ok(ControlFlow::Continue(())) => {}
                Err(problem) => {
                    self.ended = true;
                    if let Some(problem) = problem {
                        self.reading.note(problem);
                    }
                }
            }
        }
        self.current = Current::default();
        false
    }

    /// Brings the next block into the buffer whole, and checks its two lengths. At a section header
    /// the byte order changes to that section's.
    #[inline]
    fn next_block(&mut self) -> Result<BlockHead, End> {
        const LEAST_BYTES: usize = 12;
        let head = self.reading.input.peek(LEAST_BYTES);
        let Some(&[t0, t1, t2, t3, l0, l1, l2, l3, o0, o1, o2, o3]) = head.first_chunk::<LEAST_BYTES>() else {
            let had = head.len();
            let end = (had > 0).then_some(SourceProblem::Cut { part: "block header", had, needed: LEAST_BYTES });
            return Err(self.reading.stream_problem().or(end));
        };
        if is_magic([t0, t1, t2, t3]) {
            self.big_endian = match [o0, o1, o2, o3] {
                [0x1a, 0x2b, 0x3c, 0x4d] => true,
                [0x4d, 0x3c, 0x2b, 0x1a] => false,
                other => {
                    let reason = BlockReason::ByteOrder(u32::from_be_bytes(other));
                    return Err(Some(SourceProblem::Block { kind: SECTION_HEADER, reason }));
                }
            };
        }
        let kind = self.u32([t0, t1, t2, t3]);
        let length = self.u32([l0, l1, l2, l3]);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        let wrong = |reason| Err(Some(SourceProblem::Block { kind, reason }));
        if bytes < LEAST_BYTES || bytes % 4 != 0 {
            return wrong(BlockReason::Length(length));
        }
        if bytes > MAX_BLOCK_BYTES {
            self.lose_packet_of(kind);
            return wrong(BlockReason::TooLong { length, limit: MAX_BLOCK_BYTES });
        }
        let block = self.reading.input.peek(bytes);
        let had = block.len();
        if had < bytes {
            let cut = SourceProblem::Cut { part: "block", had, needed: bytes };
            let problem = self.reading.stream_problem().unwrap_or(cut);
            if !matches!(problem, SourceProblem::Stopped) {
                self.lose_packet_of(kind);
            }
            return Err(Some(problem));
        }
        let end = block.last_chunk().copied().map(|end| self.u32(end)).unwrap_or_default();
        if end != length {
            self.lose_packet_of(kind);
            return wrong(BlockReason::Trailer { start: length, end });
        }
        Ok(BlockHead { kind, bytes })
    }

    /// Acts on a whole block; breaks if it was a packet.
    #[inline]
    fn take_block(&mut self, block: &BlockHead) -> Result<ControlFlow<()>, End> {
        match block.kind {
            ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET => Ok(self.take_packet(block)),
            SECTION_HEADER => {
                self.start_section()?;
                Ok(ControlFlow::Continue(()))
            }
            INTERFACE_DESCRIPTION => {
                self.add_interface()?;
                Ok(ControlFlow::Continue(()))
            }
            _ => Ok(ControlFlow::Continue(())),
        }
    }

    fn start_section(&mut self) -> Result<(), SourceProblem> {
        let (major, minor) = match self.parsed() {
            Some(Block::SectionHeader(header)) => (header.major_version, header.minor_version),
            _ => {
                let reason = BlockReason::Content;
                return Err(SourceProblem::Block { kind: SECTION_HEADER, reason });
            }
        };
        if major != 1 {
            return Err(SourceProblem::Version { format: "pcapng", major, minor });
        }
        self.section_start = self.interfaces.len();
        self.snap_length = 0;
        Ok(())
    }

    fn add_interface(&mut self) -> Result<(), SourceProblem> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(SourceProblem::TooManyInterfaces { limit: MAX_INTERFACES });
        }
        let (interface, clock, snap_length) = match self.parsed() {
            Some(Block::InterfaceDescription(block)) => {
                (interface_of(&block), clock_of(&block, self.big_endian), block.snaplen)
            }
            _ => {
                let reason = BlockReason::Content;
                return Err(SourceProblem::Block { kind: INTERFACE_DESCRIPTION, reason });
            }
        };
        if self.section_start == self.interfaces.len() {
            self.snap_length = snap_length;
        }
        self.interfaces.push(interface);
        self.clocks.push(clock);
        Ok(())
    }

    /// Makes a packet block the current packet, unless it can't be one: then it is left out, for
    /// the blocks after it are sound.
    #[inline]
    fn take_packet(&mut self, block: &BlockHead) -> ControlFlow<()> {
        let Some(packet) = self.packet_block(block) else {
            let reason = BlockReason::Content;
            self.reading.note_packet(SourceProblem::Block { kind: block.kind, reason });
            return ControlFlow::Continue(());
        };
        let PacketBlock { interface: id, ticks, captured, original, data_start } = packet;
        let captured_bytes = usize::try_from(captured).unwrap_or(usize::MAX);
        if captured_bytes > MAX_PACKET_BYTES {
            self.reading.note_packet(SourceProblem::PacketTooLong { length: captured, limit: MAX_PACKET_BYTES });
            return ControlFlow::Continue(());
        }
        let interface = usize::try_from(id).unwrap_or(usize::MAX).saturating_add(self.section_start);
        let Some(clock) = self.clocks.get(interface) else {
            let known = self.interfaces.len() - self.section_start;
            self.reading.note_packet(SourceProblem::UnknownInterface { id, known });
            return ControlFlow::Continue(());
        };
        // A simple packet came after the packet before it: that is all there is to know.
        let ts_ns = ticks.map_or(self.current.ts_ns, |ticks| clock.ts_ns(ticks));
        if captured > original {
            self.reading.note_packet(SourceProblem::LongerThanOriginal { captured, original });
        }
        self.current = Current {
            ts_ns,
            original_length: original,
            interface: u16::try_from(interface).unwrap_or(u16::MAX), // below MAX_INTERFACES
            data: data_start..data_start + captured_bytes,
        };
        ControlFlow::Break(())
    }

    #[inline]
    fn packet_block(&self, block: &BlockHead) -> Option<PacketBlock> {
        let packet = match self.parsed()? {
            Block::EnhancedPacket(packet) => PacketBlock {
                interface: packet.if_id,
                ticks: Some(u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low)),
                captured: packet.caplen,
                original: packet.origlen,
                data_start: 28,
            },
            Block::SimplePacket(packet) => {
                let held = u32::try_from(packet.raw_packet_data().len()).ok()?;
                let snap_length = if self.snap_length == 0 { u32::MAX } else { self.snap_length };
                let captured = packet.origlen.min(snap_length);
                if captured > held {
                    return None;
                }
                PacketBlock { interface: 0, ticks: None, captured, original: packet.origlen, data_start: 12 }
            }
            _ => self.obsolete_packet_block(block)?,
        };
        Some(packet)
    }

    /// The Packet Block, which version 1.0 of the format replaced (draft-tuexen-opsawg-pcapng-02
    /// §4.7): interface and drop count of 16 bits, time, lengths, data.
    fn obsolete_packet_block(&self, block: &BlockHead) -> Option<PacketBlock> {
        const DATA_START: usize = 28;
        let bytes = self.reading.input.bytes(0..block.bytes);
        let &[i0, i1] = bytes.get(8..)?.first_chunk()?;
        let u32_at = |at: usize| Some(self.u32(*bytes.get(at..)?.first_chunk()?));
        let captured = u32_at(20)?;
        let end = DATA_START.checked_add(usize::try_from(captured).ok()?)?;
        if end > block.bytes.checked_sub(4)? {
            return None;
        }
        let interface = if self.big_endian { u16::from_be_bytes([i0, i1]) } else { u16::from_le_bytes([i0, i1]) };
        Some(PacketBlock {
            interface: interface.into(),
            ticks: Some(u64::from(u32_at(12)?) << 32 | u64::from(u32_at(16)?)),
            captured,
            original: u32_at(24)?,
            data_start: DATA_START,
        })
    }

    /// The current block, as pcap-parser reads it.
    #[inline]
    fn parsed(&self) -> Option<Block<'_>> {
        let bytes = self.reading.input.bytes(0..self.block_bytes);
        let parse = if self.big_endian { parse_block_be } else { parse_block_le };
        parse(bytes).ok().map(|(_, block)| block)
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn lose_packet_of(&mut self, kind: u32) {
        if matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET) {
            self.reading.damage.packets += 1;
        }
    }
}

fn interface_of(block: &InterfaceDescriptionBlock<'_>) -> Interface {
    let mut name = String::new();
    if let Some(bytes) = option(block, OptionCode::IfName) {
        let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        text::push_escaped(&mut name, bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes));
    }
    let link_type = u32::try_from(block.linktype.0).unwrap_or(0xffff);
    Interface { name, link_type }
}

/// The block's clock. pcap-parser's own reading of these options takes every offset as
/// little-endian and no power of 2.
fn clock_of(block: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> TickClock {
    let resolution = option(block, OptionCode::IfTsresol).and_then(|value| value.first().copied());
    let offset = option(block, OptionCode::IfTsoffset).and_then(|value| value.first_chunk().copied());
    let offset = offset.map(|value| if big_endian { i64::from_be_bytes(value) } else { i64::from_le_bytes(value) });
    TickClock::new(resolution.unwrap_or(6), offset.unwrap_or_default())
}

fn option<'a>(block: &'a InterfaceDescriptionBlock<'_>, code: OptionCode) -> Option<&'a [u8]> {
    block.options.iter().find(|option| option.code == code)?.as_bytes().ok()
}
