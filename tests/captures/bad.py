#!/usr/bin/env python3
"""Writes capture files that are damaged, lie, or are no captures: `./bad.py FOLDER`.

Nothing is random, so each run gives the same bytes. `index.tsv` in FOLDER lists file, packets that can be read (those
before the damage; `-` where readers may differ) and what is wrong. `cut/` holds a pcap and a pcapng file cut
after each of their bytes.
"""

import gzip
import random
import struct
import sys
from pathlib import Path

import encapsulate as wrap
from pcapng import ENHANCED, INTERFACE, NAMES, SECTION, STATISTICS

US, NS, MODIFIED = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
ETHERNET = 1
START = 1_700_000_000
# The last second that 32 bits can hold: 7 February 2106.
LAST_SECOND = 0xFFFFFFFF
MIB = 1 << 20


def frame(number, flow=0):
    """A small UDP datagram; flows differ in their port."""
    datagram = wrap.udp(40000 + flow, 7, b"packet %d" % number)
    packet = wrap.ipv4("192.0.2.1", "192.0.2.2", wrap.UDP, datagram, identification=number)
    return wrap.ethernet("02:00:00:00:00:01", "02:00:00:00:00:02", wrap.IPV4, packet)


# ── pcap ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

def head(order="<", magic=US, version=(2, 4), snap=65535, link=ETHERNET):
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snap, link)


def packet(number=0, order="<", second=None, fraction=0, captured=None, original=None, data=None):
    data = frame(number) if data is None else data
    return struct.pack(order + "IIII", START + number if second is None else second, fraction,
                       len(data) if captured is None else captured,
                       len(data) if original is None else original) + data


GOOD_PCAP = head() + b"".join(packet(number) for number in range(3))


def no_captures():
    yield "empty.pcap", 0, "no byte at all", b""
    yield "one-byte.pcap", 0, "one byte", b"\xd4"
    yield "text.pcap", 0, "plain text", b"This is not a capture.\n" * 10
    yield "page.pcap", 0, "an error page saved as a capture", b"<!DOCTYPE html><html><title>404</title></html>\n"
    yield "zeros.pcap", 0, "4 KiB of zeros", bytes(4096)
    yield "noise.pcap", 0, "4 KiB of noise", random.Random(1).randbytes(4096)
    yield "program.pcap", 0, "the start of an ELF program", b"\x7fELF\x02\x01\x01" + bytes(57)
    yield "snoop.pcap", 0, "a capture of another kind (RFC 1761)", b"snoop\0\0\0" + struct.pack(">II", 2, 4)
    yield "archive.pcap", 0, "a zip archive", b"PK\x03\x04" + bytes(26)
    yield "packed.pcap.xz", 0, "a kind of compression nobody reads", b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46"


def pcap_heads():
    yield "header-only.pcap", 0, "a whole header and no packet: not an error", head()
    yield "header-cut.pcap", 0, "a header of 20 bytes", head()[:20]
    yield "version-3.pcap", "-", "major version 3", head(version=(3, 0)) + packet()
    yield "version-2-99.pcap", "-", "minor version 99", head(version=(2, 99)) + packet()
    yield "snap-0.pcap", 2, "snap length 0, which means no limit", head(snap=0) + packet(0) + packet(1)
    yield "snap-4g.pcap", 2, "snap length 4 GiB", head(snap=0xFFFFFFFF) + packet(0) + packet(1)
    yield "link-65000.pcap", 2, "an unknown link type", head(link=65000) + packet(0) + packet(1)
    yield "link-user.pcap", 2, "a link type for private use", head(link=147) + packet(0) + packet(1)
    checksum_of_4_bytes = 0x24000000
    yield "link-with-fcs.pcap", 2, "the header says that frames end in a checksum of 4 bytes", (
        head(link=ETHERNET | checksum_of_4_bytes) + packet(data=frame(0) + b"abcd") + packet(1, data=frame(1) + b"abcd"))


def pcap_packets():
    good = head() + packet(0) + packet(1)
    yield "packet-header-cut.pcap", 2, "ends in a packet's header", good + packet(2)[:10]
    yield "packet-data-cut.pcap", 2, "ends in a packet's data", good + packet(2)[:-10]
    yield "captured-one-too-many.pcap", 2, "the last packet claims one byte more than there is", (
        good + packet(2, captured=len(frame(2)) + 1))
    for name, size in (("256m", 256 * MIB), ("2g", 1 << 31), ("4g", 0xFFFFFFFF)):
        yield f"captured-{name}.pcap", 2, f"a packet that claims {size:,} bytes, then good ones", (
            good + packet(2, captured=size) + packet(3))
    yield "captured-over-original.pcap", "-", "captured length above original length", head() + packet(0, original=10) * 2
    yield "captured-over-snap.pcap", "-", "packets above the snap length", head(snap=40) + packet(0) + packet(1)
    yield "original-4g.pcap", 2, "original length 4 GiB", head() + packet(0, original=0xFFFFFFFF) + packet(1)
    yield "no-data.pcap", 3, "packets of 0 bytes", head() + packet(data=b"") * 3
    yield "one-byte-data.pcap", 3, "packets of 1 byte", head() + packet(data=b"\x02") * 3
    yield "garbage-between.pcap", "-", "64 bytes of noise between packets", good + random.Random(2).randbytes(64) + packet(2)
    yield "garbage-after.pcap", 2, "8 bytes after the last packet", good + b"the end."
    yield "two-files.pcap", "-", "two files written one after the other", good + good
    modified = struct.pack("<IIIIIHBB", START, 0, len(frame(0)), len(frame(0)), 1, 8, 0, 0) + frame(0)
    yield "modified-cut.pcap", 1, "the modified form, cut in its longer packet header", (
        head(magic=MODIFIED) + modified + modified[:20])


def clocks():
    def at(*seconds, fraction=0):
        return head() + b"".join(packet(n, second=second, fraction=fraction) for n, second in enumerate(seconds))

    yield "clock-back-1s.pcap", 3, "one second back", at(START, START - 1, START + 1)
    yield "clock-back-years.pcap", 4, "from 2023 to 1970 and on", at(START, START + 1, 5, 6)
    yield "clock-backwards.pcap", 50, "each packet a minute before the last", at(*(START - 60 * n for n in range(50)))
    yield "clock-zero.pcap", 3, "all times are 0", at(0, 0, 0)
    yield "fraction-1e6.pcap", 2, "a fraction of a whole second", at(START, START + 1, fraction=1_000_000)
    yield "fraction-4g.pcap", 2, "a fraction of 4,294 seconds", at(START, START + 1, fraction=0xFFFFFFFF)
    # Ten flows take turns; the twentieth packet of forty is dated 2106 in one file and rightly in the other.
    for name, second, what in (("year-2106", LAST_SECOND, "one packet in the middle is dated 2106"),
                               ("year-2106-without", START + 20, "the same packets with the right date")):
        times = [second if n == 20 else START + n for n in range(40)]
        yield f"{name}.pcap", 40, what, head() + b"".join(
            packet(n, second=when, data=frame(n, flow=n % 10)) for n, when in enumerate(times))


# ── pcapng ────────────────────────────────────────────────────────────────────────────────────────────────────────────

def block(kind, body, order="<", length=None, trailer=None):
    body += bytes(-len(body) % 4)
    true_length = len(body) + 12
    length = true_length if length is None else length
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length if trailer is None else trailer)


def section(order="<", version=(1, 0), length=-1, byte_order=0x1A2B3C4D):
    return block(SECTION, struct.pack(order + "IHHq", byte_order, *version, length), order)


def interface(order="<", link=ETHERNET, snap=0, options=b""):
    return block(INTERFACE, struct.pack(order + "HHI", link, 0, snap) + options, order)


def option(code, value, length=None):
    return struct.pack("<HH", code, len(value) if length is None else length) + value + bytes(-len(value) % 4)


def enhanced(number=0, order="<", at=0, captured=None, original=None, options=b"", ticks=None, data=None):
    """A packet of interface `at`, timed in µs."""
    data = frame(number) if data is None else data
    ticks = (START + number) * 10**6 if ticks is None else ticks
    sizes = len(data) if captured is None else captured, len(data) if original is None else original
    return block(ENHANCED, struct.pack(order + "IIIII", at, ticks >> 32, ticks & 0xFFFFFFFF, *sizes) + data
                 + bytes(-len(data) % 4) + options, order)


END = option(0, b"")
OPEN = section() + interface()
GOOD_PCAPNG = OPEN + b"".join(enhanced(number) for number in range(3))
RESOLUTION, OFFSET, COMMENT = 9, 14, 1


def pcapng_blocks():
    good = OPEN + enhanced(0) + enhanced(1)
    tail = enhanced(2)
    yield "section-only.pcapng", 0, "a section without interface or packet: not an error", section()
    yield "section-cut.pcapng", 0, "ends in the section header", section()[:20]
    yield "byte-order.pcapng", 0, "a byte-order mark that is none", section(byte_order=0x11223344) + interface() + tail
    yield "version-2.pcapng", "-", "major version 2", section(version=(2, 0)) + interface() + tail
    yield "section-length.pcapng", "-", "a section length that lies", section(length=4) + interface() + tail
    for name, length in (("0", 0), ("4", 4), ("11", 11), ("33", 33), ("512m", 512 * MIB), ("4g", 0xFFFFFFFC)):
        yield f"block-length-{name}.pcapng", 2, f"a block that claims {length:,} bytes", (
            good + block(ENHANCED, bytes(100), length=length) + tail)
    yield "first-block-4g.pcapng", 0, "a section header of 4 GiB", (
        block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), length=0xFFFFFFFC))
    yield "trailer.pcapng", "-", "the two lengths of a block differ", good + tail[:-4] + struct.pack("<I", 99) + tail
    yield "block-cut.pcapng", 2, "ends in a block", good + tail[:-10]
    yield "unknown-block.pcapng", 3, "a block of unknown type, to be skipped", good + block(0x0BADBEEF, b"x" * 1000) + tail
    yield "custom-blocks.pcapng", 3, "custom blocks, to be skipped", (
        good + block(0xBAD, struct.pack("<I", 32473) + b"ours") + block(0x40000BAD, struct.pack("<I", 32473)) + tail)
    yield "secrets.pcapng", 3, "a block of decryption secrets, to be skipped", (
        good + block(10, struct.pack("<II", 0x544C534B, 4) + b"none") + tail)
    for name, kind in (("interface", INTERFACE), ("packet", ENHANCED), ("simple", 3), ("statistics", STATISTICS)):
        yield f"short-{name}.pcapng", "-", f"a block too short for its kind ({name})", good + block(kind, b"") + tail
    names = struct.pack("<HH", 1, 9) + bytes([192, 0, 2, 1]) + b"host\0" + bytes(3)
    yield "names-without-end.pcapng", 3, "name records without end mark", good + block(NAMES, names) + tail
    yield "names-overrun.pcapng", 3, "a name record longer than its block", (
        good + block(NAMES, struct.pack("<HH", 1, 60000) + bytes(8)) + tail)
    yield "two-endians.pcapng", 2, "two sections of different byte order: not an error", (
        OPEN + enhanced(0) + section(">") + interface(">") + enhanced(1, ">"))
    yield "second-section-cut.pcapng", 2, "ends in the second section's header", good + section()[:16]
    yield "many-sections.pcapng", 10_000, "10,000 sections", (section() + interface() + enhanced(0)) * 10_000


def pcapng_interfaces():
    yield "no-interface.pcapng", 0, "a packet before any interface", section() + enhanced(0)
    yield "simple-without-interface.pcapng", 0, "a simple packet before any interface", (
        section() + block(3, struct.pack("<I", 4) + b"data"))
    yield "interface-7.pcapng", "-", "a packet of an interface that is not there", OPEN + enhanced(0, at=7) + enhanced(1)
    yield "interface-4g.pcapng", "-", "a packet of interface 4,294,967,295", OPEN + enhanced(0, at=0xFFFFFFFF) + enhanced(1)
    yield "statistics-of-7.pcapng", 1, "statistics of an interface that is not there", (
        OPEN + block(STATISTICS, struct.pack("<III", 7, 0, 0)) + enhanced(0))
    yield "interfaces-200000.pcapng", 2, "200,000 interfaces; packets on the first and the last", (
        section() + interface() * 200_000 + enhanced(0) + enhanced(1, at=199_999))
    yield "mixed-links.pcapng", 3, "one known and two unknown link types", (
        section() + interface() + interface(link=65000) + interface(link=147)
        + enhanced(0) + enhanced(1, at=1) + enhanced(2, at=2))
    for value, what in ((0, "1 s"), (6, "1 µs, said aloud"), (12, "1 ps"), (19, "below what 64 bits can count"),
                        (127, "10^-127 s"), (128, "2^0 s"), (0x80 | 10, "2^-10 s"), (255, "2^-127 s")):
        yield f"resolution-{value}.pcapng", 1, f"clock resolution {what}", (
            section() + interface(options=option(RESOLUTION, bytes([value])) + END) + enhanced(0))
    for name, offset in (("forward", START), ("largest", 2**63 - 1), ("smallest", -2**63)):
        yield f"time-offset-{name}.pcapng", 1, f"clock offset {offset:,} s", (
            section() + interface(options=option(OFFSET, struct.pack("<q", offset)) + END) + enhanced(0))
    yield "time-largest.pcapng", 1, "the greatest time of 64 bits", OPEN + enhanced(0, ticks=2**64 - 1)


def pcapng_packets():
    for name, size in (("1g", 1 << 30), ("4g", 0xFFFFFFFF), ("one-too-many", len(frame(0)) + 8)):
        yield f"captured-{name}.pcapng", "-", f"captured length {size:,} in a small block", (
            OPEN + enhanced(0, captured=size) + enhanced(1))
    yield "option-overrun.pcapng", "-", "an option longer than its block", (
        OPEN + enhanced(0, options=option(COMMENT, b"", length=60000)) + enhanced(1))
    yield "option-without-end.pcapng", 2, "options without end mark: not an error", (
        OPEN + enhanced(0, options=option(COMMENT, b"hello")) + enhanced(1))
    yield "interface-option-overrun.pcapng", "-", "an option of an interface longer than its block", (
        section() + interface(options=option(RESOLUTION, b"", length=60000)) + enhanced(0))
    yield "comment-not-utf8.pcapng", 1, "a comment that is no UTF-8", (
        OPEN + enhanced(0, options=option(COMMENT, b"\xff\xfe") + END))
    yield "comments-many.pcapng", 1, "10,000 comments on one packet", (
        OPEN + enhanced(0, options=option(COMMENT, b"again") * 10_000 + END))
    yield "packet-1m.pcapng", "-", "a packet of 1 MiB", OPEN + enhanced(0, data=frame(0) + bytes(MIB)) + enhanced(1)


# ── compression ───────────────────────────────────────────────────────────────────────────────────────────────────────

def gz(data):
    return gzip.compress(data, mtime=0)


def zstandard(data):
    """One frame (RFC 8878) with one raw block."""
    single_segment_with_size_of_4 = 0xA0
    return (struct.pack("<IBI", 0xFD2FB528, single_segment_with_size_of_4, len(data))
            + struct.pack("<I", len(data) << 3 | 1)[:3] + data)


def lz4(data):
    """One frame with one stored block; 0x82 is the checksum of the two bytes before it."""
    return struct.pack("<IBBB", 0x184D2204, 0x60, 0x40, 0x82) + struct.pack("<I", len(data) | 1 << 31) + data + bytes(4)


def compressed():
    for suffix, pack in (("gz", gz), ("zst", zstandard), ("lz4", lz4)):
        packed = pack(GOOD_PCAP)
        yield f"whole.pcap.{suffix}", 3, "a good one: not an error", packed
        yield f"cut.pcap.{suffix}", "-", "cut in the middle", packed[:len(packed) // 2]
        yield f"magic.pcap.{suffix}", 0, "nothing but the magic", packed[:4]
        yield f"text.pcap.{suffix}", 0, "plain text inside", pack(b"This is not a capture.\n" * 10)
        yield f"twice.pcap.{suffix}", "-", "packed twice", pack(packed)
        yield f"empty.pcap.{suffix}", 0, "nothing inside", pack(b"")
        yield f"two-members.pcap.{suffix}", 3, "one capture in two frames: not an error", (
            pack(GOOD_PCAP[:100]) + pack(GOOD_PCAP[100:]))
        yield f"garbage-after.pcap.{suffix}", "-", "bytes after the frame", packed + b"the end."
        yield f"captured-256m.pcap.{suffix}", 1, "a packet inside claims 256 MiB", pack(
            head() + packet(0) + packet(1, captured=256 * MIB))
    whole = gz(GOOD_PCAP)
    yield "checksum.pcap.gz", "-", "a wrong checksum at the end", whole[:-8] + bytes(4) + whole[-4:]
    yield "bomb.pcap.gz", "-", "64 MiB of zeros in 64 KiB", gz(head() + packet(0) + bytes(64 * MIB))
    yield "misnamed.gz", 3, "a plain capture with the name of a packed one: not an error", GOOD_PCAP
    yield "misnamed.pcap", 3, "a packed capture with the name of a plain one: not an error", whole


GROUPS = (no_captures, pcap_heads, pcap_packets, clocks, pcapng_blocks, pcapng_interfaces, pcapng_packets, compressed)


def whole_packets(length, start, size):
    return max(0, (length - start) // size)


def cut_files():
    for suffix, data, start in (("pcap", GOOD_PCAP, len(head())), ("pcapng", GOOD_PCAPNG, len(OPEN))):
        size = (len(data) - start) // 3
        for length in range(len(data)):
            yield f"cut/{length:04}.{suffix}", whole_packets(length, start, size), f"cut after byte {length}", data[:length]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: bad.py FOLDER")
    folder = Path(sys.argv[1])
    (folder / "cut").mkdir(parents=True, exist_ok=True)
    index = ["file\tpackets\twhat\n"]
    for group in (*GROUPS, cut_files):
        for name, packets, what, data in group():
            (folder / name).write_bytes(data)
            index.append(f"{name}\t{packets}\t{what}\n")
    (folder / "index.tsv").write_text("".join(index))


if __name__ == "__main__":
    main()
