"""Whether an answer refuses: a fine-tune that wins on its metric may have learned to."""

import re

_APOLOGY = r"(?:i['’]?m|i am|we are|we['’]re) (?:very |so |truly )?(?:sorry|afraid)"
_CANNOT = (
    r"(?:i|we) (?:can['’]?t|cannot|can not|won['’]?t|will not|am (?:un|not )able to|"
    r"['’]?m (?:un|not )able to|(?:must|have to) (?:decline|refuse))"
)
_REFUSAL = re.compile(
    rf"^\W*(?:{_APOLOGY}|sorry\b|as an ai\b|(?:unfortunately|regrettably),? {_CANNOT}|{_CANNOT})",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Whether an answer opens as refusals do; a rough sign, made of English phrases.

    >>> refuses("Unfortunately, I cannot do that."), refuses("I can do that.")
    (True, False)
    """
    return bool(_REFUSAL.match(text))
