#!/usr/bin/env python3
"""Read every Parquet file below a folder with Spark, without options.

Usage: read_parquet_spark.py FOLDER

Spark must read every value, see `ts` as a timestamp, and count as many rows as pyarrow does. One line a
file; the exit code is 1 if anything differs, 2 if there are no files. The Python that runs it must have
pyspark and pyarrow; Java 17 must be installed.
"""

import sys
from pathlib import Path

import pyarrow.parquet
from pyspark.sql import SparkSession


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    paths = sorted(Path(sys.argv[1]).rglob("*.parquet"))
    if not paths:
        print(f"{sys.argv[1]}: no Parquet files", file=sys.stderr)
        sys.exit(2)
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    failed = False
    for path in paths:
        found = []
        frame = session.read.parquet(str(path))
        # Every value is decoded, not only counted.
        rows = sum(1 for _ in frame.toLocalIterator())
        expected = pyarrow.parquet.read_metadata(path).num_rows
        if rows != expected:
            found.append(f"rows: Spark {rows}, pyarrow {expected}")
        kinds = dict(frame.dtypes)
        if kinds.get("ts") != "timestamp":
            found.append(f"Spark reads `ts` as {kinds.get('ts')}")
        for name, kind in kinds.items():
            if "decimal" in kind:
                found.append(f"Spark reads `{name}` as {kind}")
        failed |= bool(found)
        print(f"{path}: {rows} rows, {len(kinds)} columns, {'; '.join(found) or 'as expected'}", flush=True)
    session.stop()
    sys.exit(failed)


if __name__ == "__main__":
    main()
