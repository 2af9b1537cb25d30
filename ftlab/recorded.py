"""A large model's recorded replies behind OpenAI's protocol, beside a model on this machine.

`data/recorded/*.jsonl` holds replies that a large language model wrote once, each with its exact
request and date, and kept as it came: preambles and mistakes are part of them. No person wrote any.
`serve` answers a recorded request with the recorded reply, and any other with the model at hand,
whose name the reply then carries. Any endpoint of the same protocol takes the place of this one.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ftlab.endpoint import request_hash
from ftlab.errors import DataError
from ftlab.files import data_path, read_text

__all__ = ["RECORDED", "Endpoint", "read_recorded", "request_hash", "serve"]

RECORDED = "recorded"  # the model's name under which recorded replies are asked for


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
    """A running server: `url` for a client's base_url, and `close()`."""

    def __init__(self, url: str, close: Callable[[], None]) -> None:
        self.url, self.close = url, close

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(
    model: Any = None, tokenizer: Any = None, *, name: str = "smollm2-135m",
    files: Sequence[str] = ("teacher", "judge"), delay: float = 0.0,
) -> Endpoint:  # fmt: skip
    """Start an OpenAI-compatible endpoint on this machine; it runs until `close()`.

    It knows chat completions, as `ftlab.serving.chat` answers them but with temperature 0 where a
    request names none, and the list of models. A sampled request without a seed gets another answer
    each time it is asked, the same ones in every run. A recorded reply is given whole, whatever the
    settings.

    Args:
        model: who answers what is not recorded; without one such a request is refused.
        tokenizer: the model's.
        name: the model's name in the protocol.
        files: of `data/recorded`, whose replies are served under the name "recorded"; [] for none.
        delay: seconds that each recorded reply takes, as a distant endpoint would.

    Raises:
        DataError: a file of replies is damaged.
        ModelError: the server did not start, or (when asked) the model cannot be batched.
    """
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import JSONResponse
    from openai.types import Model
    from openai.types.chat import ChatCompletion

    from ftlab.serving.chat import complete
    from ftlab.serving.engine import Engine
    from ftlab.serving.protocol import ChatRequest, Refused, fields, handle, list_of
    from ftlab.serving.server import Running

    rows = [row for file in files for row in read_recorded(data_path(f"recorded/{file}.jsonl"))]
    replies = {row["hash"]: row for row in rows}
    names = [RECORDED] * bool(files) + [name] * (model is not None)
    engine = None if model is None else Engine(model=model, tokenizer=tokenizer)
    asked: Counter[str] = Counter()
    app = FastAPI()
    handle(app)

    @app.get("/v1/models")
    def models() -> Response:
        every = (Model(id=n, object="model", created=0, owned_by="ftlab") for n in names)
        return list_of([fields(one) for one in every])

    @app.post("/v1/chat/completions")
    async def chat(request: Request, given: ChatRequest) -> Response:
        if given.model not in names:
            raise Refused(404, f"There is no model {given.model!r}; there are {names}.")
        try:
            key = request_hash(given.messages)
        except (KeyError, TypeError, AttributeError):
            raise Refused(400, "Give messages, each with a role.", param="messages") from None
        found = replies.get(key) if given.model == RECORDED else None
        if found is None:
            if engine is None:
                raise Refused(404, "This request is not recorded, and no model stands behind.")
            engine.load().eval()  # whoever trains it may have left it otherwise
            again, asked[key] = asked[key], asked[key] + 1
            given.model, given.temperature = name, given.temperature or 0.0
            given.seed = again if given.seed is None else given.seed
            given.max_tokens = given.max_tokens or 256
            return await complete(request, given, engine, None)
        if given.stream or (given.n or 1) > 1:
            raise Refused(400, "A recorded reply is neither streamed nor one of several.")
        await asyncio.sleep(delay)
        text = found["reply"]
        into = sum(len(str(message.get("content"))) for message in given.messages) // 4
        out = len(text) // 4  # four characters to a token
        return JSONResponse(fields(ChatCompletion.model_validate({
            "id": f"chatcmpl-{key}", "object": "chat.completion", "created": int(time.time()),
            "model": RECORDED, "system_fingerprint": f"recorded {found['date']}",
            "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                         "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out},
        })))  # fmt: skip

    running = Running(app)

    def close() -> None:
        running.close()
        if engine is not None:
            engine.close()

    return Endpoint(f"{running.url}/v1", close)
