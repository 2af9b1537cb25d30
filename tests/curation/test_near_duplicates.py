"""Near texts are found as the exact comparison finds them, at any size and on either side."""

import itertools
import random

import numpy as np
import pytest

from ftlab.curation import near_duplicates
from ftlab.curation.near_duplicates import THRESHOLD, NearIndex, jaccard, pairs_of_words


def words(rng, n):
    return [f"w{rng.randrange(3000)}" for _ in range(n)]


def corpus(n, seed=0):
    """Texts of 40 words, then a copy of each with 0 to 9 words changed."""
    rng = random.Random(seed)
    texts = [words(rng, 40) for _ in range(n)]
    changed = [list(text) for text in texts]
    for number, text in enumerate(changed):
        for at in rng.sample(range(40), number % 10):
            text[at] = "other"
    return [" ".join(text) for text in texts + changed]


def index_of(texts):
    index = NearIndex()
    for text in texts:
        index.add(text)
    return index


def test_jaccard_counts_word_pairs():
    a, b = pairs_of_words("I still wait."), pairs_of_words("i STILL wait there")
    assert len(a) == 4  # with the start and the end
    assert jaccard(a, b) == 3 / 6
    assert jaccard(pairs_of_words("a b"), pairs_of_words("b a")) == 0
    assert jaccard(set(), set()) == 1


def test_the_search_finds_what_all_pairs_find():
    texts = corpus(300)
    sets = [pairs_of_words(text) for text in texts]
    exact = {
        (i, j): jaccard(sets[i], sets[j]) for i, j in itertools.combinations(range(len(sets)), 2)
    }
    found = {(i, j) for i, j in index_of(texts).pairs().tolist()}
    sure = {pair for pair, value in exact.items() if value >= THRESHOLD + 0.1}
    assert len(sure) > 50
    assert sure <= found
    assert all(exact[pair] >= THRESHOLD - 0.15 for pair in found)


def test_every_text_of_a_cluster_is_found():
    found = index_of([corpus(1)[0]] * 50).pairs()
    assert set(found[:, 1].tolist()) == set(range(1, 50))
    assert len(found) < 150  # and not 1,225


def test_blocks_change_nothing(monkeypatch):
    texts = corpus(60)
    whole = index_of(texts).pairs()
    monkeypatch.setattr(near_duplicates, "BLOCK", 7)
    assert len(whole) > 10 and index_of(texts).pairs().tolist() == whole.tolist()


def test_an_instruction_that_all_share_does_not_make_them_near():
    rng = random.Random(1)
    told = " ".join(words(rng, 200))
    texts = [f"{told} {' '.join(words(rng, 12))}" for _ in range(60)]
    assert min(jaccard(pairs_of_words(a), pairs_of_words(texts[0])) for a in texts) > THRESHOLD
    assert len(index_of(texts).pairs()) == 0
    assert index_of([*texts, texts[7].upper()]).pairs().tolist() == [[7, 60]]


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["", ""], ["a b", "a b c"]])
def test_little_or_nothing_is_no_fault(texts):
    found = index_of(texts).pairs()
    assert found.shape == (0, 2)
    assert found.dtype == np.int64
