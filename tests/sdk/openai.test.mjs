// OpenAI's official Node SDK against a base URL, for every kind of target: chat, streams, tools, reasoning, embeddings,
// errors. Run by run.py, which sets the variables.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import OpenAI from "openai";
import { apiKey, claude, direct, forecast, openai, text, thought, url } from "./targets.mjs";

const messages = [{ role: "user", content: "Greet me." }];
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
const response_format = {
  type: "json_schema",
  json_schema: {
    name: "forecast",
    strict: true,
    schema: {
      type: "object",
      properties: { city: { type: "string" }, days: { type: "integer" } },
      required: ["city", "days"],
      additionalProperties: false,
    },
  },
};

const places = [{ baseURL: `${url}/v1`, model: openai }];
if (!direct) places.push({ baseURL: url, model: openai }, { baseURL: `${url}/v1`, model: claude });

for (const { baseURL, model } of places) {
  describe(`the Node SDK at ${baseURL === url ? "the bare URL" : "/v1"}, with ${model}`, () => {
    const client = new OpenAI({ apiKey, baseURL, maxRetries: 0 });

    test("a chat answer", async () => {
      const answer = await client.chat.completions.create({ model, messages });
      assert.equal(answer.choices[0].message.content, text);
      assert.equal(answer.usage.total_tokens, 18);
    });

    test("a stream joined is the whole answer", async () => {
      const stream = await client.chat.completions.create({ model, messages, stream: true });
      let joined = "";
      for await (const event of stream) joined += event.choices[0].delta.content ?? "";
      assert.equal(joined, text);
    });

    test("a stream with usage", async () => {
      const stream = await client.chat.completions.create({
        model,
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      const totals = [];
      for await (const event of stream) if (event.usage) totals.push(event.usage.total_tokens);
      assert.deepEqual(totals, [18]);
    });

    test("a tool call, whole and streamed, and its result", async () => {
      const whole = await client.chat.completions.create({ model, messages, tools });
      const streamed = await client.chat.completions.stream({ model, messages, tools }).finalChatCompletion();
      for (const answer of [whole, streamed]) {
        const { id, function: called } = answer.choices[0].message.tool_calls[0];
        assert.equal(called.name, "weather");
        assert.deepEqual(JSON.parse(called.arguments), forecast);
        const call = { id, type: "function", function: { name: called.name, arguments: called.arguments } };
        const turns = [
          ...messages,
          { role: "assistant", content: answer.choices[0].message.content, tool_calls: [call] },
          { role: "tool", tool_call_id: id, content: "12 °C" },
        ];
        const then = await client.chat.completions.create({ model, messages: turns, tools });
        assert.equal(then.choices[0].message.content, "It said: 12 °C");
      }
    });

    test("structured output", async () => {
      const answer = await client.chat.completions.parse({ model, messages, response_format });
      assert.deepEqual(answer.choices[0].message.parsed, forecast);
    });

    test("reasoning", async () => {
      const request = { model, messages, reasoning_effort: "low" };
      const answer = await client.chat.completions.create(request);
      assert.equal(answer.choices[0].message.reasoning_content, thought);
      assert.equal(answer.choices[0].message.content, text);
    });

    test("embeddings", { skip: model === claude }, async () => {
      const answer = await client.embeddings.create({ model, input: ["ab", "abc"] });
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
        const request = { model, messages: [{ role: "user", content: `fail with ${status}` }] };
        await assert.rejects(client.chat.completions.create(request), (err) => {
          assert.ok(err instanceof kind, `${status}: ${err}`);
          assert.equal(err.status, status);
          return true;
        });
      }
    });

    test("an error in a stream", async () => {
      const request = { model, messages: [{ role: "user", content: "break off" }], stream: true };
      const read = async () => {
        for await (const _event of await client.chat.completions.create(request));
      };
      await assert.rejects(read, OpenAI.APIError);
    });

    test("the model list", { skip: direct }, async () => {
      const ids = [];
      for await (const found of client.models.list()) ids.push(found.id);
      assert.ok(ids.includes(model));
    });
  });
}
