"""Every command takes rows of several answers, with tools, calls, weights and nulls among them."""

import io
import json
import sys

import pytest

from ftlab import data
from ftlab.errors import DataError

WORDS = ["apple", "boat", "cat", "dog", "elm", "fox", "goat", "hat", "ink", "jam", "kite", "lamp"]
WORDS += ["moon", "nest", "oak", "pear"]
TOOL = {"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}


def agent(i):
    """A call of a tool, its result, an answer, and an answer that is not learned."""
    call = {"name": "tide", "arguments": json.dumps({"harbour": WORDS[i]})}
    return {
        "messages": [
            {"role": "system", "content": "You know the harbour."},
            {"role": "user", "content": f"When is high water at the {WORDS[i]}?", "name": "ann"},
            {"role": "assistant", "content": None,
             "tool_calls": [{"id": "c", "type": "function", "function": call}]},
            {"role": "tool", "tool_call_id": "c", "content": f"{i}:20", "name": None},
            {"role": "assistant", "content": f"At {i}:20, by the {WORDS[-1 - i]}."},
            {"role": "user", "content": f"Thanks from the {WORDS[(i * 7 + 3) % 16]}"},
            {"role": "assistant", "content": "You are welcome.", "weight": 0},
        ],
        "tools": [TOOL], "meta": {"group": f"g{i // 2}", "slice": "ab"[i % 2]},
    }  # fmt: skip


def talk(i):
    said = [f"Cancel the {WORDS[i]}.", "Which?", f"The {WORDS[i - 3]} one.", f"Done: {WORDS[i]}."]
    roles = ("user", "assistant") * 2
    turns = [{"role": r, "content": c} for r, c in zip(roles, said, strict=True)]
    return {"messages": turns, "tools": None, "meta": {"slice": "a"}}


@pytest.fixture
def file(tmp_path):
    rows = [*map(agent, range(16)), *map(talk, range(16))]
    rows += [{"prompt": f"Say {w}", "completion": f"The {w}.", "meta": None} for w in WORDS]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return path


@pytest.fixture
def ftlab(monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        code, out, err = command(*arguments)
        assert code == 0, err
        return out

    return run


def test_convert_keeps_all_of_it(ftlab, file, tmp_path):
    ours, theirs, vertex = (tmp_path / f"{name}.jsonl" for name in ("ours", "theirs", "vertex"))
    assert "48 records in" in ftlab("convert", file, ours)
    assert data.fingerprint(data.read(ours)) == data.fingerprint(data.read(file))
    ftlab("convert", file, theirs, "--to", "openai", "--drop-meta")
    first = data.read(theirs)[0]
    assert first["tools"] == [TOOL] and data.learned(first) == [2, 4]
    assert "80 records in" in ftlab("convert", file, tmp_path / "each.jsonl", "--unroll")
    each = data.read(tmp_path / "each.jsonl")
    assert [len(row["prompt"]) for row in each[:2]] == [2, 4] and each[1]["tools"] == [TOOL]
    assert {len(data.learned(row)) for row in each} == {1}
    with pytest.raises(AssertionError, match=r"Record 1 cannot be written as vertex.* tools"):
        ftlab("convert", file, vertex, "--to", "vertex", "--drop-meta")
    assert not vertex.exists()


def test_the_doctor_examines_and_mends(ftlab, file, tmp_path, model_folder):
    told = json.loads(ftlab("doctor", file, "--model", model_folder, "--json"))
    found = {one["check"]: one["lines"] for one in told["findings"]}
    assert found["template_drops"] == list(range(1, 17))
    assert not [one for one in told["findings"] if one["severity"] == "error"]
    mended = tmp_path / "mended.jsonl"
    ftlab("doctor", file, "--fix", mended)
    assert data.fingerprint(data.read(mended)) == data.fingerprint(data.read(file))


def test_split_and_mix_and_diversity(ftlab, file, tmp_path):
    ftlab("split", file, "--sizes", "0.5,0.5", "--out", tmp_path / "parts")
    parts = [data.read(tmp_path / f"parts/{name}.jsonl") for name in ("train", "test")]
    groups = [{data.meta(row).get("group") for row in part} - {None} for part in parts]
    assert not groups[0] & groups[1] and sum(map(len, parts)) == 48
    other = data.write(tmp_path / "other.jsonl", parts[0])
    ftlab("mix", file, other, "--out", tmp_path / "mixed.jsonl")
    assert len(data.read(tmp_path / "mixed.jsonl")) == 48 + len(parts[0])
    assert "48 records" in ftlab("diversity", file, "--reference", file)


def test_train_compare_and_show(ftlab, file, tmp_path, model_folder):
    tuned = tmp_path / "tuned"
    said = ftlab("train", file, "--model", model_folder, "--out", tuned, "--epochs", 1)
    assert "drops the tool tide in 16 of 48 rows" in said and "drops a name in 16 of" in said
    ftlab(
        "compare", "--base", model_folder, "--tuned", tuned, "--task", "triage", "--data", file,
        "--max-new-tokens", 2, "--out", tmp_path / "verdict",
    )  # fmt: skip
    assert json.loads((tmp_path / "verdict/verdict.json").read_text())["n"] == 48
    shown = ftlab("show", file, "--model", model_folder)
    assert "carry loss" in shown and "drops the tool tide" in shown


def test_convert_says_what_it_leaves_out_and_what_is_learned(ftlab, tmp_path):
    rows = [{**agent(0), "meta": None}, {**talk(1), "meta": None}]
    rows[0]["messages"][-3] |= {"reasoning": "By the table.", "audio": None, "mood": "calm"}
    path, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    said = ftlab("convert", path, out, "--to", "openai")
    assert "openai has no place for it: mood (in 1), reasoning (in 1)." in said
    assert "Answers without loss: in 1 of 2 records, written with weight 0." in said
    assert "Several answers carry loss: in 2 of 2 records." in said
    weights = [[turn.get("weight") for turn in json.loads(line)["messages"]]
               for line in out.read_text("utf-8").splitlines()]  # fmt: skip
    assert weights == [[None] * 6 + [0], [None] * 4]


def test_convert_says_what_a_provider_refuses(ftlab, tmp_path):
    rows = [{"prompt": f"Say {w}", "completion": f"The {w}."} for w in WORDS]
    for number, text in enumerate(["Bot: hi", "My superuser: ann", "thought:", "[EOS]", "<video>"]):
        rows[number]["completion"] = text
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    said = ftlab("convert", path, tmp_path / "nova.jsonl", "--to", "bedrock")
    assert "fewer than 200 (Nova 2 Lite); this one has 16" in said
    assert ": <video>, Bot:, [EOS], thought:, user:; in 5 records: 1, 2, 3, 4, 5." in said
    assert len(data.read(tmp_path / "nova.jsonl")) == 16
    assert "fewer" not in ftlab("convert", path, tmp_path / "openai.jsonl", "--to", "openai")
    data.write(path, data.read(path)[5:12], overwrite=True)
    said = ftlab("convert", path, tmp_path / "few.jsonl", "--to", "bedrock")
    assert "fewer than 8 records" in said and "reserved" not in said
    said = ftlab("convert", path, tmp_path / "short.jsonl", "--to", "openai")
    assert "OpenAI takes no file of fewer than 10 records; this one has 7." in said
    with pytest.raises(AssertionError, match=r"fewer than 10 records(.|\n)*not written"):
        ftlab("convert", path, tmp_path / "none.jsonl", "--to", "openai", "--check")
    assert not (tmp_path / "none.jsonl").exists()
    ftlab("convert", path, tmp_path / "checked.jsonl", "--to", "sharegpt", "--check")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_without_a_character_is_no_traceback(file, tmp_path, model_folder, encoding):
    from ftlab import cli

    rows = [{"prompt": f"Wie heißt das 漢字 {w}\x81?", "completion": "→ 日本"} for w in WORDS]
    rows += [{"prompt": "\ud800", "completion": "half a pair"}]
    path, lone = tmp_path / "größe漢.jsonl", tmp_path / "lone.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows[:-1]), "utf-8")
    lone.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    said = {}
    for command in (
        ("doctor", lone), ("doctor", path, "--json"), ("doctor", tmp_path / "漢.jsonl"),
        ("convert", path, tmp_path / "漢字.jsonl"), ("show", path, "--model", model_folder),
        ("diversity", path, "--reference", file, "--json"),
        ("split", path, "--sizes", "0.5,0.5", "--out", tmp_path / "漢"),
        ("mix", path, "--out", tmp_path / "漢2.jsonl"),
        ("generate", "漢字 →?", "--model", model_folder, "--max-new-tokens", 2),
    ):  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            for name in ("stdout", "stderr"):
                patch.setattr("sys." + name, io.TextIOWrapper(io.BytesIO(), encoding, "strict"))
            patch.setattr("sys.argv", ["ftlab", *map(str, command)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            sys.stdout.flush()
            said[command[0], command[-1]] = sys.stdout.buffer.getvalue().decode(encoding)
        assert ended.value.code in (0, 2), command
    assert json.loads(said["doctor", "--json"])["path"].endswith("größe漢.jsonl")
    assert json.loads(said["diversity", "--json"])


def test_what_no_json_holds_is_never_written(file, tmp_path):
    with pytest.raises(DataError, match="line 49: not JSON: NaN"):
        file.write_text(file.read_text() + '{"prompt": "a", "completion": "b", "score": NaN}\n')
        data.read(file)
