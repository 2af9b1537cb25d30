"""The lessons' widgets in a real JupyterLab: a hand moves them, and what they say follows."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from ftlab.teaching.decide import QUESTIONS, decide
from ftlab.teaching.quizzes import quiz

expect = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright").expect
pytestmark = pytest.mark.browser
QUIET = {  # no news, no tour, no check for updates: nothing that asks the network or covers a cell
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True,
    },
}  # fmt: skip
TICKED = ("measured", "prompted", "pattern", "shown", "examples", "narrow")  # as in lesson 01
CELLS = {
    "quiz": 'import ftlab\n\nftlab.quiz("00")',
    "break-even": "from ftlab.teaching.decide import Calculator\n\nCalculator()",
    "questions": f"from ftlab.teaching.decide import Helper\n\nHelper({TICKED})",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A notebook of the widgets' cells, beside the settings of a Lab that is nobody's own."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in CELLS.values()],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    (folder / "work").mkdir()
    nbformat.write(notebook, folder / "work" / "widgets.ipynb")
    (folder / "config" / "labconfig").mkdir(parents=True)
    (folder / "config" / "labconfig" / "default_setting_overrides.json").write_text(
        json.dumps(QUIET)
    )
    return folder


@pytest.fixture(scope="module")
def lab(chromium, folder):  # chromium first: without one no server is started
    """A JupyterLab on a free port of this machine alone; the address of its notebook."""
    own = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython",
        "JUPYTER_DATA_DIR": "data", "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "FTLAB_PROGRESS": "progress.json",
    }  # fmt: skip
    environment = os.environ | {name: str(folder / path) for name, path in own.items()}
    log = folder / "server.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0",
             "--ip=127.0.0.1", "--LabApp.news_url="],
            cwd=folder / "work", env=environment, stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while not (told := "".join(map(Path.read_text, folder.glob("runtime/jpserver-*.json")))):
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield "{url}lab/tree/widgets.ipynb?token={token}".format(**json.loads(told))
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:  # a kernel that was just starting can hold it up
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def notebook(page, lab):
    """The notebook, opened, with its kernel."""
    page.goto(lab)
    page.get_by_text("| Idle").wait_for()  # in the status bar; without it Lab asks which kernel
    return page


def widget(notebook, name):
    """One cell's widget: run the cell by keyboard, and wait until it is drawn."""
    cell = notebook.locator(".jp-Notebook .jp-CodeCell").nth(list(CELLS).index(name))
    cell.locator(".cm-content").click()
    notebook.keyboard.press("Shift+Enter")
    drawn = cell.locator(".jp-OutputArea-output .widget-vbox").first
    drawn.wait_for()
    return drawn


def drag(page, slider, by):
    """Drag a slider's handle by some pixels."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by / 2, y, steps=4)
    page.mouse.move(x + by, y, steps=4)
    page.mouse.up()


def test_a_quiz_explains_the_option_that_was_chosen_and_keeps_the_score(notebook, folder):
    shown = widget(notebook, "quiz")
    question = quiz("00").questions[0]
    wrong = next(n for n, option in enumerate(question.options) if not option.right)
    first = shown.locator(".widget-vbox").first
    check = first.get_by_role("button", name="Check")
    check.click()
    expect(first).to_contain_text("Choose an option first.")

    for picked, verdict in ((wrong, "Not quite."), (question.right, "Right.")):
        first.get_by_role("radio").nth(picked).check()
        check.click()
        expect(first.get_by_role("status")).to_contain_text(verdict)
        expect(first.get_by_role("status")).to_contain_text(question.options[picked].why)
    expect(shown.get_by_role("status")).to_have_count(1)  # the other questions say nothing
    kept = json.loads((folder / "progress.json").read_text())
    assert kept == {"quiz 00.1": {"passed": True, "tries": 2}}


def test_the_break_even_follows_its_sliders(notebook):
    shown = widget(notebook, "break-even")
    bill = shown.get_by_role("status")
    expect(bill).to_contain_text("100,000 calls a month, prompts of 1,500 or 150 tokens")
    before = bill.text_content()
    calls, long_prompt = shown.get_by_role("slider").nth(0), shown.get_by_role("slider").nth(1)
    drag(notebook, calls, 60)
    expect(bill).not_to_contain_text("100,000 calls a month")
    assert bill.text_content().splitlines()[1:] != before.splitlines()[1:]  # another bill
    long_prompt.press("ArrowRight")
    expect(bill).to_contain_text("prompts of 1,550 or 150 tokens")
    expect(bill).to_contain_text("pays back after")
    times = shown.get_by_role("slider").last  # what a tuned token costs, as times a base's
    drag(notebook, times, 600)
    expect(bill).to_contain_text("it never pays")


def test_the_ten_questions_follow_their_ticks(notebook):
    shown = widget(notebook, "questions")
    ticks, advice = shown.get_by_role("checkbox"), shown.get_by_role("status")
    expect(ticks).to_have_count(len(QUESTIONS))
    first = decide(dict.fromkeys(QUESTIONS, False) | dict.fromkeys(TICKED, True))
    expect(advice).to_contain_text(str(first).splitlines()[0])
    ticks.nth(list(QUESTIONS).index("program")).check()
    expect(advice).to_contain_text("do not fine-tune")
    ticks.nth(list(QUESTIONS).index("program")).uncheck()
    expect(advice).to_contain_text(str(first).splitlines()[0])


def test_the_page_complains_of_nothing(notebook):
    assert notebook.complaints == []
