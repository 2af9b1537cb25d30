"""The loop, against a real server: nothing lost, doubled or paid twice."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from openai_server import KEY, serving

from ftlab import data, tasks
from ftlab.curation.answer_cache import AnswerCache, Request, answers
from ftlab.curation.synthesis import Rejected, run, synthesise
from ftlab.endpoint import connect
from ftlab.errors import DataError, ModelError, OfflineError

TRIAGE = tasks.get("triage")
KNOWN = {data.prompt(r)[-1]["content"]: data.answer(r) for r in TRIAGE.up_to(1000, seed=0)}


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def server(served):
    """A server that knows the answers, and says them as models do; `server.write` changes it."""
    served.reset(lambda m: f"Sure! Here is the answer:\n\n{KNOWN[m[-1]['content']]}")
    return served


@pytest.fixture
def teacher(server):
    return connect("tiny", base_url=server.url, retries=1)


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def texts(requests):
    """Requests whose answers are records of their own, for a loop without a task."""
    return [Request([{"role": "user", "content": f"q{i}"}]) for i in range(requests)]


def kept(request, text):
    if "bad" in text:
        raise Rejected("bad")
    return data.example(request.messages[-1]["content"], text)


def inputs(rows):
    return [data.prompt(row)[-1]["content"] for row in rows]


def test_an_endpoint_that_fails_and_chats_gives_a_clean_file(server, teacher, tmp_path):
    server.plan(["429", "ok", "500", "ok", "truncated", "400", "cut"])
    out = tmp_path / "train.jsonl"
    made = synthesise("triage", 12, teacher, out, concurrency=1, progress=False)
    assert made.stopped == "complete" and len(made.accepted) == 12
    rows = data.read(out)
    assert len(rows) == 12 and all(
        KNOWN[data.prompt(r)[-1]["content"]] == data.answer(r) for r in rows
    )
    assert {data.meta(r)["teacher"] for r in rows} == {"tiny"}
    assert made.cleaned["preamble"] == 13
    assert list(made.reasons) == ["cut off: longer than an answer may be"]
    assert made.failed == {
        "the reply was not JSON of a chat completion": 1,
        "the endpoint refused it: It was told to fail.": 1,
    }
    (row,) = lines(tmp_path / "train.rejected.jsonl")
    assert row["reason"] in made.reasons and row["answer"] and row["prompt"]
    assert "12 accepted" in str(made)
    # The teacher was told the task, and shown solved examples that are not among the inputs.
    body = server.bodies[-1]["messages"]
    assert [m["role"] for m in body] == ["system", *["user", "assistant"] * 3, "user"]
    assert TRIAGE.describe in body[0]["content"]
    assert not {m["content"] for m in body[1:-1:2]} & set(inputs(rows))


def test_no_more_than_the_bound_at_one_time(server, teacher, tmp_path):
    server.delay = 0.05
    synthesise("triage", 10, teacher, tmp_path / "a.jsonl", concurrency=3, progress=False)
    assert 2 <= server.most_at_once <= 3 and len(server.charged) == 10


def test_killed_at_any_moment_it_goes_on(server, teacher, tmp_path):
    server.delay = 0.1
    out = tmp_path / "train.jsonl"
    command = [
        sys.executable, "-m", "ftlab.cli", "synth", "triage", "-n", "30", "--out", str(out),
        "--model", "tiny", "--base-url", server.url, "--concurrency", "3",
    ]  # fmt: skip
    cache = tmp_path / "train.answers.jsonl"
    paid, asked = set(), 0
    for count in (4, 13):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not cache.exists() or len(cache.read_bytes().splitlines()) < count:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.5)  # what is under way at the server ends
        had = {json.loads(line)["request"] for line in cache.read_bytes().splitlines()}
        assert paid <= had and not paid & set(server.asked[asked:])
        paid, asked = had, len(server.asked)
    assert 14 <= asked < 30 + 3
    server.delay = 0
    end = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert end.returncode == 0 and "30 accepted" in end.stdout, end.stderr
    assert "answers are here already" in end.stderr and "tokens in" in end.stdout
    rows = data.read(out)
    keys = {row["request"] for row in lines(cache)}
    inputs = {data.prompt(row)[-1]["content"] for row in rows}
    assert len(rows) == len(inputs) == len(keys) == 30
    # What was on the disk was never asked again; what was in flight, at most three a kill, was,
    # under the same key.
    assert not paid & set(server.asked[asked:]) and len(server.asked) <= 30 + 2 * 3
    assert set(server.asked) == keys
    before = len(server.asked)
    again = synthesise("triage", 30, teacher, out, progress=False)
    assert len(server.asked) == before and again.paid == 0


def test_a_last_line_that_a_kill_cut_off_is_asked_again(server, teacher, tmp_path):
    server.write = lambda messages: "bad" if messages[-1]["content"] == "q2" else "good é"
    out, cache = tmp_path / "t.jsonl", tmp_path / "t.answers.jsonl"

    def go():
        server.asked.clear()
        return run(texts(8), teacher, kept, out, n=5, concurrency=1, progress=False)

    go()
    assert len(server.asked) == 6
    whole, made = cache.read_bytes(), out.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in (last + 1, last + 9, len(whole) - 1):
        cache.write_bytes(whole[:cut])
        assert go().paid == 1 == len(server.asked)
        assert out.read_bytes() == made and len(lines(cache)) == 6
    cache.write_bytes(b"{}\n" + whole)
    with pytest.raises(DataError, match="line 1 is broken"):
        go()


def test_more_can_be_asked_for_later_and_a_file_of_another_kind_stays(server, teacher, tmp_path):
    out = tmp_path / "t.jsonl"
    first = synthesise("triage", 3, teacher, out, progress=False)
    second = synthesise("triage", 5, teacher, out, progress=False)
    assert second.paid == 2 and second.requests == 5 == len(server.asked)
    assert second.accepted[:3] == first.accepted
    hot = connect("tiny", base_url=server.url, temperature=1.0)
    other = synthesise("triage", 5, hot, out, progress=False)
    assert other.paid == 5 and len(other.accepted) == 5  # other settings, other answers
    mine = tmp_path / "mine.jsonl"
    mine.write_text("{}\n")
    with pytest.raises(DataError, match="exists already"):
        synthesise("triage", 5, teacher, mine, progress=False)
    assert mine.read_text() == "{}\n"


def test_the_cap_holds_over_several_runs(server, teacher, tmp_path):
    server.write = lambda messages: "a"

    def go(most):
        out = tmp_path / "t.jsonl"
        return run(texts(40), teacher, kept, out, n=30, max_requests=most, progress=False)

    for _ in range(2):
        made = go(4)
        assert made.stopped == "the cap on requests" and made.requests == len(server.asked) == 4
    assert go(None).stopped == "complete" and len(server.asked) == 30


def test_a_teacher_that_fails_for_good_stops_the_run_and_keeps_what_is_there(server, tmp_path):
    server.write = lambda messages: "a"
    server.plan(["ok"] * 3 + ["503"] * 99)
    teacher = connect("tiny", base_url=server.url, retries=0)
    with pytest.raises(ModelError, match=r"5 requests in a row.*told to fail.*Every answer is ke"):
        run(texts(30), teacher, kept, tmp_path / "t.jsonl", n=9, concurrency=2, progress=False)
    assert len(lines(tmp_path / "t.answers.jsonl")) == 3
    assert len(server.asked) < 3 + 5 + 2 * 2


def test_an_endpoint_that_goes_away_is_named_and_nothing_is_lost(tmp_path):
    out = tmp_path / "t.jsonl"
    with serving(lambda messages: "a") as there:
        gone = connect("tiny", base_url=there.url, retries=0)
        run(texts(3), gone, kept, out, n=3, progress=False)
    with pytest.raises(OfflineError, match="cannot be reached"):
        run(texts(9), gone, kept, out, n=9, progress=False)
    assert len(lines(tmp_path / "t.answers.jsonl")) == 3 == len(lines(out))


def test_a_failure_now_and_then_is_counted_and_asked_again_next_time(server, teacher, tmp_path):
    server.write = lambda messages: "a"
    server.plan(["ok", "400"])
    out = tmp_path / "t.jsonl"
    made = run(texts(4), teacher, kept, out, n=4, concurrency=1, progress=False)
    assert made.failed == {"the endpoint refused it: It was told to fail.": 1}
    assert made.stopped == "no more inputs"
    made = run(texts(4), teacher, kept, out, n=4, progress=False)
    assert made.stopped == "complete" and inputs(made.accepted) == ["q0", "q1", "q2", "q3"]


def test_ctrl_c_keeps_what_was_under_way(server, teacher, tmp_path):
    def write(messages):
        if messages[-1]["content"] == "q2" and len(server.asked) < 5:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        return "a"

    def go():
        return run(
            texts(20), teacher, kept, tmp_path / "t.jsonl", n=20, concurrency=2, progress=False
        )

    server.write = write
    # a shell's background job is started with the signal ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert go().stopped == "interrupted"
    except KeyboardInterrupt:
        pass  # it came between two requests: the run ends there and then, and loses no more
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(server.asked) < 20
    made = go()
    assert made.stopped == "complete" and len(made.accepted) == 20
    assert len(server.asked) == 20, "an answer was lost and asked for again"


def test_generated_code_is_run_before_it_is_kept(server, teacher, tmp_path):
    rows = {data.prompt(r)[-1]["content"]: data.answer(r)
            for r in tasks.get("unit_tests").examples(8, seed=0)}  # fmt: skip
    wrong = next(iter(rows))

    def write(messages):
        asked = messages[-1]["content"]
        if asked == wrong:
            return rows[asked].replace("assertEqual(", "assertEqual(0 * ")
        return f"```python\n{rows[asked]}\n```"

    server.write = write
    made = synthesise("unit_tests", 2, teacher, tmp_path / "t.jsonl", progress=False)
    assert len(made.accepted) == 2 and made.cleaned == {"code fence": 2}
    (reject,) = made.rejected
    assert "passes below 1" in reject["reason"] and reject["metrics"]["parses"] == 1
    (row,) = lines(tmp_path / "t.rejected.jsonl")
    assert row["prompt"] == wrong and "0 * " in row["answer"]


def test_answers_are_found_by_their_messages_and_settings(tmp_path):
    cache, asked = AnswerCache(tmp_path / "a" / "answers.jsonl"), [{"role": "user", "content": "é"}]
    assert cache.get(asked) is None
    cache.keep(asked, "one")
    cache.keep(asked, "two", sample=1)
    again = AnswerCache(tmp_path / "a" / "answers.jsonl")
    assert [again.get(asked).text, again.get(asked, sample=1).text] == ["one", "two"]
    assert again.get(asked, sample=2) is None and len(again) == 2


def test_tools_are_sent_and_make_the_answer_another(server, teacher, tmp_path):
    server.write = lambda messages: "a"
    asked, tool = (
        [{"role": "user", "content": "q"}],
        {"type": "function", "function": {"name": "f"}},
    )
    requests = [Request(asked), Request(asked, more={"tools": [tool]})]
    for _ in range(2):
        cache = AnswerCache(tmp_path / "a.jsonl")
        found = [answer.text for _, answer in answers(teacher, requests, cache, at_once=1)]
    assert found == ["a", "a"] and len(server.asked) == len(cache) == 2
    assert "tools" not in server.bodies[0] and server.bodies[1]["tools"] == [tool]


def test_mistakes_on_the_command_line(monkeypatch, command, tmp_path):
    new = ("--out", tmp_path / "x.jsonl")
    monkeypatch.delenv("OPENAI_API_KEY")
    cases = {
        ("synth", "triage", *new, "--model", "some-model"): "OPENAI_API_KEY",
        ("synth", "triage", *new, "--local", "ftlab-1m", "--model", "x"): "--local",
        ("amplify", tmp_path / "x.jsonl", *new): "--held-out",
    }
    for arguments, said in cases.items():
        code, _, err = command(*arguments)
        assert code == 2 and said in err, arguments
    assert not list(tmp_path.iterdir())


def test_a_model_on_this_machine_is_reached_the_same_way(tmp_path, command):
    code, told, _ = command(
        "synth", "triage", "-n", "3", "--out", tmp_path / "t.jsonl", "--local", "ftlab-1m",
        "--answer-tokens", "8", "--max-requests", "3",
    )  # fmt: skip
    rows = lines(tmp_path / "t.answers.jsonl")
    assert len(rows) >= 3 and {row["model"] for row in rows} == {"ftlab-1m"}
    assert code == (0 if "(complete)" in told else 1)
