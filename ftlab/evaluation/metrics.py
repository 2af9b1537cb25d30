"""The field's usual metrics, each with its formula, its range, its source and an example.

Where a metric is a ratio of sums over examples it is a `Ratio`, whose parts add up, so that any set
of examples has its exact figure and its interval (`ftlab.evaluation.intervals.bootstrap`). BLEU,
chrF, calibration error and distinct-n are of a whole set of examples; bootstrap the set.

    did it say the right thing?     exact_match, token_f1, field_accuracy, bleu, chrf
    is it well formed?              valid_json, valid_schema, punctuation_f1
    how sure was it, and rightly?   likelihoods, perplexity, bits_per_character, brier, ece
    is one of several tries right?  pass_at_k
    does it repeat itself?          distinct_n

Where each of them lies is computed in `ftlab.evaluation.pitfalls`.

>>> from ftlab.tasks import total
>>> total([exact_match("Paris", "Paris"), exact_match("Rome", "Bern")]).value
0.5
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ftlab.errors import ConfigError
from ftlab.tasks import Ratio

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "Likelihood", "bits_per_character", "bleu", "brier", "chrf", "distinct_n", "ece", "exact_match",
    "field_accuracy", "likelihoods", "pass_at_k", "perplexity", "punctuation_f1", "token_f1",
    "valid_json", "valid_schema",
]  # fmt: skip

# Did it say the right thing?


def exact_match(given: str, wanted: str) -> Ratio:
    """Return whether two texts are the same, blanks at the ends aside.

    Formula: 1 if strip(given) = strip(wanted), else 0. Range: 0 to 1.
    Source: as in SQuAD (Rajpurkar et al., 2016), without its normalising of the texts.

    >>> exact_match(" Paris\\n", "Paris").value, exact_match("paris", "Paris").value
    (1.0, 0.0)
    """
    return Ratio(float(given.strip() == wanted.strip()), 1)


def token_f1(given: str, wanted: str) -> Ratio:
    """Return the F1 of the words that two texts share, whatever their order.

    Words are lowercased, without punctuation and without a, an and the. With o the size of the
    overlap of the two bags of words: precision p = o / |given|, recall r = o / |wanted|.

    Formula: 2 p r / (p + r) = 2 o / (|given| + |wanted|); 1 if both are empty. Range: 0 to 1.
    Source: Rajpurkar et al., SQuAD: 100,000+ Questions for Machine Comprehension of Text, 2016.
    There the mean over examples is taken; adding the parts up instead weighs long answers more.

    >>> token_f1("the city of Paris", "Paris, the capital").value  # 1 of 3, 1 of 2: 2/5
    0.4
    """
    bags = [
        Counter(w for w in re.findall(r"\w+", text.lower()) if w not in ("a", "an", "the"))
        for text in (given, wanted)
    ]
    size = sum(bags[0].values()) + sum(bags[1].values())
    return Ratio(2.0 * sum((bags[0] & bags[1]).values()), size) if size else Ratio(1.0, 1)


def field_accuracy(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Ratio]:
    """Return, for each field that is wanted, whether its value is right, and `fields` for all.

    Formula: right fields / wanted fields. Range: 0 to 1. A field that is missing is wrong; one that
    nobody asked for changes nothing here, so look at `valid_schema` as well.
    Source: slot accuracy, as in dialogue state tracking (Williams et al., The Dialog State Tracking
    Challenge, 2013).

    >>> field_accuracy({"item": "tray", "n": 2}, {"item": "tray", "n": 24})["fields"].value
    0.5
    """
    right = {name: name in given and given[name] == value for name, value in wanted.items()}
    each = {name: Ratio(float(kept), 1) for name, kept in right.items()}
    return {**each, "fields": Ratio(float(sum(right.values())), len(right))}


def bleu(given: Sequence[str], wanted: Sequence[str]) -> float:
    """Return corpus BLEU: how many runs of one to four words the answers share with the references.

    With p_n the share of the answers' n-grams that their references have (each counted at most as
    often as there), and lengths c of the answers and r of the references:
    Formula: 100 · min(1, exp(1 - r/c)) · (p_1 p_2 p_3 p_4)^(1/4). Range: 0 to 100.
    Source: Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, 2002;
    the words are cut as in sacrebleu (Post, A Call for Clarity in Reporting BLEU Scores, 2018).
    It is of a corpus: for single sentences it is mostly zero, and no mean of theirs.

    Raises:
        ConfigError: not as many of one as of the other, or none.

    >>> round(bleu(["the cat sat on the mat"], ["the cat sat on a mat"]), 2)
    53.73
    >>> round(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4), 2)  # by hand
    53.73
    """
    from sacrebleu import corpus_bleu

    _paired(given, wanted)
    # Text that seems to be cut into words already earns a warning from it otherwise.
    return float(corpus_bleu(list(given), [list(wanted)], force=True).score)


def chrf(given: Sequence[str], wanted: Sequence[str]) -> float:
    """Return corpus chrF: the F-score of runs of one to six characters, recall counting double.

    With P and R the mean precision and recall of character n-grams, n = 1 to 6, blanks left out:
    Formula: 100 · 5 P R / (4 P + R). Range: 0 to 100.
    Source: Popović, chrF: character n-gram F-score for automatic MT evaluation, 2015.

    Raises:
        ConfigError: not as many of one as of the other, or none.

    >>> precision, recall = (3 / 4 + 2 / 3 + 1 / 2) / 3, 1  # "cat" has no longer runs than 3
    >>> round(100 * 5 * precision * recall / (4 * precision + recall), 2)
    89.84
    >>> round(chrf(["cats"], ["cat"]), 2), bleu(["cats"], ["cat"])
    (89.84, 0.0)
    """
    from sacrebleu import corpus_chrf

    _paired(given, wanted)
    return float(corpus_chrf(list(given), [list(wanted)]).score)


# Is it well formed?


def valid_json(text: str) -> Ratio:
    """Return whether a text is JSON, by the standard: NaN is not.

    Formula: 1 if it parses, else 0. Range: 0 to 1. Source: RFC 8259.

    >>> valid_json('{"n": 1}').value, valid_json("{'n': 1}").value, valid_json("NaN").value
    (1.0, 0.0, 0.0)
    """

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return Ratio(0.0, 1)
    return Ratio(1.0, 1)


def valid_schema(text: str, schema: "type[BaseModel]") -> Ratio:
    """Return whether a text is JSON that keeps a schema: the fields, their types and their limits.

    Formula: 1 if it is valid, else 0. Range: 0 to 1. Source: the validation of pydantic; forbid
    extra fields in the schema (`extra="forbid"`) or they are let through.

    >>> from ftlab.tasks.extraction import Request
    >>> valid_schema('{"action": "order"}', Request).value  # the other seven are missing
    0.0
    """
    from pydantic import ValidationError

    try:
        schema.model_validate_json(text)
    except ValidationError:
        return Ratio(0.0, 1)
    return Ratio(1.0, 1)


def punctuation_f1(given: str, wanted: str) -> dict[str, Ratio]:
    """Return the F1 of each mark, and of capitals, that a text restores as in the reference.

    Formula: 2 tp / (2 tp + fp + fn), a mark being right on the same word; nan where neither text
    has the mark. Range: 0 to 1. Source: as in the IWSLT evaluations of punctuated speech; how words
    are aligned is told at `ftlab.tasks.punctuation.score`, which this calls.

    >>> marks = punctuation_f1("Well, yes", "Well, yes.")
    >>> marks["comma"].value, marks["period"].value
    (1.0, 0.0)
    """
    from ftlab.records import Record
    from ftlab.tasks import punctuation

    marks = punctuation.score(Record.of("restore", wanted), given)
    return {name[3:]: ratio for name, ratio in marks.items() if name.startswith("f1_")}


# How sure was it, and rightly?


class Likelihood(NamedTuple):
    """How surprised a model was by a text."""

    nats: float
    """The sum of -ln p over the tokens that were predicted."""
    tokens: int
    """How many were predicted."""
    characters: int
    """How many characters they stand for."""


def likelihoods(
    model: Any, tokenizer: Any, texts: Sequence[str], *, window: int = 256
) -> list[Likelihood]:
    """Return how surprised a causal model is by each text.

    A text opens with the tokenizer's first token of a text (else its end-of-text), so that its own
    first token is predicted as well. A long text is read window by window, each from nothing.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        texts: plain texts, no chat.
        window: tokens read at once, the opening one among them; at least 2.

    Raises:
        ConfigError: the window is too short, or the tokenizer has no token to open with.
    """
    import torch

    first = tokenizer.bos_token_id
    first = tokenizer.eos_token_id if first is None else first
    if window < 2 or first is None:
        raise ConfigError(
            f"window={window}, opening token {first}: a window of at least 2 tokens and a "
            "tokenizer with a first or last token of a text are wanted."
        )
    found = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        nats = 0.0
        for start in range(0, len(ids), window - 1):
            row = torch.tensor([[first, *ids[start : start + window - 1]]], device=model.device)
            with torch.inference_mode():
                logits = model(input_ids=row).logits[0, :-1].float()
            loss = torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum")
            nats += float(loss)
        found.append(Likelihood(nats, len(ids), len(text)))
    return found


def perplexity(parts: Sequence[Likelihood]) -> float:
    """Return how many tokens, all alike in probability, would surprise as much as these texts did.

    Formula: exp(nats / tokens), where nats / tokens is the loss in nats per token. Range: 1 to
    infinity, lower is better; as many as the vocabulary has for blind guessing.
    Source: Jelinek et al., Perplexity: a measure of the difficulty of speech recognition tasks,
    1977. It depends on how the tokenizer cuts: compare only models that share one.

    >>> round(perplexity([Likelihood(nats=3 * math.log(8), tokens=3, characters=12)]), 9)
    8.0
    """
    return math.exp(_per(sum(p.nats for p in parts), sum(p.tokens for p in parts), "tokens"))


def bits_per_character(parts: Sequence[Likelihood]) -> float:
    """Return how many bits a character of these texts costs, coded as the model predicts.

    Formula: nats / (ln 2 · characters). Range: 0 to infinity, lower is better.
    Source: Shannon, Prediction and Entropy of Printed English, 1951. It means the same under any
    tokenizer, so that models with different ones compare.

    >>> round(bits_per_character([Likelihood(nats=3 * math.log(8), tokens=3, characters=12)]), 9)
    0.75
    """
    nats = sum(p.nats for p in parts)
    return _per(nats, sum(p.characters for p in parts), "characters") / math.log(2)


def brier(probabilities: Sequence[float], right: Sequence[bool]) -> float:
    """Return the mean squared distance of stated probabilities from what came about.

    Formula: (1/n) Σ (p_i - y_i)², with y_i 1 if the label was right, else 0. Range: 0 to 1, lower
    is better; always to say 0.5 scores 0.25.
    Source: Brier, Verification of Forecasts Expressed in Terms of Probability, 1950.

    Raises:
        ConfigError: not as many of one as of the other, none, or no probability.

    >>> round(brier([0.9, 0.6], [True, False]), 3)  # (0.01 + 0.36) / 2
    0.185
    """
    _probable(probabilities, right)
    return sum((p - y) ** 2 for p, y in zip(probabilities, right, strict=True)) / len(right)


def ece(probabilities: Sequence[float], right: Sequence[bool], *, bins: int = 10) -> float:
    """Return the expected calibration error: how far what is stated is from what comes about.

    The labels are sorted by probability into bins of equal width, the last with 1 in it.
    Formula: Σ_b (n_b / n) · |share right in b - mean probability in b|. Range: 0 to 1, lower is
    better. Source: Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning,
    2015; in use since Guo et al., On Calibration of Modern Neural Networks, 2017. With few examples
    it is too high, since chance alone moves each bin.

    Raises:
        ConfigError: not as many of one as of the other, none, no probability, or no bin.

    >>> round(ece([0.9, 0.9, 0.9, 0.6], [True, True, False, True]), 3)  # 3/4 · 0.233 + 1/4 · 0.4
    0.275
    """
    _probable(probabilities, right)
    if bins < 1:
        raise ConfigError(f"bins={bins}: at least 1 is wanted, 10 is usual.")
    held: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for p, y in zip(probabilities, right, strict=True):
        held[min(int(p * bins), bins - 1)].append((p, y))
    gaps = (abs(sum(y for _, y in one) - sum(p for p, _ in one)) for one in held)
    return sum(gaps) / len(right)


# Is one of several tries right? Does it repeat itself?


def pass_at_k(tries: int, right: int, k: int) -> float:
    """Return the chance that one of `k` tries is right, from `tries` of which `right` were.

    Formula: 1 - C(n - c, k) / C(n, k): of all ways to choose k of the n tries, the share that has
    one of the c right ones. Range: 0 to 1. Unbiased, unlike 1 - (1 - c/n)^k, which is too low.
    Source: Chen et al., Evaluating Large Language Models Trained on Code, 2021.

    Raises:
        ConfigError: not 1 <= k <= tries, or not 0 <= right <= tries.

    >>> pass_at_k(4, 1, 2)  # 3 of the 6 pairs hold the right one
    0.5
    """
    if not 1 <= k <= tries or not 0 <= right <= tries:
        raise ConfigError(
            f"pass@{k} of {tries} tries, {right} right: 1 <= k <= tries and 0 <= right <= tries "
            "are wanted. Draw more samples, or ask for a smaller k."
        )
    return 1.0 - math.comb(tries - right, k) / math.comb(tries, k)


def distinct_n(texts: Sequence[str], n: int = 2) -> Ratio:
    """Return the share of different ones among all runs of `n` words of a set of texts.

    Formula: different n-grams / all n-grams; nan where there is none. Range: near 0 to 1, higher is
    more varied. Source: Li et al., A Diversity-Promoting Objective Function for Neural Conversation
    Models, 2016. It falls as there is more text: compare only sets of one size.

    Raises:
        ConfigError: `n` is less than 1.

    >>> distinct_n(["so it goes", "so it went"], 2)  # so it, it goes, so it, it went
    Ratio(num=3, den=4)
    """
    if n < 1:
        raise ConfigError(f"distinct-{n}: n is at least 1.")
    words = [text.split() for text in texts]
    runs = [tuple(row[i : i + n]) for row in words for i in range(len(row) - n + 1)]
    return Ratio(len(set(runs)), len(runs))


# Checks of what is given.


def _paired(given: Sequence[Any], wanted: Sequence[Any]) -> None:
    if len(given) != len(wanted) or not given or isinstance(given, str) or isinstance(wanted, str):
        raise ConfigError(
            f"Got {len(given)} answers ({type(given).__name__}) for {len(wanted)} references "
            f"({type(wanted).__name__}). Give two lists of one length, with at least one each."
        )


def _probable(probabilities: Sequence[float], right: Sequence[bool]) -> None:
    _paired(probabilities, right)
    wrong = [p for p in probabilities if not 0 <= p <= 1]
    if wrong:
        raise ConfigError(f"{wrong[0]} is no probability: a number from 0 to 1 is wanted.")


def _per(nats: float, count: int, what: str) -> float:
    if not count:
        raise ConfigError(f"There are no {what} to divide by. Give at least one text that is one.")
    return nats / count
