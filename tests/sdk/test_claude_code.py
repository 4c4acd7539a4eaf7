"""Claude Code, Anthropic's command line client, against a base URL: one prompt without a terminal, which calls a tool
and tells its result, for every kind of target. Run by run.py, which sets the variables.

It runs with a home of its own and its telemetry and updates off, and talks to the base URL only."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from targets import CLAUDE_NAME_ON_OPENAI, DIRECT, KEY, NEW_CLAUDE, OPENAI, URL

PATIENCE_SECS = 60


class OnClaude(unittest.TestCase):
    model = NEW_CLAUDE

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="trunkline-claude-code-")
        self.addCleanup(folder.cleanup)
        self.home, self.work = Path(folder.name, "home"), Path(folder.name, "work")
        self.home.mkdir()
        self.work.mkdir()

    def ask(self, prompt: str, tool: str, **credentials: str) -> dict:
        """What Claude Code prints of its only answer."""
        process = subprocess.run(
            [os.environ["CLAUDE_CODE"], "-p", prompt, "--output-format", "json", "--allowedTools", tool],
            cwd=self.work,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "ANTHROPIC_BASE_URL": URL,
                "ANTHROPIC_MODEL": self.model,
                "ANTHROPIC_DEFAULT_HAIKU_MODEL": self.model,
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CODE_MAX_RETRIES": "0",
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_ERROR_REPORTING": "1",
                "DISABLE_TELEMETRY": "1",
                **credentials,
            },
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECS, check=False,
        )
        self.assertTrue(process.stdout.startswith("{"), process.stdout + process.stderr)
        return json.loads(process.stdout)

    def test_a_file_is_read_and_told(self) -> None:
        note = self.work / "note.txt"
        note.write_text("The word is Grünkohl.\n")
        order = json.dumps({"file_path": str(note)})
        answer = self.ask(f"use Read with {order}", "Read", ANTHROPIC_AUTH_TOKEN=KEY)
        self.assertFalse(answer["is_error"], answer)
        self.assertTrue(answer["result"].startswith("It said: "), answer["result"])
        self.assertIn("The word is Grünkohl.", answer["result"])
        # Two turns, each counted once.
        self.assertEqual((answer["num_turns"], answer["usage"]["input_tokens"]), (2, 22))
        self.assertEqual(answer["usage"]["output_tokens"], 14)

    def test_a_command_is_run_and_told(self) -> None:
        order = json.dumps({"command": "echo $((6 * 7)) > sum && cat sum", "description": "Multiplies"})
        answer = self.ask(f"use Bash with {order}", "Bash", ANTHROPIC_API_KEY=KEY)
        self.assertFalse(answer["is_error"], answer)
        self.assertEqual(answer["result"].strip(), "It said: 42")
        self.assertEqual((self.work / "sum").read_text(), "42\n")

    def test_a_wrong_key_is_told_as_one(self) -> None:
        answer = self.ask("Greet me.", "Read", ANTHROPIC_API_KEY="sk-wrong-key-0123456789")
        self.assertTrue(answer["is_error"], answer)
        self.assertEqual(answer["api_error_status"], 401)


@unittest.skipIf(DIRECT, "the provider of this model speaks another dialect")
class OnOpenAi(OnClaude):
    model = OPENAI


@unittest.skipIf(DIRECT, "a promise of the gateway")
class OnOpenAiUnderAnAnthropicName(OnClaude):
    """Claude Code asks a model that it knows for more than one that it does not."""

    model = CLAUDE_NAME_ON_OPENAI


if __name__ == "__main__":
    unittest.main(verbosity=1)
