"""Runs the SDK tests of both languages against the gateway, and counts them.

    run.py BINARY    against this gateway, in front of a scripted provider
    run.py --direct  against the scripted provider itself, which proves the tests

The last line says `N passed, N failed`. The environment variable NODE_MODULES names the folder with the Node SDKs,
CLAUDE_CODE the program of Claude Code.
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

#: The groups, by what the tests call them (`targets.py`), and their models.
GROUPS = {
    "m": "openai/scripted-model",
    "m-reasons": "openai/gpt-5-scripted",
    "claude": "anthropic/claude-haiku-4-5-20251001",
    "claude-sonnet-5-5": "anthropic/claude-sonnet-5-5",
    "claude-old": "anthropic/claude-3-haiku-20240307",
    "claude-opus-5-5": "openai/scripted-model",
}
DEPLOYMENT = """\
  - model_name: {group}
    litellm_params:
      model: {model}
      api_base: {provider_url}{version}
      api_key: {provider_key}
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000002
"""
SETTINGS = """\
general_settings:
  master_key: {master_key}
  database_url: sqlite:///trunkline.db
router_settings:
  num_retries: 0
  disable_cooldowns: true
"""
PYTHON_TESTS = [
    "test_provider.py",
    "test_openai.py",
    "test_openai_async.py",
    "test_anthropic.py",
    "test_anthropic_async.py",
    "test_claude_code.py",
]
NODE_TESTS = ["openai.test.mjs", "anthropic.test.mjs"]


def config(provider_url: str) -> str:
    """The gateway's config in front of the scripted provider."""
    deployments = (
        DEPLOYMENT.format(
            group=group,
            model=model,
            provider_url=provider_url,
            # Anthropic's addresses begin before the version.
            version="/v1" if model.startswith("openai/") else "",
            provider_key=provider.KEY,
        )
        for group, model in GROUPS.items()
    )
    return "model_list:\n" + "".join(deployments) + SETTINGS.format(master_key=MASTER_KEY)


def run_python(test: str, environment: dict[str, str]) -> tuple[int, int]:
    process = subprocess.run(
        [sys.executable, str(HERE / test)],
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


def run_node(test: str, environment: dict[str, str]) -> tuple[int, int]:
    with tempfile.TemporaryDirectory(prefix="trunkline-node-") as folder:
        # Node looks for packages beside the file it runs.
        for file in (test, "targets.mjs"):
            shutil.copy(HERE / file, folder)
        Path(folder, "node_modules").symlink_to(os.environ["NODE_MODULES"])
        process = subprocess.run(
            ["node", "--test", "--test-reporter=tap", test],
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
            gateway = stack.enter_context(Gateway(sys.argv[1], config(scripted.url)))
            url, key = gateway.url, MASTER_KEY
        environment = {
            "PATH": os.environ["PATH"],
            "SDK_URL": url,
            "SDK_KEY": key,
            "SDK_DIRECT": "1" if direct else "0",
            "CLAUDE_CODE": os.environ["CLAUDE_CODE"],
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        results = [run_python(test, environment) for test in PYTHON_TESTS]
        results += [run_node(test, environment) for test in NODE_TESTS]
    passed = sum(passed for passed, _ in results)
    failed = sum(failed for _, failed in results)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and all(passed > 0 for passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
