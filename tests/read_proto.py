#!/usr/bin/env python3
"""Read the first record of every protobuf file below a folder with protoc.

Usage: read_proto.py WEIR FOLDER

WEIR is the binary: it exports the descriptor set, and names the message of a record type. Every field of
the record must be known to the descriptors, and the record must begin with its Meta. The exit code is 1
if anything differs, 2 if there are no files.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

UNKNOWN_FIELD = re.compile(r"^\s*\d+[: ]", re.MULTILINE)


def first_record(encoded):
    """The first message of a file: its length as a varint, and so many bytes."""
    length = shift = at = 0
    while True:
        byte = encoded[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return encoded[at : at + length]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    weir, folder = sys.argv[1], Path(sys.argv[2])
    paths = sorted(folder.rglob("*.pb"))
    if not paths:
        print(f"{folder}: no protobuf files", file=sys.stderr)
        sys.exit(2)
    failed = 0
    with tempfile.NamedTemporaryFile() as descriptors:
        descriptors.write(subprocess.run([weir, "schema", "export", "descriptor"], check=True, stdout=subprocess.PIPE).stdout)
        descriptors.flush()
        for path in paths:
            about = subprocess.run([weir, "records", path.stem], check=True, stdout=subprocess.PIPE, text=True).stdout
            message = re.search(r"Message:\s+(\w+)\.", about).group(1)
            command = ["protoc", f"--descriptor_set_in={descriptors.name}", "--decode", f"weir.v1.{message}"]
            read = subprocess.run(command, input=first_record(path.read_bytes()), capture_output=True)
            text = read.stdout.decode()
            if read.returncode != 0 or not text.startswith("meta {") or UNKNOWN_FIELD.search(text):
                failed += 1
                print(f"{path}: protoc does not read a {message}: {read.stderr.decode()}{text}")
    print(f"protoc read a record of {len(paths) - failed} of {len(paths)} types")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
