"""BLEU; where it and two other metrics mislead is computed in `ftlab.evaluation.pitfalls`."""

from collections.abc import Sequence

from ftlab.errors import ConfigError


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

    if len(given) != len(wanted) or not given or isinstance(given, str) or isinstance(wanted, str):
        raise ConfigError(
            f"Got {len(given)} answers ({type(given).__name__}) for {len(wanted)} references "
            f"({type(wanted).__name__}). Give two lists of one length, with at least one each."
        )
    # Text that seems to be cut into words already earns a warning from it otherwise.
    return float(corpus_bleu(list(given), [list(wanted)], force=True).score)
