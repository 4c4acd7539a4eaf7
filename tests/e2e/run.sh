#!/usr/bin/env bash
# A real small language model behind the gateway, and the official SDK before it. What is needed is installed once, in
# target/e2e (about 600 MB with the model).
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=target/e2e
mkdir -p "$folder"
. tests/python_env.sh
python_env "$folder/python" tests/e2e/requirements.txt
"${CARGO:-cargo}" build --locked
PYTHONDONTWRITEBYTECODE=1 "$folder/python/bin/python" tests/e2e/run.py \
  "$PWD/target/debug/trunkline" "$PWD/$folder/model.gguf"
