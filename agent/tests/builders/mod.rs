//! Captures made byte by byte.

#![allow(dead_code)] // no test uses all of it

use std::io::Write;

/// 60 bytes of Ethernet.
pub fn frame() -> Vec<u8> {
    let mut frame = [&[0xff; 12][..], &[8, 0, 0x45]].concat();
    frame.resize(60, 0);
    frame
}

#[derive(Clone, Copy, PartialEq)]
pub enum Order {
    Little,
    Big,
}

impl Order {
    pub fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}
pub use Order::{Big, Little};

pub fn pcap_header(order: Order, magic: u32, snap_length: u32, link_type: u32) -> Vec<u8> {
    let versions = [order.u16(2), order.u16(4)].concat();
    [&order.u32(magic)[..], &versions, &[0; 8], &order.u32(snap_length), &order.u32(link_type)].concat()
}

pub fn header() -> Vec<u8> {
    pcap_header(Little, 0xa1b2_c3d4, 65535, 1)
}

pub struct Record {
    pub order: Order,
    pub seconds: u32,
    pub fraction: u32,
    pub captured: u32,
    pub original: u32,
}

pub const RECORD: Record = Record { order: Little, seconds: 1, fraction: 0, captured: 60, original: 60 };

impl Record {
    pub fn with(&self, data: &[u8]) -> Vec<u8> {
        let fields = [self.seconds, self.fraction, self.captured, self.original];
        [&fields.map(|field| self.order.u32(field)).concat()[..], data].concat()
    }
}

pub fn packet() -> Vec<u8> {
    RECORD.with(&frame())
}

pub fn block(order: Order, kind: u32, content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(4), 0);
    let length = order.u32(u32::try_from(content.len()).unwrap() + 12);
    [&order.u32(kind)[..], &length, &content, &length].concat()
}

pub fn section(order: Order) -> Vec<u8> {
    let content = [&order.u32(0x1a2b_3c4d)[..], &order.u16(1), &order.u16(0), &[0xff; 8]].concat();
    block(order, 0x0a0d_0d0a, &content)
}

pub fn interface(order: Order, link_type: u16, options: &[u8]) -> Vec<u8> {
    block(order, 1, &[&order.u16(link_type)[..], &[0; 2], &order.u32(65535), options].concat())
}

pub fn enhanced(order: Order, interface: u32, captured: u32, data: &[u8]) -> Vec<u8> {
    let original = u32::try_from(data.len()).unwrap();
    let fields = [interface, 0, 1000, captured, original].map(|field| order.u32(field)).concat();
    block(order, 6, &[&fields, data].concat())
}

pub fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = [&order.u16(code)[..], &order.u16(u16::try_from(value.len()).unwrap()), value].concat();
    option.resize(option.len().next_multiple_of(4), 0);
    option
}

pub fn compressed(bytes: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zstd.include_checksum(true).unwrap();
    zstd.write_all(bytes).unwrap();
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true).block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut lz4 = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    lz4.write_all(bytes).unwrap();
    [("gzip", gzip.finish().unwrap()), ("zstd", zstd.finish().unwrap()), ("lz4", lz4.finish().unwrap())]
}
