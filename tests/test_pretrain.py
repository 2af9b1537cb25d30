"""The scripts that made ftlab-1m: a corpus in small, a tokenizer, a model that loads."""

import json

import numpy as np
import pytest

from ftlab.tasks import pydocs


@pytest.mark.slow
def test_a_small_corpus_becomes_a_model_that_loads(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend("scripts/pretrain")
    import corpus
    import structured
    import train
    from transformers import AutoModelForCausalLM

    assert set(pydocs.SET_ASIDE) <= set(corpus.LESSONS_ONLY)  # what lessons evaluate on
    words = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)]
    text = "\n\n".join(f"The {word} rivers run down to the sea at the {word}." for word in words)
    known = [{"source": "prose", "text": text, "split": "train"}]
    made = structured.generate(known, count=60, seed=0)
    assert made == structured.generate(known, count=60, seed=0)
    tokenizer = corpus.train_tokenizer([text, *(d["text"] for d in made)], tmp_path / "tokenizer")
    assert [tokenizer.decode([i]) for i in tokenizer("20")["input_ids"]] == ["2", "0"]
    ids = [i for d in made for i in tokenizer(d["text"])["input_ids"]]
    for source in train.MIXTURE:
        np.save(tmp_path / f"{source}-train.npy", np.array(ids * 4, dtype=np.uint16))
        np.save(tmp_path / f"{source}-heldout.npy", np.array(ids[:600], dtype=np.uint16))
    report = train.train(tmp_path, tmp_path / "model", minutes=0.01, seed=0, compiled=False)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert report["steps"] >= 1 and report["parameters"] == model.num_parameters()
    assert set(report["bits_per_character"]) == set(train.MIXTURE)
    assert json.loads((tmp_path / "model/training.json").read_text("utf-8")) == report
