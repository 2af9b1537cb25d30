"""A model as GGUF: what is in the file, and what real llama.cpp does with it."""

import json
import urllib.request

import pytest
import torch

from ftlab import models
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.generation import generate
from ftlab.models import folders
from ftlab.serving import gguf

ASKED = ["Say hi!", "What is the capital of France?", "it's 12 o'clock,\n\n  and 345 é 🙂 left"]
MESSAGES = [[{"role": "user", "content": text}] for text in ASKED]


@pytest.fixture
def serve():
    """Return `start(file) -> ask(path, **body)` of llama.cpp's own server."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp: pip install xllamacpp")
    servers = []

    def start(file):
        params = xllamacpp.CommonParams()
        params.model.path, params.verbosity, params.warmup = str(file), -1, False
        params.n_ctx, params.n_parallel = 512, 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        servers.append(xllamacpp.Server(params))

        def ask(path, **body):
            request = urllib.request.Request(
                servers[-1].listening_address + path, json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )  # fmt: skip
            return json.load(urllib.request.urlopen(request, timeout=60))

        return ask

    return start


def agree(folder, file, serve):
    """Assert that both write the same from the same tokens, and return the logits' difference."""
    model, tokenizer = models.load(folder)
    ask = serve(file)
    apart = []
    for messages in MESSAGES:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        prompt = ask("/apply-template", messages=messages)["prompt"]
        begins = tokenizer.bos_token and prompt.startswith(tokenizer.bos_token)
        tokens = ask("/tokenize", content=prompt, add_special=not begins, parse_special=True)
        assert tokens["tokens"] == ids
        # What it would write may be half a letter, which comes with no figures; so it writes "a".
        reply = ask(
            "/completion", prompt=ids, n_predict=1, temperature=0, n_probs=len(tokenizer),
            logit_bias=[[tokenizer.convert_tokens_to_ids("a"), 1000]],
        )  # fmt: skip
        theirs = torch.full((model.config.vocab_size,), -torch.inf)
        for entry in reply["completion_probabilities"][0]["top_logprobs"]:
            theirs[entry["id"]] = entry["logprob"]
        with torch.no_grad():
            ours = model(torch.tensor([ids])).logits[0, -1].float().log_softmax(-1)
        apart.append((ours - theirs)[theirs.isfinite()].abs().max().item())
    return max(apart), ask, model, tokenizer


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("chatml", {}),
        ("llama3", {}),
        ("qwen2.5", {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}),
        ("qwen3", {}),
        ("chatml", {"tie_word_embeddings": False, "attention_bias": True}),
        ("llama3", {"max_position_embeddings": 8192, "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}),
    ],
    ids=["llama", "llama3", "qwen2", "qwen3", "untied", "llama3-positions"],
)  # fmt: skip
def test_llama_cpp_computes_what_transformers_does(family, config, save_model, serve, tmp_path):
    folder = save_model(family, initializer_range=0.3, **config)
    file = gguf.export(folder, tmp_path / "model.gguf", "F16")
    assert agree(folder, file, serve)[0] < 0.05


def test_the_microscope_writes_the_same_text_in_f16(serve, tmp_path):
    folder = models.get("ftlab-1m")
    with pytest.raises(ModelError, match="none of the rules known here"):
        gguf.export(folder, tmp_path / "model.gguf")
    assert not list(tmp_path.iterdir())
    file = gguf.export(folder, tmp_path / "model.gguf", pre="smollm")
    apart, ask, model, tokenizer = agree(folder, file, serve)
    assert apart < 0.05
    texts = generate(model, tokenizer, MESSAGES, max_new_tokens=12)
    for messages, text in zip(MESSAGES, texts, strict=True):
        reply = ask("/v1/chat/completions", messages=messages, max_tokens=12, temperature=0)
        assert reply["choices"][0]["message"]["content"].strip() == text.strip()


@pytest.mark.slow
def test_smollm2_writes_the_same_text_in_f16(serve, tmp_path):
    folder = models.get("smollm2-135m")
    file = gguf.export(folder, tmp_path / "model.gguf")
    apart, ask, model, tokenizer = agree(folder, file, serve)
    assert apart < 0.1
    reply = ask("/v1/chat/completions", messages=MESSAGES[1], max_tokens=16, temperature=0)
    (text,) = generate(model, tokenizer, MESSAGES[1:2], max_new_tokens=16)
    assert reply["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "Q4_0"])
def test_quantised_weights_are_near_and_small(kind, save_model, serve, tmp_path):
    folder = save_model("chatml", initializer_range=0.3)
    whole = gguf.export(folder, tmp_path / "whole.gguf", "F16")
    file = gguf.export(folder, tmp_path / "model.gguf", kind)
    assert file.stat().st_size < whole.stat().st_size
    apart = agree(folder, file, serve)[0]
    assert 1e-4 < apart < 20


def test_the_file_says_what_it_holds(save_model, tmp_path):
    from gguf import GGUFReader

    folder = save_model("llama3", vocab_size=480)  # more rows than tokens
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    reader = GGUFReader(gguf.export(folder, tmp_path / "model.gguf", "Q4_0"))
    held = {key: field.contents() for key, field in reader.fields.items()}
    tokenizer = models.tokenizer(folder)
    assert held["general.license"] == "apache-2.0"
    assert held["tokenizer.ggml.pre"] == "gpt-2" and held["tokenizer.ggml.add_bos_token"] is True
    assert held["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    assert held["tokenizer.ggml.padding_token_id"] == tokenizer.pad_token_id
    assert held["tokenizer.chat_template"] == tokenizer.chat_template
    tokens, kinds = held["tokenizer.ggml.tokens"], held["tokenizer.ggml.token_type"]
    assert tokens[: len(tokenizer)] == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert (len(tokens), kinds[tokenizer.eos_token_id], kinds[-1]) == (480, 3, 5)
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert types["token_embd.weight"] == "Q8_0" and types["blk.1.ffn_up.weight"] == "Q4_0"
    assert types["output_norm.weight"] == "F32" and "output.weight" not in types


def test_what_cannot_be_exported_is_named_and_leaves_nothing(save_model, tmp_path, monkeypatch):
    folder, file = save_model(), tmp_path / "out" / "model.gguf"
    with pytest.raises(ConfigError, match=r"'Q4'. Did you mean 'Q4_[01]'"):
        gguf.export(folder, file, "Q4")
    with pytest.raises(ModelError, match="'gemma'; llama, mistral"):
        gguf.export(save_model("gemma"), file)
    with pytest.raises(ModelError, match="none of the rules"):
        gguf.export(save_model("mistral"), file)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="ftlab merge"):
        gguf.export(adapter, file)
    monkeypatch.setattr(folders, "weights", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gguf.export(folder, file)
    assert not file.parent.exists() or not list(file.parent.iterdir())
    monkeypatch.undo()
    gguf.export(folder, file)
    with pytest.raises(DataError, match="exists already"):
        gguf.export(folder, file)
