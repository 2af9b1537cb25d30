"""Sort support tickets: what a ticket wants, and how soon.

    in   Hi there, thanks for solving the late parcel so fast. My password is rejected since 4 May
         2027. Patients are waiting in the lobby because of it.
    out  intent: login
         priority: high

The intent is that of the problem which is open in this ticket, not of one that is mentioned as
solved or as another's; in the problem, what is asked for decides ("the refund button does nothing"
is a bug). The priority follows what hangs on it and by when, not the tone nor the word URGENT; a
ticket that does not say is normal.

Much of this can be read off single words, so a linear model over word counts goes far, and
`baseline` is one. Where it does as well as a language model, don't fine-tune.

>>> example = examples(1, seed=0)[0]
>>> score(example, "Intent: " + data.answer(example).split()[1])["intent"]
Ratio(num=1.0, den=1)
"""

import re
from collections.abc import Sequence
from typing import Any

from ftlab import data
from ftlab.errors import DataError, MissingExtraError
from ftlab.tasks import Ratio, Task
from ftlab.tasks.drawing import word_lists
from ftlab.tasks.messages import (
    DATE_STYLES,
    ROUGH,
    Drawn,
    Writer,
    capitalise,
    draw,
    fill,
    plural,
    roughen,
)  # fmt: skip

FORMS = word_lists("triage")
INTENTS = tuple(FORMS.problem)
PRIORITIES = ("low", "normal", "high")
CUE = f"Sort this ticket by intent ({', '.join(INTENTS)}) and priority (low, normal, high):\n\n"

# Of 10 tickets of an intent, how many are low, normal and high.
_MIX = {"outage": (1, 3, 6), "feature": (5, 4, 1), "question": (4, 4, 2)}


# Asking and marking.


def prompt(text: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask for one ticket's intent and priority."""
    return ({"role": "user", "content": CUE + text},)


def _label(name: str, text: str) -> str | None:
    """Return what follows a name and a colon on its line, in lower case and without marks."""
    match = re.search(rf"\b{name}[\"'*`]*[ \t]*[:=][ \t\"'*`]*(\w+)", text, re.IGNORECASE)
    return match[1].lower() if match else None


def parse(text: str) -> str:
    """Return the first intent and the first priority of an answer, a line each.

    What has neither comes back as it is, less the blanks around it.
    """
    found = {name: _label(name, text) for name in ("intent", "priority")}
    lines = [f"{name}: {label}" for name, label in found.items() if label]
    return "\n".join(lines) or text.strip()


def score(record: data.Row, text: str) -> dict[str, Ratio]:
    """Mark an answer against the record's labels.

    Args:
        record: the example; its completion is the reference.
        text: what the model wrote.

    Returns:
        `both` (intent and priority right), `intent`, `priority`, and `valid` (both are labels that
        exist, right or not).
    """
    text = parse(text)
    intent, priority = _label("intent", text), _label("priority", text)
    right_intent = intent == _label("intent", data.answer(record))
    right_priority = priority == _label("priority", data.answer(record))
    return {
        "both": Ratio(float(right_intent and right_priority), 1),
        "intent": Ratio(float(right_intent), 1),
        "priority": Ratio(float(right_priority), 1),
        "valid": Ratio(float(intent in INTENTS and priority in PRIORITIES), 1),
    }


# Making.


def _values(w: Writer) -> dict[str, str]:
    """Draw a value for every slot that a form may have."""
    amounts = [w.rng.randrange(500, 90_000) / 100 for _ in range(2)]
    money = w.rng.choice(("${:.2f}", "£{:.2f}", "€{:.2f}", "{:.0f} euros", "{:.2f} USD"))
    item = w.item()
    return {
        "amount": money.format(amounts[0]),
        "amount2": money.format(amounts[1]),
        "date": DATE_STYLES[w.date_style()](w.date()),
        "past": DATE_STYLES[w.date_style()](w.date()),
        "firm": w.firm(),
        "hour": w.rng.choice(("{}:{:02}", "{}.{:02}")).format(
            w.rng.randrange(6, 20), w.rng.randrange(0, 60, 5)
        ),
        "item": plural(item) if w.chance(0.2) else item,
        "name": w.person(),
        "number": str(w.number(40) + 2),
        "phone": w.phone(),
        "product": w.pick(FORMS.products),
        "ref": w.reference(),
        "town": w.pick(FORMS.towns),
    }


def _problem(w: Writer, intent: str, crossed: bool) -> str:
    return w.say((FORMS.crossed if crossed else FORMS.problem)[intent], sure=True)


def _impact(w: Writer, priority: str, crossed: bool) -> str:
    """Say how much hangs on it; an ordinary ticket often does not."""
    if crossed:
        return w.say(FORMS.impact_crossed[priority], sure=True)
    if priority == "normal" and w.chance(0.45):
        return ""
    return w.say(FORMS.impact[priority])


def _compose(w: Writer) -> Drawn:
    """Write one ticket and its labels."""
    intent = w.rng.choice(INTENTS)
    priority = w.rng.choices(PRIORITIES, _MIX.get(intent, (3, 4, 3)))[0]
    crossed, tricky = w.chance(0.22), w.chance(0.18)
    hard = ["borrowed words"] if crossed else []
    light = []
    body = [_problem(w, intent, crossed)]
    if impact := _impact(w, priority, tricky):
        body.append(impact)
        hard += ["misleading tone"] if tricky else []
    else:
        light.append("no impact")
    other = w.rng.choice([name for name in INTENTS if name != intent])
    history = ""
    if w.chance(0.25):
        aside = w.say(FORMS.set_aside).replace("{aside}", w.say(FORMS.aside[other]))
        body.append(aside)
        hard.append("second problem")
    elif w.chance(0.12):
        history = w.say(FORMS.history).replace("{problem}", _problem(w, other, False))
        hard.append("second problem")
    for pool, share in ((FORMS.chatter, 0.55), (FORMS.chatter, 0.25), (FORMS.tone, 0.25)):
        if w.chance(share) and (extra := w.say(pool)) not in body:
            body.append(extra)
    if w.chance(0.6):
        w.rng.shuffle(body)
    head = ""
    if w.chance(0.3):
        head = w.say(FORMS.subject)
        if w.chance(0.4):
            loud = w.chance(0.5)  # as often right as not: it tells nothing
            head = w.say(FORMS.loud if loud else FORMS.quiet)
            hard += ["misleading subject"] if loud != (priority == "high") else []
        head = w.rng.choice(("Subject: ", "Re: ", "Title: ", "")) + head
    parts = [
        head,
        w.say(FORMS.greeting) if w.chance(0.5) else "",
        w.rng.choice((" ", " ", " ", "\n")).join(body),
        w.say(FORMS.signature) if w.chance(0.45) else "",
    ]
    if history:
        parts.insert(w.rng.choice((0, len(parts))), history)
    skeleton = "\n".join(part for part in parts if part)
    rough = w.rng.choice(ROUGH) if w.chance(0.3) else ""
    spoiled = roughen(w.rng, skeleton, rough) if rough else skeleton
    text = fill(spoiled, _values(w))
    if rough:
        light.append(rough)
    else:
        text = capitalise(text)
    points = 2 * len(hard) + len(light)
    return Drawn(
        text,
        skeleton,
        completion=f"intent: {intent}\npriority: {priority}",
        difficulty="easy" if points == 0 else "medium" if points <= 2 else "hard",
        form="quoted" if history else "plain",
        traits=(*hard, *light),
    )


def examples(n: int, seed: int, split: str = "train") -> list[data.Row]:
    """Make `n` different tickets with their labels; a larger `n` starts with the same ones.

    Raises:
        ConfigError: there is no such split, or `n` is not positive.
    """
    return draw(_compose, CUE, n, seed, split, "triage")


# What one would pick instead of a language model.


def baseline(train_records: Sequence[data.Row], test_records: Sequence[data.Row]) -> list[str]:
    """Answer the test records with two logistic regressions over TF-IDF of words and word pairs.

    Args:
        train_records: tickets with their labels; at least two intents and two priorities.
        test_records: tickets to answer; their completions are not looked at.

    Returns:
        One answer in the task's format for each test record, to be marked by `score`.

    Raises:
        DataError: the training records have no labels, or only one.
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
    except ImportError:
        raise MissingExtraError(
            "The baseline needs scikit-learn. Install it with: pip install scikit-learn"
        ) from None
    tickets = [_ticket(record) for record in train_records]
    asked = [_ticket(record) for record in test_records]
    if not asked:
        return []
    answers: list[list[str]] = []
    for name in ("intent", "priority"):
        labels = [_label(name, data.answer(record)) for record in train_records]
        if None in labels:
            raise DataError(
                f"Training record {labels.index(None) + 1} has no {name} in its completion; "
                f"a line such as '{name}: {(INTENTS + PRIORITIES)[0 if name == 'intent' else -1]}' "
                "is wanted."
            )
        if len(set(labels)) < 2:
            raise DataError(
                f"The {len(labels)} training records have {len(set(labels))} different labels of "
                f"{name}; a classifier needs 2 or more. Give it more records."
            )
        model: Any = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            LogisticRegression(C=10, max_iter=1000),
        )
        answers.append([f"{name}: {label}" for label in model.fit(tickets, labels).predict(asked)])
    return ["\n".join(pair) for pair in zip(*answers, strict=True)]


def _ticket(record: data.Row) -> str:
    return data.prompt(record)[-1]["content"].removeprefix(CUE)


TASK = Task(
    name="triage",
    describe=(
        "Sort a support ticket by what it wants (ten intents) and how soon (three priorities). In "
        "goes a ticket, polite to furious, with chatter, slips and second problems; out come two "
        "short lines. The tickets are composed from forms by a program."
    ),
    headline="both",
    licence="Apache-2.0 (written by ftlab)",
    examples=examples,
    prompt=prompt,
    parse=parse,
    score=score,
)
