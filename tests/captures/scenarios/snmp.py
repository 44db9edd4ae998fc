"""SNMP v1, v2c and v3 between the net-snmp tools, an agent and a trap receiver."""

import services

USER = """
createUser alice SHA "authentication" AES "encryption"
createUser bob MD5 "authentication"
rouser alice authPriv
rwuser bob authNoPriv
"""

TRAPS = """
authCommunity log public
snmpTrapdAddr udp:162
createUser -e 0x8000000001020304 alice SHA "authentication" AES "encryption"
authUser log alice
"""

SYSTEM, INTERFACES = "1.3.6.1.2.1.1", "1.3.6.1.2.1.2"
CONTACT = f"{SYSTEM}.4.0"

REQUESTS = f"""
snmpget -v 1 -c public 192.0.2.2 {SYSTEM}.1.0 {SYSTEM}.3.0
snmpgetnext -v 1 -c public 192.0.2.2 {SYSTEM}
snmpset -v 1 -c private 192.0.2.2 {CONTACT} s alice@example.org
snmpget -v 1 -c public 192.0.2.2 1.3.6.1.2.1.99.1.0
snmpset -v 1 -c public -t 1 -r 0 192.0.2.2 {CONTACT} s nobody
snmpwalk -v 1 -c public 192.0.2.2 {INTERFACES}.2.1.2
snmpget -v 2c -c public 192.0.2.2 {SYSTEM}.1.0 {SYSTEM}.99.0 {SYSTEM}.1.99
snmpgetnext -v 2c -c public 192.0.2.2 {INTERFACES}
snmpbulkget -v 2c -c public -Cn1 -Cr10 192.0.2.2 {SYSTEM}.3 {INTERFACES}
snmpbulkwalk -v 2c -c public 192.0.2.2 {INTERFACES}
snmpset -v 2c -c private 192.0.2.2 {SYSTEM}.6.0 s 'second floor' {CONTACT} s bob@example.org
snmpset -v 2c -c private 192.0.2.2 {SYSTEM}.3.0 t 5
snmpget -v 2c -c wrong -t 1 -r 1 192.0.2.2 {SYSTEM}.1.0
snmpget -v 2c -c public udp6:[2001:db8::2]:161 {SYSTEM}.5.0
snmpget -v 3 -l noAuthNoPriv -u nobody -t 1 -r 0 192.0.2.2 {SYSTEM}.1.0
snmpget -v 3 -l authNoPriv -u bob -a MD5 -A authentication 192.0.2.2 {SYSTEM}.1.0
snmpget -v 3 -l authNoPriv -u bob -a MD5 -A wrong-password -t 1 -r 0 192.0.2.2 {SYSTEM}.1.0
snmpget -v 3 -l authPriv -u alice -a SHA -A authentication -x AES -X encryption 192.0.2.2 {SYSTEM}.1.0
snmpbulkwalk -v 3 -l authPriv -u alice -a SHA -A authentication -x AES -X encryption 192.0.2.2 {SYSTEM}
snmpget -v 2c -c public -t 1 -r 0 192.0.2.2:1610 {SYSTEM}.1.0
"""

NOTIFICATIONS = """
snmptrap -v 1 -c public 192.0.2.1 1.3.6.1.4.1.32473.1 192.0.2.2 6 17 12345 1.3.6.1.4.1.32473.1.1 s 'paper is out'
snmptrap -v 1 -c public 192.0.2.1 1.3.6.1.4.1.32473.1 192.0.2.2 2 0 12345 1.3.6.1.2.1.2.2.1.1.2 i 2
snmptrap -v 2c -c public 192.0.2.1 12345 1.3.6.1.6.3.1.1.5.4 1.3.6.1.2.1.2.2.1.1.2 i 2
snmpinform -v 2c -c public 192.0.2.1 12345 1.3.6.1.6.3.1.1.5.3 1.3.6.1.2.1.2.2.1.1.2 i 2 \\
    1.3.6.1.4.1.32473.1.2 a 192.0.2.9 1.3.6.1.4.1.32473.1.3 x 00ff10 1.3.6.1.4.1.32473.1.4 c 4294967295
snmptrap -v 3 -e 0x8000000001020304 -l authPriv -u alice -a SHA -A authentication -x AES -X encryption \\
    192.0.2.1 12345 1.3.6.1.6.3.1.1.5.1
"""


def record(lab):
    alice, bob = lab.pair()
    services.snmpd(bob, "Example switch 24 ports", USER)
    traps = alice.file("snmptrapd.conf", TRAPS)
    for host in (alice, bob):
        host.run("mkdir -p /var/lib/snmp")
    alice.serve(["snmptrapd", "-f", "-Lo", "-n", "-C", "-c", str(traps)], "udp", 162)
    with lab.capture(alice, "eth0", "snmp.pcap", "v1, v2c and v3 (noAuth, auth, authPriv, discovery, reports): get, "
                     "getnext, getbulk, set, walk, errors and exceptions, wrong community, trap, inform, v3 trap, no agent",
                     "snmp", "snmpd", "snmptrapd"):
        # Several requests are meant to fail.
        alice.run(REQUESTS, check=False)
        bob.run(NOTIFICATIONS, check=False)
