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

import gzip
import multiprocessing
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from expect import PREFERENCES, SECONDS_PER_FILE, CleanStream, json_lines, write_gzip

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
OVERRIDES = {"tcp.reassemble_out_of_order": "TRUE"}


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


class Expectation:
    """The messages of one file."""

    def __init__(self, name):
        self.name = name
        self.messages = []

    def packet(self, packet):
        number, ends = 0, ["", ""]
        for element in packet.findall("proto"):
            protocol = element.get("name")
            by_name = {field.get("name"): field.get("show") for field in element.iter("field")}
            if protocol == "frame":
                number = int(by_name["frame.number"])
            if protocol in ("ip", "ipv6"):
                ends = [by_name.get(f"{protocol}.src", ""), by_name.get(f"{protocol}.dst", "")]
            if protocol in ("tcp", "udp"):
                ports = [by_name.get(f"{protocol}.srcport", ""), by_name.get(f"{protocol}.dstport", "")]
                ends = [f"{address} {port}" for address, port in zip(ends, ports)]
            if protocol == "quic":
                return
            if protocol in ("tls", "dtls"):
                self.handshakes(number, ends, protocol, element)

    def handshakes(self, number, ends, protocol, element):
        for handshake in element.iter("field"):
            if handshake.get("name") != f"{protocol}.handshake":
                continue
            fields = list(leaves(handshake, f"{protocol}.handshake."))
            kind = KINDS.get(dict(fields).get("type"))
            if kind:
                self.messages.append({"n": number, "s": ends[0], "d": ends[1], "k": kind, "f": fields[1:]})


def tshark(path):
    types = "1,2,11"
    command = ["nice", "-n", "10", "tshark", "-2", "-n", "-r", str(path), "-T", "pdml"]
    command += ["-J", "frame ip ipv6 tcp udp quic tls dtls x509af"]
    command += ["-Y", f"tls.handshake.type in {{{types}}} || dtls.handshake.type in {{{types}}}"]
    for name, value in sorted((PREFERENCES | OVERRIDES).items()):
        command += ["-o", f"{name}:{value}"]
    return command


def expect(job):
    root, name, home = job
    expectation = Expectation(name)
    environment = {"HOME": home, "TZ": "UTC", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    command = ["timeout", str(SECONDS_PER_FILE), *tshark(root / name)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    try:
        for _, element in ElementTree.iterparse(CleanStream(process.stdout)):
            if element.tag == "packet":
                expectation.packet(element)
                element.clear()
    except ElementTree.ParseError:
        pass
    process.stdout.read()
    process.wait()
    return expectation


def files_with_tls(layers):
    """Names of files in which tshark found TLS or DTLS."""
    names, current = set(), ""
    with gzip.open(layers, "rt") as lines:
        for line in lines:
            columns = line.rstrip("\n").split("\t")
            if columns[0] == "F":
                current = columns[1]
            elif {"tls", "dtls"} & set(columns[0].split(":")):
                names.add(current)
    return sorted(names)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    root, folder = Path(sys.argv[1]).resolve(), Path(__file__).parent
    out = Path(sys.argv[2] if len(sys.argv) == 3 else folder)
    names = files_with_tls(folder / "layers.tsv.gz")
    with tempfile.TemporaryDirectory() as home, multiprocessing.Pool(3) as pool:
        expectations = list(pool.imap(expect, ((root, name, home) for name in names), chunksize=4))
    write_gzip(out / "tls.jsonl.gz", json_lines(expectations, lambda each: each.messages))


if __name__ == "__main__":
    main()
