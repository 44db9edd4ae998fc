#!/usr/bin/env python3
"""Make a large capture to measure with, the same bytes each time.

Usage: large_capture.py mix|small|flood|holes OUT.pcap

mix:    the project's captures again and again up to 1 GB. Each copy has its own IPv4 and IPv6 addresses:
        what is added to one half of an address is taken from the other, so checksums stay right.
small:  2 million packets of at most 80 bytes that make 1.6 million flows: SYNs and their answers, DNS
        queries for random names, other UDP.
flood:  10 million SYNs, each of a connection of its own.
holes:  100,000 connections that begin a request, miss a segment and go on for 6,000 bytes.
"""

import random
import struct
import sys
from pathlib import Path

CAPTURES = Path(__file__).resolve().parent / "captures"
MIX_BYTES = 1_000_000_000
SMALL_PACKETS = 2_000_000
FLOOD_PACKETS = 10_000_000
HOLED_CONNECTIONS = 100_000
ETHERNET = 1
FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET)
BEGIN_US = 1_760_000_000_000_000


def write_packet(out, time_us, packet):
    out.write(struct.pack("<IIII", time_us // 1_000_000, time_us % 1_000_000, len(packet), len(packet)) + packet)


def packets_of(path):
    """Time in microseconds and bytes of each packet of an Ethernet capture in the plain format."""
    data = path.read_bytes()
    if data[:4] != FILE_HEADER[:4] or struct.unpack_from("<I", data, 20)[0] & 0xFFFF != ETHERNET:
        return
    at = 24
    while at + 16 <= len(data):
        seconds, micros, captured, _ = struct.unpack_from("<IIII", data, at)
        yield seconds * 1_000_000 + micros, data[at + 16 : at + 16 + captured]
        at += 16 + captured


def add(word, number):
    """One's complement addition, as checksums add (RFC 1071)."""
    total = word + number
    return (total & 0xFFFF) + (total >> 16)


def moved(address, copy):
    """Another address of the same one's complement sum."""
    words = list(struct.unpack(f">{len(address) // 2}H", address))
    words[-2], words[-1] = add(words[-2], copy), add(words[-1], 0xFFFF - copy)
    return struct.pack(f">{len(words)}H", *words)


def is_group(address):
    return address[0] >= 224 or address[0] in (0, 127)


def copied(packet, copy):
    """The packet in another copy of its network."""
    kind = packet[12:14]
    if kind == b"\x08\x00" and len(packet) >= 34:
        begin, size = 26, 4
    elif kind == b"\x86\xdd" and len(packet) >= 54:
        begin, size = 22, 16
    else:
        return packet
    ends = [packet[begin : begin + size], packet[begin + size : begin + 2 * size]]
    ends = [end if is_group(end) else moved(end, copy) for end in ends]
    return packet[:begin] + b"".join(ends) + packet[begin + 2 * size :]


def mix(out):
    seeds = [list(packets_of(path)) for path in sorted(CAPTURES.glob("*.pcap"))]
    seeds = [seed for seed in seeds if seed]
    written, copy, now_us = 0, 0, BEGIN_US
    while written < MIX_BYTES:
        copy += 1
        for seed in seeds:
            first_us = last_us = seed[0][0]
            for time_us, packet in seed:
                # Waiting is cut to a quarter of a second.
                now_us += min(max(time_us - last_us, 0), 250_000)
                last_us = max(time_us, last_us, first_us)
                write_packet(out, now_us, copied(packet, copy))
                written += 16 + len(packet)
                if written >= MIX_BYTES:
                    return


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(protocol, src, dst, payload):
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0, src, dst)
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def small(out):
    chance = random.Random(1)
    client, server = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
    now_us = BEGIN_US
    syn = None
    for _ in range(SMALL_PACKETS):
        now_us += 1 + chance.getrandbits(1)
        src, dst = struct.pack(">I", 0x0B000000 + chance.getrandbits(30)), bytes([192, 0, 2, 1 + chance.getrandbits(6)])
        port, macs, kind = 1024 + chance.getrandbits(15), server + client, chance.random()
        if kind < 0.4 or (kind < 0.6 and syn is None):
            syn = (dst, src, chance.choice((22, 25, 80, 443)), port)
            options = struct.pack(">BBHBBBBIIBBBB", 2, 4, 1460, 4, 2, 8, 10, chance.getrandbits(32), 0, 1, 3, 3, 7)
            tcp = struct.pack(">HHIIBBHHH", port, syn[2], chance.getrandbits(32), 0, 0xA0, 2, 64240, 0, 0)
            packet = ipv4(6, src, dst, tcp + options)
        elif kind < 0.6:
            flags = chance.choice((0x12, 0x14))
            numbers = chance.getrandbits(32), chance.getrandbits(32)
            tcp = struct.pack(">HHIIBBHHH", syn[2], syn[3], *numbers, 0x50, flags, 65535, 0, 0)
            packet, macs = ipv4(6, syn[0], syn[1], tcp), client + server
        elif kind < 0.85:
            name = b"\x08%08x" % chance.getrandbits(32) + chance.choice((b"\x07example", b"\x04test", b"\x07invalid"))
            query = struct.pack(">HHHHHH", chance.getrandbits(16), 0x100, 1, 0, 0, 0) + name + b"\0"
            query += struct.pack(">HH", chance.choice((1, 28, 16, 255)), 1)
            packet = ipv4(17, src, dst, struct.pack(">HHHH", port, 53, 8 + len(query), 0) + query)
        else:
            payload = chance.randbytes(18 + chance.getrandbits(5))
            to = chance.choice((123, 161, 1900, 40000))
            packet = ipv4(17, src, dst, struct.pack(">HHHH", port, to, 8 + len(payload), 0) + payload)
        write_packet(out, now_us, (macs + b"\x08\0" + packet).ljust(60, b"\0"))


CLIENT, SERVER = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"


def segment(src, dst, ports, sequence, acknowledgement, flags, payload=b""):
    tcp = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledgement, 0x50, flags, 64240, 0, 0)
    return (SERVER + CLIENT + b"\x08\0" + ipv4(6, src, dst, tcp + payload)).ljust(60, b"\0")


def flood(out):
    dst = bytes([192, 0, 2, 1])
    for number in range(FLOOD_PACKETS):
        src = struct.pack(">I", 0x0B000000 + number // 16)
        write_packet(out, BEGIN_US + number, segment(src, dst, (1024 + number % 16, 443), number, 0, 2))


def holes(out):
    dst, ports = bytes([192, 0, 2, 1]), (40000, 80)
    begin, rest = b"GET / HTTP/1.1\r\nhost: ", b"x" * 1500
    for number in range(HOLED_CONNECTIONS):
        src, now_us = struct.pack(">I", 0x0B000000 + number), BEGIN_US + 10 * number
        write_packet(out, now_us, segment(src, dst, ports, 0, 0, 2))
        write_packet(out, now_us + 1, segment(dst, src, ports[::-1], 0, 1, 0x12))
        write_packet(out, now_us + 2, segment(src, dst, ports, 1, 1, 0x18, begin))
        for part in range(4):
            sequence = 1001 + len(rest) * part
            write_packet(out, now_us + 3 + part, segment(src, dst, ports, sequence, 1, 0x18, rest))


KINDS = {"mix": mix, "small": small, "flood": flood, "holes": holes}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in KINDS:
        sys.exit(__doc__)
    with open(sys.argv[2], "wb", buffering=1 << 20) as out:
        out.write(FILE_HEADER)
        KINDS[sys.argv[1]](out)


if __name__ == "__main__":
    main()
