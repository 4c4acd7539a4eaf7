// The official Node SDK against a base URL: chat, streams, tools, embeddings, errors. Run by run.py, which sets the
// variables.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import OpenAI from "openai";

const url = process.env.SDK_URL;
const apiKey = process.env.SDK_KEY;
// Straight to the provider: proves the tests themselves.
const direct = process.env.SDK_DIRECT === "1";

const text = "Hello, wörld 😀";
const messages = [{ role: "user", content: "Greet me." }];
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];

for (const baseURL of direct ? [`${url}/v1`] : [`${url}/v1`, url]) {
  describe(`the Node SDK at ${baseURL === url ? "the bare URL" : "/v1"}`, () => {
    const client = new OpenAI({ apiKey, baseURL, maxRetries: 0 });

    test("a chat answer", async () => {
      const answer = await client.chat.completions.create({ model: "m", messages });
      assert.equal(answer.choices[0].message.content, text);
      assert.equal(answer.usage.total_tokens, 18);
    });

    test("a stream joined is the whole answer", async () => {
      const stream = await client.chat.completions.create({ model: "m", messages, stream: true });
      let joined = "";
      for await (const event of stream) joined += event.choices[0].delta.content ?? "";
      assert.equal(joined, text);
    });

    test("a stream with usage", async () => {
      const stream = await client.chat.completions.create({
        model: "m",
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      const totals = [];
      for await (const event of stream) if (event.usage) totals.push(event.usage.total_tokens);
      assert.deepEqual(totals, [18]);
    });

    test("a tool call, whole and streamed", async () => {
      const whole = await client.chat.completions.create({ model: "m", messages, tools });
      const streamed = await client.chat.completions.stream({ model: "m", messages, tools }).finalChatCompletion();
      for (const answer of [whole, streamed]) {
        const call = answer.choices[0].message.tool_calls[0];
        assert.equal(call.function.name, "weather");
        assert.deepEqual(JSON.parse(call.function.arguments), { city: "Köln", days: 3 });
      }
    });

    test("embeddings", async () => {
      const answer = await client.embeddings.create({ model: "m", input: ["ab", "abc"] });
      assert.deepEqual(
        answer.data.map((item) => [...item.embedding]),
        [
          [2, 0.5, -1.25],
          [3, 0.5, -1.25],
        ],
      );
    });

    test("errors are the classes of the SDK", async () => {
      for (const [status, kind] of [
        [400, OpenAI.BadRequestError],
        [401, OpenAI.AuthenticationError],
        [404, OpenAI.NotFoundError],
        [429, OpenAI.RateLimitError],
        [500, OpenAI.InternalServerError],
      ]) {
        const request = { model: "m", messages: [{ role: "user", content: `fail with ${status}` }] };
        await assert.rejects(client.chat.completions.create(request), (err) => {
          assert.ok(err instanceof kind, `${status}: ${err}`);
          assert.equal(err.status, status);
          return true;
        });
      }
    });

    test("the model list", { skip: direct }, async () => {
      const ids = [];
      for await (const model of client.models.list()) ids.push(model.id);
      assert.ok(ids.includes("m"));
    });
  });
}
