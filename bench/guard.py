"""Guards what every request costs, without a clock: instructions of the hot parts under callgrind, and system calls of the
whole server under strace. Both are compared with `bench/guard/budget.json`.

    make guard            compare
    make guard BLESS=1    write the figures of this machine into the budget

Needs valgrind and strace (Debian packages of those names). A figure above its budget by more than the tolerance fails; one
far below it is told, so that the budget can follow. Memory routines differ between processors, which the tolerance allows for.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
BUDGET = BENCH / "guard" / "budget.json"
CARGO = os.environ.get("CARGO", "cargo")
RUNS = 1000
# Under strace each system call stops the server twice.
TRACED = 200
KEY = "sk-guard-0123456789abcdef"
# Of these there is a whole number in each request. How often the event loop waits and is woken depends on who is faster, and
# when the ledger ships on the clock: all calls together have a wide tolerance.
CALLS = ["recvfrom", "sendto"]
TOLERANCE = {"instructions": 0.05, "system_calls": 0.05, "system_calls_in_all": 0.3}


def build(manifest, *options):
    target = ROOT / "target" / "guard"
    command = [CARGO, "build", "--quiet", "--locked", "--manifest-path", manifest, "--target-dir", target, *options]
    subprocess.run(command, check=True)
    return target


def instructions():
    """Instructions per call of every `measured_` function, what it calls included."""
    program = build(BENCH / "guard" / "Cargo.toml", "--release") / "release" / "trunkline-guard"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--error-exitcode=1", program]
        subprocess.run(command, check=True, capture_output=True)
        annotate = ["callgrind_annotate", "--inclusive=yes", "--threshold=100", out]
        text = subprocess.run(annotate, check=True, capture_output=True, text=True).stdout
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*([\d,]+) .*:trunkline_guard::measured_(\w+)", line)
        if match:
            count = int(match[1].replace(",", ""))
            # A function has a line for each file that was inlined into it; the largest holds them all.
            found[match[2]] = max(found.get(match[2], 0), count)
    return {name: round(count / RUNS) for name, count in sorted(found.items())}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port):
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port}")


def ask(connection, message):
    """One request and its answer, each in one piece."""
    connection.sendall(message)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, body = answer.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"a request failed: {answer[:500]}")
    length = int(re.search(rb"content-length: (\d+)", head, re.I)[1])
    while len(body) < length:
        body += connection.recv(65536)


def system_calls():
    """System calls per request of the whole server, one request after the other on one connection."""
    mock = build(BENCH / "Cargo.toml") / "debug" / "trunkline-bench"
    subprocess.run([CARGO, "build", "--quiet", "--locked"], check=True, cwd=ROOT)
    gateway = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "trunkline"
    provider_port, port = free_port(), free_port()
    started = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(
            "model_list:\n"
            "  - model_name: chat\n"
            f"    litellm_params: {{model: openai/gpt-4o-mini, api_base: 'http://127.0.0.1:{provider_port}/now/v1', api_key: sk-x}}\n"
            f"general_settings: {{master_key: {KEY}, database_url: 'sqlite://{folder}/guard.db'}}\n"
        )
        counts = Path(folder) / "strace"
        try:
            started.append(subprocess.Popen([mock, "mock", str(provider_port)]))
            options = ["--config", config, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
            server = subprocess.Popen(
                [gateway, *options],
                env={**os.environ, "TRUNKLINE_DATA_DIR": folder},
                cwd=folder,
                stderr=subprocess.DEVNULL,
            )
            started.append(server)
            wait_for(provider_port)
            wait_for(port)
            limits = json.dumps({"user_id": "guard", "max_budget": 1000, "rpm_limit": 10**8, "tpm_limit": 10**11})
            url = f"http://127.0.0.1:{port}/key/generate"
            request = urllib.request.Request(url, limits.encode(), {"Authorization": f"Bearer {KEY}"})
            with urllib.request.urlopen(request) as answer:
                key = json.load(answer)["key"]
            body = json.dumps({"model": "chat", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]})
            message = (
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: guard\r\nauthorization: Bearer {key}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
            ).encode()
            with socket.create_connection(("127.0.0.1", port)) as connection:
                for _ in range(50):
                    ask(connection, message)
                trace = ["strace", "-c", "-f", "-p", str(server.pid), "-o", counts]
                tracer = subprocess.Popen(trace, stderr=subprocess.DEVNULL)
                started.append(tracer)
                time.sleep(1)
                for _ in range(TRACED):
                    ask(connection, message)
                tracer.send_signal(2)
                tracer.wait()
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()
        found, total = {}, 0
        for line in counts.read_text().splitlines():
            fields = line.split()
            # % time, seconds, usecs/call, calls, [errors,] syscall
            if len(fields) >= 5 and fields[3].isdigit():
                found[fields[-1]] = int(fields[3])
                total += int(fields[3]) if fields[-1] != "total" else 0
    each = {name: round(found.get(name, 0) / TRACED, 2) for name in CALLS}
    return each, {"all": round(total / TRACED, 2)}


def main():
    counted = instructions()
    each, in_all = system_calls()
    measured = {"instructions": counted, "system_calls": each, "system_calls_in_all": in_all}
    if os.environ.get("BLESS"):
        budget = {"tolerance": TOLERANCE, **measured}
        BUDGET.write_text(json.dumps(budget, indent=2) + "\n")
    budget = json.loads(BUDGET.read_text())
    passed = failed = 0
    for kind, figures in measured.items():
        tolerance = budget["tolerance"][kind]
        for name in sorted(set(figures) | set(budget[kind])):
            allowed, is_now = budget[kind].get(name), figures.get(name)
            if allowed is None or is_now is None:
                verdict, good = "not measured" if is_now is None else "has no budget", False
            else:
                good = is_now <= allowed * (1 + tolerance)
                verdict = "" if good else "OVER BUDGET"
                if is_now < allowed * (1 - 2 * tolerance):
                    verdict = "far below its budget: make guard BLESS=1"
            passed, failed = passed + good, failed + (not good)
            print(f"{kind:20} {name:18} {is_now!s:>9}  budget {allowed!s:>9}  {verdict}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
