"""Starts the gateway for tests that talk to it from outside: on a free port of the loopback address, with a
directory of its own and nothing of the caller's environment, found by the address that it logs."""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

MASTER_KEY = "sk-master-of-the-sdk-tests-0123456789"
PATIENCE_SECS = 60


class Gateway:
    """A running gateway; a context manager that stops it and holds it to a clean exit."""

    def __init__(self, binary: str, config: str) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="trunkline-sdk-")
        self.home = Path(self._home.name)
        (self.home / "config.yaml").write_text(config)
        self._process = subprocess.Popen(
            [binary, "--config", "config.yaml", "--host", "127.0.0.1", "--port", "0"],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "TRUNKLINE_DATA_DIR": str(self.home / "data"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        address: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read_log, args=(address,))
        self._reader.start()
        found = address.get(timeout=PATIENCE_SECS)
        if found is None:
            raise RuntimeError("the gateway did not start:\n" + "\n".join(self.log))
        self.url = f"http://{found}"

    def _read_log(self, address: "queue.Queue[str | None]") -> None:
        for line in self._process.stderr:
            self.log.append(line.rstrip("\n"))
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("message") == "listening":
                address.put(entry["address"])
        address.put(None)

    @property
    def database(self) -> Path:
        return self.home / "trunkline.db"

    def stop(self) -> int:
        """Stops the process as an init system does and waits for it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=PATIENCE_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join()
        return code

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, kind, value, traceback) -> None:
        code = self.stop()
        errors = [line for line in self.log if '"level":"ERROR"' in line.replace(" ", "")]
        leaks = [line for line in self.log if MASTER_KEY in line]
        if kind is not None or code != 0:
            print("\n".join(["the gateway's log:", *self.log[-50:]]))
        self._home.cleanup()
        if kind is None and (code != 0 or errors or leaks):
            raise RuntimeError(f"exit code {code}\n" + "\n".join(errors + leaks))
