"""A GGUF file of the Llama family as an ordinary Hugging Face folder.

The weights are dequantised with the `gguf` library and held in bf16, so that transformers, peft and
TRL train them as they train any model. What differs between the two forms:

- llama.cpp stores the rows of queries and keys in another order: its rotary embedding turns
  neighbouring rows, transformers' turns a row of a head's first half with one of the second;
- the tokenizer is a list of tokens and merges, beside the name of the rule that splits the text
  before the merges.
"""

import json
from pathlib import Path
from typing import Any

from ftlab.errors import ModelError

__all__ = ["write_folder"]

LAYER = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
CONTROL = 3  # gguf's TokenType.CONTROL: a token that stands for no text


def write_folder(gguf: Path, folder: Path, *, pad_token: str) -> None:
    """Write the model in a GGUF file into an empty folder, as `save_pretrained` would.

    Args:
        gguf: a file with `general.architecture` llama, tied embeddings, and a byte-level BPE
            tokenizer that splits digits (`tokenizer.ggml.pre` smollm).
        folder: an existing folder; gets config.json, generation_config.json, model.safetensors,
            tokenizer.json, tokenizer_config.json and chat_template.jinja.
        pad_token: a token of the vocabulary to pad with.

    Raises:
        ModelError: the file is of another family, or its tokenizer of another kind.
        OSError: the disk is full.
    """
    from gguf import GGUFReader

    reader = GGUFReader(gguf)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    kind = fields["general.architecture"], fields["tokenizer.ggml.pre"]
    if kind != ("llama", "smollm"):
        raise ModelError(f"{gguf} is of the kind {kind}; ('llama', 'smollm') is wanted.")
    pad = fields["tokenizer.ggml.tokens"].index(pad_token)
    _write_weights(reader.tensors, fields, folder / "model.safetensors")
    _write_configs(fields, folder, pad)
    _write_tokenizer(fields, folder, pad_token)


def _write_weights(tensors: Any, fields: dict[str, Any], file: Path) -> None:
    """Dequantise every tensor into one safetensors file of bf16."""
    import torch
    from gguf.quants import dequantize
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    heads = {
        "attn_q": fields["llama.attention.head_count"],
        "attn_k": fields["llama.attention.head_count_kv"],
    }
    state = {}
    for tensor in tensors:
        part = tensor.name.split(".")[-2]
        shape = tuple(int(size) for size in reversed(tensor.shape))
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).reshape(shape).copy())
        if part in heads:
            weight = _halves(weight, heads[part])
        state[_name(tensor.name)] = weight.to(torch.bfloat16).contiguous()
    try:
        save_file(state, file, metadata={"format": "pt"})
    except SafetensorError as error:  # its own kind of error for a full disk, too
        raise OSError(str(error)) from None
    file.chmod(0o644)  # safetensors makes it readable for its owner alone; a class may share it


def _name(name: str) -> str:
    """Return transformers' name of a tensor."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{LAYER[part]}.weight"


def _halves(weight: Any, heads: int) -> Any:
    """Put a head's even rows into its first half and its odd rows into the second.

    Args:
        weight: [heads * width, inputs], with the rows in llama.cpp's order.
        heads: how many heads the rows are of.
    """
    rows = weight.reshape(heads, -1, 2, weight.shape[-1])
    return rows.transpose(1, 2).reshape(weight.shape)


def _write_configs(fields: dict[str, Any], folder: Path, pad: int) -> None:
    """Write config.json and generation_config.json by transformers' own classes."""
    from transformers import GenerationConfig, LlamaConfig

    llama = {key.removeprefix("llama."): value for key, value in fields.items()}
    tokens = {
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": pad,
    }
    config = LlamaConfig(
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=llama["embedding_length"],
        intermediate_size=llama["feed_forward_length"],
        num_hidden_layers=llama["block_count"],
        num_attention_heads=llama["attention.head_count"],
        num_key_value_heads=llama["attention.head_count_kv"],
        max_position_embeddings=llama["context_length"],
        # A float32 in the file: 9.999999747378752e-06 was written as 1e-5.
        rms_norm_eps=float(f"{llama['attention.layer_norm_rms_epsilon']:.6g}"),
        rope_parameters={"rope_type": "default", "rope_theta": llama["rope.freq_base"]},
        tie_word_embeddings=True,
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
        **tokens,
    )
    config.save_pretrained(folder)
    GenerationConfig(**tokens).save_pretrained(folder)


def _write_tokenizer(fields: dict[str, Any], folder: Path, pad_token: str) -> None:
    """Write a byte-level BPE tokenizer and the chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    # Each digit is split off first. transformers' own GGUF loader leaves this step out, and then
    # several spaces before a number become other tokens than the model was trained with.
    digits = pre_tokenizers.Digits(individual_digits=True)
    split = [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.decoder = decoders.ByteLevel()
    special = [word for word, kind in zip(words, types, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens(
        [AddedToken(word, special=True, normalized=False) for word in special]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": words[fields["tokenizer.ggml.bos_token_id"]],
        "eos_token": words[fields["tokenizer.ggml.eos_token_id"]],
        "unk_token": words[fields["tokenizer.ggml.unknown_token_id"]],
        "pad_token": pad_token,
        "model_max_length": fields["llama.context_length"],
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    template = fields["tokenizer.chat_template"]
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8", newline="\n")
