"""QUIC as programs speak it, and in ways that they rarely do: RFC 9001 and RFC 9369 with their own examples' hellos."""

import hashlib
import hmac
import struct
import subprocess

import encapsulate as wrap
import pcapng

CLIENT, SERVER = "192.0.2.1", "192.0.2.2"
CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
START = 1_700_000_000 * 10**9
MILLISECOND = 10**6

VERSION_1, VERSION_2, RESERVED = 1, 0x6B3343CF, 0x1A2A3A4A
SALTS = {
    VERSION_1: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    VERSION_2: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    RESERVED: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
}
FIRST, OTHER = bytes.fromhex("8394c8f03e515708"), bytes.fromhex("f067a5502a4262b5")
# RFC 9001 appendix A.4: the answer to a packet to FIRST.
RETRY = bytes.fromhex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba")
# RFC 9001 appendix A.2 and A.3.
CLIENT_HELLO = bytes.fromhex(
    "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c000004130113"
    "02010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d001700180010"
    "0007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753d"
    "e171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e040305030603020308040805080600"
    "2d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff08011001048000"
    "75300901100f088394c8f03e51570806048000ffff")
SERVER_HELLO = bytes.fromhex(
    "020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a12001301000"
    "02e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304")
ACK = bytes.fromhex("0200000000")
# CONNECTION_CLOSE: no_application_protocol (TLS alert 120), caused by a CRYPTO frame.
CLOSE = bytes.fromhex("1c4178060b") + b"no protocol"


def aes(mode, key, data, *more):
    command = ["openssl", "enc", f"-aes-128-{mode}", "-nopad", "-K", key.hex(), *more]
    return subprocess.run(command, input=data, check=True, stdout=subprocess.PIPE).stdout


def gcm(key, nonce, header, text):
    """AES-128-GCM (NIST SP 800-38D), which openssl's command does not offer."""
    sealed = aes("ctr", key, text, "-iv", (nonce + struct.pack(">I", 2)).hex())
    blocks = b"".join(part + bytes(-len(part) % 16) for part in (header, sealed))
    blocks += struct.pack(">QQ", 8 * len(header), 8 * len(sealed))
    factor, tag = int.from_bytes(aes("ecb", key, bytes(16)), "big"), 0
    for at in range(0, len(blocks), 16):
        tag ^= int.from_bytes(blocks[at:at + 16], "big")
        product, power = 0, factor
        for bit in range(127, -1, -1):
            product ^= power * (tag >> bit & 1)
            power = power >> 1 ^ (0xE1 << 120) * (power & 1)
        tag = product
    mask = int.from_bytes(aes("ecb", key, nonce + struct.pack(">I", 1)), "big")
    return sealed + (tag ^ mask).to_bytes(16, "big")


def expand(secret, label, length):
    info = struct.pack(">HB", length, 6 + len(label)) + b"tls13 " + label + b"\0"
    return hmac.digest(secret, info + b"\1", hashlib.sha256)[:length]


def varint(number):
    return struct.pack(">B", number) if number < 64 else struct.pack(">H", 0x4000 | number)


def crypto(offset, data):
    return b"\6" + varint(offset) + varint(len(data)) + data


def identifiers(target, source):
    return bytes([len(target)]) + target + bytes([len(source)]) + source


def initial(frames, version=VERSION_1, side=b"client", keys=FIRST, target=FIRST, source=b"", token=b"", number=0,
            size=0):
    """An Initial packet; `size` is that of a datagram to fill with padding."""
    second = version == VERSION_2
    secret = expand(hmac.digest(bytes.fromhex(SALTS[version]), keys, hashlib.sha256), side + b" in", 32)
    name = b"quicv2 " if second else b"quic "
    parts = ((b"key", 16), (b"iv", 12), (b"hp", 16))
    key, iv, header_key = (expand(secret, name + what, length) for what, length in parts)
    header = bytes([0xD1 if second else 0xC1]) + struct.pack(">I", version) + identifiers(target, source)
    header += varint(len(token)) + token
    frames += bytes(max(0, size - len(header) - 2 - 2 - len(frames) - 16))
    header += struct.pack(">H", 0x4000 | 2 + len(frames) + 16) + struct.pack(">H", number)
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    packet = bytearray(header + gcm(key, nonce, header, frames))
    at = len(header) - 2
    mask = aes("ecb", header_key, bytes(packet[at + 4:at + 20]))
    packet[0] ^= mask[0] & 0x0F
    packet[at] ^= mask[1]
    packet[at + 1] ^= mask[2]
    return bytes(packet)


def server(frames, **options):
    return initial(frames, side=b"server", **{"target": b"", "source": OTHER, **options})


def unreadable(first, target, source=b""):
    """A packet of 0-RTT or of the handshake, whose keys nobody on the path has."""
    return bytes([first]) + struct.pack(">I", VERSION_1) + identifiers(target, source) + varint(40) + bytes(range(40))


def conversations():
    """Client's port, and datagrams with who sends them."""
    short = b"\x40" + OTHER + bytes(range(40))
    hello = crypto(0, CLIENT_HELLO)
    answer = ACK + crypto(0, SERVER_HELLO)
    yield 50001, [
        ("client", initial(hello, size=1200)),
        ("server", server(answer) + unreadable(0xE0, b"", OTHER)),
        ("client", initial(ACK, target=OTHER, number=1) + unreadable(0xE0, OTHER)),
        ("client", short), ("server", short), ("client", short),
    ]
    # The hello in pieces, the last one first, and one piece twice; data at once; the server's identifier is used
    # before its answer is there.
    yield 50002, [
        ("client", initial(crypto(160, CLIENT_HELLO[160:]) + b"\1\0\0" + crypto(40, CLIENT_HELLO[40:90]), size=1200)),
        ("client", initial(crypto(40, CLIENT_HELLO[40:90]) + crypto(80, CLIENT_HELLO[80:160]), number=1)
         + unreadable(0xD0, FIRST)),
        ("client", initial(crypto(0, CLIENT_HELLO[:40]), target=OTHER, number=2, size=1200)),
        ("server", server(ACK + crypto(30, SERVER_HELLO[30:]))),
        ("server", server(crypto(0, SERVER_HELLO[:30]), number=1)),
    ]
    again = {"keys": OTHER, "target": OTHER, "token": b"token", "size": 1200}
    yield 50003, [
        ("client", initial(hello, size=1200)),
        ("server", RETRY),
        ("client", initial(hello, number=1, **again)),
        ("server", server(answer, keys=OTHER, source=b"another1")),
    ]
    yield 50004, [
        ("client", initial(hello, version=RESERVED, size=1200)),
        ("server", b"\x80" + bytes(4) + identifiers(b"", FIRST) + struct.pack(">II", VERSION_2, VERSION_1)),
        ("client", initial(hello, version=VERSION_2, number=1, size=1200)),
        ("server", server(answer, version=VERSION_2)),
    ]
    yield 50005, [
        ("client", initial(hello, size=1200)),
        ("server", server(ACK + CLOSE)),
        ("server", server(ACK + CLOSE, number=1)),
    ]
    # An answer alone, and one that was changed on the way.
    changed = bytearray(server(answer))
    changed[-1] ^= 1
    yield 50006, [("server", server(answer)), ("client", initial(hello, size=1200)), ("server", bytes(changed))]


def frames():
    for port, datagrams in conversations():
        for sender, datagram in datagrams:
            macs, addresses, ports = (CLIENT_MAC, SERVER_MAC), (CLIENT, SERVER), (port, 443)
            if sender == "server":
                macs, addresses, ports = macs[::-1], addresses[::-1], ports[::-1]
            packet = wrap.ipv4(*addresses, wrap.UDP, wrap.udp(*ports, datagram))
            yield wrap.ethernet(*macs, wrap.IPV4, packet)


def record(lab):
    packets = [(START + number * MILLISECOND, frame) for number, frame in enumerate(frames())]
    pcapng.write_pcap(lab.captures_folder / "quic.pcap", 1, packets)
    lab.note("quic.pcap", "QUIC versions 1 and 2: a hello in one packet and in pieces, Retry, Version Negotiation from "
             "a reserved version, a close, 0-RTT, an answer alone and one that was changed",
             generator="scenarios/quic.py")
