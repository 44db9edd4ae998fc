"""What hosts tell their link: ARP, neighbour discovery, router advertisements, MLD, IGMP, redirects."""

import time

ADVERTISEMENTS = """
interface eth0 {
    AdvSendAdvert on;
    MinRtrAdvInterval 3; MaxRtrAdvInterval 4;
    AdvManagedFlag on; AdvOtherConfigFlag on;
    AdvLinkMTU 1480; AdvReachableTime 30000; AdvRetransTimer 1000; AdvCurHopLimit 60;
    AdvDefaultPreference high;
    prefix 2001:db8:1::/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime 7200; AdvPreferredLifetime 3600; };
    route 2001:db8:ff::/48 { AdvRoutePreference low; AdvRouteLifetime 1800; };
    RDNSS 2001:db8:1::53 2001:db8:1::54 { AdvRDNSSLifetime 1200; };
    DNSSL office.example.org example.org { AdvDNSSLLifetime 1200; };
};
"""

# Joins a group for half a second, then two sources of another one.
JOIN4 = """
import socket, time
member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                  socket.inet_aton("233.252.0.1") + socket.inet_aton("192.0.2.1"))
time.sleep(0.5)
member.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP,
                  socket.inet_aton("233.252.0.1") + socket.inet_aton("192.0.2.1"))
IP_ADD_SOURCE_MEMBERSHIP = 39
for source in ("198.51.100.1", "198.51.100.2"):
    member.setsockopt(socket.IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, socket.inet_aton("233.252.0.2")
                      + socket.inet_aton("192.0.2.1") + socket.inet_aton(source))
time.sleep(1.5)
"""

JOIN6 = """
import socket, struct, time
member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
group = socket.inet_pton(socket.AF_INET6, "ff05::1234") + struct.pack("@I", socket.if_nametoindex("eth0"))
member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
time.sleep(1.5)
member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, group)
time.sleep(1)
"""


def arp(lab):
    alice, bob, carol = (lab.host(name, ipv6=False) for name in ("alice", "bob", "carol"))
    switch = lab.switch(alice, bob, carol)
    alice.address("192.0.2.1/24")
    bob.address("192.0.2.2/24")
    carol.address("192.0.2.3/24", "198.51.100.3/24")
    carol.forwards()
    carol.sysctl("net.ipv4.conf.eth0.proxy_arp", 1)
    carol.run("ip route add 203.0.113.0/24 dev lo")
    alice.run("ip route add 203.0.113.0/24 dev eth0")
    with lab.capture(switch, "br0", "arp.pcap", "request and reply, nobody answers, gratuitous request and reply, probe of "
                     "a free and of a taken address, proxy ARP, unicast probe, two hosts with one address",
                     "iputils-arping", "iputils-ping"):
        alice.run("""
            ping -c 1 192.0.2.2
            ping -c 1 -W 3 192.0.2.99
            arping -c 2 -U -I eth0 192.0.2.1
            arping -c 2 -A -I eth0 192.0.2.1
            arping -c 2 -w 2 -D -I eth0 192.0.2.50
            arping -c 1 -w 2 -D -I eth0 192.0.2.2
            arping -c 2 -I eth0 192.0.2.3
            ping -c 1 -W 1 203.0.113.7
            """, check=False)
        carol.run("ip address add 192.0.2.2/24 dev eth0")
        alice.run("arping -c 2 -b -I eth0 192.0.2.2", check=False)


def discovery(lab):
    dave, erin = lab.host("dave"), lab.host("erin")
    for host in (dave, erin):
        # Duplicate address detection is what is wanted here.
        for name, value in (("accept_dad", 2), ("dad_transmits", 1), ("router_solicitations", 2)):
            host.sysctl(f"net.ipv6.conf.default.{name}", value)
    erin.forwards()
    lab.cable(dave, erin)
    dave.run("ip link set eth0 down")
    erin.address("2001:db8:1::2/64")
    lab.let_groups_settle()
    config = erin.file("radvd.conf", ADVERTISEMENTS)
    with lab.capture(erin, "eth0", "ndp.pcap", "duplicate address detection of a free and of a taken address, router "
                     "solicitation, advertisements with prefix, MTU, route, RDNSS and DNSSL options, neighbour "
                     "solicitation and advertisement, unreachability detection, last advertisement of a leaving router",
                     "radvd", "ndisc6", "iputils-ping"):
        radvd = erin.start(["radvd", "--nodaemon", "-C", str(config), "-p", "/run/radvd.pid"])
        time.sleep(1)
        dave.run("ip link set eth0 up")
        time.sleep(5)
        dave.run("""
            rdisc6 -1 eth0
            ndisc6 -1 2001:db8:1::2 eth0
            ndisc6 -1 -r 1 -w 500 2001:db8:1::99 eth0
            ping -6 -c 1 2001:db8:1::2
            ip address add 2001:db8:1::2/64 dev eth0
            sleep 2
            ip address del 2001:db8:1::2/64 dev eth0
            """, check=False)
        erin.run("ip -6 neighbour flush dev eth0; ping -6 -c 1 ff02::1%eth0", check=False)
        radvd.stop()
        time.sleep(0.5)


def groups(lab):
    frank, grace = lab.host("frank"), lab.host("grace")
    switch = lab.switch(frank, grace, name="querier")
    frank.address("192.0.2.1/24", "2001:db8::1/64")
    grace.address("192.0.2.2/24", "2001:db8::2/64")
    switch.sysctl("net.ipv6.conf.br0.disable_ipv6", 0)
    switch.address("192.0.2.3/24", interface="br0")
    query = ("ip link set br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_query_use_ifaddr 1 "
             "mcast_startup_query_interval 100 mcast_startup_query_count 2 mcast_query_interval 6000 "
             "mcast_query_response_interval 100 mcast_igmp_version {} mcast_mld_version {}")
    lab.let_groups_settle()
    with lab.capture(frank, "eth0", "multicast.pcap", "IGMP 1, 2 and 3, MLD 1 and 2: general and group queries, reports, "
                     "leaves, joining single sources"):
        for igmp, mld in ((3, 2), (2, 1), (1, 1)):
            for host in (frank, grace):
                host.sysctl("net.ipv4.conf.all.force_igmp_version", igmp)
                host.sysctl("net.ipv6.conf.all.force_mld_version", mld)
            switch.run(query.format(max(igmp, 2), mld))
            # A querier sends its first queries when it comes up.
            switch.run("ip link set br0 down && ip link set br0 up")
            time.sleep(2)
            frank.run(["python3", "-c", JOIN4])
            frank.run(["python3", "-c", JOIN6])


def redirects(lab):
    """alice's gateway knows that another router on the same link is nearer."""
    heidi, near, far = lab.host("heidi"), lab.host("near"), lab.host("far")
    lab.switch(heidi, near, far, name="link")
    heidi.address("192.0.2.1/24", "2001:db8::1/64")
    near.address("192.0.2.2/24", "2001:db8::2/64")
    far.address("192.0.2.3/24", "2001:db8::3/64", "203.0.113.1/32", "2001:db8:3::1/128")
    lab.let_groups_settle()
    for router in (near, far):
        router.forwards()
        router.sysctl("net.ipv4.conf.all.rp_filter", 0)
        router.sysctl("net.ipv4.conf.all.send_redirects", 1)
    link_local = far.run("ip -6 -o address show dev eth0 scope link").split()[3].split("/")[0]
    near.run(f"ip route add 203.0.113.0/24 via 192.0.2.3 && ip -6 route add 2001:db8:3::/48 via {link_local} dev eth0")
    heidi.run("ip route add default via 192.0.2.2 && ip -6 route add default via 2001:db8::2")
    with lab.capture(heidi, "eth0", "redirect.pcap", "ICMP and ICMPv6 redirects to a nearer router", "iputils-ping"):
        heidi.run("ping -c 3 -i 0.3 203.0.113.1; ping -6 -c 3 -i 0.3 2001:db8:3::1", check=False)


def record(lab):
    arp(lab)
    discovery(lab)
    groups(lab)
    redirects(lab)
