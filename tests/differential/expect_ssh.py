#!/usr/bin/env python3
"""Write down how the two sides of SSH connections introduce themselves in a folder of captures, as tshark sees
it, for tests/tests/differential/ to compare with.

    python3 tests/differential/expect_ssh.py CAPTURES [OUT]

Reads every file in which layers.tsv.gz (see expect.py) has SSH, in two passes and with streams reassembled, and
writes ssh.jsonl.gz to OUT (by default the folder of this script). A line {"file": …} opens a file; each further
line is what a packet holds of identification lines and offers (SSH_MSG_KEXINIT): {"n": frame, "s": sender,
"d": receiver, "f": fields}, where fields are [name, value] in wire order, names without the protocol. The
checked-in file was made with tshark 4.0.17.
"""

from two_passes import Plan, layers, main

FIELDS = """
    protocol kex_algorithms server_host_key_algorithms
    encryption_algorithms_client_to_server encryption_algorithms_server_to_client
    mac_algorithms_client_to_server mac_algorithms_server_to_client
    compression_algorithms_client_to_server compression_algorithms_server_to_client
    first_kex_packet_follows kex.hassh kex.hasshserver
""".split()


def messages(packet):
    names = {f"ssh.{name}": name for name in FIELDS}
    for where, protocol, element in layers(packet):
        if protocol != "ssh":
            continue
        found = [field for field in element.iter("field") if field.get("name") in names]
        fields = [[names[field.get("name")], field.get("show", "")] for field in found]
        if fields:
            yield where | {"f": fields}


if __name__ == "__main__":
    main(__doc__, Plan({"ssh"}, "frame ip ipv6 tcp udp ssh", "ssh", {}, messages, "ssh.jsonl.gz"))
