"""A real model through the gateway with the official SDK. The model is small and untaught: what it says is compared
with what its own server says, never judged."""

import json
import os
import sqlite3
import time
import unittest
import urllib.request

import openai

MODEL_URL = os.environ["E2E_MODEL_URL"]
GATEWAY_URL = os.environ["E2E_GATEWAY_URL"]
GATEWAY_KEY = os.environ["E2E_GATEWAY_KEY"]
DATABASE = os.environ["E2E_DATABASE"]

INPUT_PICO_USD = 1_000_000
OUTPUT_PICO_USD = 2_000_000
PATIENCE_SECS = 30

ASK = {
    "model": "gemma",
    "messages": [{"role": "user", "content": "The capital of France is Paris. The capital of Italy is"}],
    "temperature": 0,
    "seed": 7,
    "max_tokens": 32,
}


def spent_pico_usd() -> int:
    request = urllib.request.Request(
        f"{GATEWAY_URL}/global/spend", headers={"authorization": f"Bearer {GATEWAY_KEY}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return round(json.load(answer)["total_spend"] * 10**12)


def tokens_on_the_books() -> tuple[int, int]:
    """Prompt and completion tokens of all rows, read from the store beside the running gateway."""
    store = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    try:
        return store.execute(
            "SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0)"
            " FROM spend_logs WHERE usage_estimated = 0"
        ).fetchone()
    finally:
        store.close()


class RealModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.direct = openai.OpenAI(api_key="not-needed", base_url=f"{MODEL_URL}/v1", timeout=300)
        cls.client = openai.OpenAI(api_key=GATEWAY_KEY, base_url=f"{GATEWAY_URL}/v1", timeout=300, max_retries=0)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.direct.close()
        cls.client.close()

    def charged(self, act) -> tuple[int, tuple[int, int]]:
        """What `act` adds to the books: money, and tokens in and out. Waits until something is added."""
        money, (tokens_in, tokens_out) = spent_pico_usd(), tokens_on_the_books()
        act()
        deadline = time.monotonic() + PATIENCE_SECS
        while (now := tokens_on_the_books()) == (tokens_in, tokens_out):
            self.assertLess(time.monotonic(), deadline, "nothing came on the books")
            time.sleep(0.05)
        return spent_pico_usd() - money, (now[0] - tokens_in, now[1] - tokens_out)

    def assert_books(self, act, usage) -> None:
        money, tokens = self.charged(act)
        self.assertEqual(tokens, (usage.prompt_tokens, usage.completion_tokens))
        self.assertEqual(money, usage.prompt_tokens * INPUT_PICO_USD + usage.completion_tokens * OUTPUT_PICO_USD)

    def test_an_answer_equals_the_servers_own_and_is_on_the_books(self) -> None:
        expected = self.direct.chat.completions.create(**ASK)
        answers = []

        self.assert_books(lambda: answers.append(self.client.chat.completions.create(**ASK)), expected.usage)

        (answer,) = answers
        self.assertTrue(answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].message.content, expected.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, expected.choices[0].finish_reason)
        self.assertEqual(answer.usage, expected.usage)
        self.assertEqual(answer.model, "gemma")

    def test_a_stream_joined_equals_the_answer_and_is_on_the_books(self) -> None:
        whole = self.direct.chat.completions.create(**ASK)
        events = []

        self.assert_books(
            lambda: events.extend(self.client.chat.completions.create(**ASK, stream=True)), whole.usage
        )

        text = "".join(event.choices[0].delta.content or "" for event in events)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(events[-1].choices[0].finish_reason, whole.choices[0].finish_reason)
        self.assertGreater(len(events), 5, "the text came in pieces")

    def test_a_text_completion_equals_the_servers_own(self) -> None:
        ask = {"model": "gemma", "prompt": "Once upon a time", "temperature": 0, "seed": 7, "max_tokens": 24}
        expected = self.direct.completions.create(**ask)
        answers = []

        self.assert_books(lambda: answers.append(self.client.completions.create(**ask)), expected.usage)

        self.assertEqual(answers[0].choices[0].text, expected.choices[0].text)
        self.assertTrue(answers[0].choices[0].text.strip())

    def test_the_models_own_refusal_is_a_bad_request(self) -> None:
        long_prompt = [{"role": "user", "content": "word " * 5000}]
        with self.assertRaises(openai.BadRequestError):
            self.client.chat.completions.create(**{**ASK, "messages": long_prompt})


if __name__ == "__main__":
    unittest.main(verbosity=1)
