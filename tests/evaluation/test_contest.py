import json
import os
import signal
import subprocess
import sys
import time

import pytest
from openai_server import KEY, serving

from ftlab import data, models, recorded, tasks
from ftlab.errors import ConfigError, ModelError, OfflineError
from ftlab.evaluation.systems import System, contest, few_shot_examples, lineup

TASK = tasks.get("triage")
TRAIN = TASK.examples(60, 0)
ROWS = TASK.examples(4, 0, split="test")


@pytest.fixture
def short(monkeypatch):
    """Tickets are long for a tiny tokenizer: give its model room."""
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")


@pytest.fixture(scope="module")
def folder(save_model):
    return str(save_model(max_position_embeddings=4096))


def run(folder, out, **more):
    given = {"train_records": TRAIN, "max_new_tokens": 3, "folder": out, **more}
    who = lineup(
        folder, instructions="Sort.", examples=few_shot_examples(TRAIN, ROWS, 2), baseline=TASK,
    )  # fmt: skip
    return contest(TASK, ROWS, who, **given)


def test_a_whole_contest_has_costs_general_text_and_provenance(folder, short, tmp_path):
    told = []
    verdict = run(folder, tmp_path, say=told.append)
    assert list(verdict.systems) == [
        folder, f"{folder} + instructions", f"{folder} + 2 examples", "triage baseline"
    ]  # fmt: skip
    counted = verdict.costs
    assert counted[f"{folder} + 2 examples"]["tokens_in"] > counted[folder]["tokens_in"]
    assert counted["triage baseline"]["tokens_in"] is None
    assert verdict.forgetting["models"][folder].value > 0
    made = verdict.provenance
    assert made["models"][folder].startswith("sha256 ") and "cpu, float32" in made["device"]
    assert made["asked"][f"{folder} + instructions"]["instructions"] == "Sort."
    assert len(made["asked"][f"{folder} + 2 examples"]["examples"]) == 2
    assert any("s left" in line for line in told) and len(verdict.pairs) == 6
    page = verdict.save(tmp_path)
    assert json.loads(page.with_name("verdict.json").read_text("utf-8"))["n"] == 4
    text = page.read_text("utf-8")
    assert all(title in text for title in ("At what price", "What got worse", "How sure"))


def test_bad_line_ups_are_refused_before_a_model_is_read():
    with pytest.raises(ConfigError, match="name of their own"):
        contest(TASK, ROWS, [System("a", "x"), System("a", "y")])
    with pytest.raises(ConfigError, match="name of their own"):
        contest(TASK, ROWS, [])
    with pytest.raises(ConfigError, match="no records"):
        contest(TASK, [], [System("a", "x")])


RIGHT = {data.prompt(row)[-1]["content"]: data.answer(row) for row in TASK.up_to(500, 0, "test")}


@pytest.fixture
def server(monkeypatch):
    """An endpoint that knows the answers."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(lambda messages: RIGHT[messages[-1]["content"]]) as server:
        yield server


def test_a_model_behind_an_endpoint_is_compared_with_one_on_this_machine(
    folder, short, tmp_path, monkeypatch
):
    with recorded.serve(*models.load(folder), name="the-same", files=()) as here:
        who = lineup(folder, [f"served={here.url}#the-same"], instructions="Sort.")
        verdict = contest(TASK, ROWS, who, max_new_tokens=3, folder=tmp_path)
        monkeypatch.setattr("ftlab.endpoint.Teacher.ask", None)  # nothing is asked twice
        again = contest(TASK, ROWS, who, max_new_tokens=3, folder=tmp_path)
        assert again.examples == verdict.examples
    assert list(verdict.systems) == [
        folder, f"{folder} + instructions", "served", "served + instructions"
    ]  # fmt: skip
    for example in verdict.examples:
        out = example["outputs"]
        assert out["served"]["text"] == out[folder]["text"]
        assert out["served + instructions"]["text"] == out[f"{folder} + instructions"]["text"]
    counted = verdict.costs
    assert counted["served"]["tokens_in"] == counted[folder]["tokens_in"]
    cut = "What was cut off: 4 of 4 answers of served reached the limit on their length."
    assert any(remark.startswith(cut) for remark in verdict.remarks)
    assert list(verdict.forgetting["models"]) == [folder]
    assert verdict.provenance["models"][f"{here.url}#the-same"] == f"the-same at {here.url}"


def test_endpoints_alone_with_examples_and_a_baseline(server, tmp_path):
    place = f"{server.url}#tiny"
    who = lineup(place, examples=few_shot_examples(TRAIN, ROWS, 2), baseline=TASK)
    verdict = contest(TASK, ROWS, who, train_records=TRAIN, max_new_tokens=8, folder=tmp_path)
    assert list(verdict.systems) == ["tiny", "tiny + 2 examples", "triage baseline"]
    assert verdict.systems["tiny"]["right"].value == 1 and verdict.forgetting == {}
    shown = server.bodies[-1]["messages"]
    assert [turn["role"] for turn in shown] == ["system", *["user", "assistant"] * 2, "user"]
    assert all(body["temperature"] == 0 for body in server.bodies)
    page = verdict.save(tmp_path / "verdict").read_text("utf-8")
    assert "tiny + 2 examples" in page


def test_what_an_endpoint_refuses_or_cuts_off_is_counted(server, tmp_path):
    server.plan(["cut", "400", "ok", "ok"])
    verdict = contest(TASK, ROWS, [System("hosted", f"{server.url}#tiny")], max_new_tokens=8)
    assert verdict.systems["hosted"]["right"].value == 0.75
    assert verdict.remarks[:2] == [
        "What was cut off: 1 of 4 answers of hosted reached the limit on their length. If they are "
        "worse for it, allow more.",
        "What was refused: the endpoint of hosted refused 1 of 4 requests; they count as empty "
        "answers.",
    ]


def test_what_goes_wrong_at_an_endpoint_is_named(server, monkeypatch, tmp_path):
    def go(place):
        return contest(TASK, ROWS, [System("hosted", place)], folder=tmp_path)

    with pytest.raises(ModelError, match=r"'tinny'.*Did you mean 'tiny'.*It offers"):
        go(f"{server.url}#tinny")
    server.plan(["ok", "429", "no temperature", "ok", "ok"])
    assert go(f"{server.url}#tiny").n == 4
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(ConfigError, match="refused the key"):
        go(f"{server.url}#tiny")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        go("https://api.example.invalid/v1#large")
    with pytest.raises(OfflineError, match="cannot be reached"):
        go("http://127.0.0.1:9/v1#tiny")
    tool = {"type": "function", "function": {"name": "f"}}
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError, match="tools"):
        contest(TASK, [{**ROWS[0], "tools": [tool]}], [System("hosted", f"{server.url}#tiny")])


def test_a_killed_comparison_goes_on_and_pays_nothing_twice(server, tmp_path):
    out, server.delay = tmp_path / "verdict", 0.3
    command = [
        sys.executable, "-m", "ftlab.cli", "compare", "--task", "triage", "--base",
        f"{server.url}#tiny", "--system", f"other={server.url}#tiny-instruct", "--held-out", "20",
        "--out", str(out),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept = lambda: [json.loads(line)["request"] for path in out.glob("answers/*.jsonl")
                    for line in path.read_bytes().splitlines()]  # fmt: skip
    while len(kept()) < 24:  # the first system is done, the second is not
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.6)
    before, asked = set(kept()), len(server.asked)
    server.delay = 0
    end = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert end.returncode == 0 and "1.000 for other and 1.000 for tiny" in " ".join(
        end.stdout.split()
    ), end.stderr
    assert not before & set(server.asked[asked:]) and len(kept()) == 40
    assert len(server.asked) <= 40 + 8  # what was under way when it was killed
