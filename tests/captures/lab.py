"""Small networks to record: hosts in namespaces, cables between them, tcpdump on one of them.

A host is a process that owns a network, mount, process, IPC and host-name namespace. Everything
started on a host lives in its process namespace, so the end of that one process ends all daemons,
and the kernel then removes interfaces and mounts. The process also dies with this program, however
that ends. Nothing is connected to the machine's own network, and /run and /var are the host's own.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pcapng

# Programs see this and no more: the machine's own environment may hold names and addresses.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/run/home",
    "LANG": "C",
    "TZ": "UTC",
}

BOOT = """set -e
hostname "$1"
mount --make-rprivate /
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var
mkdir -p /run/home /run/lock /run/sshd /var/log /var/lib /var/cache /var/tmp /var/spool
ln -s /run /var/run
for file in hosts resolv.conf hostname machine-id; do
    [ ! -e "/etc/$file" ] || mount --bind "$2/$file" "/etc/$file"
done
ip link set lo up
echo up
exec sleep infinity
"""


class Failed(Exception):
    """A program of a scenario failed; the message holds what it printed."""


@dataclass
class Capture:
    """One recorded file and what the README says about it."""

    file: Path
    what: str
    packages: tuple[str, ...]
    generator: str = ""


class Process:
    """A program that goes on while the scenario does other things."""

    def __init__(self, command, popen, log):
        self.command, self.popen, self.log = command, popen, log

    def output(self):
        return self.log.read_text(errors="replace")

    def wait(self, timeout=60):
        self.popen.wait(timeout)

    def stop(self, number=signal.SIGTERM):
        """Signals the program and all its children. The group outlives namespace borders."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, number)
            self.popen.wait(10)


class Host:
    def __init__(self, lab, name, ipv6):
        self.lab, self.name = lab, name
        self.folder = lab.folder / name
        self.folder.mkdir()
        # Daemons that drop root still have to read their files.
        self.folder.chmod(0o755)
        self.file("hosts", f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n")
        self.file("resolv.conf", "")
        self.file("hostname", f"{name}\n")
        self.file("machine-id", "0123456789abcdef0123456789abcdef\n")
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--uts", "--mount", "--pid",
             "--ipc", "--fork", "--kill-child=KILL", "--mount-proc",
             "sh", "-c", BOOT, "sh", name, str(self.folder)],
            stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True)
        if self.holder.stdout.readline() != "up\n":
            raise Failed(f"{name}: namespaces could not be made; is this root on Linux?")
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        self.pid = int(children.read_text().split()[0])
        for scope in ("all", "default"):
            self.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 0 if ipv6 else 1)
            self.sysctl(f"net.ipv6.conf.{scope}.router_solicitations", 0)
            self.sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)
            # Else a program that dials in the first second has no usable address.
            self.sysctl(f"net.ipv6.conf.{scope}.dad_transmits", 0)

    def enter(self, command):
        prefix = ["nsenter", f"--target={self.pid}", "--net", "--uts", "--mount", "--pid", "--ipc",
                  f"--wdns={self.folder}"]
        return prefix + (["sh", "-c", command] if isinstance(command, str) else list(command))

    def file(self, name, content):
        """Writes a file only this host uses; gives its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    def sysctl(self, name, value):
        # sysctl(8) takes dots for slashes, so interface names with dots go to /proc directly.
        self.run(["sh", "-c", f"echo {value} > /proc/sys/{name.replace('.', '/')}"])

    def run(self, command, check=True, timeout=60, stdin=None):
        """Runs to the end and gives standard output. A string goes through the shell."""
        done = subprocess.run(self.enter(command), env=ENVIRONMENT, timeout=timeout, text=True,
                              errors="replace", input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode != 0:
            raise Failed(f"{self.name}: {command!r} gave {done.returncode}:\n{done.stdout}")
        return done.stdout

    def start(self, command):
        log = self.folder / f"{len(self.lab.processes)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(self.enter(command), env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                                     stdout=output, stderr=output, start_new_session=True)
        process = Process(command, popen, log)
        self.lab.processes.append(process)
        return process

    def serve(self, command, protocol, *ports):
        """Starts a daemon and waits until it listens."""
        process = self.start(command)
        for port in ports:
            wait_until(partial(self.listens, protocol, port),
                       f"{self.name}: {command!r} does not listen on {protocol} {port}", process.output)
        return process

    def listens(self, protocol, port):
        sockets = self.run(["ss", "-Hln", f"--{protocol}"])
        return any(line.split()[3].endswith(f":{port}") for line in sockets.splitlines())

    def address(self, *addresses, interface="eth0"):
        for address in addresses:
            extra = ["nodad"] if ":" in address else []
            self.run(["ip", "address", "add", address, "dev", interface, *extra])

    def hardware_address(self, interface="eth0"):
        return self.run(["cat", f"/sys/class/net/{interface}/address"]).strip()

    def route(self, target, via):
        self.run(["ip", "route", "add", target, "via", via])

    def forwards(self):
        self.sysctl("net.ipv4.ip_forward", 1)
        self.sysctl("net.ipv6.conf.all.forwarding", 1)

    def resolver(self, *addresses, search="office.example.org"):
        lines = [f"nameserver {address}\n" for address in addresses] + [f"search {search}\n"]
        # The file is mounted, so it is written in place and not replaced.
        self.file("resolv.conf", "".join(lines))


class Lab:
    """All hosts of one scenario; use it in a `with` block, which ends them."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="weir-lab-"))
        self.folder.chmod(0o755)
        self.captures_folder = self.folder / "captures"
        self.captures_folder.mkdir()
        self.hosts, self.processes, self.captures = [], [], []
        self.interfaces = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        if kind is not None:
            for process in self.processes:
                print(f"--- {process.command}\n{process.output()[-1500:]}")
        self.end_hosts()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_hosts(self):
        """Ends all hosts and what runs on them, so that a scenario can build another network."""
        for host in self.hosts:
            host.holder.kill()
            host.holder.wait()
            shutil.rmtree(host.folder)
        for process in self.processes:
            if process.popen.poll() is None:
                process.popen.kill()
            process.popen.wait()
        self.hosts, self.processes, self.interfaces = [], [], 0

    def host(self, name, ipv6=True):
        host = Host(self, name, ipv6)
        self.hosts.append(host)
        return host

    def cable(self, one, other, one_interface="eth0", other_interface="eth0", offload=False):
        """Joins two hosts. Offloads are off, so that what is recorded is what a wire would carry."""
        ends = [(one, one_interface), (other, other_interface)]
        command = ["ip", "link", "add"]
        for host, interface in ends:
            self.interfaces += 1
            command += ["address", f"02:00:00:00:00:{self.interfaces:02x}", "netns", str(host.pid), "name", interface]
            if host is one:
                command += ["type", "veth", "peer"]
        subprocess.run(command, check=True)
        for host, interface in ends:
            if not offload:
                host.run(["ethtool", "-K", interface, "rx", "off", "tx", "off", "tso", "off", "gso", "off", "gro", "off"])
            host.run(["ip", "link", "set", interface, "up"])

    def pair(self, ipv6=True, **cable):
        """Two hosts and a cable: alice, the client, is .1 and bob, the server, .2."""
        alice, bob = self.host("alice", ipv6), self.host("bob", ipv6)
        self.cable(alice, bob, **cable)
        for number, host in enumerate((alice, bob), start=1):
            host.address(f"192.0.2.{number}/24", *([f"2001:db8::{number}/64"] if ipv6 else []))
        if ipv6:
            self.let_groups_settle()
        return alice, bob

    def let_groups_settle(self):
        """Waits for the reports of multicast groups that follow a new address or interface."""
        time.sleep(3)

    def switch(self, *hosts, name="switch"):
        """Joins hosts by a bridge. Its `br0` shows each frame once, like a mirror port."""
        switch = self.host(name, ipv6=False)
        switch.run("ip link add br0 address 02:00:00:00:ff:01 type bridge mcast_snooping 0 && ip link set br0 up")
        for number, host in enumerate(hosts):
            self.cable(host, switch, other_interface=f"port{number}")
            switch.run(["ip", "link", "set", f"port{number}", "master", "br0"])
        return switch

    @contextmanager
    def capture(self, host, interface, name, what, *packages, options=(), settle=0.3):
        """Records an interface into `name` while the block runs."""
        file = self.captures_folder / name
        # One frame of the ring holds one packet in this mode: 512 of them.
        command = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--target={host.pid}", "--net",
                   "tcpdump", "-Z", "root", "-U", "-n", "--immediate-mode", "-s", "131072", "-B", "65536",
                   "-i", interface, "-w", str(file), *options]
        # Without a process namespace nsenter becomes tcpdump, and so gets its signals.
        tcpdump = subprocess.Popen(command, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True,
                                   start_new_session=True)
        try:
            if "listening on" not in (line := tcpdump.stderr.readline()):
                line += tcpdump.stderr.readline()
                if "listening on" not in line:
                    raise Failed(f"tcpdump on {host.name} {interface}: {line}")
            yield
            # The last answers are still on their way when the last program has ended.
            time.sleep(settle)
        finally:
            tcpdump.send_signal(signal.SIGINT)
            _, errors = tcpdump.communicate(timeout=10)
        if " 0 packets dropped by kernel" not in f" {errors.replace(chr(10), ' ')}":
            raise Failed(f"tcpdump on {host.name} lost packets:\n{errors}")
        self.note(name, what, "tcpdump", *packages)

    def join(self, name, sources, comment, what, *packages, known_names=(), packet_comments=None):
        """Makes one pcapng of (recorded file, interface, description) and takes the recorded files' place."""
        folder = self.captures_folder
        pcapng.join(folder / name, [(folder / file, *about) for file, *about in sources], comment, known_names,
                    packet_comments)
        parts = {file for file, *_ in sources}
        for part in parts:
            (folder / part).unlink()
        self.captures = [capture for capture in self.captures if capture.file.name not in parts]
        self.note(name, what, "tcpdump", *packages)

    def note(self, name, what, *packages, generator=""):
        """Lists a file of this scenario for the README."""
        self.captures.append(Capture(self.captures_folder / name, what, packages, generator))


def wait_until(condition, complaint, detail=lambda: "", seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{complaint} after {seconds} s\n{detail()}")
        time.sleep(0.05)


def together(*tasks, seconds=120):
    """Runs (host, shell command) pairs at the same time; all must succeed."""
    running = [host.start(command) for host, command in tasks]
    end = time.monotonic() + seconds
    for process in running:
        process.wait(max(0.1, end - time.monotonic()))
        if process.popen.returncode != 0:
            raise Failed(f"{process.command!r} gave {process.popen.returncode}:\n{process.output()}")
