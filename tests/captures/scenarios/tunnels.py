"""Tunnels: VXLAN by the kernel, and others written around a recorded conversation.

The kernel modules of the others are often absent (`modprobe ip_gre` and so on), so their headers come from
encapsulate.py; what they carry was recorded.
"""

import struct

import encapsulate as wrap
import pcapng

LEFT, RIGHT = "198.51.100.1", "198.51.100.2"
LEFT6, RIGHT6 = "2001:db8:1::1", "2001:db8:2::2"
LEFT_MAC, RIGHT_MAC = "02:00:00:00:01:01", "02:00:00:00:01:02"

TALK = """
ping -c 2 -i 0.1 10.0.0.2
ping -6 -c 2 -i 0.1 2001:db8:9::2
dig @10.0.0.2 +tries=1 +time=1 example.org
curl -sS -o /dev/null http://10.0.0.2:8000/text
curl -sS -o /dev/null 'http://[2001:db8:9::2]:8000/text'
"""


class Frame:
    """One recorded frame and the outer headers in its direction."""

    def __init__(self, number, data):
        self.number, self.data = number, data
        self.kind, self.payload = struct.unpack_from(">H", data, 12)[0], data[14:]
        # The client's hardware address ends in an odd number, see Lab.cable.
        self.forward = data[11] == 1
        self.addresses = (LEFT, RIGHT) if self.forward else (RIGHT, LEFT)
        self.addresses6 = (LEFT6, RIGHT6) if self.forward else (RIGHT6, LEFT6)
        self.hardware = (LEFT_MAC, RIGHT_MAC) if self.forward else (RIGHT_MAC, LEFT_MAC)

    @property
    def is_ip(self):
        return self.kind in (wrap.IPV4, wrap.IPV6)

    def over_ipv4(self, protocol, payload):
        packet = wrap.ipv4(*self.addresses, protocol, payload, identification=self.number)
        return wrap.ethernet(*self.hardware, wrap.IPV4, packet)

    def over_ipv6(self, protocol, payload):
        return wrap.ethernet(*self.hardware, wrap.IPV6, wrap.ipv6(*self.addresses6, protocol, payload))

    def over_udp(self, port, payload):
        return self.over_ipv4(wrap.UDP, wrap.udp(49152 + self.number % 1000, port, payload))


def geneve(frame):
    option_class, kind, words = 0x0103, 0x80, 1
    option = struct.pack(">HBBI", option_class, kind, words, frame.number)
    return frame.over_udp(6081, wrap.geneve(0x123456, wrap.TRANSPARENT_ETHERNET, frame.data, option))


def gtp(frame):
    # TS 38.415: a PDU session container with QoS flow 9, downlink then uplink type.
    container = struct.pack(">BBBBB", 0x85, 1, 0 if frame.forward else 0x10, 9, 0)
    tunnel = 0x1111 if frame.forward else 0x2222
    extended = frame.number % 2 == 0
    payload = wrap.gtp_user(tunnel, frame.payload, sequence=None if extended else frame.number,
                            extension=container if extended else b"")
    return frame.over_ipv4(wrap.UDP, wrap.udp(2152, 2152, payload))


def ip_in_ip(frame):
    return frame.over_ipv4(wrap.IPIP if frame.kind == wrap.IPV4 else wrap.SIX_IN_FOUR, frame.payload)


def mpls(frame):
    if frame.is_ip:
        return wrap.ethernet(*frame.hardware, wrap.MPLS, wrap.mpls([16001, 24005], frame.payload))
    wire = wrap.pseudowire(frame.data, frame.number)
    return wrap.ethernet(*frame.hardware, wrap.MPLS, wrap.mpls([16001, 30000], wire))


def nested(frame):
    """Five tunnels: one more than is followed."""
    inner = wrap.ethernet(*frame.hardware, wrap.IPV4, wrap.ipv4(*frame.addresses, wrap.UDP, wrap.udp(
        49152, 4789, wrap.vxlan(5, frame.data))))
    for key in (4, 3, 2):
        inner = frame.over_ipv4(wrap.GRE, wrap.gre(wrap.TRANSPARENT_ETHERNET, inner, key=key))
    return frame.over_ipv4(wrap.IPIP, inner[14:])


# Name, what, whether it carries frames that are not IP, the writer.
KINDS = (
    ("gre", "GRE (RFC 2784) with IPv4 and IPv6", False,
     lambda f: f.over_ipv4(wrap.GRE, wrap.gre(f.kind, f.payload))),
    ("gre-key", "GRE with checksum, key and sequence number (RFC 2890)", False,
     lambda f: f.over_ipv4(wrap.GRE, wrap.gre(f.kind, f.payload, key=42, sequence=f.number, with_checksum=True))),
    ("gre-over-ipv6", "GRE over IPv6", False, lambda f: f.over_ipv6(wrap.GRE, wrap.gre(f.kind, f.payload))),
    ("gretap", "Ethernet in GRE", True, lambda f: f.over_ipv4(wrap.GRE, wrap.gre(wrap.TRANSPARENT_ETHERNET, f.data, key=7))),
    ("erspan", "ERSPAN types I, II and III in turn", True,
     lambda f: f.over_ipv4(wrap.GRE, wrap.erspan(1 + f.number % 3, 5, f.number, f.data))),
    ("geneve", "Geneve with an option", True, geneve),
    ("gtp-user", "GTP-U with sequence number or PDU session container", False, gtp),
    ("ip-in-ip", "IPv4 in IPv4 and 6in4", False, ip_in_ip),
    ("ip-in-ipv6", "IPv4 and IPv6 in IPv6", False,
     lambda f: f.over_ipv6(wrap.IPIP if f.kind == wrap.IPV4 else wrap.SIX_IN_FOUR, f.payload)),
    ("mpls", "two labels around IP; a pseudowire with control word around ARP", True, mpls),
    ("vlan", "one 802.1Q tag with priority", True, lambda f: wrap.tagged(f.data, (wrap.VLAN, 100, 5))),
    ("qinq", "802.1ad: an outer and an inner tag", True,
     lambda f: wrap.tagged(f.data, (wrap.QINQ, 200, 3), (wrap.VLAN, 100, 0))),
    ("pppoe", "PPPoE sessions", False, lambda f: wrap.ethernet(*f.hardware, wrap.PPPOE, wrap.pppoe(7, f.kind, f.payload))),
    ("macsec", "MACsec, authenticated only; check values are not true", True,
     lambda f: wrap.macsec(f.data, f.number, f.number.to_bytes(16, "big"))),
    ("snap", "IP and ARP in 802.3 frames with LLC and SNAP (RFC 1042)", True,
     lambda f: wrap.snap(*f.hardware, f.kind, f.payload)),
    ("tunnels-nested", "five tunnels: Ethernet in VXLAN in three GRE in IPIP", True, nested),
)


def conversation(lab):
    """alice and bob talk; bob has a file to give."""
    alice, bob = lab.host("alice"), lab.host("bob")
    lab.cable(alice, bob)
    for number, host in enumerate((alice, bob), start=1):
        host.address(f"10.0.0.{number}/24", f"2001:db8:9::{number}/64")
        # Room for the headers that follow.
        host.run("ip link set eth0 mtu 1400")
    bob.file("text", "some text\n" * 300)
    bob.serve(["python3", "-m", "http.server", "--bind", "::", "--directory", str(bob.folder), "8000"], "tcp", 8000)
    lab.let_groups_settle()
    with lab.capture(alice, "eth0", "inner.pcap", ""):
        alice.run(TALK, check=False)
    inner = lab.captures_folder / "inner.pcap"
    packets = pcapng.read_pcap(inner)[2]
    inner.unlink()
    lab.captures.clear()
    return packets


def kernel_vxlan(lab):
    carol, dave = lab.host("carol"), lab.host("dave")
    lab.cable(carol, dave)
    for number, host in enumerate((carol, dave), start=1):
        host.address(f"192.0.2.{number}/24")
        host.run(f"ip link add vxlan7 address 02:00:00:00:07:0{number} type vxlan id 7 dstport 4789 local 192.0.2.{number} "
                 f"remote 192.0.2.{3 - number} dev eth0 && ip link set vxlan7 up")
        host.address(f"10.0.0.{number}/24", f"2001:db8:9::{number}/64", interface="vxlan7")
    dave.file("text", "some text\n" * 300)
    dave.serve(["python3", "-m", "http.server", "--bind", "::", "--directory", str(dave.folder), "8000"], "tcp", 8000)
    lab.let_groups_settle()
    with lab.capture(carol, "eth0", "vxlan.pcap", "VXLAN of the kernel", "iputils-ping", "curl"):
        carol.run(TALK, check=False)


def record(lab):
    packets = conversation(lab)
    for name, what, whole_frames, write in KINDS:
        frames = [(time, Frame(number, data)) for number, (time, data, _) in enumerate(packets, start=1)]
        chosen = [(time, write(frame)) for time, frame in frames if whole_frames or frame.is_ip]
        pcapng.write_pcap(lab.captures_folder / f"{name}.pcap", 1, chosen)
        lab.note(f"{name}.pcap", what, "iputils-ping", "curl", "bind9-dnsutils", generator="scenarios/tunnels.py")
    kernel_vxlan(lab)
