"""What the routes have in common: refusals, answers and lists in the protocol's form.

Before any route stands `Guard`: whose a request is, and how large it may be.
"""

import base64
import binascii
import logging
import time
import traceback
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from openai import BaseModel as Answer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from ftlab.errors import FtlabError

LOG = logging.getLogger("ftlab.serving")


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


def counts(service: Any) -> str:
    """Return counts as Prometheus reads them."""
    jobs = service.store.rows("select status, count(*) as n from jobs group by status")
    lines = ["# TYPE ftlab_jobs gauge"]
    lines += [f'ftlab_jobs{{status="{row["status"]}"}} {row["n"]}' for row in jobs]
    lines.append("# TYPE ftlab_requests_total counter")
    lines += [
        f'ftlab_requests_total{{route="{route}",code="{code}"}} {count}'
        for (route, code), count in sorted(service.counts.items())
    ]
    if service.engine is not None:
        for name, value in service.engine.counts.items():
            lines += [f"# TYPE ftlab_{name} {'counter' if name.endswith('_total') else 'gauge'}",
                      f"ftlab_{name} {value}"]  # fmt: skip
    return "\n".join(lines) + "\n"


class Guard:
    """Before any route: whose the request is, how large it may be; behind it: count and log.

    What is logged is method, path, status and time, never a body.
    """

    def __init__(self, app: Any, service: Any) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.monotonic(), 500
        headers = {name.decode("latin-1"): value.decode("latin-1")
                   for name, value in scope["headers"]}  # fmt: skip
        started = False

        async def answer(message: Any) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
            await send(message)

        limits = self.service.limits
        most = left = limits.upload if scope["path"] == "/v1/files" else limits.body

        async def limited() -> Any:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise Refused(413, f"The request is larger than {most:,} bytes.")
            return message

        try:
            self._let_in(scope, headers)
            if int("0" + headers.get("content-length", "")) > most:
                raise Refused(413, f"The request is larger than {most:,} bytes.")
            await self.app(scope, limited, answer)
        except Exception as error:
            if not isinstance(error, Refused):
                frame = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{frame.filename}:{frame.lineno}"
                LOG.error("%s at %s", type(error).__name__, where)  # its text may quote a body
                error = Refused(500, "The service had an error.", kind="server_error")
            if not started:
                response = JSONResponse({"error": error.body}, error.status, error.headers)
                await response(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.service.counts[route, status] += 1
            LOG.info("%s %s %d %.0f ms", scope["method"], plain(scope["path"]).__repr__()[1:-1],
                     status, 1000 * (time.monotonic() - begun))  # fmt: skip

    def _let_in(self, scope: Any, headers: dict[str, str]) -> None:
        """Find whose the request is; keep other sites' pages out."""
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if not self.service.locked and name not in ("localhost", "127.0.0.1", "::1"):
            # Another site's name for this machine, by which its page would read what is here.
            raise Refused(403, f"Without a key, only localhost is answered, not {name[:80]!r}.")
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc != host:
            raise Refused(403, "A page of another site may not ask.")
        owner = self.service.owner(key_of(headers.get("authorization", "")))
        if owner is None and scope["path"] != "/healthz":
            page = scope["path"] == "/"
            text = "Incorrect API key provided." if headers.get("authorization") else (
                "You didn't provide an API key.")  # fmt: skip
            asked = {"www-authenticate": 'Basic realm="ftlab: any name, the key"'} if page else None
            raise Refused(401, text, code="invalid_api_key", headers=asked)
        scope.setdefault("state", {})["owner"] = owner or "nobody"


def key_of(authorization: str) -> str | None:
    """Return the key of a header: a client's Bearer, or the password that a browser asked for."""
    kind, _, rest = authorization.partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest).decode("utf-8", "replace").partition(":")[2]
        except (binascii.Error, ValueError):
            return None
    return None
