"""The official Python SDK against a base URL: sync, async, streams, tools, structured output, embeddings, and the
SDK's own exception classes. Run by run.py, which sets the variables."""

import json
import os
import unittest

import openai
from pydantic import BaseModel

URL = os.environ["SDK_URL"]
KEY = os.environ["SDK_KEY"]
#: Straight to the provider: proves the tests themselves. The gateway's own promises are not there to be tested.
DIRECT = os.environ.get("SDK_DIRECT") == "1"

TEXT = "Hello, wörld 😀"
MESSAGES = [{"role": "user", "content": "Greet me."}]
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


class Sync:
    """The synchronous client; a subclass says where."""

    base_url: str

    def setUp(self) -> None:
        self.client = openai.OpenAI(api_key=KEY, base_url=self.base_url, max_retries=0, timeout=60)
        self.addCleanup(self.client.close)

    def test_a_chat_answer(self) -> None:
        answer = self.client.chat.completions.create(model="m", messages=MESSAGES)
        self.assertEqual(answer.choices[0].message.content, TEXT)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, 18)
        if not DIRECT:
            self.assertEqual(answer.model, "m")

    def test_a_stream_joined_is_the_whole_answer(self) -> None:
        stream = self.client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        events = list(stream)
        text = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
        self.assertEqual(text, TEXT)
        self.assertTrue(all(event.usage is None for event in events))
        self.assertEqual(events[-1].choices[0].finish_reason, "stop")

    def test_a_stream_with_usage(self) -> None:
        stream = self.client.chat.completions.create(
            model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        usages = [event.usage for event in stream if event.usage]
        self.assertEqual([usage.total_tokens for usage in usages], [18])

    def test_the_stream_helper_of_the_sdk(self) -> None:
        with self.client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            answer = stream.get_final_completion()
        self.assertEqual(answer.choices[0].message.content, TEXT)

    def test_a_stream_left_early_does_no_harm(self) -> None:
        with self.client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
            next(iter(stream))
        self.test_a_chat_answer()

    def test_a_tool_call(self) -> None:
        answer = self.client.chat.completions.create(model="m", messages=MESSAGES, tools=[WEATHER_TOOL])
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(call.function.name, "weather")
        self.assertEqual(json.loads(call.function.arguments), {"city": "Köln", "days": 3})
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")

    def test_a_streamed_tool_call(self) -> None:
        with self.client.chat.completions.stream(model="m", messages=MESSAGES, tools=[WEATHER_TOOL]) as stream:
            answer = stream.get_final_completion()
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(call.id, "call_1")
        self.assertEqual(json.loads(call.function.arguments), {"city": "Köln", "days": 3})

    def test_structured_output(self) -> None:
        answer = self.client.chat.completions.parse(model="m", messages=MESSAGES, response_format=Forecast)
        self.assertEqual(answer.choices[0].message.parsed, Forecast(city="Köln", days=3))

    def test_streamed_structured_output(self) -> None:
        with self.client.chat.completions.stream(model="m", messages=MESSAGES, response_format=Forecast) as stream:
            answer = stream.get_final_completion()
        self.assertEqual(answer.choices[0].message.parsed, Forecast(city="Köln", days=3))

    def test_embeddings(self) -> None:
        # The SDK asks for base64 by itself and decodes it.
        answer = self.client.embeddings.create(model="m", input=["ab", "abc"])
        self.assertEqual([item.embedding for item in answer.data], [[2.0, 0.5, -1.25], [3.0, 0.5, -1.25]])
        as_floats = self.client.embeddings.create(model="m", input="ab", encoding_format="float")
        self.assertEqual(as_floats.data[0].embedding, [2.0, 0.5, -1.25])

    def test_a_text_completion(self) -> None:
        answer = self.client.completions.create(model="m", prompt="Once")
        self.assertEqual(answer.choices[0].text, " upon a time")

    def test_errors_are_the_classes_of_the_sdk(self) -> None:
        for status, kind in [
            (400, openai.BadRequestError),
            (401, openai.AuthenticationError),
            (403, openai.PermissionDeniedError),
            (404, openai.NotFoundError),
            (422, openai.UnprocessableEntityError),
            (429, openai.RateLimitError),
            (500, openai.InternalServerError),
            (503, openai.InternalServerError),
        ]:
            for stream in (False, True):
                with self.subTest(status=status, stream=stream), self.assertRaises(kind) as caught:
                    self.client.chat.completions.create(
                        model="m",
                        messages=[{"role": "user", "content": f"fail with {status}"}],
                        stream=stream,
                    )
                self.assertEqual(caught.exception.status_code, status)
                self.assertIn(f"as you wish: {status}", caught.exception.message)

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_a_wrong_key_is_an_authentication_error(self) -> None:
        client = openai.OpenAI(api_key="sk-wrong-key-0123456789", base_url=self.base_url, max_retries=0)
        with client, self.assertRaises(openai.AuthenticationError):
            client.chat.completions.create(model="m", messages=MESSAGES)

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_an_unknown_model_is_a_bad_request(self) -> None:
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(model="nobody", messages=MESSAGES)
        self.assertEqual(caught.exception.type, "invalid_request_error")

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_the_model_list(self) -> None:
        self.assertIn("m", [model.id for model in self.client.models.list()])
        self.assertEqual(self.client.models.retrieve("m").id, "m")

    @unittest.skipIf(DIRECT, "a promise of the gateway")
    def test_the_headers_of_the_gateway(self) -> None:
        answer = self.client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)
        self.assertTrue(answer.headers["x-litellm-call-id"])
        self.assertEqual(float(answer.headers["x-litellm-response-cost"]), 0.000025)
        self.assertEqual(answer.parse().choices[0].message.content, TEXT)


class SyncWithV1(Sync, unittest.TestCase):
    base_url = f"{URL}/v1"


@unittest.skipIf(DIRECT, "a promise of the gateway")
class SyncWithoutV1(Sync, unittest.TestCase):
    base_url = URL


@unittest.skipIf(DIRECT, "a promise of the gateway")
class Azure(unittest.TestCase):
    def test_the_azure_client_with_its_own_paths_and_header(self) -> None:
        client = openai.AzureOpenAI(azure_endpoint=URL, api_key=KEY, api_version="2024-10-21", max_retries=0)
        with client:
            answer = client.chat.completions.create(model="m", messages=MESSAGES)
        self.assertEqual(answer.choices[0].message.content, TEXT)


class Async:
    """The asynchronous client; a subclass says where."""

    base_url: str

    async def asyncSetUp(self) -> None:
        self.client = openai.AsyncOpenAI(api_key=KEY, base_url=self.base_url, max_retries=0, timeout=60)
        self.addAsyncCleanup(self.client.close)

    async def test_a_chat_answer(self) -> None:
        answer = await self.client.chat.completions.create(model="m", messages=MESSAGES)
        self.assertEqual(answer.choices[0].message.content, TEXT)

    async def test_a_stream_joined_is_the_whole_answer(self) -> None:
        stream = await self.client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        text = ""
        async for event in stream:
            text += event.choices[0].delta.content or ""
        self.assertEqual(text, TEXT)

    async def test_tools_and_structured_output_as_streams(self) -> None:
        stream = self.client.chat.completions.stream
        async with stream(model="m", messages=MESSAGES, tools=[WEATHER_TOOL]) as events:
            call = (await events.get_final_completion()).choices[0].message.tool_calls[0]
        self.assertEqual(json.loads(call.function.arguments), {"city": "Köln", "days": 3})
        async with stream(model="m", messages=MESSAGES, response_format=Forecast) as events:
            parsed = (await events.get_final_completion()).choices[0].message.parsed
        self.assertEqual(parsed, Forecast(city="Köln", days=3))

    async def test_embeddings(self) -> None:
        answer = await self.client.embeddings.create(model="m", input=["ab"])
        self.assertEqual(answer.data[0].embedding, [2.0, 0.5, -1.25])

    async def test_an_error_is_a_class_of_the_sdk(self) -> None:
        with self.assertRaises(openai.RateLimitError):
            await self.client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "fail with 429"}]
            )


class AsyncWithV1(Async, unittest.IsolatedAsyncioTestCase):
    base_url = f"{URL}/v1"


@unittest.skipIf(DIRECT, "a promise of the gateway")
class AsyncWithoutV1(Async, unittest.IsolatedAsyncioTestCase):
    base_url = URL


if __name__ == "__main__":
    unittest.main(verbosity=1)
