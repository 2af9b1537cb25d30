"""A large model's recorded replies behind OpenAI's protocol, beside a model on this machine.

`data/recorded/*.jsonl` holds replies that a large language model wrote once, each with its exact
request and date, and kept as it came: preambles and mistakes are part of them. No person wrote any.
`serve` answers a recorded request with the recorded reply, and any other with the model at hand,
whose name the reply then carries. Any endpoint of the same protocol takes the place of this one.

>>> request_hash([{"role": "user", "content": "Hi"}])
'd7760b4ba3077c46'
"""

import contextlib
import hashlib
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ftlab.errors import DataError, ModelError
from ftlab.files import data_path, read_text

__all__ = ["RECORDED", "Endpoint", "read_recorded", "request_hash", "serve"]

RECORDED = "recorded"
"""The model's name under which recorded replies are asked for."""
WAIT = 0.05  # seconds in which more requests are waited for, to be answered in one batch
TOGETHER = 16  # requests in a batch


def request_hash(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return what names a request: 16 hex digits of the hash of its roles and contents.

    Sampling settings and the model's name are not part of it.
    """
    said = [[message["role"], message["content"]] for message in messages]
    return hashlib.sha256(json.dumps(said, ensure_ascii=True).encode()).hexdigest()[:16]


def read_recorded(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read recorded replies: rows with hash, date, model, messages and reply.

    Raises:
        DataError: a line is no such row, or its hash is not that of its messages.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        try:
            row = json.loads(line)
            whole = row["hash"] == request_hash(row["messages"]) and isinstance(row["reply"], str)
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise DataError(
                f"{path}, line {number}: not a recorded reply (hash, date, model, messages, "
                "reply), or its messages were changed. Get the file anew."
            )
        rows.append(row)
    return rows


class Endpoint:
    """A running server: `url` for a client's base_url, `counts` of who answered, `close()`."""

    def __init__(self, url: str, stop: Any) -> None:
        self.url = url
        self.counts: dict[str, int] = {}
        """Replies so far, by the name of the model that wrote them."""
        self._stop = stop

    def close(self) -> None:
        """Stop answering."""
        self._stop()

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(
    model: Any = None,
    tokenizer: Any = None,
    *,
    name: str = "smollm2-135m",
    files: Sequence[str] = ("teacher", "judge"),
    delay: float = 0.0,
) -> Endpoint:
    """Start an OpenAI-compatible endpoint on this machine; it runs until `close()`.

    Args:
        model: who answers what is not recorded; without one such a request is refused.
        tokenizer: the model's.
        name: the model's name in the protocol.
        files: of `data/recorded`, whose replies are served under the name "recorded".
        delay: seconds that each recorded reply takes, as a distant endpoint would.

    Raises:
        DataError: a file of replies is damaged.
        ModelError: the server did not start.
    """
    import uvicorn
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse

    replies = {
        row["hash"]: row
        for file in files
        for row in read_recorded(data_path(f"recorded/{file}.jsonl"))
    }
    names = [RECORDED, *([name] if model is not None else [])]
    waiting: queue.Queue[tuple[dict[str, Any], Future[str]] | None] = queue.Queue()
    app = FastAPI()

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        listed = [{"id": n, "object": "model", "created": 0, "owned_by": "ftlab"} for n in names]
        return {"object": "list", "data": listed}

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Any:
        import asyncio

        body = await request.json()
        if body.get("model") not in names:
            return _refusal(f"There is no model {body.get('model')!r}; there are {names}.", 404)
        found = replies.get(request_hash(body["messages"])) if body["model"] == RECORDED else None
        if found is not None:
            await asyncio.sleep(delay)
            writer, text, date = RECORDED, found["reply"], found["date"]
        elif model is None:
            return _refusal("This request is not recorded, and no model stands behind.", 404)
        else:
            answer: Future[str] = Future()
            waiting.put((body, answer))
            try:
                text = await asyncio.wrap_future(answer)
            except Exception as error:
                return _refusal(str(error), 400)
            writer, date = name, None
        endpoint.counts[writer] = endpoint.counts.get(writer, 0) + 1
        size = sum(len(message["content"]) for message in body["messages"])
        return {
            "id": f"chatcmpl-{request_hash(body['messages'])}", "object": "chat.completion",
            "created": int(time.time()), "model": writer,
            "system_fingerprint": f"recorded {date}" if date else None,
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": size // 4, "completion_tokens": len(text) // 4,
                      "total_tokens": (size + len(text)) // 4},
        }  # fmt: skip

    def _refusal(message: str, status: int) -> JSONResponse:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return JSONResponse({"error": error}, status_code=status)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    threading.Thread(
        target=_answer_in_batches, args=(model, tokenizer, waiting), daemon=True
    ).start()

    def stop() -> None:
        server.should_exit = True
        waiting.put(None)
        thread.join(timeout=5)

    endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", stop)
    deadline = time.monotonic() + 20
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise ModelError("The endpoint did not start within 20 seconds. Try again.")
        time.sleep(0.02)
    return endpoint


def _answer_in_batches(model: Any, tokenizer: Any, waiting: "queue.Queue[Any]") -> None:
    """Answer requests with the model, those that come together in one batch."""
    from ftlab.generation import generate

    while (first := waiting.get()) is not None:
        batch = [first]
        with contextlib.suppress(queue.Empty):
            while len(batch) < TOGETHER and (more := waiting.get(timeout=WAIT)) is not None:
                batch.append(more)
        by_settings: dict[tuple[int, float, int], list[Any]] = {}
        for body, answer in batch:
            settings = (
                body.get("max_completion_tokens") or body.get("max_tokens") or 256,
                body.get("temperature") or 0.0,
                body.get("seed") or 0,
            )
            by_settings.setdefault(settings, []).append((body["messages"], answer))
        for (longest, temperature, seed), asked in by_settings.items():
            try:
                texts = generate(
                    model, tokenizer, [messages for messages, _ in asked],
                    max_new_tokens=longest, temperature=temperature, seed=seed,
                )  # fmt: skip
            except Exception as error:
                for _, answer in asked:
                    answer.set_exception(error)
                continue
            for (_, answer), text in zip(asked, texts, strict=True):
                answer.set_result(text)
