#!/usr/bin/env python3
"""Read every Parquet file below a folder with DuckDB, pandas and Polars, without options.

Usage: read_parquet.py FOLDER

The three must agree on the number of rows and on the kind of every column, and `ts` must be a
timestamp in UTC. One line a file; the exit code is 1 if anything differs, 2 if there are no files.
The Python that runs it must have duckdb, pandas, polars, pyarrow and pytz.
"""

import sys
from pathlib import Path

import duckdb
import pandas
import polars

# The kind of a column, by the first word of the type as DuckDB, pandas (over numpy) and Polars name it.
DUCKDB_KINDS = {"BIGINT": "int", "UINTEGER": "int", "INTEGER": "int", "BOOLEAN": "bool", "DOUBLE": "float",
                "VARCHAR": "text", "BLOB": "bytes", "STRUCT": "struct", "TIMESTAMP WITH TIME ZONE": "time"}
POLARS_KINDS = {"Int64": "int", "UInt32": "int", "Boolean": "bool", "Float64": "float", "String": "text",
                "Binary": "bytes", "Struct": "struct", "List": "list"}


def duckdb_kind(name):
    if name.endswith("[]"):
        return "list"
    return DUCKDB_KINDS.get(name.split("(")[0], name)


def polars_kind(dtype):
    if dtype == polars.Datetime("us", "UTC"):
        return "time"
    return POLARS_KINDS.get(str(dtype).split("(")[0], str(dtype))


def pandas_kind(series):
    """numpy has no nulls for whole numbers and no lists: such columns are floats or objects."""
    dtype = series.dtype
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return {"time"} if str(dtype.tz) == "UTC" else {f"time in {dtype.tz}"}
    if pandas.api.types.is_bool_dtype(dtype):
        return {"bool"}
    if pandas.api.types.is_integer_dtype(dtype):
        return {"int"}
    if pandas.api.types.is_float_dtype(dtype):
        return {"float", "int"}
    if pandas.api.types.is_string_dtype(dtype) and dtype != object:
        return {"text"}
    return {"text", "bytes", "bool", "list", "struct"}


def differences(path):
    """The number of rows, and what the three do not agree on."""
    relation = duckdb.read_parquet(str(path))
    values = ", ".join(f'count("{name}")' for name in relation.columns)
    by_duckdb = {name: duckdb_kind(str(kind)) for name, kind in zip(relation.columns, relation.types)}
    # Every column is read, not only the file's footer.
    rows, latest, *_ = relation.aggregate(f"count(*), epoch_us(max(ts)), {values}").fetchall()[0]
    relation.fetchall()
    by_polars = polars.read_parquet(path)
    by_pandas = pandas.read_parquet(path)
    found = []
    if not rows == len(by_polars) == len(by_pandas):
        found.append(f"rows: DuckDB {rows}, Polars {len(by_polars)}, pandas {len(by_pandas)}")
    if not list(by_duckdb) == by_polars.columns == list(by_pandas.columns):
        found.append("names of columns")
    if by_duckdb.get("ts") != "time":
        found.append(f"DuckDB reads `ts` as {by_duckdb.get('ts')}")
    for name, kind in by_duckdb.items():
        if polars_kind(by_polars.schema[name]) != kind:
            found.append(f"{name}: DuckDB {kind}, Polars {by_polars.schema[name]}")
        if kind not in pandas_kind(by_pandas[name]):
            found.append(f"{name}: DuckDB {kind}, pandas {by_pandas[name].dtype}")
    ts_us = by_polars["ts"].dt.epoch("us")
    if not (ts_us == by_polars["ts_ns"] // 1000).all():
        found.append("`ts` is not `ts_ns`")
    if latest != ts_us.max():
        found.append("DuckDB's `ts` is not Polars'")
    if by_pandas["ts"].max().as_unit("us").asm8.astype(int) != ts_us.max():
        found.append("pandas' `ts` is not Polars'")
    return rows, len(by_duckdb), found


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    paths = sorted(Path(sys.argv[1]).rglob("*.parquet"))
    if not paths:
        print(f"{sys.argv[1]}: no Parquet files", file=sys.stderr)
        sys.exit(2)
    failed = False
    for path in paths:
        rows, columns, found = differences(path)
        failed |= bool(found)
        print(f"{path}: {rows} rows, {columns} columns, {'; '.join(found) or 'the same everywhere'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
