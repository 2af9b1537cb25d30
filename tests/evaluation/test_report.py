from html.parser import HTMLParser

import pytest

from ftlab.evaluation.report import difference, page

VOID = {"meta", "br", "input", "circle", "path", "link", "img"}


class Reader(HTMLParser):
    """Checks that every element is closed, and notes elements, ids and text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def figure(value, spread=0.05):
    return {"value": value, "low": value - spread, "high": value + spread, "level": 0.95}


EVIL = "<script>alert('x')</script> & \"more\""


@pytest.fixture
def verdict():
    def example(i, base, tuned, **more):
        scores = {"base": base, "tuned": tuned}
        outputs = {k: {"text": f"{k} {i}.", "scores": {"f1": v}} for k, v in scores.items()}
        row = {"input": f"in {i}", "reference": f"Ref {i}.", "slice": "s", "outputs": outputs}
        return {**row, **more}

    return {
        "task": "punctuation",
        "headline": "f1",
        "n": 3,
        "seed": 7,
        "sentence": "On 3 examples, better.",
        "systems": {
            "base": {"words": figure(0.9), "f1": figure(0.1)},
            "tuned": {"words": figure(0.95), "f1": figure(0.7)},
        },
        "differences": {"tuned": {"words": figure(0.05), "f1": figure(0.6)}},
        "slices": {
            name: {
                "n": n,
                "systems": {"base": figure(0.1), "tuned": figure(0.7)},
                "differences": {"tuned": figure(0.6)},
            }
            for name, n in (("topics", 1), ("docstrings", 2))
        },
        "examples": [example(1, 0.1, 0.8), example(2, 0.5, 0.2), example(3, None, 0.2)],
        "provenance": {"models": {"base": "smollm2-135m"}, "seconds": 81.5},
    }


def test_page_is_well_formed_and_stands_alone(verdict):
    html = page(verdict)
    read = Reader(html)
    assert read.all("link") == [{"rel": "icon", "href": "data:,"}] and not read.all("img")
    assert all("src" not in attributes for _, attributes in read.elements)
    assert "http" not in html.replace("http-equiv", "")
    assert read.all("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in read.all("meta"))


def test_page_has_headings_scopes_and_names_for_what_it_refers_to(verdict):
    read = Reader(page(verdict))
    assert len(read.all("h1")) == 1
    assert {th["scope"] for th in read.all("th")} == {"row", "col"}
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [a["aria-labelledby"] for _, a in read.elements if "aria-labelledby" in a]
    assert set(named) <= set(ids) and len(named) >= 5
    (svg,) = read.all("svg")
    assert svg["role"] == "img"


def pair(a, b):
    counts = {"win": 2, "tie": 0, "loss": 1, "test": "t", "p": 0.5, "corrected": 0.5}
    return {"a": a, "b": b, "difference": figure(0.6), "smallest": 0.1, "needed": {}, **counts}


def test_figures_headline_first_with_intervals(verdict):
    verdict["pairs"] = [pair("base", "tuned")]
    text = Reader(page(verdict)).text
    assert text.index("f1") < text.index("words")
    assert "0.700" in text and "0.650 to 0.750" in text
    assert "2 better, 0 equal, 1 worse" in text
    assert "docstrings (2)" in text


def test_dots_stand_where_their_figures_are(verdict):
    dots = [float(dot["cx"]) for dot in Reader(page(verdict)).all("circle")]
    assert dots == [pytest.approx(15 + 370 * v, abs=0.1) for v in (0.1, 0.7, 0.9, 0.95)]


def test_the_worst_regression_comes_first_and_each_card_has_its_gaps(verdict):
    cards = Reader(page(verdict)).all("article")
    assert [card["data-number"] for card in cards] == ["2", "1", "3"]
    assert [card["data-gaps"] for card in cards] == ["-0.3", "0.7", ""]


def test_everything_is_escaped(verdict):
    verdict["task"] = verdict["sentence"] = EVIL
    verdict["systems"] = {EVIL: verdict["systems"]["base"]}
    verdict["differences"], verdict["pairs"] = {EVIL: {}}, [pair(EVIL, EVIL)]
    part = {"n": 1, "systems": {EVIL: figure(0.1)}, "differences": {}}
    verdict["slices"] = {EVIL: part, "docstrings": part}
    shown = {"text": EVIL, "raw": EVIL + "\n" + EVIL, "scores": {"f1": 0.5}}
    verdict["examples"] = [
        {"input": EVIL, "reference": EVIL, "slice": EVIL, "outputs": {EVIL: shown}}
    ]
    verdict["provenance"] = {EVIL: {EVIL: EVIL}}
    html = page(verdict)
    assert "<script>alert" not in html
    assert html.count("<script>") == 1  # our own
    assert Reader(html).text.count("alert('x')") >= 12


def test_unknown_figures_are_dashes(verdict):
    unknown = {"value": None, "low": None, "high": None, "level": 0.95}
    for row in (*verdict["systems"].values(), *verdict["differences"].values()):
        row["words"] = unknown
    read = Reader(page(verdict))
    assert "–" in read.text
    assert len(read.all("circle")) == 2


def test_one_system_alone(verdict):
    verdict["systems"].pop("tuned")
    verdict["differences"], verdict["slices"] = {}, {}
    for example in verdict["examples"]:
        example["outputs"].pop("tuned")
    read = Reader(page(verdict))
    assert not [i for i in read.all("select") if i.get("name") == "how"]
    assert "By slice" not in read.text


def test_an_empty_answer_shows_what_is_missing(verdict):
    verdict["examples"][0]["outputs"]["base"]["text"] = ""
    assert "(nothing) <del>Ref 1.</del>" in page(verdict)


@pytest.mark.parametrize(
    ("reference", "text", "html"),
    [
        ("A b.", "A b.", "A b."),
        ("A b.", "", "<del>A b.</del>"),
        ("", "A b.", "<ins>A b.</ins>"),
        ("A, b c.", "A b c.", "<del>A,</del> <ins>A</ins> b c."),
        ("a c", "a b c", "a <ins>b</ins> c"),
        ("a<b", "a<b", "a&lt;b"),
    ],
)
def test_difference(reference, text, html):
    assert difference(reference, text) == html
