"""Slides follow from the cells: nothing of a solution, nothing from a network, nothing cut off."""

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from ftlab.teaching import slides

ROOT = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(ROOT.glob("*.ipynb"))
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
v4 = nbformat.v4


def code(source, *outputs, tags=()):
    return v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def stream(text):
    return v4.new_output("stream", text=text)


def of(*cells):
    return slides.slides(v4.new_notebook(cells=list(cells)))


def test_kinds_follow_from_the_cells():
    made = of(
        v4.new_markdown_cell("# 00 A lesson\n\n[![Open](https://x/y.svg)](https://x)\n\nHello."),
        code('import sys\nif "google.colab" in sys.modules:\n    pass'),
        v4.new_markdown_cell("## 1. One\n\nText.\n\n## 2. Two\n\nMore."),
        v4.new_markdown_cell("**Predict.** What?"),
        code('my_guess = "..."'),
        code("1 + 1", stream("<2>\n")),
        v4.new_markdown_cell("Left out.", metadata={"tags": ["slide-skip"]}),
        code("def f():\n    pass"),
    )
    assert [slide.kind for slide in made] == ["title", "head", "head", "prose", "code", "code"]
    assert "https:" not in made[0].body and "Hello." in made[0].body
    assert made[3].section == "2. Two"
    assert "&lt;2&gt;" in made[4].body


def test_an_exercise_is_its_prompt_and_its_stub():
    outcome = v4.new_output("display_data", data={"text/plain": "00.1 is not written yet"})
    stub = 'def f(x):\n    """Double it."""\n    ...\n\n\ncheck("00.1", f)'
    text = v4.new_markdown_cell("# 00 A lesson\n\n## 1. One\n\n**Exercise 00.1.** Do.")
    *_, made = of(text, code(stub, outcome, tags=["exercise"]))
    assert made.kind == "exercise"
    assert "Exercise 00.1" in made.body and "Double it" in made.body
    assert "check" not in made.body and "not written yet" not in made.body


def test_a_long_output_has_a_slide_of_its_own_and_an_end():
    made = of(code("\n".join(["x = 1"] * 20), stream("line\n" * 60)))
    assert [slide.kind for slide in made] == ["code", "output"]
    assert "and 36 more lines in the notebook" in made[1].body


def test_quiz_questions_come_without_answers():
    text = "Quiz 00\n\n1. Why?\n   a) This\n   b) That\n\nAnswer with quiz()."
    data = {"text/plain": text, "text/html": "<b>Right.</b>"}
    made = of(code('ftlab.quiz("00")', v4.new_output("display_data", data=data)))
    assert [slide.kind for slide in made] == ["quiz"]
    assert "<li>That</li>" in made[0].body and "Right" not in made[0].body


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_has_slides_that_need_no_network_and_tell_no_solution(path):
    notebook = nbformat.read(path, as_version=4)
    page = slides.page(notebook, path.stem[:2])
    assert not re.search(r"<(script|img|link|iframe)[^>]+https?:|@import|url\(", page)
    solved = nbformat.read(ROOT / "solutions" / path.name, as_version=4)
    exercises = [c for c in solved.cells if "exercise" in c.metadata.get("tags", [])]
    assert page.count('class="exercise"') == len(exercises)
    bodies = "".join(s.body for s in slides.slides(notebook) if s.kind == "exercise")
    told = re.sub(r"<[^>]+>", "", bodies)
    for cell in exercises:
        answer = [line.strip() for line in cell.source.splitlines() if "return " in line]
        assert answer and all(line not in told for line in answer)


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no chromium here")
@pytest.mark.parametrize("lesson", ["00", "06"])
def test_nothing_runs_off_a_slide(lesson, tmp_path):
    path = next(path for path in NOTEBOOKS if path.name.startswith(lesson))
    file = tmp_path / "slides.html"
    file.write_text(slides.page(nbformat.read(path, as_version=4), lesson), encoding="utf-8")
    dumped = subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--window-size=1280,807", "--dump-dom",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=9000", file.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    sizes = [float(size) for size in re.findall(r'data-size="([\d.]+)"', dumped)]
    assert len(sizes) == dumped.count("<section")
    assert min(sizes) > 0.7, "a slide is scaled down until hardly anybody can read it"
