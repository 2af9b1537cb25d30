"""What the routes have in common: refusals, answers and lists in the protocol's form."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from openai import BaseModel as Answer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from ftlab.errors import FtlabError

__all__ = ["Closed", "Limit", "Metadata", "Refused", "handle", "json_of", "list_of", "plain"]


class Refused(Exception):
    """A request that is refused, in the protocol's form."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None,
        kind: str = "invalid_request_error", headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.headers = status, headers
        self.body = {"message": message, "type": kind, "param": param, "code": code}


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
Limit = Annotated[int, Query(ge=1, le=100)]


def plain(text: str | None) -> Any:
    """Return text that UTF-8 can hold."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def json_of(answer: Answer) -> JSONResponse:
    """Return an object as the answer to a request, with all fields of its type."""
    return JSONResponse(answer.to_dict(mode="json", exclude_unset=False))


def list_of(answers: list[Any], more: bool | None) -> JSONResponse:
    """Return a list of objects; `more` says whether another page follows, None of a list whole."""
    held = [answer.to_dict(mode="json", exclude_unset=False) for answer in answers]
    body: dict[str, Any] = {"object": "list", "data": held}
    if more is not None:
        ids = [row["id"] for row in held]
        body |= {"has_more": more, "first_id": ids[0] if ids else None,
                 "last_id": ids[-1] if ids else None}  # fmt: skip
    return JSONResponse(body)
