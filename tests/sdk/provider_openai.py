"""OpenAI's chat completions as the scripted provider speaks them, after OpenAI's API reference. What the reference
does not know is refused, so that a client's other dialect cannot pass through unnoticed."""

import json

from script import (
    CACHE_READ_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, RETRY_AFTER_SECS, WORDS, Asked, Reply, reply, require,
)

MODEL = "scripted-model-2026-11-01"
#: One that takes everything, and one that reasons, which has a limit of its own name and no sampling.
MODELS = {"scripted-model", "gpt-5-scripted"}
PARAMETERS = {
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "modalities", "model", "n", "parallel_tool_calls", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature",
    "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
}
MESSAGE = {
    "developer": {"role", "content", "name"},
    "system": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}
PARTS = {"text": {"text"}, "image_url": {"image_url"}, "file": {"file"}, "input_audio": {"input_audio"}}
EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh"}
FINISH = {"stop": "stop", "sequence": "stop", "length": "length", "call": "tool_calls"}


def fault(status: int, message: str, kind: str) -> tuple[int, dict]:
    return status, {"error": {"message": message, "type": kind, "param": None, "code": None}}


def failure(status: int) -> tuple[int, dict, dict[str, str]]:
    headers = {"retry-after": str(RETRY_AFTER_SECS)} if status == 429 else {}
    return *fault(status, f"as you wish: {status}", "scripted_error"), headers


def read(body: dict) -> Asked:
    """The request, checked."""
    unknown = set(body) - PARAMETERS
    require(not unknown, f"Unknown parameters: {sorted(unknown)}")
    require(body.get("model") in MODELS, f"The model {body.get('model')!r} does not exist")
    if body["model"].startswith("gpt-5"):
        require("max_tokens" not in body, "'max_tokens' is not supported with this model")
        require(body.get("temperature", 1) == 1, "'temperature' is not supported with this model")
    require("max_tokens" not in body or "max_completion_tokens" not in body, "One limit, not two")
    require(body.get("reasoning_effort", "low") in EFFORTS, f"Not an effort: {body.get('reasoning_effort')!r}")
    stops = body.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    require(len(stops) <= 4, "At most 4 stop sequences")
    asked = Asked(
        tool=read_tools(body),
        forced=body.get("tool_choice", "auto") not in ("auto", "none"),
        wants_json=body.get("response_format", {}).get("type") == "json_schema",
        thinks=body.get("reasoning_effort", "none") != "none",
        stops=stops,
        limit=body.get("max_completion_tokens", body.get("max_tokens")),
    )
    read_format(body.get("response_format"))
    read_messages(body.get("messages"), asked)
    return asked


def read_format(form: dict | None) -> None:
    if form is None or form.get("type") != "json_schema":
        return
    described = form.get("json_schema", {})
    require(isinstance(described.get("name"), str), "response_format.json_schema.name is required")
    require(isinstance(described.get("schema"), dict), "response_format.json_schema.schema is required")


def read_tools(body: dict) -> str | None:
    """The name of the tool to call."""
    tools, chosen = body.get("tools"), body.get("tool_choice", "auto")
    if tools is None:
        require("tool_choice" not in body, "tool_choice needs tools")
        return None
    for tool in tools:
        require(set(tool) == {"type", "function"} and tool["type"] == "function", f"Not a tool: {tool}")
        known = {"name", "description", "parameters", "strict"}
        require(set(tool["function"]) <= known, f"Unknown members of a function: {sorted(tool['function'])}")
    names = [tool["function"]["name"] for tool in tools]
    if isinstance(chosen, dict):
        require(set(chosen) == {"type", "function"}, f"Not a tool choice: {chosen}")
        require(chosen["function"]["name"] in names, f"No such tool: {chosen}")
        return chosen["function"]["name"]
    require(chosen in ("auto", "none", "required"), f"Not a tool choice: {chosen!r}")
    return None if chosen == "none" else names[0]


def read_messages(messages: object, asked: Asked) -> None:
    require(isinstance(messages, list) and messages, "messages must be a list with something in it")
    unanswered: list[str] = []
    for index, message in enumerate(messages):
        role = message.get("role")
        require(role in MESSAGE, f"messages[{index}].role: {role!r}")
        unknown = set(message) - MESSAGE[role]
        require(not unknown, f"messages[{index}]: unknown members {sorted(unknown)}")
        texts, attachments = read_content(message.get("content"), role, f"messages[{index}].content")
        if role == "tool":
            require(message.get("tool_call_id") in unanswered, f"messages[{index}]: no such call is open")
            unanswered.remove(message["tool_call_id"])
            asked.results.append("".join(texts))
            continue
        require(not unanswered, f"messages[{index}]: calls without a result: {unanswered}")
        if role == "assistant":
            asked.results = []
            unanswered = [call["id"] for call in read_calls(message, index)]
            require(texts or unanswered, f"messages[{index}]: an assistant that says nothing")
        elif role == "user":
            asked.said, asked.attachments = (texts or [""])[-1], attachments
    require(not unanswered, f"calls without a result: {unanswered}")


def read_calls(message: dict, index: int) -> list[dict]:
    calls = message.get("tool_calls") or []
    for call in calls:
        require(set(call) == {"id", "type", "function"}, f"messages[{index}].tool_calls: {sorted(call)}")
        require(set(call["function"]) == {"name", "arguments"}, f"messages[{index}].tool_calls: {call}")
        require(isinstance(json.loads(call["function"]["arguments"]), dict), "arguments must be an object as text")
    return calls


def read_content(content: object, role: str, path: str) -> tuple[list[str], list[str]]:
    """Texts, and media types of what else there is."""
    if content is None:
        require(role == "assistant", f"{path} is required")
        return [], []
    if isinstance(content, str):
        return [content] if content else [], []
    texts, attachments = [], []
    require(isinstance(content, list) and content, f"{path} must be a string or parts")
    for part in content:
        kind = part.get("type")
        require(kind == "text" or (kind in PARTS and role == "user"), f"{path}: a {role} has no part {kind!r}")
        require(set(part) == {"type", *PARTS[kind]}, f"{path}: members of a {kind} part: {sorted(part)}")
        if kind == "text":
            texts.append(part["text"])
        elif kind == "image_url":
            attachments.append(media_type(part["image_url"]["url"], path))
        elif kind == "file":
            attachments.append(media_type(part["file"].get("file_data", ""), path))
    return texts, attachments


def media_type(url: str, path: str) -> str:
    if url.startswith("https://"):
        return url
    require(url.startswith("data:") and ";base64," in url, f"{path}: neither https nor a data URL")
    return url.removeprefix("data:").split(";")[0]


def usage(asked: Asked) -> dict:
    cached = CACHE_READ_TOKENS if asked.said.endswith("from the cache") else 0
    sums = {"prompt_tokens": INPUT_TOKENS + cached, "completion_tokens": OUTPUT_TOKENS}
    details = {"prompt_tokens_details": {"cached_tokens": cached}} if cached else {}
    return {**sums, "total_tokens": sum(sums.values()), **details}


def whole(asked: Asked, body: dict) -> dict:
    answer = reply(asked)
    message: dict = {"role": "assistant", "content": "".join(answer.words), "refusal": None}
    if answer.thoughts:
        message["reasoning_content"] = "".join(answer.thoughts)
    if answer.calls:
        message["tool_calls"] = [tool_call(call) for call in answer.calls]
    choice = {"index": 0, "message": message, "finish_reason": FINISH[answer.end]}
    return {**head("chat.completion"), "choices": [choice], "usage": usage(asked)}


def tool_call(call) -> dict:
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def head(kind: str) -> dict:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": MODEL}


def deltas(answer: Reply):
    yield {"role": "assistant", "content": ""}
    for thought in answer.thoughts:
        yield {"reasoning_content": thought}
    for word in answer.words:
        yield {"content": word}
    for index, call in enumerate(map(tool_call, answer.calls)):
        arguments = call["function"]["arguments"]
        function = {**call["function"], "arguments": ""}
        yield {"tool_calls": [{"index": index, **call, "function": function}]}
        for part in (arguments[:5], arguments[5:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def events(asked: Asked, body: dict):
    """The events of a stream, as they are on the wire. None: hang up."""
    start = head("chat.completion.chunk")

    def chunk(delta: dict, finish: str | None = None) -> str:
        return f"data: {json.dumps({**start, 'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}]})}\n\n"

    if asked.breaks_off or asked.hangs_up:
        yield from (chunk({"role": "assistant", "content": word}) for word in WORDS[:2])
        if asked.hangs_up:
            yield None
        yield f"data: {json.dumps(fault(503, 'The engine is overloaded', 'overloaded_error')[1])}\n\n"
        return
    answer = reply(asked)
    for delta in deltas(answer):
        yield chunk(delta)
    yield chunk({}, FINISH[answer.end])
    if (body.get("stream_options") or {}).get("include_usage"):
        yield f"data: {json.dumps({**start, 'choices': [], 'usage': usage(asked)})}\n\n"
    yield "data: [DONE]\n\n"
