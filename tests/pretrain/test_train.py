import math

import numpy as np
import pytest

from ftlab.errors import TrainingError
from ftlab.pretrain import cards, train, vocabulary


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    texts = [
        f"The {i} rivers of 1{i} towns run down to the sea.\n    x = {i}\n" for i in range(400)
    ]
    tokenizer = vocabulary.train_tokenizer(texts, folder / "tokenizer")
    rng = np.random.default_rng(0)
    for source in ("prose", "python"):
        tokens = rng.integers(4, len(tokenizer), 40 * train.LONG).astype(np.uint16)
        np.save(folder / f"{source}-train.npy", tokens)
        np.save(folder / f"{source}-heldout.npy", tokens[: 2 * train.LONG])
    return folder


@pytest.fixture(scope="module")
def tokenizer(corpus):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(corpus / "tokenizer")


TINY = train.Recipe(
    16, 1, 2, 32, mixture={"prose": 0.7, "python": 0.3}, batch=1024, warmup=2, keep=(0.5,)
)


def test_tokenizer_splits_digits_and_keeps_any_text(tokenizer):
    ids = tokenizer("2024")["input_ids"]
    assert [tokenizer.decode([i]) for i in ids] == ["2", "0", "2", "4"]
    for text in ("naïve café 漢字 🎉", "  def f():\n\treturn 1\n", '"--(x)"'):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_tokenizer_never_pads_with_what_ends_a_turn(tokenizer):
    assert tokenizer.pad_token == "<|pad|>" and tokenizer.eos_token == "<|im_end|>"
    assert tokenizer("hello")["input_ids"] == tokenizer("hello", add_special_tokens=False).input_ids


def test_template_marks_what_the_assistant_says(tokenizer):
    messages = [
        {"role": "system", "content": "sea"},
        {"role": "user", "content": "rivers"},
        {"role": "assistant", "content": "towns"},
    ]
    rendered = tokenizer.apply_chat_template(
        messages, return_assistant_tokens_mask=True, return_dict=True
    )
    inside = [
        token
        for token, mask in zip(rendered["input_ids"], rendered["assistant_masks"], strict=True)
        if mask
    ]
    assert tokenizer.decode(inside) == "towns<|im_end|>"


def test_windows_follow_the_mixture_and_repeat_only_after_an_epoch(corpus):
    windows = train.Windows(corpus, TINY.mixture, seed=0)
    first = [windows.at(i).tobytes() for i in range(50)]
    assert len(set(first)) == 50
    assert 0.6 < np.mean(windows.sources[:1000] == 0) < 0.8
    again = train.Windows(corpus, TINY.mixture, seed=0)
    assert again.at(30).tobytes() == first[30]
    other = train.Windows(corpus, TINY.mixture, seed=1)
    assert [other.at(i).tobytes() for i in range(50)] != first


def test_rate_warms_up_stays_and_decays_to_zero():
    recipe = train.FAMILY["ftlab-7m"]
    assert train.rate(0.0, 0, recipe) == 1 / recipe.warmup
    assert train.rate(0.5, 1000, recipe) == 1
    assert train.rate(0.85, 1000, recipe) == pytest.approx(0.5)
    assert train.rate(1.0, 1000, recipe) == 0


def test_bits_per_character_of_an_ignorant_model_is_the_logarithm_of_the_vocabulary(
    corpus, tokenizer
):
    model = train.build(TINY, tokenizer, seed=0)
    model.model.embed_tokens.weight.data.zero_()  # tied: every logit is zero
    tokens = np.load(corpus / "prose-heldout.npy")
    window = tokens[: train.LONG - 1]
    characters = len(tokenizer.decode(window.astype(int), skip_special_tokens=True))
    expected = math.log2(len(tokenizer)) * len(window) / characters
    found = train.bits_per_character(model, tokenizer, window)
    assert found == pytest.approx(expected, rel=2e-3)


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(corpus, tmp_path, monkeypatch):
    import torch

    budget = {"tokens": 6 * TINY.batch, "compiled": False, "say": lambda line: None}
    whole = train.run("tiny", TINY, corpus=corpus, out=tmp_path / "a", **budget)
    assert (tmp_path / "a" / "tiny-step50pct" / "model.safetensors").exists()
    assert whole["steps"] == 6 and set(whole["bits_per_character"]) == {"prose", "python"}

    real, calls = train.rate, []

    def stop(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(train, "rate", stop)
    with pytest.raises(KeyboardInterrupt):
        train.run("tiny", TINY, corpus=corpus, out=tmp_path / "b", save_every=0, **budget)
    monkeypatch.setattr(train, "rate", real)
    resumed = train.run("tiny", TINY, corpus=corpus, out=tmp_path / "b", **budget)
    assert resumed["steps"] == 6
    one, two = (
        torch.load(tmp_path / x / "tiny.checkpoint.pt", weights_only=True)["model"] for x in "ab"
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_needs_one_budget(corpus, tmp_path):
    with pytest.raises(TrainingError, match="minutes or tokens"):
        train.run("tiny", TINY, corpus=corpus, out=tmp_path)


def test_the_family_is_as_large_as_its_names_say(tokenizer):
    for name, recipe in train.FAMILY.items():
        inner = 4 * recipe.hidden**2 + 3 * recipe.hidden * recipe.inner
        count = vocabulary.VOCABULARY * recipe.hidden + recipe.layers * inner
        assert round(count / 1e6) in (int(name.split("-")[1][0]), int(name.split("-")[1][0]) + 1)


def test_the_manifest_sums_the_files_of_a_package():
    entries = [
        {"source": "python", "title": f"a/{i}.py", "package": "a 1", "licence": "MIT",
         "split": "train", "characters": 10, "sha256": "x"}
        for i in range(3)
    ]  # fmt: skip
    assert cards.manifest_csv(entries).splitlines()[1] == "python,a 1,MIT,train,3,30,"
