"""SCTP by usrsctp, an implementation in user space, since the kernel's module is often absent."""

import time

EXAMPLES = "/usr/lib/usrsctp"


def record(lab):
    alice, bob = lab.pair(ipv6=False)
    bob.start([f"{EXAMPLES}/echo_server"])
    bob.start([f"{EXAMPLES}/discard_server"])
    time.sleep(1)
    with lab.capture(alice, "eth0", "sctp.pcap", "association, data both ways, fragmented messages, selective "
                     "acknowledgements, shutdown; an INIT that nobody answers", "libusrsctp-examples"):
        alice.run(f"(printf 'hello\\n'; sleep 0.3; printf 'second line\\n'; sleep 0.5) | {EXAMPLES}/client 192.0.2.2 7 0",
                  check=False, timeout=20)
        alice.run(f"timeout 3 {EXAMPLES}/tsctp -n 20 -l 3000 -p 9 192.0.2.2", check=False)
        alice.run(f"echo hello | timeout 2 {EXAMPLES}/client 192.0.2.2 7777 0", check=False)
