"""What models say around an answer is taken off, and what only looks like it stays."""

import pytest

from ftlab.curation.cleaning import KINDS, clean


@pytest.mark.parametrize(
    "text, left, found",
    [
        ("plain", "plain", ()),
        ("Sure! Here is the test:\n\nx", "x", ("preamble",)),
        ("Certainly, here's the YAML document you asked for:\nx: 1", "x: 1", ("preamble",)),
        ("```python\nx\n```", "x", ("code fence",)),
        ("Text\n```\nx\n\ny\n```\nThis works because.", "x\n\ny",
         ("preamble", "code fence", "trailing chatter")),
        ("```json\n{\"a\": 1", '{"a": 1', ("code fence",)),
        ("x\n\nNote: a\n\ny", "x\n\nNote: a\n\ny", ()),
        ("x\n\nI hope this helps!\n\nLet me know!", "x", ("trailing chatter",)),
        ("<think>hm\nhm</think>\nx", "x", ("thinking",)),
        ("<think>hm\nso 3 + 4 and", "", ("thinking",)),
        ("items:\n- Sure\n- Here is: it", "items:\n- Sure\n- Here is: it", ()),
        ("Sure enough, the door opened.", "Sure enough, the door opened.", ()),
        ("", "", ()),
    ],
)  # fmt: skip
def test_cleaning(text, left, found):
    assert clean(text) == (left, found)
    assert clean(left)[0] == left and set(found) <= set(KINDS)
