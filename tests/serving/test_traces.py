"""Stored completions by the official client, labels, and the next round."""

import csv
import json
import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from typer.testing import CliRunner

from ftlab import data
from ftlab.cli import app
from ftlab.errors import DataError, ModelError
from ftlab.serving import loop
from ftlab.serving.drift import drift
from ftlab.serving.reviews import COLUMNS, read_csv, write_csv
from ftlab.serving.service import Limits

from .conftest import MODEL, WORDS, Process, connect, lines, until
from .test_routes import refusal

KEY = "sk-proj-" + "a1B2c3D4" * 4
MAIL = "ann.lee@mail.co.uk"


def ask(client, text="Say one.", **more):
    given = {"model": MODEL, "temperature": 0, "max_tokens": 4, "store": True} | more
    turns = given.pop("messages", [{"role": "user", "content": text}])
    return client.chat.completions.create(messages=turns, **given)


def test_a_stored_completion_is_listed_labelled_and_deleted(routes, engine):
    client = connect(routes(engine=engine))
    kept = client.chat.completions
    first = ask(client, metadata={"class": "monday"})
    assert first.metadata == {"class": "monday"}
    stream = list(ask(client, "Say two.", stream=True, n=2))
    ask(client, store=False), ask(client, store=None)
    found = list(kept.list(limit=1))
    assert [one.id for one in found] == [first.id, stream[0].id] and found[0] == first
    assert len(found[1].choices) == 2
    assert list(kept.list(metadata={"class": "monday"})) == [first]
    assert len(list(kept.list(model="live"))) == 2 and list(kept.list(model="other")) == []
    assert kept.list(order="desc").data[0].id == stream[0].id
    (told,) = kept.messages.list(first.id)
    assert (told.role, told.content) == ("user", "Say one.")
    long = "better, " * 500
    loop.label(client, first.id, label="bad", correction=long)
    changed = kept.retrieve(first.id)
    assert changed.metadata == {"class": "monday", "label": "bad", "correction": long}
    assert changed.choices == first.choices
    error = refusal(kept.update, first.id, metadata={"note": "x" * 513})
    assert error.status_code == 400 and error.body["param"] == "metadata"
    assert kept.delete(first.id).deleted
    assert refusal(kept.retrieve, first.id).status_code == 404
    assert [one.id for one in kept.list()] == [stream[0].id]


def test_no_secret_and_no_address_is_stored(routes, engine, tmp_path):
    client = connect(routes(engine=engine))
    parts = [{"type": "text", "text": f"My key is {KEY[:20]}"}, {"type": "text", "text": KEY[20:]}]
    call = {"id": "a", "type": "function",
            "function": {"name": "mail", "arguments": json.dumps({"to": MAIL})}}  # fmt: skip
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "tool_calls": [call]},
             {"role": "tool", "tool_call_id": "a", "content": "+44 7911 123456"}]  # fmt: skip
    stored = ask(client, messages=turns, logprobs=True, metadata={"from": MAIL})
    assert stored.choices[0].logprobs  # the answer has what was asked for
    loop.label(client, stored.id, correction=f"Write to {MAIL}")
    (trace,) = loop.traces(client)
    assert trace["messages"][0]["content"] == "My key is [OpenAI or Anthropic key]"
    assert trace["metadata"] == {"from": "[email]", "correction": "Write to [email]"}
    assert json.loads(trace["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {
        "to": "[email]"
    }
    held = b"".join(p.read_bytes() for p in (tmp_path / "data").iterdir() if p.is_file())
    assert b"[phone]" in held
    assert not any(hint in held for hint in (KEY[9:30].encode(), b"ann.lee", b"7911"))


def test_with_trace_all_is_stored_and_the_oldest_without_a_label_go(routes, engine):
    client = connect(routes(engine=engine, trace=True, limits=Limits(traces=2)))
    first = ask(client, "one", store=None)
    loop.label(client, first.id, label="good")
    ids = [ask(client, text, store=None).id for text in ("two", "three", "four")]
    ask(client, "five", store=False)
    assert [trace["id"] for trace in loop.traces(client)] == [first.id, *ids[1:]]


def test_rows_are_of_good_and_corrected_answers_once_a_question(routes, engine):
    client = connect(routes(engine=engine))
    talk = [{"role": "user", "content": "Capital?"}, {"role": "assistant", "content": "Of what?"}]
    asked = {
        "good": ask(client, "Say one."), "corrected": ask(client, messages=[*talk[:1]]),
        "bad": ask(client, "Say two."), "none": ask(client, "Say three."),
        "again": ask(client, messages=[*talk, {"role": "user", "content": "France"}]),
        "newest": ask(client, "Say one."),
    }  # fmt: skip
    loop.label(client, asked["good"].id, label="good")
    loop.label(client, asked["bad"].id, label="bad")
    for name, better in (("corrected", "Of what?"), ("again", "Paris."), ("newest", "One.")):
        loop.label(client, asked[name].id, label="bad", correction=better)
    rows = loop.rows_from_traces(client)
    assert [data.answer(row) for row in rows] == ["One.", "Of what?", "Paris."]
    groups = [data.meta(row)["group"] for row in rows]
    assert groups[1] == groups[2] != groups[0]
    assert loop.rows_from_traces(client, model="other") == []
    kept, told = loop.checked(rows, held_out=rows[:1])
    assert [data.answer(row) for row in kept] == ["Of what?", "Paris."] and len(told) == 1


def test_several_reviewers_label_by_csv_and_their_agreement_is_told(routes, engine, tmp_path):
    client = connect(routes(engine=engine))
    ids = [ask(client, text).id for text in ("=HYPERLINK(1)", "two, three", "four", "five")]
    path = tmp_path / "out.csv"
    assert write_csv(client, path) == 4
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS and [row["id"] for row in rows] == ids
    assert [row["user"] for row in rows][:2] == ["'=HYPERLINK(1)", "two, three"]
    said = {"ann": ["good", "bad", "good", ""], "ben": ["good", "", "bad", ""],
            "eve": ["Good", "bad", "", ""]}  # fmt: skip
    for name, marks in said.items():
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8-sig") as stream:
            table = csv.DictWriter(stream, COLUMNS)
            table.writeheader()
            for row, mark in zip(rows, marks, strict=True):
                better = "'=2" if (name, row["id"]) == ("ben", ids[1]) else ""
                table.writerow(row | {"label": mark, "correction": better})
    found = read_csv(client, [tmp_path / f"{name}.csv" for name in said])
    assert (found.labelled, found.disputed) == (ids[:2], [ids[2]])
    assert str(found).count("kappa") == 3 and found.agreement["ann", "eve"].value == 1
    second = client.chat.completions.retrieve(ids[1]).metadata
    assert second == {"label": "bad", "correction": "=2", "reviewer": "ann, ben, eve"}
    assert client.chat.completions.retrieve(ids[2]).metadata is None
    (tmp_path / "bad.csv").write_text(f"id,label\n{ids[3]},perhaps\n")
    with pytest.raises(DataError, match="line 2: label 'perhaps'"):
        read_csv(client, [tmp_path / "bad.csv"])


def test_drift_is_found_where_it_is_and_not_where_it_is_not():
    shops = [f"Where is my {thing} number {i}?" for i in range(30) for thing in ("cup", "hat")]
    shuffled = random.Random(0).sample(shops, len(shops))
    known, same = shuffled[:30], shuffled[30:]
    assert not drift(known, same).shown
    new = [f"Please delete account {i} and all that you know of me" for i in range(10)]
    found = drift(known, [*same[:20], *new])
    assert found.shown and min(found.first[:8]) >= 20
    assert found.windows[-1].value > found.windows[0].value + 0.5
    assert str(found).startswith("drift: AUC")
    with pytest.raises(DataError, match="10 of each"):
        drift(known, new[:9])


def run(process, *arguments):
    found = CliRunner().invoke(app, [*map(str, arguments), "--base-url", process.url])
    assert found.exit_code == 0, found.output
    return found


def test_a_better_model_is_promoted_and_rolled_back_and_a_worse_one_refused(tmp_path):
    process = Process(tmp_path / "data")
    try:
        client = process.client()
        rows = [data.check(json.loads(line)) for line in lines().splitlines()]
        held_out = [data.example(f"Say {word}!", "the x") for word in
                    ("tree", "sun", "moon", "hat", "cup", "sea", "sky", "ice")]  # fmt: skip
        round = {"held_out": held_out, "score": lambda row, text: float("the" in text.lower()),
                 "folder": tmp_path / "loop", "max_tokens": 6,
                 "hyperparameters": {"n_epochs": 12}}  # fmt: skip
        pool = ThreadPoolExecutor(1)
        killed = pool.submit(loop.next_round, client, rows, **round)
        jobs = client.fine_tuning.jobs
        until(lambda: (found := jobs.list().data) and jobs.list_events(found[0].id).data[4:])
        process.kill()  # with the loop in the middle of it
        with pytest.raises(ModelError, match="not there"):
            killed.result(60)
        process.start()
        client = process.client()
        result = loop.next_round(client, rows, suffix="next", **round)
        assert result.promoted and "Promoted" in str(result), result.verdict
        assert len(client.fine_tuning.jobs.list().data) == len(client.files.list().data) - 1 == 1
        live = client.models.retrieve("live")
        assert live.model == result.model and "held-out" in live.history[0]["note"]
        assert ask(client, model="live").model == result.model
        assert refusal(client.models.delete, result.model).status_code == 409
        for word in WORDS[:10]:
            trace = ask(client, f"Say {word} now!", model="live")
            loop.label(client, trace.id, label="bad", correction=f"the {word}")
        page = httpx.get(process.url.removesuffix("/v1")).text
        assert "· live" in page and "AUC" in page
        run(process, "traces", "export", "--out", tmp_path / "rows.jsonl",
            "--held-out", tmp_path / "held.jsonl")  # fmt: skip
        parts = [data.read(tmp_path / name) for name in ("rows.jsonl", "held.jsonl")]
        assert [len(part) for part in parts] == [8, 2]
        again = loop.next_round(client, rows, **round)  # nothing is done twice
        assert again.model == result.model and len(client.fine_tuning.jobs.list().data) == 1

        wrong = [data.example(data.prompt(row)[0]["content"], "no") for row in rows]
        refused = loop.next_round(client, wrong, **round)
        assert not refused.promoted and "Refused" in refused.verdict
        assert client.fine_tuning.jobs.list().data[0].model == result.model
        assert f"live is {MODEL}" in run(process, "rollback").stdout
        assert ask(client, model="live").model == MODEL
        with pytest.raises(ModelError, match="base is in service"):
            loop.rollback(client)
        with pytest.raises(DataError, match="No row"):
            loop.next_round(client, [], **round)
        with pytest.raises(ModelError, match="does not exist"):
            loop.next_round(client, rows[:3], model="ft:none", **round)
    finally:
        process.close()
    with pytest.raises(openai.APIConnectionError):
        client.models.list()
