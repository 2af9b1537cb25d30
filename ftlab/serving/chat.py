"""Chat completions: a request in OpenAI's form becomes an answer, whole or in chunks.

A field that is not in `ChatRequest` is refused by name; docs/service.md has the table.
"""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import Field

from ftlab import formats, templates
from ftlab.errors import DataError, FtlabError
from ftlab.generation import context_length
from ftlab.serving.engine import Ask, Engine
from ftlab.serving.protocol import Closed, Metadata, Refused, json_of, too_many

MOST = 512  # tokens of an answer where the request says nothing
CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
TO_LEARN = ("no_assistant", "wrong_order", "empty_content")  # faults of rows, but not of questions

Number = Annotated[float, Field(strict=False, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1)]
Messages = list[dict[str, Any]]


class StreamOptions(Closed):
    """What a stream carries besides."""

    include_usage: bool | None = None


class ChatRequest(Closed):
    """What is asked for; the names are OpenAI's."""

    messages: Annotated[Messages, Field(min_length=1, max_length=2048)]
    model: str
    max_completion_tokens: Count | None = None
    max_tokens: Count | None = None
    metadata: Metadata = None  # of what is stored
    n: Literal[1] | None = None
    parallel_tool_calls: bool | None = None  # taken without effect, as is the user
    seed: Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    user: str | None = None


async def complete(
    request: Request, asked: ChatRequest, engine: Engine, folder: Path | None, *,
    temperature: float = 1.0, most: int = MOST, seed: int | None = None, name: str | None = None,
    keep: Callable[[ChatCompletion, Messages], None] | None = None,
) -> Response:  # fmt: skip
    """Answer a request, as a whole or as server-sent events, while its connection is open.

    Args:
        request, asked: the connection, and what was asked for.
        engine, folder: what answers, and the folder of the adapter; None for the base.
        temperature, most, seed: where the request names none; the seed is another one each time.
        name: the model's name in the answer, by default the one asked for.
        keep: stores the answer with its messages, before its end is sent; None stores nothing.

    Raises:
        Refused: the request cannot be answered so.
    """
    model = await asyncio.to_thread(engine.load)
    turns, prompt = await asyncio.to_thread(_prompt, engine.tokenizer, asked)
    context = context_length(model) or len(prompt) + (1 << 20)
    if len(prompt) >= context:
        raise Refused(
            400, f"This model's maximum context length is {context} tokens. However, your messages "
            f"resulted in {len(prompt)} tokens. Please reduce the length of the messages.",
            param="messages", code="context_length_exceeded",
        )  # fmt: skip
    stream: asyncio.Queue[int | Exception | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    ask = Ask(
        prompt, tell=lambda told: loop.call_soon_threadsafe(stream.put_nowait, told),
        limit=min(asked.max_completion_tokens or asked.max_tokens or most, context - len(prompt)),
        folder=folder, temperature=temperature if asked.temperature is None else asked.temperature,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        seed=next(s for s in (asked.seed, seed, secrets.randbits(32)) if s is not None),
    )  # fmt: skip
    if not engine.ask(ask):
        raise too_many("Too many answers are being written. Try again in a moment.", 1)
    answer = _Answer(engine.tokenizer, asked, ask, name or asked.model)
    pieces = _pieces(request, stream, answer)

    async def kept() -> ChatCompletion:
        whole = answer.whole()
        if keep is not None:
            whole.metadata = asked.metadata
            if answer.finish:  # nobody hung up before
                sent = formats.line_of({"messages": turns}, "openai")["messages"]
                await asyncio.to_thread(keep, whole, sent)
        return whole

    if asked.stream:
        return StreamingResponse(answer.events(pieces, kept), media_type="text/event-stream",
                                 headers={"cache-control": "no-store"})  # fmt: skip
    async for _ in pieces:
        pass
    return json_of(await kept())


def _prompt(tokenizer: Any, asked: ChatRequest) -> tuple[Messages, list[int]]:
    """Return the conversation, in the form of rows, and its tokens."""
    row, faults = formats.examine({"messages": asked.messages, "tools": asked.tools})
    if wrong := next((why for kind, why in faults if kind not in TO_LEARN), None):
        raise Refused(400, f"These messages cannot be answered: {wrong}.", param="messages")
    turns, tools = row["messages"], None if asked.tool_choice == "none" else row.get("tools")
    try:
        made = templates.prompt_text(tokenizer, turns, tools)
        if tools and made == templates.prompt_text(tokenizer, turns):
            raise Refused(400, "This model's chat template has no place for tools.", param="tools",
                          code="unsupported_parameter")  # fmt: skip
        return turns, templates.text_ids(tokenizer, [made])[0]
    except DataError as error:
        raise Refused(400, f"The chat template refuses these messages: {error}",
                      param="messages") from None  # fmt: skip


async def _pieces(
    request: Request, stream: "asyncio.Queue[int | Exception | None]", answer: "_Answer"
) -> AsyncIterator[str]:
    """Yield new text until the answer has ended; stop it if nobody listens."""
    try:
        while not answer.finish:
            try:
                told = await asyncio.wait_for(stream.get(), 1.0)
            except asyncio.TimeoutError:
                if await request.is_disconnected():
                    return
                continue
            if isinstance(told, Exception):
                raise Refused(400, str(told)) if isinstance(told, FtlabError) else told
            if text := answer.take(told):
                yield text
    finally:
        answer.ask.over = True


class _Answer:
    """An answer as it grows: what may be shown of it so far, how it ended, and its objects."""

    def __init__(self, tokenizer: Any, asked: ChatRequest, ask: Ask, name: str) -> None:
        self.tokenizer, self.asked, self.ask = tokenizer, asked, ask
        stop = asked.stop or []
        self.stops = [s for s in ([stop] if isinstance(stop, str) else stop) if s]
        self.tools = bool(asked.tools) and asked.tool_choice != "none"
        self.text, self.finish, self.tokens = "", "", list[int]()
        self.calls: list[dict[str, Any]] = []
        # A template may open a thought in the prompt: what follows is read with its beginning.
        opened = tokenizer.decode(ask.prompt[-8:]).rstrip().endswith("<think>")
        self._thought = "<think>" if opened else ""
        self._shown = 0
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()),
                      "model": name}  # fmt: skip

    def take(self, token: int | None) -> str:
        """Take a token, or None for the end; return what more of the text may be shown."""
        if token is not None:
            self.tokens.append(token)
            text = self.tokenizer.decode(self.tokens, skip_special_tokens=True)
            self.text = self._thought + text
        else:
            self.finish = "length" if len(self.tokens) >= self.ask.limit else "stop"
        places = [self.text.find(stop) for stop in self.stops if stop in self.text]
        if places:
            self.text, self.finish = self.text[: min(places)], "stop"
            self.ask.over = True
        if self.finish and self.tools:
            self._find_calls()
        ready = len(self.text)
        if not self.finish:
            # A call is shown whole or not at all, and so is a character.
            if self.tools or self.text.endswith("\ufffd"):
                return ""
            ready -= max((n for stop in self.stops for n in range(1, len(stop))
                          if self.text.endswith(stop[:n])), default=0)  # fmt: skip
        new, self._shown = self.text[self._shown : ready], max(self._shown, ready)
        return new

    def _find_calls(self) -> None:
        """Take the calls of tools out of the text."""
        calls = []
        for found in CALL.finditer(self.text):
            try:
                call = json.loads(found[1])
                function = {"name": str(call["name"]),
                            "arguments": json.dumps(call.get("arguments", {}))}  # fmt: skip
            except (ValueError, KeyError, TypeError):
                return  # no call then, but text
            number = {"id": f"call_{secrets.token_hex(12)}", "type": "function"}
            calls.append(number | {"function": function})
        if calls:
            self.calls, self.finish = calls, "tool_calls"
            self.text = CALL.sub("", self.text).strip()

    def _usage(self) -> dict[str, Any]:
        """Return how many tokens there were; a stop token is not counted."""
        asked, written = len(self.ask.prompt), len(self.tokens)
        return {"prompt_tokens": asked, "completion_tokens": written,
                "total_tokens": asked + written}  # fmt: skip

    def whole(self) -> ChatCompletion:
        """Return the answer in one object."""
        calls = {"tool_calls": self.calls} if self.calls else {}
        text = self.text if self.text or not calls else None
        message = {"role": "assistant", "refusal": None, "content": text, **calls}
        choice = {"index": 0, "finish_reason": self.finish or "stop", "logprobs": None,
                  "message": message}  # fmt: skip
        return ChatCompletion.model_validate(self._head | {
            "object": "chat.completion", "choices": [choice], "usage": self._usage()
        })  # fmt: skip

    def _chunk(self, delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> str:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        chunk = ChatCompletionChunk.model_validate(
            self._head | {"object": "chat.completion.chunk", "choices": choices, **more}
        )
        return f"data: {chunk.to_json(indent=None, exclude_unset=True)}\n\n"

    async def events(self, pieces: AsyncIterator[str], kept: Any) -> AsyncIterator[str]:
        """Yield the stream: the role, pieces of text, how the answer ended, usage if asked for."""
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        try:
            async for text in pieces:
                yield self._chunk({"content": text})
            calls = [{"index": number, **call} for number, call in enumerate(self.calls)]
            yield self._chunk({"tool_calls": calls} if calls else {}, self.finish or "stop")
            await kept()
        except Exception as error:  # the status is sent already: the client raises this
            body = error.body if isinstance(error, Refused) else {
                "message": "The service had an error.", "type": "server_error", "param": None,
                "code": None}  # fmt: skip
            yield f"data: {json.dumps({'error': body})}\n\n"
            return
        options = self.asked.stream_options
        if options is not None and options.include_usage:
            yield self._chunk(None, usage=self._usage())
        yield "data: [DONE]\n\n"
