"""The service's page in a real browser, by its keyboard."""

import json
import time

import openai
import pytest

from ftlab import models
from ftlab.serving.app import make_app
from ftlab.serving.engine import Engine
from ftlab.serving.server import Running
from ftlab.serving.service import Limits, Service
from ftlab.serving.store import Store

pytestmark = pytest.mark.browser
ROW = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("page"))
    model, tokenizer = models.load("ftlab-1m", device="cpu")
    engine = Engine(model=model, tokenizer=tokenizer)
    service = Service(store, "ftlab-1m", (), Limits(requests=10**6), engine)
    running = Running(make_app(service))
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none") as client:
        file = client.files.create(file=("a", json.dumps(ROW).encode()), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model="ftlab-1m", training_file=file.id).id
    yield running.url, store, job
    running.close()
    engine.close()


def test_a_job_is_drawn_as_it_goes_on_and_cancelled_by_keyboard(page, served):
    url, store, job = served
    page.goto(url)
    article = page.locator(f"[data-job={job}]")
    assert "queued" in article.text_content() and article.locator("svg").count() == 0
    for step, loss in enumerate((3.0, 2.0, 1.5), 1):  # as the worker tells of them
        told = {"step": step, "total_steps": 9, "eta_seconds": 6, "train_loss": loss}
        store.tell(job, f"step {step}", f"Step {step}", data=told)
    article.locator("svg[aria-label*='from 3.00 to 1.50 in 3 steps']").wait_for()
    assert article.locator("path.loss").get_attribute("d").count("L") == 2
    page.locator("button[data-cancel]").focus()
    page.keyboard.press("Enter")
    page.get_by_text("cancelled").wait_for()
    assert store.get("job", job).body["status"] == "cancelled"
    assert page.complaints == []


def test_two_models_answer_side_by_side_by_keyboard(page, served):
    page.goto(served[0])
    page.locator("#prompt").focus()
    page.keyboard.type("Say <b>one</b>.")
    for wanted in ("temperature", ""):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == wanted
    page.keyboard.press("Enter")
    left, right = (page.locator(f"output#{side}") for side in ("left", "right"))
    deadline = time.monotonic() + 60  # greedy, and the same model
    while len(left.text_content()) < 3 or left.text_content() != right.text_content():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert page.complaints == []


def test_traces_are_filtered_labelled_and_corrected_by_keyboard(page, served):
    with openai.OpenAI(base_url=f"{served[0]}/v1", api_key="none") as client:
        ids = [
            client.chat.completions.create(
                model="ftlab-1m", max_tokens=3, store=True, metadata={"n": str(n)},
                messages=[{"role": "user", "content": f"Question <b>{n}</b>?"}],
            ).id
            for n in range(3)
        ]  # fmt: skip
        page.goto(served[0])
        page.locator("input[name=text]").focus()
        page.keyboard.type("QUESTION <b>1")
        page.keyboard.press("Enter")
        page.locator(f"[data-trace={ids[0]}]").wait_for(state="detached")
        article = page.locator("article[data-trace]")
        assert article.count() == 1 and article.get_attribute("data-trace") == ids[1]
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        article.locator("[aria-pressed=true]").get_by_text("Good").wait_for()
        for key in ("Tab", "Tab"):
            page.keyboard.press(key)
        page.keyboard.type("One <i>more</i>")
        page.keyboard.press("Tab")
        article.locator("[aria-pressed=true]").get_by_text("Bad").wait_for()
        kept = client.chat.completions.retrieve(ids[1])
        assert kept.metadata == {"n": "1", "label": "bad", "correction": "One <i>more</i>"}
        page.locator("#filter select[name=label]").select_option("none")
        page.get_by_text("No trace.").wait_for()
    assert page.complaints == []


@pytest.mark.parametrize("width", [360, 1100])
def test_nothing_is_wider_than_the_screen_and_nothing_is_asked_of_others(page, served, width):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(served[0])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert all(url.startswith(served[0]) for url in asked) and page.complaints == []
    unnamed = (
        "[...document.querySelectorAll('select,textarea,input')].filter(e => !e.labels.length)"
    )
    assert page.evaluate(f"{unnamed}.length") == 0
