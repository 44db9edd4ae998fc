"""Headers of links and tunnels, written by hand, for what a kernel without modules cannot send.

Each function takes the inner bytes and gives the outer ones. Layouts are those of the RFC named beside them.
"""

import struct
from ipaddress import ip_address

IPV4, IPV6, VLAN, QINQ, MPLS, PPPOE, MACSEC = 0x0800, 0x86DD, 0x8100, 0x88A8, 0x8847, 0x8864, 0x88E5
TRANSPARENT_ETHERNET, ERSPAN2, ERSPAN3 = 0x6558, 0x88BE, 0x22EB
IPIP, UDP, SIX_IN_FOUR, GRE = 4, 17, 41, 47


def checksum(data):
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(source, target, kind, payload):
    return bytes.fromhex((target + source).replace(":", "")) + struct.pack(">H", kind) + payload


def ipv4(source, target, protocol, payload, identification=0, flags=2, offset=0, ttl=64):
    """RFC 791. `offset` counts units of 8 octets; flags 2 is "don't fragment", 1 "more fragments"."""
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), identification, flags << 13 | offset, ttl, protocol, 0)
    header += ip_address(source).packed + ip_address(target).packed
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def ipv6(source, target, protocol, payload):
    """RFC 8200."""
    return (struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + ip_address(source).packed
            + ip_address(target).packed + payload)


def udp(source_port, target_port, payload):
    """RFC 768, without checksum, as tunnels over IPv4 send it."""
    return struct.pack(">HHHH", source_port, target_port, 8 + len(payload), 0) + payload


def gre(kind, payload, key=None, sequence=None, with_checksum=False):
    """RFC 2784 and 2890."""
    flags = with_checksum << 15 | (key is not None) << 13 | (sequence is not None) << 12
    tail = b"".join(struct.pack(">I", value) for value in (key, sequence) if value is not None)
    head = struct.pack(">HH", flags, kind)
    if not with_checksum:
        return head + tail + payload
    total = checksum(head + bytes(4) + tail + payload)
    return head + struct.pack(">HH", total, 0) + tail + payload


def erspan(version, session, sequence, frame):
    """draft-foschiano-erspan: type I has no header, type II one of 8 octets, type III of 12."""
    if version == 1:
        return gre(ERSPAN2, frame)
    vlan, port = 100, 7
    if version == 2:
        return gre(ERSPAN2, struct.pack(">HHI", 1 << 12 | vlan, 3 << 11 | session, port) + frame, sequence=sequence)
    stamp, group = 1000 * sequence, 0
    return gre(ERSPAN3, struct.pack(">HHIHH", 2 << 12 | vlan, session, stamp, group, port << 4) + frame, sequence=sequence)


def geneve(network, kind, payload, options=b""):
    """RFC 8926."""
    return struct.pack(">BBHI", len(options) // 4, 0, kind, network << 8) + options + payload


def vxlan(network, frame):
    """RFC 7348."""
    return struct.pack(">II", 0x08 << 24, network << 8) + frame


def gtp_user(tunnel, payload, sequence=None, extension=b""):
    """3GPP TS 29.281 §5.1: a G-PDU; `extension` is a whole extension header with its type before it."""
    optional = b""
    if sequence is not None or extension:
        optional = struct.pack(">HBB", sequence or 0, 0, extension[0] if extension else 0) + extension[1:]
    flags = 1 << 5 | 1 << 4 | bool(extension) << 2 | (sequence is not None) << 1
    return struct.pack(">BBHI", flags, 0xFF, len(optional) + len(payload), tunnel) + optional + payload


def mpls(labels, payload):
    """RFC 3032: label stack, the last with the bottom bit."""
    entries = [label << 12 | (place == len(labels) - 1) << 8 | 64 for place, label in enumerate(labels)]
    return b"".join(struct.pack(">I", entry) for entry in entries) + payload


def pseudowire(frame, sequence):
    """RFC 4448: the control word before an Ethernet frame."""
    return struct.pack(">HH", 0, sequence) + frame


def pppoe(session, kind, payload):
    """RFC 2516 §4: a session packet with the PPP protocol number of IP."""
    ppp = struct.pack(">H", {IPV4: 0x0021, IPV6: 0x0057}[kind]) + payload
    return struct.pack(">BBHH", 0x11, 0, session, len(ppp)) + ppp


def tagged(frame, *tags):
    """IEEE 802.1Q: (ethertype, vlan, priority) from the outside in, after the addresses."""
    written = b"".join(struct.pack(">HH", kind, priority << 13 | vlan) for kind, vlan, priority in tags)
    return frame[:12] + written + frame[12:]


def macsec(frame, number, check_value):
    """IEEE 802.1AE: authenticated but not encrypted. The check value is not a true one."""
    explicit_channel = 0x20
    channel = frame[6:12] + struct.pack(">H", 1)
    short = len(frame) - 12 if len(frame) - 12 < 48 else 0
    return frame[:12] + struct.pack(">HBBI", MACSEC, explicit_channel, short, number) + channel + frame[12:] + check_value


def snap(source, target, kind, payload):
    """IEEE 802.3 length, LLC (IEEE 802.2) and SNAP (RFC 1042)."""
    body = b"\xaa\xaa\x03" + bytes(3) + struct.pack(">H", kind) + payload
    return ethernet(source, target, len(body), body)
