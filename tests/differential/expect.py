#!/usr/bin/env python3
"""Write down what tshark sees in a folder of captures, for tests/tests/differential/ to compare with.

    python3 tests/differential/expect.py CAPTURES [OUT]

Reads every file under CAPTURES once through `tshark -T pdml` and writes four files to OUT (by
default the folder of this script). They are sorted and carry no dates, so the same tshark over the
same captures gives the same bytes. The checked-in ones were made with tshark 4.0.17.

layers.tsv.gz     which protocols tshark found in which frame. A line `F <file> <packets> <note>`
                  opens a file; `note` is empty, or what tshark said when it could not read it all.
                  Each further line is `<frame.protocols> <frames>`, frames as ranges: `1-3,7`.
                  frame.protocols names every occurrence, outermost first, tunnelled ones too, and also
                  the headers quoted inside ICMP errors: whatever follows `icmp` or `icmpv6`. Counting
                  for each protocol the packets whose path names it gives what `tshark -z io,phs`
                  and Wireshark's statistics count; we leave out what is quoted.
messages.jsonl.gz every message of the datagram protocols, field by field. A line {"file": …} opens
                  a file; each further line is {"n": frame, "p": protocol, "t": what carries it, "f": fields},
                  for the DNS family also "q", "an", "ns" and "ar": the sections, each a list of
                  entries. Fields are [name, value] in wire order, names without the protocol.
                  Messages quoted inside ICMP errors are left out.
headers.jsonl.gz  the link, network and transport headers of the first packets of every file,
                  in the same form: {"n": frame, "h": [[protocol, fields], …]}. Quoted ones are left out.
quic.jsonl.gz     every QUIC packet with a long header, those that were decrypted with the TLS hellos in
                  them, in the same form: {"n": frame, "f": fields}, names with their protocol.

tshark runs with an empty HOME (no profile of the user's), TZ=UTC, no name resolution, and the
preferences below written out even where they are the defaults.
"""

import gzip
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

PREFERENCES = {
    "ip.defragment": "TRUE",
    "ipv6.defragment": "TRUE",
    "ip.check_checksum": "FALSE",
    "tcp.check_checksum": "FALSE",
    "udp.check_checksum": "FALSE",
    "tcp.desegment_tcp_streams": "TRUE",
    "tcp.reassemble_out_of_order": "FALSE",
    "tcp.relative_sequence_numbers": "TRUE",
    "udp.try_heuristic_first": "FALSE",
    "gtp.dissect_tpdu_as": "TPDU Heuristic",
    "dns.desegment_dns_messages": "TRUE",
}

DNS_FAMILY = {"dns", "mdns", "llmnr", "nbns"}
MESSAGES = DNS_FAMILY | {"ntp", "dhcp", "dhcpv6", "snmp", "syslog", "tftp"}
# The second names are those of UPDATE messages (RFC 2136).
SECTIONS = {
    "Queries": "q",
    "Zone": "q",
    "Answers": "an",
    "Prerequisites": "an",
    "Authoritative nameservers": "ns",
    "Updates": "ns",
    "Additional records": "ar",
}

# Headers of the first packets of each file only: those of all would take some 7 MB.
HEADER_PACKETS = 8
HEADERS = {
    "eth": "dst src type len",
    "vlan": "priority dei id etype len",
    "arp": "hw.type proto.type opcode src.hw_mac src.proto_ipv4 dst.hw_mac dst.proto_ipv4",
    "ip": "version hdr_len dsfield.dscp dsfield.ecn len id flags.df flags.mf frag_offset ttl proto checksum src dst",
    "ipv6": "tclass flow plen nxt hlim src dst",
    "icmp": "type code checksum ident seq",
    "icmpv6": "type code checksum echo.identifier echo.sequence_number nd.ns.target_address nd.na.target_address",
    "igmp": "version type maddr",
    "tcp": "srcport dstport seq_raw ack_raw hdr_len flags window_size_value checksum urgent_pointer len"
    " option_kind options.mss_val options.wscale.shift options.timestamp.tsval options.timestamp.tsecr",
    "udp": "srcport dstport length checksum",
    "sctp": "srcport dstport verification_tag checksum chunk_type chunk_length",
    "gre": "flags_and_version proto key sequence_number",
    "vxlan": "flags vni gbp",
    "geneve": "version proto_type vni",
    "gtp": "flags.version message length teid",
    "mpls": "label exp bottom ttl",
}
HEADERS = {protocol: names.split() for protocol, names in HEADERS.items()}

QUIC = """
    quic.version quic.long.packet_type quic.long.packet_type_v2 quic.dcid quic.scid quic.token_length quic.retry_token
    quic.supported_version quic.cc.error_code quic.cc.frame_type quic.cc.reason_phrase
    tls.handshake.type tls.handshake.extensions_server_name tls.handshake.extensions_alpn_str tls.handshake.ciphersuite
    tls.quic.parameter.type tls.quic.parameter.max_idle_timeout tls.quic.parameter.max_udp_payload_size
    tls.quic.parameter.initial_max_data tls.quic.parameter.initial_max_stream_data_bidi_local
    tls.quic.parameter.initial_max_stream_data_bidi_remote tls.quic.parameter.initial_max_stream_data_uni
    tls.quic.parameter.initial_max_streams_bidi tls.quic.parameter.initial_max_streams_uni
    tls.quic.parameter.ack_delay_exponent tls.quic.parameter.max_ack_delay
    tls.quic.parameter.active_connection_id_limit tls.quic.parameter.initial_source_connection_id
    tls.quic.parameter.max_datagram_frame_size tls.quic.parameter.google.user_agent
""".split()

# Shown as dates, which round: the wire's own 64 bits are kept.
AS_HEX = {"ntp.reftime", "ntp.org", "ntp.rec", "ntp.xmt"}

SECONDS_PER_FILE = 300
# XML 1.0 forbids these bytes; tshark writes some of them as they are.
CONTROL = bytes(byte for byte in range(0x20) if byte not in b"\t\n\r")
CLEAN = bytes.maketrans(CONTROL, b"?" * len(CONTROL))


class CleanStream:
    """A byte stream without what an XML parser refuses."""

    def __init__(self, stream):
        self.stream = stream

    def read(self, size):
        return self.stream.read(size).translate(CLEAN)


def value_of(field):
    name = field.get("name")
    return field.get("value", "") if name in AS_HEX else field.get("show", "")


def leaves(element, protocol):
    """[name, value] of every field under `element` that the message itself holds."""
    prefix = "dns." if protocol in DNS_FAMILY - {"nbns"} else protocol + "."
    found = []
    for field in element:
        name = field.get("name", "")
        if field.tag == "proto":
            # A relayed message of DHCPv6 is inside the relay's.
            found += leaves(field, protocol) if name == protocol else []
            continue
        if name == "_ws.expert" or field.get("hide") == "yes":
            continue
        # tshark's own findings (response times, matching frames) have no bytes.
        generated = field.get("size") == "0" and field.get("value") is None and field.get("show") != ""
        if name.startswith(prefix) and not generated:
            found.append([name.removeprefix(prefix), value_of(field)])
        found += leaves(field, protocol)
    return found


def message(number, protocol, carrier, element):
    sections = {}
    for field in list(element):
        section = SECTIONS.get(field.get("show"))
        if protocol in DNS_FAMILY and field.get("name") == "" and section:
            sections[section] = [leaves(entry, protocol) for entry in field]
            element.remove(field)
    return {"n": number, "p": protocol, "t": carrier, "f": leaves(element, protocol)} | sections


def header(protocol, element):
    wanted = {f"{protocol}.{name}": name for name in HEADERS[protocol]}
    found = []
    for field in element:
        # Fields of a header quoted inside this one lie below a nested `proto`.
        stack = [field] if field.tag == "field" else []
        while stack:
            field = stack.pop()
            if field.get("name") in wanted:
                found.append([wanted[field.get("name")], field.get("show", "")])
            stack.extend(child for child in reversed(field) if child.tag == "field")
    return [protocol, found]


def quic(number, element):
    """A packet with a long header."""
    found = [[field.get("name"), field.get("show", "")] for field in element.iter("field") if field.get("name") in QUIC]
    return {"n": number, "f": found} if any(name == "quic.version" for name, _ in found) else None


def ranges(numbers):
    runs = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


class Expectation:
    """What tshark says of one file."""

    def __init__(self, name):
        self.name = name
        self.packets = 0
        self.note = ""
        self.paths = {}
        self.messages = []
        self.headers = []
        self.quic = []

    def packet(self, packet):
        self.packets += 1
        number, path, carrier, headers = self.packets, "", "", []
        for element in packet.findall("proto"):
            protocol = element.get("name")
            if protocol == "frame":
                by_name = {field.get("name"): field.get("show") for field in element}
                number, path = int(by_name["frame.number"]), by_name["frame.protocols"]
            if protocol in ("udp", "tcp", "sctp"):
                carrier = protocol
            if protocol in MESSAGES:
                self.messages.append(message(number, protocol, carrier, element))
            if protocol == "quic" and (long := quic(number, element)):
                self.quic.append(long)
            if protocol in HEADERS and number <= HEADER_PACKETS:
                headers.append(header(protocol, element))
            if protocol in ("icmp", "icmpv6"):
                # What follows is quoted, if it is not the data of an echo.
                break
        self.paths.setdefault(path, []).append(number)
        if headers:
            self.headers.append({"n": number, "h": headers})


def tshark(path):
    command = ["nice", "-n", "10", "tshark", "-n", "-r", str(path), "-T", "pdml"]
    command += ["-J", " ".join(sorted({"frame", "quic", "tls"} | MESSAGES | set(HEADERS)))]
    for name, value in sorted(PREFERENCES.items()):
        command += ["-o", f"{name}:{value}"]
    return command


def expect(job):
    root, name, home = job
    expectation = Expectation(name)
    environment = {"HOME": home, "TZ": "UTC", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    command = ["timeout", str(SECONDS_PER_FILE), *tshark(root / name)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
        try:
            for _, element in ElementTree.iterparse(CleanStream(process.stdout)):
                if element.tag == "packet":
                    expectation.packet(element)
                    element.clear()
        except ElementTree.ParseError as error:
            expectation.note = f"pdml: {error}" if expectation.packets else ""
        process.stdout.read()
        status = process.wait()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").replace(str(root) + "/", "").splitlines()
    # Warnings of dissectors carry the time of day, and cost no packet.
    said = [line for line in map(str.strip, said) if line and not line.startswith(("Running as user", "** (tshark:"))]
    if status != 0 or said:
        expectation.note = " ".join([expectation.note, *said, f"(exit {status})"]).strip()
    return expectation


def write_gzip(path, lines):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        for line in lines:
            out.write(line.encode("utf-8") + b"\n")


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def layer_lines(expectations):
    for expectation in expectations:
        note = " ".join(expectation.note.split())
        yield f"F\t{expectation.name}\t{expectation.packets}\t{note}"
        for path in sorted(expectation.paths):
            yield f"{path}\t{ranges(expectation.paths[path])}"


def json_lines(expectations, rows_of):
    for expectation in expectations:
        rows = rows_of(expectation)
        if rows:
            yield compact({"file": expectation.name})
            yield from map(compact, rows)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    root = Path(sys.argv[1]).resolve()
    out = Path(sys.argv[2] if len(sys.argv) == 3 else Path(__file__).parent)
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != "INDEX.tsv")
    if not names:
        sys.exit(f"{root}: no files; give the folder of captures")
    with tempfile.TemporaryDirectory() as home, multiprocessing.Pool(2) as pool:
        expectations = []
        for done in pool.imap(expect, ((root, name, home) for name in names), chunksize=8):
            expectations.append(done)
            if len(expectations) % 100 == 0:
                print(f"{len(expectations)} of {len(names)} files", file=sys.stderr)
    write_gzip(out / "layers.tsv.gz", layer_lines(expectations))
    write_gzip(out / "messages.jsonl.gz", json_lines(expectations, lambda each: each.messages))
    write_gzip(out / "headers.jsonl.gz", json_lines(expectations, lambda each: each.headers))
    write_gzip(out / "quic.jsonl.gz", json_lines(expectations, lambda each: each.quic))


if __name__ == "__main__":
    main()
