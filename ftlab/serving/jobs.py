"""The routes of jobs: what they are asked for with, and what is told of them."""

import os
import time
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request, Response
from openai.types.fine_tuning import FineTuningJob
from pydantic import Field

from ftlab.serving.protocol import Closed, Limit, Metadata, Refused, json_of, list_of, too_many
from ftlab.serving.store import ORGANIZATION, Store, checkpoint_of, event_of, job_of, new_id
from ftlab.serving.traces import where_metadata

# The names are OpenAI's (openai.types.fine_tuning.JobCreateParams).


Auto = Literal["auto"]
Rate = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Beta = Annotated[float, Field(gt=0, le=2, allow_inf_nan=False)]


class Hyperparameters(Closed):
    """Of a supervised job."""

    batch_size: Annotated[int, Field(strict=True, ge=1, le=256)] | Auto = "auto"
    learning_rate_multiplier: Rate | Auto = "auto"
    n_epochs: Annotated[int, Field(strict=True, ge=1, le=50)] | Auto = "auto"


class DpoHyperparameters(Hyperparameters):
    """Of a job on preferences."""

    beta: Beta | Auto = "auto"


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


def routes(app: FastAPI, service: Any, Owner: Any) -> None:
    """Add the routes of jobs, their events and checkpoints."""
    store: Store = service.store

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
            kind = service.file(owner, name, param)["kind"]
            if kind != ("dpo" if dpo else "sft"):
                raise Refused(
                    400, f"{name} holds {'preferences' if kind == 'dpo' else 'no preferences'}, "
                    f"and the method is {method.type}.", param=param, code="invalid_file_format",
                )  # fmt: skip
        if len(files) == 2 and store.path_of(files[0]) == store.path_of(files[1]):
            raise Refused(400, "The validation file is the training file.", param="validation_file")
        with store.path_of(files[0]).open("rb") as stream:
            rows = sum(bool(line.strip()) for line in stream)
        if asked.hyperparameters is not None and asked.method is not None:
            raise Refused(400, "Give hyperparameters or method, not both.", param="hyperparameters")
        given = (method.dpo if dpo else method.supervised) or (Dpo() if dpo else Supervised())
        settings = (asked.hyperparameters or given.hyperparameters).model_dump()
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
        if not store.add_job(job, owner, plan, service.limits.jobs, few):
            limit = service.limits.jobs
            raise too_many(f"{limit} of your jobs wait or run. Cancel one, or wait.", 30)
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
