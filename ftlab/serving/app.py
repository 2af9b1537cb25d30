"""The routes: files, jobs, models, chat, stored completions; all answers are OpenAI's own types.

Each object belongs to the key that made it; for any other key it is not there. Beside OpenAI's
routes there is `live`, the name of the model in service: the base, until a tuned model is promoted.
A trace is what the protocol calls a stored completion: a request with its answer, kept without
secrets and personal data. Labels are its metadata: label (good, bad), correction, reviewer.
"""

import asyncio
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Form, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from openai.types import FileDeleted, Model, ModelDeleted
from openai.types.chat import ChatCompletion, ChatCompletionDeleted, ChatCompletionStoreMessage

from ftlab.curation.checks_private import redacted
from ftlab.errors import DataError
from ftlab.serving import jobs, protocol
from ftlab.serving.chat import complete
from ftlab.serving.page import page
from ftlab.serving.protocol import Refused, fields, list_of, plain
from ftlab.serving.service import LIVE, MB, Guard, Service
from ftlab.serving.store import OF_MODEL, ORGANIZATION, UNDER_WAY, Store, new_id, now

__all__ = ["make_app"]


def make_app(service: Service) -> FastAPI:
    """Return the service's application."""
    app = FastAPI(title="ftlab", docs_url=None, redoc_url=None)
    store, limits = service.store, service.limits
    app.add_middleware(Guard, service=service)
    protocol.handle(app)

    def owner(request: Request) -> str:
        found: str = request.state.owner
        service.admit(found)
        return found

    Owner = Annotated[str, Depends(owner)]
    Pages = Annotated[protocol.Page, Query()]

    def listed(
        kind: str, owner: str | None, page: protocol.Page, where: str = "1", *values: Any,
        job: str | None = None, newest: bool = True,
    ) -> Response:  # fmt: skip
        newest = newest if page.order is None else page.order == "desc"
        given: Any = {"job": job, "after": page.after, "limit": page.limit + 1, "newest": newest}
        found = [one.body for one in store.find(kind, owner, where, *values, **given)]
        return list_of(found[: page.limit], len(found) > page.limit)

    # Files.

    @app.post("/v1/files")
    def create_file(
        owner: Owner, file: UploadFile, purpose: Annotated[Literal["fine-tune"], Form()],
        expires: Annotated[str | None, Form(alias="expires_after[anchor]")] = None,
    ) -> Response:  # fmt: skip
        if expires is not None:
            raise Refused(400, "Files do not expire here.", param="expires_after")
        held = sum(one.body["bytes"] for one in store.find("file", owner))
        if held + (file.size or 0) > limits.stored:
            raise Refused(413, f"Your files would take more than {limits.stored // MB} MB. "
                          "Delete some.", param="file")  # fmt: skip
        handle, name = tempfile.mkstemp(dir=store.folder / "files", prefix=".")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                shutil.copyfileobj(file.file, stream)
            try:
                kind = jobs.examined(part)
            except DataError as error:
                text = str(error).replace(str(part), "The file")
                raise Refused(400, text, param="file", code="invalid_file_format") from None
            # The name is shown and never a path.
            shown = Path((file.filename or "file.jsonl").replace("\\", "/")).name[:200]
            shown = "".join(c for c in shown if c.isprintable()) or "file.jsonl"
            return JSONResponse(store.add_file(owner, part, plain(shown), "fine-tune", kind))
        finally:
            part.unlink(missing_ok=True)

    @app.get("/v1/files")
    def list_files(owner: Owner, page: Annotated[protocol.FilePage, Query()]) -> Response:
        purpose = "json_extract(body, '$.purpose')"
        return listed("file", owner, page, f"{purpose} = coalesce(?, {purpose})", page.purpose)

    @app.get("/v1/files/{file_id}")
    def retrieve_file(owner: Owner, file_id: str) -> Response:
        return JSONResponse(service.get("file", file_id, owner).body)

    @app.get("/v1/files/{file_id}/content")
    def file_content(owner: Owner, file_id: str) -> Response:
        service.get("file", file_id, owner)
        return FileResponse(store.path_of(file_id), media_type="application/octet-stream")

    @app.delete("/v1/files/{file_id}")
    def delete_file(owner: Owner, file_id: str) -> Response:
        file = service.get("file", file_id, owner)
        for job in store.find("job", owner, UNDER_WAY):
            if file_id in (job.body["training_file"], job.body["validation_file"]):
                raise Refused(409, f"The job {job.id} still needs this file. Cancel it first.")
        store.delete_file(file)
        return JSONResponse(fields(FileDeleted(id=file_id, deleted=True, object="file")))

    # Jobs.

    @app.post("/v1/fine_tuning/jobs")
    def create_job(owner: Owner, asked: protocol.JobRequest) -> Response:
        return JSONResponse(jobs.create(service, owner, asked))

    @app.get("/v1/fine_tuning/jobs")
    def list_jobs(request: Request, owner: Owner, page: Pages) -> Response:
        where, values = _of_metadata(request)
        return listed("job", owner, page, where, *values)

    @app.get("/v1/fine_tuning/jobs/{job_id}")
    def retrieve_job(owner: Owner, job_id: str) -> Response:
        return JSONResponse(service.get("job", job_id, owner).body)

    @app.post("/v1/fine_tuning/jobs/{job_id}/cancel")
    def cancel_job(owner: Owner, job_id: str) -> Response:
        job = service.get("job", job_id, owner)
        if not store.end_job(job.id, "cancelled", "Fine-tuning job cancelled"):
            state = service.get("job", job_id, owner).body["status"]
            raise Refused(400, f"Job has already completed: {job.id} is {state}.",
                          code="invalid_cancel_request")  # fmt: skip
        return JSONResponse(service.get("job", job_id, owner).body)

    @app.get("/v1/fine_tuning/jobs/{job_id}/events")
    def list_events(owner: Owner, job_id: str, page: Pages) -> Response:
        return listed("event", None, page, job=service.get("job", job_id, owner).id)

    @app.get("/v1/fine_tuning/jobs/{job_id}/checkpoints")
    def list_checkpoints(owner: Owner, job_id: str, page: Pages) -> Response:
        return listed("checkpoint", None, page, job=service.get("job", job_id, owner).id)

    # Models.

    base, live = (fields(Model(id=name, object="model", created=0, owned_by=ORGANIZATION))
                  for name in (service.base, LIVE))  # fmt: skip

    @app.get("/v1/models")
    def list_models(owner: Owner) -> Response:
        return list_of([base, live, *(model.body for model in store.find("model", owner))])

    def in_service(owner: str) -> Response:
        history = store.live(owner)
        told = {"model": service.named(owner, LIVE), "history": history}
        told |= {"created": history[-1]["created_at"]} if history else {}
        return JSONResponse(live | told)

    @app.get(f"/v1/models/{LIVE}")
    def retrieve_live(owner: Owner) -> Response:
        return in_service(owner)

    @app.post(f"/v1/models/{LIVE}")
    def promote(owner: Owner, asked: protocol.Promotion) -> Response:
        if service.model(owner, asked.model) is None:
            raise Refused(400, "The base is in service where nothing else is: roll back.",
                          param="model")  # fmt: skip
        with store.transaction():
            if service.named(owner, LIVE) != asked.model:  # asked twice, it is done once
                note = {"model": asked.model, "note": asked.note, "created_at": now()}
                store.add("live", owner, {"id": new_id(LIVE), **note})
        return in_service(owner)

    @app.post(f"/v1/models/{LIVE}/rollback")
    def rollback(owner: Owner) -> Response:
        with store.transaction():
            history = store.live(owner)
            if not history:
                raise Refused(409, "Nothing was promoted: the base is in service.")
            store.drop(history[-1]["id"])
        return in_service(owner)

    @app.get("/v1/models/{model:path}")
    def retrieve_model(owner: Owner, model: str) -> Response:
        found = service.model(owner, model)
        if found is None:
            return JSONResponse(base)
        created = found.body.get("created") or found.body["created_at"]  # of a checkpoint
        return JSONResponse(base | {"id": model, "created": created})

    @app.delete("/v1/models/{model:path}")
    def delete_model(owner: Owner, model: str) -> Response:
        found = service.model(owner, model)
        if found is None:
            raise Refused(403, "The base cannot be deleted.", param="model")
        if service.named(owner, LIVE) == model or model == LIVE:
            raise Refused(409, "This model is in service. Roll back first.", param="model")
        on_it = f"{UNDER_WAY} and json_extract(own, '$.folder') = ?"
        if store.find("job", None, on_it, found.own["folder"]):
            raise Refused(409, "A job that is not over trains on this model. Cancel it first.")
        store.delete_model(found)
        return JSONResponse(fields(ModelDeleted(id=model, deleted=True, object="model")))

    # Chat.

    chat = "/v1/chat/completions"

    @app.post(chat)
    async def create_completion(
        request: Request, owner: Owner, asked: protocol.ChatRequest
    ) -> Response:
        model = await asyncio.to_thread(service.model, owner, asked.model)
        asked.model = await asyncio.to_thread(service.named, owner, asked.model)
        folder = None if model is None else store.folder_of(model)
        wanted = service.trace if asked.store is None else asked.store
        keep = partial(_keep, store, owner, asked, limits.traces) if wanted else None
        return await complete(request, asked, service.engine, folder, keep=keep)

    @app.get(chat)
    def list_traces(request: Request, owner: Owner, page: Pages) -> Response:
        where, values = _of_metadata(request)
        if page.model is not None:
            where += f" and {OF_MODEL}"
            values.append(service.named(owner, page.model))
        return listed("trace", owner, page, where, *values, newest=False)

    @app.get(chat + "/{completion_id}")
    def retrieve_trace(owner: Owner, completion_id: str) -> Response:
        return JSONResponse(service.get("trace", completion_id, owner).body)

    @app.get(chat + "/{completion_id}/messages")
    def list_messages(owner: Owner, completion_id: str, page: Pages) -> Response:
        nothing = {"content": None, "content_parts": None, "refusal": None}
        told = service.get("trace", completion_id, owner).own["messages"]
        held = [fields(ChatCompletionStoreMessage.construct(
                    **nothing | message, id=f"{completion_id}-{number}"))
                for number, message in enumerate(told)]  # fmt: skip
        held = held[:: -1 if page.order == "desc" else 1]
        first = next((i for i, one in enumerate(held, 1) if one["id"] == page.after), 0)
        return list_of(held[first : first + page.limit], len(held) > first + page.limit)

    @app.post(chat + "/{completion_id}")
    def update_trace(owner: Owner, completion_id: str, asked: protocol.Update) -> Response:
        with store.transaction():
            trace = service.get("trace", completion_id, owner)
            store.change(trace, metadata=_redacted(asked.metadata))
        return JSONResponse(service.get("trace", completion_id, owner).body)

    @app.delete(chat + "/{completion_id}")
    def delete_trace(owner: Owner, completion_id: str) -> Response:
        store.drop(service.get("trace", completion_id, owner).id)
        return JSONResponse(fields(ChatCompletionDeleted(
            id=completion_id, deleted=True, object="chat.completion.deleted")))  # fmt: skip

    # The service itself.

    @app.get("/")
    def index(
        request: Request, owner: Owner, model: str = "", label: str = "", text: str = ""
    ) -> Response:
        shown = [plain(value) for value in (model, label, text)]
        return page(store, owner, service.base, str(request.base_url), *shown)

    @app.get("/healthz")
    def healthz() -> Response:
        store.sql("select 1")
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    def metrics(owner: Owner) -> Response:
        return PlainTextResponse(service.metrics(), media_type="text/plain; version=0.0.4")

    return app


def _of_metadata(request: Request) -> tuple[str, list[str]]:
    """Return the condition on objects that a query's metadata[name]=value is, with its values."""
    where, values = "1", []
    for name, value in request.query_params.items():
        if name.startswith("metadata[") and name.endswith("]"):
            where += (
                " and exists (select 1 from json_each(body, '$.metadata') "
                "where key = ? and value = ?)"
            )
            values += [plain(name[9:-1]), plain(value)]
    if request.query_params.get("metadata") == "null":
        where += " and json_extract(body, '$.metadata') is null"
    return where, values


def _redacted(value: Any) -> Any:
    """Return JSON data with every text redacted."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list) else value


def _keep(
    store: Store, owner: str, asked: protocol.ChatRequest, most: int, answer: ChatCompletion,
    messages: Any,
) -> None:  # fmt: skip
    """Store the answer to a request; beyond `most` the oldest without a label go."""
    body = fields(answer)
    for choice in body["choices"]:
        choice["logprobs"] = None  # their tokens would spell what is redacted
    body |= {"tools": asked.tools} if asked.tools else {}
    said = ("choices", "metadata", "tools")  # an id may look like a number of somebody's
    body |= {name: _redacted(body[name]) for name in said if name in body}
    with store.transaction():
        store.add("trace", owner, body, messages=_redacted(messages))
        store.sql(
            "delete from objects where kind = 'trace' and owner = ? and seq <= (select seq from "
            "objects where kind = 'trace' and owner = ? order by seq desc limit 1 offset ?) and "
            "json_extract(body, '$.metadata.label') is null", owner, owner, most,
        )  # fmt: skip
