"""The routes without a worker: what is refused, who sees what, and how much is let in."""

import re
import socket

import httpx
import openai
import pytest

from ftlab.errors import ConfigError, ModelError
from ftlab.serving import loop
from ftlab.serving.server import run
from ftlab.serving.service import Limits, Service
from ftlab.serving.store import Store

from .conftest import KEYS, MODEL, connect, lines, pairs, upload


def refusal(call, *arguments, **options):
    with pytest.raises(openai.APIStatusError) as caught:
        call(*arguments, **options)
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    return caught.value


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lines() + b"{oops\n", "Line 13: .*not JSON"),
        (lines(["fox"]) + b'{"messages": [{"role": "user", "content": "Hi"}]}\n', "Line 2"),
        (lines() + b'{"messages": [{"role": "human being", "content": "Hi"}]}\n', "Line 13"),
        (b"", "no record"),
        ("é".encode("utf-16"), "UTF-16"),
        (pairs() + b'{"input": 3}\n', "line 13: an object with input"),
        (pairs(["fox"]).replace(b'"no"', b'"the fox"'), "line 1: both answers"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_number_of_the_line(routes, content, told):
    asked = connect(routes())
    error = refusal(asked.files.create, file=("a.jsonl", content), purpose="fine-tune")
    assert error.status_code == 400 and error.body["code"] == "invalid_file_format"
    assert re.search(told, error.body["message"])
    assert list(asked.files.list()) == []


def test_files_come_back_as_they_were_and_names_are_no_paths(routes, tmp_path):
    asked = connect(routes())
    content = lines()
    for name in ("../../../../etc/passwd", "a\\b\\..\\..\\c.jsonl", "\x00\n.jsonl", "é" * 300):
        made = asked.files.create(file=(name, content), purpose="fine-tune")
        assert "/" not in made.filename and "\\" not in made.filename and made.bytes == len(content)
        assert asked.files.content(made.id).read() == content
    held = [path.name for path in (tmp_path / "data" / "files").iterdir()]
    assert len(held) == 1  # four files of the same content
    files = [file.id for file in asked.files.list(limit=3)]
    assert len(files) == 4 and files == [file.id for file in asked.files.list(order="asc")][::-1]
    assert list(asked.files.list(purpose="batch")) == []
    for number, file in enumerate(files, 1):
        assert asked.files.delete(file).deleted
        there = [path.name for path in (tmp_path / "data" / "files").iterdir()]
        assert there == (held if number < 4 else [])
    for id in ("../service.db", "..%2fservice.db", "file-nobody"):
        refusal(asked.files.content, id)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"model": "gpt-4o-mini"}, "model"),
        ({"training_file": "file-none"}, "training_file"),
        ({"validation_file": "file-none"}, "validation_file"),
        ({"suffix": "../x"}, "suffix"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": True}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": "many"}}, "hyperparameters.batch_size"),
        ({"method": {"type": "reinforcement"}}, "method.type"),
        ({"method": {"type": "dpo"}}, "training_file"),
        ({"method": {"type": "supervised", "dpo": {}}}, "method"),
        ({"metadata": {"x": "y" * 513}}, "metadata"),
        ({"extra_body": {"hyper": 1}}, "hyper"),
    ],
)
def test_a_bad_job_is_refused_with_the_parameter(routes, options, param):
    asked = connect(routes())
    given = {"model": MODEL, "training_file": upload(asked)} | options
    error = refusal(asked.fine_tuning.jobs.create, **given)
    assert error.status_code in (400, 404) and error.body["param"].startswith(param)
    assert list(asked.fine_tuning.jobs.list()) == []


def test_auto_is_decided_by_the_rows_and_metadata_filters(routes):
    asked = connect(routes())
    auto = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    jobs = [
        asked.fine_tuning.jobs.create(
            model=MODEL, training_file=upload(asked), metadata={"n": str(n)}, hyperparameters=auto
        ).id
        for n in range(3)
    ]
    given = asked.fine_tuning.jobs.retrieve(jobs[0]).method.supervised.hyperparameters
    assert (given.n_epochs, given.batch_size, given.learning_rate_multiplier) == (3, 8, 1.0)
    pages = asked.fine_tuning.jobs.list(limit=2)
    assert pages.has_more and [job.id for job in pages] == jobs[::-1]
    found = asked.fine_tuning.jobs.list(metadata={"n": "1"})
    assert [job.id for job in found] == [jobs[1]]


def test_one_key_finds_nothing_of_another(routes, tmp_path, engine):
    url = routes(KEYS, engine=engine)
    ada, ben = (connect(url, key) for key in KEYS)
    file = upload(ada)
    job = ada.fine_tuning.jobs.create(model=MODEL, training_file=file).id
    asked = [{"role": "user", "content": "Say one."}]
    trace = ada.chat.completions.create(model=MODEL, messages=asked, max_tokens=2, store=True).id
    store = Store(tmp_path / "data")
    owner = store.get("job", job).owner
    tuned, step = "ft:mine", "ft:mine:ckpt-step-2"
    store.add("model", owner, {"id": tuned, "created": 0}, job, folder="nowhere")
    checkpoint = {"id": "ftckpt_2", "fine_tuned_model_checkpoint": step}
    store.add("checkpoint", owner, checkpoint, job, folder="nowhere")
    jobs, models, traces = ben.fine_tuning.jobs, ben.models, ben.chat.completions
    assert [model.id for model in ada.models.list()] == [MODEL, "live", tuned]
    assert [model.id for model in models.list()] == [MODEL, "live"]
    for mine, theirs in ((ada.files, ben.files), (ada.fine_tuning.jobs, jobs),
                         (ada.chat.completions, traces)):  # fmt: skip
        assert len(list(mine.list())) == 1 and list(theirs.list()) == []
    same = upload(ben)  # the same bytes are not the same file
    assert same != file
    promote = lambda name: ben.post("/models/live", body={"model": name}, cast_to=object)
    relabel = lambda name: traces.update(name, metadata={"label": "bad"})
    for id, nobody, calls in [
        (file, "file-none", (ben.files.retrieve, ben.files.content, ben.files.delete)),
        (job, "ftjob-none", (jobs.retrieve, jobs.cancel, jobs.list_events, jobs.checkpoints.list)),
        (tuned, "ft:none", (models.retrieve, models.delete, promote)),
        (step, "ft:none", (models.retrieve,)),
        (trace, "chatcmpl-none", (traces.retrieve, traces.delete, traces.messages.list, relabel)),
    ]:
        for call in calls:
            one, other = refusal(call, id), refusal(call, nobody)
            assert one.status_code == other.status_code == 404
            told = one.body["message"].replace(id, ""), other.body["message"].replace(nobody, "")
            assert told[0] == told[1]
    for options in ({"training_file": file}, {"validation_file": file}, {"model": "ft:mine"}):
        given = {"model": MODEL, "training_file": same} | options
        assert refusal(ben.fine_tuning.jobs.create, **given).status_code in (400, 404)
    assert list(jobs.list(after=job)) == [] and list(traces.list(after=trace)) == []
    with pytest.raises(ModelError, match="base is in service"):
        loop.rollback(ben)
    ben.files.delete(same)
    assert ada.files.content(file).read() == lines()
    assert ada.fine_tuning.jobs.retrieve(job).status == "queued"
    assert ada.chat.completions.retrieve(trace).metadata is None


def test_no_key_and_a_wrong_one_are_turned_away_and_keys_are_kept_as_hashes(routes, tmp_path):
    url = routes(KEYS)
    for key in ("wrong-key-0123456789", KEYS[0][:-1], KEYS[0] + "x", "é"):
        for path in ("/v1/files", "/v1/models", "/metrics", "/openapi.json", "/", "/nowhere"):
            head = {"authorization": f"Bearer {key}".encode()}
            assert httpx.get(url + path, headers=head).status_code == 401, path
    assert httpx.get(f"{url}/v1/models").json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    assert "www-authenticate" in httpx.get(url).headers
    ada = httpx.get(f"{url}/v1/models", auth=("ada", KEYS[0]))
    assert ada.status_code == 200
    upload(connect(url, KEYS[0]))
    held = b"".join(p.read_bytes() for p in (tmp_path / "data").iterdir() if p.is_file())
    assert held and not any(key.encode() in held for key in KEYS)
    with pytest.raises(ConfigError, match="16 characters"):
        Service(Store(tmp_path / "other"), MODEL, ("short",))
    with pytest.raises(ConfigError, match="there is no key"):
        run(tmp_path / "other", host="0.0.0.0", model=MODEL)


def test_pages_of_other_sites_are_kept_out(routes):
    url = routes()
    name = url.removeprefix("http://")
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"},
                    {"origin": "null"}):  # fmt: skip
        assert httpx.get(f"{url}/v1/files", headers=headers).status_code == 403
    assert httpx.get(f"{url}/v1/files", headers={"origin": url}).status_code == 200
    port = name.split(":")[1]
    assert httpx.get(f"{url}/v1/files", headers={"host": f"localhost:{port}"}).status_code == 200


def test_sizes_and_rates_are_limited(routes):
    url = routes(KEYS, Limits(upload=4000, body=2000, stored=2500, jobs=1, requests=12))
    ada, ben = (connect(url, key) for key in KEYS)
    many = lines() * 4
    assert refusal(ada.files.create, file=("a", many), purpose="fine-tune").status_code == 413
    file = upload(ada)
    upload(ada)
    assert refusal(ada.files.create, file=("a", lines()), purpose="fine-tune").status_code == 413
    long = {"model": MODEL, "training_file": file, "metadata": {"x": "y" * 2000}}
    assert refusal(ada.fine_tuning.jobs.create, **long).status_code == 413
    ada.fine_tuning.jobs.create(model=MODEL, training_file=file)
    error = refusal(ada.fine_tuning.jobs.create, model=MODEL, training_file=file)
    assert error.status_code == 429 and error.response.headers["retry-after"] == "30"
    for _ in range(20):
        try:
            ada.models.list()
        except openai.RateLimitError as limited:
            assert int(limited.response.headers["retry-after"]) <= 60
            break
    else:
        raise AssertionError("no rate is limited")
    ben.models.list()  # the other key's is its own


def test_a_body_in_pieces_without_a_length_is_limited_too(routes):
    url = routes(limits=Limits(upload=4000, body=2000))
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as link:
        link.sendall(b"POST /v1/fine_tuning/jobs HTTP/1.1\r\nhost: localhost\r\n"
                     b"content-type: application/json\r\n"
                     b"transfer-encoding: chunked\r\n\r\n")  # fmt: skip
        for _ in range(40):
            link.sendall(b"64\r\n" + b"x" * 100 + b"\r\n")
        link.sendall(b"0\r\n\r\n")
        assert link.recv(1000).split(b" ")[1] in (b"400", b"413")


def test_counts_are_what_prometheus_reads(routes):
    url = routes()
    asked = connect(url)
    asked.fine_tuning.jobs.create(model=MODEL, training_file=upload(asked))
    text = httpx.get(f"{url}/metrics").text
    assert 'ftlab_jobs{status="queued"} 1' in text
    assert 'ftlab_requests_total{route="/v1/files",code="200"} 1' in text
    for line in text.splitlines():
        assert line.startswith("# TYPE ") or re.fullmatch(r"\w+(\{.*\})? [\d.]+", line)
