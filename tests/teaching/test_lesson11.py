"""Lesson 11: its rounding is the library's, its pre-tokenizers differ."""

from pathlib import Path

import build_lessons as build
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize, quantize

from ftlab.teaching.exercises import find

SOURCE = (Path(__file__).parents[2] / "notebooks/source/11_shipping.py").read_text("utf-8")


def cell(start):
    """Return the code of the lesson's one cell that holds a text, solved."""
    notebook = build.make(SOURCE, lesson="11", solved=True)
    (found,) = [c.source for c in notebook.cells if c.cell_type == "code" and start in c.source]
    return found


def test_the_exercise_rounds_a_block_as_gguf_does():
    block = np.random.default_rng(0).normal(size=(1, 32)).astype("float32")
    theirs = dequantize(quantize(block, Kind.Q8_0), Kind.Q8_0)[0]
    by_hand = find("11.1").solution(block[0].tolist())
    np.testing.assert_allclose(by_hand, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_a_wrong_split_gives_other_tokens_for_some_odd_texts():
    """What the lesson's cell shows with llama.cpp, by the rules in the tokenizers library."""
    from tokenizers import pre_tokenizers

    from ftlab import models

    names = {}
    exec(cell("ODD = [").partition("prompts = ")[0], names)
    tokenizer = models.tokenizer("smollm2-135m")
    right = [tokenizer(text)["input_ids"] for text in names["ODD"]]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    wrong = [tokenizer(text)["input_ids"] for text in names["ODD"]]
    assert 0 < sum(a != b for a, b in zip(right, wrong, strict=True)) < len(right) / 2
