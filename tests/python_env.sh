# Sourced by the test scripts.
#
# python_env FOLDER REQUIREMENTS: a Python environment with exactly these packages, made once and again when the list
# changes.

python_env() {
  local folder=$1 requirements=$2
  if [ -x "$folder/bin/python" ] && cmp -s "$requirements" "$folder/installed.txt"; then
    return 0
  fi
  rm -rf "$folder"
  python3 -m venv "$folder" || {
    echo "python3 with its venv module is needed (Debian: apt-get install python3-venv)" >&2
    return 1
  }
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" || return 1
  cp "$requirements" "$folder/installed.txt"
}
