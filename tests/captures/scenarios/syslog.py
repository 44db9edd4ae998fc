"""Syslog over UDP from logger(1), and messages of kinds it cannot write from socat."""

LOGGED = """set -e
log() { logger --server 192.0.2.2 --udp --port 514 "$@"; }
log --rfc3164 --priority auth.info --tag 'su' 'session opened for user alice'
log --rfc3164 --priority daemon.err --tag disk --id=4321 'sector 17 is unreadable'
log --rfc5424 --priority user.notice --tag app 'plain message'
log --rfc5424 --priority local0.debug --tag app --msgid START --sd-id 'origin@32473' --sd-param 'ip="192.0.2.1"' \\
    --sd-param 'software="app \\"beta\\""' --sd-id 'meta' --sd-param 'sequenceId="1"' 'with structured data'
log --rfc5424=notime,nohost --priority kern.emerg --tag app 'without time and host'
log --rfc5424 --tag app 'grün, naïve, 東京'
logger --server 2001:db8::2 --udp --port 514 --rfc5424 --tag app 'over IPv6'
logger --server 192.0.2.2 --udp --port 5140 --rfc5424 --tag app 'nobody listens on this port'
"""

# As real devices send them, with the faults of real devices.
RAW = (
    b"<34>Oct 11 22:14:15 alice su: 'su root' failed for bob on /dev/pts/8",
    b"<189>29: *Mar  1 18:46:11.123: %SYS-5-CONFIG_I: Configured from console by vty2 (10.0.0.1)",
    b"<13>1 2024-05-01T12:00:00.003+02:00 alice app 111 ID47 - \xef\xbb\xbfa message with a byte order mark",
    b"<13>1 - - - - - -",
    b"no priority at all",
    b"<999>priority too large",
    b"<5>",
    b"<30>Jan  1 00:00:00 alice \x00\x01\xff binary",
    b"<134>" + b"long " * 400,
)


def record(lab):
    alice, bob = lab.pair()
    for version in (4, 6):
        bob.serve(f"socat -u UDP{version}-RECV:514{',ipv6only=1' if version == 6 else ''} OPEN:/dev/null", "udp", 514)
    with lab.capture(alice, "eth0", "syslog.pcap", "RFC 3164 and RFC 5424 with structured data and UTF-8, messages "
                     "without or with a bad priority, with binary octets, longer than a packet; no server", "bsdutils",
                     "socat"):
        alice.run(LOGGED)
        for number, message in enumerate(RAW):
            path = alice.file(f"message{number}", message)
            alice.run(f"socat -u -b 65000 OPEN:{path} UDP:192.0.2.2:514")
