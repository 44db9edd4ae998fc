"""One small conversation in every form a capture file can have: all of these hold the same packets."""

import struct
import subprocess

import pcapng

MICROSECONDS, NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
MODIFIED = 0xA1B2CD34
ETHERNET, NULL, LOOP, RAW, IPV4, IPV6, PPP, C_HDLC = 1, 0, 108, 101, 228, 229, 9, 104
OPENBSD_RAW, BSD_RAW = 14, 12
# AF_INET is 2 everywhere, AF_INET6 has another number in each BSD.
IP4_FAMILY, FREEBSD, OPENBSD, MACOS = 2, 28, 24, 30
ETHERTYPES = (0x0800, 0x86DD)


def modified(packets):
    """The form of Kuznetzov's patch: 8 more octets before each packet."""
    written = [struct.pack("<IHHiIII", MODIFIED, 2, 4, 0, 0, 262144, ETHERNET)]
    for time, data in packets:
        seconds, rest = divmod(time, 10**9)
        interface, protocol, kind, padding = 2, 0x0800, 0, 0
        written.append(struct.pack("<IIIIIHBB", seconds, rest // 1000, len(data), len(data), interface, protocol, kind,
                                   padding) + data)
    return b"".join(written)


def big_endian_pcapng(packets):
    """Two sections, as `cat a.pcapng b.pcapng` makes them, with the two other packet blocks."""
    def block(kind, body):
        length = len(body) + 12
        return struct.pack(">II", kind, length) + body + struct.pack(">I", length)

    section = block(pcapng.SECTION, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    resolution = struct.pack(">HHB3xHH", 9, 1, 3, 0, 0)
    interface = block(pcapng.INTERFACE, struct.pack(">HHI", ETHERNET, 0, 0) + resolution)
    written = [section, interface]
    obsolete_packet = 2
    for number, (time, data) in enumerate(packets):
        if number == len(packets) // 2:
            written += [section, interface]
        milliseconds = time // 10**6
        when = struct.pack(">II", milliseconds >> 32, milliseconds & 0xFFFFFFFF)
        sizes = struct.pack(">II", len(data), len(data))
        if number % 2:
            written.append(block(obsolete_packet, struct.pack(">HH", 0, 0xFFFF) + when + sizes + pcapng.padded(data)))
        else:
            written.append(block(pcapng.ENHANCED, struct.pack(">I", 0) + when + sizes + pcapng.padded(data)))
    return b"".join(written)


def simple_packets(packets):
    """Simple packet blocks have no time; the snap length says how much of them is there."""
    snap_length = 80
    written = [pcapng.section("packets without time"), pcapng.interface(ETHERNET, snap_length, "eth0", "cut at 80")]
    simple = 3
    for _, data in packets:
        written.append(pcapng.block(simple, struct.pack("<I", len(data)) + pcapng.padded(data[:snap_length])))
    return b"".join(written)


def other_links(packets):
    """File name, link type, and the packets as that link type shows them."""
    ip = [(time, struct.unpack_from(">H", data, 12)[0], data[14:]) for time, data in packets]
    ip = [(time, kind, payload) for time, kind, payload in ip if kind in ETHERTYPES]

    def by_family(form, ip6_family):
        return [(time, struct.pack(form, IP4_FAMILY if kind == 0x0800 else ip6_family) + data) for time, kind, data in ip]

    yield "null-little", NULL, by_family("<I", MACOS)
    yield "null-big", NULL, by_family(">I", FREEBSD)
    yield "loop", LOOP, by_family(">I", OPENBSD)
    for name, link_type in (("raw", RAW), ("raw-bsd", BSD_RAW), ("raw-openbsd", OPENBSD_RAW)):
        yield name, link_type, [(time, data) for time, kind, data in ip]
    yield "ipv4", IPV4, [(time, data) for time, kind, data in ip if kind == 0x0800]
    yield "ipv6", IPV6, [(time, data) for time, kind, data in ip if kind == 0x86DD]
    ppp = {0x0800: 0x0021, 0x86DD: 0x0057}
    yield "ppp", PPP, [(time, struct.pack(">BBH", 0xFF, 3, ppp[kind]) + data) for time, kind, data in ip]
    yield "hdlc", C_HDLC, [(time, struct.pack(">BBH", 0x0F, 0, kind) + data) for time, kind, data in ip]


def record(lab):
    alice, bob = lab.pair()
    with lab.capture(alice, "eth0", "format.pcap", "the conversation itself: ping over IPv4 and IPv6", "iputils-ping",
                     options=["--time-stamp-precision=nano"]):
        alice.run("ping -c 3 -i 0.1 192.0.2.2; ping -6 -c 3 -i 0.1 2001:db8::2")
    source = lab.captures_folder / "format.pcap"
    packets = [(time, data) for time, data, _ in pcapng.read_pcap(source)[2]]
    folder = lab.captures_folder

    def note(name, what):
        lab.note(name, what, generator="scenarios/formats.py")

    for name, order, magic, what in (
            ("format-big-endian.pcap", ">", MICROSECONDS, "pcap, big endian, µs"),
            ("format-big-endian-ns.pcap", ">", NANOSECONDS, "pcap, big endian, ns"),
            ("format-us.pcap", "<", MICROSECONDS, "pcap, little endian, µs")):
        pcapng.write_pcap(folder / name, ETHERNET, packets, order, magic)
        note(name, what)
    (folder / "format-modified.pcap").write_bytes(modified(packets))
    note("format-modified.pcap", "pcap, modified (Kuznetzov)")
    (folder / "format-big-endian.pcapng").write_bytes(big_endian_pcapng(packets))
    note("format-big-endian.pcapng", "pcapng, big endian, two sections, ms, enhanced and obsolete packet blocks")
    (folder / "format-simple.pcapng").write_bytes(simple_packets(packets))
    note("format-simple.pcapng", "pcapng, simple packet blocks cut at 80 octets, no time")
    for name, link_type, changed in other_links(packets):
        pcapng.write_pcap(folder / f"link-{name}.pcap", link_type, changed)
        note(f"link-{name}.pcap", f"the IP packets under link type {link_type}")
    for name, command in (("format.pcap.gz", "gzip -9nc"), ("format.pcap.zst", "zstd -19 -qc"),
                          ("format.pcap.lz4", "lz4 -9 -qc")):
        packed = subprocess.run([*command.split(), source], check=True, stdout=subprocess.PIPE).stdout
        (folder / name).write_bytes(packed)
        lab.note(name, f"`format.pcap` packed by {command.split()[0]}", generator="scenarios/formats.py")
