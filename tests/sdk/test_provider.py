"""The scripted provider refuses what its dialects do not allow: without that, the tests of the SDKs would pass on a wrong
translation."""

import unittest

import provider_anthropic as anthropic
import provider_openai as openai
from script import Refused

ANTHROPIC = {"model": "claude-haiku-4-5-20251001", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi."}]}
OPENAI = {"model": "scripted-model", "messages": [{"role": "user", "content": "Hi."}]}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12 °C"}
OPENAI_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
OPENAI_TOOL = {"type": "function", "function": {"name": "weather"}}


def turns(*contents: object) -> dict:
    """The user and the assistant by turns."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": content} for n, content in enumerate(contents)]}


class OfAnthropic(unittest.TestCase):
    def refused(self, change: dict, version: str | None = anthropic.OLD_VERSION) -> None:
        body = {name: value for name, value in {**ANTHROPIC, **change}.items() if value is not None}
        with self.subTest(change=change), self.assertRaises(Refused):
            anthropic.read(body, version, counts=False)

    def test_what_is_right_is_taken(self) -> None:
        anthropic.read(ANTHROPIC, anthropic.NEW_VERSION, counts=False)
        anthropic.read({**ANTHROPIC, **turns("Hi.", [CALL], [RESULT])}, anthropic.OLD_VERSION, counts=False)

    def test_a_version_that_is_not_one(self) -> None:
        self.refused({}, version=None)
        self.refused({"temperature": 0.5}, version=anthropic.NEW_VERSION)

    def test_parameters_that_are_missing_or_anothers(self) -> None:
        self.refused({"max_tokens": None})
        self.refused({"stream_options": {"include_usage": True}})
        self.refused({"drop_params": True})
        self.refused({"tools": [OPENAI_TOOL]})
        self.refused({"tool_choice": "auto", "tools": [{"name": "weather", "input_schema": {"type": "object"}}]})
        self.refused({"thinking": {"type": "enabled", "budget_tokens": 1024}})
        self.refused({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}})

    def test_turns_that_do_not_follow_each_other(self) -> None:
        self.refused({"messages": [*ANTHROPIC["messages"], *ANTHROPIC["messages"]]})
        self.refused({"messages": [{"role": "assistant", "content": "Hi."}]})
        self.refused(turns(""))
        self.refused(turns("Hi.", "Hi "))

    def test_results_that_answer_no_call_and_calls_without_a_result(self) -> None:
        self.refused(turns([RESULT]))
        self.refused(turns("Hi.", [CALL], "Well?"))
        self.refused(turns("Hi.", [CALL], [{"type": "text", "text": "Well?"}, RESULT]))
        self.refused(turns("Hi.", [CALL]))

    def test_thinking_that_was_lost_or_changed(self) -> None:
        thinks = {"max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
        self.refused({**thinks, **turns("Hi.", [CALL], [RESULT])})
        forged = {"type": "thinking", "thinking": "", "signature": "forged"}
        self.refused({**thinks, **turns("Hi.", [forged, CALL], [RESULT])})

    def test_blocks_of_the_other_dialect(self) -> None:
        self.refused(turns([{"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}}]))
        self.refused(turns("Hi.", [{**CALL, "input": "{}"}], [RESULT]))


class OfOpenAi(unittest.TestCase):
    def refused(self, change: dict) -> None:
        with self.subTest(change=change), self.assertRaises(Refused):
            openai.read({**OPENAI, **change})

    def said(self, message: dict, *then: dict) -> dict:
        return {"messages": [*OPENAI["messages"], {"role": "assistant", "content": None, **message}, *then]}

    def test_what_is_right_is_taken(self) -> None:
        openai.read(OPENAI)
        result = {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"}
        openai.read({**OPENAI, **self.said({"tool_calls": [OPENAI_CALL]}, result)})

    def test_parameters_that_are_anothers(self) -> None:
        for change in [
            {"top_k": 5},
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            {"stop_sequences": ["a"]},
            {"system": "Be brief."},
            {"context_management": {}},
            {"output_config": {"effort": "high"}},
            {"reasoning_effort": "max"},
            {"tools": [{"name": "weather", "input_schema": {"type": "object"}}]},
            {"tools": [{**OPENAI_TOOL, "cache_control": {"type": "ephemeral"}}]},
            {"model": "gpt-5-scripted", "max_tokens": 10},
        ]:
            self.refused(change)

    def test_messages_of_the_other_dialect(self) -> None:
        self.refused(turns([{"type": "text", "text": "Hi.", "cache_control": {"type": "ephemeral"}}]))
        self.refused(turns([RESULT]))
        self.refused(self.said({"content": "Hi.", "thinking_blocks": []}))
        self.refused(self.said({"tool_calls": [{**OPENAI_CALL, "cache_control": {}}]}))

    def test_results_that_answer_no_call_and_calls_without_a_result(self) -> None:
        result = {"role": "tool", "tool_call_id": "call_2", "content": "12 °C"}
        self.refused(self.said({"tool_calls": [OPENAI_CALL]}, result))
        self.refused(self.said({"tool_calls": [OPENAI_CALL]}))
        self.refused(self.said({"tool_calls": [OPENAI_CALL]}, {"role": "user", "content": "Well?"}))


if __name__ == "__main__":
    unittest.main(verbosity=1)
