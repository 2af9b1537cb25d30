"""OpenAI's protocol: what it is asked with, what it answers, how it refuses.

A field of a chat request that is not supported is refused by name (`REFUSED`); one that only steers
a provider's billing, storage or caching is taken and has no effect (`IDLE`). docs/service.md has
the table.
"""

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from openai import BaseModel as Answer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from ftlab.errors import FtlabError

# Refusals and answers.


class Refused(Exception):
    """A request that is refused, in the protocol's form."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None,
        kind: str = "invalid_request_error", headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.headers = status, headers
        self.body = {"message": message, "type": kind, "param": param, "code": code}


def too_many(text: str, wait: float) -> Refused:
    """Return the refusal of one request too many; in `wait` seconds it may be tried again."""
    return Refused(429, text, kind="requests", code="rate_limit_exceeded",
                   headers={"retry-after": f"{wait:.0f}"})  # fmt: skip


def broken() -> Refused:
    """Return what is told of an error of the service's own."""
    return Refused(500, "The service had an error.", kind="server_error")


def handle(app: FastAPI) -> None:
    """Let an application tell of what is wrong with a request in the protocol's form."""

    @app.exception_handler(Refused)
    def refused(request: Request, error: Refused) -> JSONResponse:
        return JSONResponse({"error": error.body}, error.status, error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"][1:] if not str(part).startswith("function-")]
        param = ".".join(place) or None
        text = f"Invalid value for '{param}': {first['msg']}." if param else f"{first['msg']}."
        if first["type"] == "extra_forbidden":
            text = f"Unknown or unsupported parameter: '{param}'."
        return refused(request, Refused(400, plain(text), param=plain(param)))

    @app.exception_handler(HTTPException)
    def unknown(request: Request, error: Any) -> JSONResponse:
        text = f"{error.detail}: {request.method} {request.url.path[:200]}"
        return refused(request, Refused(error.status_code, plain(text)))

    @app.exception_handler(FtlabError)
    def mended(request: Request, error: FtlabError) -> JSONResponse:
        return refused(request, Refused(400, str(error)))


def plain(text: str | None) -> Any:
    """Return text that UTF-8 can hold."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def fields(answer: Answer) -> dict[str, Any]:
    """Return an object of the openai package as JSON has it, with all fields of its type."""
    return answer.to_dict(mode="json", exclude_unset=False)


def list_of(bodies: list[dict[str, Any]], more: bool | None = None) -> JSONResponse:
    """Return a list of objects; `more` says whether another page follows, None of a list whole."""
    listed: dict[str, Any] = {"object": "list", "data": bodies}
    if more is not None:
        ids = [body["id"] for body in bodies] or [None]
        listed |= {"has_more": more, "first_id": ids[0], "last_id": ids[-1]}
    return JSONResponse(listed)


# Requests; the names are OpenAI's.


class Closed(BaseModel):
    """A request that may hold no other fields."""

    model_config = ConfigDict(extra="forbid")


def _short(given: dict[str, str]) -> dict[str, str]:
    for name, value in given.items():
        # A corrected answer has its place here, and may be longer than what OpenAI keeps.
        if len(name) > 64 or len(value) > (100_000 if name == "correction" else 512):
            raise ValueError("names have at most 64 characters, and values 512")
    return given


Metadata = Annotated[dict[str, str], Field(max_length=16), AfterValidator(_short)] | None
Auto = Literal["auto"]
Number = Annotated[float, Field(strict=False, allow_inf_nan=False)]


class Page(BaseModel):
    """Which part of a list is wanted."""

    after: str | None = None
    limit: int = Field(20, ge=1, le=100)
    order: Literal["asc", "desc"] | None = None
    model: str | None = None  # of stored completions


class FilePage(Page):
    """Of files."""

    limit: int = Field(10_000, ge=1, le=10_000)
    purpose: str | None = None


class Hyperparameters(Closed):
    """Of a supervised job."""

    batch_size: Annotated[int, Field(strict=True, ge=1, le=256)] | Auto = "auto"
    learning_rate_multiplier: Annotated[Number, Field(gt=0, le=100)] | Auto = "auto"
    n_epochs: Annotated[int, Field(strict=True, ge=1, le=50)] | Auto = "auto"


class DpoHyperparameters(Hyperparameters):
    """Of a job on preferences."""

    beta: Annotated[Number, Field(gt=0, le=2)] | Auto = "auto"


class Supervised(Closed):
    """Learn answers."""

    hyperparameters: Hyperparameters = Hyperparameters()


class Dpo(Closed):
    """Learn preferences."""

    hyperparameters: DpoHyperparameters = DpoHyperparameters()


class Method(Closed):
    """How a job learns."""

    type: Literal["supervised", "dpo"]
    supervised: Supervised | None = None
    dpo: Dpo | None = None


class JobRequest(Closed):
    """A job, as it is asked for."""

    model: str
    training_file: str
    validation_file: str | None = None
    hyperparameters: Hyperparameters | None = None
    method: Method | None = None
    suffix: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")] | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] | None = None
    integrations: Annotated[list[Any], Field(max_length=0)] | None = None
    metadata: Metadata = None


class Update(Closed):
    """What may be changed of a stored completion."""

    metadata: Metadata


class Promotion(Closed):
    """Which model is to be in service, and why."""

    model: str
    note: Annotated[str, Field(max_length=2000)] = ""


IDLE = (
    "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "safety_identifier", "service_tier", "user",
)  # fmt: skip
REFUSED = {
    "audio": "answers are text", "moderation": "there is no moderation model",
    "web_search_options": "there is no network",
}  # fmt: skip


class StreamOptions(Closed):
    """What a stream carries besides."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Closed):
    """A chat completion, as it is asked for."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=2048)]
    model: str
    function_call: Literal["none", "auto"] | None = None  # of tool_choice and tools, the old form
    functions: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    logit_bias: (
        dict[Annotated[int, Field(ge=0)], Annotated[Number, Field(ge=-100, le=100)]] | None
    ) = None
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
