"""What `verdict.json` holds, field by field, and a reader that checks it.

`python -m ftlab.evaluation.schema` prints the same as a JSON schema. A figure that cannot be known
is null.

>>> sorted(VerdictFile.model_fields)[:3]
['behaviour', 'contestants', 'costs']
"""

import json
import os
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ftlab.files import parse_json, read_text

__all__ = ["VerdictFile", "read"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Figure(_Part):
    """A figure with its bootstrap interval."""

    value: float | None
    low: float | None
    high: float | None
    level: float = Field(description="The share of the draws that the interval holds.")


class Outcome(_Part):
    """How often a contestant did better than the first, as well, and worse."""

    win: int
    tie: int
    loss: int


class Slice(_Part):
    """The headline on a part of the examples."""

    n: int
    contestants: dict[str, Figure]
    differences: dict[str, Figure] = Field(description="From the first contestant.")


class PairPart(_Part):
    """Two contestants on the headline."""

    a: str
    b: str
    difference: Figure = Field(description="b's figure less a's, paired.")
    win: int = Field(description="Examples that b did better.")
    tie: int
    loss: int
    test: str = Field(description='"McNemar, exact" or "randomisation": what made p.')
    p: float
    corrected: float = Field(description="p after Holm's correction for all pairs.")
    sign: float = Field(description="p of the exact sign test.")
    smallest: float | None = Field(description="Smallest true difference found at 80 % power, 5 %.")
    needed: dict[str, int] = Field(description="Difference -> examples that it needs.")


class Words(_Part):
    """Length of the answers, in words between blanks."""

    mean: float
    shortest: int
    quarter: float
    median: float
    three_quarters: float
    longest: int


class Behaviour(_Part):
    """How answers are written."""

    words: Words
    repetition: Figure = Field(description="Share of runs of four words that repeat an earlier.")
    refusals: Figure = Field(description="Share of answers that open as a refusal.")
    empty: Figure = Field(description="Share of answers without text.")


class Cost(_Part):
    """What an answer takes, on average."""

    tokens_in: float | None = Field(description="null without a language model.")
    tokens_out: float | None
    seconds: float = Field(description="Per answer, in batches, on this machine.")
    by_token: float | None = Field(description="Money per 1,000 answers, by the token.")
    by_hour: float | None = Field(description="Money per 1,000 answers, by the machine's hour.")


class Costs(_Part):
    """Every contestant's cost, and the price table it was reckoned with."""

    prices: dict[str, Any] | None = None
    contestants: dict[str, Cost] = {}


class Answer(_Part):
    """One contestant's answer to one example."""

    text: str = Field(description="The answer, as the task reads it.")
    scores: dict[str, float | None]
    raw: str | None = Field(default=None, description="As written, where that is more.")


class Example(_Part):
    """One held-out example."""

    input: str
    reference: str
    slice: Any = None
    outputs: dict[str, Answer]


class VerdictFile(_Part):
    """The whole of `verdict.json`."""

    task: str
    headline: str = Field(description="The metric that decides.")
    n: int = Field(description="Held-out examples.")
    seed: int = Field(description="Of the bootstrap.")
    contestants: dict[str, dict[str, Figure]] = Field(
        description="Contestant -> metric -> figure; the first is the baseline."
    )
    differences: dict[str, dict[str, Figure]] = Field(
        description="Every other contestant -> metric -> its figure less the baseline's."
    )
    outcomes: dict[str, Outcome]
    slices: dict[str, Slice]
    sentence: str = Field(description="What the headline shows, in plain words.")
    examples: list[Example]
    provenance: dict[str, Any] = Field(description="Models, hashes, versions, device.")
    pairs: list[PairPart] = []
    behaviour: dict[str, Behaviour] = Field(
        default={}, description='By contestant, and for the "reference".'
    )
    costs: Costs = Costs()
    forgetting: dict[str, Any] = Field(
        default={}, description="`general` text in bits per character, other `tasks`' headlines."
    )
    remarks: list[str] = Field(default=[], description="How sure, at what price, what got worse.")


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a `verdict.json`, as `ftlab.evaluation.report.page` takes it.

    Raises:
        DataError: it cannot be read, or is no verdict; the faults are listed.
    """
    text = read_text(path)
    parse_json(text, path, VerdictFile, what="verdict that this version of ftlab wrote")
    return json.loads(text)


if __name__ == "__main__":
    print(json.dumps(VerdictFile.model_json_schema(), indent=1))
