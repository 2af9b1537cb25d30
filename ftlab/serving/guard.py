"""Before any route: whose a request is, and how large it may be. Behind them: counts and a log."""

import base64
import binascii
import logging
import time
from typing import Any
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse

from ftlab.serving.protocol import Refused, plain

__all__ = ["Guard", "counts"]

LOG = logging.getLogger("ftlab.serving")


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

        left = self.service.limits.upload if scope["path"] == "/v1/files" else (
            self.service.limits.body
        )  # fmt: skip
        most = left

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
                frame = error.__traceback__
                while frame is not None and frame.tb_next is not None:
                    frame = frame.tb_next
                where = frame and f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
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
            raise Refused(
                401, "Incorrect API key provided." if headers.get("authorization")
                else "You didn't provide an API key.", code="invalid_api_key",
                headers={"www-authenticate": 'Basic realm="ftlab: any name, the key"'}
                if page else None,
            )  # fmt: skip
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
