"""Where the tests of the SDKs go, and what they find there."""

import os

from script import THOUGHTS, WORDS

URL = os.environ["SDK_URL"]
KEY = os.environ["SDK_KEY"]
#: Straight to the provider: proves the tests themselves. The gateway's own promises are not there to be tested.
DIRECT = os.environ.get("SDK_DIRECT") == "1"

#: The groups of the gateway (run.py), or what the provider calls their models: OpenAI-compatible, plain and reasoning;
#: Anthropic's, one that thinks within a budget, one that thinks as it likes, one that knows no schemas.
OPENAI = "scripted-model" if DIRECT else "m"
REASONER = "gpt-5-scripted" if DIRECT else "m-reasons"
CLAUDE = "claude-haiku-4-5-20251001" if DIRECT else "claude"
NEW_CLAUDE = "claude-sonnet-5-5"
OLD_CLAUDE = "claude-3-haiku-20240307" if DIRECT else "claude-old"
#: An OpenAI-compatible target under the name of one of Anthropic's models.
CLAUDE_NAME_ON_OPENAI = "claude-opus-5-5"

TEXT = "".join(WORDS)
THOUGHT = "".join(THOUGHTS)
#: The start of a PNG file.
PIXEL = "iVBORw0KGgo="


def user(content: object) -> dict:
    return {"role": "user", "content": content}
