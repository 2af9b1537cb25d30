import io
import json
import shutil
import subprocess
import sys

import pytest

from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.evaluation import battery as room
from ftlab.evaluation.battery import ask, battery, failures, table
from ftlab.evaluation.battery_page import page
from ftlab.evaluation.battery_prompts import Prompt, check, read_prompts
from ftlab.evaluation.intervals import wilson

EVIL = "<script>alert('x')</script> & \"more\""
ROWS = [
    {"id": "a", "kind": "words", "prompt": "Say fox!", "reference": "fox", "format": "one line"},
    {"id": "b", "kind": "words", "prompt": f"Say dog! {EVIL}", "format": ["json"]},
    {"id": "c", "kind": "free", "prompt": "What is the capital?"},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def quick(monkeypatch):
    """Let every model answer from a script; return the list of those that were asked."""
    asked = []

    def generate(model, tokenizer, conversations, **how):
        asked.append(how)
        lines = ["two words", '{"a": 1}', "a b c d"]
        return [lines[i % 3] for i in range(len(conversations))]

    monkeypatch.setattr(room, "generate", generate)
    return asked


# Formats.


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("json", ' {"a": [1, null]}\n'), ("json", "[]"),
        ("yaml", "a: 1\nb:\n- x"), ("yaml", "- x"),
        ("python", "def f(x):\n    return x"), ("python", "print(1)"), ("python", "import os"),
        ("list", "- a"), ("list", "* a\n• b\n\n3. c\n4) d"), ("list of 2", "1. a\n2. b"),
        ("one line", "a b c\n"),
        ("number", "42"), ("number", "-1,234,567.50"), ("number", "−3"),
        ("yes or no", "Yes."), ("yes or no", "no"),
        ("at most 2 words", "a b"), ("at most 1 word", "a"),
        ("sentence", "It is 3.5 m tall, Dr. Who said."), ("sentence", '"Is it late?"'),
    ],
)  # fmt: skip
def test_formats_kept(format, text):
    assert check(format, text) == ""


@pytest.mark.parametrize(
    ("format", "text", "reason"),
    [
        ("json", '```json\n{"a": 1}\n```', "code fence"), ("json", "42", "bare value"),
        ("json", '{"a": 1, "a": 2}', "twice"), ("json", '{"a": 1} Done.', "not JSON"),
        ("json", "[" * 100_000, "not JSON"), ("json", '{"a": NaN}', "not JSON"),
        ("yaml", "plain words", "bare value"), ("yaml", '{"a": 1}', "JSON"),
        ("yaml", "a: b: c", "not YAML"),
        ("python", "Paris", "only words"), ("python", "Sure, here", "only words"),
        ("python", "def f(:", "not Python"), ("python", "```python\nx = 1\n```", "code fence"),
        ("python", "x = '\0'", "not Python"), ("python", "Here it is: x = 1", "not Python"),
        ("list", "Here:\n- a", "'Here:'"), ("list", "-a", "no item"),
        ("list of 2", "- a\n- b\n- c", "3 items, not 2"),
        ("one line", "a\nb", "2 lines"),
        ("number", "42.", "number alone"), ("number", "1,23", "alone"),
        ("number", "4 eggs", "alone"),
        ("yes or no", "Yes, it is.", "alone"),
        ("at most 2 words", "a b c", "3 words, more than 2"),
        ("sentence", "no capital.", "capital"), ("sentence", "No stop", "full stop"),
        ("sentence", "One. Two.", "several sentences"), ("sentence", "One\ntwo.", "lines"),
    ],
)  # fmt: skip
def test_formats_broken_with_the_reason(format, text, reason):
    assert reason in check(format, text)


@pytest.mark.parametrize("format", ["json", "list", "one line", "at most 3 words", "sentence"])
def test_nothing_keeps_no_format(format):
    assert check(format, " \n") == "nothing written"


@pytest.mark.parametrize("format", ["jsn", "list of N", "at most N words", "at most 0 words", ""])
def test_unknown_formats_are_told(format):
    with pytest.raises(ConfigError, match="Valid: json, python"):
        check(format, "x")


def test_wilson_holds_at_the_ends_and_contains_the_share():
    assert wilson(0, 10).low == 0 and wilson(10, 10).high == 1
    assert wilson(100, 100).low == pytest.approx(0.9630, abs=1e-4)  # z² / (n + z²) is left out
    for kept in range(21):
        found = wilson(kept, 20)
        assert 0 <= found.low <= kept / 20 <= found.high <= 1
        assert found.low == pytest.approx(1 - wilson(20 - kept, 20).high)
    assert wilson(0, 0).covers_zero
    with pytest.raises(ConfigError):
        wilson(3, 2)


# Prompts.


def test_the_starter_set_is_ten_kinds_of_six_whose_references_keep_their_formats():
    prompts = read_prompts()
    kinds = [prompt.kind for prompt in prompts]
    assert {kinds.count(kind) for kind in kinds} == {6} and len(set(kinds)) == 10
    assert len({prompt.prompt for prompt in prompts}) == 60
    for prompt in prompts:
        assert prompt.format and prompt.reference
        for format in prompt.format:
            assert check(format, prompt.reference) == "", prompt.id


def test_a_file_of_prompts_is_read(file):
    first, second, third = read_prompts(file)
    assert first == Prompt("a", "words", "Say fox!", "fox", ("one line",))
    assert second.format == ("json",) and second.reference is None and third.format == ()


def test_bad_lines_are_listed_by_number(tmp_path):
    good = '{"id": "a", "kind": "k", "prompt": "p"}'
    lines = [
        good, good, "no json", "[1]", '{"id": "b", "kind": "k"}',
        '{"id": "c", "kind": "k", "prompt": "p", "formt": "json"}',
        '{"id": "d", "kind": "k", "prompt": "p", "format": "jsn"}',
        '{"id": "e", "kind": "all", "prompt": "p"}',
        '{"id": "f", "kind": "k", "prompt": "p", "reference": ""}',
        '{"id": "g", "kind": "k", "prompt": "p", "format": [1]}',
    ]  # fmt: skip
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as told:
        read_prompts(path)
    for number in range(2, 11):
        assert f"line {number}: " in str(told.value)
    assert "formt" in str(told.value) and "Did you mean 'json'" in str(told.value)
    path.write_text("\n")
    with pytest.raises(DataError, match="no prompts"):
        read_prompts(path)


# Asking.


def test_bits_are_those_of_the_references_own_tokens(make_model):
    import torch

    from ftlab.templates import prompt_ids

    model, tokenizer = make_model("chatml", initializer_range=0.3)
    prompts = [Prompt("a", "k", "Say fox!", "the lazy dog"), Prompt("b", "k", "Say hi!")]
    found = ask(model, tokenizer, prompts, max_new_tokens=2)
    assert found["b"]["bits"] is None and len(found["a"]["texts"]) == 1
    begin = prompt_ids(tokenizer, [{"role": "user", "content": "Say fox!"}])
    answer = tokenizer("the lazy dog")["input_ids"]
    bits, ids = 0.0, list(begin)
    for token in answer:
        with torch.inference_mode():
            chances = model(torch.tensor([ids])).logits[0, -1].softmax(0)
        bits -= float(torch.log2(chances[token]))
        ids.append(token)
    assert found["a"]["bits"] == pytest.approx(bits, rel=1e-4)


def test_many_times_draws_many_answers_fixed_by_the_seed(make_model):
    model, tokenizer = make_model("chatml")
    prompts = [Prompt("a", "k", "Say fox!"), Prompt("b", "k", "Say hi!")]
    how = {"times": 3, "temperature": 1.0, "max_new_tokens": 6}
    found = ask(model, tokenizer, prompts, **how)
    assert [len(set(given["texts"])) for given in found.values()] == [3, 3]
    assert found == ask(model, tokenizer, prompts, **how)


def test_many_greedy_answers_are_refused(make_model):
    with pytest.raises(ConfigError, match="temperature"):
        ask(*make_model("chatml"), [Prompt("a", "k", "Say fox!")], times=2)
    with pytest.raises(ConfigError, match="at least 1"):
        ask(*make_model("chatml"), [Prompt("a", "k", "Say fox!")], times=0)


def test_a_battery_counts_formats_by_kind(model_folder, file, tmp_path, quick):
    data = battery([str(model_folder)], tmp_path / "out", prompts=file, say=lambda line: None)
    assert data == json.loads((tmp_path / "out" / "battery.json").read_text())
    (model,) = data["models"]
    assert model["label"] == "tiny" and len(model["files"]) == 64
    kinds = model["kinds"]
    assert list(kinds) == ["words", "free", "all"]
    assert kinds["words"]["format"]["kept"] == kinds["words"]["format"]["of"] == 2
    assert kinds["free"]["format"] is None and kinds["free"]["bits_per_character"] is None
    assert kinds["free"]["words"] == 4 and kinds["all"]["prompts"] == 3
    assert kinds["all"]["bits_per_character"] == model["answers"]["a"]["bits"] / 3 > 0
    assert failures(data) == []


def test_repeats_are_counted_by_prompt_and_failures_listed(model_folder, file, tmp_path, quick):
    data = battery(
        [str(model_folder)], tmp_path / "out", prompts=file, times=3, temperature=0.7,
        say=lambda line: None,
    )  # fmt: skip
    assert quick[0]["temperature"] == 0.7
    (model,) = data["models"]
    a, b = (model["answers"][name]["kept"] for name in "ab")
    assert (a["kept"], a["of"], b["kept"], b["of"]) == (3, 3, 1, 3)
    assert b["low"] == wilson(1, 3).low
    words = model["kinds"]["words"]["format"]
    assert (words["kept"], words["of"]) == (4, 6)
    assert words["low"] == wilson(4 / 3, 2).low  # two prompts, not six answers
    (line,) = failures(data)
    assert line.startswith("tiny, b: 1 of 3 [0.06, 0.79]: 2 × not JSON")
    assert "1 of 3</strong> kept the format" in page(data)


def test_finished_models_are_not_asked_again(model_folder, file, tmp_path, quick):
    copy, out, said = tmp_path / "copy", tmp_path / "out", []
    shutil.copytree(model_folder, copy)

    def go(*names):
        data = battery([str(n) for n in names], out, prompts=file, say=said.append)
        return [model["name"] for model in data["models"]], len(quick)

    assert go(model_folder) == ([str(model_folder)], 1)
    assert go(copy, model_folder) == ([str(copy), str(model_folder)], 2)
    assert any("answered already" in line for line in said)
    assert go(copy) == ([str(model_folder), str(copy)], 2)  # the one not named stays, in front
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "note": 1}))
    assert go(copy)[1] == 3  # another model now
    with pytest.raises(ConfigError, match="seed differ"):
        battery([str(copy)], out, prompts=file, seed=5)
    (out / "battery.json").write_text("{}")
    with pytest.raises(DataError, match="not a battery"):
        go(copy)


def test_what_is_done_stays_when_a_later_model_fails(model_folder, file, tmp_path, monkeypatch):
    copy, out = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(model_folder, copy)

    def broken(model, *rest, **how):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(model)
        return ["x"] * 3

    calls: list = []
    monkeypatch.setattr(room, "generate", broken)
    with pytest.raises(KeyboardInterrupt):
        battery([str(model_folder), str(copy)], out, prompts=file, say=lambda line: None)
    held = json.loads((out / "battery.json").read_text())
    assert [model["name"] for model in held["models"]] == [str(model_folder)]
    assert (out / "battery.html").exists()


def test_a_run_stands_for_its_checkpoints_by_number(model_folder, file, tmp_path, quick):
    run = tmp_path / "run"
    for step in (100, 20):
        shutil.copytree(model_folder, run / f"checkpoint-{step}")
    (run / "checkpoint-last").mkdir()
    data = battery([str(run)], tmp_path / "out", prompts=file, say=lambda line: None)
    assert [model["label"] for model in data["models"]] == ["checkpoint-20", "checkpoint-100"]
    shutil.copytree(model_folder, run, dirs_exist_ok=True)
    data = battery([str(run)], tmp_path / "out", prompts=file, say=lambda line: None)
    labels = [model["label"] for model in data["models"]]
    assert labels == ["checkpoint-20", "checkpoint-100", "run"] and len(quick) == 3


def test_a_wrong_name_stops_before_anything_is_asked(model_folder, file, tmp_path, quick):
    with pytest.raises(ModelError, match="nothing-here"):
        battery([str(model_folder), "nothing-here"], tmp_path / "out", prompts=file)
    with pytest.raises(ConfigError, match="no models"):
        battery([], tmp_path / "out", prompts=file)
    assert not quick and not (tmp_path / "out").exists()


# Showing.


@pytest.fixture
def data(model_folder, file, tmp_path, quick):
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    names = [str(model_folder), str(copy)]
    made = battery(names, tmp_path / "shown", prompts=file, say=lambda line: None)
    made["models"][0]["answers"]["b"].update(
        texts=[EVIL], wrong=[EVIL], kept={"kept": 0, "of": 1, "value": 0.0, "low": 0.0, "high": 0.8}
    )
    return made


def test_the_page_stands_alone_and_escapes_everything(data):
    html = page(data)
    assert "<script>alert" not in html and html.count("<script>") == 1
    assert html.count("&lt;script&gt;alert") >= 3
    assert not any(word in html for word in ("http", "<link", "<img", " src="))
    assert html.count('<tr role="row" data-kind=') == 3
    assert '<html lang="en">' in html and 'name="viewport"' in html


def test_the_page_says_from_which_model_on_a_format_is_kept(data):
    assert page(data).count("Kept from copy on") == 1
    data["models"].reverse()
    assert "Kept from" not in page(data)


def test_the_table_has_a_row_for_each_kind(data):
    from rich.console import Console

    console = Console(width=120, file=io.StringIO())
    console.print(table(data))
    text = console.file.getvalue()
    assert all(word in text for word in ("tiny", "copy", "words", "free", "all", "2 of 2", "bits"))


@pytest.mark.browser
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_the_page_filters_in_a_browser(data, tmp_path):
    path = tmp_path / "battery.html"
    choose = "form.elements.kind.value = 'free'; show();</script></body>"
    path.write_text(page(data).replace("</body>", f"<script>{choose}"))
    told = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            "--disable-background-networking", f"--user-data-dir={tmp_path / 'user'}",
            path.as_uri(),
        ],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "1 of 3 prompts shown" in told.stdout, told.stderr
    assert told.stdout.count('hidden=""') == 2


def test_the_command_prints_the_table_and_what_broke(model_folder, file, tmp_path, quick, capsys):
    from ftlab import cli

    def run(*arguments):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as told:
            patch.setenv("COLUMNS", "120")
            patch.setattr(sys, "argv", ["ftlab", "battery", *map(str, arguments)])
            cli.main()
        return told.value.code, *capsys.readouterr()

    common = (model_folder, "--prompts", file, "--out")
    code, out, err = run(*common, tmp_path / "one")
    assert code == 0, err
    assert "tiny" in out and "2 of 2" in out and "Formats broken" not in out
    code, out, err = run(*common, tmp_path / "many", "--times", 3, "--temperature", 0.7)
    assert code == 0, err
    assert "Formats broken" in out and "tiny, b: 1 of 3" in out
    code, out, err = run(*common, tmp_path / "none", "--times", 3)
    assert code == 2 and "temperature" in err and not (tmp_path / "none").exists()
