"""A small server of OpenAI's protocol, for tests: it really answers, and fails when told to.

    with serving() as server:                      # in a thread; server.url ends in /v1
        server.plan(["429", "ok", "500"])          # what the next requests meet, then "ok" for ever
        ...
        server.asked                               # the Idempotency-Key of every request


What it writes comes from `write(messages) -> str`: by default a random tiny model, decoded.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, PlainTextResponse

Write = Callable[[list[dict[str, str]]], str]
KEY = "sk-right"


class Server:
    """The app, what it was told to do, and what it was asked."""

    def __init__(self, write: Write, models: Sequence[str] = ("tiny", "tiny-instruct")) -> None:
        self.models = list(models)
        self.url = ""
        self._at_once = 0
        self.reset(write)

    def reset(self, write: Write) -> None:
        """Forget what was asked and told before, and write so from now on."""
        self.write = write
        self.asked: list[str] = []
        self.charged: list[str] = []
        """Keys of the requests that were answered with a completion, which costs."""
        self.delay = 0.0
        self.lists_models = True
        self.most_at_once = 0
        self.bodies: list[dict[str, Any]] = []
        self._plan: list[str] = []

    def plan(self, fates: Sequence[str]) -> None:
        self._plan = list(fates)

    def app(self) -> FastAPI:
        app = FastAPI()

        def refused(authorization: str | None) -> JSONResponse | None:
            if authorization == f"Bearer {KEY}":
                return None
            return error(401, "Incorrect API key provided.")

        @app.get("/v1/models", response_model=None)
        async def models(authorization: str | None = Header(None)) -> Any:
            if no := refused(authorization):
                return no
            if not self.lists_models:
                return error(404, "Not Found")
            data = [
                {"id": m, "object": "model", "created": 0, "owned_by": "us"} for m in self.models
            ]
            return {"object": "list", "data": data}

        @app.post("/v1/chat/completions", response_model=None)
        async def chat(
            request: Request,
            authorization: str | None = Header(None),
            idempotency_key: str = Header(""),
        ) -> Any:
            if no := refused(authorization):
                return no
            body = await request.json()
            self.bodies.append(body)
            self.asked.append(idempotency_key)
            fate = self._plan.pop(0) if self._plan else "ok"
            if body["model"] not in self.models:
                return error(404, f"The model {body['model']} does not exist.")
            if fate == "429":
                return error(429, "Rate limit reached.", {"retry-after": "0.05"})
            if fate in ("400", "500", "503"):
                return error(int(fate), "It was told to fail.")
            if fate == "quota":
                return error(
                    429, "No money left.", {"x-should-retry": "false"}, "insufficient_quota"
                )
            if fate == "no temperature" and "temperature" in body:
                return error(400, "temperature does not support 0 with this model.")
            if fate == "new name" and "max_tokens" in body:
                return error(400, "max_tokens is unsupported; use max_completion_tokens instead.")
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            await asyncio.sleep(1.5 if fate == "slow" else self.delay)
            text = await asyncio.to_thread(self.write, body["messages"])
            self._at_once -= 1
            self.charged.append(idempotency_key)
            if fate == "truncated":
                return PlainTextResponse(
                    '{"id": "x", "choices": [{"mess', media_type="application/json"
                )
            said = {"role": "assistant", "content": text}
            end = "length" if fate == "cut" else "stop"
            size = sum(len(m["content"]) for m in body["messages"]) // 4
            return {
                "id": "chat-1", "object": "chat.completion", "created": 0, "model": body["model"],
                "choices": [{"index": 0, "message": said, "finish_reason": end}],
                "usage": {"prompt_tokens": size, "completion_tokens": len(text) // 4,
                          "total_tokens": size + len(text) // 4},
            }  # fmt: skip

        return app


def error(
    status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None
) -> JSONResponse:
    told = {"error": {"message": message, "type": "error", "code": code}}
    return JSONResponse(told, status, headers)


@contextlib.contextmanager
def serving(write: Write, **options: Any) -> Iterator[Server]:
    """Serve in a thread of this process, on a free port."""
    server = Server(write, **options)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    config = uvicorn.Config(server.app(), log_level="error", lifespan="off")
    runner = uvicorn.Server(config)
    thread = threading.Thread(target=runner.run, args=([listener],), daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not runner.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield server
    finally:
        runner.should_exit = True
        thread.join(10)
        listener.close()


def model_writes(model: Any, tokenizer: Any, most: int = 24) -> Write:
    """Return a writer that really generates with a model."""
    from ftlab.generation import generate

    lock = threading.Lock()

    def write(messages: list[dict[str, str]]) -> str:
        with lock:
            return generate(model, tokenizer, [messages], max_new_tokens=most)[0]

    return write
