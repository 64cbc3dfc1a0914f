#!/bin/sh
# Starts the processes of compose.yaml without containers, with the same truing.toml, until it is interrupted:
# Valkey or Redis, PostgreSQL, two processes that take webhooks, two that review, one that sweeps.
#
#   GITHUB_TOKEN=… GITHUB_WEBHOOK_SECRET=… contrib/compose/by-hand.sh FOLDER
#
# All data is in FOLDER, and is used again the next time. Variables:
#   TRUING                    the program [truing]
#   VALKEY                    the server of slots [valkey-server, else redis-server]
#   PORT                      the first of twelve ports [18080]
#   TRUING_…                  any key of the configuration, as in docs/reference/config.md
set -eu

problem() {
    echo "by-hand: $*" >&2
    exit 1
}

[ $# -eq 1 ] || problem "name a folder for the data: by-hand.sh FOLDER"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "$1/secrets" "$1/valkey" "$1/log"
folder=$(CDPATH='' cd -- "$1" && pwd)
truing=${TRUING:-truing}
port=${PORT:-18080}
command -v "$truing" >/dev/null || problem "cannot run '$truing': put truing on your PATH, or name it in TRUING"
valkey=${VALKEY:-$(command -v valkey-server || command -v redis-server)} ||
    problem "Valkey or Redis is needed: Debian's packages valkey-server and redis-server have it"

bin=
for candidate in /usr/lib/postgresql/*/bin; do
    [ -x "$candidate/initdb" ] && bin=$candidate
done
[ -n "$bin" ] || bin=$(pg_config --bindir 2>/dev/null) ||
    problem "PostgreSQL is needed: Debian's package postgresql has it"

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# A secret that nobody gave is made, once.
secret() {
    [ -s "$folder/secrets/$1" ] && [ -z "${2-}" ] && return
    (umask 077 && printf '%s\n' "${2:-$(od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n')}" >"$folder/secrets/$1")
}
secret valkey_password
secret postgres_password
secret marker_key
secret github_webhook_secret "${GITHUB_WEBHOOK_SECRET-}"
if [ -n "${GITHUB_TOKEN-}" ]; then
    secret github_token "$GITHUB_TOKEN"
fi
[ -s "$folder/secrets/github_token" ] || problem "set GITHUB_TOKEN; it is kept in $folder/secrets"

running=
servers=
stop() {
    trap - EXIT INT TERM
    # Those that work first, while their servers are still there.
    for pid in $running; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in $running; do wait "$pid" 2>/dev/null || true; done
    for pid in $servers; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in $servers; do wait "$pid" 2>/dev/null || true; done
    if [ -f "$folder/postgres/data/postmaster.pid" ]; then
        as_postgres "$bin/pg_ctl" -D "$folder/postgres/data" -m fast -w stop >/dev/null || true
    fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

(umask 077 && printf 'requirepass %s\n' "$(cat "$folder/secrets/valkey_password")" >"$folder/valkey/valkey.conf")
(cd "$folder/valkey" && exec "$valkey" valkey.conf --port "$((port + 10))" --bind 127.0.0.1 \
    --appendonly yes --appendfsync always --maxmemory-policy noeviction) >"$folder/log/valkey.log" 2>&1 &
servers=$!

if [ ! -d "$folder/postgres/data" ]; then
    mkdir -p "$folder/postgres"
    cp "$folder/secrets/postgres_password" "$folder/postgres/password"
    [ "$(id -u)" != 0 ] || chown -R postgres "$folder/postgres"
    (cd / && as_postgres "$bin/initdb" -D "$folder/postgres/data" -U truing -A scram-sha-256 \
        --pwfile="$folder/postgres/password" -E UTF8 --locale=C) >"$folder/log/initdb.log" 2>&1 ||
        problem "PostgreSQL cannot be set up: see $folder/log/initdb.log (its user must be able to reach the folder)"
    rm "$folder/postgres/password"
fi
options="-p $((port + 11)) -k '' -c listen_addresses=127.0.0.1 -c max_connections=200"
(cd / && as_postgres "$bin/pg_ctl" -D "$folder/postgres/data" -l "$folder/postgres/server.log" -o "$options" -w start) \
    >/dev/null || problem "PostgreSQL does not start: see $folder/postgres/server.log"

psql_truing() {
    PGPASSWORD=$(cat "$folder/secrets/postgres_password") "$bin/psql" -X -q -A -t -h 127.0.0.1 -p "$((port + 11))" \
        -U truing -d postgres -c "$1"
}
[ "$(psql_truing "SELECT 1 FROM pg_database WHERE datname = 'truing'")" = 1 ] ||
    psql_truing "CREATE DATABASE truing"

# As in the containers, but for where things are. What is set already stays.
: "${TRUING_STORE__URL:=valkey://127.0.0.1:$((port + 10))/0}"
: "${TRUING_STORE__RECORDS:=postgres://truing@127.0.0.1:$((port + 11))/truing?sslmode=disable}"
export TRUING_STORE__URL TRUING_STORE__RECORDS
export TRUING_STORE__PASSWORD__FILE="$folder/secrets/valkey_password"
export TRUING_STORE__RECORDS_PASSWORD__FILE="$folder/secrets/postgres_password"
export TRUING_FORGE__GITHUB__MARKER_KEY__FILE="$folder/secrets/marker_key"
export TRUING_FORGE__GITHUB__TOKEN__FILE="$folder/secrets/github_token"
export TRUING_FORGE__GITHUB__WEBHOOK_SECRET__FILE="$folder/secrets/github_webhook_secret"

number=0
for process in ingress-1 ingress-2 worker-1 worker-2 sweep; do
    role=${process%-[0-9]}
    listen=127.0.0.1:$((port + number))
    mkdir -p "$folder/$process"
    TRUING_STORE__FOLDER="$folder/$process" TRUING_SERVER__LISTEN="$listen" \
        TRUING_SERVER__METRICS_LISTEN="127.0.0.1:$((port + 5 + number))" \
        "$truing" --config "$here/truing.toml" serve --role "$role" >"$folder/log/$process.log" 2>&1 &
    running="$running $!"
    echo "$process: http://$listen/readyz, metrics at port $((port + 5 + number)), process $!"
    number=$((number + 1))
done
echo "logs: $folder/log; webhooks: http://127.0.0.1:$port/webhooks/github; Ctrl-C stops all"

# compose.yaml starts a process again that has ended; here it is told.
while :; do
    for pid in $running $servers; do
        kill -0 "$pid" 2>/dev/null || problem "process $pid has ended: see $folder/log"
    done
    sleep 1
done
