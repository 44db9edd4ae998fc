"""SSH: a command, a file copy, a refused key."""

import services


def record(lab):
    alice, bob = lab.pair()
    services.sshd(bob)
    config = services.ssh_client(bob, "192.0.2.2 2001:db8::2")
    alice.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "example", "-f", "other_key"])
    page = alice.file("page", "some lines\n" * 2000)
    with lab.capture(alice, "eth0", "ssh.pcap", "a command over IPv4, a file copy over IPv6, a refused key",
                     "openssh-client", "openssh-server"):
        alice.run(["ssh", "-F", str(config), "192.0.2.2", "echo hello"])
        alice.run(["scp", "-q", "-F", str(config), str(page), "[2001:db8::2]:/run/page"])
        alice.run(["ssh", "-F", str(config), "-o", "IdentitiesOnly=yes", "-o", "IdentityFile=none",
                   "-o", "BatchMode=yes", "-l", "nobody", "192.0.2.2", "echo hello"], check=False)
