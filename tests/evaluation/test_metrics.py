import itertools
import math
import random

import pytest
from pydantic import BaseModel, ConfigDict

from ftlab.errors import ConfigError
from ftlab.evaluation import metrics, pitfalls
from ftlab.evaluation.metrics import (
    Likelihood,
    bits_per_character,
    bleu,
    brier,
    chrf,
    distinct_n,
    ece,
    exact_match,
    field_accuracy,
    likelihoods,
    pass_at_k,
    perplexity,
    punctuation_f1,
    token_f1,
    valid_json,
    valid_schema,
)
from ftlab.tasks import punctuation, total


def test_every_metric_tells_its_formula_range_and_source_with_an_example():
    for name in set(metrics.__all__) - {"Likelihood", "likelihoods"}:
        text = getattr(metrics, name).__doc__
        missing = [part for part in ("Formula:", "Range:", "Source:", ">>>") if part not in text]
        assert not missing, (name, missing)


@pytest.mark.parametrize(
    ("given", "wanted", "f1"),
    [
        ("the Paris", "paris!", 1),
        ("a b b", "b b b", 2 * 2 / 5),  # "a" is an article; the overlap of the bags is 2
        ("x", "y", 0),
        ("", "y", 0),
        ("the", "", 1),
    ],
)
def test_token_f1(given, wanted, f1):
    assert token_f1(given, wanted).value == pytest.approx(f1)
    assert token_f1(wanted, given) == token_f1(given, wanted)


def test_fields_that_are_missing_are_wrong_also_where_null_is_wanted():
    found = field_accuracy({"a": 1, "more": 2}, {"a": 1, "b": None})
    assert {k: r.value for k, r in found.items()} == {"a": 1, "b": 0, "fields": 0.5}
    assert math.isnan(field_accuracy({}, {})["fields"].value)


def test_parts_add_up():
    assert total([exact_match("a", "a"), exact_match("a", "b")]).value == 0.5


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    n: int


@pytest.mark.parametrize(
    ("text", "json", "schema"),
    [
        ('{"n": 1}', 1, 1),
        ('{"n": "1"}', 1, 0),
        ('{"n": 1, "m": 2}', 1, 0),
        ("[1]", 1, 0),
        ('{"n": NaN}', 0, 0),
        ("{'n': 1}", 0, 0),
        ("", 0, 0),
        ("[" * 100_000, 0, 0),
    ],
)
def test_validity(text, json, schema):
    assert (valid_json(text).value, valid_schema(text, Order).value) == (json, schema)


def test_marks_are_those_of_the_task():
    text = "Is it so? Yes, Anna."
    assert {name for name in punctuation_f1(text, text)} >= {"comma", "question", "capitals"}
    found = punctuation_f1(punctuation.strip(text), text)
    assert found["question"].value == 0 and math.isnan(found["colon"].value)


# BLEU, chrF.


def test_bleu_and_chrf_have_their_ends_and_are_of_the_corpus():
    texts = ["one two three four five", "six seven eight nine ten"]
    assert bleu(texts, texts) == pytest.approx(100) and chrf(texts, texts) == pytest.approx(100)
    assert bleu(["nothing alike at all here"], texts[:1]) == 0
    short = [text.rsplit(" ", 1)[0] for text in texts]
    assert bleu(short, texts) == pytest.approx(100 * math.exp(1 - 10 / 8))  # brevity alone
    assert 0 < chrf(short, texts) < 100


@pytest.mark.parametrize("call", [bleu, chrf, brier, ece])
@pytest.mark.parametrize(("given", "wanted"), [([], []), ([0.5], [True, False])])
def test_lists_must_pair_up(call, given, wanted):
    with pytest.raises(ConfigError, match="one length"):
        call(given, wanted)


def test_a_text_is_no_list_of_texts():
    with pytest.raises(ConfigError, match="str"):
        bleu("abc", "abc")


# Likelihood.


def test_blind_guessing_has_the_vocabulary_for_perplexity():
    parts = [Likelihood(n * math.log(50), n, 4 * n) for n in (3, 8)]
    assert perplexity(parts) == pytest.approx(50)
    assert bits_per_character(parts) == pytest.approx(math.log2(50) / 4)
    with pytest.raises(ConfigError, match="no tokens"):
        perplexity([])
    with pytest.raises(ConfigError, match="no characters"):
        bits_per_character([Likelihood(0.0, 0, 0)])


@pytest.mark.parametrize("family", ["chatml", "llama3", "gemma"])
def test_likelihood_is_what_the_model_gives_each_token(make_model, family):
    import torch

    model, tokenizer = make_model(family)
    text = "The quick brown fox. def add(a, b):"
    (found,) = likelihoods(model, tokenizer, [text])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    first = tokenizer.bos_token_id
    row = [tokenizer.eos_token_id if first is None else first, *ids]
    nats = 0.0
    for at in range(1, len(row)):  # one by one, without the loss function
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([row[:at]])).logits[0, -1]
        nats -= float(torch.log_softmax(logits, -1)[row[at]])
    assert found.nats == pytest.approx(nats, rel=1e-4)
    assert found[1:] == (len(ids), len(text))


def test_a_long_text_is_read_window_by_window(make_model):
    import torch

    model, tokenizer = make_model("chatml")
    text = "The quick brown fox. " * 8
    whole, cut = (likelihoods(model, tokenizer, [text], window=w)[0] for w in (400, 9))
    assert cut.tokens == whole.tokens > 16
    assert cut.nats != pytest.approx(whole.nats, rel=1e-6)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    nats = 0.0
    for at in range(0, len(ids), 8):
        row = torch.tensor([[tokenizer.eos_token_id, *ids[at : at + 8]]])
        with torch.inference_mode():
            logs = torch.log_softmax(model(input_ids=row).logits[0], -1)
        nats -= sum(float(logs[i, token]) for i, token in enumerate(row[0, 1:]))
    assert cut.nats == pytest.approx(nats, rel=1e-4)
    assert likelihoods(model, tokenizer, [""]) == [(0.0, 0, 0)]
    with pytest.raises(ConfigError, match="window=1"):
        likelihoods(model, tokenizer, [text], window=1)


# Calibration.


def test_a_forecaster_who_keeps_his_word_is_calibrated():
    rng = random.Random(0)
    stated = [rng.choice((0.1, 0.3, 0.7, 0.9)) for _ in range(20_000)]
    right = [rng.random() < p for p in stated]
    assert ece(stated, right) < 0.02
    assert ece([1.0] * len(right), right) == pytest.approx(1 - sum(right) / len(right))
    # Of all constant forecasts, the true rate has the least Brier score.
    rate = sum(right) / len(right)
    scores = {p: brier([p] * len(right), right) for p in (rate, rate - 0.1, rate + 0.1)}
    assert min(scores, key=scores.__getitem__) == rate
    assert scores[rate] == pytest.approx(rate * (1 - rate))


def test_calibration_at_the_ends_of_the_bins():
    assert ece([1.0, 0.0], [True, False]) == 0 == brier([1.0, 0.0], [True, False])
    assert ece([1.0, 0.0], [False, True]) == 1 == brier([1.0, 0.0], [False, True])
    assert ece([0.2, 0.8], [True, False], bins=1) == pytest.approx(0)  # one bin hides it
    with pytest.raises(ConfigError, match="no probability"):
        brier([1.2], [True])
    with pytest.raises(ConfigError, match="bins=0"):
        ece([0.5], [True], bins=0)


# Tries, variety.


@pytest.mark.parametrize(("tries", "right", "k"), itertools.product([5], range(6), range(1, 6)))
def test_pass_at_k_is_the_share_of_all_choices(tries, right, k):
    outcomes = [True] * right + [False] * (tries - right)
    chosen = [any(choice) for choice in itertools.combinations(outcomes, k)]
    assert pass_at_k(tries, right, k) == pytest.approx(sum(chosen) / len(chosen))


def test_pass_at_k_is_unbiased():
    p, n, k = 0.3, 6, 3
    mean = sum(
        math.comb(n, c) * p**c * (1 - p) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1)
    )
    assert mean == pytest.approx(1 - (1 - p) ** k)


@pytest.mark.parametrize(("tries", "right", "k"), [(3, 1, 4), (3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_pass_at_k_of_what_cannot_be(tries, right, k):
    with pytest.raises(ConfigError, match=f"pass@{k}"):
        pass_at_k(tries, right, k)


def test_distinct_n():
    assert distinct_n(["a a a"], 1).value == pytest.approx(1 / 3)
    assert math.isnan(distinct_n(["a"], 2).value)  # and no run across two texts
    assert distinct_n(["a b", "b a"], 2) == (2, 2)
    with pytest.raises(ConfigError):
        distinct_n(["a"], 0)


# Where they lie.


def test_bleu_prefers_the_wrong_code():
    wrong, right = pitfalls.bleu_on_code()
    assert (wrong.truth, right.truth) == ("wrong", "right")
    assert wrong.figure > 80 > 50 > right.figure


def test_accuracy_prefers_what_has_learned_nothing():
    nothing, most = pitfalls.accuracy_on_imbalance()
    assert nothing.accuracy > most.accuracy
    assert nothing.balanced_accuracy == 0.5 < most.balanced_accuracy
    assert nothing.f1 == 0 < most.f1
    assert most.accuracy == pytest.approx((4 + 85) / 100)


def test_perplexity_ranks_tokenizers_the_other_way_round():
    rows = {row.tokenizer: row for row in pitfalls.perplexity_across_tokenizers()}
    assert rows["characters"].perplexity < rows["words"].perplexity
    assert rows["characters"].bits_per_character > rows["words"].bits_per_character
    assert rows["characters"].tokens == len(pitfalls.TEXT)
    # Alike letters: the perplexity is their number.
    assert pitfalls.perplexity_across_tokenizers("abcd")[0].perplexity == pytest.approx(4)
