"""DNS between dig and an authoritative Knot server: record types, EDNS, errors, truncation, DNSSEC."""

import services

ZONE = """$ORIGIN example.org.
$TTL 3600
@ SOA ns.example.org. host\\.master.example.org. 2024010101 7200 3600 1209600 300
@ NS ns
@ NS ns2
@ A 192.0.2.80
@ AAAA 2001:db8::80
@ MX 10 mail
@ MX 20 mail2
@ TXT "v=spf1 ip4:192.0.2.0/24 -all" "second; string"
@ CAA 0 issue "ca.example.net"
@ CAA 128 iodef "mailto:security@example.org"
@ HTTPS 1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.80 ipv6hint=2001:db8::80 ech="AEX+DQBB"
@ LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
@ RP admin.example.org. contact.example.org.
@ URI 10 1 "https://www.example.org/"
@ APL 1:192.0.2.0/24 !1:192.0.2.64/28 2:2001:db8::/32
alias HTTPS 0 www.example.org.
ns A 192.0.2.2
ns2 A 192.0.2.3
mail A 192.0.2.25
mail2 A 192.0.2.26
www CNAME web
web CNAME pool
pool A 192.0.2.81
pool A 192.0.2.82
pool A 192.0.2.83
_dns SVCB 1 doh.example.org. alpn=h2 key7="/dns-query{?dns}" mandatory=alpn
_sip._udp SRV 10 60 5060 sip
_sip._udp SRV 20 0 5060 sip2
sip NAPTR 100 10 "S" "SIP+D2U" "" _sip._udp.example.org.
sip NAPTR 102 10 "U" "E2U+sip" "!^.*$!sip:info@example.org!" .
host HINFO "ARM64" "Linux"
host SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
_443._tcp TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
hash._openpgpkey OPENPGPKEY AQIDBAUGBwg=
mac EUI48 02-00-00-00-00-01
mac EUI64 02-00-00-ff-fe-00-00-01
old DNAME new.example.org.
a.new A 192.0.2.90
deep.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p A 192.0.2.91
*.wild TXT "any name"
\\001\\255\\.dot A 192.0.2.92
xn--bcher-kva A 192.0.2.93
private TYPE65280 \\# 4 0A000001
empty.non.terminal A 192.0.2.94
sub NS ns.sub
ns.sub A 192.0.2.99
"""

BIG = "".join(f'big TXT "{number:03}{"x" * 200}"\n' for number in range(12))

REVERSE = """$ORIGIN 2.0.192.in-addr.arpa.
$TTL 3600
@ SOA ns.example.org. hostmaster.example.org. 1 7200 3600 1209600 300
@ NS ns.example.org.
80 PTR www.example.org.
"""

REVERSE6 = """$ORIGIN 8.b.d.0.1.0.0.2.ip6.arpa.
$TTL 3600
@ SOA ns.example.org. hostmaster.example.org. 1 7200 3600 1209600 300
@ NS ns.example.org.
0.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR www.example.org.
"""

MODULES = """
mod-cookies:
  - id: default
    badcookie-slip: 1
template:
  - id: default
    global-module: mod-cookies/default
policy:
  - id: short
    algorithm: ecdsap256sha256
    nsec3: on
    nsec3-iterations: 0
acl:
  - id: transfer
    action: [transfer, notify, update]
    address: 192.0.2.1
zone:"""

PLAIN = """set -e
dig() { command dig +nocookie "$@"; }
for type in A AAAA MX TXT NS SOA CAA HTTPS LOC RP URI APL; do dig @192.0.2.2 example.org $type; done
dig @192.0.2.2 www.example.org A
dig @192.0.2.2 _dns.example.org SVCB
dig @192.0.2.2 alias.example.org HTTPS
dig @192.0.2.2 _sip._udp.example.org SRV
dig @192.0.2.2 sip.example.org NAPTR
dig @192.0.2.2 host.example.org HINFO
dig @192.0.2.2 host.example.org SSHFP
dig @192.0.2.2 _443._tcp.example.org TLSA
dig @192.0.2.2 hash._openpgpkey.example.org OPENPGPKEY
dig @192.0.2.2 mac.example.org EUI48
dig @192.0.2.2 mac.example.org EUI64
dig @192.0.2.2 a.old.example.org A
dig @192.0.2.2 deep.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.example.org A
dig @192.0.2.2 something.wild.example.org TXT
dig @192.0.2.2 '\\001\\255\\.dot.example.org' A
dig @192.0.2.2 xn--bcher-kva.example.org A
dig @192.0.2.2 WwW.ExAmPlE.oRg A
dig @192.0.2.2 private.example.org TYPE65280
dig @192.0.2.2 host.sub.example.org A
dig @192.0.2.2 -x 192.0.2.80
dig @192.0.2.2 -x 2001:db8::80
dig @192.0.2.2 example.org ANY +notcp
dig @2001:db8::2 example.org AAAA
"""

ODD = """
dig @192.0.2.2 missing.example.org A
dig @192.0.2.2 empty.example.org MX
dig @192.0.2.2 non.terminal.example.org A
dig @192.0.2.2 www.example.com A
dig @192.0.2.2 version.bind CH TXT
dig @192.0.2.2 example.org A +noedns
dig @192.0.2.2 example.org A +nocookie +nsid +bufsize=1232
dig @192.0.2.2 example.org A +subnet=198.51.100.0/24
dig @192.0.2.2 example.org A +subnet=2001:db8:5::/48
dig @192.0.2.2 example.org A +cookie=0123456789abcdef
dig @192.0.2.2 example.org A +ednsopt=65001:c0ffee +padding=128 +expire
dig @192.0.2.2 example.org A +edns=1 +noednsnegotiation
dig @192.0.2.2 example.org A +opcode=status +norecurse
dig @192.0.2.2 example.org SOA +opcode=notify
dig @192.0.2.2 example.org A +adflag +cdflag +norecurse +aaflag
dig @192.0.2.2 big.example.org TXT +bufsize=512
dig @192.0.2.2 big.example.org TXT +ignore +noedns
dig @192.0.2.2 big.example.org TXT +bufsize=4096
dig @192.0.2.2 +tcp +keepopen +keepalive example.org A example.org MX missing.example.org A
dig @192.0.2.2 +tcp example.org AXFR
dig @192.0.2.2 +tcp example.org IXFR=2024010100
dig @192.0.2.2 -p 5300 +tries=1 +time=1 example.org A
dig @192.0.2.9 +tries=1 +time=1 example.org A
dig @192.0.2.2 +header-only +tries=1 +time=1
"""

SIGNED = """set -e
dig() { command dig +nocookie "$@"; }
for type in SOA DNSKEY CDS CDNSKEY NSEC3PARAM A; do dig @192.0.2.2 example.org $type +dnssec; done
dig @192.0.2.2 www.example.org A +dnssec
dig @192.0.2.2 missing.example.org A +dnssec
dig @192.0.2.2 something.wild.example.org TXT +dnssec
dig @192.0.2.2 host.sub.example.org A +dnssec
dig @192.0.2.2 example.org RRSIG
dig @192.0.2.2 example.net SOA +dnssec
dig @192.0.2.2 missing.example.net A +dnssec
dig @192.0.2.2 child.example.net DS +dnssec
"""

NET = """$ORIGIN example.net.
$TTL 600
@ SOA ns hostmaster 1 3600 600 86400 300
@ NS ns
ns A 192.0.2.2
child NS ns.child
ns.child A 192.0.2.98
child DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
"""

UPDATE = """server 192.0.2.2
zone example.org
prereq nxdomain new.host.example.org
update add new.host.example.org 300 A 192.0.2.95
update delete mail2.example.org A
send
"""


def server(host, signed):
    sign = "    dnssec-signing: on\n" if signed else ""
    zones = {"example.org": ZONE + BIG, "2.0.192.in-addr.arpa": REVERSE, "8.b.d.0.1.0.0.2.ip6.arpa": REVERSE6,
             "example.net": NET}
    # NSEC for one signed zone and NSEC3 for the other.
    options = {"example.org": "    acl: transfer\n" + (sign and sign + "    dnssec-policy: short\n"),
               "example.net": sign}
    services.knot(host, zones, "192.0.2.2@53, 2001:db8::2@53", MODULES, options)


def record(lab):
    alice, bob = lab.pair()
    server(bob, signed=False)
    programs = ("bind9-dnsutils", "knot")
    with lab.capture(alice, "eth0", "dns-types.pcap", "DNS record types, aliases, wildcard, delegation, reverse; odd "
                     "octets in names", *programs):
        alice.run(PLAIN)
    with lab.capture(alice, "eth0", "dns-odd.pcap", "NXDOMAIN, no data, REFUSED, CHAOS, EDNS options (NSID, client "
                     "subnet, cookies, padding, unknown), BADVERS, other opcodes, truncation then TCP, fragments, several "
                     "queries on one TCP connection, zone transfer, update, no server, no host", *programs):
        alice.run(ODD, check=False)
        alice.run(["nsupdate"], stdin=UPDATE)

    carol, dave = lab.host("carol"), lab.host("dave")
    lab.cable(carol, dave)
    carol.address("192.0.2.1/24", "2001:db8::1/64")
    dave.address("192.0.2.2/24", "2001:db8::2/64")
    lab.let_groups_settle()
    server(dave, signed=True)
    with lab.capture(carol, "eth0", "dns-dnssec.pcap", "DNSSEC: DNSKEY, RRSIG, DS, CDS, NSEC and NSEC3 proofs",
                     *programs):
        carol.run(SIGNED)
