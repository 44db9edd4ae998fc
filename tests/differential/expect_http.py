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

from two_passes import Plan, layers, main

FIELDS = """
    request.method request.uri request.version host user_agent referer cookie response.code response.version
    response.phrase server location content_type content_encoding transfer_encoding content_length_header
""".split()
OVERRIDES = {"http.desegment_headers": "TRUE", "http.desegment_body": "TRUE", "http.dechunk_body": "TRUE"}


def messages(packet):
    names = {f"http.{name}": name for name in FIELDS}
    for where, protocol, element in layers(packet):
        if protocol != "http":
            continue
        found = [field for field in element.iter("field") if field.get("name") in names]
        fields = [[names[field.get("name")], field.get("show", "")] for field in found]
        code = dict(fields).get("response.code", "")
        is_interim = code.startswith("1") and code != "101"
        if not is_interim and (code or "request.method" in dict(fields)):
            yield where | {"f": fields}


if __name__ == "__main__":
    main(__doc__, Plan({"tcp"}, "frame ip ipv6 tcp http", "http && tcp", OVERRIDES, messages, "http.jsonl.gz"))
