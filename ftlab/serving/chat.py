"""Chat completions: a request in OpenAI's form becomes answers, whole or in chunks."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ftlab import formats, templates
from ftlab.errors import ConfigError, DataError, FtlabError
from ftlab.generation import context_length
from ftlab.serving.engine import Ask, Engine, Token, schema_grammar
from ftlab.serving.protocol import REFUSED, ChatRequest, Refused, broken, fields, too_many
from ftlab.serving.store import now

MOST = 512  # tokens of an answer where the request says nothing
CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
Keep = Callable[[ChatCompletion, list[dict[str, Any]]], None]


async def complete(
    request: Request, asked: ChatRequest, engine: Engine, folder: Path | None,
    keep: Keep | None = None,
) -> Response:  # fmt: skip
    """Answer a request, as a whole or as server-sent events, while its connection is open.

    Args:
        request: the connection.
        asked: what was asked for; without a temperature it is 1, as with OpenAI.
        engine: what answers.
        folder: of the adapter; None for the base.
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
    if asked.top_logprobs is not None and not asked.logprobs:
        raise Refused(400, "top_logprobs needs logprobs to be true.", param="top_logprobs")
    model = await asyncio.to_thread(engine.load)
    turns = _turns(asked)
    prompt = await asyncio.to_thread(_prompt, engine, turns, asked)
    context = context_length(model) or len(prompt) + (1 << 20)
    if len(prompt) >= context:
        raise Refused(
            400, f"This model's maximum context length is {context} tokens. However, your messages "
            f"resulted in {len(prompt)} tokens. Please reduce the length of the messages.",
            param="messages", code="context_length_exceeded",
        )  # fmt: skip
    size = model.get_output_embeddings().weight.shape[0]
    if max(asked.logit_bias or [0]) >= size:
        raise Refused(400, f"logit_bias takes token ids from 0 to {size - 1}.", param="logit_bias")
    limit = asked.max_completion_tokens or asked.max_tokens or MOST
    settings: dict[str, Any] = {
        "prompt": prompt, "folder": folder, "bias": asked.logit_bias or {},
        "limit": min(limit, context - len(prompt)), "grammar": _grammar(asked.response_format),
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "logprobs": (asked.top_logprobs or 0) if asked.logprobs else None,
        "frequency_penalty": asked.frequency_penalty or 0.0,
        "presence_penalty": asked.presence_penalty or 0.0,
    }  # fmt: skip
    made = _Completion(request, asked, engine.tokenizer, turns, settings, keep)
    if not engine.ask([answer.ask for answer in made.answers]):
        raise too_many("Too many answers are being written. Try again in a moment.", 1)
    if asked.stream:
        return StreamingResponse(made.events(), media_type="text/event-stream",
                                 headers={"cache-control": "no-store"})  # fmt: skip
    async for _ in made.pieces():
        pass
    return JSONResponse(fields(await made.kept()))


def _turns(asked: ChatRequest) -> list[dict[str, Any]]:
    """Return the messages as a chat template takes them."""
    turns = []
    for number, message in enumerate(asked.messages):
        faults = formats.Faults()
        turns.append(formats.message_of(message, number + 1, faults))
        for check, reason in faults:
            part = {"unknown_role": ".role", "not_text": ".content", "bad_record": ".tool_calls"}
            if check in part:
                raise Refused(400, f"{reason}.", param=f"messages.{number}{part[check]}")
    return turns


def _prompt(engine: Engine, turns: list[dict[str, Any]], asked: ChatRequest) -> list[int]:
    """Return the tokens of the conversation, with tools where the template has a place for them."""
    tools = asked.tools if asked.tool_choice != "none" else None
    if any(formats.function_of(tool) is None for tool in tools or ()):
        raise Refused(400, "Each tool must be a function with a name.", param="tools")
    try:
        made = templates.prompt_text(engine.tokenizer, turns, tools or None)
        if tools and made == templates.prompt_text(engine.tokenizer, turns):
            raise Refused(400, "This model's chat template has no place for tools.", param="tools",
                          code="unsupported_parameter")  # fmt: skip
    except DataError as error:
        raise Refused(400, f"The chat template refuses these messages: {error}",
                      param="messages") from None  # fmt: skip
    return templates.text_ids(engine.tokenizer, [made])[0]


def _grammar(form: dict[str, Any] | None) -> str | None:
    """Return what the answer is kept to."""
    kind = form.get("type") if form else "text"
    if form is None or kind == "text":
        return None
    if kind == "json_object":
        return schema_grammar({"type": "object"})
    if kind != "json_schema":
        raise Refused(400, "response_format.type must be text, json_object or json_schema.",
                      param="response_format.type")  # fmt: skip
    held = form.get("json_schema")
    if not isinstance(held, dict) or not isinstance(held.get("name"), str):
        raise Refused(400, "json_schema needs a name and a schema.",
                      param="response_format.json_schema")  # fmt: skip
    try:
        return schema_grammar(held.get("schema") or {})
    except ConfigError as error:
        raise Refused(400, str(error), param="response_format.json_schema.schema") from None


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
            # A call is shown whole or not at all, and so is a character.
            if self.tools or self.text.endswith("\ufffd"):
                return "", []
            ready -= max((n for stop in self.stops for n in range(1, len(stop))
                          if self.text.endswith(stop[:n])), default=0)  # fmt: skip
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


class _Completion:
    """The answers to one request, and the protocol's objects of them."""

    def __init__(
        self, request: Request, asked: ChatRequest, tokenizer: Any, turns: list[dict[str, Any]],
        settings: dict[str, Any], keep: Keep | None,
    ) -> None:  # fmt: skip
        self.request, self.asked, self.turns, self.keep = request, asked, turns, keep
        self.head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": now(),
                     "model": asked.model}  # fmt: skip
        self._stream: asyncio.Queue[tuple[int, Token | Exception | None]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(number: int, told: Token | Exception | None) -> None:
            loop.call_soon_threadsafe(self._stream.put_nowait, (number, told))

        seed = secrets.randbits(32) if asked.seed is None else asked.seed
        asks = (Ask(tell=partial(tell, i), seed=(seed + i, 0), **settings)
                for i in range(asked.n or 1))  # fmt: skip
        self.answers = [_Answer(tokenizer, asked, ask) for ask in asks]

    async def pieces(self) -> AsyncIterator[tuple[int, str, list[Token]]]:
        """Yield (answer, new text, its tokens) to the end; stop all if nobody listens."""
        try:
            while not all(answer.finish for answer in self.answers):
                try:
                    number, told = await asyncio.wait_for(self._stream.get(), 1.0)
                except asyncio.TimeoutError:
                    if await self.request.is_disconnected():
                        return
                    continue
                if isinstance(told, Exception):
                    raise Refused(400, str(told)) if isinstance(told, FtlabError) else told
                answer = self.answers[number]
                if not answer.finish:
                    text, tokens = answer.take(told)
                    if text or tokens:
                        yield number, text, tokens
        finally:
            for answer in self.answers:
                answer.ask.over = True

    def usage(self) -> dict[str, Any]:
        """Return how many tokens there were; a stop token is not counted."""
        read = len(self.answers[0].ask.prompt)
        written = sum(len(answer.tokens) for answer in self.answers)
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}

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
            messages = [formats.openai_message(turn) for turn in self.turns]
            await asyncio.to_thread(self.keep, whole, messages)
        return whole

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> str:
        chunk = ChatCompletionChunk.model_validate(
            self.head | {"object": "chat.completion.chunk", "choices": choices, **more}
        )
        return f"data: {chunk.to_json(indent=None, exclude_unset=True)}\n\n"

    async def events(self) -> AsyncIterator[str]:
        """Yield the stream: roles, pieces of text, how each answer ended, usage if asked for."""
        for i in range(len(self.answers)):
            delta: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
            yield self._chunk([{"index": i, "delta": delta, "finish_reason": None}])
        try:
            async for i, text, tokens in self.pieces():
                logs = self.answers[i].logs(tokens)
                if text or logs:
                    yield self._chunk([{"index": i, "delta": {"content": text}, "logprobs": logs,
                                        "finish_reason": None}])  # fmt: skip
            for i, answer in enumerate(self.answers):
                delta = answer.called()
                for k, call in enumerate(delta.get("tool_calls", ())):
                    call["index"] = k
                yield self._chunk(
                    [{"index": i, "delta": delta, "finish_reason": answer.finish or "stop"}]
                )
            if self.keep:
                await self.kept()
        except Exception as error:  # the status is sent already: the client raises this
            told = error if isinstance(error, Refused) else broken()
            yield f"data: {json.dumps({'error': told.body})}\n\n"
            return
        options = self.asked.stream_options
        if options is not None and options.include_usage:
            yield self._chunk([], usage=self.usage())
        yield "data: [DONE]\n\n"
