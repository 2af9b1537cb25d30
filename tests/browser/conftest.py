"""A real Chromium, moved by playwright: the machine's own one, none is downloaded."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
PATIENCE = 120_000  # milliseconds for whatever is waited for: a loaded machine is slow, not wrong


@pytest.fixture(scope="module")  # not the session: playwright's event loop bars asyncio.run
def chromium() -> Iterator[Any]:
    """Start the browser; skip, and say what to install, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    sync_api.expect.set_options(timeout=PATIENCE)
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium or Chrome, as Debian's: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(chromium: Any) -> Iterator[Any]:
    """Open a tab; what its console complains of stands in `page.complaints`."""
    page = chromium.new_page(viewport={"width": 1100, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda told: told.type == "error" and page.complaints.append(told.text))
    yield page
    page.close()
