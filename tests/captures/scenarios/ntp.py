"""NTP: one-shot and continuous clients, a client that speaks to a server without time, and mode 6 queries."""

import time

import services


def record(lab):
    alice, bob = lab.pair()
    services.ntpd(bob)
    with lab.capture(alice, "eth0", "ntp.pcap", "ntpdig over IPv4 and IPv6, a burst of ntpd, answers of a server that "
                     "has no time yet, mode 6 (control) requests and answers, a port without server", "ntpsec",
                     options=["--time-stamp-precision=nano"]):
        alice.run(["ntpdig", "-t", "1", "192.0.2.2"], check=False)
        time.sleep(2)
        alice.run(["ntpdig", "-t", "1", "192.0.2.2"])
        alice.run(["ntpdig", "-t", "1", "2001:db8::2"])
        # Not all system variables: they name the kernel.
        alice.run(["ntpq", "-n", "-c", "rv 0 stratum,offset,refid,leap", "192.0.2.2"])
        services.ntpd(alice, "192.0.2.2", "2001:db8::2")
        time.sleep(12)
        bob.run(["ntpq", "-n", "-c", "peers", "-c", "associations", "-c", "rv 0 leap", "192.0.2.1"])
        bob.run(["ntpq", "-n", "-c", "rv 0 nosuchvariable", "192.0.2.1"])
        alice.run(["ntpdig", "-t", "1", "192.0.2.7"], check=False)
