"""What a chat completion is asked for with, and the prompt, biases and grammar that follow from it.

A field that is not supported is refused by name (`REFUSED`); one that only steers a provider's
billing, storage or caching is taken and has no effect (`IDLE`). docs/service.md has the table.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from ftlab import templates
from ftlab.errors import ConfigError, DataError
from ftlab.serving.engine import Engine, schema_grammar
from ftlab.serving.protocol import Closed, Metadata, Refused

IDLE = (
    "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "safety_identifier", "service_tier", "user",
)  # fmt: skip
REFUSED = {
    "audio": "answers are text", "moderation": "there is no moderation model",
    "web_search_options": "there is no network",
}  # fmt: skip

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


def prompt_of(engine: Engine, asked: ChatRequest) -> list[int]:
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


def bias_of(asked: ChatRequest, engine: Engine) -> dict[int, float]:
    """Return what is added to the scores of tokens.

    Raises:
        Refused: a token that the model has not.
    """
    size = engine.load().get_output_embeddings().weight.shape[0]
    bias = {}
    for token, more in (asked.logit_bias or {}).items():
        if not token.isascii() or not token.isdigit() or int(token) >= size:
            raise Refused(400, f"logit_bias takes token ids from 0 to {size - 1}.",
                          param="logit_bias")  # fmt: skip
        bias[int(token)] = more
    return bias


def grammar_of(asked: ChatRequest) -> str | None:
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
