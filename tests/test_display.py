import pytest

from ftlab import display as show

PAGES = {"white": "#ffffff", "the black of JupyterLab": "#111111"}


def light(colour):
    """Return a colour's relative luminance, as WCAG 2.1 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("tone", show.COLOURS)
@pytest.mark.parametrize("page", PAGES)
def test_a_mark_is_seen_on_light_and_on_dark_pages(tone, page):
    low, high = sorted((light(show.COLOURS[tone]), light(PAGES[page])))
    assert (high + 0.05) / (low + 0.05) > 3  # WCAG 2.1, 1.4.11: marks and bars


def test_a_box_leaves_the_colour_of_its_text_to_the_page():
    told = show.box("1 < 2", "note")
    assert "1 &lt; 2" in told and told.count("color:") == 1 and show.COLOURS["note"] in told


def test_wrapped_text_fits_keeps_its_words_and_its_own_lines():
    text = "one two-part word " * 20 + "\n\nand an end"
    told = show.wrap(text, "wanted:   ")
    lines = told.splitlines()
    assert max(map(len, lines)) <= 96
    assert all(line.startswith(" " * 10) for line in lines[1:] if line)
    assert lines[0].startswith("wanted:   one") and lines[-1].strip() == "and an end"
    assert told.removeprefix("wanted:").split() == text.split()
    assert show.wrap("") == "" and show.wrap(ValueError("no")) == "no"
