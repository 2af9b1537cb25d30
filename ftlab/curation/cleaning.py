"""Clean what a teacher wrote, and say what was cleaned off.

    "Sure! Here is the test:\\n```python\\nimport unittest\\n```\\nLet me know if it helps!"
    ->  "import unittest"      preamble, code fence, trailing chatter

Only what models say to people is taken off: a preamble opens as one does ("Sure", "Here is").

>>> clean("Here is the JSON:\\n{}\\n\\nI hope this helps!")
('{}', ('preamble', 'trailing chatter'))
>>> clean("items:\\n- 1")
('items:\\n- 1', ())
"""

import re

KINDS = ("thinking", "preamble", "code fence", "trailing chatter")
# A thought without an end leaves no answer.
_THINKING = re.compile(r"\A\s*<(think|thinking|reasoning)>.*?(?:</\1>\s*|\Z)", re.DOTALL)
_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n`]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_OPEN_FENCE = re.compile(r"\A(`{3,}|~{3,})[^\n`]*\n")
_PREAMBLE = re.compile(
    r"\A(?:(?:sure|certainly|of course|absolutely|okay|ok|great|happy to help|no problem)\b"
    r"[^\n:]{0,60}[!.,:][ \t]*(?:\n+|(?=here\b|below\b))"
    r"|(?:here(?:'s|’s| is| are| it is| you go)|below (?:is|are)|the following (?:is|are)|this is)"
    r"\b[^\n]{0,120}:[ \t]*\n+)",
    re.IGNORECASE,
)
_CHATTER = re.compile(
    r"\n+(?:let me know|i hope|hope (?:this|that|it)|feel free|please let me"
    r"|if you (?:need|have|want|would like)|is there anything|note that|note:"
    r"|this (?:code|test|module|answer|should)|i(?:'ve| have) (?:added|kept|used|included)"
    r"|explanation:)[^\n]*\s*\Z",
    re.IGNORECASE,
)


def clean(text: str) -> tuple[str, tuple[str, ...]]:
    """Return what is left of a teacher's answer, and the `KINDS` that were cleaned off."""
    found: set[str] = set()
    text = text.replace("\r\n", "\n").strip()
    while True:
        before = text
        for kind, pattern in (("thinking", _THINKING), ("preamble", _PREAMBLE)):
            while match := pattern.match(text):
                text = text[match.end() :].lstrip("\n")
                found.add(kind)
        if fenced := _FENCED.search(text):
            found |= {"code fence"} | ({"preamble"} if text[: fenced.start()].strip() else set())
            found |= {"trailing chatter"} if text[fenced.end() :].strip() else set()
            text = fenced[2]
        elif opened := _OPEN_FENCE.match(text):  # never closed: the answer was cut off
            found.add("code fence")
            text = text[opened.end() :]
        while match := _CHATTER.search(text):
            text = text[: match.start()]
            found.add("trailing chatter")
        text = text.strip("\n").rstrip()
        if text == before:
            return text, tuple(kind for kind in KINDS if kind in found)
