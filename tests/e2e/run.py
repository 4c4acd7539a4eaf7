"""Runs the end-to-end tests: a real model behind its own server, the gateway in front of it, the SDK before both.

    run.py BINARY MODEL_FILE

The last line says `N passed, N failed`.
"""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "sdk"))

from harness import MASTER_KEY, PATIENCE_SECS, Gateway  # noqa: E402 (found through the line above)

CONFIG = """\
model_list:
  - model_name: gemma
    litellm_params:
      model: openai/gemma
      api_base: {url}/v1
      api_key: not-needed
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000002
general_settings:
  master_key: {master_key}
  database_url: sqlite:///trunkline.db
"""


class ModelServer:
    """The model's server as a context manager: it ends when its standard input does."""

    def __init__(self, model_file: str, log: Path) -> None:
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "model_server.py"), model_file],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )
        for line in self._process.stdout:
            if line.startswith("address "):
                self.url = line.split()[1]
                break
        else:
            raise RuntimeError(f"the model server did not start: see {log}")
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECS
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except urllib.error.URLError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def __enter__(self) -> "ModelServer":
        return self

    def __exit__(self, *_reason) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(timeout=PATIENCE_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    binary, model_file = sys.argv[1:]
    log = Path(model_file).with_suffix(".log")
    with ModelServer(model_file, log) as model:
        with Gateway(binary, CONFIG.format(url=model.url, master_key=MASTER_KEY)) as gateway:
            process = subprocess.run(
                [sys.executable, str(HERE / "test_model.py")],
                env={
                    "PATH": os.environ["PATH"],
                    "E2E_MODEL_URL": model.url,
                    "E2E_GATEWAY_URL": gateway.url,
                    "E2E_GATEWAY_KEY": MASTER_KEY,
                    "E2E_DATABASE": str(gateway.database),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, check=False,
            )
    print(process.stdout)
    ran = re.search(r"^Ran (\d+) tests?", process.stdout, re.MULTILINE)
    failed = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", process.stdout))
    if process.returncode != 0:
        failed = max(failed, 1)
    passed = max(int(ran[1]) - failed, 0) if ran else 0
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
