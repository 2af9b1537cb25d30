"""The routes of the service: files, jobs, models, chat; every answer is one of OpenAI's own types.

Each object belongs to the key that made it; for any other key it is not there.
"""

import asyncio
import hashlib
import hmac
import os
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Form, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from openai.types import FileDeleted, Model, ModelDeleted

from ftlab.errors import ConfigError, DataError
from ftlab.serving import jobs, traces
from ftlab.serving.chat import complete
from ftlab.serving.chat_request import ChatRequest
from ftlab.serving.page import jobs_part, traces_part, whole
from ftlab.serving.protocol import Guard, Refused, counts, handle, json_of, list_of, plain, too_many
from ftlab.serving.store import ORGANIZATION, Store, file_of, job_of, model_of
from ftlab.serving.traces import LIVE
from ftlab.serving.uploads import examined

MB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one key may do."""

    upload: int = 100 * MB  # bytes of a file
    stored: int = 1024 * MB  # bytes of all its files
    body: int = 4 * MB  # bytes of any other request
    jobs: int = 20  # jobs that wait or run
    requests: int = 1200  # requests a minute
    traces: int = 50_000  # stored completions without a label
    waiting: int = 256  # chat requests of all keys that wait for an answer or get one


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
        self._salt = self.store.fact("salt", os.urandom(16).hex()).encode()
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

    def named(self, owner: str, model: str) -> str:
        """Return what `live` stands for, and any other name as it is."""
        history = self.store.live(owner) if model == LIVE else []
        return history[-1]["model"] if history else self.base if model == LIVE else model

    def folder_of(self, owner: str, model: str) -> Path | None:
        """Return the folder of an owner's model, None for the base; refuse a model not there."""
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

    def file(self, owner: str, file_id: str, param: str | None = None) -> Any:
        """Return an owner's file; refuse one that is not there."""
        found = self.store.row("select * from files where id = ? and owner = ?", file_id, owner)
        if found is None:
            raise Refused(404 if param is None else 400, f"No such File object: {file_id[:80]}",
                          param=param or "id")  # fmt: skip
        return found


def make_app(service: Service) -> FastAPI:
    """Return the service's application."""
    app = FastAPI(title="ftlab", docs_url=None, redoc_url=None)
    store, limits = service.store, service.limits
    app.add_middleware(Guard, service=service)

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

    @app.get("/v1/files")
    def list_files(
        owner: Owner, after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc", purpose: str | None = None,
    ) -> Response:  # fmt: skip
        where = "owner = ? and purpose = coalesce(?, purpose)"
        found = store.page("files", where, (owner, purpose), after, limit, order == "desc")
        return list_of([file_of(row) for row in found[0]], found[1])

    @app.get("/v1/files/{file_id}")
    def retrieve_file(owner: Owner, file_id: str) -> Response:
        return json_of(file_of(service.file(owner, file_id)))

    @app.get("/v1/files/{file_id}/content")
    def file_content(owner: Owner, file_id: str) -> Response:
        service.file(owner, file_id)
        return FileResponse(store.path_of(file_id), media_type="application/octet-stream")

    @app.delete("/v1/files/{file_id}")
    def delete_file(owner: Owner, file_id: str) -> Response:
        service.file(owner, file_id)
        for row in store.rows("select * from jobs where owner = ? and status in "
                              "('queued', 'running')", owner):  # fmt: skip
            job = job_of(row)
            if file_id in (job.training_file, job.validation_file):
                raise Refused(409, f"The job {job.id} still needs this file. Cancel it first.")
        store.delete_file(owner, file_id)
        return json_of(FileDeleted(id=file_id, deleted=True, object="file"))

    jobs.routes(app, service, Owner)

    # Models.

    base, live = (Model(id=name, object="model", created=0, owned_by=ORGANIZATION)
                  for name in (service.base, LIVE))  # fmt: skip
    traces.routes(app, service, Owner)

    @app.get("/v1/models")
    def list_models(owner: Owner) -> Response:
        sql = "select * from models where owner = ? and step is null order by seq"
        own = [model_of(row) for row in store.rows(sql, owner)]
        return list_of([base, live, *own], None)

    @app.get("/v1/models/{model:path}")
    def retrieve_model(owner: Owner, model: str) -> Response:
        if service.folder_of(owner, model) is None:
            return json_of(base)
        found = store.row("select * from models where id = ?", model)
        assert found is not None
        return json_of(model_of(found))

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
        keep = partial(traces.keep, store, owner, asked, limits.traces) if wanted else None
        return await complete(request, asked, service.engine, folder, keep=keep)

    # The service itself.

    @app.get("/")
    def page(request: Request, owner: Owner) -> Response:
        return whole(store, owner, service.base, str(request.base_url))

    @app.get("/jobs")
    def listed_jobs(owner: Owner) -> Response:
        return jobs_part(store, owner)

    @app.get("/traces")
    def listed_traces(owner: Owner, model: str = "", label: str = "", text: str = "") -> Response:
        return traces_part(store, owner, *(plain(value) for value in (model, label, text)))

    @app.get("/healthz")
    def healthz() -> Response:
        store.row("select 1")
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    def metrics(owner: Owner) -> Response:
        return PlainTextResponse(counts(service), media_type="text/plain; version=0.0.4")

    return app
