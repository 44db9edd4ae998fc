"""TLS and DTLS between OpenSSL's client and server: one connection for each way a handshake can go."""

CERTIFICATES = """set -e
new() { openssl req -x509 -newkey "$@" -nodes -days 36500 -sha256 2>/dev/null; }
new ec -pkeyopt ec_paramgen_curve:P-384 -keyout root.key -out root.pem -subj '/C=XX/O=Example, Inc./CN=Example Root'
signed() {
    new "$1" $2 -keyout "$3.key" -out "$3.pem" -CA root.pem -CAkey root.key -subj "$4" -addext "$5" \\
        -addext basicConstraints=critical,CA:FALSE
}
signed ec '-pkeyopt ec_paramgen_curve:P-256' server '/C=XX/O=Example, Inc./CN=www.example.org' \\
    'subjectAltName=DNS:www.example.org,DNS:example.org,IP:192.0.2.2,IP:2001:db8::2,URI:https://example.org/'
signed rsa:2048 '' client '/C=XX/CN=alice/emailAddress=alice@example.org' extendedKeyUsage=clientAuth
"""

SERVER = "openssl s_server -quiet -cert server.pem -key server.key -chainCAfile root.pem -accept"

CLIENTS = """set -e
client() { openssl s_client -CAfile root.pem "$@" </dev/null >/dev/null 2>&1 || true; }
www="-connect 192.0.2.2:443 -servername www.example.org"
client $www -alpn h2,http/1.1
client $www -alpn http/1.1 -tls1_2 -sess_out session
client $www -alpn http/1.1 -tls1_2 -sess_in session
client -connect '[2001:db8::2]:443' -tls1_2 -no_ticket -status
client -connect 192.0.2.2:444 -tls1_2 -cert client.pem -key client.key
client -connect 192.0.2.2:8443 -groups X25519:P-384
client $www -tls1_2 -cipher AES128-SHA
client -connect 192.0.2.2:446 -dtls1_2 -mtu 300
"""


def record(lab):
    alice, bob = lab.pair()
    bob.run(CERTIFICATES)
    for name in ("root.pem", "client.pem", "client.key"):
        alice.file(name, (bob.folder / name).read_text())
    bob.serve(f"{SERVER} 443 -alpn h2,http/1.1", "tcp", 443)
    bob.serve(f"{SERVER} 444 -Verify 1 -CAfile root.pem", "tcp", 444)
    bob.serve(f"{SERVER} 8443 -groups P-384", "tcp", 8443)
    bob.serve(f"{SERVER} 446 -dtls1_2 -listen -mtu 300", "udp", 446)
    with lab.capture(alice, "eth0", "tls.pcap", "TLS 1.3 with ALPN; TLS 1.2, resumed by a ticket, over IPv6, with a "
                     "client's certificate; a retry for another group; a refusal; DTLS 1.2 with a cookie and fragments",
                     "openssl"):
        alice.run(CLIENTS)
