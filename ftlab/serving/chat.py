"""Chat completions: a request in OpenAI's form becomes answers of the engine, whole or in chunks.

A field that is not supported is refused by name (`REFUSED`); one that only steers a provider's
billing, storage or caching is taken and has no effect (`IDLE`). docs/service.md has the table.
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

from ftlab import templates
from ftlab.errors import ConfigError, DataError, FtlabError
from ftlab.serving.engine import Ask, Engine, Token, schema_grammar
from ftlab.serving.protocol import Closed, Metadata, Refused, json_of

__all__ = ["IDLE", "REFUSED", "ChatRequest", "complete"]

MOST = 512  # tokens of an answer where the request says nothing
IDLE = (
    "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "safety_identifier", "service_tier", "user",
)  # fmt: skip
REFUSED = {
    "audio": "answers are text", "moderation": "there is no moderation model",
    "web_search_options": "there is no network",
}  # fmt: skip
CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)

Number = Annotated[float, Field(strict=False, allow_inf_nan=False)]


class StreamOptions(Closed):
    """What a stream carries besides."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Closed):
    """What is asked for; the names are OpenAI's."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=2048)]
    model: str
    function_call: Literal["none", "auto"] | None = None  # of tool_choice and tools, the old form
    functions: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[str, Annotated[Number, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    max_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    modalities: list[Literal["text"]] | None = None
    n: Annotated[int, Field(strict=True, ge=1, le=16)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    reasoning_effort: Literal["none"] | None = None
    response_format: dict[str, Any] | None = None
    seed: Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    top_logprobs: Annotated[int, Field(strict=True, ge=0, le=20)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    verbosity: Literal["medium"] | None = None
    metadata: Metadata = None  # of what is stored
    # Taken without effect.
    parallel_tool_calls: bool | None = None
    prediction: dict[str, Any] | None = None  # only makes answers faster
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    user: str | None = None
    # Refused, by name.
    audio: Any = None
    moderation: Any = None
    web_search_options: Any = None


async def complete(
    request: Request, asked: ChatRequest, engine: Engine, folder: Path | None, *,
    temperature: float = 1.0, most: int = MOST, seed: int | None = None, name: str | None = None,
    keep: Callable[[ChatCompletion, list[dict[str, Any]]], None] | None = None,
) -> Response:  # fmt: skip
    """Answer a request, as a whole or as server-sent events.

    Args:
        request: the connection; when it is closed, nothing more is written.
        asked: what was asked for.
        engine: what answers.
        folder: of the adapter; None for the base.
        temperature: where the request names none; OpenAI's is 1.
        most: tokens of an answer where the request says nothing.
        seed: where the request names none; by default another one each time.
        name: the model's name in the answer, by default the one asked for.
        keep: stores the answer with its messages, before its end is sent; None stores nothing.

    Raises:
        Refused: the request cannot be answered so.
    """
    for field, why in REFUSED.items():
        if getattr(asked, field) is not None:
            raise Refused(400, f"{field} is not supported: {why}.", param=field,
                          code="unsupported_parameter")  # fmt: skip
    if asked.functions:
        if asked.tools:
            raise Refused(400, "Give functions or tools, not both.", param="functions")
        asked.tools = [{"type": "function", "function": one} for one in asked.functions]
        asked.tool_choice = asked.function_call
    await asyncio.to_thread(engine.load)
    prompt = await asyncio.to_thread(_prompt, engine, asked)
    context = engine.context() or len(prompt) + (1 << 20)
    if len(prompt) >= context:
        raise Refused(
            400, f"This model's maximum context length is {context} tokens. However, your messages "
            f"resulted in {len(prompt)} tokens. Please reduce the length of the messages.",
            param="messages", code="context_length_exceeded",
        )  # fmt: skip
    asked.temperature = temperature if asked.temperature is None else asked.temperature
    first = asked.seed if asked.seed is not None else seed
    first = secrets.randbits(32) if first is None else first
    stream: asyncio.Queue[tuple[int, Token | Exception | None]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(number: int) -> Callable[[Token | Exception | None], None]:
        def put(told: Token | Exception | None) -> None:
            loop.call_soon_threadsafe(stream.put_nowait, (number, told))

        return put

    limit = asked.max_completion_tokens or asked.max_tokens or most
    shared: dict[str, Any] = {
        "prompt": prompt, "folder": folder, "temperature": asked.temperature,
        "limit": min(limit, context - len(prompt)), "bias": _bias(asked, engine),
        "top_p": 1.0 if asked.top_p is None else asked.top_p, "grammar": _grammar(asked),
        "logprobs": (asked.top_logprobs or 0) if asked.logprobs else None,
        "frequency_penalty": asked.frequency_penalty or 0.0,
        "presence_penalty": asked.presence_penalty or 0.0,
    }  # fmt: skip
    if asked.top_logprobs is not None and not asked.logprobs:
        raise Refused(400, "top_logprobs needs logprobs to be true.", param="top_logprobs")
    asks = [Ask(tell=tell(i), seed=first + i, **shared) for i in range(asked.n or 1)]
    if not engine.ask(asks):
        raise Refused(429, "Too many answers are being written. Try again in a moment.",
                      kind="requests", code="rate_limit_exceeded", headers={"retry-after": "1"},
                      )  # fmt: skip
    answers = [_Answer(engine.tokenizer, asked, ask) for ask in asks]
    made = _Made(asked, name or asked.model, len(prompt), answers, keep)
    pieces = _pieces(request, stream, answers)
    if asked.stream:
        return StreamingResponse(made.events(pieces), media_type="text/event-stream",
                                 headers={"cache-control": "no-store"})  # fmt: skip
    async for _ in pieces:
        pass
    return json_of(await made.kept())


async def _pieces(
    request: Request, stream: "asyncio.Queue[Any]", answers: list["_Answer"]
) -> AsyncIterator[tuple[int, str, list[Token]]]:
    """Yield (answer, new text, its tokens) until all have ended; stop them if nobody listens."""
    try:
        while not all(answer.finish for answer in answers):
            try:
                number, told = await asyncio.wait_for(stream.get(), 1.0)
            except asyncio.TimeoutError:
                if await request.is_disconnected():
                    return
                continue
            if isinstance(told, FtlabError):
                raise Refused(400, str(told))
            if isinstance(told, Exception):
                raise told
            answer = answers[number]
            if not answer.finish:
                text, tokens = answer.take(told)
                if text or tokens:
                    yield number, text, tokens
    finally:
        for answer in answers:
            answer.ask.over = True


class _Answer:
    """One answer as it grows: what may be shown of it so far, and how it ended."""

    def __init__(self, tokenizer: Any, asked: ChatRequest, ask: Ask) -> None:
        self.tokenizer, self.ask = tokenizer, ask
        stop = asked.stop or []
        self.stops = [s for s in ([stop] if isinstance(stop, str) else stop) if s]
        self.old_form = asked.functions is not None
        self.tools = bool(asked.tools) and asked.tool_choice != "none"
        self.text, self.finish, self.tokens = "", "", list[Token]()
        self.calls: list[dict[str, Any]] = []
        # A template may open a thought in the prompt: what follows is read with its beginning.
        opened = tokenizer.decode(ask.prompt[-8:]).rstrip().endswith("<think>")
        self.thought = "<think>" if opened else ""
        self._shown = 0
        self._held: list[Token] = []

    def take(self, token: Token | None) -> tuple[str, list[Token]]:
        """Take a token, or None for the end; return text that may be shown, with its tokens."""
        if token is not None:
            self.tokens.append(token)
            self._held.append(token)
            self.text = self.thought + self.tokenizer.decode(
                [one.id for one in self.tokens], skip_special_tokens=True
            )
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
            if self.tools:  # a call is shown whole or not at all
                return "", []
            if self.text.endswith("\ufffd"):  # half of a character
                return "", []
            ready -= max(
                (n for stop in self.stops for n in range(1, len(stop))
                 if self.text.endswith(stop[:n])), default=0,
            )  # fmt: skip
        new, self._shown = self.text[self._shown : ready], max(self._shown, ready)
        if not new and not self.finish:
            return "", []
        tokens, self._held = self._held, []
        return new, tokens

    def _find_calls(self) -> None:
        """Take the calls of tools out of the text."""
        for found in CALL.finditer(self.text):
            try:
                call = json.loads(found[1])
                function = {"name": str(call["name"]),
                            "arguments": json.dumps(call.get("arguments", {}))}  # fmt: skip
            except (ValueError, KeyError, TypeError):
                return  # no call then, but text
            self.calls.append(
                {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
            )
        if self.calls:
            self.text = CALL.sub("", self.text).strip()
            self.finish = "function_call" if self.old_form else "tool_calls"

    def called(self) -> dict[str, Any]:
        """Return the calls as fields of a message, in the form in which they were asked for."""
        if not self.calls:
            return {}
        if self.old_form:
            return {"function_call": self.calls[0]["function"]}
        return {"tool_calls": self.calls}

    def logs(self, tokens: list[Token]) -> dict[str, Any] | None:
        """Return tokens' log-probabilities in the protocol's form."""
        if self.ask.logprobs is None:
            return None

        def one(id: int, logprob: float) -> dict[str, Any]:
            text = self.tokenizer.decode([id])
            return {"token": text, "logprob": max(logprob, -9999.0), "bytes": list(text.encode())}

        return {"refusal": None, "content": [
            {**one(token.id, token.logprob or 0.0), "top_logprobs": [one(*t) for t in token.top]}
            for token in tokens
        ]}  # fmt: skip


class _Made:
    """The protocol's objects of one request."""

    def __init__(
        self, asked: ChatRequest, name: str, prompt: int, answers: list[_Answer], keep: Any
    ) -> None:
        self.asked, self.answers, self.prompt, self.keep = asked, answers, prompt, keep
        self.head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()),
                     "model": name}  # fmt: skip

    def usage(self) -> dict[str, Any]:
        """Return how many tokens there were; a stop token is not counted."""
        written = sum(len(answer.tokens) for answer in self.answers)
        return {"prompt_tokens": self.prompt, "completion_tokens": written,
                "total_tokens": self.prompt + written}  # fmt: skip

    def whole(self) -> ChatCompletion:
        """Return all answers in one object."""
        choices = [
            {"index": i, "finish_reason": answer.finish or "stop",
             "logprobs": answer.logs(answer.tokens),
             "message": {"role": "assistant", "refusal": None, **answer.called(),
                         "content": answer.text if answer.text or not answer.calls else None}}
            for i, answer in enumerate(self.answers)
        ]  # fmt: skip
        return ChatCompletion.model_validate(
            self.head | {"object": "chat.completion", "choices": choices, "usage": self.usage(),
                         "metadata": self.asked.metadata if self.keep else None}
        )  # fmt: skip

    async def kept(self) -> ChatCompletion:
        """Return all answers, and store them if they are to be, and nobody hung up before."""
        whole = self.whole()
        if self.keep and all(answer.finish for answer in self.answers):
            messages = [as_text(message) for message in self.asked.messages]
            await asyncio.to_thread(self.keep, whole, messages)
        return whole

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> str:
        chunk = ChatCompletionChunk.model_validate(
            self.head | {"object": "chat.completion.chunk", "choices": choices, **more}
        )
        return f"data: {chunk.to_json(indent=None, exclude_unset=True)}\n\n"

    async def events(
        self, pieces: AsyncIterator[tuple[int, str, list[Token]]]
    ) -> AsyncIterator[str]:
        """Yield the stream: roles, pieces of text, how each answer ended, usage if asked for."""
        for i in range(len(self.answers)):
            delta: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
            yield self._chunk([{"index": i, "delta": delta, "finish_reason": None}])
        ended = set()
        try:
            async for i, text, tokens in pieces:
                logs = self.answers[i].logs(tokens)
                if text or logs:
                    yield self._chunk([{"index": i, "delta": {"content": text}, "logprobs": logs,
                                        "finish_reason": None}])  # fmt: skip
                if self.answers[i].finish:
                    ended.add(i)
                    yield self._end(i)
            for i in set(range(len(self.answers))) - ended:
                yield self._end(i)
            if self.keep:
                await self.kept()
        except Exception as error:  # the status is sent already: the client raises this
            body = error.body if isinstance(error, Refused) else {
                "message": "The service had an error.", "type": "server_error", "param": None,
                "code": None}  # fmt: skip
            yield f"data: {json.dumps({'error': body})}\n\n"
            return
        options = self.asked.stream_options
        if options is not None and options.include_usage:
            yield self._chunk([], usage=self.usage())
        yield "data: [DONE]\n\n"

    def _end(self, i: int) -> str:
        delta = self.answers[i].called()
        for k, call in enumerate(delta.get("tool_calls", ())):
            call["index"] = k
        return self._chunk(
            [{"index": i, "delta": delta, "finish_reason": self.answers[i].finish or "stop"}]
        )


def _prompt(engine: Engine, asked: ChatRequest) -> list[int]:
    """Return the tokens of the conversation.

    Raises:
        Refused: the messages are none, or the template refuses them or has no place for tools.
    """
    turns = [_turn(message, i) for i, message in enumerate(asked.messages)]
    tokenizer = engine.tokenizer
    try:
        if not asked.tools or asked.tool_choice == "none":
            return templates.prompt_ids(tokenizer, turns)
        if any(tool.get("type") != "function" or "name" not in (tool.get("function") or {})
               for tool in asked.tools):  # fmt: skip
            raise Refused(400, "Each tool must be a function with a name.", param="tools")
        made = templates.prompt_text(tokenizer, turns, asked.tools)
        if made == templates.prompt_text(tokenizer, turns):
            raise Refused(400, "This model's chat template has no place for tools.", param="tools",
                          code="unsupported_parameter")  # fmt: skip
        return templates.prompt_ids(tokenizer, turns, asked.tools)
    except DataError as error:
        raise Refused(400, f"The chat template refuses these messages: {error}",
                      param="messages") from None  # fmt: skip


def as_text(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its content in one text, if that is a list of parts."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts: list[Any] = [part["text"] if part["type"] == "text" else None for part in content]
    return message | {"content": "".join(parts)}


def _turn(message: dict[str, Any], number: int) -> dict[str, Any]:
    place = f"messages.{number}"
    role = {"developer": "system"}.get(str(message.get("role")), message.get("role"))
    if role not in ("system", "user", "assistant", "tool"):
        raise Refused(400, f"Invalid role at {place}.", param=f"{place}.role")
    try:
        content = as_text(message).get("content")
    except (KeyError, TypeError):
        raise Refused(400, "Only parts of type 'text' are supported.", param=f"{place}.content",
                      code="unsupported_parameter") from None  # fmt: skip
    calls = message.get("tool_calls")
    if content is None and calls:
        content = ""
    if not isinstance(content, str) or (calls is not None and not isinstance(calls, list)):
        raise Refused(400, f"The content at {place} must be text.", param=f"{place}.content")
    kept = {key: message[key] for key in ("name", "tool_call_id")
            if isinstance(message.get(key), str)}  # fmt: skip
    turn = {"role": role, "content": content, **kept}
    if calls:
        turn["tool_calls"] = [_call(call, place) for call in calls]
    return turn


def _call(call: Any, place: str) -> dict[str, Any]:
    try:
        function = call["function"]
        arguments = function["arguments"]
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
        return {"type": "function", "function": {"name": str(function["name"]),
                                                 "arguments": arguments}}  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise Refused(400, "A tool call needs a function with name and arguments, which are JSON.",
                      param=f"{place}.tool_calls") from None  # fmt: skip


def _bias(asked: ChatRequest, engine: Engine) -> dict[int, float]:
    size = engine.load().get_output_embeddings().weight.shape[0]
    bias = {}
    for token, more in (asked.logit_bias or {}).items():
        if not token.isascii() or not token.isdigit() or int(token) >= size:
            raise Refused(400, f"logit_bias takes token ids from 0 to {size - 1}.",
                          param="logit_bias")  # fmt: skip
        bias[int(token)] = more
    return bias


def _grammar(asked: ChatRequest) -> str | None:
    """Return what the answer is kept to.

    Raises:
        Refused: an unknown form, or a schema that cannot be kept to.
    """
    form = asked.response_format
    kind = form.get("type") if form else "text"
    if kind == "text":
        return None
    if kind == "json_object":
        return schema_grammar({"type": "object"})
    if kind != "json_schema":
        raise Refused(400, "response_format.type must be text, json_object or json_schema.",
                      param="response_format.type")  # fmt: skip
    held = form.get("json_schema") if form else None
    if not isinstance(held, dict) or not isinstance(held.get("name"), str):
        raise Refused(400, "json_schema needs a name and a schema.",
                      param="response_format.json_schema")  # fmt: skip
    try:
        return schema_grammar(held.get("schema") or {})
    except ConfigError as error:
        raise Refused(400, str(error), param="response_format.json_schema.schema") from None
