//! Capture files that lie, are cut, or are none: what is said about them, and what is read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod builders;

use builders::*;
use proptest::prelude::*;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use weir_agent::{CaptureFile, Source, SourceError, Step};

/// What reading gave: times and lengths of the packets, link types, damaged packets, messages.
#[derive(Debug)]
struct Outcome {
    packets: Vec<(i64, usize, u32)>,
    link_types: Vec<u32>,
    damaged: i64,
    messages: Vec<String>,
    /// Nothing failed but the capture.
    only_damage: bool,
}

fn read(bytes: Vec<u8>) -> Result<Outcome, SourceError> {
    read_from(Cursor::new(bytes))
}

fn read_from(stream: impl Read + Send + 'static) -> Result<Outcome, SourceError> {
    let mut file = CaptureFile::from_stream("test.pcap", stream)?;
    let mut packets = Vec::new();
    while file.advance() == Step::Packet {
        let info = file.info();
        assert!((info.interface as usize) < file.interfaces().len());
        packets.push((info.ts_ns, file.data().len(), info.original_length));
    }
    assert_eq!(file.advance(), Step::End, "the end is the end");
    assert!(file.data().is_empty());
    let link_types = file.interfaces().iter().map(|interface| interface.link_type).collect();
    let damage = file.take_damage();
    let messages = damage.problems.iter().map(ToString::to_string).collect();
    let only_damage = damage.problems.iter().all(SourceError::is_damage);
    Ok(Outcome { packets, link_types, damaged: damage.packets, messages, only_damage })
}

const SECOND: i64 = 1_000_000_000;

/// A case: name, bytes, packets read, packets damaged, and for each message a part of it.
type Case = (&'static str, Vec<u8>, usize, i64, &'static [&'static str]);

fn check(cases: Vec<Case>) {
    for (name, bytes, packets, damaged, messages) in cases {
        let outcome = read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(outcome.packets.len(), packets, "{name}: {outcome:?}");
        assert_eq!(outcome.damaged, damaged, "{name}: {outcome:?}");
        assert!(outcome.only_damage, "{name}: {outcome:?}");
        assert_eq!(outcome.messages.len(), messages.len(), "{name}: {outcome:?}");
        for (message, part) in outcome.messages.iter().zip(messages) {
            assert!(message.starts_with("test.pcap: ") && message.contains(part), "{name}: {message:?} lacks {part:?}");
        }
    }
}

#[test]
fn every_form_of_pcap_is_read() {
    let with = |order, magic, records: [Vec<u8>; 2]| [pcap_header(order, magic, 65535, 1), records.concat()].concat();
    let big = Record { order: Big, ..RECORD };
    let nano = Record { fraction: 999_999_999, ..RECORD };
    let modified = |order: Order| {
        let tail = [&order.u32(1)[..], &order.u16(8), &[0, 0], &frame()].concat();
        with(order, 0xa1b2_cd34, [(); 2].map(|()| Record { order, ..RECORD }.with(&tail)))
    };
    let cases = [
        (with(Little, 0xa1b2_c3d4, [packet(), packet()]), SECOND),
        (with(Big, 0xa1b2_c3d4, [(); 2].map(|()| big.with(&frame()))), SECOND),
        (with(Little, 0xa1b2_3c4d, [(); 2].map(|()| nano.with(&frame()))), 2 * SECOND - 1),
        (with(Big, 0xa1b2_3c4d, [(); 2].map(|()| big.with(&frame()))), SECOND),
        (modified(Little), SECOND),
        (modified(Big), SECOND),
    ];
    for (bytes, ts_ns) in cases {
        let outcome = read(bytes).unwrap();
        assert_eq!(outcome.packets, [(ts_ns, 60, 60); 2]);
        assert_eq!((outcome.damaged, outcome.messages.len()), (0, 0));
    }
}

#[test]
fn old_versions_have_their_lengths_the_other_way_round() {
    let swapped = Record { captured: 100, original: 60, ..RECORD };
    for (minor, record) in [(2, &swapped), (3, &swapped), (3, &Record { original: 100, ..RECORD })] {
        let mut bytes = [header(), record.with(&frame())].concat();
        bytes[6] = minor;
        assert_eq!(read(bytes).unwrap().packets, [(SECOND, 60, 100)]);
    }
}

#[test]
fn link_types_are_passed_on_without_what_is_above_them() {
    let link_types = [(1, 1), (65000, 65000), (0x1400_0001, 1), (0x0001_0001, 65535), (u32::MAX, 65535)];
    for (network, expected) in link_types {
        let bytes = [pcap_header(Little, 0xa1b2_c3d4, 65535, network), packet()].concat();
        let outcome = read(bytes).unwrap();
        assert_eq!((outcome.link_types, outcome.packets.len()), (vec![expected], 1));
    }
}

#[test]
fn files_that_cannot_be_opened_say_why_and_what_to_do() {
    let folder = std::env::temp_dir().join(format!("weir-bad-input-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let unreadable = folder.join("unreadable.pcap");
    fs::write(&unreadable, header()).unwrap();
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    let may_read_all = fs::read(&unreadable).is_ok(); // root may
    let open = |path: &Path| CaptureFile::open(path).map(|_| ()).unwrap_err().to_string();
    let missing = folder.join("missing.pcap");
    assert_eq!(open(&missing), format!("{}: no such file: check the path", missing.display()));
    assert!(open(&folder).contains("is a folder, not a capture file"));
    if !may_read_all {
        assert!(open(&unreadable).contains("permission denied"));
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn files_that_are_no_captures_are_refused() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut archaic = header();
    archaic[4] = 1;
    let version_2 =
        block(Little, 0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[2, 0, 0, 0], &[0xff; 8]].concat());
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("empty", vec![], "is empty"),
        ("one byte", vec![0xd4], "starts with the bytes d4"),
        ("garbage", vec![0x42; 4096], "starts with the bytes 42 42 42 42: pcap and pcapng are read"),
        ("header cut", header()[..20].to_vec(), "ends within its file header, after 20 of 24 bytes"),
        ("section cut", section(Little)[..20].to_vec(), "ends within its file header, after 20 of 28 bytes"),
        ("archaic version", archaic, "version 1.4 of pcap"),
        ("future version", version_2, "version 2.0 of pcapng"),
        ("byte order", block(Little, 0x0a0d_0d0a, &[7; 16]), "byte-order magic 0x07070707"),
        ("compressed nothing", gzip(b""), "is empty"),
        ("compressed text", gzip(b"text"), "starts with the bytes 74 65 78 74"),
        ("compressed twice", gzip(&gzip(&header())), "compressed inside a compressed file"),
    ];
    for (name, bytes, part) in cases {
        let error = read(bytes).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(part), "{name}: {error}");
    }
}

#[test]
fn pcap_that_lies_or_is_cut_keeps_what_was_before() {
    let with = |records: &[Vec<u8>]| [header(), records.concat()].concat();
    let lie = |captured, original| Record { captured, original, ..RECORD }.with(&frame());
    check(vec![
        ("header only", header(), 0, 0, &[]),
        ("no bytes in packets", with(&[lie(0, 0)[..16].to_vec(), lie(0, 0)[..16].to_vec()]), 2, 0, &[]),
        (
            "cut in a packet header",
            with(&[packet(), packet()[..10].to_vec()]),
            1,
            1,
            &[
                "ends within a packet header, after 10 of 16 bytes: the capture was cut off; what is before is read (at byte 100 of the capture)",
            ],
        ),
        ("cut in a packet", with(&[packet(), packet()[..66].to_vec()]), 1, 1, &["within a packet, after 66 of 76"]),
        ("captured more than there was", with(&[lie(60, 10), packet()]), 2, 1, &["60 of its 10 bytes were captured"]),
        (
            "4 GiB packet",
            with(&[packet(), lie(u32::MAX, 60), packet()]),
            1,
            1,
            &["4294967295 bytes, more than the 262144"],
        ),
        ("256 MiB packet", with(&[packet(), lie(256 << 20, 60), packet()]), 1, 1, &["268435456 bytes, more than"]),
        ("packet just too long", with(&[lie(262_145, 60)]), 0, 1, &["262145 bytes, more than"]),
        ("longer than the snapshot", [pcap_header(Little, 0xa1b2_c3d4, 40, 1), packet()].concat(), 1, 0, &[]),
        ("no snapshot length", [pcap_header(Little, 0xa1b2_c3d4, 0, 1), packet()].concat(), 1, 0, &[]),
    ]);
    let longest = Record { captured: 262_144, original: 300_000, ..RECORD }.with(&vec![1; 262_144]);
    let outcome = read(with(&[packet(), longest, packet()])).unwrap();
    assert_eq!(outcome.packets[1..], [(SECOND, 262_144, 300_000), (SECOND, 60, 60)]);
}

#[test]
fn clocks_may_run_backwards_and_fractions_carry_over() {
    let times = [(100, 0), (5, 0), (u32::MAX, 0), (1, u32::MAX), (0, 1_000_000)];
    let records = times.map(|(seconds, fraction)| Record { seconds, fraction, ..RECORD }.with(&frame()));
    let outcome = read([header(), records.concat()].concat()).unwrap();
    let times: Vec<_> = outcome.packets.iter().map(|packet| packet.0).collect();
    let carried = SECOND + i64::from(u32::MAX) * 1000;
    assert_eq!(times, [100 * SECOND, 5 * SECOND, i64::from(u32::MAX) * SECOND, carried, SECOND]);
    assert!(outcome.messages.is_empty());
}

#[test]
fn pcapng_that_lies_or_is_cut_keeps_what_was_before() {
    let good = || [section(Little), interface(Little, 1, &[])].concat();
    let packet = || enhanced(Little, 0, 60, &frame());
    let with = |blocks: &[Vec<u8>]| [good(), blocks.concat()].concat();
    let lie = |length: u32| [&6_u32.to_le_bytes()[..], &length.to_le_bytes(), &[0; 100]].concat();
    let mut trailer = packet();
    let end = trailer.len() - 4;
    trailer[end..].copy_from_slice(&99_u32.to_le_bytes());
    check(vec![
        ("good", with(&[packet(), packet(), packet()]), 3, 0, &[]),
        ("section only", section(Little), 0, 0, &[]),
        ("unknown block", with(&[block(Little, 0x0bad_beef, &[b'x'; 1000]), packet()]), 1, 0, &[]),
        ("malformed name resolution", with(&[block(Little, 4, &[0xff; 40]), packet()]), 1, 0, &[]),
        ("malformed statistics", with(&[block(Little, 5, &[]), packet()]), 1, 0, &[]),
        (
            "no interface",
            [section(Little), packet(), packet()].concat(),
            0,
            2,
            &["interface 0, but the section describes 0", "0, but"],
        ),
        (
            "unknown interface",
            with(&[enhanced(Little, 7, 60, &frame()), packet()]),
            1,
            1,
            &["is of interface 7, but the section describes 1: it is left out (at byte 48"],
        ),
        (
            "captured beyond the block",
            with(&[enhanced(Little, 0, 1 << 30, &frame()), packet()]),
            1,
            1,
            &["type 0x6 has content that does not fit"],
        ),
        (
            "captured to the last bit",
            with(&[enhanced(Little, 0, u32::MAX, &frame()), packet()]),
            1,
            1,
            &["does not fit"],
        ),
        ("captured more than there was", with(&[enhanced(Little, 0, 61, &frame()), packet()]), 1, 1, &["does not fit"]),
        ("block too short for a packet", with(&[block(Little, 6, &[0; 8]), packet()]), 1, 1, &["does not fit"]),
        ("4 GiB block", with(&[packet(), lie(0xffff_fffc)]), 1, 1, &["4294967292 bytes, more than the 16777216"]),
        ("512 MiB block", with(&[lie(512 << 20)]), 0, 1, &["536870912 bytes, more than"]),
        ("16 MiB block, cut", with(&[lie(16 << 20)]), 0, 1, &["within a block, after 108 of 16777216"]),
        ("block of length 0", with(&[lie(0), packet()]), 0, 0, &["0 bytes, which no block can"]),
        ("unaligned block", with(&[lie(33)]), 0, 0, &["33 bytes, which no block can"]),
        ("lengths disagree", with(&[packet(), trailer, packet()]), 1, 1, &["length 92 at its start and 99 at its end"]),
        (
            "cut in a block header",
            with(&[packet(), packet()[..7].to_vec()]),
            1,
            0,
            &["within a block header, after 7 of 12"],
        ),
        ("cut in a block", with(&[packet(), packet()[..50].to_vec()]), 1, 1, &["within a block, after 50 of 92"]),
        (
            "interface without content",
            with(&[block(Little, 1, &[]), packet()]),
            0,
            0,
            &["type 0x1 has content that does not fit"],
        ),
        ("options overrun", [section(Little), interface(Little, 1, &[9, 0, 0x60, 0xea]), packet()].concat(), 1, 0, &[]),
    ]);
}

#[test]
fn sections_and_interfaces_of_all_kinds_are_read() {
    let simple = block(Little, 3, &[&60_u32.to_le_bytes()[..], &frame()].concat());
    let obsolete_fields = [0, 0, 1000, 60, 70].map(|field: u32| Big.u32(field)).concat();
    let obsolete = block(Big, 2, &[&obsolete_fields[..], &frame()].concat());
    let offset = option(Big, 14, &2_i64.to_be_bytes());
    let bytes = [
        section(Little),
        interface(Little, 1, &[]),
        interface(Little, 113, &option(Little, 9, &[9])),
        enhanced(Little, 0, 60, &frame()),
        enhanced(Little, 1, 60, &frame()),
        simple,
        section(Big),
        interface(Big, 101, &offset),
        enhanced(Big, 0, 60, &frame()),
        obsolete,
    ]
    .concat();
    let outcome = read(bytes).unwrap();
    assert_eq!(outcome.link_types, [1, 113, 101]);
    let late = 2 * SECOND + 1_000_000;
    assert_eq!(outcome.packets, [(1_000_000, 60, 60), (1000, 60, 60), (1000, 60, 60), (late, 60, 60), (late, 60, 70)]);
    assert!(outcome.messages.is_empty(), "{outcome:?}");
}

#[test]
fn simple_packets_are_cut_to_the_snapshot_length() {
    let mut first = interface(Little, 1, &[]);
    first[12..16].copy_from_slice(&40_u32.to_le_bytes());
    let simple = |original: u32| block(Little, 3, &[&original.to_le_bytes()[..], &[1; 40]].concat());
    let outcome = read([section(Little), first, simple(60), simple(13)].concat()).unwrap();
    assert_eq!(outcome.packets, [(0, 40, 60), (0, 13, 13)]);
}

#[test]
fn absurd_time_resolutions_saturate() {
    for (resolution, expected) in [(0, 1000 * SECOND), (127, 0), (255, 0), (0x80 | 3, 125 * SECOND)] {
        let options = option(Little, 9, &[resolution]);
        let bytes = [section(Little), interface(Little, 1, &options), enhanced(Little, 0, 60, &frame())].concat();
        assert_eq!(read(bytes).unwrap().packets, [(expected, 60, 60)], "{resolution}");
    }
}

#[test]
fn interfaces_have_their_names() {
    let options = option(Little, 2, b"eth\x1b0\0");
    let bytes = [section(Little), interface(Little, 1, &options)].concat();
    let mut file = CaptureFile::from_stream("test", Cursor::new(bytes)).unwrap();
    file.advance();
    assert_eq!(file.interfaces()[0].name, "eth\\x1b0");
}

#[test]
fn two_hundred_thousand_interfaces_end_the_file_but_not_what_was_before() {
    let blocks = [section(Little), interface(Little, 1, &[]), enhanced(Little, 0, 60, &frame())].concat();
    let bytes = [blocks, interface(Little, 1, &[]).repeat(200_000), enhanced(Little, 0, 60, &frame())].concat();
    let outcome = read(bytes).unwrap();
    assert_eq!((outcome.packets.len(), outcome.link_types.len()), (1, 65_536));
    assert!(outcome.messages[0].contains("has more than 65536 interfaces"), "{:?}", outcome.messages);
}

#[test]
fn only_the_first_problems_are_told_but_all_packets_counted() {
    let bad = enhanced(Little, 7, 60, &frame()).repeat(1000);
    let outcome = read([section(Little), bad].concat()).unwrap();
    assert_eq!((outcome.damaged, outcome.messages.len()), (1000, 8));
}

/// A capture of 5,000 packets that does not compress to nothing.
fn long_capture() -> Vec<u8> {
    let mut state = 1_u32;
    let mut bytes = header();
    for seconds in 0..5000 {
        let data: Vec<u8> = (0..60)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        bytes.extend(Record { seconds, ..RECORD }.with(&data));
    }
    bytes
}

#[test]
fn compressed_captures_are_read_whole_also_in_several_parts() {
    let bytes = long_capture();
    let expected = read(bytes.clone()).unwrap().packets;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for ((format, whole), (first, second)) in
        compressed(&bytes).into_iter().zip(compressed(first).into_iter().zip(compressed(second)))
    {
        for (form, stream) in [("whole", whole), ("in two", [first.1, second.1].concat())] {
            let outcome = read(stream).unwrap();
            assert_eq!(outcome.packets, expected, "{format} {form}");
            assert!(outcome.messages.is_empty(), "{format} {form}: {:?}", outcome.messages);
        }
    }
}

#[test]
fn compressed_captures_that_are_damaged_keep_what_was_before() {
    for (format, stream) in compressed(&long_capture()) {
        let mut corrupt = stream.clone();
        let middle = corrupt.len() / 2;
        corrupt[middle..middle + 64].fill(0xff);
        for (what, bytes) in [("cut", stream[..middle].to_vec()), ("corrupt", corrupt)] {
            let outcome = read(bytes).unwrap();
            let read = outcome.packets.len();
            let least = if format == "zstd" { 0 } else { 1000 }; // zstd's blocks are of 128 KiB
            // Where only a checksum at the end tells, all packets are read.
            let most = if what == "cut" { 4999 } else { 5000 };
            assert!((least..=most).contains(&read), "{format} {what}: {read} packets");
            let message = outcome.messages.last().unwrap();
            // Deflate has no checksum but at its end: what a changed byte becomes may be packets that lie.
            let lies = format == "gzip" && what == "corrupt" && message.contains("a packet says to have");
            let told = message.contains(&format!("its {format} stream is damaged or cut off ("));
            assert!(told || lies, "{format} {what}: {message}");
        }
    }
}

/// A stream that fails after its bytes.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::Error::from_raw_os_error(5)),
            count => Ok(count),
        }
    }
}

#[test]
fn failing_disk_is_told_from_damage_and_what_was_before_is_kept() {
    let mut bytes = long_capture();
    bytes.truncate(bytes.len() - 30);
    let outcome = read_from(Failing(Cursor::new(bytes))).unwrap();
    assert_eq!(outcome.packets.len(), 4999);
    assert!(!outcome.only_damage);
    assert!(outcome.messages[0].contains("reading failed: Input/output error"), "{:?}", outcome.messages);
}

/// Where the tests' good files come from: one of each format.
fn seeds() -> impl Strategy<Value = Vec<u8>> {
    let pcap = [header(), packet().repeat(3)].concat();
    let pcapng = [
        section(Little),
        interface(Little, 1, &option(Little, 9, &[9])),
        enhanced(Little, 0, 60, &frame()),
        section(Big),
        interface(Big, 1, &option(Big, 14, &[0; 8])),
        enhanced(Big, 0, 60, &frame()),
        block(Big, 3, &[&60_u32.to_be_bytes()[..], &frame()].concat()),
    ]
    .concat();
    let gzip = compressed(&pcap)[0].1.clone();
    let lz4 = compressed(&pcapng)[2].1.clone();
    proptest::sample::select(vec![pcap, pcapng, gzip, lz4])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn mutated_captures_never_panic_and_end(
        mut bytes in seeds(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.index(bytes.len() * 4).max(bytes.len() / 4));
        if let Ok(outcome) = read(bytes) {
            prop_assert!(outcome.packets.len() < 100);
        }
    }

    #[test]
    fn any_bytes_after_a_header_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..400), ng in any::<bool>()) {
        let head = if ng { [section(Big), interface(Big, 1, &[])].concat() } else { header() };
        read([head, tail].concat()).unwrap();
    }
}

#[test]
fn same_file_is_the_same_epoch_and_another_is_another() {
    let folder = std::env::temp_dir().join(format!("weir-epoch-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let epoch_of = |path: &Path, options| weir_agent::epoch(&[CaptureFile::open(path).unwrap().fingerprint()], options);
    let bytes = long_capture();
    let mut last = bytes.clone();
    *last.last_mut().unwrap() ^= 1;
    let (a, same, other) = (file("a", &bytes), file("same", &bytes), file("other", &last));
    assert_eq!(epoch_of(&a, ""), epoch_of(&same, ""));
    assert_ne!(epoch_of(&a, ""), epoch_of(&other, ""), "the last byte counts");
    assert_ne!(epoch_of(&a, ""), epoch_of(&a, "bpf=tcp"), "options count");
    assert!(epoch_of(&a, "") > 0);
    let stream = CaptureFile::from_stream("-", Cursor::new(bytes)).unwrap().fingerprint();
    let longer = CaptureFile::from_stream("-", Cursor::new(last)).unwrap().fingerprint();
    assert_eq!(stream, longer, "of a stream only the beginning is known");
    fs::remove_dir_all(&folder).unwrap();
}
