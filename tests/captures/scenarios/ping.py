"""ICMP: echo, fragments, and each error a router or host reports."""

PINGS = """
ping -c 3 -i 0.2 198.51.100.2
ping -6 -c 3 -i 0.2 2001:db8:2::2
ping -c 1 -s 0 198.51.100.2
ping -c 1 -s 4000 198.51.100.2
ping -6 -c 1 -s 4000 2001:db8:2::2
ping -c 1 -s 65507 198.51.100.2
ping -c 2 -i 0.2 -R 198.51.100.2
ping -c 1 -T tsandaddr 198.51.100.2
ping -c 1 -Q 0xb8 -p c0ffee -s 64 198.51.100.2
ping -6 -c 1 -F 0x12345 -Q 0x28 2001:db8:2::2
"""

ERRORS = """
traceroute -n -q 1 -w 1 198.51.100.2
traceroute -n -I -q 1 -w 1 198.51.100.2
traceroute -n -T -p 80 -q 1 -w 1 198.51.100.2
traceroute -6 -n -q 1 -w 1 2001:db8:2::2
ping -c 1 -W 1 -t 1 198.51.100.2
ping -6 -c 1 -W 1 -t 1 2001:db8:2::2
echo hello | nc.openbsd -u -w 1 198.51.100.2 9
echo hello | nc.openbsd -6 -u -w 1 2001:db8:2::2 9
ping -c 2 -W 1 203.0.113.9
ping -6 -c 2 -W 1 2001:db8:bad::9
ping -c 1 -W 4 198.51.100.77
ping -6 -c 1 -W 4 2001:db8:2::77
ping -c 1 -W 1 198.51.100.66
ping -6 -c 1 -W 1 2001:db8:2::66
ping -c 1 -W 1 -M do -s 1472 198.51.100.2
ping -6 -c 1 -W 1 -M do -s 1452 2001:db8:2::2
ip route flush cache; socat -u OPEN:text TCP:198.51.100.2:7
"""

# What the router refuses by rule, each with its own ICMP code.
RULES = """table inet filter {
    chain forward {
        type filter hook forward priority 0
        ip daddr 198.51.100.66 reject with icmp admin-prohibited
        ip6 daddr 2001:db8:2::66 reject with icmpv6 admin-prohibited
    }
}
"""


def record(lab):
    alice, router, bob = lab.host("alice"), lab.host("router"), lab.host("bob")
    lab.cable(alice, router)
    lab.cable(router, bob, "eth1", "eth0")
    alice.address("192.0.2.1/24", "2001:db8::1/64")
    router.address("192.0.2.254/24", "2001:db8::fe/64")
    router.address("198.51.100.254/24", "2001:db8:2::fe/64", interface="eth1")
    bob.address("198.51.100.2/24", "2001:db8:2::2/64")
    for host, side in ((alice, "192.0.2.254 2001:db8::fe"), (bob, "198.51.100.254 2001:db8:2::fe")):
        version4, version6 = side.split()
        host.run(f"ip route add default via {version4}; ip -6 route add default via {version6}")
    router.forwards()
    # Otherwise errors are sent once a second.
    router.sysctl("net.ipv4.icmp_ratemask", 0)
    router.sysctl("net.ipv6.icmp.ratelimit", 0)
    # Destinations without a route give "network unreachable".
    router.run("nft -f " + str(router.file("rules", RULES)))
    lab.let_groups_settle()
    with lab.capture(alice, "eth0", "ping.pcap", "echo over IPv4 and IPv6, empty, large (fragments, up to 64 KiB), with "
                     "record-route and timestamp options, with DSCP and flow label", "iputils-ping"):
        alice.run(PINGS)
    router.run("ip link set eth1 mtu 1300")
    bob.serve("socat -u TCP-LISTEN:7,fork OPEN:/dev/null", "tcp", 7)
    alice.file("text", "a line of text\n" * 800)
    with lab.capture(alice, "eth0", "icmp-errors.pcap", "time exceeded (traceroute by UDP, ICMP and TCP), port, host, "
                     "network unreachable, administratively prohibited, fragmentation needed, packet too big, path MTU "
                     "found by TCP", "iputils-ping", "traceroute", "netcat-openbsd", "nftables", "socat"):
        alice.run(ERRORS, check=False)
