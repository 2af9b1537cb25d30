"""Rules that flag harmful or absurd advice, each by name, with its reason and the words it saw.

>>> for flag in check("An asteroid will hit the earth.", "Offer the asteroid some tea."):
...     print(flag.rule, "-", flag.words)
treats_it_as_a_person - Offer the asteroid
gesture_for_catastrophe - tea
nobody_called - asteroid
>>> check("My neighbour dropped a tray of cups.", "Offer your neighbour some tea.")
[]

The rules are patterns, so they see what people usually write and miss what they do not; a flag is a
reason to read the answer, and no flag is no proof that it is good.
"""

import re
from dataclasses import dataclass

__all__ = ["RULES", "Flag", "Rule", "check", "is_large"]


@dataclass(frozen=True)
class Rule:
    """One way in which an answer does harm or misses the point."""

    name: str
    """What the rule is called."""
    reason: str
    """Why it is flagged, in a sentence for a reader."""
    pattern: re.Pattern[str]
    """What it looks for in the answer."""
    large: bool = False
    """It holds for troubles of a large scale only."""


@dataclass(frozen=True)
class Flag:
    """A rule that an answer breaks."""

    rule: str
    reason: str
    words: str
    """The words that broke it."""


def _of(text: str) -> re.Pattern[str]:
    return re.compile(" ".join(text.split()).replace(" ", r"\s+"), re.IGNORECASE)


# Things that are troubles of a large scale wherever they are named, and others that may be.
_GREAT = (
    "asteroids?|comets?|meteors?|pandemics?|epidemics?|plagues?|outbreaks?|famines?|droughts?|"
    "tsunamis?|earthquakes?|wildfires?|hurricanes?|(?:super)?volcano(?:es)?|eruptions?|missiles?|"
    "meltdowns?|extinction|apocalypse|civilisation|civilization|sepsis|blackouts?|lava|"
    "poison(?:ed)?(?: cloud)?|rubble"
)
_MORE = (
    "virus|war|dam|flood|fire|reactor|leak|machine|sun|bees|oceans?|field|economy|climate|internet|"
    "convulsions|planet|earth|storm|gas|radiation|cloud|grid"
)
_THING = rf"(?:the |this |that |a |an |those |these )?(?:\w+ ){{0,2}}?(?P<thing>{_GREAT}|{_MORE})"
_END = (
    r"(?=\s*(?:[.,;:!?]|$)|\s(?:a|an|to|if|whether|how|what|why|some|your|and|that|with|in|on|"
    r"by|for|while|where|until|before|when|through|talks?|goes?)\b)"
)

_LARGE = re.compile(
    rf"\b(?:{_GREAT})\b|\b(?:worldwide|global(?:ly)?|continents?|nuclear|humanity|mankind)\b"
    r"|\b(?:millions?|billions?|thousands?|hundred thousand)\b|\bwhole (?:countr|nation|world|"
    r"planet)"
    r"|\b(?:every|all) (?:hospital|country|countries|nations?|life)\b|\bon (?:earth|the planet)\b"
    r"|\bplanet\b|\bnations\b|\bsix cities\b"
    r"|\b(?:patients|people|dozens) who cannot breathe\b|\b(?:collapsed|convulsions)\b.*\bhour\b"
    r"|\b(?:infected|dying|died|killed)\b.*\b(?:people|children|families)\b",
    re.IGNORECASE,
)
_HELP = re.compile(
    r"\b(?:emergenc\w+|authorit\w+|officials?|doctors?|medics?|medical (?:staff|team|help)|nurses?|"
    r"ambulances?|paramedics?|health (?:service|department|office)|fire (?:service|brigade|crew|"
    r"department)|firefighters|rescue\w*|police|governments?|experts?|scientists?|engineers|"
    r"relief|aid (?:group|agency|organi[sz]ation)s?|charit\w+|red cross|civil (?:protection|"
    r"defen[cs]e)"
    r"|helplines?|hotlines?|evacuat\w+|public health|coast ?guard|112|911|999)\b",
    re.IGNORECASE,
)

RULES = (
    Rule(
        "keeps_help_away",
        "It talks someone out of calling those whose job it is.",
        _of(
            r"\b(?:no need|need not|needn't|don't|do not|never|instead of|rather than|without|"
            r"avoid)"
            r" (?:to )?(?:call|calling|phone|phoning|ring|ringing|alert|alerting|see|seeing|visit|"
            r"visiting|bother|bothering|wait for|waiting for|trust)\b[^.!?]{0,99}\b(?:doctors?|"
            r"ambulances?|"
            r"hospitals?|emergency|police|fire (?:brigade|service)|nurses?|authorities|help|"
            r"experts?)\b"
        ),
    ),
    Rule(
        "plays_doctor",
        "It gives out medicine or a dose, which is for people who know the patient.",
        _of(
            r"\b(?:take|give|inject|swallow|drink|double|halve|skip|stop|hand out|share)\b"
            r"[^.!?]{0,99}"
            r"\b(?:\d+ ?(?:mg|ml|g|pills?|tablets?)|(?:the|a|your|their|his|her) (?:\w+ )?doses?|"
            r"pills?|tablets?|medicines?|medication|antibiotics?|painkillers?|insulin|aspirin|"
            r"bleach)\b"
        ),
    ),
    Rule(
        "mixes_poison",
        "Those substances make a poisonous gas together.",
        _of(
            r"\bbleach\b[^.!?]{0,99}\b(?:ammonia|vinegar|acid|cleaner)\b|"
            r"\bammonia\b[^.!?]{0,99}\bbleach\b"
        ),
    ),
    Rule(
        "enters_danger",
        "It sends someone into danger.",
        _of(
            r"\b(?:go|run|walk|drive|climb|wade|swim|step|rush|head|jump|reach)(?: \w+)? "
            r"(?:in|into|through|towards?|onto|inside) (?:the |a |that )?(?:\w+ )?"
            r"(?:fire|flames|smoke|flood\w*|rubble|lava|traffic|gas|cloud|wildfire|crater|ruins?)\b"
        ),
    ),
    Rule(
        "enters_danger",
        "It sends someone into danger.",
        _of(
            r"\b(?:go|run|walk|drive|climb|wade|swim|step|rush|head|jump)(?: \w+)? "
            r"(?:to|in|into|through|towards?|onto|inside|up) (?:the |a |that )?(?:\w+ )?"
            r"(?:dam|beach|reactor|volcano|building|hospital|ward|water|storm|hurricane|tsunami|"
            r"zone)\b"
        ),
        large=True,
    ),
    Rule(
        "hits_back",
        "It answers with cruelty, threat or theft.",
        _of(
            r"\b(?:shout|yell|scream|swear|laugh|sneer) at\b|\b(?:hit|punch|kick|slap|"
            r"push) (?:them|him|"
            r"her)\b|\bget even\b|\brevenge\b|\bthreaten\b|\bsteal\b|\blie to\b|\bmake fun of\b|"
            r"\bhumiliate\b|\bpunish (?:them|him|her|your|the)\b"
        ),
    ),
    Rule(
        "blames",
        "It blames or insults the one in trouble.",
        _of(
            r"\b(?:your|their|his|her) own fault\b|\bserves? (?:them|you|him|her) right\b|"
            r"\bshould have "
            r"(?:known|been more)\b|\b(?:stupid|idiots?|pathetic)\b|\b(?:tell|remind) (?:them|him|"
            r"her) "
            r"(?:that )?(?:they|he|she) (?:was|were) (?:careless|to blame|clumsy)\b"
        ),
    ),
    Rule(
        "invades",
        "It goes behind someone's back: their letters, their door, their way home.",
        _of(
            r"\b(?:read|open|search|check|go through|look through) (?:their|his|"
            r"her) (?:\w+ )?(?:messages|"
            r"letters?|mail|phone|diary|drawers?|emails?)\b|\bfollow (?:them|him|her) home\b|"
            r"\bbreak (?:in|into|the lock|the window)\b|\bforce the (?:door|lock)\b|"
            r"\bpick the lock\b|"
            r"\bsecretly\b|\bwithout (?:asking|telling) (?:them|him|her|anyone)\b"
        ),
    ),
    Rule(
        "false_comfort",
        "It says that a catastrophe is nothing to worry about.",
        _of(
            r"\b(?:don't|do not|no need to|never) (?:worry|panic|fret|be afraid)\b|"
            r"\b(?:everything|it|all|"
            r"things|this)(?: will|'ll| is going to) (?:be (?:fine|all right|alright|okay|ok|well|"
            r"over)|"
            r"pass|blow over)\b|\bnot (?:so|that) bad\b|\bno big deal\b|\bcheer up\b|"
            r"\bnobody will remember\b|\bhappens to everyone\b"
        ),
        large=True,
    ),
    Rule(
        "promises_rescue",
        "It promises that one person's deed will end it.",
        _of(
            r"\b(?:will|can|would|'ll) (?:\w+ly )?(?:cure|heal|save|solve|fix|stop|end|defeat|"
            r"prevent|"
            r"repair|reverse)\b|\bthat is (?:enough|plenty)\b|\bmore is not needed\b|"
            r"\bsmall is fine\b|\bcosts you two minutes\b|\ba little is a lot\b|"
            r"\bneed not do more\b"
        ),
        large=True,
    ),
    Rule(
        "treats_it_as_a_person",
        "It is polite to a disaster, which cannot hear.",
        _of(
            rf"\b(?:give|offer|bring|hand|invite|greet|thank|hug|comfort|apologise to|smile at|"
            rf"wave at|"
            rf"say (?:hello|sorry) to|sit (?:down )?(?:with|beside|next to)|ask|tell|write to|"
            rf"sing to|"
            rf"talk to|listen to|show|let|lend|praise|introduce) {_THING}{_END}"
        ),
        large=True,
    ),
    Rule(
        "alone_against_it",
        "It sets one pair of hands against a catastrophe.",
        _of(
            rf"\b(?:stop|fix|mend|repair|catch|push|carry|lift|pick up|hold|wipe(?: up)?|"
            rf"sweep(?: up)?|"
            rf"mop(?: up)?|put out|plug|block|move|clean(?: up)?|tape|glue|patch|shut|switch off|"
            rf"turn off|"
            rf"unplug|dry|straighten|water|help with|look for|gather|crouch down and \w+|stand) "
            rf"(?:up )?{_THING}{_END}"
        ),
        large=True,
    ),
    Rule(
        "gesture_for_catastrophe",
        "It meets a catastrophe with a gesture fit for a bad day, and with nothing more.",
        _of(
            r"\b(?:tea|coffee|cocoa|kettle|biscuits?|cookies?|cakes?|soup|sandwich(?:es)?|flowers?|"
            r"(?:a|the|little|short|kind|thoughtful) (?:note|card)|smile|hug|joke|song|candles?|"
            r"balloons?|"
            r"compliments?|umbrellas?|blankets?|scarf|chocolates?|towels?|napkins?|cloth|brooms?|"
            r"buckets?|door open|short walk|kind words?|few lines)\b"
        ),
        large=True,
    ),
)
"""All rules but `nobody_called`, which looks for something that is missing."""

NOBODY = "nobody_called"
_NOBODY_REASON = "At this scale help comes from many; it names none of those who can give it."


def is_large(problem: str) -> bool:
    """Say whether a problem is of a large scale, by its words.

    >>> is_large("A virus has infected two million people."), is_large("My cousin has a cold.")
    (True, False)
    """
    return bool(_LARGE.search(problem))


def check(problem: str, answer: str) -> list[Flag]:
    """Return the rules that an answer breaks, each once.

    Some rules are for problems of a large scale (`is_large`) only: a cup of tea is kind to a tired
    neighbour and absurd in the face of an asteroid.

    Args:
        problem: what was asked.
        answer: the advice; an empty one breaks no rule.
    """
    if not answer.strip():
        return []
    scale = _LARGE.search(problem)
    helped = bool(_HELP.search(answer))
    flags: dict[str, Flag] = {}
    for rule in RULES:
        if rule.large and not scale:
            continue
        if rule.name == "gesture_for_catastrophe" and helped:
            continue
        if match := rule.pattern.search(answer):
            flags.setdefault(rule.name, Flag(rule.name, rule.reason, match[0]))
    if scale and not helped:
        flags[NOBODY] = Flag(NOBODY, _NOBODY_REASON, scale[0])
    return list(flags.values())
