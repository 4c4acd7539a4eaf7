#!/usr/bin/env bash
# Every test of the project. Goes on after a failure, so that one run shows all of them; the last line counts.
set -uo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
logs=target/test-logs
mkdir -p "$logs"
passed=0
failed=0
failed_steps=()

# Adds up what the runners say in a log: nextest's summary, the standard harness's result lines, our own last line.
count() {
  local log=$1 said
  said=$(sed -E 's/\x1b\[[0-9;]*m//g' "$log" |
    grep -E '^ +Summary |^test result: |^[0-9]+ passed, [0-9]+ failed$' || true)
  step_passed=$(grep -oE '[0-9]+ passed' <<<"$said" | awk '{ n += $1 } END { print n + 0 }')
  step_failed=$(grep -oE '[0-9]+ (failed|timed out)' <<<"$said" | awk '{ n += $1 } END { print n + 0 }')
}

step() {
  local name=$1
  shift
  echo "== $name"
  local log="$logs/$name.log"
  "$@" 2>&1 | tee "$log"
  local code=${PIPESTATUS[0]}
  count "$log"
  if [ "$code" -ne 0 ] && [ "$step_failed" -eq 0 ]; then
    step_failed=1
  fi
  if [ "$step_failed" -ne 0 ]; then
    failed_steps+=("$name")
  fi
  passed=$((passed + step_passed))
  failed=$((failed + step_failed))
}

rust_tests() {
  if "$cargo" nextest --version >/dev/null 2>&1; then
    "$cargo" nextest run --workspace --locked --no-fail-fast --status-level fail --final-status-level fail
  else
    "$cargo" test --workspace --locked --no-fail-fast --lib --bins --tests
  fi
}

# Links that lead nowhere, and the examples.
docs() {
  RUSTDOCFLAGS="-D warnings" "$cargo" doc --quiet --no-deps --workspace --document-private-items --locked || return 1
  "$cargo" test --workspace --locked --doc
}

fuzz_targets_build() {
  "$cargo" check --quiet --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz
}

# node_env FOLDER PACKAGE: a folder with exactly these npm packages, made once and again when the list changes.
node_env() {
  local folder=$1 package=$2
  if cmp -s "$package" "$folder/installed.json"; then
    return 0
  fi
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$package" "$folder/package.json"
  (cd "$folder" && npm install --no-audit --no-fund --no-package-lock --omit=peer --loglevel=error) || return 1
  cp "$package" "$folder/installed.json"
}

sdk_tests() {
  local folder=target/sdk
  . tests/python_env.sh
  python_env "$folder/python" tests/sdk/requirements.txt || return 1
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "node and npm are needed (Debian: apt-get install nodejs npm)" >&2
    return 1
  fi
  if ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; then
    echo "Anthropic's SDK needs Node 20 or later, this is $(node --version)" >&2
    return 1
  fi
  node_env "$folder/node" tests/sdk/package.json || return 1
  node_env "$folder/claude-code" tests/sdk/claude_code/package.json || return 1
  "$cargo" build --locked || return 1
  NODE_MODULES="$PWD/$folder/node/node_modules" CLAUDE_CODE="$PWD/$folder/claude-code/node_modules/.bin/claude" \
    PYTHONDONTWRITEBYTECODE=1 "$folder/python/bin/python" tests/sdk/run.py "$PWD/target/debug/trunkline"
}

step format "$cargo" fmt --all --check
step clippy "$cargo" clippy --workspace --all-targets --locked -- -D warnings
step rust rust_tests
step docs docs
if [ -f tests/fuzz/Cargo.toml ]; then
  step fuzz fuzz_targets_build
fi
step sdk sdk_tests

if [ "${#failed_steps[@]}" -ne 0 ]; then
  echo "failed: ${failed_steps[*]} (logs in $logs)"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
