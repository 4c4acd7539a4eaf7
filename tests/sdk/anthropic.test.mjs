// Anthropic's official Node SDK against a base URL, for every kind of target: messages, streams, tools, thinking, token
// counting, errors. Run by run.py, which sets the variables.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { apiKey, claude, direct, forecast, openai, reasoner, text, thought, url } from "./targets.mjs";

const messages = [{ role: "user", content: "Greet me." }];
const max_tokens = 100;
const tools = [
  {
    name: "weather",
    description: "Tells the weather.",
    input_schema: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } } },
  },
];
const thinking = { type: "enabled", budget_tokens: 1024 };

const textOf = (message) => message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
const say = (content) => ({ max_tokens, messages: [{ role: "user", content }] });

for (const model of direct ? [claude] : [claude, openai]) {
  describe(`Anthropic's Node SDK, with ${model}`, () => {
    const client = new Anthropic({ apiKey, baseURL: url, maxRetries: 0 });

    test("an answer", async () => {
      const answer = await client.messages.create({ model, max_tokens, messages, system: "Be brief." });
      assert.equal(textOf(answer), text);
      assert.equal(answer.stop_reason, "end_turn");
      assert.equal(answer.model, model);
      assert.deepEqual([answer.usage.input_tokens, answer.usage.output_tokens], [11, 7]);
      assert.ok(answer._request_id);
    });

    test("a stream joined is the whole answer", async () => {
      const stream = client.messages.stream({ model, max_tokens, messages });
      let joined = "";
      stream.on("text", (piece) => (joined += piece));
      const answer = await stream.finalMessage();
      assert.equal(joined, text);
      assert.equal(textOf(answer), text);
      assert.deepEqual([answer.usage.input_tokens, answer.usage.output_tokens], [11, 7]);
    });

    test("the events of a stream", async () => {
      const kinds = new Set();
      for await (const event of await client.messages.create({ model, max_tokens, messages, stream: true })) {
        kinds.add(event.type);
      }
      assert.deepEqual(
        [...kinds].filter((kind) => kind !== "ping"),
        [
          "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
          "message_stop",
        ],
      );
    });

    test("a tool call, whole and streamed, and its result", async () => {
      const whole = await client.messages.create({ model, max_tokens, messages, tools });
      const streamed = await client.messages.stream({ model, max_tokens, messages, tools }).finalMessage();
      for (const answer of [whole, streamed]) {
        assert.equal(answer.stop_reason, "tool_use");
        const call = answer.content.find((block) => block.type === "tool_use");
        assert.equal(call.name, "weather");
        assert.deepEqual(call.input, forecast);
        const turns = [
          ...messages,
          { role: "assistant", content: answer.content },
          { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "12 °C" }] },
        ];
        const then = await client.messages.create({ model, max_tokens, messages: turns, tools });
        assert.equal(textOf(then), "It said: 12 °C");
      }
    });

    test("thinking, whole and streamed", async () => {
      const request = { model: model === openai ? reasoner : model, max_tokens: 3000, messages, thinking };
      const whole = await client.messages.create(request);
      const streamed = await client.messages.stream(request).finalMessage();
      for (const answer of [whole, streamed]) {
        assert.deepEqual(
          answer.content.map((block) => block.type),
          ["thinking", "text"],
        );
        assert.equal(answer.content[0].thinking, thought);
      }
    });

    test("structured output", async () => {
      const schema = {
        type: "object",
        properties: { city: { type: "string" }, days: { type: "integer" } },
        required: ["city", "days"],
        additionalProperties: false,
      };
      const output_config = { format: { type: "json_schema", schema } };
      const answer = await client.messages.create({ model, max_tokens, messages, output_config });
      assert.deepEqual(JSON.parse(textOf(answer)), forecast);
    });

    test("counting tokens", async () => {
      const counted = await client.messages.countTokens({ model, messages });
      assert.ok(counted.input_tokens > 0);
    });

    test("errors are the classes of the SDK", async () => {
      for (const [status, kind, type] of [
        [400, Anthropic.BadRequestError, "invalid_request_error"],
        [401, Anthropic.AuthenticationError, "authentication_error"],
        [403, Anthropic.PermissionDeniedError, "permission_error"],
        [404, Anthropic.NotFoundError, "not_found_error"],
        [429, Anthropic.RateLimitError, "rate_limit_error"],
        [500, Anthropic.InternalServerError, "api_error"],
      ]) {
        await assert.rejects(client.messages.create({ model, ...say(`fail with ${status}`) }), (err) => {
          assert.ok(err instanceof kind, `${status}: ${err}`);
          assert.equal(err.status, status);
          assert.equal(err.error.error.type, type);
          assert.ok(err.requestID);
          if (status === 429) assert.equal(err.headers.get("retry-after"), "7");
          return true;
        });
      }
    });

    test("an error in a stream", async () => {
      const read = async () => {
        for await (const _event of await client.messages.create({ model, ...say("break off"), stream: true }));
      };
      await assert.rejects(read, Anthropic.APIError);
    });
  });
}
