"""Lesson 00, Start here: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['00.1', '00.2', '00.3', '00.4', '00.5']
"""

import math

from ftlab.teaching.exercises import Exercise, Mistake


def _masked_mean(losses: list[float], mask: list[int]) -> float:
    return sum(loss for loss, on in zip(losses, mask, strict=True) if on) / sum(mask)


def _read_interval(low: float, high: float) -> str:
    return "tuned" if low > 0 else "base" if high < 0 else "cannot tell"


EXERCISES = (
    Exercise(
        id="00.1",
        title="the loss of one token",
        hints=(
            "Only one number in the list matters: the probability of the right token.",
            "Take it with probabilities[target]; the loss is -math.log of it.",
        ),
        solution=lambda probabilities, target: -math.log(probabilities[target]),
        cases=(
            ([0.7, 0.2, 0.1], 0),
            ([0.7, 0.2, 0.1], 2),
            ([0.25, 0.25, 0.5], 1),
            ([0.05, 0.95], 0),
        ),
        mistakes=(
            Mistake(
                "the minus sign is missing",
                lambda probabilities, target: math.log(probabilities[target]),
                "The logarithm of a number below 1 is negative; a loss counts from 0 upwards.",
            ),
            Mistake(
                "the logarithm has base 2",
                lambda probabilities, target: -math.log2(probabilities[target]),
                "That is the loss in bits. Torch counts in nats: use math.log.",
            ),
            Mistake(
                "the logarithm has base 10",
                lambda probabilities, target: -math.log10(probabilities[target]),
                "Torch uses the natural logarithm: math.log.",
            ),
            Mistake(
                "it takes the likeliest token",
                lambda probabilities, target: -math.log(max(probabilities)),
                "The model is judged on the token that really came, probabilities[target], "
                "whether or not it was the favourite.",
            ),
            Mistake(
                "it returns what is missing to 1",
                lambda probabilities, target: 1 - probabilities[target],
                "A fair idea, but it punishes a hopeless guess hardly more than a poor one. "
                "The logarithm does: use -math.log(...).",
            ),
            Mistake(
                "it returns the probability",
                lambda probabilities, target: probabilities[target],
                "A loss is small when the guess is good. Take minus its logarithm.",
            ),
        ),
    ),
    Exercise(
        id="00.2",
        title="the loss of one record, masked",
        hints=(
            "Add up the losses where the mask is 1, and think about what to divide by.",
            "Divide by how many tokens carry loss, sum(mask), not by how many there are.",
        ),
        solution=_masked_mean,
        cases=(
            ([3.0, 2.0, 1.0, 0.5], [0, 0, 1, 1]),
            ([4.0, 1.0, 7.0], [0, 1, 0]),
            ([2.0, 6.0, 1.0, 1.0, 5.0], [1, 0, 0, 1, 1]),
        ),
        mistakes=(
            Mistake(
                "it divides by all tokens",
                lambda losses, mask: (
                    sum(a * b for a, b in zip(losses, mask, strict=True)) / len(mask)
                ),
                "A long prompt would then make the same answer look better. "
                "Divide by the number of tokens that carry loss, sum(mask).",
            ),
            Mistake(
                "it adds up and does not divide",
                lambda losses, mask: sum(a * b for a, b in zip(losses, mask, strict=True)),
                "Long answers would count more than short ones. A mean is wanted.",
            ),
            Mistake(
                "it does not look at the mask",
                lambda losses, mask: sum(losses) / len(losses),
                "Tokens of the prompt are in there too, and the model never writes those.",
            ),
            Mistake(
                "the mask is upside down",
                lambda losses, mask: _masked_mean(losses, [1 - on for on in mask]),
                "1 stands for a token that carries loss, 0 for one that does not.",
            ),
        ),
    ),
    Exercise(
        id="00.3",
        title="how many steps a run takes",
        hints=(
            "One step takes one batch. What happens to the last one when the division is not even?",
            "Round up within an epoch, then multiply: math.ceil(records / batch_size) * epochs.",
        ),
        solution=lambda records, batch_size, epochs: math.ceil(records / batch_size) * epochs,
        cases=((100, 16, 3), (64, 16, 2), (5, 8, 4), (1001, 10, 3)),
        mistakes=(
            Mistake(
                "the last, smaller batch is lost",
                lambda records, batch_size, epochs: records // batch_size * epochs,
                "The records left over make a batch too. Round up.",
            ),
            Mistake(
                "it rounds after multiplying",
                lambda records, batch_size, epochs: math.ceil(records * epochs / batch_size),
                "Each epoch ends with its own smaller batch, so round up within the epoch.",
            ),
            Mistake(
                "it does not round",
                lambda records, batch_size, epochs: records / batch_size * epochs,
                "There is no such thing as half a step. Round up within an epoch.",
            ),
            Mistake(
                "it counts one epoch",
                lambda records, batch_size, epochs: math.ceil(records / batch_size),
                "The run goes over the records several times: multiply by epochs.",
            ),
        ),
    ),
    Exercise(
        id="00.4",
        title="F1 from three counts",
        hints=(
            "A hit counts on both sides: among what the model set and among what was to be set.",
            "2 * hits, divided by 2 * hits + wrong + missed.",
        ),
        solution=lambda hits, wrong, missed: 2 * hits / (2 * hits + wrong + missed),
        cases=((8, 2, 2), (3, 0, 9), (5, 5, 0), (1, 7, 4)),
        mistakes=(
            Mistake(
                "that is precision",
                lambda hits, wrong, missed: hits / (hits + wrong),
                "It does not see the marks that were missed: a model that sets one sure mark "
                "would be perfect.",
            ),
            Mistake(
                "that is recall",
                lambda hits, wrong, missed: hits / (hits + missed),
                "It does not see the marks that are wrong: a model that sets every mark "
                "everywhere would be perfect.",
            ),
            Mistake(
                "hits count once",
                lambda hits, wrong, missed: hits / (hits + wrong + missed),
                "That is a measure too (Jaccard's), but in F1 a hit counts twice, "
                "above and below the line.",
            ),
            Mistake(
                "it averages precision and recall plainly",
                lambda hits, wrong, missed: (hits / (hits + wrong) + hits / (hits + missed)) / 2,
                "F1 is their harmonic mean, which stays low while either of them is low.",
            ),
        ),
    ),
    Exercise(
        id="00.5",
        title="read an interval",
        hints=(
            "Where does the interval lie: all above zero, all below, or across it?",
            "Three cases: low > 0 is 'tuned', high < 0 is 'base', all else is 'cannot tell'.",
        ),
        solution=_read_interval,
        cases=((0.1, 0.3), (-0.02, 0.4), (-0.3, -0.1), (-0.4, 0.1), (0.001, 0.9)),
        mistakes=(
            Mistake(
                "it looks at the middle only",
                lambda low, high: "tuned" if low + high > 0 else "base",
                "An interval across zero says that the evidence allows both. Say 'cannot tell'.",
            ),
            Mistake(
                "it looks at the upper end only",
                lambda low, high: "tuned" if high > 0 else "base",
                "The upper end is the best that can be hoped for. Claim a gain only when even "
                "the lower end is above zero.",
            ),
            Mistake(
                "base and tuned are swapped",
                lambda low, high: "base" if low > 0 else "tuned" if high < 0 else "cannot tell",
                "The difference is tuned minus base: above zero, tuned is ahead.",
            ),
            Mistake(
                "it never says base",
                lambda low, high: "tuned" if low > 0 else "cannot tell",
                "A fine-tune can make things worse, and then the verdict has to say so.",
            ),
        ),
    ),
)
