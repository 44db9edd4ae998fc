"""The demo: half a minute in a small office, seen from a mirror port of its switch."""

import random
from socket import AF_INET, AF_INET6, inet_pton

import services
from lab import together

LEASE_SCRIPT = """#!/bin/sh
case "$1" in
bound | renew)
    ip address replace "$ip/24" dev "$interface"
    ip route replace default via "$router"
    ;;
deconfig) ip address flush dev "$interface" scope global ;;
esac
"""

GATEWAY = """
no-daemon
no-hosts
no-resolv
user=root
pid-file=
bind-interfaces
interface=eth0
domain=office.example.org
local=/office.example.org/
server=198.51.100.53
dhcp-range=192.0.2.100,192.0.2.120,1h
dhcp-option=option:ntp-server,192.0.2.1
dhcp-leasefile=/run/leases
dhcp-authoritative
enable-ra
dhcp-range=::,constructor:eth0,ra-stateless,64,1h
host-record=gateway.office.example.org,192.0.2.1,2001:db8:1::1
host-record=printer.office.example.org,192.0.2.20,2001:db8:1::20
host-record=nas.office.example.org,192.0.2.10,2001:db8:1::10
ptr-record=20.2.0.192.in-addr.arpa,printer.office.example.org
srv-host=_ldap._tcp.office.example.org,nas.office.example.org,389
"""

ZONE = """$ORIGIN {zone}.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 300
@ NS ns
@ MX 10 mail
@ TXT "v=spf1 mx -all"
ns A 198.51.100.53
mail A 198.51.100.25
www A 198.51.100.80
www AAAA 2001:db8:2::80
www HTTPS 1 . alpn=h2 ipv4hint=198.51.100.80 ipv6hint=2001:db8:2::80
cdn CNAME edge.cdn
edge.cdn A 203.0.113.10
edge.cdn A 203.0.113.11
edge.cdn AAAA 2001:db8:2::10
"""

PRINTER_SERVICE = """<?xml version="1.0" standalone='no'?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group>
  <name>Printer on floor 2</name>
  <service><type>_ipp._tcp</type><port>631</port><txt-record>ty=Example LaserWriter</txt-record></service>
  <service><type>_pdl-datastream._tcp</type><port>9100</port></service>
</service-group>
"""

NAMES = {
    "192.0.2.1": "gateway", "192.0.2.10": "nas", "192.0.2.20": "printer", "198.51.100.80": "www.example.org",
    "2001:db8:1::1": "gateway", "2001:db8:2::80": "www.example.org",
}

ALICE = """set -e
udhcpc -i eth0 -s {lease} -x hostname:alice -q -n -t 3 -f -A 2
sleep 2
browse() {{
    dig +short HTTPS "$1" >&2
    curl -sS -L --cacert {ca} -o /dev/null "http://$1/$2"
    curl -sS --cacert {ca} --http1.1 --parallel --parallel-max 4 $(seq -f "-o /dev/null https://$1/static/%g.css" 1 6)
    images=$(seq -f "-o /dev/null https://cdn.example.net/image/%g.jpg" "$3" $(($3 + 3)))
    curl -sS --cacert {ca} --parallel --parallel-immediate --parallel-max 3 $images
}}
browse www.example.org index.html 1
sleep 2
browse www.example.com news.html 3
curl -sS --cacert {ca} -o /dev/null -d 'name=alice&subject=hello' https://www.example.org/form
curl -sS --cacert {ca} -o /dev/null https://www.example.org/no-such-page
sleep 1
curl -sS -o /dev/null http://nas.office.example.org:8081/ || true
socat -u TCP:nas.office.example.org:7777 OPEN:/dev/null || true
head -c 60000 {page} | nc.openbsd -N printer.office.example.org 9100
ssh -F {ssh_config} nas.office.example.org 'cat {page}; sleep 1; echo done' > /dev/null
sleep 2
browse www.example.org more.html 6
dig +short no-such-host.example.org
ping -c 5 -i 0.5 www.example.org
"""

BOB = """set -e
sleep 1
udhcpc -i eth0 -s {lease} -x hostname:bob -q -n -t 3 -f -A 2
for name in www.example.org mail.example.com www.example.net; do
    dig +noall +answer "$name" A
    dig +noall +answer "$name" AAAA
done
dig +short MX example.org; dig +short TXT example.org; dig +short -x 192.0.2.20; dig +short SRV _ldap._tcp.office.example.org
logger --server 192.0.2.10 --udp --port 514 --rfc3164 --tag backup 'backup of /home started'
curl -sS -o /dev/null http://nas.office.example.org/share/archive.tar
curl -sS -o /dev/null -r 1000-4999 http://nas.office.example.org/share/archive.tar
curl -sS -o /dev/null -I http://nas.office.example.org/share/
logger --server 192.0.2.10 --udp --port 514 --rfc5424 --tag backup --msgid DONE 'backup of /home ended, 300 files'
sleep 3
ntpdig -t 2 192.0.2.1
traceroute -n -q 1 -w 1 198.51.100.80
ping -c 3 -i 0.3 -W 1 192.0.2.77 || true
curl -sS -o /dev/null -m 1 http://192.0.2.78/ || true
atftp --get --remote-file boot.img --local-file /run/boot.img 192.0.2.10
sleep 5
scp -F {ssh_config} {page} nas.office.example.org:/run/page.html
curl -sS --cacert {ca} -o /dev/null https://cdn.example.com/image/9.jpg
for i in 1 2 3 4 5 6; do curl -sS --cacert {ca} -o /dev/null https://www.example.net/poll?n=$i; sleep 1; done
"""

CAROL = """set -e
sleep 3
ip address add 192.0.2.30/24 dev eth0
ip route add default via 192.0.2.1
avahi-browse -p -t -r _ipp._tcp
avahi-resolve -4 -n printer.local
ping -6 -c 4 -i 0.5 www.example.org
curl -6 -sS --cacert {ca} -o /dev/null https://www.example.org/index.html
curl -6 -sS --cacert {ca} -o /dev/null https://www.example.org/static/1.css -o /dev/null https://cdn.example.net/image/2.jpg
traceroute -6 -n -q 1 -w 1 2001:db8:2::80
nmblookup -B 192.0.2.255 NAS || true
dig +short AAAA nas.office.example.org
curl -6 -sS -o /dev/null http://nas.office.example.org/share/manual.txt
ping -6 -c 2 -s 3000 2001:db8:1::10
ping -c 2 -s 4000 192.0.2.10
sleep 4
avahi-browse -p -t -a
"""

MONITOR = """set -e
ip address add 192.0.2.40/24 dev eth0
ip route add default via 192.0.2.1
for i in 1 2 3 4; do
    snmpget -v 2c -c public 192.0.2.20 1.3.6.1.2.1.1.3.0 1.3.6.1.2.1.2.2.1.10.1 1.3.6.1.2.1.2.2.1.16.1
    ping -c 1 192.0.2.1
    ping -c 1 192.0.2.20
    sleep 4
done
snmpbulkwalk -v 2c -c public 192.0.2.20 1.3.6.1.2.1.2
snmpget -v 1 -c wrong -t 1 -r 1 192.0.2.20 1.3.6.1.2.1.1.1.0 || true
ntpdig -t 2 192.0.2.1
atftp --get --remote-file monitor.cfg --local-file /run/monitor.cfg 192.0.2.10
atftp --get --remote-file missing.cfg --local-file /run/missing.cfg 192.0.2.10 || true
logger --server 192.0.2.10 --udp --port 514 --rfc5424 --tag monitor 'all hosts answer'
"""


def random_bytes(seed, size):
    return random.Random(seed).randbytes(size)


def words(seed, size):
    """Text that compresses like text."""
    choose = random.Random(seed)
    vocabulary = ("weir", "stream", "packet", "record", "sensor", "office", "river", "level", "water", "gate", "flow")
    return " ".join(choose.choice(vocabulary) for _ in range(size // 6))[:size]


def internet(lab, gateway):
    """Everything outside, on one host, 8 ms away."""
    world, line = lab.host("internet"), lab.host("line", ipv6=False)
    lab.cable(gateway, line, "eth1", "left")
    lab.cable(world, line, "eth0", "right")
    services.wire(line, "left", "right", "--delay-ms", "4")
    gateway.address("198.51.100.1/24", "2001:db8:2::1/64", interface="eth1")
    world.address("198.51.100.53/24", "198.51.100.80/24", "203.0.113.10/32", "203.0.113.11/32",
                  "2001:db8:2::80/64", "2001:db8:2::10/64")
    gateway.route("203.0.113.0/24", "198.51.100.53")
    world.route("192.0.2.0/24", "198.51.100.1")
    world.run("ip -6 route add 2001:db8:1::/64 via 2001:db8:2::1")
    services.knot(world, {zone: ZONE.format(zone=zone) for zone in ("example.org", "example.com", "example.net")},
                  listen="198.51.100.53@53")
    for number in range(1, 10):
        world.file(f"web/image/{number}.jpg", random_bytes(number, 6000 + 9000 * number))
        world.file(f"web/static/{number}.css", words(number, 1500 * number))
    for page in ("index", "news", "more"):
        world.file(f"web/{page}.html", f"<html><body><p>{words(page, 12000)}</p></body></html>\n")
    names = [f"{host}.example.{top}" for host in ("www", "cdn") for top in ("org", "com", "net")]
    authority = services.certificate(world, names)
    services.nginx(world, f"""
        server {{ listen 80; listen [::]:80; return 301 https://$host$request_uri; }}
        server {{
            listen 443 ssl http2; listen [::]:443 ssl http2;
            ssl_certificate {world.folder}/tls.crt; ssl_certificate_key {world.folder}/tls.key;
            root {world.folder}/web;
            location /form {{ return 204; }}
            location /poll {{ return 200 '{{"state":"ok"}}'; }}
        }}""", 80, 443)
    return authority


def servers(gateway, nas, printer):
    gateway.serve(["dnsmasq", "--conf-file=" + str(gateway.file("dnsmasq.conf", GATEWAY))], "udp", 53, 67)
    services.ntpd(gateway)
    services.sshd(nas)
    services.tftpd(nas, {"monitor.cfg": words("monitor", 5000), "boot.img": words("boot", 40_000)})
    services.nmbd(nas, "NAS")
    nas.start("socat -u UDP-RECV:514 OPEN:/dev/null")
    nas.start("socat TCP6-LISTEN:7777,fork,linger=0 EXEC:'echo busy'")
    nas.file("web/share/archive.tar", random_bytes("archive", 250_000))
    nas.file("web/share/manual.txt", words("manual", 30_000))
    services.nginx(nas, f"server {{ listen 80; listen [::]:80; root {nas.folder}/web; autoindex on; }}", 80)
    services.snmpd(printer, "Example LaserWriter 12")
    printer.start("socat -u TCP6-LISTEN:9100,fork OPEN:/dev/null")
    services.avahi(printer, {"printer.service": PRINTER_SERVICE})


def record(lab):
    gateway, nas, printer = (lab.host(name) for name in ("gateway", "nas", "printer"))
    alice, carol = (lab.host(name) for name in ("alice", "carol"))
    bob, monitor = (lab.host(name, ipv6=False) for name in ("bob", "monitor"))
    clients = [alice, bob, carol, monitor]
    gateway.forwards()
    for host in clients:
        host.sysctl("net.ipv6.conf.default.router_solicitations", 3)
        host.sysctl("net.ipv6.conf.default.accept_dad", 1)
        host.sysctl("net.ipv6.conf.default.dad_transmits", 1)
    switch = lab.switch(gateway, nas, printer, *clients)
    gateway.address("192.0.2.1/24", "2001:db8:1::1/64")
    nas.address("192.0.2.10/24", "2001:db8:1::10/64")
    printer.address("192.0.2.20/24", "2001:db8:1::20/64")
    for host in (nas, printer):
        host.route("default", "192.0.2.1")
    for host in clients:
        host.resolver("192.0.2.1")
    authority = internet(lab, gateway)
    ssh_config = services.ssh_client(nas, "nas.office.example.org")
    page = nas.file("page.txt", words("page", 70_000))
    lease = nas.file("lease.sh", LEASE_SCRIPT)
    lease.chmod(0o755)
    fill = {"ca": authority, "ssh_config": ssh_config, "page": page, "lease": lease}
    recorded = "office.pcap"
    with lab.capture(switch, "br0", recorded, "", options=["--time-stamp-precision=nano"], settle=2):
        servers(gateway, nas, printer)
        services.avahi(carol, {})
        together(*((host, script.format(**fill)) for host, script in
                   ((alice, ALICE), (bob, BOB), (carol, CAROL), (monitor, MONITOR))))
    family = {name: AF_INET6 if ":" in name else AF_INET for name in NAMES}
    lab.join("office.pcapng", [(recorded, "br0", "mirror port of the office switch")], "Half a minute in a small office",
             "**The demo.** Half a minute in a small office: four clients, a printer, a file server and a "
             "gateway with DHCP, DNS, NTP, web over HTTP and HTTPS, ssh, SNMP, syslog, TFTP, mDNS, NetBIOS names, ping, "
             "traceroute, router advertisements, a refused port, a reset, a host that is not there. pcapng, ns, with "
             "name-resolution and statistics blocks", "curl", "nginx-light", "dnsmasq-base", "knot",
             "bind9-dnsutils", "udhcpc", "ntpsec", "openssh-server", "snmpd", "avahi-daemon", "samba", "atftpd",
             "bsdutils", "iputils-ping", "traceroute",
             known_names=[(inet_pton(family[address], address), name) for address, name in NAMES.items()])
