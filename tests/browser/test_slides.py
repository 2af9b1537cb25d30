"""The slides of a lesson, in a real browser, as an instructor without a network opens them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.browser
def test_slides_need_no_network_and_every_section_begins_one(tmp_path, chromium):
    for tool in ("sphinx_revealjs", "nbconvert"):
        pytest.importorskip(tool, reason="make site installs what the slides need")
    command = [sys.executable, "scripts/slides.py", str(tmp_path), "00"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    notebook = json.loads((ROOT / "notebooks" / "00_first_fine_tune.ipynb").read_text())
    page, asked = chromium.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "00_first_fine_tune.html").as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    sections = sum("".join(cell["source"]).startswith("## ") for cell in notebook["cells"])
    assert page.evaluate("Reveal.getHorizontalSlides().length") == sections + 1
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
