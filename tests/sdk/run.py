"""Runs the SDK tests of both languages against the gateway, and counts them.

    run.py BINARY    against this gateway, in front of a scripted provider
    run.py --direct  against the scripted provider itself, which proves the tests

The last line says `N passed, N failed`. The environment variable NODE_MODULES names the folder with the Node SDK.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import provider
from harness import MASTER_KEY, Gateway

HERE = Path(__file__).resolve().parent

CONFIG = """\
model_list:
  - model_name: m
    litellm_params:
      model: openai/scripted-model
      api_base: {provider_url}/v1
      api_key: {provider_key}
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000002
general_settings:
  master_key: {master_key}
  database_url: sqlite:///trunkline.db
router_settings:
  num_retries: 0
  disable_cooldowns: true
"""


def run_python(environment: dict[str, str]) -> tuple[int, int]:
    process = subprocess.run(
        [sys.executable, str(HERE / "test_openai.py")],
        env=environment, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, check=False,
    )
    print(process.stdout)
    ran = re.search(r"^Ran (\d+) tests?", process.stdout, re.MULTILINE)
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", process.stdout))
    skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", process.stdout))
    if ran is None or (process.returncode != 0 and bad == 0):
        return 0, 1
    # A test with several failing subtests counts each of them.
    return max(int(ran[1]) - bad - skipped, 0), bad


def run_node(environment: dict[str, str]) -> tuple[int, int]:
    with tempfile.TemporaryDirectory(prefix="trunkline-node-") as folder:
        # Node looks for packages beside the file it runs.
        shutil.copy(HERE / "openai.test.mjs", folder)
        Path(folder, "node_modules").symlink_to(os.environ["NODE_MODULES"])
        process = subprocess.run(
            ["node", "--test", "--test-reporter=tap", "openai.test.mjs"],
            cwd=folder, env=environment, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, check=False,
        )
    counts = {name: int(n) for name, n in re.findall(r"^# (pass|fail) (\d+)", process.stdout, re.MULTILINE)}
    failed = counts.get("fail", 0)
    if process.returncode != 0 or "pass" not in counts:
        print(process.stdout)
        failed = max(failed, 1)
    return counts.get("pass", 0), failed


def main() -> int:
    direct = sys.argv[1:] == ["--direct"]
    if not direct and len(sys.argv) != 2:
        print(__doc__)
        return 2
    with ExitStack() as stack:
        scripted = stack.enter_context(provider.Provider())
        if direct:
            url, key = scripted.url, provider.KEY
        else:
            config = CONFIG.format(
                provider_url=scripted.url, provider_key=provider.KEY, master_key=MASTER_KEY
            )
            url, key = stack.enter_context(Gateway(sys.argv[1], config)).url, MASTER_KEY
        environment = {
            "PATH": os.environ["PATH"],
            "SDK_URL": url,
            "SDK_KEY": key,
            "SDK_DIRECT": "1" if direct else "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        results = [run_python(environment), run_node(environment)]
    passed = sum(passed for passed, _ in results)
    failed = sum(failed for _, failed in results)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and all(passed > 0 for passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
