"""The capstone: one folder from the proposal to the review, and a tool that says what is missing.

    proposal.yaml            the task, the data, the measure, the rivals, when to ship and to stop
    train.jsonl, test.jsonl  what the model learns from, and what it is judged on
    verdict/verdict.json     what `compare` found (`Verdict.save`, or `ftlab compare --out`)
    card.md                  for whoever will use the model
    reviews/NAME.yaml        what others say, by the rubric

The words of the form and of the rubric are in `data/capstone.yaml`.

>>> decide({"at_least": 0.6, "better_by": 0.0}, (0.55, 0.8), [(0.1, 0.3)])
('improve', 'it may be below 0.6: the interval begins at 0.55')
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab import data
from ftlab.errors import DataError, FtlabError, first_line
from ftlab.files import parse_yaml, read_data, read_text, write_text

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "Step", "check", "decide", "decided", "form_of", "new", "review_form", "table", "verdict_of",
]  # fmt: skip

ENOUGH = 40  # held-out records; with fewer an interval of a share is wider than ± 0.16
WORDS = read_data("capstone.yaml")
DECISIONS = ("ship", "improve", "stop")


@dataclass(frozen=True)
class Step:
    """One step of a capstone: its name, whether it is done, and what is wrong or was found."""

    name: str
    done: bool
    message: str


def new(folder: str | os.PathLike[str]) -> Path:
    """Write an empty proposal into a folder; return its path.

    Raises:
        DataError: there is a proposal already.
    """
    return write_text(Path(folder) / "proposal.yaml", WORDS["form"])


def review_form(reviewer: str = "") -> str:
    """Return an empty review, as YAML: a score from 0 to 2 and a reason for each line."""
    lines = [f'reviewer: "{reviewer}"', "# 0 no, 1 in part, 2 yes; and a sentence that says why"]
    for name, meant in WORDS["rubric"].items():
        lines += [f"{name}:  # {meant}", "  score: null", '  why: ""']
    return "\n".join(lines) + "\n"


def check(folder: str | os.PathLike[str]) -> list[Step]:
    """Say what is done in a capstone's folder, and what is missing, step by step.

    Raises:
        DataError: it is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Begin one: ftlab capstone new {folder}")
    steps = []
    for part in (_proposal, _data, _verdict, _card, _review):
        try:
            faults, said = part(folder)
        except (FtlabError, OSError) as error:
            faults, said = [first_line(error)], ""
        steps.append(Step(part.__name__[1:], not faults, "; ".join(faults) or said))
    return steps


def table(steps: Sequence[Step]) -> "Table":
    """Return the steps as a rich table."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    made = Table(box=box.SIMPLE)
    for column in ("step", "", "what was found"):
        made.add_column(column, overflow="fold")
    for step in steps:
        made.add_row(step.name, "done" if step.done else "open", escape(step.message))
    return made


def decide(
    ship_if: Mapping[str, float],
    figure: tuple[float, float],
    gains: Sequence[tuple[float, float]],
) -> tuple[str, str]:
    """Decide by the rule that was written down before the run.

    Args:
        ship_if: `at_least`, the least figure of use, and `better_by`, the least gain on each rival.
        figure: the 95 % interval of the tuned system's figure: its lower and upper end.
        gains: the interval of its gain on each rival.

    Returns:
        "ship", "improve" or "stop", and the reason. It ships when both conditions hold at the lower
        ends; where one fails even at the upper end, it stops; between, more records or a better
        recipe may tell.
    """
    least, better = ship_if["at_least"], ship_if["better_by"]
    if figure[1] < least:
        return "stop", f"it is below {least:g}: the interval ends at {figure[1]:.2f}"
    if any(high < better for _, high in gains):
        return "stop", f"a rival is not beaten by {better:g}, even at the upper end"
    if figure[0] < least:
        return "improve", f"it may be below {least:g}: the interval begins at {figure[0]:.2f}"
    if any(low <= better for low, _ in gains):
        return "improve", f"a gain of more than {better:g} is not shown against each rival"
    return "ship", "both conditions hold at the lower ends of the intervals"


def decided(folder: str | os.PathLike[str]) -> tuple[str, str]:
    """Apply the proposal's rule to the folder's verdict; see `decide`.

    Raises:
        DataError: one of the two is missing, or they do not belong together.
    """
    form, verdict = form_of(Path(folder)), verdict_of(Path(folder))
    if faults := _rule_faults(form):
        raise DataError("; ".join(faults))
    rivals, tuned, gains = form["rivals"], form["tuned"], []
    for pair in verdict["pairs"]:
        low, high = pair["difference"]["low"], pair["difference"]["high"]
        if pair["a"] in rivals and pair["b"] == tuned:
            gains.append((low, high))
        elif pair["b"] in rivals and pair["a"] == tuned:
            gains.append((-high, -low))
    mine = verdict["systems"][tuned][form["measure"]]
    return decide(form["ship_if"], (mine["low"], mine["high"]), gains)


def _yaml(path: Path) -> dict[str, Any]:
    found = parse_yaml(read_text(path), path)
    if not isinstance(found, dict):
        raise DataError(f"{path.name} has no `name: value` lines")
    return found


def form_of(folder: Path) -> dict[str, Any]:
    """Return a folder's proposal; a part that is missing is empty.

    Raises:
        DataError: there is none, or it is no YAML of names and values.
    """
    path = folder / "proposal.yaml"
    if not path.exists():
        raise DataError(f"no proposal.yaml: ftlab capstone new {folder.name}")
    wanted, form = parse_yaml(WORDS["form"], "capstone.yaml"), _yaml(path)
    for name, value in wanted.items():
        if isinstance(value, dict) and not isinstance(form.get(name), dict):
            form[name] = {}
    return form


def _proposal(folder: Path) -> tuple[list[str], str]:
    form = form_of(folder)
    names = ("author", "title", "task", "why", "base", "machine", "measure", "cheats", "tuned",
             "stop_if")  # fmt: skip
    texts = {name: form.get(name) for name in names}
    texts |= {f"data: {n}": form["data"].get(n) for n in ("source", "licence", "personal")}
    empty = [name for name, text in texts.items() if not str(text or "").strip()]
    faults = [f"empty: {', '.join(empty)}"] if empty else []
    if not isinstance(form.get("rivals"), list) or not form["rivals"]:
        faults.append("rivals names no system to beat, as [base, base + examples]")
    if len(re.findall(r"[.!?](?:\s|$)", str(form.get("task") or "").strip())) > 1:
        faults.append("the task is more than one sentence: choose one narrow task")
    if not re.search(r"\d|\b(?:one|two|three|four|five|ten)\b", str(form.get("stop_if") or "")):
        faults.append("stop_if has no number: after how many records, minutes or rounds?")
    faults += _rule_faults(form)
    return faults, f"{form.get('title')}: ships with {form.get('measure')} of at least " + str(
        form["ship_if"].get("at_least")
    )


def _rule_faults(form: Mapping[str, Any]) -> list[str]:
    faults = []
    for name, low in (("at_least", 0.0), ("better_by", -1.0)):
        value = form["ship_if"].get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= 1:
            faults.append(f"ship_if: {name} is {value!r}, and should be from {low:g} to 1")
    return faults


def _data(folder: Path) -> tuple[list[str], str]:
    from ftlab.curation import doctor

    train, test = folder / "train.jsonl", folder / "test.jsonl"
    if missing := [path.name for path in (train, test) if not path.exists()]:
        return [f"no {' and no '.join(missing)}"], ""
    report = doctor.examine(train, eval_path=test)
    other = doctor.examine(test)
    faults = [f"{file}: {one.what} ({one.count}, {one.check})"
              for file, found in (("train", report), ("test", other))
              for one in found.findings if one.severity == "error"]  # fmt: skip
    rows = other.records
    if not faults and rows < ENOUGH:
        faults.append(f"{rows} test records; with fewer than {ENOUGH} hardly anything is shown")
    return faults, f"{report.records} records to learn from, {rows} to be judged on, no leak found"


def verdict_of(folder: Path) -> dict[str, Any]:
    """Return a folder's verdict, as `verdict.json` holds it.

    Raises:
        DataError: there is none, or it has not the systems and the measure of the proposal.
    """
    path = folder / "verdict" / "verdict.json"
    if not path.exists():
        raise DataError("no verdict/verdict.json: verdict.save(), or ftlab compare --out")
    try:
        found = json.loads(read_text(path))
        found["systems"], found["pairs"], found["examples"]
    except (ValueError, KeyError, TypeError):
        raise DataError("verdict.json is not what compare writes: make it again") from None
    form = form_of(folder)
    if unknown := [n for n in [form.get("tuned"), *(form.get("rivals") or [])]
                   if n not in found["systems"]]:  # fmt: skip
        raise DataError(
            f"the proposal names {', '.join(map(str, unknown))}; the verdict has "
            f"{', '.join(found['systems'])}"
        )
    if form.get("measure") != found["headline"]:
        raise DataError(
            f"the measure is {form.get('measure') or 'empty'}, and the verdict compares by "
            f"{found['headline']}"
        )
    return dict(found)


def _verdict(folder: Path) -> tuple[list[str], str]:
    verdict = verdict_of(folder)
    test = folder / "test.jsonl"
    inputs = {data.prompt(row)[-1]["content"] for row in data.read(test)} if test.exists() else None
    strange = [e for e in verdict["examples"] if inputs is not None and e["input"] not in inputs]
    faults = []
    if verdict["n"] < ENOUGH:
        faults.append(f"it is on {verdict['n']} records; take {ENOUGH} or more")
    if strange:
        faults.append(f"{len(strange)} of its {verdict['n']} records are not in test.jsonl")
    decision, reason = ("", "") if faults else decided(folder)
    return faults, f"{decision}: {reason}"


def _card(folder: Path) -> tuple[list[str], str]:
    path = folder / "card.md"
    if not path.exists():
        return ["no card.md, with " + ", ".join(WORDS["card"])], ""
    text = read_text(path)
    _, *parts = re.split(r"^#+ +(.+?) *$", text, flags=re.MULTILINE)
    held = dict(zip(map(str.lower, parts[::2]), map(str.strip, parts[1::2]), strict=True))
    if faults := [f"no section {name}: {meant}" for name, meant in WORDS["card"].items()
                  if not held.get(name.lower())]:  # fmt: skip
        return faults, ""
    form, verdict = form_of(folder), verdict_of(folder)
    figure = verdict["systems"][form["tuned"]][form["measure"]]
    wanted = [f"{figure[part]:.2f}" for part in ("value", "low", "high")]
    if lacking := [number for number in wanted if number not in held["result"]]:
        faults.append(
            f"the result has no {' and no '.join(lacking)}; the verdict says {wanted[0]} "
            f"({wanted[1]} to {wanted[2]})"
        )
    said = re.findall(rf"\b({'|'.join(DECISIONS)})\b", held["decision"].lower())
    decision, reason = decided(folder)
    if said[:1] != [decision]:
        faults.append(f"the decision is {said[0] if said else 'not there'}, and by your rule "
                      f"{decision}: {reason}")  # fmt: skip
    return faults, f"it says what the verdict says; decision: {decision}"


def _review(folder: Path) -> tuple[list[str], str]:
    files = sorted((folder / "reviews").glob("*.yaml"))
    if not files:
        return ["no reviews/NAME.yaml: ftlab capstone review FOLDER --name NAME"], ""
    author = str(form_of(folder).get("author") or "").strip().casefold()
    faults, points = [], []
    for path in files:
        held = _yaml(path)
        reviewer = str(held.get("reviewer") or "").strip()
        if not reviewer or reviewer.casefold() == author:
            faults.append(f"{path.name}: the reviewer is {reviewer or 'not named'}; "
                          "ask somebody else than the author")  # fmt: skip
        given: dict[str, dict[str, Any]] = {
            name: one if isinstance(one := held.get(name), dict) else {} for name in WORDS["rubric"]
        }
        if bad := [n for n, one in given.items() if one.get("score") not in (0, 1, 2)]:
            faults.append(f"{path.name}: no score of 0, 1 or 2 for {', '.join(bad)}")
        elif bare := [n for n, one in given.items() if not str(one.get("why") or "").strip()]:
            faults.append(f"{path.name}: no reason for {', '.join(bare)}")
        else:
            points.append(f"{reviewer} {sum(one['score'] for one in given.values())}")
    return faults, f"points of {2 * len(WORDS['rubric'])}: {', '.join(points)}"
