"""The page in a real browser, driven by its keyboard over the DevTools protocol."""

import itertools
import json
import shutil
import subprocess
import time
import urllib.request

import pytest

from ftlab import tasks
from ftlab.evaluation.compare import compare
from ftlab.evaluation.contestants import Answers, Contestant
from ftlab.evaluation.costs import costs, prices
from ftlab.evaluation.forgetting import forgotten
from ftlab.tasks import Ratio

websocket = pytest.importorskip("websocket")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="no chromium here")]
NAMES = ("ftlab-7m", "ftlab-7m + instructions", "runs/a-folder-with-a-rather-long-name", "baseline")


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    task = tasks.get("triage")
    rows = task.examples(24, seed=0, split="test")
    wrong = "intent: nonsense\npriority: " + "averyverylongword" * 8 + "\nand on it goes"
    outputs = {
        name: [r.completion if (i + 1) % (k + 2) == 0 or (k == 2 and i) else wrong
               for i, r in enumerate(rows)]
        for k, name in enumerate(NAMES)
    }  # fmt: skip
    took = {n: Answers(Contestant(n, n), t, [50] * 24, [9] * 24, 2.0) for n, t in outputs.items()}
    table = prices()
    verdict = compare(
        task, rows, outputs,
        costs={"prices": table.model_dump(mode="json"), "contestants": costs(took, table)},
        forgetting={"general": forgotten({n: [Ratio(9 + k, 5)] * 3 for k, n in enumerate(NAMES)})},
        provenance={"models": {"hash": "0123456789abcdef" * 8}},
    )  # fmt: skip
    return verdict.save(tmp_path_factory.mktemp("page"))


class Browser:
    """One tab: send commands, collect what the console complains of."""

    def __init__(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as reply:
            tab = next(t for t in json.load(reply) if t["type"] == "page")
        self.socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=60)
        self.numbers, self.complaints, self.events = itertools.count(1), [], []
        for domain in ("Runtime", "Log", "Page"):
            self.do(f"{domain}.enable")

    def do(self, method, **params):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            told = json.loads(self.socket.recv())
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]
            self.note(told)

    def note(self, told):
        self.events.append(told["method"])
        if told["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(told["params"])
        if told["method"] == "Runtime.consoleAPICalled" and told["params"]["type"] == "error":
            self.complaints.append(told["params"])

    def open(self, path, width):
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=800,
                deviceScaleFactor=1, mobile=width < 500)  # fmt: skip
        self.do("Page.navigate", url=path.as_uri())
        end = time.monotonic() + 30
        while self.js("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() < end
            time.sleep(0.05)

    def js(self, code):
        return self.do("Runtime.evaluate", expression=code, returnByValue=True)["result"].get(
            "value"
        )

    def press(self, key, code):
        for kind in ("keyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                    windowsVirtualKeyCode=code)  # fmt: skip

    def tab_to(self, name):
        for _ in range(40):
            self.press("Tab", 9)
            if self.js("document.activeElement.name") == name:
                return
        raise AssertionError(f"Tab does not reach {name}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    home = tmp_path_factory.mktemp("chromium")
    process = subprocess.Popen(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--disable-background-networking", "--no-first-run", "--remote-debugging-port=0",
         "--remote-allow-origins=*", f"--user-data-dir={home}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        told, end = home / "DevToolsActivePort", time.monotonic() + 60
        while not (told.exists() and told.read_text().strip()):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        found = Browser(told.read_text().split()[0])
        yield found
        found.socket.close()
    finally:
        process.terminate()
        process.wait(20)


SHOWN = "[...document.querySelectorAll('article:not([hidden]) h3')].map(h => h.textContent)"


@pytest.mark.parametrize("width", [390, 1100])
def test_nothing_is_wider_than_the_screen_and_the_console_is_silent(browser, page_path, width):
    browser.open(page_path, width)
    assert browser.js("document.documentElement.scrollWidth") <= width
    wider = "[...document.querySelectorAll('body *')].filter(e => e.scrollWidth > e.clientWidth + 1"
    wider += " && getComputedStyle(e).overflowX !== 'visible' && !e.closest('thead')).length"
    assert browser.js(wider) == 0
    assert browser.js("document.getElementById('shown').textContent") == "24 of 24 examples shown"
    assert browser.complaints == []


def test_the_filter_works_by_keyboard_alone(browser, page_path):
    browser.open(page_path, 1100)
    everything = browser.js(SHOWN)
    assert len(everything) == 24
    first = browser.js("document.querySelector('article').dataset.gaps")
    assert float(first.split()[0]) == -1  # the worst regression
    browser.tab_to("text")
    browser.do("Input.insertText", text="example 7")
    assert [title.split(" ")[1] for title in browser.js(SHOWN)] == ["7"]
    for _ in "example 7":
        browser.press("Backspace", 8)
    assert browser.js(SHOWN) == everything
    browser.tab_to("how")
    browser.press("ArrowDown", 40)
    assert browser.js("document.activeElement.value") == "worse"
    worse = browser.js(SHOWN)
    assert 0 < len(worse) < 24
    assert browser.js("document.getElementById('shown').textContent").startswith(f"{len(worse)} of")
    browser.tab_to("order")
    browser.press("ArrowDown", 40)
    numbers = [int(title.split()[1]) for title in browser.js(SHOWN)]
    assert numbers == sorted(numbers) and len(numbers) == len(worse)
    assert browser.complaints == []
