import math

import pytest

from ftlab.errors import ConfigError
from ftlab.evaluation import pitfalls
from ftlab.evaluation.metrics import bleu


def test_bleu_has_its_ends_and_is_of_the_corpus():
    texts = ["one two three four five", "six seven eight nine ten"]
    assert bleu(texts, texts) == pytest.approx(100)
    assert bleu(["nothing alike at all here"], texts[:1]) == 0
    short = [text.rsplit(" ", 1)[0] for text in texts]
    assert bleu(short, texts) == pytest.approx(100 * math.exp(1 - 10 / 8))  # brevity alone


@pytest.mark.parametrize(("given", "wanted"), [([], []), (["a"], ["a", "b"]), ("abc", "abc")])
def test_bleu_wants_two_lists_of_one_length(given, wanted):
    with pytest.raises(ConfigError, match="one length"):
        bleu(given, wanted)


# Where metrics lie.


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
