"""DHCP for IPv4 and IPv6 between ISC client, relay and server."""

import time

SERVER4 = """
authoritative;
default-lease-time 12;
max-lease-time 12;
option domain-name "office.example.org";
option domain-name-servers 192.0.2.2, 192.0.2.3;
option domain-search "office.example.org", "example.org";
option ntp-servers 192.0.2.2;
option rfc3442-routes code 121 = array of integer 8;
subnet 192.0.2.0 netmask 255.255.255.0 {
    range 192.0.2.100 192.0.2.110;
    option routers 192.0.2.2;
    option broadcast-address 192.0.2.255;
    option interface-mtu 1400;
    option rfc3442-routes 24, 198, 51, 100, 192, 0, 2, 2;
    next-server 192.0.2.2;
    filename "boot/alice.img";
    option tftp-server-name "boot.example.org";
}
"""

RELAYED4 = """
authoritative;
subnet 198.51.100.0 netmask 255.255.255.0 { }
subnet 192.0.2.0 netmask 255.255.255.0 {
    range 192.0.2.100 192.0.2.110;
    option routers 192.0.2.1;
}
"""

CLIENT4 = """
timeout 5;
send host-name "alice";
send fqdn.fqdn "alice.office.example.org";
send fqdn.encoded on;
send dhcp-client-identifier 00:61:6c:69:63:65;
send vendor-class-identifier "example client";
also request rfc3442-routes, domain-search, ntp-servers, interface-mtu;
option rfc3442-routes code 121 = array of integer 8;
"""

# A lease from another network makes the client ask for an address the server refuses.
FOREIGN_LEASE = """
lease {
  interface "eth0";
  fixed-address 203.0.113.50;
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 86400;
  option dhcp-server-identifier 203.0.113.1;
  renew 5 2035/01/05 00:00:00;
  rebind 5 2035/01/05 00:00:00;
  expire 5 2035/01/05 00:00:00;
}
"""

SERVER6 = """
default-lease-time 30;
option dhcp6.name-servers 2001:db8::2;
option dhcp6.domain-search "office.example.org";
option dhcp6.sntp-servers 2001:db8::2;
option dhcp6.info-refresh-time 3600;
option dhcp6.preference 255;
option dhcp6.rapid-commit;
subnet6 2001:db8::/64 {
    range6 2001:db8::1000 2001:db8::1fff;
    prefix6 2001:db8:100:: 2001:db8:1ff:: /56;
}
"""

SCRIPT = """#!/bin/sh
case "$reason" in
BOUND | RENEW | REBIND | REBOOT) ip -4 address replace "$new_ip_address/24" dev eth0 ;;
RELEASE | EXPIRE | STOP) ip -4 address flush dev eth0 ;;
esac
[ -z "$new_ip6_address" ] || ip -6 address replace "$new_ip6_address/$new_ip6_prefixlen" dev eth0 nodad
exit 0
"""

CLIENT6 = """
timeout 5;
send fqdn.fqdn "alice.office.example.org";
send dhcp6.vendor-class 32473 12 "example 1.0";
also request dhcp6.sntp-servers, dhcp6.info-refresh-time;
"""


def dhcpd(host, version, config, *interfaces):
    leases = host.file(f"dhcpd{version}.leases", "")
    path = host.file(f"dhcpd{version}.conf", config)
    command = ["dhcpd", f"-{version}", "-f", "-d", "-cf", str(path), "-lf", str(leases), "-pf", f"/run/dhcpd{version}.pid"]
    return host.serve([*command, *interfaces], "udp", 547 if version == 6 else 67)


def client(host, version, config, lease=""):
    """A client's command up to its mode."""
    script = host.file("dhclient-script", SCRIPT)
    script.chmod(0o755)
    leases = host.file("leases", lease)
    path = host.file("dhclient.conf", config)
    return ["dhclient", f"-{version}", "-v", "-cf", str(path), "-lf", str(leases), "-pf", "/run/dhclient.pid",
            "-sf", str(script)]


def version4(lab):
    alice, bob = lab.pair(ipv6=False)
    alice.run("ip address flush dev eth0")
    server = dhcpd(bob, 4, SERVER4, "eth0")
    with lab.capture(alice, "eth0", "dhcpv4.pcap", "discover, offer, request, ack; renewal; release; a request for an "
                     "address of another network and its nak; client FQDN, domain search, classless routes, boot file; "
                     "then a client without a server", "isc-dhcp-client", "isc-dhcp-server", "udhcpc"):
        command = client(alice, 4, CLIENT4)
        alice.run([*command, "-1", "eth0"])
        time.sleep(9)
        alice.run([*command, "-r", "eth0"])
        alice.run([*client(alice, 4, CLIENT4, FOREIGN_LEASE), "-1", "eth0"])
        alice.run("kill $(cat /run/dhclient.pid)")
        server.stop()
        alice.run("udhcpc -i eth0 -s /bin/true -q -n -t 2 -T 1 -x hostname:alice -V 'example boot'", check=False)


def relayed(lab):
    carol, relay, dave = lab.host("carol"), lab.host("relay"), lab.host("dave")
    lab.cable(carol, relay, "eth0", "eth0")
    lab.cable(relay, dave, "eth1", "eth0")
    relay.address("192.0.2.1/24", "2001:db8::1/64")
    relay.address("198.51.100.1/24", "2001:db8:2::1/64", interface="eth1")
    dave.address("198.51.100.2/24", "2001:db8:2::2/64")
    dave.route("192.0.2.0/24", "198.51.100.1")
    dave.run("ip -6 route add default via 2001:db8:2::1")
    relay.forwards()
    lab.let_groups_settle()
    dhcpd(dave, 4, RELAYED4, "eth0")
    dhcpd(dave, 6, SERVER6 + "subnet6 2001:db8:2::/64 { }", "eth0")
    relay.serve(["dhcrelay", "-4", "-d", "-a", "-id", "eth0", "-iu", "eth1", "198.51.100.2"], "udp", 67)
    relay.serve(["dhcrelay", "-6", "-d", "-I", "-l", "eth0", "-u", "2001:db8:2::2%eth1"], "udp", 547)
    sides = (("eth0", "side of the clients"), ("eth1", "side of the server"))
    with (lab.capture(relay, "eth0", "eth0.pcap", ""), lab.capture(relay, "eth1", "eth1.pcap", "")):
        for version, config in ((4, CLIENT4), (6, CLIENT6)):
            command = client(carol, version, config) + (["-D", "LL"] if version == 6 else [])
            carol.run([*command, "-1", "eth0"])
            carol.run([*command, "-r", "eth0"])
    lab.join("dhcp-relay.pcapng", [(f"{name}.pcap", name, text) for name, text in sides], "DHCP through a relay",
             "DHCPv4 and DHCPv6 on both sides of a relay (option 82; relay-forward and relay-reply), as two interfaces",
             "isc-dhcp-client", "isc-dhcp-relay", "isc-dhcp-server")


def version6(lab):
    erin, frank = lab.host("erin"), lab.host("frank")
    lab.cable(erin, frank)
    frank.address("2001:db8::2/64")
    lab.let_groups_settle()
    dhcpd(frank, 6, SERVER6, "eth0")
    with lab.capture(erin, "eth0", "dhcpv6.pcap", "solicit, advertise, request, reply; renew; release; prefix delegation; "
                     "information request", "isc-dhcp-client", "isc-dhcp-server"):
        for mode in ("-N", "-P"):
            command = client(erin, 6, CLIENT6)
            erin.run([*command, "-D", "LL", "-1", mode, "eth0"])
            # Half of the preferred life time: the renewal.
            time.sleep(16 if mode == "-N" else 0)
            erin.run([*command, "-D", "LL", "-r", mode, "eth0"])
        erin.run([*client(erin, 6, CLIENT6), "-D", "LL", "-1", "-S", "eth0"])


def record(lab):
    version4(lab)
    relayed(lab)
    version6(lab)
