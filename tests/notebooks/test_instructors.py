"""The instructors' notes speak of lessons as they are, and quote errors as they come."""

import contextlib
import copy
import io
import math
import os
import re
from pathlib import Path

import pytest

from ftlab import data, hardware, models, tasks, templates
from ftlab.catalogue import catalogue, choose
from ftlab.curation import doctor, splits, synthesis
from ftlab.evaluation.compare import compare
from ftlab.evaluation.systems import System, answer, few_shot_examples
from ftlab.teaching import plots
from ftlab.teaching.decide import Calculator
from ftlab.teaching.exercises import check, exercises, hint

ROOT = Path(__file__).parents[2]
NOTES = ROOT / "docs" / "instructors"
SOURCES = {path.name[:2]: path for path in sorted((ROOT / "notebooks/source").glob("[0-9]*.py"))}
OF_EACH = pytest.mark.parametrize("lesson", SOURCES)
HEADINGS = [
    "Before class", "Plan", "What to say", "What they predict", "What goes wrong", "Questions",
    "Live exercise",
]  # fmt: skip
FENCE = re.compile(
    r"(?:```python\n(?P<code>.*?)\n```\n\n)?```text\n(?P<told>.*?)\n```$", re.S | re.M
)


def notes(lesson):
    return (NOTES / f"{lesson}.md").read_text(encoding="utf-8")


def sections(lesson):
    source = SOURCES[lesson].read_text(encoding="utf-8")
    return re.findall(r"^# ## (\d+\. .+)$", source, flags=re.M)


def produced(code, names):
    """What a learner would see: what is printed, and the error's last line."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            exec(code, names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return told.getvalue().strip()


def quoted(quote, text):
    """Whether a text is a quotation, in which … stands for anything, at its end too."""
    parts = [re.escape(part.strip()) for part in quote.strip().split("…")]
    return re.fullmatch(r"[\s\S]*".join(parts), text.strip()) is not None


@pytest.fixture(scope="module")
def names():
    """The names that the lessons have when the notes speak of them."""
    model, tokenizer = models.load("ftlab-1m")
    task = tasks.get("punctuation")
    return {
        "Calculator": Calculator, "System": System, "FENCE": "`" * 3, "data.Row": data.Row,
        "answer": answer, "catalogue": catalogue, "check": check, "choose": choose,
        "compare": compare, "copy": copy, "doctor": doctor, "hardware": hardware,
        "held_out": task.examples(8, 0, split="test"), "hint": hint, "math": math,
        "model": model, "models": models,
        "os": os, "plots": plots, "record": data.example("where is anna", "Where is Anna?"),
        "data": data, "splits": splits,
        "few_shot_examples": few_shot_examples,
        "synthesis": synthesis, "task": task, "templates": templates,
        "tokenizer": tokenizer, "train_records": task.examples(60, 0),
    }  # fmt: skip


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """An environment without keys or a profile, which a snippet may change."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        os.environ.pop(name, None)
    os.environ |= {"FTLAB_PROFILE": "cpu", "FTLAB_PROGRESS": str(tmp_path / "progress.json")}
    return tmp_path


def test_every_lesson_has_notes():
    assert sorted(path.stem for path in NOTES.glob("[0-9]*.md")) == list(SOURCES)


@OF_EACH
def test_all_notes_have_one_form(lesson):
    text = notes(lesson)
    title = re.search(r"^# # (\d\d [^:\n]+)", SOURCES[lesson].read_text("utf-8"), re.M)[1]
    assert text.startswith(f"# {title}: notes for instructors\n")
    assert re.findall(r"^## (.+)$", text, flags=re.M) == HEADINGS
    assert 60 <= len(text.splitlines()) <= 150
    assert max(map(len, re.sub(r"```.*?```", "", text, flags=re.S).splitlines())) <= 100


@OF_EACH
def test_a_plan_names_every_section_and_fills_the_class(lesson):
    rows = re.findall(r"^\| (\d+\. .+?) \| (\d+|–) \| (\d+|–) \|$", notes(lesson), flags=re.M)
    assert [title for title, *_ in rows] == sections(lesson)
    for column, minutes in ((1, 90), (2, 45)):
        assert sum(int(row[column]) for row in rows if row[column] != "–") == minutes


@OF_EACH
def test_what_notes_point_at_is_there(lesson):
    text, source = notes(lesson), SOURCES[lesson].read_text(encoding="utf-8")
    source = re.sub(r"^# ?", "", source, flags=re.M)
    for where, number in re.findall(r"(?:lesson (\d\d) )?§ (\d+)", text, flags=re.I):
        assert 1 <= int(number) <= len(sections(where or lesson)), (where, number)
    for piece in re.findall(r"cells? (?:with|of|that says)\s+`([^`]+)`", text):
        assert piece in source, piece
    known = exercises()
    found = re.findall(r"\b(\d\d\.\d)\b", text)
    assert set(found) - {"01.6"} <= set(known), "01.6 is asked for in vain, on purpose"
    live = text.partition("## Live exercise")[2]
    assert any(number.startswith(lesson) for number in re.findall(r"\d\d\.\d", live))


@OF_EACH
def test_errors_are_quoted_as_they_come(lesson, names, clean):
    quotations = [found.groupdict() for found in FENCE.finditer(notes(lesson))]
    assert sum(q["code"] is not None for q in quotations) >= 4
    folder = clean / "folder"
    for number, quotation in enumerate(quotations):
        if quotation["code"] is None:
            assert said_in_source(quotation["told"]), quotation["told"]
            continue
        here = folder / str(number)
        here.mkdir(parents=True)
        told = produced(quotation["code"], {**names, "folder": here})
        told = told.replace(str(here), "FOLDER")
        assert quoted(quotation["told"], told), f"{quotation['code']}\ngave: {told}"


def said_in_source(quote):
    """Whether the words stand in the package, where a long string may be in several lines."""
    wanted = [" ".join(part.split()) for part in quote.split("…")]
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "ftlab").rglob("*.py"))
    joined = (re.sub(r'"\s*\n\s*f?"', "", text) for text in texts)
    return any(all(part in text for part in wanted) for text in joined)


def test_the_guide_points_at_commands_that_are_there():
    text = (NOTES / "README.md").read_text(encoding="utf-8")
    from ftlab.cli import app

    known = {command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"\bftlab ([a-z]+)", text)) <= known
    lessons = re.findall(r"--only (\d\d)", text)
    assert lessons and all((NOTES / f"{lesson}.md").exists() for lesson in lessons)
