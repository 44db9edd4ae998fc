#!/usr/bin/env bash
# Flink's SQL client, by the class that Flink's own script of that name starts, with a small cluster inside the process.
set -euo pipefail

FLINK_CONF_DIR=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/flink
export FLINK_CONF_DIR
exec java -Xmx768m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.io.tmpdir="${TMPDIR:-/tmp}" \
    --add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.util=ALL-UNNAMED \
    -cp "$FLINK_HOME/lib/*:$FLINK_HOME/opt/*" org.apache.flink.table.client.SqlClient embedded "$@"
