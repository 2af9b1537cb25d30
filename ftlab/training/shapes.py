"""The shapes of real models, to estimate with, or to measure on random weights, without a download.

>>> sorted(SHAPES)
['LLaMA-65B', 'Llama-3-8B', 'Llama-3.2-1B', 'Qwen2.5-0.5B', 'Qwen2.5-1.5B']
"""

from typing import Any

from ftlab.files import read_data

__all__ = ["SHAPES"]

SHAPES: dict[str, dict[str, Any]] = read_data("shapes.yaml")
"""The fields of `config.json` that decide a model's shapes, by the model's name."""
