"""Shared fixtures: tiny random models of real families, with tokenizers and chat templates alike.

Nothing here is downloaded. The tokenizers are trained on a few sentences when first asked for; the
chat templates are the makers' own, as TRL ships them, but for those of ChatML and Mistral.
"""

import copy
import functools
import importlib.resources
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEMPLATES = importlib.resources.files("trl") / "chat_templates"
TEXT = [
    "The quick brown fox jumps over the lazy dog. What is the capital of France? Paris.",
    "def add(a, b):\n    return a + b\n\nuser and assistant and system and model, 0123456789",
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant. Say hi! (Hello, there.)",
    *["assistant\n\n    return user", "user\n\n    return model"] * 9,  # to have them as tokens
]

CHATML = """\
{%- for m in messages -%}
{{- '<|im_start|>' + m.role + '\\n' -}}
{%- if m.role == 'assistant' -%}
{%- generation -%}{{- m.content + '<|im_end|>' -}}{%- endgeneration -%}{{- '\\n' -}}
{%- else -%}{{- m.content + '<|im_end|>\\n' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
# Mistral's third version puts the system text into the last message if that is the user's, and so
# writes it in a prompt, and nowhere once the answer is there.
MISTRAL = """\
{{- bos_token -}}
{%- set told = messages[0].content if messages[0].role == 'system' else '' -%}
{%- for m in (messages[1:] if told else messages) -%}
{%- if m.role == 'user' and loop.last and told -%}
{{- '[INST] ' + told + '\\n\\n' + m.content + '[/INST]' -}}
{%- elif m.role == 'user' -%}{{- '[INST] ' + m.content + '[/INST]' -}}
{%- else -%}{{- ' ' + m.content + eos_token -}}{%- endif -%}
{%- endfor -%}
"""

FAMILIES: dict[str, dict[str, Any]] = {
    "chatml": {
        "template": CHATML,
        "special": ["<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>"],
        "roles": {"eos_token": "<|im_end|>", "pad_token": "<|pad|>"},
        "classes": ("LlamaConfig", "LlamaForCausalLM"),
    },
    "qwen2.5": {
        "template": "qwen2_5",
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "roles": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        "classes": ("Qwen2Config", "Qwen2ForCausalLM"),
    },
    "qwen3": {
        "template": "qwen3",
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "roles": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        "classes": ("Qwen3Config", "Qwen3ForCausalLM"),
    },
    "llama3": {
        "template": "llama3",
        "special": [
            "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
            "<|eot_id|>", "<|finetune_right_pad_id|>",
        ],
        "roles": {
            "bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>",
            "pad_token": "<|finetune_right_pad_id|>",
        },
        "classes": ("LlamaConfig", "LlamaForCausalLM"),
    },
    "gemma": {
        "template": "gemma",
        "special": ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"],
        "roles": {
            "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"
        },
        "classes": ("GemmaConfig", "GemmaForCausalLM"),
    },
    "mistral": {
        "template": MISTRAL,
        "special": ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"],
        "roles": {
            "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>", "unk_token": "<unk>"
        },
        "classes": ("MistralConfig", "MistralForCausalLM"),
    },
}  # fmt: skip


# Widths for models that a test holds in 4 bits: multiples of 64, which every CPU's kernels take.
PACKABLE = {
    "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 64,
}  # fmt: skip


@functools.cache
def _tokenizer(family: str) -> Any:
    """Train a small BPE of the family's kind: byte level, or SentencePiece with ▁ for a space."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    plan = FAMILIES[family]
    roles = plan["roles"]
    bpe = Tokenizer(models.BPE(unk_token=roles.get("unk_token")))
    alphabet = []
    if family == "gemma":
        bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
        bpe.decoder = decoders.Metaspace(prepend_scheme="never")
    elif family == "mistral":
        bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        bpe.decoder = decoders.Metaspace(prepend_scheme="first")
    else:
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=plan["special"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    bpe.train_from_iterator(TEXT, trainer)
    if "bos_token" in roles:  # these families put it before any text, unless told not to
        bos = roles["bos_token"]
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, bpe.token_to_id(bos))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, clean_up_tokenization_spaces=False, model_max_length=512, **roles
    )
    shipped = TEMPLATES / f"{plan['template']}.jinja"
    known = "\n" not in plan["template"]
    tokenizer.chat_template = shipped.read_text(encoding="utf-8") if known else plan["template"]
    return tokenizer


# What looks like a token in a template: <|im_end|>, <bos>, [/INST], <｜User｜>, <turn|>, </think>.
TOKEN = re.compile(r"<[|｜/]?[\w▁:-]+[|｜]?>|\[/?[A-Zg][A-Za-z]{2,}\]|<\|\"\|>")


@pytest.fixture(scope="module")
def served():
    """A server of OpenAI's protocol for the tests of a file; `served.reset(write)` begins anew."""
    from openai_server import serving

    with serving(lambda messages: "") as server:
        yield server


@pytest.fixture(scope="session")
def shipped_tokenizer() -> Callable[[str], Any]:
    """Return `make(name)`: a tokenizer with a chat template that TRL ships, and its tokens."""

    def make(name: str) -> Any:
        from ftlab.rendering import facts

        tokenizer = copy.deepcopy(_tokenizer("chatml"))
        text = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
        tokens = sorted(set(TOKEN.findall(text)))
        tokenizer.add_special_tokens({"additional_special_tokens": tokens, "bos_token": "<|bos|>"})
        tokenizer.chat_template, tokenizer.model_max_length = text, 4096
        tokenizer.eos_token = facts(tokenizer).end
        return tokenizer

    return make


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """Return `make(family, **attributes)`: a tokenizer of the family, free to be changed."""

    def make(family: str = "chatml", **attributes: Any) -> Any:
        tokenizer = copy.deepcopy(_tokenizer(family))
        for name, value in attributes.items():
            setattr(tokenizer, name, value)
        return tokenizer

    return make


@pytest.fixture(scope="session")
def make_model(make_tokenizer: Callable[..., Any]) -> Callable[..., Any]:
    """Return `make(family)`: a random model of two layers, hidden 32, and its tokenizer."""

    def make(family: str = "chatml", **config: Any) -> tuple[Any, Any]:
        import torch
        import transformers

        tokenizer = make_tokenizer(family)
        config_class, model_class = FAMILIES[family]["classes"]
        settings = {
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "head_dim": 16, "max_position_embeddings": 512, "tie_word_embeddings": True,
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id, **config,
        }  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = getattr(transformers, model_class)(
                getattr(transformers, config_class)(**settings)
            )
        return model.eval(), tokenizer

    return make


@pytest.fixture(scope="session")
def save_model(
    make_model: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Return `save(family, dtype=…)`: the folder of a model as `make_model` makes it."""

    def save(family: str = "chatml", *, dtype: str = "float32", **config: Any) -> Path:
        import torch

        folder = tmp_path_factory.mktemp("models") / "tiny"
        model, tokenizer = make_model(family, **config)
        model.to(getattr(torch, dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def packable() -> dict[str, int]:
    """Return the settings of `make_model` for models in 4 bits."""
    return dict(PACKABLE)


@pytest.fixture(scope="session")
def model_folder(save_model: Callable[..., Path]) -> Path:
    """Return a folder that is built as the shipped ones are; not to be changed."""
    return save_model(dtype="bfloat16")


@pytest.fixture
def command(monkeypatch, capsys):
    """Return `run(*arguments) -> (exit code, stdout, stderr)` of `ftlab`, in this process."""
    from ftlab import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ftlab", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        told = capsys.readouterr()
        return exit_info.value.code, told.out, told.err

    return run


@pytest.fixture
def thinking_template():
    """A template that opens a thought in the prompt, and drops those of earlier answers."""
    return (
        "{%- set asked = namespace(at=0) -%}"
        "{%- for m in messages -%}"
        "{%- if m.role == 'user' -%}{%- set asked.at = loop.index0 -%}{%- endif -%}"
        "{%- endfor -%}"
        "{%- for m in messages -%}"
        "{%- set parts = m.content.split('</think>') -%}"
        "{{- '<|im_start|>' ~ m.role ~ '\\n' -}}"
        "{%- if m.role != 'assistant' -%}{{- m.content -}}"
        "{%- else -%}"
        "{%- set thought = parts[0].replace('<think>', '')|trim if parts|length > 1 else '' -%}"
        "{%- if loop.index0 > asked.at -%}"
        "{{- '<think>\\n' ~ thought ~ '\\n</think>\\n\\n' -}}"
        "{%- endif -%}"
        "{{- parts[-1].lstrip() -}}"
        "{%- endif -%}"
        "{{- '<|im_end|>\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}"
        "{{- '<|im_start|>assistant\\n<think>\\n' -}}"
        "{%- if enable_thinking is false -%}{{- '\\n</think>\\n\\n' -}}{%- endif -%}"
        "{%- endif -%}"
    )


@pytest.fixture
def progress_file(monkeypatch, tmp_path):
    """Return where a learner's progress is kept in this test; the file is not there yet."""
    path = tmp_path / "home" / "progress.json"
    monkeypatch.setenv("FTLAB_PROGRESS", str(path))
    return path
