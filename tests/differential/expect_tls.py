#!/usr/bin/env python3
"""Write down which hellos and certificates tshark sees in a folder of captures, for
tests/tests/differential/ to compare with.

    python3 tests/differential/expect_tls.py CAPTURES [OUT]

Reads every file in which layers.tsv.gz (see expect.py) has TLS or DTLS, in two passes and with streams
reassembled, and writes tls.jsonl.gz to OUT (by default the folder of this script). A line {"file": …} opens a
file; each further line is one message: {"n": frame, "s": sender, "d": receiver, "k": kind, "f": fields}, where
`kind` is `client_hello`, `server_hello` or `certificate`, and fields are [name, value] in wire order, names
without the protocol. What QUIC carries is left out. The checked-in file was made with tshark 4.0.17.
"""

from two_passes import Plan, layers, main

KINDS = {"1": "client_hello", "2": "server_hello", "11": "certificate"}
FIELDS = """
    type version random session_id cookie extensions.cookie ciphersuite comp_method extension.type
    extensions_server_name extensions_alpn_str ja3 ja3_full ja3s ja3s_full
""".split()
# These occur in several extensions, of which one is compared, in drafts under another number.
OF_EXTENSION = {
    "extensions_supported_group": {"10"},
    "extensions_ec_point_format": {"11"},
    "sig_hash_alg": {"13"},
    "extensions.supported_version": {"43"},
    "extensions_key_share_group": {"40", "51"},
    "extensions_key_share_selected_group": {"40", "51"},
}
SHOWN = "frame ip ipv6 tcp udp quic tls dtls x509af"
TYPES = ",".join(KINDS)
FILTER = f"tls.handshake.type in {{{TYPES}}} || dtls.handshake.type in {{{TYPES}}}"


def leaves(element, prefix, extension=""):
    """[name, value] of the fields of a message that are compared, each with the extension it is in."""
    for field in element:
        if field.get("name") == f"{prefix}extension.type":
            extension = field.get("show", "")
    for field in element:
        name = field.get("name", "")
        short = name.removeprefix(prefix)
        if name != short and (short in FIELDS or extension in OF_EXTENSION.get(short, ())):
            yield [short, field.get("show", "")]
        if name == "x509af.serialNumber":
            yield ["serial", field.get("value", "")]
        yield from leaves(field, prefix, extension)


def messages(packet):
    for where, protocol, element in layers(packet):
        if protocol == "quic":
            return
        if protocol not in ("tls", "dtls"):
            continue
        for handshake in element.iter("field"):
            if handshake.get("name") != f"{protocol}.handshake":
                continue
            fields = list(leaves(handshake, f"{protocol}.handshake."))
            kind = KINDS.get(dict(fields).get("type"))
            if kind:
                yield where | {"k": kind, "f": fields[1:]}


if __name__ == "__main__":
    main(__doc__, Plan({"tls", "dtls"}, SHOWN, FILTER, {}, messages, "tls.jsonl.gz"))
