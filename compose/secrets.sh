#!/usr/bin/env bash
# Makes compose/.env with a key for the object store, unless there is one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [[ -e .env ]]; then
    echo "compose/.env is there already"
    exit
fi
umask 077
printf 'WEIR_S3_SECRET_KEY=%s\n' "$(head --bytes 24 /dev/urandom | base64 --wrap 0 | tr '+/' '-_')" >.env
echo "compose/.env has the key of the object store"
