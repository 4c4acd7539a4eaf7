#!/usr/bin/env bash
# What the gateway costs beside nginx and the provider itself: builds, runs, prints a table, writes JSON.
#
#   make bench                       every case, about 14 minutes
#   make bench ARGS=--quick          the main ones, about 3 minutes
#   make bench ARGS="--only stream"  cases whose name holds the word; "start", "memory" and "keys" are names too
#   BENCH_PEERS=1 make bench         beside LiteLLM from its registry too
#   make bench-scale                 cost by the number of keys, deployments and streams, into docs/performance.md
#   make bench-soak                  half an hour at a constant rate: what grows? (ARGS="--minutes 5")
#
# `make bench` needs nginx (Debian: apt-get install nginx-light), and measures on PostgreSQL too where there is a server. Ports on loopback are taken as they are free.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
LITELLM_VERSION=1.106.2

task=${1:?run, scale or soak}
shift
options=(--gateway "${CARGO_TARGET_DIR:-target}/release/trunkline")
case $task in
run)
  if ! PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v nginx >/dev/null; then
    echo "nginx is needed to compare with (Debian: apt-get install nginx-light)" >&2
    exit 1
  fi
  options+=(--json target/bench/result.json)
  if command -v pg_config >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    options+=(--postgres)
  else
    echo "without books in PostgreSQL (Debian: apt-get install postgresql)" >&2
  fi
  if [ -n "${BENCH_PEERS:-}" ]; then
    peer=target/bench/litellm
    [ -x "$peer/bin/python" ] || python3 -m venv "$peer"
    "$peer/bin/python" -m pip install --quiet --disable-pip-version-check "litellm[proxy]==$LITELLM_VERSION"
    options+=(--litellm "$PWD/$peer/bin/litellm")
  fi
  ;;
scale) options+=(--write docs/performance.md) ;;
esac
"$cargo" build --release --locked
"$cargo" build --release --locked --manifest-path bench/Cargo.toml --target-dir target/bench
# A gateway holds two sockets for each open stream, and this program one: 5,000 of them need room.
ulimit -n "$(ulimit -Hn)"
target/bench/release/trunkline-bench "$task" "${options[@]}" "$@"
if [ "$task" = run ]; then
  echo "figures in target/bench/result.json"
fi
