"""Requests that no client would send: none brings an error of the service's own."""

import json
import os
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftlab.serving.app import make_app
from ftlab.serving.protocol import ChatRequest
from ftlab.serving.server import Running
from ftlab.serving.service import Limits, Service
from ftlab.serving.store import Store

from .conftest import MODEL, lines

CASES = settings(
    max_examples=int(os.environ.get("FTLAB_CASES", "50")),  # of each of four kinds
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
PATHS = [
    ("GET", "/v1/files"), ("POST", "/v1/files"), ("GET", "/v1/files/{}"),
    ("GET", "/v1/files/{}/content"), ("DELETE", "/v1/files/{}"), ("GET", "/v1/models"),
    ("GET", "/v1/models/{}"), ("DELETE", "/v1/models/{}"), ("GET", "/v1/fine_tuning/jobs"),
    ("GET", "/v1/fine_tuning/jobs/{}"), ("GET", "/v1/fine_tuning/jobs/{}/events"),
    ("POST", "/v1/fine_tuning/jobs/{}/cancel"), ("GET", "/v1/fine_tuning/jobs/{}/checkpoints"),
    ("GET", "/v1/chat/completions"), ("GET", "/v1/chat/completions/{}/messages"),
    ("POST", "/v1/chat/completions/{}"), ("DELETE", "/v1/chat/completions/{}"),
    ("POST", "/v1/models/live"), ("POST", "/v1/models/live/rollback"), ("GET", "/"),
    ("POST", "/v1/fine_tuning/jobs/{}/pause"), ("PUT", "/v1/{}"), ("GET", "/{}"),
]  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory, engine):
    store = Store(tmp_path_factory.mktemp("hostile"))
    service = Service(store, MODEL, (), Limits(requests=10**6, jobs=10**6), engine)
    running = Running(make_app(service))
    with httpx.Client(base_url=running.url, timeout=60) as client:
        yield client
    running.close()


def fine(response: httpx.Response) -> None:
    """Whatever was asked, the answer is the protocol's."""
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@CASES
@given(st.sampled_from(PATHS), st.text(), st.dictionaries(st.text(min_size=1), st.text()))
def test_paths_and_queries(asked: Any, route, name, query):
    method, path = route
    known = {"after", "limit", "order", "purpose", "metadata"}
    query |= {key: value for key, value in zip(known, query.values(), strict=False)}
    query = {k: v for k, v in query.items() if v.isprintable() or len(v) < 3}
    place = path.format(quote(name.encode("utf-8", "replace"), safe=""))
    fine(asked.request(method, place, params=query))


FIELDS = st.sampled_from(sorted(ChatRequest.model_fields))
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.text()},
        optional={"tool_calls": JSON, "name": JSON, "weight": JSON},
    ),
    max_size=3,
)


@CASES
@given(MESSAGES | JSON, st.dictionaries(FIELDS, JSON, max_size=2), st.booleans())
def test_bodies_of_chat(asked: Any, messages, more, stream):
    body = {"model": MODEL, "messages": messages, "max_tokens": 1, "stream": stream, **more}
    body = {k: v for k, v in body.items() if not (k in ("max_tokens", "n") and v != 1)}
    response = asked.post(
        "/v1/chat/completions", content=json.dumps(body).encode("utf-8", "replace"),
        headers={"content-type": "application/json"},
    )  # fmt: skip
    fine(response)
    assert '"server_error"' not in response.text


@CASES
@given(JSON, st.dictionaries(st.sampled_from(
    ["suffix", "seed", "validation_file", "hyperparameters", "method", "metadata", "integrations",
     "model", "training_file"]), JSON, max_size=3))  # fmt: skip
def test_bodies_of_jobs(asked: Any, whole, more):
    file = asked.post("/v1/files", files={"file": ("a", lines())}, data={"purpose": "fine-tune"})
    body = {"model": MODEL, "training_file": file.json()["id"], **more}
    for content in (json.dumps(body), json.dumps(whole), "{", "\ud800"):
        fine(asked.post("/v1/fine_tuning/jobs", content=content.encode("utf-8", "replace"),
                        headers={"content-type": "application/json"}))  # fmt: skip


ROWS = [
    *lines(["a", "b"]).splitlines(keepends=True), b"{}\n", b"[]\n", b"null\n", b'"x"\n', b"\n",
    b'{"messages": null}\n', b'{"messages": [null]}\n', b'{"messages": [{}]}\n',
    b'{"input": {"messages": [3]}, "preferred_output": [1], "non_preferred_output": [2]}\n',
    b'{"messages": [{"role": ["x"], "content": {"a": 1}}]}\n', b'{"prompt": 3, "completion": []}\n',
    b'{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", '
    b'"content": "x"}]}\n',
]  # fmt: skip


@CASES
@given(st.lists(st.sampled_from(ROWS) | st.binary(max_size=60), max_size=6),
       st.text(max_size=20), st.sampled_from(["fine-tune", "batch", ""]))  # fmt: skip
def test_uploads(asked: Any, parts, name, purpose):
    name = name.encode("utf-8", "replace").decode() or "a"
    fine(asked.post("/v1/files", files={"file": (name, b"".join(parts))},
                    data={"purpose": purpose}))  # fmt: skip


def test_forms_and_bodies_that_are_none(asked):
    for content in (b"", b"--x", b"--x\r\nContent-Disposition: form-data\r\n\r\n", b"\xff" * 100):
        for kind in ("multipart/form-data; boundary=x", "multipart/form-data", "text/plain",
                     "application/x-www-form-urlencoded", "application/json; charset=\xe9",
                     ):  # fmt: skip
            for path in ("/v1/files", "/v1/fine_tuning/jobs", "/v1/chat/completions"):
                fine(asked.post(path, content=content, headers={"content-type": kind.encode(
                    "latin-1")}))  # fmt: skip
    deep = b'{"messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    fine(asked.post("/v1/chat/completions", content=deep))
    fine(asked.post("/v1/files", files={"file": ("a", deep)}, data={"purpose": "fine-tune"}))
