"""What all routes share: whose a request is, what one key may do, and what is counted.

`Guard` stands before every route: it finds the owner by the key, keeps other sites' pages out,
limits how much is read, and logs method, path, status and time, never a body.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import os
import threading
import time
import traceback
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers

from ftlab.errors import ConfigError
from ftlab.serving.protocol import Refused, broken, plain, too_many
from ftlab.serving.store import STATUS, Store, Stored

LOG = logging.getLogger("ftlab.serving")
LIVE = "live"  # the name of the model in service
MB = 1 << 20
MISSING = {  # what is said of an object that is not there, its parameter, the code
    "file": ("No such File object: {}", "id", None),
    "job": ("Could not find fine tune: {}", "fine_tuning_job_id", "fine_tune_not_found"),
    "trace": ("No stored completion: {}", "completion_id", "not_found"),
}


@dataclass(frozen=True)
class Limits:
    """What one key may do."""

    upload: int = 100 * MB  # bytes of a file
    stored: int = 1024 * MB  # bytes of all its files
    body: int = 4 * MB  # bytes of any other request
    jobs: int = 20  # jobs that wait or run
    requests: int = 1200  # requests a minute
    traces: int = 50_000  # stored completions without a label


@dataclass
class Service:
    """What the routes share."""

    store: Store
    base: str  # the model that is tuned, by name; tuned models are adapters on it
    keys: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    engine: Any = None  # what answers chat requests (`ftlab.serving.engine`)
    trace: bool = False  # store every completion whose request does not refuse it

    def __post_init__(self) -> None:
        if short := [key for key in self.keys if len(key) < 16]:
            raise ConfigError(
                f"{len(short)} of the keys has fewer than 16 characters. Make one: "
                "python -c 'import secrets; print(secrets.token_urlsafe(24))'"
            )
        self.store.add("fact", "", {"id": "salt", "value": os.urandom(16).hex()})  # the first time
        salt = self.store.get("fact", "salt")
        assert salt is not None
        self._salt = str(salt.body["value"]).encode()
        self._hashes = [self._hash(key) for key in self.keys]
        self.keys = ()  # from here on there are hashes alone
        self._recent: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()
        self.counts: Counter[tuple[str, int]] = Counter()  # answered requests, by route and status

    def _hash(self, key: str) -> str:
        return hashlib.sha256(self._salt + key.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def locked(self) -> bool:
        """Whether a key is wanted."""
        return bool(self._hashes)

    def owner(self, key: str | None) -> str | None:
        """Return whose key it is, None if it is nobody's; every hash is compared, in full."""
        if not self._hashes:
            return "local"
        given = self._hash(key or "")
        return next(iter([h for h in self._hashes if hmac.compare_digest(given, h)]), None)

    def admit(self, owner: str) -> None:
        """Count a request against the owner's rate."""
        with self._lock:
            now, recent = time.monotonic(), self._recent[owner]
            while recent and recent[0] < now - 60:
                recent.popleft()
            if len(recent) >= self.limits.requests:
                text = f"Rate limit reached: {self.limits.requests} requests a minute."
                raise too_many(text, recent[0] + 60 - now)
            recent.append(now)

    def get(self, kind: str, id: str, owner: str, param: str | None = None) -> Stored:
        """Return an owner's object; refuse one that is not there, or not what `param` names."""
        found = self.store.get(kind, id, owner)
        if found is None:
            text, place, code = MISSING[kind]
            text = text.format(id[:80])
            raise Refused(404 if param is None else 400, text, param=param or place, code=code)
        return found

    def named(self, owner: str, model: str) -> str:
        """Return what `live` stands for, and any other name as it is."""
        history = self.store.live(owner) if model == LIVE else []
        return str(history[-1]["model"]) if history else self.base if model == LIVE else model

    def model(self, owner: str, name: str) -> Stored | None:
        """Return an owner's tuned model, None for the base; refuse one that is not there."""
        name = self.named(owner, name)
        if name == self.base:
            return None
        found = self.store.model(owner, name)
        if found is None:
            names = [model.id for model in self.store.find("model", owner, limit=10)]
            raise Refused(
                404, f"The model `{name[:200]}` does not exist or you do not have access to it. "
                f"There are: {', '.join([self.base, LIVE, *names])}.",
                param="model", code="model_not_found",
            )  # fmt: skip
        return found

    def metrics(self) -> str:
        """Return counts as Prometheus reads them."""
        jobs = f"select {STATUS}, count(*) from objects where kind = 'job' group by 1"
        lines = ["# TYPE ftlab_jobs gauge"]
        lines += [f'ftlab_jobs{{status="{state}"}} {n}' for state, n in self.store.sql(jobs)]
        lines.append("# TYPE ftlab_requests_total counter")
        lines += [
            f'ftlab_requests_total{{route="{route}",code="{code}"}} {count}'
            for (route, code), count in sorted(self.counts.items())
        ]
        for name, value in self.engine.counts.items() if self.engine is not None else ():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# TYPE ftlab_{name} {kind}", f"ftlab_{name} {value}"]
        return "\n".join(lines) + "\n"


class Guard:
    """Before any route: whose the request is, how large it may be; behind it: count and log."""

    def __init__(self, app: Any, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status, started = time.monotonic(), 500, False
        headers = Headers(scope=scope)
        limits = self.service.limits
        most = left = limits.upload if scope["path"] == "/v1/files" else limits.body
        too_large = Refused(413, f"The request is larger than {most:,} bytes.")

        async def answer(message: Any) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
            await send(message)

        async def limited() -> Any:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise too_large
            return message

        try:
            scope.setdefault("state", {})["owner"] = self._owner(scope["path"], headers)
            if int("0" + headers.get("content-length", "")) > most:
                raise too_large
            await self.app(scope, limited, answer)
        except Exception as error:
            if not isinstance(error, Refused):
                frame = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{frame.filename}:{frame.lineno}"
                LOG.error("%s at %s", type(error).__name__, where)  # its text may quote a body
                error = broken()
            if not started:
                response = JSONResponse({"error": error.body}, error.status, error.headers)
                await response(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.service.counts[route, status] += 1
            LOG.info("%s %s %d %.0f ms", scope["method"], plain(scope["path"]).__repr__()[1:-1],
                     status, 1000 * (time.monotonic() - begun))  # fmt: skip

    def _owner(self, path: str, headers: Headers) -> str:
        """Find whose the request is; keep other sites' pages out."""
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if not self.service.locked and name not in ("localhost", "127.0.0.1", "::1"):
            # Another site's name for this machine, by which its page would read what is here.
            raise Refused(403, f"Without a key, only localhost is answered, not {name[:80]!r}.")
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc != host:
            raise Refused(403, "A page of another site may not ask.")
        given = headers.get("authorization", "")
        owner = self.service.owner(key_of(given))
        if owner is None and path != "/healthz":
            text = "Incorrect API key provided." if given else "You didn't provide an API key."
            asked = {"www-authenticate": 'Basic realm="ftlab: any name, the key"'}
            raise Refused(401, text, code="invalid_api_key", headers=asked if path == "/" else None)
        return owner or "nobody"


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
