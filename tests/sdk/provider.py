"""A scripted provider that speaks OpenAI's dialect and Anthropic's. Standard library only.

`script.py` is what it says, `provider_openai.py` and `provider_anthropic.py` how. It answers a request that its
dialect does not allow with that dialect's 400, so that a wrong translation fails."""

import base64
import json
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import provider_anthropic as anthropic
import provider_openai as openai
from script import Refused

KEY = "sk-provider-key-of-the-sdk-tests"
COUNTED_TOKENS = 14


def vector(text: str) -> list[float]:
    return [float(len(text)), 0.5, -1.25]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.split("?")[0]
        if path.startswith("/v1/messages"):
            self.anthropic(path, body)
        elif self.headers["authorization"] != f"Bearer {KEY}":
            self.answer(*openai.fault(401, "wrong provider key", "invalid_request_error"))
        elif path == "/v1/chat/completions":
            self.chat(body)
        elif path == "/v1/embeddings":
            self.embeddings(body)
        elif path == "/v1/completions":
            self.completion(body)
        else:
            self.answer(*openai.fault(404, f"no {self.path} here", "invalid_request_error"))

    def answer(self, status: int, body: dict, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("request-id", "req_scripted")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def chat(self, body: dict) -> None:
        try:
            asked = openai.read(body)
        except Refused as err:
            self.answer(*openai.fault(400, str(err), "invalid_request_error"))
            return
        if asked.failure:
            self.answer(*openai.failure(asked.failure))
        elif body.get("stream"):
            self.stream(openai.events(asked, body))
        else:
            self.answer(200, openai.whole(asked, body))

    def anthropic(self, path: str, body: dict) -> None:
        keys = {self.headers["x-api-key"] or KEY, (self.headers["authorization"] or KEY).removeprefix("Bearer ")}
        if keys != {KEY} or not (self.headers["x-api-key"] or self.headers["authorization"]):
            self.answer(*anthropic.fault(401, "invalid x-api-key"))
            return
        if path not in ("/v1/messages", "/v1/messages/count_tokens"):
            self.answer(*anthropic.fault(404, "Not found"))
            return
        counts = path == "/v1/messages/count_tokens"
        if "model" in body and body["model"] not in anthropic.MODELS:
            self.answer(*anthropic.fault(404, f"model: {body['model']}"))
            return
        try:
            asked = anthropic.read(body, self.headers["anthropic-version"], counts)
        except Refused as err:
            self.answer(*anthropic.fault(400, str(err)))
            return
        if asked.failure:
            self.answer(*anthropic.failure(asked.failure))
        elif counts:
            self.answer(200, {"input_tokens": COUNTED_TOKENS})
        elif body.get("stream"):
            self.stream(anthropic.events(asked, body))
        else:
            self.answer(200, anthropic.whole(asked, body))

    def stream(self, events) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("request-id", "req_scripted")
        self.end_headers()
        for event in events:
            if event is None:
                self.close_connection = True
                return
            # In two chunks, wherever that cuts.
            data = event.encode()
            middle = len(data) // 2
            for chunk in (data[:middle], data[middle:]):
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def completion(self, body: dict) -> None:
        choice = {"index": 0, "text": " upon a time", "finish_reason": "stop", "logprobs": None}
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        self.answer(200, {**openai.head("text_completion"), "choices": [choice], "usage": usage})

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
        self.answer(200, {"object": "list", "data": data, "model": openai.MODEL, "usage": usage})


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
