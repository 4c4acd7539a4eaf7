"""A scripted provider: what it answers is a plain function of what it is asked. Standard library only."""

import base64
import json
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-provider-key-of-the-sdk-tests"
MODEL = "scripted-model-2026-11-01"
WORDS = ["Hello", ", ", "wörld", " 😀"]
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
WEATHER = {"city": "Köln", "days": 3}


def fault(status: int, message: str, kind: str) -> tuple[int, dict]:
    return status, {
        "error": {"message": message, "type": kind, "param": None, "code": None}
    }


def vector(text: str) -> list[float]:
    return [float(len(text)), 0.5, -1.25]


def choice(body: dict) -> dict:
    """The whole message and its finish reason."""
    if body.get("tools"):
        call = {
            "id": "call_1",
            "type": "function",
            "function": {
                "name": body["tools"][0]["function"]["name"],
                "arguments": json.dumps(WEATHER),
            },
        }
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return {"index": 0, "message": message, "finish_reason": "tool_calls"}
    text = "".join(WORDS)
    if body.get("response_format", {}).get("type") == "json_schema":
        text = json.dumps(WEATHER)
    message = {"role": "assistant", "content": text, "refusal": None}
    return {"index": 0, "message": message, "finish_reason": "stop"}


def chunks(body: dict):
    """The deltas of a stream, with their finish reasons."""
    whole = choice(body)
    yield {"role": "assistant", "content": ""}, None
    if "tool_calls" in whole["message"]:
        call = whole["message"]["tool_calls"][0]
        arguments = call["function"]["arguments"]
        head = {"name": call["function"]["name"], "arguments": ""}
        yield {"tool_calls": [{"index": 0, **call, "function": head}]}, None
        for part in (arguments[:5], arguments[5:]):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}, None
    elif body.get("response_format"):
        yield {"content": whole["message"]["content"]}, None
    else:
        for word in WORDS:
            yield {"content": word}, None
    yield {}, whole["finish_reason"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != f"Bearer {KEY}":
            self.answer(*fault(401, "wrong provider key", "invalid_request_error"))
        elif self.path == "/v1/chat/completions":
            self.chat(body)
        elif self.path == "/v1/embeddings":
            self.embeddings(body)
        elif self.path == "/v1/completions":
            self.completion(body)
        else:
            self.answer(*fault(404, f"no {self.path} here", "invalid_request_error"))

    def answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def chat(self, body: dict) -> None:
        said = body["messages"][-1]["content"]
        if isinstance(said, str) and said.startswith("fail with "):
            status = int(said.removeprefix("fail with "))
            self.answer(*fault(status, f"as you wish: {status}", "scripted_error"))
            return
        head = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": MODEL}
        if not body.get("stream"):
            whole = {"object": "chat.completion", "choices": [choice(body)]}
            self.answer(200, {**head, **whole, "usage": USAGE})
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        head["object"] = "chat.completion.chunk"
        for delta, finish in chunks(body):
            event = {"index": 0, "delta": delta, "finish_reason": finish}
            self.event(json.dumps({**head, "choices": [event]}))
        if body.get("stream_options", {}).get("include_usage"):
            self.event(json.dumps({**head, "choices": [], "usage": USAGE}))
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self.wfile.flush()

    def completion(self, body: dict) -> None:
        choice = {"index": 0, "text": " upon a time", "finish_reason": "stop", "logprobs": None}
        self.answer(
            200,
            {
                "id": "cmpl-1",
                "object": "text_completion",
                "created": 1_700_000_000,
                "model": MODEL,
                "choices": [choice],
                "usage": USAGE,
            },
        )

    def embeddings(self, body: dict) -> None:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = []
        for index, text in enumerate(texts):
            embedding = vector(text)
            if body.get("encoding_format") == "base64":
                packed = struct.pack(f"<{len(embedding)}f", *embedding)
                embedding = base64.b64encode(packed).decode()
            data.append({"object": "embedding", "index": index, "embedding": embedding})
        usage = {"prompt_tokens": 4, "total_tokens": 4}
        self.answer(200, {"object": "list", "data": data, "model": MODEL, "usage": usage})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Callers that leave in the middle are part of the tests."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Provider:
    """The provider on a free port, as a context manager."""

    def __init__(self) -> None:
        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> "Provider":
        self._thread.start()
        return self

    def __exit__(self, *_reason) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
