"""What no program sends on request: odd fragments, frames and extension headers, all written by hand."""

import struct
from ipaddress import ip_address

import encapsulate as wrap
import pcapng

ALICE, BOB = "192.0.2.1", "192.0.2.2"
ALICE6, BOB6 = "2001:db8::1", "2001:db8::2"
ALICE_MAC, BOB_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
START = 1_700_000_000 * 10**9
MILLISECOND = 10**6

ECHO_PORT = 7


def written(lab, name, what, frames):
    packets = [(START + number * MILLISECOND, frame) for number, frame in enumerate(frames)]
    pcapng.write_pcap(lab.captures_folder / name, 1, packets)
    lab.note(name, what, generator="scenarios/packets.py")


def frame4(*arguments, **options):
    return wrap.ethernet(ALICE_MAC, BOB_MAC, wrap.IPV4, wrap.ipv4(ALICE, BOB, *arguments, **options))


def frame6(protocol, payload):
    return wrap.ethernet(ALICE_MAC, BOB_MAC, wrap.IPV6, wrap.ipv6(ALICE6, BOB6, protocol, payload))


def udp6(source_port, target_port, payload):
    """UDP with its checksum, which IPv6 asks for."""
    datagram = wrap.udp(source_port, target_port, payload)
    addresses = ip_address(ALICE6).packed + ip_address(BOB6).packed
    total = wrap.checksum(addresses + struct.pack(">II", len(datagram), wrap.UDP) + datagram)
    return datagram[:6] + struct.pack(">H", total) + datagram[8:]


def pieces(datagram, identification, *cuts):
    """Fragments of a datagram between the given octets, each a multiple of 8 but for the last."""
    edges = list(zip((0, *cuts), (*cuts, len(datagram)), strict=True))
    return [frame4(wrap.UDP, datagram[first:last], identification=identification, offset=first // 8,
                   flags=1 if last < len(datagram) else 0) for first, last in edges]


def fragments(lab):
    datagrams = [wrap.udp(40000 + number, ECHO_PORT, bytes([0x61 + number]) * 1200) for number in range(8)]
    third = (400, 800)
    in_order = pieces(datagrams[0], 1, *third)
    backwards = pieces(datagrams[1], 2, *third)[::-1]
    twice = [frame for frame in pieces(datagrams[2], 3, *third) for _ in range(2)]
    first, second, last = pieces(datagrams[3], 4, *third)
    differing = frame4(wrap.UDP, b"?" * 400, identification=4, flags=1, offset=350 // 8)
    overlap = [first, differing, second, last]
    hole = pieces(datagrams[4], 5, *third)
    del hole[1]
    tiny = pieces(datagrams[5], 6, 8, 16)
    two_ends = pieces(datagrams[6], 7, *third) + [frame4(wrap.UDP, b"!" * 80, identification=7, flags=0, offset=400 // 8)]
    beyond = [frame4(wrap.UDP, b"x" * 800, identification=8, flags=0, offset=8189)]
    mixed = zip(pieces(datagrams[7], 9, 600), pieces(datagrams[7][::-1], 9, 600), strict=True)
    one_identification = [frame for pair in mixed for frame in pair]
    written(lab, "fragments.pcap", "IPv4 fragments: in order, backwards, each twice, overlapping with other octets, with a "
            "hole, of 8 octets, with two ends, beyond 64 KiB, two datagrams with one identification",
            in_order + backwards + twice + overlap + hole + tiny + two_ends + beyond + one_identification)


def option_header(following, *options):
    """RFC 8200 §4.2: options filled up to a multiple of 8 octets with one PadN."""
    body = b"".join(struct.pack(">BB", kind, len(value)) + value for kind, value in options)
    missing = -(len(body) + 2) % 8
    if missing == 1:
        body += b"\0"
    elif missing:
        body += struct.pack(">BB", 1, missing - 2) + bytes(missing - 2)
    return struct.pack(">BB", following, (len(body) + 2) // 8 - 1) + body


def fragment_header(following, offset, more, identification):
    return struct.pack(">BBHI", following, 0, offset | more, identification)


def extensions(lab):
    hop_by_hop, routing, fragment, destination, authentication, no_next = 0, 43, 44, 60, 51, 59
    router_alert, jumbo, home_address = 5, 0xC2, 0xC9
    datagram = udp6(40000, ECHO_PORT, b"hello")
    # The last segment comes first: it is where the packet ends.
    segments = ip_address(BOB6).packed + ip_address("2001:db8::99").packed
    segment_routing = struct.pack(">BBBBBBH", wrap.UDP, 4, 4, 1, 1, 0, 0) + segments
    home = struct.pack(">BBBB4x", wrap.UDP, 2, 2, 1) + bytes.fromhex("20010db8" + "00" * 11 + "09")
    header = struct.pack(">BBHII", wrap.UDP, 4, 0, 0x100, 1) + bytes(12)
    # RFC 2675: the length of 16 bits is 0.
    jumbogram = frame6(hop_by_hop, option_header(wrap.UDP, (jumbo, struct.pack(">I", 8 + len(datagram)))) + datagram)
    frames = [
        frame6(hop_by_hop, option_header(wrap.UDP, (router_alert, b"\0\0")) + datagram),
        frame6(destination, option_header(wrap.UDP, (home_address, bytes(16))) + datagram),
        frame6(routing, segment_routing + datagram),
        frame6(routing, home + datagram),
        frame6(authentication, header + datagram),
        frame6(hop_by_hop, option_header(destination) + option_header(routing) + struct.pack(">BB", fragment, 4)
               + segment_routing[2:] + fragment_header(destination, 0, 0, 7) + option_header(wrap.UDP) + datagram),
        frame6(fragment, fragment_header(wrap.UDP, 0, 0, 8) + datagram),
        frame6(no_next, b""),
        jumbogram[:18] + bytes(2) + jumbogram[20:],
        frame6(destination, option_header(destination) * 20 + option_header(wrap.UDP) + datagram),
        frame6(hop_by_hop, struct.pack(">BB", wrap.UDP, 200) + bytes(6) + datagram),
        frame6(253, b"experiment"),
    ]
    written(lab, "ipv6-extensions.pcap", "hop-by-hop, destination, routing (type 2, segment routing), authentication and "
            "fragment headers, chains of many, no next header, jumbo option, a header longer than its packet", frames)


def ipv4_options(lab):
    payload = wrap.udp(40000, ECHO_PORT, b"hello")

    def packet(options, total=None):
        options += bytes(-len(options) % 4)
        length = 20 + len(options)
        head = struct.pack(">BBHHHBBH", 0x40 | length // 4, 0, length + len(payload) if total is None else total, 1,
                           0x4000, 64, wrap.UDP, 0) + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + options
        head = head[:10] + struct.pack(">H", wrap.checksum(head)) + head[12:]
        return wrap.ethernet(ALICE_MAC, BOB_MAC, wrap.IPV4, head + payload)

    route = bytes([192, 0, 2, 254, 198, 51, 100, 1])
    security = bytes.fromhex("820b0000000000000000ab")
    frames = [
        packet(b"\x83\x0b\x04" + route), packet(b"\x89\x0b\x0c" + route), packet(b"\x07\x0b\x04" + bytes(8)),
        packet(b"\x44\x0c\x05\x00" + bytes(8)), packet(b"\x44\x0c\x0d\x01" + route[:4] + bytes(4)), packet(b"\x94\x04\0\0"),
        packet(security), packet(b"\x01\x01\x01\x00"), packet(b"\x9e\x04\x12\x34"), packet(b"\x83\x28\x04\x00"),
        packet(b"\x07\x01\x00\x00"), packet(b"", total=0), packet(b"", total=19), packet(b"", total=2000),
    ]
    # Bytes after the packet, as short Ethernet frames have them.
    frames += [packet(b"").ljust(60, b"\0"), packet(b"") + b"trailer"]
    written(lab, "ipv4-options.pcap", "source routes, record route, timestamps, router alert, security, unknown and broken "
            "options; total length 0, too small and too large; padding after the packet", frames)


def frames_of_802_3(lab):
    bridges = "01:80:c2:00:00:00"

    def llc(target, service_points, payload):
        body = service_points + payload
        return wrap.ethernet(ALICE_MAC, target, len(body), body).ljust(60, b"\0")

    spanning_tree = bytes.fromhex("0000000000" + "8000020000000001" + "00000000" + "8000020000000001" + "8001"
                                  + "0000140002000f00")
    rapid = bytes.fromhex("000002023c" + "8000020000000001" + "00000000" + "8000020000000001" + "8001"
                          + "0000140002000f0000")
    frames = [
        llc(bridges, b"\x42\x42\x03", spanning_tree), llc(bridges, b"\x42\x42\x03", rapid),
        llc(bridges, b"\x42\x42\x03", bytes.fromhex("00000080")), llc(BOB_MAC, b"\xf0\xf0\x7f", b""),
        llc(BOB_MAC, b"\xe0\xe0\x03", b"\xff\xff" + bytes(28)), llc(BOB_MAC, b"\xfe\xfe\x03", b"\x83\x14\x01\x00"),
        llc("01:00:0c:cc:cc:cc", b"\xaa\xaa\x03", b"\x00\x00\x0c\x20\x00" + bytes.fromhex("02b40000")),
        llc(BOB_MAC, b"\x04\x04\x00\x02", b""), wrap.ethernet(ALICE_MAC, BOB_MAC, 0x9000, bytes(46)),
        wrap.ethernet(ALICE_MAC, "ff:ff:ff:ff:ff:ff", 0x0842, b"\xff" * 6 + bytes.fromhex(BOB_MAC.replace(":", "")) * 16),
        wrap.ethernet(ALICE_MAC, BOB_MAC, 0x88B5, b"local experiment"), wrap.ethernet(ALICE_MAC, BOB_MAC, 1400, b"short"),
        wrap.ethernet(ALICE_MAC, BOB_MAC, 0x05DD, b"neither length nor type"),
    ]
    written(lab, "ethernet.pcap", "802.3 with LLC (spanning tree, NetBIOS, IPX, IS-IS), SNAP with another organisation, "
            "loopback, wake on LAN, unknown type, lengths that lie", frames)


def icmp(lab):
    def message4(kind, code, rest):
        body = struct.pack(">BBH", kind, code, 0) + rest
        return frame4(1, body[:2] + struct.pack(">H", wrap.checksum(body)) + body[4:])

    quoted = wrap.ipv4(BOB, ALICE, wrap.UDP, wrap.udp(ECHO_PORT, 40000, b"quoted"))
    # RFC 4884: the quoted datagram is filled up to 128 octets, then come objects such as MPLS labels (RFC 4950).
    labels = struct.pack(">HBB", 8, 1, 1) + struct.pack(">I", 16001 << 12 | 1 << 8 | 1)
    extension = struct.pack(">BBH", 0x20, 0, wrap.checksum(b"\x20\0\0\0" + labels)) + labels
    frames = [
        message4(13, 0, struct.pack(">HHIII", 1, 1, 1000, 0, 0)),
        message4(14, 0, struct.pack(">HHIII", 1, 1, 1000, 2000, 3000)),
        message4(17, 0, struct.pack(">HHI", 1, 1, 0)), message4(18, 0, struct.pack(">HHI", 1, 1, 0xFFFFFF00)),
        message4(4, 0, bytes(4) + quoted), message4(12, 0, b"\x14\0\0\0" + quoted),
        message4(5, 1, bytes([192, 0, 2, 3]) + quoted),
        message4(11, 0, b"\0\x20\0\0" + quoted.ljust(128, b"\0") + extension), message4(3, 4, b"\0\0\x05\x14" + quoted),
        message4(9, 0, b"\x01\x02\x07\x08" + bytes([192, 0, 2, 3, 0, 0, 0, 0])), message4(10, 0, bytes(4)),
        message4(8, 0, b""), message4(3, 1, bytes(4) + quoted[:10]), message4(42, 0, struct.pack(">HH", 1, 1)),
    ]
    written(lab, "icmp-kinds.pcap", "timestamp, address mask, source quench, parameter problem, redirect, router discovery, "
            "extensions with MPLS labels, extended echo, cut messages", frames)


def crc32c(data):
    """RFC 9260 appendix A, bit by bit."""
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def sctp(lab):
    def chunk(kind, flags, value, length=None):
        value_length = 4 + len(value) if length is None else length
        return struct.pack(">BBH", kind, flags, value_length) + value + bytes(-len(value) % 4)

    def message(*chunks, right=True):
        head = struct.pack(">HHI", 40000, ECHO_PORT, 0x01020304)
        body = b"".join(chunks)
        total = crc32c(head + bytes(4) + body) if right else 0
        return frame4(132, head + struct.pack("<I", total) + body)

    # RFC 9260 §3.3 and, from FORWARD-TSN on, RFC 3758, 4895, 5061, 6525 and 8260.
    begin_and_end = 3
    data = chunk(0, begin_and_end, struct.pack(">IHHI", 1, 0, 0, 46) + b"hello")
    gaps = struct.pack(">IIHHHHI", 1, 65536, 1, 1, 2, 3, 1)
    heartbeat = struct.pack(">HH", 1, 12) + b"whenever"
    user_abort = struct.pack(">HH", 12, 8) + b"bye!"
    stale_cookie = struct.pack(">HHI", 3, 8, 1000)
    interleaved = struct.pack(">IHHII", 2, 1, 0, 7, 46) + b"in a stream"
    first_address, next_address = struct.pack(">HHI", 5, 8, 0xC0000201), struct.pack(">HHI", 5, 8, 0xC0000203)
    address_change = struct.pack(">I", 9) + first_address + struct.pack(">HHI", 0xC001, 16, 1) + next_address
    frames = [
        message(data, chunk(0, begin_and_end, struct.pack(">IHHI", 2, 1, 0, 46) + b"bundled")), message(chunk(3, 0, gaps)),
        message(chunk(4, 0, heartbeat)), message(chunk(5, 0, heartbeat)), message(chunk(6, 0, user_abort)),
        message(chunk(6, 1, b"")), message(chunk(9, 0, stale_cookie)), message(chunk(12, 0, struct.pack(">I", 1))),
        message(chunk(13, 0, struct.pack(">I", 2))), message(chunk(192, 0, struct.pack(">IHH", 9, 0, 4))),
        message(chunk(15, 0, struct.pack(">HH", 0, 1) + bytes(20))),
        message(chunk(193, 0, address_change)), message(chunk(128, 0, struct.pack(">I", 9))),
        message(chunk(130, 0, struct.pack(">HHIII", 13, 16, 1, 1, 1))),
        message(chunk(64, begin_and_end, interleaved)), message(chunk(132, 0, bytes(12))),
        message(chunk(63, 0, b"unknown")), message(data, right=False), message(chunk(0, begin_and_end, b"", length=4)),
        message(chunk(0, begin_and_end, b"long", length=2000)),
        message(chunk(4, 0, b"", length=0)), message(),
    ]
    written(lab, "sctp-chunks.pcap", "each kind of SCTP chunk: bundled data, gaps, heartbeat, abort, error, ECN, forward "
            "TSN, authentication, address and stream changes, interleaved data, unknown, wrong checksum, lengths that lie", frames)


def record(lab):
    fragments(lab)
    extensions(lab)
    ipv4_options(lab)
    frames_of_802_3(lab)
    icmp(lab)
    sctp(lab)
