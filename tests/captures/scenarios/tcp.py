"""The shapes of TCP connections, one small capture each, recorded on the client's side of a slow cable."""

import time

import services
from lab import wait_until

# Client and server of every shape are a few lines of Python, so that each segment has a line that causes it.
PRELUDE = """
import socket, struct, time
TEXT = b"What flows over the weir is measured. " * 1000
SERVER = ("192.0.2.2", 6900)
def listen(port=6900, backlog=5):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))
    listener.listen(backlog)
    return listener
def connect(port=0):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("", port))
    client.connect(SERVER)
    return client
def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
def receive(connection):
    while connection.recv(65536):
        pass
"""

ECHO = """
listener = listen()
while True:
    peer = listener.accept()[0]
    while data := peer.recv(65536):
        peer.sendall(data)
    peer.close()
"""
SILENT = "listener = listen()\ntime.sleep(60)"
HANG_UP = """
listener = listen()
while True:
    peer = listener.accept()[0]
    try:
        peer.recv(100)
        peer.sendall(b"goodbye")
    except ConnectionError:
        pass
    peer.close()
"""
SINK = """
listener = listen()
while True:
    peer = listener.accept()[0]
    receive(peer)
    peer.sendall(b"got all")
    peer.close()
"""
SOURCE = """
listener = listen()
while True:
    peer = listener.accept()[0]
    peer.sendall(TEXT[:30_000])
    peer.close()
"""
RESET_SERVER = """
listener = listen()
while True:
    peer = listener.accept()[0]
    peer.recv(100)
    reset(peer)
"""
SLOW_READER = """
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
listener.bind(SERVER)
listener.listen()
peer = listener.accept()[0]
time.sleep(2.5)
receive(peer)
"""

TALK = "client = connect(); client.sendall(b'hello'); client.recv(100); client.close(); time.sleep(0.3)"
READ_ALL = "client = connect(); receive(client); client.close(); time.sleep(0.5)"
WRITE_ALL = ("client = connect(); client.sendall(TEXT[:20_000]); client.shutdown(socket.SHUT_WR); "
             "receive(client); client.close(); time.sleep(0.5)")
KEEPALIVE = """
client = connect()
client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
    client.setsockopt(socket.IPPROTO_TCP, option, 1)
client.sendall(b"once")
client.recv(100)
time.sleep(3.5)
client.close()
time.sleep(0.3)
"""
SAME_PORT = """
for number in range(3):
    client = connect(40000)
    client.sendall(b"connection %d" % number)
    client.recv(100)
    client.recv(100)
    client.close()
    time.sleep(1.1)
for number in range(2):
    client = connect(40001)
    client.sendall(b"reset %d" % number)
    reset(client)
    time.sleep(0.2)
"""
URGENT = "client = connect(); client.sendall(b'one'); client.send(b'!', socket.MSG_OOB); client.sendall(b'two'); " \
         "time.sleep(0.2); client.close(); time.sleep(0.3)"
MULTIPATH = """
IPPROTO_MPTCP = 262
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
client.connect(SERVER)
client.sendall(b"by several paths")
client.recv(100)
client.close()
time.sleep(0.3)
"""
FAST_OPEN = """
for number in range(2):
    client = socket.socket()
    client.sendto(b"first data", socket.MSG_FASTOPEN, SERVER)
    client.recv(100)
    client.close()
    time.sleep(0.3)
"""
# Both sides call each other at the same moment, in the same hundredth of a second of the machine's clock.
CROSSING = """
own, other = {}
client = socket.socket()
client.bind(own)
time.sleep(max(0, {} - time.time()))
client.connect(other)
client.sendall(b"from " + own[0].encode())
client.recv(100)
client.close()
time.sleep(0.5)
"""

# Name, what is seen, server, client, rules of the cable, settings of both hosts.
SHAPES = (
    ("close", "handshake, data both ways, the client closes first", ECHO, TALK, "", {}),
    ("close-by-server", "the server closes first", HANG_UP, "client = connect(); client.sendall(b'hi'); receive(client); "
     "client.close(); time.sleep(0.3)", "", {}),
    ("half-close", "the client ends its half and still receives", SINK, WRITE_ALL, "", {}),
    ("refused", "a port without listener", "time.sleep(60)", "socket.socket().connect_ex(SERVER)", "", {}),
    ("reset-by-client", "the client resets with data on the way", ECHO,
     "client = connect(); client.sendall(TEXT[:5000]); time.sleep(0.05); reset(client); time.sleep(0.2)", "", {}),
    ("reset-by-server", "the server resets after the first request", RESET_SERVER,
     "client = connect(); client.sendall(b'hello'); time.sleep(0.3)", "", {}),
    ("no-answer", "SYN sent again and again", "time.sleep(60)", "client = socket.socket(); client.settimeout(4); "
     "client.connect_ex(SERVER)", "--drop right:" + ",right:".join(map(str, range(1, 30))), {}),
    ("no-data", "opened and closed without a byte", SILENT, "connect().close(); time.sleep(0.3)", "", {}),
    ("loss-to-server", "segments to the server lost: fast retransmission and time-out", SINK, WRITE_ALL,
     "--drop left:5,left:11,left:12,left:17", {}),
    ("loss-to-client", "segments to the client lost: holes that are filled later, SACK", SOURCE, READ_ALL,
     "--drop right:4,right:9,right:10,right:15", {}),
    ("loss-of-handshake", "SYN and SYN-ACK lost once each", SOURCE, READ_ALL, "--drop left:1,right:1", {}),
    ("out-of-order", "segments to the client overtake each other", SOURCE, READ_ALL, "--hold right:4,right:8,right:14", {}),
    ("duplicates", "segments to the client arrive twice", SOURCE, READ_ALL, "--repeat right:3,right:6,right:12", {}),
    ("zero-window", "a receiver that does not read: zero window, probes, update", SLOW_READER,
     "client = connect(); client.sendall(TEXT); client.close(); time.sleep(4)", "", {}),
    ("port-reuse", "the same ports again after close and after reset", HANG_UP, SAME_PORT, "", {}),
    ("keepalive", "keep-alive probes on an idle connection", ECHO, KEEPALIVE, "", {}),
    ("urgent", "urgent data", SINK, URGENT, "", {}),
    ("no-options", "without timestamps, SACK and window scaling", ECHO, TALK, "",
     {"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0}),
    ("ecn", "explicit congestion notification is negotiated", SOURCE, READ_ALL, "", {"tcp_ecn": 1}),
    ("fast-open", "data in the SYN", ECHO, FAST_OPEN, "", {"tcp_fastopen": 3}),
    ("multipath", "Multipath TCP options (RFC 8684), refused by the server", ECHO, MULTIPATH, "", {}),
)


def python(host, script):
    return host.start(["python3", "-c", PRELUDE + script])


def long_line(lab, rules=""):
    """alice and bob with 5 ms between them, so that segments of both sides are on the way at once."""
    alice, line, bob = lab.host("alice", False), lab.host("line", False), lab.host("bob", False)
    lab.cable(alice, line, "eth0", "left")
    lab.cable(line, bob, "right", "eth0")
    alice.address("192.0.2.1/24")
    bob.address("192.0.2.2/24")
    # Known neighbours: no ARP in the captures, whose segments are counted.
    for host, other in ((alice, bob), (bob, alice)):
        address = "192.0.2.1" if other is alice else "192.0.2.2"
        host.run(["ip", "neighbour", "add", address, "lladdr", other.hardware_address(), "dev", "eth0"])
    services.wire(line, "left", "right", "--delay-ms", "5", *rules.split())
    return alice, bob


def shape(lab, name, what, server, client, rules, settings):
    alice, bob = long_line(lab, rules)
    for host in (alice, bob):
        for key, value in settings.items():
            host.sysctl(f"net.ipv4.{key}", value)
    python(bob, server)
    if "listen" in server:
        wait_until(lambda: bob.listens("tcp", 6900), "no listener")
    with lab.capture(alice, "eth0", f"tcp-{name}.pcap", what):
        running = python(alice, client)
        running.wait(30)
        time.sleep(0.3)
    if running.popen.returncode != 0:
        raise RuntimeError(f"tcp-{name}: {running.output()}")
    lab.end_hosts()


def crossing(lab):
    alice, bob = long_line(lab)
    start = time.time() + 2
    ends = {alice: ("192.0.2.1", 6901), bob: ("192.0.2.2", 6902)}
    with lab.capture(alice, "eth0", "tcp-simultaneous-open.pcap", "both sides send the first SYN"):
        running = [python(host, CROSSING.format((ends[host], ends[bob if host is alice else alice]), start))
                   for host in (alice, bob)]
        for process in running:
            process.wait(30)
    lab.end_hosts()


def cut(lab):
    """Connections that began before the capture and one that goes on after it."""
    alice, bob = long_line(lab)
    python(bob, ECHO)
    wait_until(lambda: bob.listens("tcp", 6900), "no listener")
    old = python(alice, "client = connect()\nfor n in range(12):\n client.sendall(b'line %d' % n)\n client.recv(100)\n "
                 "time.sleep(0.1)\nclient.close()\ntime.sleep(0.2)")
    time.sleep(0.5)
    with lab.capture(alice, "eth0", "tcp-cut.pcap", "a connection that began before the capture, one that goes on after it",
                     settle=0):
        python(alice, "client = connect()\nfor n in range(50):\n client.sendall(b'line %d' % n)\n client.recv(100)\n "
               "time.sleep(0.1)")
        old.wait(30)
        time.sleep(0.4)
    lab.end_hosts()


def vanish(lab):
    alice, bob = long_line(lab)
    python(bob, ECHO)
    wait_until(lambda: bob.listens("tcp", 6900), "no listener")
    with lab.capture(alice, "eth0", "tcp-vanished.pcap", "the server disappears in the middle: retransmissions without end"):
        python(alice, "client = connect()\nfor n in range(50):\n client.sendall(b'line %d' % n)\n time.sleep(0.1)")
        time.sleep(0.6)
        bob.run("ip link set eth0 down")
        time.sleep(4)
    lab.end_hosts()


def record(lab):
    for entry in SHAPES:
        shape(lab, *entry)
    crossing(lab)
    cut(lab)
    vanish(lab)
