"""Fine-tuning through the official client, with a worker that really trains."""

import time
from pathlib import Path

import openai
import pytest
from openai.types.fine_tuning import FineTuningJob

from ftlab import models

from .conftest import MODEL, WORDS, ended, lines, pairs, until, upload


def test_a_job_from_upload_to_model(served, client):
    file = upload(client)
    job = client.fine_tuning.jobs.create(
        model=MODEL, training_file=file, validation_file=upload(client, lines(["tree", "sun"])),
        suffix="words", seed=7, metadata={"class": "monday"},
        method={"type": "supervised", "supervised": {"hyperparameters": {
            "n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 2.0}}},
    )  # fmt: skip
    assert isinstance(job, FineTuningJob) and job.status == "queued" and job.seed == 7
    job = ended(client, job.id)
    assert (job.status, job.estimated_finish) == ("succeeded", None), job.error
    assert job.fine_tuned_model == f"ft:{MODEL}:ftlab:words:{job.id[-8:]}"
    assert job.trained_tokens > 200 and job.finished_at >= job.created_at

    events = list(client.fine_tuning.jobs.list_events(job.id, limit=3))  # page by page
    assert len({event.id for event in events}) == len(events)
    told = [event.message for event in reversed(events)]
    assert told[0].startswith("Created") and told[-1].startswith("The job has successfully")
    steps = [e.data for e in reversed(events) if e.data and "train_loss" in e.data]
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[-1]["train_tokens"] == job.trained_tokens and steps[-1]["eta_seconds"] == 0
    assert steps[0]["learning_rate"] == pytest.approx(2 * 1e-3)
    assert sum("full_valid_loss" in (event.data or {}) for event in events) == 2
    kept = list(client.fine_tuning.jobs.checkpoints.list(job.id, limit=1))
    assert [one.step_number for one in kept] == [6, 4, 2]
    assert kept[0].metrics.train_loss == steps[-1]["train_loss"]

    names = [model.id for model in client.models.list()]
    assert names[0] == MODEL and job.fine_tuned_model in names
    assert client.models.retrieve(kept[1].fine_tuned_model_checkpoint).owned_by == "ftlab"
    table = client.files.content(job.result_files[0]).text.splitlines()
    assert table[0] == "step,train_loss,full_valid_loss" and len(table) == 7
    model, _ = models.load(served.data / "models" / job.id, device="cpu")
    assert hasattr(model, "peft_config")


def test_preferences_are_learned_on_top_of_a_tuned_model_and_models_are_deleted(served, client):
    first = client.fine_tuning.jobs.create(
        model=MODEL, training_file=upload(client), hyperparameters={"n_epochs": 1}
    )
    first = ended(client, first.id)
    job = client.fine_tuning.jobs.create(
        model=first.fine_tuned_model, training_file=upload(client, pairs()),
        method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "beta": 0.2}}},
    )  # fmt: skip
    job = ended(client, job.id)
    assert job.status == "succeeded", job.error
    assert job.method.dpo.hyperparameters.beta == 0.2
    summary = (served.data / "models" / job.id / "training.json").read_text()
    assert '"objective": "dpo"' in summary and '"beta": 0.2' in summary
    folder = served.data / "models" / first.id
    assert client.models.delete(first.fine_tuned_model).deleted and not folder.exists()
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(first.fine_tuned_model)
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete(MODEL)


def test_a_running_job_is_cancelled_within_two_seconds_and_the_next_is_trained(served, client):
    file = upload(client)
    long = client.fine_tuning.jobs.create(
        model=MODEL, training_file=file, hyperparameters={"n_epochs": 50, "batch_size": 1}
    )
    waits = client.fine_tuning.jobs.create(
        model=MODEL, training_file=file, hyperparameters={"n_epochs": 1, "batch_size": 12}
    )
    never = client.fine_tuning.jobs.create(model=MODEL, training_file=file)
    assert client.fine_tuning.jobs.cancel(never.id).status == "cancelled"
    with pytest.raises(openai.ConflictError, match="needs this file"):
        client.files.delete(file)
    until(lambda: len(client.fine_tuning.jobs.list_events(long.id).data) > 6)
    (_, trains), begun = served.workers(), time.monotonic()
    assert client.fine_tuning.jobs.cancel(long.id).status == "cancelled"
    until(lambda: trains not in served.workers(), 2)
    assert time.monotonic() - begun < 2
    with pytest.raises(openai.BadRequestError, match="already completed"):
        client.fine_tuning.jobs.cancel(long.id)
    assert ended(client, waits.id).status == "succeeded"
    told = [event.message for event in client.fine_tuning.jobs.list_events(long.id)]
    assert told[0] == "Fine-tuning job cancelled" and told.count(told[0]) == 1
    assert not [event for event in client.fine_tuning.jobs.list_events(never.id)
                if "started" in event.message]  # fmt: skip
    assert not Path(served.data / "models" / f"{long.id}-checkpoints").exists()
    assert [job.id for job in client.fine_tuning.jobs.list(limit=1)][:3] == [
        never.id, waits.id, long.id,
    ]  # fmt: skip


def test_what_the_trainer_refuses_ends_the_job_with_the_reason(served, client):
    file = upload(client, lines([*WORDS, "secretword"]))
    leaks = upload(client, lines(["fox", "cat", "dog"]))
    job = client.fine_tuning.jobs.create(model=MODEL, training_file=file, validation_file=leaks)
    job = ended(client, job.id)
    assert job.status == "failed" and job.fine_tuned_model is None
    assert job.error.code == "invalid_training_data" and job.error.message
    assert client.fine_tuning.jobs.list_events(job.id).data[0].level == "error"
    log = (served.data.parent / "log.txt").read_text()
    assert "POST /v1/files 200" in log and "secretword" not in log
