"""Reads and writes pcap, and joins pcap files into pcapng (draft-ietf-opsawg-pcapng) with comments, names and
statistics."""

import struct

SECTION, INTERFACE, NAMES, STATISTICS, ENHANCED = 0x0A0D0D0A, 1, 4, 5, 6
END, COMMENT = 0, 1
NAME, DESCRIPTION, FILTER, RESOLUTION = 2, 3, 11, 9
IPV4_NAME, IPV6_NAME = 1, 2
STARTED, ENDED, RECEIVED, LOST = 2, 3, 4, 5


def padded(data):
    return data + bytes(-len(data) % 4)


def options(*pairs):
    """Options of a block; none gives nothing, since the end mark is only needed after one."""
    written = b"".join(struct.pack("<HH", code, len(value)) + padded(value) for code, value in pairs)
    return written + struct.pack("<HH", END, 0) if pairs else b""


def block(kind, body):
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def section(comment):
    unknown_length = -1
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, unknown_length)
    return block(SECTION, body + options((COMMENT, comment.encode())))


def interface(link_type, snap_length, name, description):
    nanoseconds = b"\x09"
    return block(INTERFACE, struct.pack("<HHI", link_type, 0, snap_length) + options(
        (NAME, name.encode()), (DESCRIPTION, description.encode()), (RESOLUTION, nanoseconds)))


def names(entries):
    """`entries` are (address as bytes, name)."""
    body = b""
    for address, name in entries:
        value = address + name.encode() + b"\0"
        kind = IPV4_NAME if len(address) == 4 else IPV6_NAME
        body += struct.pack("<HH", kind, len(value)) + padded(value)
    return block(NAMES, body + struct.pack("<HH", END, 0))


def time_halves(nanoseconds):
    return struct.pack("<II", nanoseconds >> 32, nanoseconds & 0xFFFFFFFF)


def packet(number, nanoseconds, data, original_length, comment=""):
    body = struct.pack("<I", number) + time_halves(nanoseconds) + struct.pack("<II", len(data), original_length)
    return block(ENHANCED, body + padded(data) + options(*[(COMMENT, comment.encode())] if comment else []))


def statistics(number, first, last, received):
    return block(STATISTICS, struct.pack("<I", number) + time_halves(last) + options(
        (STARTED, time_halves(first)), (ENDED, time_halves(last)),
        (RECEIVED, struct.pack("<Q", received)), (LOST, struct.pack("<Q", 0))))


def read_pcap(file):
    """Link type, snap length and (nanoseconds, data, original length) of each packet."""
    data = file.read_bytes()
    magic, _, _, _, _, snap_length, link_type = struct.unpack_from("<IHHiIII", data)
    scale = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[magic]
    packets, at = [], 24
    while at < len(data):
        seconds, fraction, captured, original = struct.unpack_from("<IIII", data, at)
        packets.append((seconds * 10**9 + fraction * scale, data[at + 16:at + 16 + captured], original))
        at += 16 + captured
    return link_type, snap_length, packets


def write_pcap(target, link_type, packets, order="<", magic=0xA1B2C3D4):
    """Writes (nanoseconds, data) pairs; `order` and `magic` choose the byte order and the unit of time."""
    scale = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[magic]
    written = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link_type)]
    for time, data in packets:
        seconds, rest = divmod(time, 10**9)
        written.append(struct.pack(f"{order}IIII", seconds, rest // scale, len(data), len(data)) + data)
    target.write_bytes(b"".join(written))


def join(target, sources, comment, known_names=(), packet_comments=None):
    """Writes the packets of (pcap file, interface name, description) sources in the order of time.

    `packet_comments` maps a packet's number in the result, from 1, to its comment.
    """
    written, all_packets, counts = [section(comment)], [], []
    for number, (file, name, description) in enumerate(sources):
        link_type, snap_length, packets = read_pcap(file)
        written.append(interface(link_type, snap_length, name, description))
        all_packets += [(time, number, data, original) for time, data, original in packets]
        counts.append(len(packets))
    if known_names:
        written.append(names(known_names))
    all_packets.sort(key=lambda entry: entry[:2])
    comments = packet_comments or {}
    for place, (time, number, data, original) in enumerate(all_packets, start=1):
        written.append(packet(number, time, data, original, comments.get(place, "")))
    first, last = all_packets[0][0], all_packets[-1][0]
    written += [statistics(number, first, last, count) for number, count in enumerate(counts)]
    target.write_bytes(b"".join(written))
