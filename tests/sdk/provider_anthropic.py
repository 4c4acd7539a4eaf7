"""Anthropic's messages as the scripted provider speaks them, after Anthropic's API reference. What the reference does
not know is refused, and so are turns that do not alternate, which the API would join: a translation has no need of
them."""

import json

from script import (
    CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, RETRY_AFTER_SECS, THOUGHTS, WORDS,
    Asked, Reply, reply, require,
)

OLD_VERSION = "2023-06-01"
NEW_VERSION = "2026-10-21"
#: Sampling, which the newer version of the API does not have.
SAMPLING = ["temperature", "top_p", "top_k"]
#: What each model takes of what not all of them do.
MODELS = {
    "claude-sonnet-5-5": {"adaptive", "schema"},
    "claude-haiku-4-5-20251001": {"enabled", "schema", "sampling", "forced calls"},
    "claude-3-haiku-20240307": {"sampling", "forced calls"},
}
SIGNATURE = "c2lnbmVkIGJ5IHRoZSBzY3JpcHQ="
COUNTED = {
    "cache_control", "context_management", "mcp_servers", "messages", "model", "output_config", "output_format",
    "speed", "system", "thinking", "tool_choice", "tools",
}
PARAMETERS = COUNTED | {
    "container", "diagnostics", "inference_geo", "max_tokens", "metadata", "service_tier", "stop_sequences", "stream",
    "temperature", "top_k", "top_p",
}
#: Members that a block must have; `cache_control` is welcome everywhere but in thinking.
BLOCKS = {
    "text": {"text"},
    "image": {"source"},
    "document": {"source"},
    "tool_use": {"id", "name", "input"},
    "tool_result": {"tool_use_id"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
}
OPTIONAL = {
    "text": {"citations"},
    "document": {"title", "context", "citations"},
    "tool_use": {"caller"},
    "tool_result": {"content", "is_error"},
}
OF_ROLE = {
    "user": {"text", "image", "document", "tool_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking"},
    "system": {"text"},
}
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
FINISH = {"stop": "end_turn", "sequence": "stop_sequence", "length": "max_tokens", "call": "tool_use"}


def fault(status: int, message: str) -> tuple[int, dict]:
    error = {"type": ERRORS[status], "message": message}
    return status, {"type": "error", "error": error, "request_id": "req_scripted"}


def failure(status: int) -> tuple[int, dict, dict[str, str]]:
    headers = {"retry-after": str(RETRY_AFTER_SECS)} if status == 429 else {}
    return *fault(status, f"as you wish: {status}"), headers


def read(body: dict, version: str | None, counts: bool) -> Asked:
    """The request, checked; `counts`: to the rules of counting, which generates nothing."""
    require(version in (OLD_VERSION, NEW_VERSION), f"anthropic-version: {version!r} is not a version")
    sampling = [name for name in SAMPLING if name in body]
    require(version == OLD_VERSION or not sampling, f"{sampling}: Extra inputs are not permitted")
    takes = MODELS.get(body.get("model"), set())
    require("sampling" in takes or not sampling, f"{sampling}: not supported by this model")
    for name in body:
        require(name in (COUNTED if counts else PARAMETERS), f"{name}: Extra inputs are not permitted")
    require(body.get("model"), "model: Field required")
    limit = body.get("max_tokens")
    if not counts:
        require(limit is not None, "max_tokens: Field required")
        require(type(limit) is int and limit > 0, "max_tokens: Input should be a positive integer")
    require(set(body.get("metadata") or {}) <= {"user_id"}, "metadata: Extra inputs are not permitted")
    require(0 <= body.get("temperature", 1) <= 1, "temperature: range: 0..1")
    stops = body.get("stop_sequences") or []
    require(all(isinstance(stop, str) and stop.strip() for stop in stops), "stop_sequences: must not be blank")
    asked = Asked(thinks=read_thinking(body, takes), wants_json=read_format(body, takes), stops=stops, limit=limit)
    asked.tool = read_tools(body)
    asked.forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    require("forced calls" in takes or not asked.forced, "tool_choice: forcing is not supported by this model")
    read_system(body.get("system", "You greet."))
    read_messages(body.get("messages"), asked)
    marks = json.dumps(body).count('"cache_control": {')
    require(marks <= 4, f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")
    return asked


def read_thinking(body: dict, takes: set[str]) -> bool:
    thinking = body.get("thinking") or {"type": "disabled"}
    if thinking.get("type") == "disabled":
        return False
    require(thinking.get("type") in takes, f"thinking.type.{thinking.get('type')}: not supported by this model")
    if thinking["type"] == "enabled":
        budget = thinking.get("budget_tokens")
        require(type(budget) is int and budget >= 1024, "thinking.enabled.budget_tokens: at least 1024")
        require(budget < body.get("max_tokens", budget + 1), "`max_tokens` must be greater than `budget_tokens`")
    require(body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled")
    forces = body.get("tool_choice", {}).get("type") in ("any", "tool")
    require(not forces, "Thinking may not be enabled when tool_choice forces tool use.")
    return True


def read_format(body: dict, takes: set[str]) -> bool:
    config = body.get("output_config") or {}
    require(set(config) <= {"effort", "format"}, "output_config: Extra inputs are not permitted")
    form = config.get("format") or body.get("output_format")
    if form is None:
        return False
    require("schema" in takes, "output_config.format: not supported by this model")
    require(form.get("type") == "json_schema", "output_config.format.type: Input should be 'json_schema'")
    closed = form.get("schema", {}).get("additionalProperties") is False
    require(closed, "output_config.format.schema: 'additionalProperties' must be explicitly set to false")
    return True


def read_tools(body: dict) -> str | None:
    """The name of the tool to call."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not tools:
        require(choice is None, "tool_choice may only be specified while providing tools")
        return None
    for index, tool in enumerate(tools):
        if tool.get("type", "custom") == "custom":
            require(isinstance(tool.get("name"), str), f"tools.{index}.custom.name: Field required")
            schema = tool.get("input_schema")
            require(isinstance(schema, dict), f"tools.{index}.custom.input_schema: Field required")
            require(schema.get("type") == "object", f"tools.{index}.custom.input_schema.type: Field required")
        require("function" not in tool, f"tools.{index}.function: Extra inputs are not permitted")
    choice = choice or {"type": "auto"}
    kinds = ("auto", "any", "tool", "none")
    require(isinstance(choice, dict) and choice.get("type") in kinds, f"tool_choice: not one of {kinds}")
    names = [tool["name"] for tool in tools]
    if choice["type"] == "tool":
        require(choice.get("name") in names, f"Tool '{choice.get('name')}' not found in provided tools")
        return choice["name"]
    return None if choice["type"] == "none" else names[0]


def read_system(system: object) -> None:
    if not isinstance(system, str):
        require(isinstance(system, list), "system: Input should be a valid list")
        read_blocks(system, "system", "system")


def read_messages(messages: object, asked: Asked) -> None:
    require(isinstance(messages, list) and messages, "messages: at least one message is required")
    open_calls: list[str] = []
    before = None
    for index, message in enumerate(messages):
        path = f"messages.{index}"
        role = message.get("role")
        require(role in OF_ROLE, f"{path}.role: Input should be 'user' or 'assistant'")
        # A system message may turn the effort of what follows it (beta "per-turn-control").
        extra = set(message) - {"role", "content"} - ({"output_config"} if role == "system" else set())
        require(not extra and "content" in message, f"{path}: members are {sorted(message)}")
        require(before is not None or role == "user", f"{path}: first message must use the user role")
        require(role != before, f"{path}: roles must alternate")
        before = role
        blocks = message["content"]
        if isinstance(blocks, str):
            require(blocks, f"{path}: text content blocks must be non-empty")
            blocks = [{"type": "text", "text": blocks}]
        read_blocks(blocks, role, f"{path}.content")
        read_results(blocks, open_calls, path)
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if role == "user":
            read_user(blocks, asked)
        elif role == "assistant":
            # Thinking that called tools has to come back as it was.
            needed = asked.thinks and open_calls and index == len(messages) - 2
            require(not needed or blocks[0]["type"].endswith("thinking"), f"{path}.content.0.type: Expected `thinking`")
    require(not open_calls, "`tool_use` blocks must be followed by `tool_result` blocks")
    if before == "assistant":
        last = blocks[-1].get("text", "")
        require(last == last.rstrip(), "messages: final assistant content cannot end with trailing whitespace")


def read_blocks(blocks: object, role: str, path: str) -> None:
    require(isinstance(blocks, list) and blocks, f"{path}: must be a string or blocks")
    for index, block in enumerate(blocks):
        at = f"{path}.{index}"
        kind = block.get("type")
        require(kind in OF_ROLE[role], f"{at}: a {role} turn has no block {kind!r}")
        missing = BLOCKS[kind] - set(block)
        require(not missing, f"{at}.{kind}: Fields required: {sorted(missing)}")
        extra = set(block) - BLOCKS[kind] - OPTIONAL.get(kind, set()) - {"type"}
        extra -= set() if kind.endswith("thinking") else {"cache_control"}
        require(not extra, f"{at}.{kind}: Extra inputs are not permitted: {sorted(extra)}")
        if kind == "text":
            require(block["text"], f"{at}: text content blocks must be non-empty")
        elif kind == "tool_use":
            require(isinstance(block["input"], dict), f"{at}.tool_use.input: Input should be a valid dictionary")
        elif kind == "thinking":
            require(block["signature"] == SIGNATURE, f"{at}: Invalid `signature` in `thinking` block")
            require(block["thinking"] in ("", "".join(THOUGHTS)), f"{at}: thinking blocks cannot be modified")


def read_results(blocks: list[dict], open_calls: list[str], path: str) -> None:
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    first = [block["type"] for block in blocks[: len(results)]]
    require(all(kind == "tool_result" for kind in first), f"{path}: tool_result blocks come first")
    unknown = set(results) - set(open_calls)
    require(not unknown, f"{path}: unexpected `tool_use_id` found in `tool_result` blocks: {sorted(unknown)}")
    missing = set(open_calls) - set(results)
    require(not missing, f"{path}: `tool_use` ids without `tool_result` blocks: {sorted(missing)}")


def read_user(blocks: list[dict], asked: Asked) -> None:
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    asked.said = texts[-1] if texts else ""
    asked.attachments = [media_type(block["source"]) for block in blocks if block["type"] in ("image", "document")]
    asked.results = [result_text(block) for block in blocks if block["type"] == "tool_result"]


def result_text(block: dict) -> str:
    content = block.get("content", "")
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return f"error {text}" if block.get("is_error") else text


def media_type(source: dict) -> str:
    if source.get("type") == "url":
        return source["url"]
    require(source.get("type") in ("base64", "text"), f"source.type: {source.get('type')!r}")
    require(isinstance(source.get("data"), str), "source.data: Field required")
    return source["media_type"]


def usage(body: dict) -> dict:
    marked = '"cache_control": {' in json.dumps(body)
    read, written = (CACHE_READ_TOKENS, CACHE_WRITE_TOKENS) if marked else (0, 0)
    return {
        "input_tokens": INPUT_TOKENS,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "service_tier": "standard",
    }


def blocks(answer: Reply, body: dict) -> list[dict]:
    said = []
    if answer.thoughts:
        hidden = (body.get("thinking") or {}).get("display") == "omitted"
        thoughts = "" if hidden else "".join(answer.thoughts)
        said.append({"type": "thinking", "thinking": thoughts, "signature": SIGNATURE})
    if answer.words:
        said.append({"type": "text", "text": "".join(answer.words)})
    for call in answer.calls:
        identifier = call.id.replace("call", "toolu")
        said.append({"type": "tool_use", "id": identifier, "name": call.name, "input": call.arguments})
    return said


def whole(asked: Asked, body: dict) -> dict:
    answer = reply(asked)
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks(answer, body),
        "stop_reason": FINISH[answer.end],
        "stop_sequence": answer.sequence,
        "usage": usage(body),
    }


def event(kind: str, **members: object) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n"


def pieces(block: dict, answer: Reply) -> tuple[dict, list[dict]]:
    """How a block starts, and its deltas."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in answer.words]
    if block["type"] == "thinking":
        thoughts = answer.thoughts if block["thinking"] else []
        deltas = [{"type": "thinking_delta", "thinking": thought} for thought in thoughts]
        return {**block, "thinking": "", "signature": ""}, [
            *deltas, {"type": "signature_delta", "signature": SIGNATURE},
        ]
    text = json.dumps(block["input"])
    parts = ["", text[:5], text[5:]]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]


def events(asked: Asked, body: dict):
    """The events of a stream, as they are on the wire. None: hang up."""
    message = {**whole(asked, body), "content": [], "stop_reason": None, "stop_sequence": None}
    message["usage"] = {**usage(body), "output_tokens": 1}
    yield event("message_start", message=message)
    answer = reply(asked)
    if asked.breaks_off or asked.hangs_up:
        answer.words = WORDS[:2]
    for index, block in enumerate(blocks(answer, body)):
        start, deltas = pieces(block, answer)
        yield event("content_block_start", index=index, content_block=start)
        if index == 0:
            yield event("ping")
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        if asked.hangs_up:
            yield None
        if asked.breaks_off:
            yield event("error", error={"type": "overloaded_error", "message": "Overloaded"})
            return
        yield event("content_block_stop", index=index)
    end = {"stop_reason": FINISH[answer.end], "stop_sequence": answer.sequence}
    counted = {name: count for name, count in usage(body).items() if name.endswith("_tokens")}
    yield event("message_delta", delta=end, usage=counted)
    yield event("message_stop")
