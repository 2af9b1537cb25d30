"""The routes of the service: files, jobs, models, chat; every answer is one of OpenAI's own types.

Each object belongs to the key that made it; for any other key it is not there.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import os
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Form, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from openai.types import FileDeleted, Model, ModelDeleted
from openai.types.fine_tuning import FineTuningJob
from pydantic import Field

from ftlab.errors import ConfigError, DataError
from ftlab.serving.chat import ChatRequest, complete
from ftlab.serving.page import jobs_part, traces_part, whole
from ftlab.serving.protocol import Closed, Limit, Metadata, Refused, handle, json_of, list_of, plain
from ftlab.serving.store import Store, checkpoint_of, event_of, file_of, job_of, model_of, new_id
from ftlab.serving.traces import LIVE, keeper, routes, where_metadata
from ftlab.serving.uploads import examined

__all__ = ["Limits", "Refused", "Service", "make_app"]

LOG = logging.getLogger("ftlab.serving")
ORGANIZATION = "ftlab"
MB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one key may do."""

    upload: int = 100 * MB
    """Bytes of a file."""
    stored: int = 1024 * MB
    """Bytes of all its files."""
    body: int = 4 * MB
    """Bytes of any other request."""
    jobs: int = 20
    """Jobs that wait or run."""
    requests: int = 1200
    """Requests a minute."""
    traces: int = 50_000
    """Stored completions without a label."""
    waiting: int = 256
    """Chat requests of all keys that wait for an answer or get one."""


@dataclass
class Service:
    """What the routes share."""

    store: Store
    base: str
    """The model that is tuned, by name; tuned models are adapters on it."""
    keys: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    engine: Any = None
    """What answers chat requests (`ftlab.serving.engine`)."""
    trace: bool = False
    """Store every completion whose request does not refuse it."""

    def __post_init__(self) -> None:
        if short := [key for key in self.keys if len(key) < 16]:
            raise ConfigError(
                f"{len(short)} of the keys has fewer than 16 characters. Make one: "
                "python -c 'import secrets; print(secrets.token_urlsafe(24))'"
            )
        self._salt = self.store.fact("salt", os.urandom(16).hex()).encode()
        self._hashes = [self._hash(key) for key in self.keys]
        self.keys = ()  # from here on there are hashes alone
        self._recent: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()
        self.counts: Counter[tuple[str, int]] = Counter()
        """Answered requests, by route and status."""

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
        given, found = self._hash(key or ""), None
        for known in self._hashes:
            if hmac.compare_digest(given, known):
                found = known
        return found

    def admit(self, owner: str) -> None:
        """Count a request against the owner's rate."""
        with self._lock:
            now, recent = time.monotonic(), self._recent[owner]
            while recent and recent[0] < now - 60:
                recent.popleft()
            full = len(recent) >= self.limits.requests
            wait = recent[0] + 60 - now if full else 0
            if not full:
                recent.append(now)
        if full:
            raise Refused(
                429, f"Rate limit reached: {self.limits.requests} requests a minute.",
                kind="requests", code="rate_limit_exceeded", headers={"retry-after": f"{wait:.0f}"},
            )  # fmt: skip

    def named(self, owner: str, model: str) -> str:
        """Return what `live` stands for, and any other name as it is."""
        history = self.store.live(owner) if model == LIVE else []
        return history[-1]["model"] if history else self.base if model == LIVE else model

    def folder_of(self, owner: str, model: str) -> Path | None:
        """Return the folder of an owner's model, None for the base.

        Raises:
            Refused: the owner has no such model.
        """
        model = self.named(owner, model)
        if model == self.base:
            return None
        sql = "select folder from models where id = ? and owner = ?"
        found = self.store.row(sql, model, owner)
        if found is None:
            names = [row["id"] for row in self.store.rows(
                "select id from models where owner = ? and step is null", owner)]  # fmt: skip
            raise Refused(
                404, f"The model `{model[:200]}` does not exist or you do not have access to it. "
                f"There are: {', '.join([self.base, LIVE, *names[:10]])}.",
                param="model", code="model_not_found",
            )  # fmt: skip
        return self.store.folder / "models" / found["folder"]


# What a job is asked for with. The names are OpenAI's (openai.types.fine_tuning.JobCreateParams).


def _auto(kind: Any, **limits: Any) -> Any:
    return Annotated[kind, Field(strict=True, allow_inf_nan=False, **limits)] | Literal["auto"]


class Hyperparameters(Closed):
    """Of a supervised job."""

    batch_size: _auto(int, ge=1, le=256) = "auto"  # type: ignore[valid-type]
    learning_rate_multiplier: (
        Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | Literal["auto"]
    ) = "auto"
    n_epochs: _auto(int, ge=1, le=50) = "auto"  # type: ignore[valid-type]


class DpoHyperparameters(Hyperparameters):
    """Of a job on preferences."""

    beta: Annotated[float, Field(gt=0, le=2, allow_inf_nan=False)] | Literal["auto"] = "auto"


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


def make_app(service: Service) -> FastAPI:
    """Return the service's application."""
    app = FastAPI(title="ftlab", docs_url=None, redoc_url=None)
    store, limits = service.store, service.limits
    app.add_middleware(_Guard, service=service)

    def owner(request: Request) -> str:
        found: str = request.state.owner
        service.admit(found)
        return found

    Owner = Annotated[str, Depends(owner)]

    handle(app)

    # Files.

    @app.post("/v1/files")
    def create_file(
        owner: Owner, file: UploadFile, purpose: Annotated[Literal["fine-tune"], Form()],
        expires: Annotated[str | None, Form(alias="expires_after[anchor]")] = None,
    ) -> Response:  # fmt: skip
        if expires is not None:
            raise Refused(400, "Files do not expire here.", param="expires_after")
        held = store.row("select sum(bytes) as n from files where owner = ?", owner)
        if held is not None and (held["n"] or 0) + (file.size or 0) > limits.stored:
            raise Refused(413, f"Your files would take more than {limits.stored // MB} MB. "
                          "Delete some.", param="file")  # fmt: skip
        handle, name = tempfile.mkstemp(dir=store.folder / "files", prefix=".")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                shutil.copyfileobj(file.file, stream)
            try:
                kind = examined(part)
            except DataError as error:
                text = str(error).replace(str(part), "The file")
                raise Refused(400, text, param="file", code="invalid_file_format") from None
            # The name is shown and never a path.
            shown = Path((file.filename or "file.jsonl").replace("\\", "/")).name[:200]
            shown = "".join(c for c in shown if c.isprintable()) or "file.jsonl"
            return json_of(store.add_file(owner, part, plain(shown), "fine-tune", kind))
        finally:
            part.unlink(missing_ok=True)

    def own_file(owner: str, file_id: str, param: str | None = None) -> Any:
        found = store.row("select * from files where id = ? and owner = ?", file_id, owner)
        if found is None:
            raise Refused(404 if param is None else 400, f"No such File object: {file_id[:80]}",
                          param=param or "id")  # fmt: skip
        return found

    @app.get("/v1/files")
    def list_files(
        owner: Owner, after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc", purpose: str | None = None,
    ) -> Response:  # fmt: skip
        where, values = "owner = ?", (owner,)
        if purpose is not None:
            where, values = f"{where} and purpose = ?", (owner, purpose)  # type: ignore[assignment]
        found = store.page("files", where, values, after, limit, order == "desc")
        return list_of([file_of(row) for row in found[0]], found[1])

    @app.get("/v1/files/{file_id}")
    def retrieve_file(owner: Owner, file_id: str) -> Response:
        return json_of(file_of(own_file(owner, file_id)))

    @app.get("/v1/files/{file_id}/content")
    def file_content(owner: Owner, file_id: str) -> Response:
        own_file(owner, file_id)
        return FileResponse(store.path_of(file_id), media_type="application/octet-stream")

    @app.delete("/v1/files/{file_id}")
    def delete_file(owner: Owner, file_id: str) -> Response:
        own_file(owner, file_id)
        for row in store.rows("select * from jobs where owner = ? and status in "
                              "('queued', 'running')", owner):  # fmt: skip
            job = job_of(row)
            if file_id in (job.training_file, job.validation_file):
                raise Refused(409, f"The job {job.id} still needs this file. Cancel it first.")
        store.delete_file(owner, file_id)
        return json_of(FileDeleted(id=file_id, deleted=True, object="file"))

    # Jobs.

    @app.post("/v1/fine_tuning/jobs")
    def create_job(owner: Owner, asked: JobRequest) -> Response:
        asked.model = service.named(owner, asked.model)
        folder = service.folder_of(owner, asked.model)
        method = asked.method or Method(type="supervised")
        dpo = method.type == "dpo"
        if (method.supervised if dpo else method.dpo) is not None:
            raise Refused(400, f"The method is {method.type}.", param="method")
        files = [asked.training_file, *([asked.validation_file] if asked.validation_file else [])]
        for param, name in zip(("training_file", "validation_file"), files, strict=False):
            kind = own_file(owner, name, param)["kind"]
            if kind != ("dpo" if dpo else "sft"):
                raise Refused(
                    400, f"{name} holds {'preferences' if kind == 'dpo' else 'no preferences'}, "
                    f"and the method is {method.type}.", param=param, code="invalid_file_format",
                )  # fmt: skip
        if len(files) == 2 and store.path_of(files[0]) == store.path_of(files[1]):
            raise Refused(400, "The validation file is the training file.", param="validation_file")
        with store.path_of(files[0]).open("rb") as stream:
            rows = sum(bool(line.strip()) for line in stream)
        given = (method.dpo if dpo else method.supervised) or (Dpo() if dpo else Supervised())
        settings: dict[str, Any] = given.hyperparameters.model_dump()
        if asked.hyperparameters is not None:
            if asked.method is not None:
                raise Refused(400, "Give hyperparameters or method, not both.",
                              param="hyperparameters")  # fmt: skip
            settings = asked.hyperparameters.model_dump()
        usual = {
            "batch_size": max(1, min(8, rows)), "learning_rate_multiplier": 1.0, "beta": 0.1,
            "n_epochs": 3 if rows <= 300 else 2 if rows <= 1000 else 1,
        }  # fmt: skip
        settings = {k: usual[k] if v == "auto" else v for k, v in settings.items()}
        name = new_id("ftjob")
        job = FineTuningJob.model_validate({
            "id": name, "object": "fine_tuning.job", "created_at": int(time.time()),
            "model": asked.model, "organization_id": ORGANIZATION, "status": "queued",
            "seed": int.from_bytes(os.urandom(4), "big") >> 1 if asked.seed is None else asked.seed,
            "training_file": files[0], "validation_file": asked.validation_file,
            "result_files": [], "integrations": [], "metadata": asked.metadata,
            "hyperparameters": {k: v for k, v in settings.items() if k != "beta"},
            "method": {"type": method.type, method.type: {"hyperparameters": settings}},
        })  # fmt: skip
        plan = {
            "base": service.base, "folder": folder and folder.name,
            "name": f"ft:{service.base}:{ORGANIZATION}:{asked.suffix or ''}:{name[-8:]}",
        }  # fmt: skip
        few = f"{rows} examples: a provider wants at least 10." if rows < 10 else ""
        if not store.add_job(job, owner, plan, limits.jobs, few):
            raise Refused(
                429, f"{limits.jobs} of your jobs wait or run already. Cancel one, or wait.",
                kind="requests", code="rate_limit_exceeded", headers={"retry-after": "30"},
            )  # fmt: skip
        return json_of(job)

    def own_job(owner: str, job_id: str) -> FineTuningJob:
        job = store.job(job_id, owner)
        if job is None:
            raise Refused(404, f"Could not find fine tune: {job_id[:80]}",
                          param="fine_tuning_job_id", code="fine_tune_not_found")  # fmt: skip
        return job

    @app.get("/v1/fine_tuning/jobs")
    def list_jobs(
        request: Request, owner: Owner, after: str | None = None, limit: Limit = 20
    ) -> Response:
        where, values = where_metadata(request)
        found, more = store.page("jobs", "owner = ?" + where, (owner, *values), after, limit)
        return list_of([job_of(row) for row in found], more)

    @app.get("/v1/fine_tuning/jobs/{job_id}")
    def retrieve_job(owner: Owner, job_id: str) -> Response:
        return json_of(own_job(owner, job_id))

    @app.post("/v1/fine_tuning/jobs/{job_id}/cancel")
    def cancel_job(owner: Owner, job_id: str) -> Response:
        job = own_job(owner, job_id)
        if not store.end_job(job_id, "cancelled", "Fine-tuning job cancelled"):
            state = own_job(owner, job_id).status
            raise Refused(400, f"Job has already completed: {job.id} is {state}.",
                          code="invalid_cancel_request")  # fmt: skip
        return json_of(own_job(owner, job_id))

    @app.get("/v1/fine_tuning/jobs/{job_id}/events")
    def list_events(
        owner: Owner, job_id: str, after: str | None = None, limit: Limit = 20
    ) -> Response:
        own_job(owner, job_id)
        found, more = store.page("events", "job = ?", (job_id,), after, limit)
        return list_of([event_of(row) for row in found], more)

    @app.get("/v1/fine_tuning/jobs/{job_id}/checkpoints")
    def list_checkpoints(
        owner: Owner, job_id: str, after: str | None = None, limit: Limit = 10
    ) -> Response:
        own_job(owner, job_id)
        if after is not None:  # a checkpoint's id is not its model's
            rows = store.rows("select * from models where job = ? and step is not null", job_id)
            after = next((row["id"] for row in rows if checkpoint_of(row).id == after), "")
        where = "job = ? and step is not null"
        found, more = store.page("models", where, (job_id,), after, limit)
        return list_of([checkpoint_of(row) for row in found], more)

    # Models.

    base, live = (Model(id=name, object="model", created=0, owned_by=ORGANIZATION)
                  for name in (service.base, LIVE))  # fmt: skip
    routes(app, service, Owner)

    @app.get("/v1/models")
    def list_models(owner: Owner) -> Response:
        sql = "select * from models where owner = ? and step is null order by seq"
        own = [model_of(row, ORGANIZATION) for row in store.rows(sql, owner)]
        return list_of([base, live, *own], None)

    @app.get("/v1/models/{model:path}")
    def retrieve_model(owner: Owner, model: str) -> Response:
        if service.folder_of(owner, model) is None:
            return json_of(base)
        found = store.row("select * from models where id = ?", model)
        assert found is not None
        return json_of(model_of(found, ORGANIZATION))

    @app.delete("/v1/models/{model:path}")
    def delete_model(owner: Owner, model: str) -> Response:
        folder = service.folder_of(owner, model)
        if folder is None:
            raise Refused(403, "The base cannot be deleted.", param="model")
        if service.named(owner, LIVE) == model or model == LIVE:
            raise Refused(409, "This model is in service. Roll back first.", param="model")
        waits = "select 1 from jobs where status in ('queued', 'running') and plan like ?"
        if store.row(waits, f'%"folder": "{folder.name}"%'):
            raise Refused(409, "A job that is not over trains on this model. Cancel it first.")
        store.delete_model(owner, model)
        return json_of(ModelDeleted(id=model, deleted=True, object="model"))

    # Chat.

    @app.post("/v1/chat/completions")
    async def create_completion(request: Request, owner: Owner, asked: ChatRequest) -> Response:
        asked.model = await asyncio.to_thread(service.named, owner, asked.model)
        folder = await asyncio.to_thread(service.folder_of, owner, asked.model)
        wanted = service.trace if asked.store is None else asked.store
        keep = keeper(store, owner, asked, limits.traces) if wanted else None
        return await complete(request, asked, service.engine, folder, keep=keep)

    # The service itself.

    @app.get("/")
    def page(request: Request, owner: Owner) -> Response:
        return whole(store, owner, service.base, str(request.base_url))

    @app.get("/jobs")
    def jobs(owner: Owner) -> Response:
        return jobs_part(store, owner)

    @app.get("/traces")
    def traces(owner: Owner, model: str = "", label: str = "", text: str = "") -> Response:
        return traces_part(store, owner, *(plain(value) for value in (model, label, text)))

    @app.get("/healthz")
    def healthz() -> Response:
        store.row("select 1")
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    def metrics(owner: Owner) -> Response:
        return PlainTextResponse(_metrics(service), media_type="text/plain; version=0.0.4")

    return app


def _metrics(service: Service) -> str:
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


class _Guard:
    """Before any route: whose the request is, how large it may be; behind it: count and log.

    What is logged is method, path, status and time, never a body.
    """

    def __init__(self, app: Any, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
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
        owner = self.service.owner(_key(headers.get("authorization", "")))
        if owner is None and scope["path"] != "/healthz":
            page = scope["path"] == "/"
            raise Refused(
                401, "Incorrect API key provided." if headers.get("authorization")
                else "You didn't provide an API key.", code="invalid_api_key",
                headers={"www-authenticate": 'Basic realm="ftlab: any name, the key"'}
                if page else None,
            )  # fmt: skip
        scope.setdefault("state", {})["owner"] = owner or "nobody"


def _key(authorization: str) -> str | None:
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
