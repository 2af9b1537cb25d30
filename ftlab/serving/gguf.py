"""A Llama-like model as one GGUF file, which llama.cpp, Ollama and LM Studio run.

    export("runs/merged", "runs/model-q8.gguf", "Q8_0")

The file holds the weights (matrices in F16, Q8_0, Q4_1 or Q4_0, vectors in float32), the shapes,
the tokenizer, the chat template and the licence. What differs from a Hugging Face folder:

- with the architecture `llama`, llama.cpp's rotary embedding turns neighbouring rows of queries and
  keys, where transformers' turns a row of a head's first half with one of the second;
- the rule that splits a text before the merges is not in the file, only its name
  (`tokenizer.ggml.pre`): a wrong one gives other tokens and no error;
- a tied output layer is not written: llama.cpp takes the embeddings.

Q8_0 and Q4_0 hold 32 neighbouring weights as whole numbers with one scale. Embeddings stay in 8
bits where the rest has 4, as in llama.cpp's own files; rows that are no multiple of 32, in F16.
"""

import json
import os
from pathlib import Path
from typing import Any

from ftlab.errors import ModelError, raise_unknown
from ftlab.files import writing

__all__ = ["QUANTISATIONS", "export"]

QUANTISATIONS = ("F16", "Q8_0", "Q4_1", "Q4_0")
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {  # what a tokenizer does before its merges, and llama.cpp's name for it
    ("Digits", "ByteLevel"): "smollm",
    ("ByteLevel",): "gpt-2",
    (_WORDS + r"\p{N}{1,3}" + _REST, "ByteLevel"): "llama-bpe",
    (_WORDS + r"\p{N}" + _REST, "ByteLevel"): "qwen2",
}


def export(
    folder: str | os.PathLike[str], file: str | os.PathLike[str], quantisation: str = "F16", *,
    pre: str | None = None, overwrite: bool = False,
) -> Path:  # fmt: skip
    """Write what `save_pretrained` wrote as one GGUF file, whole or not at all.

    Args:
        folder: a whole model (no adapter) with a byte-level BPE tokenizer.
        file: where to.
        quantisation: of the matrices, one of `QUANTISATIONS`.
        pre: llama.cpp's name for how the tokenizer splits a text; by default found by its own rule.
        overwrite: replace a file that is there.

    Raises:
        ModelError: the folder holds no such model, or its tokenizer splits in a way not known here.
        DataError: the file exists, or the disk is full.
    """
    from gguf import GGUFWriter, LlamaFileType
    from transformers import AutoConfig, AutoTokenizer

    from ftlab.models.folders import checked, front_matter

    if quantisation not in QUANTISATIONS:
        raise_unknown("quantisation", quantisation, QUANTISATIONS)
    folder = Path(folder)
    if (folder / "adapter_config.json").exists():
        raise ModelError(f"{folder} holds an adapter. Merge it first: ftlab merge {folder} --out …")
    config = AutoConfig.from_pretrained(checked(folder))
    if config.model_type not in ARCHITECTURES:
        raise ModelError(
            f"{folder} is of the kind {config.model_type!r}; {', '.join(ARCHITECTURES)} are known "
            "here. llama.cpp's own convert_hf_to_gguf.py knows most others."
        )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    card = front_matter(folder / "README.md")
    with writing(file, overwrite=overwrite) as part:
        writer = GGUFWriter(part, ARCHITECTURES[config.model_type], use_temp_file=True)
        try:
            writer.add_name(folder.resolve().name)
            if "license" in card:
                writer.add_license(card["license"])
            writer.add_file_type(LlamaFileType[f"MOSTLY_{quantisation}"])
            writer.add_quantization_version(2)
            _add_shapes(writer, config)
            _add_tokenizer(writer, config, tokenizer, folder, pre or _pre(tokenizer))
            _add_weights(writer, config, folder, quantisation)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()
    return Path(file)


def _add_shapes(writer: Any, config: Any) -> None:
    import numpy as np

    rope, heads = config.rope_parameters, config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if rope["rope_type"] == "llama3":  # a factor for each frequency
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        plain = rope["rope_theta"] ** -(np.arange(0, width, 2) / width)
        factors = plain / ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")[0].numpy()
        writer.add_tensor("rope_freqs.weight", factors.astype(np.float32))
    elif rope["rope_type"] != "default":
        raise ModelError(f"Positions of the kind {rope['rope_type']!r} are not known here.")


def _pre(tokenizer: Any) -> str:
    """Return llama.cpp's name of the rule by which a tokenizer splits a text."""
    rule = json.loads(tokenizer.backend_tokenizer.to_str())["pre_tokenizer"] or {}
    parts = rule.get("pretokenizers", [rule])
    marks = tuple(part.get("pattern", {}).get("Regex") or part.get("type") for part in parts)
    if marks not in SPLITS:
        raise ModelError(
            f"The tokenizer splits a text by {marks}, which is none of the rules known here. Give "
            "llama.cpp's name for it as `pre` (convert_hf_to_gguf.py lists them), then compare the "
            "tokens of your texts on both sides."
        )
    return SPLITS[marks]


def _add_tokenizer(writer: Any, config: Any, tokenizer: Any, folder: Path, pre: str) -> None:
    from gguf import SpecialVocab, TokenType

    from ftlab.templates import end_of_turn_ids

    words = {number: word for word, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    tokens, types = [], []
    for number in range(config.vocab_size):  # some models have more rows than tokens
        kind = TokenType.NORMAL if number in words else TokenType.UNUSED
        if number in added:
            kind = TokenType.CONTROL if added[number].special else TokenType.USER_DEFINED
        tokens.append(words.get(number, f"[PAD{number}]"))
        types.append(kind)
    writer.add_tokenizer_model("gpt2")  # byte-level BPE
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    special = SpecialVocab(folder, load_merges=True, n_vocab=config.vocab_size)
    first = tokenizer("a")["input_ids"][0]
    special.add_special_token["bos"] = first == tokenizer.bos_token_id
    for number in end_of_turn_ids(tokenizer, required=False):
        if number != tokenizer.eos_token_id:
            special.special_token_ids["eot"] = number
    special.add_to_gguf(writer, quiet=True)


def _add_weights(writer: Any, config: Any, folder: Path, quantisation: str) -> None:
    """Add every tensor under its name in GGUF."""
    from gguf import MODEL_ARCH, GGMLQuantizationType, get_tensor_name_map
    from gguf.quants import quantize
    from safetensors import safe_open

    from ftlab.models.folders import weights

    names = get_tensor_name_map(MODEL_ARCH[writer.arch.upper()], config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for path in weights(folder):
        with safe_open(path, "pt") as held:
            for name in held.keys():  # noqa: SIM118 (no dict)
                if name == "lm_head.weight" and config.tie_word_embeddings:
                    continue
                found, part = names.get_name(name, (".weight", ".bias")), name.split(".")[-2]
                if found is None:
                    raise ModelError(f"{path} holds {name}, which {writer.arch} has no place for.")
                weight = held.get_tensor(name).float().numpy()
                if writer.arch == "llama" and part in heads:
                    # Row i of a head's first half goes beside row i of its second.
                    rows = weight.reshape(heads[part], 2, -1, *weight.shape[1:]).swapaxes(1, 2)
                    weight = rows.reshape(weight.shape)
                kind = GGMLQuantizationType[quantisation]
                if quantisation.startswith("Q4") and part in ("embed_tokens", "lm_head"):
                    kind = GGMLQuantizationType.Q8_0
                if weight.ndim == 1:
                    kind = GGMLQuantizationType.F32
                elif weight.shape[-1] % 32:
                    kind = GGMLQuantizationType.F16
                writer.add_tensor(found, quantize(weight, kind), raw_dtype=kind)
