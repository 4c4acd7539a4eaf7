"""The asynchronous client of OpenAI's official Python SDK, for what is another code path there."""

import json
import unittest

import openai

from targets import CLAUDE, DIRECT, KEY, OPENAI, TEXT, URL, user
from test_openai import MESSAGES, WEATHER_TOOL, Forecast


class Async:
    """The asynchronous client; a subclass says where and which model."""

    base_url = f"{URL}/v1"
    model: str

    async def asyncSetUp(self) -> None:
        self.client = openai.AsyncOpenAI(api_key=KEY, base_url=self.base_url, max_retries=0, timeout=60)
        self.addAsyncCleanup(self.client.close)

    async def test_a_chat_answer(self) -> None:
        answer = await self.client.chat.completions.create(model=self.model, messages=MESSAGES)
        self.assertEqual(answer.choices[0].message.content, TEXT)

    async def test_a_stream_joined_is_the_whole_answer(self) -> None:
        stream = await self.client.chat.completions.create(model=self.model, messages=MESSAGES, stream=True)
        text = ""
        async for event in stream:
            text += event.choices[0].delta.content or ""
        self.assertEqual(text, TEXT)

    async def test_tools_and_structured_output_as_streams(self) -> None:
        stream = self.client.chat.completions.stream
        async with stream(model=self.model, messages=MESSAGES, tools=[WEATHER_TOOL]) as events:
            call = (await events.get_final_completion()).choices[0].message.tool_calls[0]
        self.assertEqual(json.loads(call.function.arguments), {"city": "Köln", "days": 3})
        async with stream(model=self.model, messages=MESSAGES, response_format=Forecast) as events:
            parsed = (await events.get_final_completion()).choices[0].message.parsed
        self.assertEqual(parsed, Forecast(city="Köln", days=3))

    async def test_an_error_is_a_class_of_the_sdk(self) -> None:
        with self.assertRaises(openai.RateLimitError):
            await self.client.chat.completions.create(
                model=self.model, messages=[user("fail with 429")]
            )


class AsyncOnOpenAiWithV1(Async, unittest.IsolatedAsyncioTestCase):
    model = OPENAI

    async def test_embeddings(self) -> None:
        answer = await self.client.embeddings.create(model=self.model, input=["ab"])
        self.assertEqual(answer.data[0].embedding, [2.0, 0.5, -1.25])


@unittest.skipIf(DIRECT, "a promise of the gateway")
class AsyncOnOpenAiWithoutV1(Async, unittest.IsolatedAsyncioTestCase):
    base_url = URL
    model = OPENAI


@unittest.skipIf(DIRECT, "the provider of these models speaks another dialect")
class AsyncOnClaude(Async, unittest.IsolatedAsyncioTestCase):
    model = CLAUDE


if __name__ == "__main__":
    unittest.main(verbosity=1)
