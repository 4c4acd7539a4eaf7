"""The asynchronous client of Anthropic's official Python SDK, for what is another code path there."""

import unittest

import anthropic

from targets import CLAUDE, DIRECT, KEY, OPENAI, TEXT, URL, user
from test_anthropic import ASK, FORECAST, WEATHER, calls, say, texts


class Async:
    """The asynchronous client; a subclass says which model."""

    model: str

    async def asyncSetUp(self) -> None:
        self.client = anthropic.AsyncAnthropic(api_key=KEY, base_url=URL, max_retries=0, timeout=60)
        self.addAsyncCleanup(self.client.close)

    async def test_an_answer(self) -> None:
        answer = await self.client.messages.create(model=self.model, **ASK)
        self.assertEqual(texts(answer), TEXT)

    async def test_the_texts_of_a_stream(self) -> None:
        async with self.client.messages.stream(model=self.model, **ASK) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            answer = await stream.get_final_message()
        self.assertEqual((text, texts(answer)), (TEXT, TEXT))

    async def test_a_streamed_tool_call_and_its_result(self) -> None:
        async with self.client.messages.stream(model=self.model, **ASK, tools=[WEATHER]) as stream:
            answer = await stream.get_final_message()
        (call,) = calls(answer)
        self.assertEqual(call.input, FORECAST)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "12 °C"}
        turns = [*ASK["messages"], {"role": "assistant", "content": answer.content}, user([result])]
        answer = await self.client.messages.create(model=self.model, max_tokens=100, messages=turns, tools=[WEATHER])
        self.assertEqual(texts(answer), "It said: 12 °C")

    async def test_counting_tokens(self) -> None:
        counted = await self.client.messages.count_tokens(model=self.model, messages=ASK["messages"])
        self.assertGreater(counted.input_tokens, 0)

    async def test_errors_are_the_classes_of_the_sdk(self) -> None:
        with self.assertRaises(anthropic.RateLimitError):
            await self.client.messages.create(model=self.model, **say("fail with 429"))
        with self.assertRaises(anthropic.APIStatusError):
            async with self.client.messages.stream(model=self.model, **say("break off")) as stream:
                await stream.until_done()


class AsyncOnClaude(Async, unittest.IsolatedAsyncioTestCase):
    model = CLAUDE


@unittest.skipIf(DIRECT, "the provider of this model speaks another dialect")
class AsyncOnOpenAi(Async, unittest.IsolatedAsyncioTestCase):
    model = OPENAI


if __name__ == "__main__":
    unittest.main(verbosity=1)
