"""Write the messages of the extraction task: first what there is to say, then who says it how.

    24 trays, due 2028-03-04, no company, not urgent; a reply to a question; shouting
    YES, GO AHEAD.  > So the wish is to buy two dozen trays by 4 March 2028? Please confirm.

The answer is read off the finished skeleton: a fact that no form has shown is null.

>>> import random
>>> drawn = compose(Writer(random.Random(2), new=False))
>>> sorted(json.loads(drawn.completion)) == sorted(FIELDS)
True
"""

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ftlab.tasks.drawing import word_lists
from ftlab.tasks.messages import (
    DATE_STYLES,
    ROUGH,
    Drawn,
    Writer,
    capitalise,
    fill,
    plural,
    roughen,
    spell,
)  # fmt: skip

FORMS = word_lists("extraction")
FIELDS = ("action", "item", "quantity", "due", "contact", "company", "phone", "urgent")


@dataclass
class _Letter:
    """A message in the making: what it has to say, and which forms have said it."""

    w: Writer
    action: str
    quantity: int | None
    urgent: bool
    slots: dict[str, str]
    """Values by slot, as written."""
    slip: bool
    """Whether the writer slips at the quantity or the day and corrects it."""
    passed_on: bool = False
    """Whether the writer is not the person to answer."""
    said: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """Whether there is such a fact and nothing has said it yet."""
        return name in self.slots and name not in self.said

    def say(self, pool: Sequence[str], *, sure: bool = False) -> str:
        """Write a form of the pool, with the wish put in where it asks for it."""
        text = self.w.say(pool, sure=sure)
        asks = "{do}" in text or "{what}" in text
        if "{do}" in text:
            text = text.replace("{do}", self.w.say(FORMS.do[self.action], sure=sure))
        if "{what}" in text:
            text = text.replace("{what}", self._what())
        if "{by}" in text:
            by = self.w.say(FORMS.by) if self.has("due") and self.w.chance(0.6) else ""
            if by and self.slip and "wrong" not in text:
                by = by.replace("{due}", self.w.say(FORMS.day_corrected))
            text = text.replace("{by}", f" {by}" if by else "")
        self.said |= _slots(text)
        return re.sub(r",(?=[.,?!;:]|$)", "", text) if asks else text

    def request(self, *pools: Sequence[str]) -> str:
        """Write the sentence that asks for the thing, of one of the pools."""
        return self.say(self.w.rng.choice(pools), sure=True)

    def _what(self) -> str:
        if self.quantity is None:
            return self.w.say(FORMS.item_alone)
        if self.quantity == 1:
            return "{quantity} {item}"
        if self.slip and self.w.chance(0.6):
            return self.w.say(FORMS.what_corrected)
        return self.w.say(FORMS.what)


def _slots(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def _number(w: Writer, number: int) -> str:
    """Write a number in figures, in words or in dozens."""
    if number == 1:
        return w.rng.choice(("1", "one", "one", "a single"))
    if number % 12 == 0 and number <= 72 and w.chance(0.4):
        return "a dozen" if number == 12 else f"{spell(number // 12)} dozen"
    if number == 6 and w.chance(0.4):
        return "half a dozen"
    return spell(number) if w.chance(0.45) else str(number)


def _facts(w: Writer) -> tuple[_Letter, dict[str, Any]]:
    """Settle what there is to say, what is left out, and what would only mislead."""
    quantity = w.number() if w.chance(0.8) else None
    day, style = w.date(), DATE_STYLES[w.date_style()]
    item = w.item() if quantity == 1 else plural(w.item())
    facts: dict[str, Any] = {"item": item, "quantity": quantity, "due": day.isoformat()}
    slots = {"item": item}
    if quantity is not None:
        slots["quantity"] = _number(w, quantity)
        slip = (1, 2, 5, 10) if quantity < 3 else (-1, 1, 2, 5, 10)
        slots["wrong"] = _number(w, quantity + w.rng.choice(slip))
        slots["old"] = _number(w, quantity + w.rng.choice(slip))
    if w.chance(0.75):
        slots["due"] = style(day)
        slots["day_was"] = style(day + datetime.timedelta(w.rng.randint(1, 9)))
    slots["old_day"] = DATE_STYLES[w.date_style()](day - datetime.timedelta(w.rng.randint(1, 40)))
    makers = {"contact": (w.person, 0.88), "company": (w.firm, 0.7), "phone": (w.phone, 0.68)}
    for name, (make, share) in makers.items():
        if w.chance(share):
            slots[name] = facts[name] = make()
    slots["first"] = slots.get("contact", "").split(" ")[0]
    slots |= {"other": w.person(), "agent": w.person(), "rival": w.firm(), "ref": w.reference()}
    slots["past"] = DATE_STYLES[w.date_style()](w.date())
    action, urgent = w.rng.choice(list(FORMS.do)), w.chance(0.3)
    return _Letter(w, action, quantity, urgent, slots, slip=w.chance(0.08)), facts


def _asides(it: _Letter) -> list[str]:
    """Sentences around the request: how urgent, a second person, what misleads, the tone."""
    w, out = it.w, []
    if it.has("contact") and w.chance(0.18):
        out.append(it.say(FORMS.answer_to))
        it.passed_on = True
    elif w.chance(0.12):
        out.append(it.say(FORMS.not_the_contact))
    if it.urgent:
        out.append(it.say(FORMS.urgent))
    elif w.chance(0.25):
        out.append(it.say(FORMS.patient))
    if w.chance(0.3):
        out.append(it.say(FORMS.misleading))
    if w.chance(0.4):
        out.append(it.say(FORMS.angry if w.chance(0.35) else FORMS.chat))
    return out


def _rest(it: _Letter, third: bool = False) -> list[str]:
    """Sentences for what is still to be said."""
    pools = {
        "due": FORMS.due,
        "contact": FORMS.note_caller if third else FORMS.introduced,
        "company": FORMS.note_company if third else FORMS.company,
        "phone": FORMS.note_phone if third else FORMS.phone,
    }
    return [it.say(pool) for name, pool in pools.items() if it.has(name)]


def _sign(it: _Letter) -> str:
    """Close a letter: a farewell, who writes, and what stands under a name."""
    w = it.w
    out = [it.say(FORMS.farewell)]
    if it.has("contact"):
        out.append(it.say(FORMS.signed))
        it.said.add("contact")  # a given name alone is enough
    elif it.passed_on and w.chance(0.6):
        out.append("{other}")
    if w.chance(0.2):
        out.append(it.say(FORMS.role))
    for name, pool in (("company", FORMS.signed_company), ("phone", FORMS.signed_phone)):
        if it.has(name) and w.chance(0.6):
            out.append(it.say(pool))
    return "\n".join(out)


def _mixed(it: _Letter, first: list[str], rest: list[str]) -> list[str]:
    """Put the request first, mostly, and the rest in any order."""
    it.w.rng.shuffle(rest)
    return [*rest[:1], *first, *rest[1:]] if it.w.chance(0.2) else [*first, *rest]


def _body(it: _Letter, first: list[str], greeted: float, signed: float) -> str:
    """Write a letter around its first sentences: a greeting, the rest, a signature."""
    w = it.w
    asides = _asides(it)
    sign = _sign(it) if w.chance(signed) else ""
    text = " ".join(_mixed(it, first, asides + _rest(it)))
    greeting = it.say(FORMS.greeting) if w.chance(greeted) else ""
    gap = w.rng.choice(("\n\n", "\n\n", "\n"))
    return gap.join(part for part in (greeting, text, sign) if part)


def _email(it: _Letter) -> str:
    w, head = it.w, ""
    if w.chance(0.3) and it.has("contact"):
        head += it.say(FORMS.head_from if it.has("company") else FORMS.head_from_alone) + "\n"
    if w.chance(0.4):
        head += "Subject: " + it.say(FORMS.subjects) + "\n"
    first = []
    if it.has("contact") and w.chance(0.25):
        first.append(it.say(FORMS.introduced))
    elif w.chance(0.4):
        first.append(it.say(FORMS.opening))
    first.append(it.request(FORMS.request[it.action], FORMS.wish))
    body = _body(it, first, greeted=0.8, signed=0.85)
    return f"{head}\n{body}" if head else body


def _reply(it: _Letter) -> str:
    """An answer above what it answers; the quote asks the question, or is out of date."""
    if it.w.chance(0.5):
        it.slip = False
        quote = it.request(FORMS.quoted_question)
        first = it.say(FORMS.confirmed)
    else:
        old = it.quantity is not None and it.quantity > 1
        # A day that only the quote has would leave open whether it still holds.
        pool = FORMS.quoted_old if it.has("due") else FORMS.quoted_number
        quote = it.say(pool if old else FORMS.quoted_chat)
        first = it.request(FORMS.request[it.action], FORMS.wish)
    body = _body(it, [first], greeted=0.6, signed=0.8)
    return f"{body}\n\n{it.say(FORMS.quote_head)}\n> " + quote.replace("\n", "\n> ")


def _ticket(it: _Letter) -> str:
    """A web form: labelled lines, some of them empty, and a message."""
    w, out = it.w, []
    for name, pool in FORMS.labels.items():
        if it.has(name) and w.chance(0.75):
            out.append(f"{w.say(pool)}: {{{name}}}")
            it.said.add(name)
        elif name not in it.slots and w.chance(0.3):
            out.append(f"{w.say(pool)}: {w.rng.choice(('-', 'n/a', '', 'none'))}".rstrip())
    w.rng.shuffle(out)
    if w.chance(0.5):
        out.insert(0, it.say(FORMS.ticket_head))
    request = it.request(FORMS.request[it.action], FORMS.wish)
    label = w.rng.choice(("Message: ", "Text: ", "What can we do for you? ", "", "\n"))
    return "\n".join([*out, label + _body(it, [request], greeted=0.1, signed=0.15)])


def _call_note(it: _Letter) -> str:
    """What somebody wrote down on the telephone, in the third person."""
    w, out = it.w, []
    if w.chance(0.45):
        out.append(it.say(FORMS.note_head))
    if it.has("contact"):
        both = it.has("company") and w.chance(0.5)
        out.append(it.say(FORMS.note_caller_firm if both else FORMS.note_caller))
    else:
        out.append(it.say(FORMS.note_nobody))
    wish, asides = it.request(FORMS.note_wish), []
    if it.urgent:
        asides.append(it.say(FORMS.note_urgent))
    elif w.chance(0.2):
        asides.append(it.say(FORMS.note_patient))
    if w.chance(0.35):
        asides.append(it.say(FORMS.note_misleading))
    mark = w.rng.choice((" ", "\n", "\n- ", "\n* "))
    return "\n".join(out) + mark + mark.join(_mixed(it, [wish], asides + _rest(it, third=True)))


def _chat(it: _Letter) -> str:
    """A few words typed into a telephone."""
    w = it.w
    out = [it.say(FORMS.terse_hello)] if w.chance(0.3) else []
    out.append(it.request(FORMS.terse, FORMS.terse_request[it.action]))
    more = [it.say(pool) for name, pool in FORMS.terse_facts.items() if it.has(name)]
    if it.urgent:
        more.append(it.say(FORMS.terse_urgent))
    elif w.chance(0.15):
        more.append(it.say(FORMS.terse_chat))
    w.rng.shuffle(more)
    return w.rng.choice((". ", ", ", "\n", " / ", " - ", "; ")).join(out + more)


_SHAPES = {
    "email": _email, "reply": _reply, "ticket": _ticket, "call note": _call_note, "chat": _chat,
}  # fmt: skip


def compose(w: Writer) -> Drawn:
    """Write one message and its answer; the answer has what the skeleton shows, and no more."""
    it, facts = _facts(w)
    form = w.rng.choices(list(_SHAPES), (32, 18, 18, 18, 14))[0]
    skeleton = _SHAPES[form](it)
    shown = _slots(skeleton)
    if "first" in shown and "contact" not in shown:
        facts["contact"] = it.slots["first"]
        shown.add("contact")
    answer = {name: facts.get(name) if name in shown else None for name in FIELDS}
    answer |= {"action": it.action, "urgent": it.urgent}
    if answer["phone"]:
        answer["phone"] = re.sub(r"[^+\d]", "", answer["phone"])
    rough = w.rng.choice(ROUGH) if w.chance(0.3) else ""
    values = dict(it.slots)
    if rough == "lower case" and w.chance(0.5):
        values = {name: value.lower() for name, value in values.items()}
    elif rough == "shouting":
        values |= {name: values[name].upper() for name in ("item", "quantity") if name in values}
    text = fill(roughen(w.rng, skeleton, rough) if rough else skeleton, values)
    if not rough and form != "chat":
        text = capitalise(text)
    words = "quantity" in shown and not it.slots["quantity"].isdigit()
    hard = [
        *(["quoted"] if form == "reply" else []),
        *(["corrected"] if shown & {"wrong", "day_was"} else []),
        *(["second name"] if shown & {"other", "agent", "rival"} else []),
        *(["second date"] if shown & {"past", "old_day"} else []),
    ]
    light = [
        *(["number in words"] if words else []),
        *([f"no {name}" for name in FIELDS if answer[name] is None]),
        *([rough] if rough else []),
    ]
    points = 2 * len(hard) + len(light)
    difficulty = "easy" if points <= 1 else "medium" if points <= 3 else "hard"
    completion = json.dumps(answer, ensure_ascii=False)
    return Drawn(text, skeleton, completion, difficulty, form, (*hard, *light))
