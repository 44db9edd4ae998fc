#!/usr/bin/env python3
"""Write down which HTTP requests and responses tshark sees in a folder of captures, for
tests/tests/differential/ to compare with.

    python3 tests/differential/expect_http.py CAPTURES [OUT]

Reads every file in which layers.tsv.gz (see expect.py) has TCP, in two passes and with streams and bodies
reassembled, and writes http.jsonl.gz to OUT (by default the folder of this script). A line {"file": …} opens a
file; each further line is one request or response: {"n": frame, "s": sender, "d": receiver, "f": fields}, where
fields are [name, value] in wire order, names without the protocol. What tshark takes for HTTP without a first line
is left out, and informational responses (1xx, without 101), of which we keep only the count. The checked-in file was
made with tshark 4.0.17.
"""

import codecs
import gzip
import multiprocessing
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from expect import CLEAN, PREFERENCES, SECONDS_PER_FILE, json_lines, write_gzip

FIELDS = """
    request.method request.uri request.version host user_agent referer cookie response.code response.version
    response.phrase server location content_type content_encoding transfer_encoding content_length_header
""".split()
OVERRIDES = {
    "tcp.reassemble_out_of_order": "TRUE",
    "http.desegment_headers": "TRUE",
    "http.desegment_body": "TRUE",
    "http.dechunk_body": "TRUE",
}


class CleanText:
    """A byte stream without what an XML parser refuses: control bytes, and what is no UTF-8."""

    def __init__(self, stream):
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self, size):
        data = self.stream.read(size).translate(CLEAN)
        return self.decoder.decode(data, final=not data).encode("utf-8")


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
            if protocol == "tcp":
                ports = [by_name.get("tcp.srcport", ""), by_name.get("tcp.dstport", "")]
                ends = [f"{address} {port}" for address, port in zip(ends, ports)]
            if protocol == "http":
                self.message(number, ends, element)

    def message(self, number, ends, element):
        names = {f"http.{name}": name for name in FIELDS}
        found = [field for field in element.iter("field") if field.get("name") in names]
        fields = [[names[field.get("name")], field.get("show", "")] for field in found]
        code = dict(fields).get("response.code", "")
        is_interim = code.startswith("1") and code != "101"
        if not is_interim and (code or "request.method" in dict(fields)):
            self.messages.append({"n": number, "s": ends[0], "d": ends[1], "f": fields})


def tshark(path):
    command = ["nice", "-n", "10", "tshark", "-2", "-n", "-r", str(path), "-T", "pdml"]
    command += ["-J", "frame ip ipv6 tcp http", "-Y", "http && tcp"]
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
        for _, element in ElementTree.iterparse(CleanText(process.stdout)):
            if element.tag == "packet":
                expectation.packet(element)
                element.clear()
    except ElementTree.ParseError as error:
        # Files that are no captures have no output.
        if expectation.messages:
            sys.exit(f"{name}: {error}")
    process.stdout.read()
    process.wait()
    return expectation


def files_with_tcp(layers):
    """Names of files in which tshark found TCP."""
    names, current = set(), ""
    with gzip.open(layers, "rt") as lines:
        for line in lines:
            columns = line.rstrip("\n").split("\t")
            if columns[0] == "F":
                current = columns[1]
            elif "tcp" in columns[0].split(":"):
                names.add(current)
    return sorted(names)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    root = Path(sys.argv[1]).resolve()
    out = Path(sys.argv[2] if len(sys.argv) == 3 else Path(__file__).parent)
    names = files_with_tcp(Path(__file__).parent / "layers.tsv.gz")
    with tempfile.TemporaryDirectory() as home, multiprocessing.Pool(2) as pool:
        expectations = pool.map(expect, ((root, name, home) for name in names), chunksize=8)
    write_gzip(out / "http.jsonl.gz", json_lines(expectations, lambda each: each.messages))


if __name__ == "__main__":
    main()
