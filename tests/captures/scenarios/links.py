"""The same kinds of traffic as different link types show it."""

import time

RULES = """table inet watch {
    chain input {
        type filter hook input priority 0
        meta l4proto { icmp, ipv6-icmp, udp } log group 5 prefix "in "
    }
    chain output {
        type filter hook output priority 0
        meta l4proto { icmp, ipv6-icmp, udp } log group 5 prefix "out "
    }
}
"""

TALK = """
ping -c 2 -i 0.2 {peer4}
ping -6 -c 2 -i 0.2 {peer6}
curl -sS -o /dev/null http://{peer4}:8000/text
curl -sS -o /dev/null 'http://[{peer6}]:8000/text'
echo question | nc.openbsd -u -w 1 {peer4} 9
"""


def record(lab):
    # With offloads, as on most machines: segments larger than packets, and sent ones without checksum.
    alice, bob = lab.pair(offload=True)
    bob.file("text", "some text\n" * 3000)
    server = ["python3", "-m", "http.server", "--bind", "::", "--directory", str(bob.folder), "8000"]
    bob.serve(server, "tcp", 8000)
    talk = TALK.format(peer4="192.0.2.2", peer6="2001:db8::2")
    programs = ("iputils-ping", "curl", "netcat-openbsd")
    with lab.capture(alice, "eth0", "offload.pcap", "segments larger than packets and unfilled checksums, as an interface "
                     "with offloads shows them", *programs):
        alice.run(talk)
    with lab.capture(alice, "any", "any-sll2.pcap", "interface `any`, LINUX_SLL2: Ethernet and loopback", *programs):
        alice.run(talk)
        alice.run("ping -c 1 127.0.0.1; ping -6 -c 1 ::1")
    with lab.capture(alice, "any", "any-sll.pcap", "interface `any`, LINUX_SLL", *programs, options=["-y", "LINUX_SLL"]):
        alice.run(talk)
        alice.run("ping -c 1 127.0.0.1; ping -6 -c 1 ::1")
    alice.file("text", "some text\n" * 3000)
    alice.serve(server[:-2] + [str(alice.folder), "8000"], "tcp", 8000)
    with lab.capture(alice, "lo", "loopback.pcap", "loopback of Linux: Ethernet with zero addresses, segments up to 64 KiB",
                     *programs):
        alice.run(TALK.format(peer4="127.0.0.1", peer6="::1"))
    for host in (alice, bob):
        host.run("nft -f " + str(host.file("rules", RULES)))
    # The kernel hands logged packets over once a second.
    with lab.capture(alice, "nflog:5", "nflog.pcap", "NFLOG: packets logged by netfilter, with prefix, hook, mark, time",
                     "nftables", *programs, settle=1.5):
        alice.run(talk)

    # A tunnel of socat carries bare IP packets.
    bob.start("socat TUN:10.0.0.2/24,tun-name=tun0,iff-up UDP:192.0.2.1:5000,bind=192.0.2.2:5000")
    alice.start("socat TUN:10.0.0.1/24,tun-name=tun0,iff-up UDP:192.0.2.2:5000,bind=192.0.2.1:5000")
    time.sleep(1)
    for number, host in enumerate((alice, bob), start=1):
        host.run(f"ip address add 2001:db8:9::{number}/64 dev tun0 nodad")
    lab.let_groups_settle()
    tunnel = TALK.format(peer4="10.0.0.2", peer6="2001:db8:9::2")
    with lab.capture(alice, "tun0", "raw-ip.pcap", "a tunnel interface: IP without a link layer (RAW)", "socat", *programs):
        alice.run(tunnel)

    parts = (("eth0", "Ethernet"), ("tun0", "raw IP"), ("any", "all interfaces"))
    with (lab.capture(alice, "eth0", "eth0.pcap", ""), lab.capture(alice, "tun0", "tun0.pcap", ""),
          lab.capture(alice, "any", "any.pcap", "")):
        alice.run(tunnel)
    lab.join("interfaces.pcapng", [(f"{name}.pcap", name, text) for name, text in parts],
             "The same traffic on three interfaces of one host", "three interfaces with three link types (Ethernet, raw IP, "
             "LINUX_SLL2), packet comments", "socat", *programs,
             packet_comments={1: "the first packet", 10: "ten\npackets in"})

    with (lab.capture(alice, "eth0", "rx.pcap", "", options=["-Q", "in"]),
          lab.capture(alice, "eth0", "tx.pcap", "", options=["-Q", "out"])):
        alice.run(talk)
    lab.join("tap.pcapng", [("rx.pcap", "rx", "to alice"), ("tx.pcap", "tx", "from alice")], "Both lines of a tap",
             "both directions of one link as two interfaces", *programs)
