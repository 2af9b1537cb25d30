"""The shapes of real models, to estimate with, or to measure on random weights, without a download.

Each is what the config.json on the model's page says (LLaMA-65B: table 2 of Touvron et al. 2023,
arxiv.org/abs/2302.13971, with the feed-forward width of its released weights).

>>> sorted(SHAPES)
['LLaMA-65B', 'Llama-3-8B', 'Llama-3.2-1B', 'Qwen2.5-0.5B', 'Qwen2.5-1.5B']
"""

from typing import Any

__all__ = ["SHAPES"]

SHAPES: dict[str, dict[str, Any]] = {
    "Qwen2.5-0.5B": {
        "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "Llama-3.2-1B": {
        "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 64, "vocab_size": 128256, "tie_word_embeddings": True,
    },
    "Qwen2.5-1.5B": {
        "model_type": "qwen2", "hidden_size": 1536, "intermediate_size": 8960,
        "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
        "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "Llama-3-8B": {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "vocab_size": 128256, "tie_word_embeddings": False,
    },
    "LLaMA-65B": {
        "model_type": "llama", "hidden_size": 8192, "intermediate_size": 22016,
        "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 64,
        "vocab_size": 32000, "tie_word_embeddings": False,
    },
}  # fmt: skip
"""The fields of `config.json`, as their makers published them, that decide a model's shapes."""
