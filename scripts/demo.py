#!/usr/bin/env python3
"""Ask DuckDB about the records in a folder, as `make demo` does.

Usage: demo.py FOLDER
"""

import sys
from pathlib import Path

import duckdb

QUERIES = {
    "Which names do most hosts ask for, and how long do answers take?": """
        SELECT query AS name, count(*) AS answers, count(DISTINCT src_ip) AS hosts,
               round(median(response_time_ns) / 1e6, 2) AS median_ms, mode(rcode_name) AS result
        FROM 'dns.parquet' WHERE flavour = 'dns' AND response
        GROUP BY name ORDER BY hosts DESC, answers DESC, name LIMIT 6""",
    "Which connections last longest?": """
        SELECT src_ip AS originator, dst_ip AS responder, dst_port AS port, service, conn_state, history,
               round(duration_ns / 1e9, 2) AS seconds, orig_payload_bytes + resp_payload_bytes AS bytes
        FROM 'connection.parquet' WHERE ip_protocol_name = 'tcp'
        ORDER BY duration_ns DESC LIMIT 6""",
    "Which names led to the most bytes?": """
        SELECT name, count(*) AS connections, sum(resp_payload_bytes)::BIGINT AS bytes_received
        FROM 'connection.parquet' c
        JOIN (SELECT DISTINCT query AS name, src_ip, unnest(answers).address AS address FROM 'dns.parquet') d
          ON d.src_ip = c.src_ip AND d.address = c.dst_ip
        GROUP BY name ORDER BY bytes_received DESC, name LIMIT 6""",
}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    for question, query in QUERIES.items():
        query = query.replace("FROM '", f"FROM '{folder}/")
        print(f"\n{question}")
        duckdb.sql(query).show(max_width=120)


if __name__ == "__main__":
    main()
