"""The site's list of pages, and its check of links; `make site` builds it."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from ftlab.teaching.plots import LESSONS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def conf():
    return runpy.run_path(str(ROOT / "docs" / "conf.py"))


def test_every_lesson_has_a_page_and_its_solutions_beside_it(conf):
    lessons = [Path(page) for page in conf["pages"]("Lessons")]
    assert [lesson.name[:2] for lesson in lessons] == list(LESSONS)
    for lesson in lessons:
        assert (ROOT / lesson.parent / "solutions" / lesson.name).exists()


def test_every_card_has_a_page(conf):
    read = set(conf["include_patterns"])
    cards = {path.relative_to(ROOT).as_posix() for path in (ROOT / "data").rglob("*.md")}
    assert cards and cards <= read
    assert {"README.md", "notebooks/claims.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= read


def test_a_lesson_gets_its_downloads_and_the_home_page_its_menu(conf):
    page = [(ROOT / "notebooks" / "00_first_fine_tune.ipynb").read_text()]
    conf["prepare"](None, "notebooks/00_first_fine_tune", page)
    assert "{download}`this lesson <00_first_fine_tune.ipynb>`" in page[0]
    home = [(ROOT / "README.md").read_text()]
    conf["prepare"](None, "README", home)
    assert "](https://github.com/ftlab-course/ftlab/tree/main/ftlab)" in home[0]  # a folder
    assert (
        home[0].count("```{toctree}") >= 4 and "\n/notebooks/00_first_fine_tune.ipynb\n" in home[0]
    )


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("there.html", None),
        ("there.html#part", None),
        ("https://example.org/gone", None),
        ("#here", None),
        ("gone.html", "index.html: gone.html leads nowhere"),
        ("../outside.html", "index.html: ../outside.html leads nowhere"),
        ("there.html#gone", "index.html: there.html#gone names no place in there.html"),
        ("#gone", "index.html: #gone names no place in index.html"),
        ("file:///home/ada/x", "index.html: a path of this machine, file://"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(tmp_path, conf, link, fault):
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "outside.html").write_text("")
    (site / "there.html").write_text('<h1 id="part">There</h1>')
    (site / "index.html").write_text(f'<a id="here" href="{link}">on</a>')
    faults = runpy.run_path(str(ROOT / "docs" / "check.py"))["faults"]
    assert list(faults(site)) == ([fault] if fault else [])


def test_a_link_to_a_solution_is_a_download(conf):
    home = [(ROOT / "README.md").read_text()]
    conf["prepare"](None, "README", home)
    assert "](notebooks/solutions/" not in home[0]  # solutions are no pages
    assert home[0].count("_solutions.ipynb>`") == len(LESSONS)


def test_the_site_builds_and_its_links_lead_somewhere(tmp_path):
    for tool in ("myst_nb", "furo", "sphinx_copybutton"):
        pytest.importorskip(tool, reason="make site installs what the site needs")
    build = ["sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-c", "docs"]
    places = ["-d", str(tmp_path / "doctrees"), ".", str(tmp_path / "site")]
    for command in (["-m", *build, *places], ["docs/check.py", str(tmp_path / "site")]):
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_glossary_is_in_order_and_has_every_term_once():
    terms = re.findall(r"^\*\*(.+?)\*\*: [A-Z`]", (ROOT / "docs/glossary.md").read_text(), re.M)
    assert terms == sorted(set(terms), key=str.lower)
    assert len(terms) > 60
