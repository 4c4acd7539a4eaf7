"""OpenAI's official Python SDK against a base URL, for every kind of target: streams, tools, structured output,
reasoning, embeddings, and the SDK's own exception classes. Run by run.py, which sets the variables."""

import json
import unittest

import openai
from pydantic import BaseModel

from targets import CLAUDE, DIRECT, KEY, NEW_CLAUDE, OLD_CLAUDE, OPENAI, PIXEL, REASONER, TEXT, THOUGHT, URL, user

MESSAGES = [user("Greet me.")]
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        },
    },
}


class Forecast(BaseModel):
    city: str
    days: int


def again(message) -> dict:
    """What the assistant said, as it goes into the next request."""
    turn = {"role": "assistant", "content": message.content}
    turn["tool_calls"] = [
        {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
        for call in message.tool_calls
    ]
    thinking = getattr(message, "thinking_blocks", None)
    return {**turn, "thinking_blocks": thinking} if thinking else turn


class Sync:
    """The synchronous client; a subclass says where and which model."""

    base_url = f"{URL}/v1"
    model: str

    def setUp(self) -> None:
        self.client = openai.OpenAI(api_key=KEY, base_url=self.base_url, max_retries=0, timeout=60)
        self.addCleanup(self.client.close)

    def test_a_chat_answer(self) -> None:
        answer = self.client.chat.completions.create(model=self.model, messages=MESSAGES)
        self.assertEqual(answer.choices[0].message.content, TEXT)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, 18)
        if not DIRECT:
            self.assertEqual(answer.model, self.model)

    def test_a_stream_joined_is_the_whole_answer(self) -> None:
        stream = self.client.chat.completions.create(model=self.model, messages=MESSAGES, stream=True)
        events = list(stream)
        text = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
        self.assertEqual(text, TEXT)
        self.assertTrue(all(event.usage is None for event in events))
        self.assertEqual(events[-1].choices[0].finish_reason, "stop")

    def test_a_stream_with_usage(self) -> None:
        stream = self.client.chat.completions.create(
            model=self.model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        usages = [event.usage for event in stream if event.usage]
        self.assertEqual([usage.total_tokens for usage in usages], [18])

    def test_the_stream_helper_of_the_sdk(self) -> None:
        with self.client.chat.completions.stream(model=self.model, messages=MESSAGES) as stream:
            answer = stream.get_final_completion()
        self.assertEqual(answer.choices[0].message.content, TEXT)

    def test_a_stream_left_early_does_no_harm(self) -> None:
        with self.client.chat.completions.create(model=self.model, messages=MESSAGES, stream=True) as stream:
            next(iter(stream))
        self.test_a_chat_answer()

    def test_a_tool_call(self) -> None:
        answer = self.client.chat.completions.create(model=self.model, messages=MESSAGES, tools=[WEATHER_TOOL])
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(call.function.name, "weather")
        self.assertEqual(json.loads(call.function.arguments), {"city": "Köln", "days": 3})
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")

    def test_a_streamed_tool_call(self) -> None:
        with self.client.chat.completions.stream(model=self.model, messages=MESSAGES, tools=[WEATHER_TOOL]) as stream:
            answer = stream.get_final_completion()
        call = answer.choices[0].message.tool_calls[0]
        self.assertIn(call.id, ("call_1", "toolu_1"))
        self.assertEqual(json.loads(call.function.arguments), {"city": "Köln", "days": 3})
        self.assertEqual(answer.choices[0].message.content, "Let me look.")

    def test_two_calls_and_their_results(self) -> None:
        asked = [{"role": "system", "content": "Be brief."}, user("call twice")]
        for stream in (False, True):
            with self.subTest(stream=stream):
                said = self.ask(messages=asked, tools=[WEATHER_TOOL], stream=stream)
                calls = said.tool_calls
                self.assertEqual(len({call.id for call in calls}), 2)
                results = [
                    {"role": "tool", "tool_call_id": call.id, "content": text}
                    for call, text in zip(calls, ("12 °C", ", 14 °C"))
                ]
                said = self.ask(messages=[*asked, again(said), *results], tools=[WEATHER_TOOL], stream=stream)
                self.assertEqual(said.content, "It said: 12 °C, 14 °C")

    def ask(self, stream: bool, **request):
        """The whole message, however it came."""
        if not stream:
            return self.client.chat.completions.create(model=self.model, **request).choices[0].message
        with self.client.chat.completions.stream(model=self.model, **request) as events:
            return events.get_final_completion().choices[0].message

    def test_the_choice_of_a_tool(self) -> None:
        other = {"type": "function", "function": {"name": "other", "parameters": {"type": "object"}}}
        request = {"model": self.model, "messages": MESSAGES, "tools": [other, WEATHER_TOOL]}
        for choice, name in [
            ({"type": "function", "function": {"name": "weather"}}, "weather"),
            ("required", "other"),
        ]:
            answer = self.client.chat.completions.create(**request, tool_choice=choice)
            self.assertEqual([call.function.name for call in answer.choices[0].message.tool_calls], [name])
        answer = self.client.chat.completions.create(**request, tool_choice="none")
        self.assertEqual(answer.choices[0].message.content, TEXT)

    def test_an_image_and_a_document(self) -> None:
        parts = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}},
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PIXEL}", "filename": "a.pdf"}},
            {"type": "text", "text": "What is it?"},
        ]
        answer = self.client.chat.completions.create(model=self.model, messages=[user(parts)])
        expected = "I see image/png and https://example.com/cat.jpg and application/pdf"
        self.assertEqual(answer.choices[0].message.content, expected)

    def test_a_limit_and_a_stop_sequence(self) -> None:
        create = self.client.chat.completions.create
        for limit in ({"max_tokens": 2}, {"max_completion_tokens": 2}):
            answer = create(model=self.model, messages=MESSAGES, **limit)
            self.assertEqual(answer.choices[0].message.content, "Hello, ")
            self.assertEqual(answer.choices[0].finish_reason, "length")
        answer = create(model=self.model, messages=MESSAGES, stop=["wörld"])
        self.assertEqual(answer.choices[0].message.content, "Hello, ")
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_reasoning(self) -> None:
        answer = self.client.chat.completions.create(model=self.model, messages=MESSAGES, reasoning_effort="low")
        self.assertEqual(answer.choices[0].message.reasoning_content, THOUGHT)
        self.assertEqual(answer.choices[0].message.content, TEXT)

    def test_streamed_reasoning(self) -> None:
        stream = self.client.chat.completions.create(
            model=self.model, messages=MESSAGES, reasoning_effort="low", stream=True
        )
        deltas = [event.choices[0].delta for event in stream if event.choices]
        self.assertEqual("".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas), THOUGHT)
        self.assertEqual("".join(delta.content or "" for delta in deltas), TEXT)

    def test_structured_output(self) -> None:
        answer = self.client.chat.completions.parse(model=self.model, messages=MESSAGES, response_format=Forecast)
        self.assertEqual(answer.choices[0].message.parsed, Forecast(city="Köln", days=3))

    def test_streamed_structured_output(self) -> None:
        with self.client.chat.completions.stream(model=self.model, messages=MESSAGES, response_format=Forecast) as stream:
            answer = stream.get_final_completion()
        self.assertEqual(answer.choices[0].message.parsed, Forecast(city="Köln", days=3))

    def test_errors_are_the_classes_of_the_sdk(self) -> None:
        for status, kind in [
            (400, openai.BadRequestError),
            (401, openai.AuthenticationError),
            (403, openai.PermissionDeniedError),
            (404, openai.NotFoundError),
            (429, openai.RateLimitError),
            (500, openai.InternalServerError),
        ]:
            for stream in (False, True):
                with self.subTest(status=status, stream=stream), self.assertRaises(kind) as caught:
                    self.client.chat.completions.create(
                        model=self.model,
                        messages=[user(f"fail with {status}")],
                        stream=stream,
                    )
                self.assertEqual(caught.exception.status_code, status)
                self.assertIn(f"as you wish: {status}", caught.exception.message)
                if status == 429:
                    self.assertEqual(caught.exception.response.headers["retry-after"], "7")

    def test_an_error_in_a_stream(self) -> None:
        self.assert_cut("break off")

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_a_stream_that_was_cut_is_an_error(self) -> None:
        self.assert_cut("hang up")

    def assert_cut(self, said: str) -> None:
        text = ""
        with self.assertRaises(openai.APIError):
            for event in self.client.chat.completions.create(model=self.model, messages=[user(said)], stream=True):
                text += event.choices[0].delta.content or ""
        self.assertEqual(text, "Hello, ")

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_a_wrong_key_is_an_authentication_error(self) -> None:
        client = openai.OpenAI(api_key="sk-wrong-key-0123456789", base_url=self.base_url, max_retries=0)
        with client, self.assertRaises(openai.AuthenticationError):
            client.chat.completions.create(model=self.model, messages=MESSAGES)

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_an_unknown_model_is_a_bad_request(self) -> None:
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(model="nobody", messages=MESSAGES)
        self.assertEqual(caught.exception.type, "invalid_request_error")

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_the_model_list(self) -> None:
        self.assertIn(self.model, [model.id for model in self.client.models.list()])
        self.assertEqual(self.client.models.retrieve(self.model).id, self.model)

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_the_headers_of_the_gateway(self) -> None:
        answer = self.client.chat.completions.with_raw_response.create(model=self.model, messages=MESSAGES)
        self.assertTrue(answer.headers["x-litellm-call-id"])
        self.assertEqual(float(answer.headers["x-litellm-response-cost"]), 0.000025)
        self.assertEqual(answer.parse().choices[0].message.content, TEXT)


class OnlyOpenAi:
    """What Anthropic has no endpoint or status for."""

    def test_embeddings(self) -> None:
        # The SDK asks for base64 by itself and decodes it.
        answer = self.client.embeddings.create(model=self.model, input=["ab", "abc"])
        self.assertEqual([item.embedding for item in answer.data], [[2.0, 0.5, -1.25], [3.0, 0.5, -1.25]])
        as_floats = self.client.embeddings.create(model=self.model, input="ab", encoding_format="float")
        self.assertEqual(as_floats.data[0].embedding, [2.0, 0.5, -1.25])

    def test_a_text_completion(self) -> None:
        answer = self.client.completions.create(model=self.model, prompt="Once")
        self.assertEqual(answer.choices[0].text, " upon a time")

    def test_statuses_of_openai(self) -> None:
        for status, kind in [(422, openai.UnprocessableEntityError), (503, openai.InternalServerError)]:
            with self.assertRaises(kind) as caught:
                self.client.chat.completions.create(model=self.model, messages=[user(f"fail with {status}")])
            self.assertEqual(caught.exception.status_code, status)

    def test_tokens_from_the_cache(self) -> None:
        answer = self.client.chat.completions.create(model=self.model, messages=[user("Greet me from the cache")])
        self.assertEqual(answer.usage.prompt_tokens, 31)
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 20)


class SyncOnOpenAiWithV1(Sync, OnlyOpenAi, unittest.TestCase):
    model = OPENAI


@unittest.skipIf(DIRECT, "a promise of the gateway")
class SyncOnOpenAiWithoutV1(Sync, OnlyOpenAi, unittest.TestCase):
    base_url = URL
    model = OPENAI


@unittest.skipIf(DIRECT, "the provider of these models speaks another dialect")
class SyncOnClaude(Sync, unittest.TestCase):
    model = CLAUDE

    def test_cache_control_and_the_counters_of_the_cache(self) -> None:
        parts = [{"type": "text", "text": "Greet me.", "cache_control": {"type": "ephemeral"}}]
        request = {"model": self.model, "messages": [user(parts)]}
        whole = self.client.chat.completions.create(**request).usage
        stream = self.client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
        (streamed,) = [event.usage for event in stream if event.usage]
        for usage in (whole, streamed):
            self.assertEqual(usage.prompt_tokens, 36)
            self.assertEqual(usage.prompt_tokens_details.cached_tokens, 20)
            self.assertEqual(usage.cache_creation_input_tokens, 5)
            self.assertEqual(usage.total_tokens, 43)

    def test_thinking_comes_back_as_it_was(self) -> None:
        request = {"tools": [WEATHER_TOOL], "reasoning_effort": "low", "stream": False}
        said = self.ask(messages=MESSAGES, **request)
        self.assertEqual(said.thinking_blocks[0]["thinking"], THOUGHT)
        result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "12 °C"}
        said = self.ask(messages=[*MESSAGES, again(said), result], **request)
        self.assertEqual(said.content, "It said: 12 °C")


class SyncOnAReasoner(unittest.TestCase):
    model = REASONER
    setUp = Sync.setUp
    base_url = Sync.base_url
    test_reasoning = Sync.test_reasoning
    test_streamed_reasoning = Sync.test_streamed_reasoning


@unittest.skipIf(DIRECT, "the provider of these models speaks another dialect")
class SyncOnANewClaude(unittest.TestCase):
    """A model that thinks as much as it likes and takes no sampling parameters."""

    model = NEW_CLAUDE
    setUp = Sync.setUp
    base_url = Sync.base_url
    ask = Sync.ask
    test_reasoning = Sync.test_reasoning
    test_streamed_reasoning = Sync.test_streamed_reasoning
    test_structured_output = Sync.test_structured_output
    test_thinking_comes_back_as_it_was = SyncOnClaude.test_thinking_comes_back_as_it_was

    def test_a_parameter_that_it_lacks_is_refused_by_name(self) -> None:
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(model=self.model, messages=MESSAGES, temperature=0.5)
        self.assertIn("temperature", caught.exception.message)


@unittest.skipIf(DIRECT, "the provider of these models speaks another dialect")
class StructuredOutputOnAnOldClaude(unittest.TestCase):
    """A model that knows no schemas: the gateway asks for it by a tool, and nobody sees that."""

    model = OLD_CLAUDE
    setUp = Sync.setUp
    base_url = Sync.base_url
    test_structured_output = Sync.test_structured_output
    test_streamed_structured_output = Sync.test_streamed_structured_output


@unittest.skipIf(DIRECT, "a promise of the gateway")
class Azure(unittest.TestCase):
    model = OPENAI

    def test_the_azure_client_with_its_own_paths_and_header(self) -> None:
        client = openai.AzureOpenAI(azure_endpoint=URL, api_key=KEY, api_version="2024-10-21", max_retries=0)
        with client:
            answer = client.chat.completions.create(model=self.model, messages=MESSAGES)
        self.assertEqual(answer.choices[0].message.content, TEXT)


if __name__ == "__main__":
    unittest.main(verbosity=1)
