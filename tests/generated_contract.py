#!/usr/bin/env python3
"""Build a contract of 150 record types with 20 fields each, and print how long that takes.

Usage: generated_contract.py [--release] [--test]

Copies the contract's package to a temporary folder, gives it generated messages in place of its own,
and times a build with the feature `columns`: clean but for the dependencies, and after a change in one
message. With --test it runs the contract's property tests over the generated messages as well, which
have every shape that the grammar allows.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TYPES = 150
FIELDS = 20
ROOT = Path(__file__).resolve().parent.parent
SCALARS = ["uint32", "int64", "bool", "string", "bytes", "double", "Color"]
HEADER = 'syntax = "proto3";\npackage weir.v1;\n\nimport "weir/v1/meta.proto";\nimport "weir/v1/options.proto";\n\n'
HEADER += 'option java_multiple_files = true;\noption java_package = "weir.v1";\n\n'


def message(number):
    """A record type: every scalar singly, optional and repeated, and two nested messages."""
    shapes = [f"{label}{kind}" for label in ("", "optional ", "repeated ") for kind in SCALARS]
    fields = [shapes[(number + at) % len(shapes)] for at in range(FIELDS - 2)]
    fields += [f"repeated Item{number}", f"Single{number}"]
    lines = [f"// Generated record {number}.", f"message Generated{number} {{"]
    lines += [f'  option (record) = {{ id: {1000 + number}, group: "generated", volume: VOLUME_LOW }};']
    lines += ["  Meta meta = 1;"]
    for at, field in enumerate(fields):
        lines += [f"  // Field {at}.", f"  {field} field_{at} = {at + 2};"]
    lines += ["}", ""]
    for name, inner in ((f"Item{number}", ["string", "uint32", "bytes"]), (f"Single{number}", [f"repeated Item{number}", "optional string"])):
        lines += [f"// Nested in record {number}.", f"message {name} {{"]
        for at, field in enumerate(inner):
            lines += [f"  // Field {at}.", f"  {field} part_{at} = {at + 1};"]
        lines += ["}", ""]
    return "\n".join(lines)


def enum():
    values = ["UNSPECIFIED", "RED", "GREEN", "DARK_BLUE"]
    lines = ["// A closed set.", "enum Color {"]
    for at, value in enumerate(values):
        lines += [f"  // Value {at}.", f"  COLOR_{value} = {at};"]
    return "\n".join(lines + ["}", ""])


def copy_package(to):
    for name in ("build", "src", "proto", "Cargo.lock", "rust-toolchain.toml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, to / name)
    lines = (ROOT / "Cargo.toml").read_text().splitlines()
    (to / "Cargo.toml").write_text("\n".join(line for line in lines if not line.startswith("members =")) + "\n")
    # The contract's own messages stay, since its tests name them.
    proto = to / "proto/weir/v1/records/generated.proto"
    proto.write_text(HEADER + enum() + "\n".join(message(number) for number in range(TYPES)))
    return proto


def cargo(folder, *words):
    start = time.monotonic()
    subprocess.run(["cargo", *words], cwd=folder, check=True)
    return time.monotonic() - start


def main():
    if not set(sys.argv[1:]) <= {"--release", "--test"}:
        sys.exit(__doc__)
    profile = ["--release"] if "--release" in sys.argv else []
    build = ["build", "--quiet", "--features", "columns", *profile]
    os.environ.setdefault("CARGO_BUILD_JOBS", "2")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ.setdefault("CARGO_TARGET_DIR", str(folder / "target"))
        proto = copy_package(folder)
        everything = cargo(folder, *build)
        cargo(folder, "clean", "--quiet", "--package", "weir-contract", *profile)
        clean = cargo(folder, *build)
        text = proto.read_text()
        proto.write_text(text.replace("  // Field 0.\n", "  // Added.\n  uint32 added = 99;\n  // Field 0.\n", 1))
        change = cargo(folder, *build)
        print(f"{TYPES} types of {FIELDS} fields, {os.environ['CARGO_BUILD_JOBS']} jobs, {' '.join(profile) or 'dev profile'}:")
        print(f"  with all dependencies       {everything:6.1f} s")
        print(f"  clean                       {clean:6.1f} s")
        print(f"  after a change in a message {change:6.1f} s")
        if "--test" in sys.argv:
            cargo(folder, "test", "--features", "columns", "--lib", *profile, "columns")


if __name__ == "__main__":
    main()
