"""The loop, against a real server and offline: nothing lost, doubled or paid twice."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from openai_server import KEY, model_writes, serving

from ftlab import data, tasks
from ftlab.curation import teachers
from ftlab.curation.answer_cache import Judged, expected, run
from ftlab.curation.synthesis import estimate, synthesise
from ftlab.curation.teachers import Answer, NoAnswer, Request, Teacher
from ftlab.errors import ConfigError, DataError, ModelError

TRIAGE = tasks.get("triage")
KNOWN = {data.prompt(r)[-1]["content"]: data.answer(r) for r in TRIAGE.examples(200, seed=0)}


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def server():
    """A server that knows the answers, and says them as models do."""

    def write(messages):
        return f"Sure! Here is the answer:\n\n{KNOWN[messages[-1]['content']]}"

    with serving(write) as server:
        yield server


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def texts(requests):
    """Requests whose answers are records of their own, for a loop without a task."""
    return [Request(f"{i:04x}", ({"role": "user", "content": f"q{i}"},)) for i in range(requests)]


def kept(request, answer):
    if "bad" in answer.text:
        return Judged(None, "bad")
    return Judged(data.example(request.messages[-1]["content"], answer.text))


def teacher(ask, **more):
    return Teacher("ours", lambda requests: [ask(r) for r in requests], **more)


def test_an_endpoint_that_fails_and_chats_gives_a_clean_file(server, tmp_path):
    server.plan(["429", "ok", "500", "truncated", "ok", "400", "cut"])
    who = teachers.get("openai", "tiny", base_url=server.url)
    out = tmp_path / "train.jsonl"
    made = synthesise("triage", 12, who, out, concurrency=1, progress=False)
    assert made.stopped == "complete" and len(made.accepted) == 12
    rows = data.read(out)
    assert len(rows) == 12 and all(
        KNOWN[data.prompt(r)[-1]["content"]] == data.answer(r) for r in rows
    )
    assert {data.meta(r)["teacher"] for r in rows} == {"openai:tiny"}
    assert made.cleaned["preamble"] == 13
    assert list(made.reasons) == ["cut off: longer than an answer may be"]
    assert made.failed == {"the endpoint refused it: It was told to fail.": 1}
    (row,) = lines(tmp_path / "train.rejected.jsonl")
    assert row["reason"] in made.reasons and row["answer"] and row["prompt"]
    assert "12 accepted" in str(made)
    # The teacher was told the task, and shown solved examples that are not among the inputs.
    body = server.bodies[-1]["messages"]
    assert [m["role"] for m in body] == ["system", *["user", "assistant"] * 3, "user"]
    assert TRIAGE.describe in body[0]["content"]
    assert not {m["content"] for m in body[1:-1:2]} & {data.prompt(r)[-1]["content"] for r in rows}


def test_no_more_than_the_bound_at_one_time(server, tmp_path):
    server.delay = 0.05
    who = teachers.get("openai", "tiny", base_url=server.url)
    synthesise("triage", 10, who, tmp_path / "a.jsonl", concurrency=3, progress=False)
    assert 2 <= server.most_at_once <= 3 and len(server.charged) == 10


def test_killed_at_any_moment_it_goes_on(server, tmp_path):
    server.delay = 0.1
    out = tmp_path / "train.jsonl"
    command = [
        sys.executable, "-m", "ftlab.cli", "synth", "triage", "-n", "30", "--out", str(out),
        "--teacher", "openai", "--model", "tiny", "--base-url", server.url, "--concurrency", "3",
    ]  # fmt: skip
    cache = tmp_path / "train.answers.jsonl"
    paid, asked = set(), 0
    for answers in (4, 13):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not cache.exists() or len(cache.read_bytes().splitlines()) < answers:
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
    assert "answers are here already" in end.stderr and "tokens in" in end.stderr
    rows = data.read(out)
    keys = {row["request"] for row in lines(cache)}
    inputs = {data.prompt(row)[-1]["content"] for row in rows}
    assert len(rows) == len(inputs) == len(keys) == 30
    # What was on the disk was never asked again; what was in flight, at most three a kill, was,
    # under the same key.
    assert not paid & set(server.asked[asked:]) and len(server.asked) <= 30 + 2 * 3
    assert set(server.asked) == keys
    before = len(server.asked)
    who = teachers.get("openai", "tiny", base_url=server.url)
    again = synthesise("triage", 30, who, out, progress=False)
    assert len(server.asked) == before and again.resumed == 30


def test_a_last_line_that_a_kill_cut_off_is_asked_again(tmp_path):
    calls = []

    def ask(request):
        calls.append(request.key)
        return Answer("bad" if request.key == "0002" else "good é")

    out, cache = tmp_path / "t.jsonl", tmp_path / "t.answers.jsonl"

    def go():
        return run(texts(8), teacher(ask), kept, out, n=5, concurrency=1, progress=False)

    go()
    assert len(calls) == 6
    whole, made = cache.read_bytes(), out.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in (last + 1, last + 9, len(whole) - 1):
        cache.write_bytes(whole[:cut])
        calls.clear()
        assert go().resumed == 5 and len(calls) == 1
        assert (cache.read_bytes(), out.read_bytes()) == (whole, made)
    cache.write_bytes(b"{}\n" + whole)
    with pytest.raises(DataError, match="line 1 is broken"):
        go()


def test_more_can_be_asked_for_later_and_a_file_of_another_kind_stays(tmp_path):
    out = tmp_path / "t.jsonl"
    program = teachers.get("program")
    first = synthesise("triage", 3, program, out, progress=False)
    second = synthesise("triage", 5, program, out, progress=False)
    assert second.resumed == 3 and second.requests == 5
    assert second.accepted[:3] == first.accepted
    other = synthesise("triage", 5, program, out, seed=1, progress=False)
    assert other.resumed == 0 and len(other.accepted) == 5  # other requests, other answers
    mine = tmp_path / "mine.jsonl"
    mine.write_text("{}\n")
    with pytest.raises(DataError, match="exists already"):
        synthesise("triage", 5, program, mine, progress=False)
    assert mine.read_text() == "{}\n"


def test_the_cap_holds_over_several_runs(tmp_path):
    asked = []
    who = teacher(lambda request: asked.append(request.key) or Answer("a", 20, 50))

    def go(most):
        out = tmp_path / "t.jsonl"
        return run(texts(40), who, kept, out, n=30, max_requests=most, progress=False)

    for _ in range(2):
        made = go(4)
        assert made.stopped == "the cap on requests" and made.requests == len(asked) == 4
    assert go(None).stopped == "complete" and len(asked) == 30


def test_an_estimate_asks_nothing_and_is_near(tmp_path):
    def never(request):
        raise AssertionError

    who = teacher(never, answer_tokens=100)
    said = estimate("triage", 20, who, prices=(1.0, 1.0))
    made = synthesise("triage", 20, teachers.get("program"), tmp_path / "t.jsonl", progress=False)
    assert said.startswith("20 requests, about ") and ", cost about 0.0" in said
    into = int(said.split("about ")[1].split(" tokens")[0].replace(",", ""))
    assert into == pytest.approx(made.tokens_in, rel=0.01)
    (one,) = texts(1)
    assert expected([one], who) == (
        "1 requests, about 0 tokens in and 100 out, if every answer is accepted"
    )


def test_a_teacher_that_fails_for_good_stops_the_run_and_keeps_what_is_there(tmp_path):
    def ask(request):
        if int(request.key, 16) >= 3:
            raise NoAnswer("error 503: busy")
        return Answer("a")

    with pytest.raises(ModelError, match=r"5 requests in a row.*busy.*Every answer is kept"):
        run(texts(30), teacher(ask), kept, tmp_path / "t.jsonl", n=9, concurrency=2, progress=False)
    assert len(lines(tmp_path / "t.answers.jsonl")) == 3


def test_a_failure_now_and_then_is_counted_and_asked_again_next_time(tmp_path):
    def ask(request):
        if request.key == "0001" and not asked:
            raise NoAnswer("lost")
        return Answer("a")

    asked = []
    out = tmp_path / "t.jsonl"
    made = run(texts(4), teacher(ask), kept, out, n=4, concurrency=1, progress=False)
    assert made.failed == {"lost": 1} and made.stopped == "no more inputs"
    asked.append(True)
    made = run(texts(4), teacher(ask), kept, out, n=4, progress=False)
    assert made.stopped == "complete" and [data.prompt(r)[0]["content"] for r in made.accepted] == [
        "q0", "q1", "q2", "q3"
    ]  # fmt: skip


def test_ctrl_c_keeps_what_was_under_way(tmp_path):
    asked = []

    def ask(request):
        asked.append(request.key)
        if request.key == "0002" and asked.count("0002") == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        return Answer("a")

    def go():
        return run(
            texts(20), teacher(ask), kept, tmp_path / "t.jsonl", n=20, concurrency=2,
            progress=False,
        )  # fmt: skip

    # a shell's background job is started with the signal ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert go().stopped == "interrupted"
    except KeyboardInterrupt:
        pass  # it came between two requests: the run ends there and then, and loses no more
    finally:
        signal.signal(signal.SIGINT, before)
    assert "0002" in asked and len(asked) < 20
    made = go()
    assert made.stopped == "complete" and len(made.accepted) == 20
    assert sorted(asked) == sorted(set(asked)), "an answer was lost and asked for again"


def test_generated_code_is_run_before_it_is_kept(tmp_path):
    records_ = tasks.get("unit_tests").examples(3, seed=0)

    def ask(request):
        wrong = request.messages[-1]["content"] == data.prompt(records_[0])[-1]["content"]
        return Answer(request.known.replace("assertEqual(", "assertEqual(0 * ") if wrong
                      else f"```python\n{request.known}\n```")  # fmt: skip

    made = synthesise("unit_tests", 2, teacher(ask), tmp_path / "t.jsonl", progress=False)
    assert len(made.accepted) == 2 and made.cleaned == {"code fence": 2}
    (reject,) = made.rejected
    assert "passes below 1" in reject.reason and reject.metrics["parses"] == 1


def test_what_is_accepted_can_be_chosen(tmp_path):
    made = synthesise(
        "triage", 2, teacher(lambda r: Answer("bug")), tmp_path / "t.jsonl",
        accept={"valid": 1}, progress=False,
    )  # fmt: skip
    assert made.requests == 2 and made.stopped == "complete"
    with pytest.raises(ConfigError, match="'valid'"):
        synthesise("triage", 2, teachers.get("program"), tmp_path / "u.jsonl", accept={"vaild": 1})


def test_mistakes_on_the_command_line(monkeypatch, capsys, tmp_path):
    from ftlab import cli

    def told(*arguments):
        monkeypatch.setattr(sys, "argv", ["ftlab", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        return capsys.readouterr().err

    new = ("--out", tmp_path / "x.jsonl")
    assert "'openai'" in told("synth", "triage", *new, "--teacher", "opnai")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "OPENAI_API_KEY" in told("synth", "triage", *new, "--teacher", "openai")
    assert "--price-in" in told(
        "synth", "triage", *new, "--teacher", "local", "--model", "ftlab-1m", "--estimate",
        "--price-out", 1,
    )  # fmt: skip
    assert "--held-out" in told("amplify", tmp_path / "x.jsonl", *new)
    assert not list(tmp_path.iterdir())


def test_the_bar_does_not_flood_a_notebook(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    sent = []

    class Counting(NotebookClient):
        def process_message(self, message, *rest):
            sent.append(message["msg_type"])
            return super().process_message(message, *rest)

    cell = f"""
import sys, time
from dataclasses import replace
from ftlab.curation import synthesis, teachers
sys.stderr = sys.stdout
quick = teachers.get("program")
slow = replace(quick, ask=lambda requests: time.sleep(0.1) or quick.ask(requests))
begun = time.monotonic()
made = synthesis.synthesise("triage", 30, slow, {str(tmp_path / "t.jsonl")!r}, concurrency=1)
print(len(made.accepted), time.monotonic() - begun)
"""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    Counting(book, kernel_name="python3").execute()
    printed = "".join(o["text"] for o in book.cells[0].outputs if o["output_type"] == "stream")
    accepted, seconds = printed.splitlines()[-1].split()
    assert int(accepted) == 30 and "clear_output" in sent
    # A client that reads nothing before the cell is done loses what is beyond some two thousand.
    assert len(sent) < 30 + 5 * float(seconds)


@pytest.mark.slow
def test_the_shipped_model_teaches_through_a_server(tmp_path):
    from ftlab import models

    with serving(model_writes(*models.load("ftlab-7m"), most=12), models=["ftlab-7m"]) as real:
        who = teachers.get("openai", "ftlab-7m", base_url=real.url)
        made = synthesise(
            "triage", 2, who, tmp_path / "t.jsonl", shots=1, accept={"valid": 0}, progress=False
        )
    assert len(made.accepted) == 2 and all(data.answer(row).strip() for row in made.accepted)
    assert made.tokens_in > 100 and len(real.charged) == made.requests
