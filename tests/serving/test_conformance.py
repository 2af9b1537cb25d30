"""The table of docs/service.md is of the installed types, and what it says is so."""

import httpx
import openai
import pytest
from conformance import PAGE, fields_of, page, rows

from ftlab.serving.protocol import IDLE, REFUSED, ChatRequest, JobRequest

from .conftest import MODEL, connect, lines, upload


def named(endpoint, state):
    return {field for where, side, field, of, _ in rows()
            if (where, side, of) == (endpoint, "request", state)}  # fmt: skip


def test_the_page_has_the_table_of_these_types():
    if f"openai {openai.__version__}:" not in PAGE.read_text("utf-8"):
        pytest.skip(f"the page is of another version than {openai.__version__}")
    assert page() == PAGE.read_text("utf-8"), "run: python scripts/conformance.py"


def test_every_field_of_a_request_is_known_here():
    chat = fields_of("chat.completion_create_params.CompletionCreateParamsBase")
    assert set(chat) | {"stream"} <= set(ChatRequest.model_fields)
    assert set(REFUSED) & set(chat) == named("chat.completions.create", "refused")
    assert set(IDLE) & set(chat) <= named("chat.completions.create", "partial")
    job = fields_of("fine_tuning.job_create_params.JobCreateParams")
    assert set(job) == set(JobRequest.model_fields)


def test_what_is_refused_of_files_and_jobs_is_refused(routes):
    asked = connect(routes())
    (field,) = named("files.create", "refused")
    with pytest.raises(openai.BadRequestError) as caught:
        asked.files.create(file=("a", lines()), purpose="fine-tune",
                           **{field: {"anchor": "created_at", "seconds": 3600}})  # fmt: skip
    assert caught.value.body["param"] == field
    (field,) = named("fine_tuning.jobs.create", "refused")
    with pytest.raises(openai.BadRequestError) as caught:
        asked.fine_tuning.jobs.create(
            model=MODEL, training_file=upload(asked),
            **{field: [{"type": "wandb", "wandb": {"project": "x"}}]},
        )  # fmt: skip
    assert caught.value.body["param"] == field


def test_what_is_not_there_is_a_404_in_the_protocols_form(routes):
    url = routes()
    for path in ("/v1/fine_tuning/jobs/x/pause", "/v1/batches", "/v1/embeddings", "/v1/uploads"):
        answer = httpx.post(url + path, json={})
        assert answer.status_code == 404
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_answers_have_all_the_fields_of_their_types(routes):
    asked = connect(routes())
    file = upload(asked)
    asked.fine_tuning.jobs.create(model=MODEL, training_file=file)
    url = str(asked.base_url)
    for path, kind in [
        (f"files/{file}", "file_object.FileObject"),
        ("models/" + MODEL, "model.Model"),
    ]:
        assert sorted(httpx.get(url + path).json()) == fields_of(kind)
    (job,) = httpx.get(url + "fine_tuning/jobs").json()["data"]
    assert sorted(job) == fields_of("fine_tuning.fine_tuning_job.FineTuningJob")
    events = httpx.get(f"{url}fine_tuning/jobs/{job['id']}/events").json()["data"]
    wanted = fields_of("fine_tuning.fine_tuning_job_event.FineTuningJobEvent")
    assert events and all(sorted(event) == wanted for event in events)
