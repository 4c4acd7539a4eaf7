"""Anthropic's official Python SDK against a base URL, for every kind of target: streams, tools, thinking, structured
output, token counting, and the SDK's own exception classes. Run by run.py, which sets the variables."""

import unittest

import anthropic
from pydantic import BaseModel

from targets import CLAUDE, DIRECT, KEY, NEW_CLAUDE, OPENAI, PIXEL, REASONER, TEXT, THOUGHT, URL, user

ASK = {"max_tokens": 100, "messages": [user("Greet me.")]}
THINK = {"max_tokens": 3000, "messages": [user("Greet me.")], "thinking": {"type": "enabled", "budget_tokens": 1024}}
FORECAST = {"city": "Köln", "days": 3}
WEATHER = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    },
}


class Forecast(BaseModel):
    city: str
    days: int


def say(text: str) -> dict:
    return {"max_tokens": 100, "messages": [user(text)]}


def texts(message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls(message) -> list:
    return [block for block in message.content if block.type == "tool_use"]


class Sync:
    """The synchronous client; a subclass says which model."""

    model: str

    def setUp(self) -> None:
        self.client = anthropic.Anthropic(api_key=KEY, base_url=URL, max_retries=0, timeout=60)
        self.addCleanup(self.client.close)

    def ask(self, stream: bool = False, **request):
        """The whole message, however it came."""
        if not stream:
            return self.client.messages.create(model=self.model, **request)
        with self.client.messages.stream(model=self.model, **request) as events:
            return events.get_final_message()

    def test_an_answer(self) -> None:
        answer = self.ask(**ASK)
        self.assertEqual((answer.type, answer.role), ("message", "assistant"))
        self.assertEqual([(block.type, block.text) for block in answer.content], [("text", TEXT)])
        self.assertEqual((answer.stop_reason, answer.stop_sequence), ("end_turn", None))
        self.assertEqual((answer.usage.input_tokens, answer.usage.output_tokens), (11, 7))
        self.assertTrue(answer.id.startswith("msg_"), answer.id)
        self.assertEqual(answer.model, self.model)
        self.assertTrue(answer._request_id)

    def test_the_texts_of_a_stream(self) -> None:
        with self.client.messages.stream(model=self.model, **ASK) as stream:
            pieces = list(stream.text_stream)
            answer = stream.get_final_message()
        self.assertGreater(len(pieces), 1)
        self.assertEqual("".join(pieces), TEXT)
        self.assertEqual(texts(answer), TEXT)
        self.assertEqual(answer.stop_reason, "end_turn")
        self.assertEqual((answer.usage.input_tokens, answer.usage.output_tokens), (11, 7))
        self.assertEqual(answer.model, self.model)
        self.assertTrue(stream.request_id)

    def test_the_events_of_a_stream(self) -> None:
        kinds = [event.type for event in self.client.messages.create(model=self.model, stream=True, **ASK)]
        deltas = kinds.count("content_block_delta")
        self.assertGreater(deltas, 1)
        self.assertEqual(
            kinds,
            [
                "message_start", "content_block_start", *["content_block_delta"] * deltas, "content_block_stop",
                "message_delta", "message_stop",
            ],
        )

    def test_a_stream_left_early_does_no_harm(self) -> None:
        with self.client.messages.create(model=self.model, stream=True, **ASK) as stream:
            next(iter(stream))
        self.test_an_answer()

    def test_a_system_prompt_and_earlier_turns(self) -> None:
        turns = [user("Hello."), {"role": "assistant", "content": [{"type": "text", "text": "Yes?"}]}, user("Greet me.")]
        for system in ("Be brief.", [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]):
            answer = self.ask(max_tokens=100, messages=turns, system=system)
            self.assertEqual(texts(answer), TEXT)

    def test_the_older_version_of_the_api_has_a_temperature(self) -> None:
        older = {"anthropic-version": "2023-06-01"}
        answer = self.ask(**ASK, extra_headers=older, extra_body={"temperature": 0.5, "top_p": 0.9})
        self.assertEqual(texts(answer), TEXT)

    def test_a_system_prompt_between_the_turns(self) -> None:
        turns = [user("Greet me."), {"role": "system", "content": "Be brief."}]
        self.assertEqual(texts(self.ask(max_tokens=100, messages=turns)), TEXT)

    def test_an_image_and_a_document(self) -> None:
        blocks = [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.jpg"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL}},
            {"type": "text", "text": "What is it?"},
        ]
        answer = self.ask(max_tokens=100, messages=[user(blocks)])
        self.assertEqual(texts(answer), "I see image/png and https://example.com/cat.jpg and application/pdf")

    def test_a_limit(self) -> None:
        for stream in (False, True):
            answer = self.ask(stream, max_tokens=2, messages=ASK["messages"])
            self.assertEqual((texts(answer), answer.stop_reason), ("Hello, ", "max_tokens"))

    def test_a_stop_sequence(self) -> None:
        # OpenAI's dialect does not say that a sequence stopped the answer, nor which.
        reason = ("end_turn", None) if self.model == OPENAI else ("stop_sequence", "wörld")
        for stream in (False, True):
            answer = self.ask(stream, **ASK, stop_sequences=["wörld"])
            self.assertEqual((texts(answer), answer.stop_reason, answer.stop_sequence), ("Hello, ", *reason))

    def test_a_tool_call(self) -> None:
        for stream in (False, True):
            with self.subTest(stream=stream):
                answer = self.ask(stream, **ASK, tools=[WEATHER])
                self.assertEqual([block.type for block in answer.content], ["text", "tool_use"])
                self.assertEqual(texts(answer), "Let me look.")
                (call,) = calls(answer)
                self.assertEqual((call.name, call.input), ("weather", FORECAST))
                self.assertEqual(answer.stop_reason, "tool_use")

    def test_the_json_of_a_streamed_tool_call_comes_in_pieces(self) -> None:
        pieces = []
        with self.client.messages.stream(model=self.model, **ASK, tools=[WEATHER]) as stream:
            for event in stream:
                if event.type == "input_json":
                    pieces.append(event.partial_json)
                    snapshot = event.snapshot
        self.assertGreater(len(pieces), 1)
        self.assertEqual(snapshot, FORECAST)

    def test_two_calls_and_their_results(self) -> None:
        for stream in (False, True):
            with self.subTest(stream=stream):
                answer = self.ask(stream, **say("call twice"), tools=[WEATHER])
                self.assertEqual(len({call.id for call in calls(answer)}), 2)
                results = [
                    {"type": "tool_result", "tool_use_id": call.id, "content": content}
                    for call, content in zip(calls(answer), ("12 °C", [{"type": "text", "text": ", 14 °C"}]))
                ]
                turns = [user("call twice"), {"role": "assistant", "content": answer.content}, user(results)]
                answer = self.ask(stream, max_tokens=100, messages=turns, tools=[WEATHER])
                self.assertEqual(texts(answer), "It said: 12 °C, 14 °C")

    def test_a_failed_tool(self) -> None:
        answer = self.ask(**ASK, tools=[WEATHER])
        result = {"type": "tool_result", "tool_use_id": calls(answer)[0].id, "content": "no net", "is_error": True}
        turns = [*ASK["messages"], {"role": "assistant", "content": answer.content}, user([result])]
        self.assertIn("no net", texts(self.ask(max_tokens=100, messages=turns, tools=[WEATHER])))

    def test_the_choice_of_a_tool(self) -> None:
        tools = [{"name": "other", "input_schema": {"type": "object"}}, WEATHER]
        for choice, name in [({"type": "tool", "name": "weather"}, "weather"), ({"type": "any"}, "other")]:
            answer = self.ask(**ASK, tools=tools, tool_choice=choice)
            self.assertEqual([block.type for block in answer.content], ["tool_use"])
            self.assertEqual(calls(answer)[0].name, name)
        self.assertEqual(texts(self.ask(**ASK, tools=tools, tool_choice={"type": "none"})), TEXT)

    def test_structured_output(self) -> None:
        answer = self.client.messages.parse(model=self.model, **ASK, output_format=Forecast)
        self.assertEqual(answer.parsed_output, Forecast(city="Köln", days=3))

    def test_streamed_structured_output(self) -> None:
        with self.client.messages.stream(model=self.model, **ASK, output_format=Forecast) as stream:
            answer = stream.get_final_message()
        self.assertEqual(answer.parsed_output, Forecast(city="Köln", days=3))

    def test_counters_of_the_cache(self) -> None:
        block = {"type": "text", "text": "Greet me from the cache", "cache_control": {"type": "ephemeral"}}
        for stream in (False, True):
            with self.subTest(stream=stream):
                usage = self.ask(stream, max_tokens=100, messages=[user([block])]).usage
                self.assertEqual((usage.input_tokens, usage.cache_read_input_tokens), (11, 20))
                # OpenAI's dialect does not count what was written.
                self.assertEqual(usage.cache_creation_input_tokens or 0, 0 if self.model == OPENAI else 5)

    def test_the_user_is_told(self) -> None:
        answer = self.ask(**ASK, metadata={"user_id": "somebody"})
        self.assertEqual(texts(answer), TEXT)

    def test_counting_tokens(self) -> None:
        request = {"model": self.model, "messages": ASK["messages"], "system": "Be brief.", "tools": [WEATHER]}
        count = self.client.messages.count_tokens(**request).input_tokens
        if self.model == OPENAI:
            self.assertGreater(count, 0)
        else:
            self.assertEqual(count, 14)

    def test_the_beta_endpoint(self) -> None:
        answer = self.client.beta.messages.create(model=self.model, **ASK, betas=["interleaved-thinking-2025-05-14"])
        self.assertEqual(answer.content[0].text, TEXT)

    def test_errors_are_the_classes_of_the_sdk(self) -> None:
        for status, kind, name in [
            (400, anthropic.BadRequestError, "invalid_request_error"),
            (401, anthropic.AuthenticationError, "authentication_error"),
            (403, anthropic.PermissionDeniedError, "permission_error"),
            (404, anthropic.NotFoundError, "not_found_error"),
            (429, anthropic.RateLimitError, "rate_limit_error"),
            (500, anthropic.InternalServerError, "api_error"),
        ]:
            for stream in (False, True):
                with self.subTest(status=status, stream=stream):
                    with self.assertRaises(kind) as caught:
                        self.client.messages.create(model=self.model, stream=stream, **say(f"fail with {status}"))
                    error = caught.exception
                    self.assertEqual((error.status_code, error.type), (status, name))
                    self.assertIn(f"as you wish: {status}", error.api_message)
                    self.assertTrue(error.request_id)
                    if status == 429:
                        self.assertEqual(error.response.headers["retry-after"], "7")

    def test_an_error_in_a_stream(self) -> None:
        error = self.assert_cut("break off")
        self.assertEqual(error.type, "overloaded_error")

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_a_stream_that_was_cut_is_an_error(self) -> None:
        self.assert_cut("hang up")

    def assert_cut(self, said: str) -> anthropic.APIStatusError:
        pieces = []
        with self.assertRaises(anthropic.APIStatusError) as caught:
            with self.client.messages.stream(model=self.model, **say(said)) as stream:
                for text in stream.text_stream:
                    pieces.append(text)
        self.assertEqual("".join(pieces), "Hello, ")
        return caught.exception

    def test_a_wrong_key_is_an_authentication_error(self) -> None:
        client = anthropic.Anthropic(api_key="sk-wrong-key-0123456789", base_url=URL, max_retries=0)
        with client, self.assertRaises(anthropic.AuthenticationError) as caught:
            client.messages.create(model=self.model, **ASK)
        self.assertEqual(caught.exception.type, "authentication_error")

    def test_the_key_in_the_header_of_earlier_releases(self) -> None:
        headers = {"x-api-key": KEY, "Authorization": anthropic.Omit()}
        with anthropic.Anthropic(api_key=None, base_url=URL, max_retries=0, default_headers=headers) as client:
            self.assertEqual(texts(client.messages.create(model=self.model, **ASK)), TEXT)

    def test_no_limit_is_a_bad_request(self) -> None:
        with self.assertRaises(anthropic.BadRequestError) as caught:
            self.client.messages.create(model=self.model, messages=ASK["messages"], max_tokens=anthropic.NOT_GIVEN)
        self.assertEqual(caught.exception.type, "invalid_request_error")
        self.assertIn("max_tokens", caught.exception.api_message)

    def test_an_unknown_model_is_an_error_of_anthropic_s_shape(self) -> None:
        with self.assertRaises((anthropic.BadRequestError, anthropic.NotFoundError)) as caught:
            self.client.messages.create(model="nobody", **ASK)
        self.assertIn(caught.exception.type, ("invalid_request_error", "not_found_error"))

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_the_base_url_of_pass_through_clients(self) -> None:
        with anthropic.Anthropic(api_key=KEY, base_url=f"{URL}/anthropic", max_retries=0) as client:
            self.assertEqual(texts(client.messages.create(model=self.model, **ASK)), TEXT)

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_the_model_list(self) -> None:
        self.assertIn(self.model, [model.id for model in self.client.models.list()])

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_the_headers_of_the_gateway(self) -> None:
        answer = self.client.messages.with_raw_response.create(model=self.model, **ASK)
        self.assertTrue(answer.headers["x-litellm-call-id"])
        self.assertEqual(float(answer.headers["x-litellm-response-cost"]), 0.000025)
        self.assertEqual(texts(answer.parse()), TEXT)


class Thinking:
    """What only models that think have; a subclass says which."""

    setUp = Sync.setUp
    ask = Sync.ask
    model: str
    thinking = THINK["thinking"]

    def think(self, stream: bool, messages: list = ASK["messages"], **request):
        return self.ask(stream, max_tokens=3000, thinking=self.thinking, messages=messages, **request)

    def test_thinking(self) -> None:
        for stream in (False, True):
            with self.subTest(stream=stream):
                answer = self.think(stream)
                self.assertEqual([block.type for block in answer.content], ["thinking", "text"])
                self.assertEqual(answer.content[0].thinking, THOUGHT)
                self.assertIsInstance(answer.content[0].signature, str)
                self.assertEqual(texts(answer), TEXT)

    def test_thinking_goes_back_with_the_result_of_a_tool(self) -> None:
        for stream in (False, True):
            with self.subTest(stream=stream):
                answer = self.think(stream, tools=[WEATHER])
                self.assertEqual([block.type for block in answer.content], ["thinking", "text", "tool_use"])
                result = {"type": "tool_result", "tool_use_id": calls(answer)[0].id, "content": "12 °C"}
                turns = [*ASK["messages"], {"role": "assistant", "content": answer.content}, user([result])]
                answer = self.think(stream, turns, tools=[WEATHER])
                self.assertEqual(texts(answer), "It said: 12 °C")


class SyncOnClaude(Sync, Thinking, unittest.TestCase):
    model = CLAUDE

    def test_the_newer_version_of_the_api_has_no_temperature(self) -> None:
        with self.assertRaises(anthropic.BadRequestError):
            self.ask(**ASK, extra_body={"temperature": 0.5})



class SyncOnANewClaude(Thinking, unittest.TestCase):
    model = NEW_CLAUDE
    thinking = {"type": "adaptive"}

    def test_thinking_that_is_not_shown_keeps_its_signature(self) -> None:
        for stream in (False, True):
            thinking = self.ask(stream, **ASK, thinking={**self.thinking, "display": "omitted"}).content[0]
            self.assertEqual(thinking.thinking, "")
            self.assertTrue(thinking.signature)


@unittest.skipIf(DIRECT, "the provider of this model speaks another dialect")
class SyncOnOpenAi(Sync, unittest.TestCase):
    model = OPENAI

    def test_thinking_is_a_hint_to_a_model_that_does_not(self) -> None:
        for stream in (False, True):
            answer = self.ask(stream, **THINK)
            self.assertEqual([block.type for block in answer.content], ["text"])
            self.assertEqual(texts(answer), TEXT)


@unittest.skipIf(DIRECT, "the provider of this model speaks another dialect")
class SyncOnAReasoner(Thinking, unittest.TestCase):
    model = REASONER


if __name__ == "__main__":
    unittest.main(verbosity=1)
