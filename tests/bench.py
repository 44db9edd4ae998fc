#!/usr/bin/env python3
"""Measure Weir beside the limits of this machine, and print ratios.

Usage: bench.py WEIR LIMITS CAPTURE…

Each row is a whole process, measured in CPU seconds, user and system, of all its threads. Rows take turns,
ROUNDS times, and the least of each is shown: what else the machine does only ever adds. WEIR and LIMITS are
the programs `weir` and `limits` (tests/examples), built for release.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 5
HEADERS = "ethernet,ipv4,tcp,connection"


def rows(weir, limits, capture, out):
    def decode(*options):
        return [weir, "decode", capture, "--workers", "1", *options]

    def files(form):
        return decode("--records", "all", "--format", form, "--out", out / form)

    return [
        ("read(2) alone", [limits, "read", capture]),
        ("etherparse: headers found", [limits, "slice", capture]),
        ("etherparse and a flow map", [limits, "flows", capture]),
        ("weir: flows and decoders, no records", [limits, "engine", capture]),
        ("weir: default records", decode("--format", "null")),
        ("weir: default records and features", decode("--format", "null", "--records", "+features")),
        (f"weir: {HEADERS}", decode("--format", "null", "--records", HEADERS)),
        ("weir: all records", decode("--format", "null", "--records", "all")),
        ("weir: all records to Parquet", files("parquet")),
        ("weir: all records to CSV", files("csv")),
    ]


def run(command):
    """CPU seconds, peak memory in MB, what it said."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{text}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, text


def measure(weir, limits, capture):
    best = {}
    packets = None
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=capture.parent) as out:
            for name, command in rows(weir, limits, capture, Path(out)):
                seconds, memory, text = run(command)
                best[name] = min(best.get(name, (seconds, memory)), (seconds, memory))
                if command[1] == "decode":
                    packets = int(re.search(r"([\d,]+) packets, ", text)[1].replace(",", ""))
    return packets, best


def show(capture, packets, best):
    read, flows = best["read(2) alone"][0], best["etherparse and a flow map"][0]
    print(f"\n{capture.name}: {packets:,} packets, {capture.stat().st_size / 1e6:,.0f} MB")
    print(f"{'':38} {'CPU s':>7} {'M packets/s':>12} {'MB/s':>8} {'× read(2)':>10} {'× flow map':>11} {'peak MB':>8}")
    for name, (seconds, memory) in best.items():
        rate, bytes_rate = packets / seconds / 1e6, capture.stat().st_size / seconds / 1e6
        ratios = f"{seconds / read:10.1f} {seconds / flows:11.2f}"
        print(f"{name:38} {seconds:7.2f} {rate:12.2f} {bytes_rate:8.0f} {ratios} {memory:8.0f}")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    weir, limits, *captures = sys.argv[1:]
    for capture in map(Path, captures):
        show(capture, *measure(weir, limits, capture))


if __name__ == "__main__":
    main()
