"""What expect_http.py, expect_ssh.py and expect_tls.py share: messages of streams as tshark sees them in two passes,
with those reassembled."""

import codecs
import gzip
import multiprocessing
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import namedtuple
from pathlib import Path

from expect import CLEAN, PREFERENCES, SECONDS_PER_FILE, json_lines, write_gzip

OVERRIDES = {"tcp.reassemble_out_of_order": "TRUE"}
FOLDER = Path(__file__).parent

# `carriers` are the protocols of which a file has one to be read at all, `shown` those tshark writes out, `filter`
# which packets. `messages` gives those of a packet, {"n": frame, "s": sender, "d": receiver, …}.
Plan = namedtuple("Plan", "carriers shown filter overrides messages out")
Expectation = namedtuple("Expectation", "name messages")


class CleanText:
    """A byte stream without what an XML parser refuses: control bytes, and what is no UTF-8."""

    def __init__(self, stream):
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self, size):
        data = self.stream.read(size).translate(CLEAN)
        return self.decoder.decode(data, final=not data).encode("utf-8")


def layers(packet):
    """Each protocol of a packet: where it is, as the beginning of a message, its name and its element."""
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
        yield {"n": number, "s": ends[0], "d": ends[1]}, protocol, element


def tshark(path, plan):
    command = ["nice", "-n", "10", "tshark", "-2", "-n", "-r", str(path), "-T", "pdml"]
    command += ["-J", plan.shown, "-Y", plan.filter]
    for name, value in sorted((PREFERENCES | OVERRIDES | plan.overrides).items()):
        command += ["-o", f"{name}:{value}"]
    return command


def expect(job):
    root, name, home, plan = job
    expectation = Expectation(name, [])
    environment = {"HOME": home, "TZ": "UTC", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    command = ["timeout", str(SECONDS_PER_FILE), *tshark(root / name, plan)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    try:
        for _, element in ElementTree.iterparse(CleanText(process.stdout)):
            if element.tag == "packet":
                expectation.messages.extend(plan.messages(element))
                element.clear()
    except ElementTree.ParseError as error:
        # Files that are no captures have no output.
        if expectation.messages:
            sys.exit(f"{name}: {error}")
    process.stdout.read()
    process.wait()
    return expectation


def files_with(carriers):
    """Names of files in which tshark found one of the protocols."""
    names, current = set(), ""
    with gzip.open(FOLDER / "layers.tsv.gz", "rt") as lines:
        for line in lines:
            columns = line.rstrip("\n").split("\t")
            if columns[0] == "F":
                current = columns[1]
            elif carriers & set(columns[0].split(":")):
                names.add(current)
    return sorted(names)


def main(usage, plan):
    if len(sys.argv) not in (2, 3):
        sys.exit(usage)
    root = Path(sys.argv[1]).resolve()
    out = Path(sys.argv[2] if len(sys.argv) == 3 else FOLDER)
    with tempfile.TemporaryDirectory() as home, multiprocessing.Pool(3) as pool:
        jobs = ((root, name, home, plan) for name in files_with(plan.carriers))
        expectations = list(pool.imap(expect, jobs, chunksize=4))
    write_gzip(out / plan.out, json_lines(expectations, lambda each: each.messages))
