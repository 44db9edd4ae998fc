"""Names without a DNS server: mDNS, LLMNR and NetBIOS, one capture each."""

import time

import services

SERVICES = """<?xml version="1.0" standalone='no'?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group>
  <name>Files &amp; photos</name>
  <service>
    <type>_http._tcp</type><subtype>_printer._sub._http._tcp</subtype>
    <port>80</port><txt-record>path=/index.html</txt-record><txt-record>empty</txt-record>
  </service>
  <service><type>_ssh._tcp</type><port>22</port></service>
</service-group>
"""


def mdns(lab, alice, bob):
    with lab.capture(alice, "eth0", "mdns.pcap", "probes, announcements, browsing, resolving, known answers, reverse "
                     "lookup, a query by unicast with an ordinary port, goodbyes; IPv4 and IPv6", "avahi-daemon",
                     "avahi-utils", "bind9-dnsutils"):
        services.avahi(alice, {})
        server = services.avahi(bob, {"files.service": SERVICES})
        time.sleep(3)
        alice.run("""
            avahi-browse -p -t -r _http._tcp
            avahi-browse -p -t -a
            avahi-resolve -4 -n bob.local
            avahi-resolve -6 -n bob.local
            avahi-resolve -a 192.0.2.2
            avahi-resolve -n nobody.local
            dig @224.0.0.251 -p 5353 +tries=1 +time=1 bob.local A
            dig @192.0.2.2 -p 5353 +tries=1 +time=1 _services._dns-sd._udp.local PTR
            """, check=False)
        # Stopped first, so that alice still hears the goodbye.
        server.stop()
        time.sleep(1)


def llmnr(lab, alice, bob):
    bob.serve(["llmnrd", "-6"], "udp", 5355)
    alice.serve(["llmnrd", "-6"], "udp", 5355)
    with lab.capture(alice, "eth0", "llmnr.pcap", "queries by multicast over IPv4 and IPv6 for A, AAAA and ANY, answers "
                     "by unicast, a name nobody has", "llmnrd"):
        alice.run("""
            llmnr-query -c 1 -T A bob
            llmnr-query -c 1 -T AAAA bob
            llmnr-query -c 1 -T ANY BOB
            llmnr-query -6 -c 1 -T A -I eth0 bob
            llmnr-query -6 -c 1 -T AAAA -I eth0 bob
            llmnr-query -d 17 -c 2 -i 500 -T A nobody
            """, check=False)


def netbios(lab, alice, bob):
    with lab.capture(alice, "eth0", "nbns.pcap", "registration, query by broadcast and unicast, node status, "
                     "browser announcements (NetBIOS datagrams)", "samba", "samba-common-bin"):
        server = services.nmbd(bob, "BOB")
        # Four registrations of each name come first.
        time.sleep(9)
        alice.run("""
            nmblookup -B 192.0.2.255 BOB
            nmblookup -U 192.0.2.2 -R BOB
            nmblookup -A 192.0.2.2
            nmblookup -B 192.0.2.255 'OFFICE#1d'
            nmblookup -B 192.0.2.255 -S '*'
            nmblookup -B 192.0.2.255 NOBODY
            """, check=False)
        server.stop()
        time.sleep(2)


def record(lab):
    alice, bob = lab.pair()
    for host in (alice, bob):
        host.run("ip route add 224.0.0.0/4 dev eth0")
    mdns(lab, alice, bob)
    llmnr(lab, alice, bob)
    carol, dave = lab.host("carol", ipv6=False), lab.host("dave", ipv6=False)
    lab.cable(carol, dave)
    for number, host in enumerate((carol, dave), start=1):
        host.run(["ip", "address", "add", f"192.0.2.{number}/24", "broadcast", "192.0.2.255", "dev", "eth0"])
    netbios(lab, carol, dave)
