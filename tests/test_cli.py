import json
import shutil
import subprocess
import sys

import pytest

from ftlab import catalogue, data, models
from ftlab.errors import ConfigError
from ftlab.generation import generate

RECORDS = [data.example(f"Say {w}!", f"the {w} {w}") for w in ("fox", "dog", "capital", "hi")]


@pytest.fixture
def ftlab(monkeypatch, command):
    """Return `run(*arguments) -> (exit code, stdout, stderr)`, in this process."""
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setenv("COLUMNS", "120")
    return command


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.jsonl"
    data.write(path, RECORDS)
    return path


@pytest.mark.parametrize("module", ["ftlab", "ftlab.cli", "ftlab.tasks", "ftlab.data"])
def test_importing_is_light(module):
    code = f"import {module}, sys; print(*{{'torch', 'transformers', 'numpy'}} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (told.stdout.strip(), told.returncode) == ("", 0)


def test_help_names_every_command(ftlab):
    code, out, _ = ftlab("--help")
    assert code == 0
    for command in ("demo", "profile", "models", "train", "generate", "compare", "show"):
        assert command in out


def test_profile_gives_reasons(ftlab):
    code, out, _ = ftlab("profile")
    assert code == 0 and "FTLAB_PROFILE=cpu" in out and "dtype" in out


def test_open_models_meet_the_demands(ftlab):
    code, out, _ = ftlab(
        "models", "--commercial", "--fits", 9, "--method", "full", "--safe",
    )  # fmt: skip
    assert code == 0 and "HuggingFaceTB/SmolLM2-135M" in out and "1 of " in out
    assert "Llama" not in out and "Qwen3" not in out
    code, out, _ = ftlab("models", "--language", "hi", "--language", "th")
    assert code == 0 and "Llama-3.2-1B" in out and "1 of " in out
    code, out, _ = ftlab("models", "--fits", "T4", "--method", "qlora")
    assert code == 0 and "Olmo-3-7B-Instruct" in out and "gpt-oss" not in out
    code, _, err = ftlab("models", "--fits", "T5")
    assert code == 2 and "Did you mean 'T4'" in err


def test_a_models_name_is_whole_in_a_narrow_terminal(ftlab, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = ftlab("models", "--open")
    for model in catalogue.catalogue().models:
        assert f" {model.name} " in out
    _, out, _ = ftlab("models")
    assert "smollm2-135m" in out and "ftlab-1m" in out


def test_train_generate_compare_show(ftlab, file, model_folder, tmp_path):
    tuned, held_out = tmp_path / "tuned", tmp_path / "held_out.jsonl"
    data.write(held_out, [data.example("Say cat!", "cat")])
    code, out, err = ftlab(
        "train", file, "--model", model_folder, "--out", tuned, "--epochs", 1, "--batch-size", 2,
        "--method", "lora", "--eval", held_out,
    )  # fmt: skip
    assert code == 0, err
    assert "step 1/2" in out and "held-out loss" in out and "s left" in out
    assert (tuned / "adapter_model.safetensors").exists()
    assert ftlab("generate", "Say fox!", "--model", tuned, "--max-new-tokens", 4)[0] == 0
    assert ftlab("generate", "The quick", "--raw", "--model", tuned, "--max-new-tokens", 4)[0] == 0
    code, out, err = ftlab(
        "compare", "--base", model_folder, "--tuned", tuned, "--task", "punctuation",
        "--held-out", 4, "--max-new-tokens", 4, "--out", tmp_path / "verdict",
    )  # fmt: skip
    assert code == 0, err
    verdict = json.loads((tmp_path / "verdict" / "verdict.json").read_text())
    assert verdict["n"] == 4 and list(verdict["systems"]) == [str(model_folder), str(tuned)]
    assert "No difference" in out or "no difference" in out
    code, out, _ = ftlab("show", file, "--model", model_folder)
    assert code == 0 and "<|im_end|>" in out
    code, out, _ = ftlab("show", file, "--model", model_folder, "--json")
    shown = json.loads(out)
    assert len(shown["input_ids"]) == len(shown["loss_mask"]) and 1 in shown["loss_mask"]


def test_synth_then_doctor_finds_nothing_wrong_until_something_is(ftlab, tmp_path):
    good = tmp_path / "good.jsonl"
    code, out, err = ftlab("synth", "triage", "-n", 30, "--out", good)
    assert code == 0 and len(data.read(good)) == 30, err
    code, out, err = ftlab("doctor", good)
    assert code == 0, out + err
    bad = tmp_path / "bad.jsonl"
    bad.write_text(good.read_text() + "{broken\n")
    code, out, _ = ftlab("doctor", bad, "--json", "--fix", tmp_path / "mended.jsonl")
    assert code == 2 and any(31 in f["lines"] for f in json.loads(out)["findings"])
    assert len(data.read(tmp_path / "mended.jsonl")) == 30
    code, out, err = ftlab("synth", "triage", "--split", "trian", "--out", tmp_path / "x")
    assert code == 2 and "'train'" in err


def test_a_template_that_thinks(ftlab, file, model_folder, thinking_template, tmp_path):
    model, tuned, rows = tmp_path / "model", tmp_path / "tuned", data.read(file)
    shutil.copytree(model_folder, model)
    (model / "chat_template.jinja").write_text(thinking_template)
    code, out, _ = ftlab("train", file, "--out", tuned, "--model", model, "--epochs", 1)
    assert code == 0 and "learn an empty <think></think>" in out
    code, out, _ = ftlab("show", file, "--model", tuned)
    assert code == 0 and "empty thought before an answer, and it carries loss" in " ".join(
        out.split()
    )
    asked = ("generate", "Is it odd?", "--model", tuned, "--max-new-tokens", 3)
    code, out, err = ftlab(*asked)
    assert (code, out.strip()) == (0, "") and "did not end" in err
    code, out, err = ftlab(*asked, "--no-thinking")
    assert code == 0 and "did not end" not in err
    long = tmp_path / "long.jsonl"  # of which the template shows the last thought alone
    turns = [data.example(f"{n}?", f"<think>\n{n}\n</think>\n\nYes.") for n in "abc"]
    messages = [turn for row in turns for turn in data.conversation(row)]
    data.write(long, [{"messages": messages}])
    code, _, err = ftlab("train", long, "--out", tmp_path / "x", "--model", model, "--epochs", 1)
    assert code == 2 and "Row 1: The chat template" in err and "--unroll" in err
    ftlab("convert", long, tmp_path / "each.jsonl", "--unroll")
    code, out, err = ftlab("show", tmp_path / "each.jsonl", "--model", model, "--record", 3)
    assert code == 0 and "c↵" in out, err
    for row in rows:
        row["chat_template_kwargs"] = {"enable_thinking": False}
    closed = data.write(tmp_path / "closed.jsonl", rows)
    code, out, _ = ftlab("show", closed, "--model", tuned)
    assert code == 0 and "in the prompt, without loss" in " ".join(out.split())
    loaded, tokenizer = models.load(str(tuned))
    told = [data.prompt(row) for row in rows]
    thinking = generate(loaded, tokenizer, told, max_new_tokens=3, thoughts=True)
    assert all(text.startswith("<think>") for text in thinking)
    answers = generate(loaded, tokenizer, told, max_new_tokens=3, thoughts=True, rows=rows)
    assert not any(text.startswith("<think>") for text in answers)
    with pytest.raises(ConfigError, match="1 rows for 4 conversations"):
        generate(loaded, tokenizer, told, rows=rows[:1])


def test_tasks_lists_every_task(ftlab):
    from ftlab import tasks

    code, out, _ = ftlab("tasks")
    assert code == 0 and all(name in out for name in tasks.names())


def test_mistakes_are_one_message_and_exit_code_2(ftlab, file, tmp_path, model_folder):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"messages": []}\nnot json\n' + file.read_text())
    empty = tmp_path / "empty"
    empty.mkdir()
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text('{"model_type": "llama"}')
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    new = tmp_path / "new"
    cases = {
        ("demo", "--model", "ftlab-7n", "--out", new): "ftlab-7n",
        ("demo", "--sentence", "...", "--out", new): "no words",
        ("compare", "--base", "a", "--tuned", "b", "--task", "punctuaton", "--out", new): (
            "Did you mean 'punctuation'"
        ),
        ("train", broken, "--out", new, "--model", model_folder): "2",
        ("train", file, "--out", file.parent, "--model", model_folder): "not an empty folder",
        ("train", file, "--out", new, "--model", empty): "config.json",
        ("train", file, "--out", new, "--method", "lorra"): "'lora'",
        ("train", file, "--out", new, "--layers", "upper"): "'upper-half'",
        ("train", file, "--out", new, "--model", pickled): "pickled",
        ("show", file, "--record", 9, "--model", model_folder): "4 records",
        ("generate", "hi", "--model", model_folder, "--temperature", "-1"): "temperature",
        ("nonsense",): "nonsense",
    }
    for arguments, expected in cases.items():
        code, _, err = ftlab(*arguments)
        assert code == 2, (arguments, err)
        assert expected in err, (arguments, err)
        assert "Traceback" not in err
        assert not new.exists(), arguments


def test_a_hub_id_without_network_says_what_to_do(ftlab, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    code, _, err = ftlab("generate", "hi", "--model", "nobody/nothing-here")
    assert code == 2 and "hf download nobody/nothing-here" in err


def test_a_full_disk_leaves_nothing_behind(ftlab, file, model_folder, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("peft.PeftModel.save_pretrained", full)
    out = tmp_path / "tuned"
    code, _, err = ftlab(
        "train", file, "--model", model_folder, "--out", out, "--epochs", 1, "--batch-size", 4
    )
    assert code == 2 and "No space left" in err and "--resume" in err
    assert not out.exists() and not list(tmp_path.glob(".saving-*"))
