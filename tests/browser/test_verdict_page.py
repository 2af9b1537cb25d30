"""The verdict's page in a real browser, driven by its keyboard."""

import pytest

from ftlab import data, tasks
from ftlab.evaluation.compare import compare
from ftlab.evaluation.forgetting import forgotten
from ftlab.tasks import Ratio

pytestmark = pytest.mark.browser
NAMES = (
    "smollm2-135m",
    "smollm2-135m + instructions",
    "runs/a-folder-with-a-rather-long-name",
    "baseline",
)


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    task = tasks.get("triage")
    rows = task.examples(24, seed=0, split="test")
    wrong = "nonsense, " + "averyverylongword" * 8 + "\nand on it goes"
    outputs = {
        name: [data.answer(r) if (i + 1) % (k + 2) == 0 or (k == 2 and i) else wrong
               for i, r in enumerate(rows)]
        for k, name in enumerate(NAMES)
    }  # fmt: skip
    verdict = compare(
        task, rows, outputs,
        costs={name: {"tokens_in": 50.0, "tokens_out": 9.0, "seconds": 0.1} for name in NAMES},
        forgetting=forgotten({n: [Ratio(9 + k, 5)] * 3 for k, n in enumerate(NAMES)}),
        provenance={"models": {"hash": "0123456789abcdef" * 8}},
    )  # fmt: skip
    return verdict.save(tmp_path_factory.mktemp("page"))


@pytest.fixture
def report(page, page_path):
    page.goto(page_path.as_uri())
    return page


def titles(page):
    return page.locator("article:not([hidden]) h3").all_text_contents()


def tab_to(page, name):
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == name:
            return
    raise AssertionError(f"Tab does not reach {name}")


@pytest.mark.parametrize("width", [390, 1100])
def test_nothing_is_wider_than_the_screen_and_the_console_is_silent(page, page_path, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(page_path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wider = "[...document.querySelectorAll('body *')].filter(e => e.scrollWidth > e.clientWidth + 1"
    wider += " && getComputedStyle(e).overflowX !== 'visible' && !e.closest('thead')).length"
    assert page.evaluate(wider) == 0
    assert page.locator("#shown").text_content() == "24 of 24 examples shown"
    assert page.complaints == []


def test_the_filter_works_by_keyboard_alone(report):
    everything = titles(report)
    assert len(everything) == 24
    gaps = report.locator("article").first.get_attribute("data-gaps")
    assert float(gaps.split()[0]) == -1  # the worst regression
    tab_to(report, "text")
    report.keyboard.insert_text("example 7")
    assert [title.split(" ")[1] for title in titles(report)] == ["7"]
    for _ in "example 7":
        report.keyboard.press("Backspace")
    assert titles(report) == everything
    tab_to(report, "how")
    report.keyboard.press("ArrowDown")
    assert report.evaluate("document.activeElement.value") == "worse"
    worse = titles(report)
    assert 0 < len(worse) < 24
    assert report.locator("#shown").text_content().startswith(f"{len(worse)} of")
    tab_to(report, "order")
    report.keyboard.press("ArrowDown")
    numbers = [int(title.split()[1]) for title in titles(report)]
    assert numbers == sorted(numbers) and len(numbers) == len(worse)
    assert report.complaints == []
