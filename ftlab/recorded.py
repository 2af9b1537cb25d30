"""A large model's recorded replies behind OpenAI's protocol, beside a model on this machine.

`data/recorded/*.jsonl` holds replies that a large language model wrote once, each with its exact
request and date, and kept as it came: preambles and mistakes are part of them. No person wrote any.
`serve` answers a recorded request with the recorded reply, and any other with the model at hand,
whose name the reply then carries. Any endpoint of the same protocol takes the place of this one.
"""

import asyncio
import contextlib
import json
import math
import os
import queue
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from ftlab.endpoint import request_hash
from ftlab.errors import DataError, ModelError
from ftlab.files import data_path, read_text

__all__ = ["RECORDED", "Endpoint", "read_recorded", "request_hash", "serve"]

RECORDED = "recorded"
"""The model's name under which recorded replies are asked for."""
WAIT = 0.05  # seconds in which more requests are waited for, to be answered in one batch
TOGETHER = 16  # requests in a batch
UNKNOWN = ("stream", "n", "tools", "response_format", "stop", "logprobs", "functions")


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
        self.counts: Counter[str] = Counter()
        """Replies so far, by the name of the model that wrote them."""
        self.close = stop

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

    Of the protocol it knows chat completions and the list of models, and of a request `model`,
    `messages`, `temperature` (by default 0: greedy), `seed` and the limit on the answer. A sampled
    request without a seed gets another answer each time it is asked, the same ones in every run.
    What would change an answer and is not known (streaming, several choices, tools, a form of the
    answer) is refused. A recorded reply is given whole, whatever the settings.

    Args:
        model: who answers what is not recorded; without one such a request is refused.
        tokenizer: the model's.
        name: the model's name in the protocol.
        files: of `data/recorded`, whose replies are served under the name "recorded"; [] for none.
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
    names = [*([RECORDED] if files else []), *([name] if model is not None else [])]
    waiting: queue.Queue[tuple[dict[str, Any], Future[Any]] | None] = queue.Queue()
    asked: Counter[str] = Counter()
    app = FastAPI()

    def refusal(message: str, status: int = 400) -> JSONResponse:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return JSONResponse({"error": error}, status_code=status)

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        listed = [{"id": n, "object": "model", "created": 0, "owned_by": "ftlab"} for n in names]
        return {"object": "list", "data": listed}

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Any:
        try:
            body = await request.json()
            messages = body["messages"]
            whole = bool(messages) and all(isinstance(m["content"], str) for m in messages)
            key = request_hash(messages)
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            return refusal("Give messages, each with a role and with text as its content.")
        given = {**body, "n": 0 if body.get("n") == 1 else body.get("n")}
        if unknown := [option for option in UNKNOWN if given.get(option)]:
            return refusal(f"This endpoint does not know {', '.join(unknown)}.")
        if body.get("model") not in names:
            return refusal(f"There is no model {body.get('model')!r}; there are {names}.", 404)
        found = replies.get(key) if body["model"] == RECORDED else None
        size = sum(len(message["content"]) for message in messages) // 4
        if found is not None:
            await asyncio.sleep(delay)
            writer, text, date, end = RECORDED, found["reply"], found["date"], "stop"
            used = (size, len(text) // 4)  # four characters to a token
        elif model is None:
            return refusal("This request is not recorded, and no model stands behind.", 404)
        else:
            if body.get("seed") is None:
                body["seed"] = asked[key]
            asked[key] += 1
            answer: Future[Any] = Future()
            waiting.put((body, answer))
            try:
                text, used, end = await asyncio.wrap_future(answer)
            except Exception as error:
                return refusal(str(error))
            writer, date = name, None
        endpoint.counts[writer] += 1
        return {
            "id": f"chatcmpl-{key}", "object": "chat.completion",
            "created": int(time.time()), "model": writer,
            "system_fingerprint": f"recorded {date}" if date else None,
            "choices": [{"index": 0, "finish_reason": end,
                         "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": used[0], "completion_tokens": used[1],
                      "total_tokens": sum(used)},
        }  # fmt: skip

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    threads = [
        threading.Thread(target=server.run, args=([listener],), daemon=True),
        threading.Thread(target=_answer_in_batches, args=(model, tokenizer, waiting), daemon=True),
    ]
    for thread in threads:
        thread.start()

    def stop() -> None:
        server.should_exit = True
        waiting.put(None)
        for thread in threads:
            thread.join(timeout=5)
        listener.close()

    endpoint = Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", stop)
    deadline = time.monotonic() + 20
    while not server.started:
        if time.monotonic() > deadline or not threads[0].is_alive():
            raise ModelError("The endpoint did not start within 20 seconds. Try again.")
        time.sleep(0.02)
    return endpoint


def _answer_in_batches(model: Any, tokenizer: Any, waiting: "queue.Queue[Any]") -> None:
    """Answer requests with the model, those that come together in one batch."""
    from ftlab.generation import context_length, generate
    from ftlab.templates import prompt_ids

    context = (model is not None and context_length(model)) or math.inf
    going_on = True
    while going_on:
        batch = [waiting.get()]
        with contextlib.suppress(queue.Empty):
            while len(batch) < TOGETHER and batch[-1] is not None:
                batch.append(waiting.get(timeout=WAIT))
        going_on = batch[-1] is not None
        by_settings: dict[tuple[int, float], list[Any]] = {}
        for body, answer in filter(None, batch):
            limit = body.get("max_completion_tokens") or body.get("max_tokens") or 256
            by_settings.setdefault((limit, body.get("temperature") or 0.0), []).append(
                (body, answer)
            )
        parts = list(by_settings.items())
        while parts:
            (limit, temperature), some = parts.pop()
            try:
                texts = generate(
                    model, tokenizer, [body["messages"] for body, _ in some],
                    max_new_tokens=limit, temperature=temperature,
                    seed=[body["seed"] for body, _ in some], thoughts=True,
                )  # fmt: skip
            except Exception as error:
                if len(some) > 1:  # one that is too long must not spoil the others
                    parts += [((limit, temperature), [one]) for one in some]
                else:
                    some[0][1].set_exception(error)
                continue
            for (body, answer), text in zip(some, texts, strict=True):
                out = len(tokenizer(text, add_special_tokens=False)["input_ids"])
                into = len(prompt_ids(tokenizer, body["messages"]))
                full = out >= limit or into + out >= context
                answer.set_result((text, (into, out), "length" if full else "stop"))
