"""UDP: both ways, one way, refused, fragmented, without checksum, UDP-Lite, to everybody."""

SERVER = """
import socket
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", 9000))
while True:
    data, peer = server.recvfrom(65535)
    if data.startswith(b"reply "):
        server.sendto(data[6:], peer)
"""

CLIENT = """
import socket, time
SO_NO_CHECK = 11
def client(version=socket.AF_INET):
    return socket.socket(version, socket.SOCK_DGRAM)
def ask(connection, data):
    connection.sendall(b"reply " + data)
    connection.recv(65535)
talk = client()
talk.connect(("192.0.2.2", 9000))
for number in range(3):
    ask(talk, b"message %d" % number)
talk6 = client(socket.AF_INET6)
talk6.connect(("2001:db8::2", 9000))
ask(talk6, b"over IPv6")
one_way = client()
for number in range(4):
    one_way.sendto(b"no answer wanted", ("192.0.2.2", 9000))
empty = client()
empty.sendto(b"", ("192.0.2.2", 9000))
unchecked = client()
unchecked.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
unchecked.sendto(b"without checksum", ("192.0.2.2", 9000))
ask(talk, b"f" * 5000)
ask(talk6, b"f" * 5000)
refused = client()
refused.connect(("192.0.2.2", 9001))
for number in range(2):
    try:
        refused.send(b"anyone?")
    except ConnectionRefusedError:
        pass
    time.sleep(0.1)
everybody = client()
everybody.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
everybody.sendto(b"to all", ("192.0.2.255", 9000))
everybody.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.1"))
everybody.sendto(b"to a group", ("233.252.0.1", 9000))
lite = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV = 136, 10
lite.setsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 8)
lite.sendto(b"only the header is checked", ("192.0.2.2", 9000))
"""


def record(lab):
    alice, bob = lab.pair()
    alice.run("ip address change 192.0.2.1/24 broadcast 192.0.2.255 dev eth0")
    bob.serve(["python3", "-c", SERVER], "udp", 9000)
    with lab.capture(alice, "eth0", "udp.pcap", "requests with and without answer, empty, without checksum, fragmented over "
                     "IPv4 and IPv6, port unreachable, broadcast, multicast, UDP-Lite"):
        alice.run(["python3", "-c", CLIENT])
