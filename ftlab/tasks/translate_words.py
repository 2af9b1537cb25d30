"""What the documents of `translate` are made of: invented subjects, keys, texts and traps.

A subject reads "roots | parts | key:kind key:kind ...". Those that open with "~" are held out, as
are the words after "~" in a pool: test examples of the slice "new phrasing" use these alone.

The kinds: n a person's name, t a text, w a plain word, c a code, d a date, h a time, s a string
that looks like something else, i an int, f a float, b a bool; l a list of words, L one of numbers.
"""

SUBJECTS = (
    "bakery oven batch | dough crust filling | flour:f baker:n sold_out:b note:t code:c at:h",
    "server host node | disk network backup | port:i host:w debug:b mode:s version:s ratio:f",
    "loan shelf book | reader return fine | title:t author:n due:d pages:i lent:b tags:l",
    "garden bed plot | soil frost harvest | plant:w sown:d litres:f seeds:i shade:b rows:L",
    "train platform route | stop carriage driver | number:c leaves:h delay:i stops:l quiet:b via:w",
    "invoice bill order | line address payment | total:f paid:b due:d to:n item:t ref:c",
    "museum exhibit room | artist loan frame | title:t year:i maker:n insured:b sizes:L code:c",
    "song album track | chorus label remix | title:t bpm:i live:b by:n key:w length:h",
    "station sensor buoy | wind reading alarm | id:c temp:f ok:b seen:d levels:L state:s",
    "team club squad | coach season kit | name:w players:l won:i captain:n active:b ratio:f",
    "level quest map | enemy reward door | name:t score:i locked:b items:l speed:f by:n",
    "parcel crate box | sender label route | weight:f fragile:b to:n stamp:c sent:d note:t",
    "course lesson exam | room tutor grade | topic:t credits:i open:b starts:d at:h teacher:n",
    "ferry harbour boat | crew deck cargo | name:w sails:h knots:f full:b crew:l berth:c",
    "recipe dish menu | step sauce side | serves:i vegan:b salt:f cook:n steps:l note:t",
    "vote motion meeting | chair minutes item | text:t yes:i no:i on:d passed:b by:n",
    "camera film shoot | lens light scene | iso:i flash:b speed:s place:w taken:d exposure:f",
    "switch relay lamp | timer group scene | on:b off:s y:i watts:f room:w since:h",
    "~hive apiary swarm | frame queen feeder | queen:n frames:i honey:f calm:b seen:d notes:t",
    "~kiln pottery glaze | shelf firing clay | cone:c peak:i reduced:b potter:n starts:h mix:l",
    "~choir concert hall | tenor seat encore | piece:t voices:i full:b conductor:n date:d fee:f",
    "~bicycle workshop repair | wheel brake saddle | frame:c gears:i paid:b owner:n due:d faults:l",
    "~observatory dome telescope | mirror night target | target:w clear:b arc:f seen:d by:n runs:L",
)

NAMES = (
    "Zoë Ågren|Łukasz Wójcik|Inés Peña|Bjørn Dahl|Nadia Haddad|Tom O'Neill|Mei Lin|Kofi Mensah|"
    "Agnès Roux|Jürgen Groß|Aoife Byrne|Ravi Menon|Søren Holm|Yuki Mori|Petr Dvořák|Amara Diallo|"
    "Ana-Luísa Reis|Dr. Ida Falk|Ø. Lund|Ben \"Bo\" Reed"
    "~Čeněk Malý|Siân Pugh|Eun-ji Park|Mateo Núñez|Þóra Jónsdóttir|Olu Ade|Güneş Aydın|Rita D'Souza"
)  # fmt: skip

WORDS = (
    "amber|barley|cobalt|drift|ember|fennel|granite|harbour|indigo|juniper|kelp|lantern|marble|"
    "nettle|oak|pebble|quartz|rowan|saffron|thistle|umber|velvet|willow|yarrow|zinc|café|piñata|"
    "façade|smørrebrød|crème|köln|łódź"
    "~basalt|clover|dune|elder|flint|gorse|heron|ivy|jasper|lichen|mistral|naïve|öresund|señal"
)

TEXTS = (
    "{a} {b}", "{a}: {b}", "{a} & {b}", "{a} #{i}", '"{a}" {b}', "it's {a}", "<{a}> {b}",
    "- {a}", "{i} % {a}", "{a}, {b}", "[{a}] {b}", "{a}\\{b}", "*{a}", "@{a}", "{a}?",
    "! {a} {b}", "{a} | {b}", "{a}\n{b}", "{a} -> {b}", "# {a}", "{a} {b} {c}", "“{a}”, {b}",
    "{a} — {b}", "{a} < {b}", "{a} has '{b}'", "{{{a}}}", "{a}; {b}", "{a} = {i}", "{i}x {a}",
    "~{a}/{b}", "~> {a}", "~& {a}", "~{a} ('{b}')", "~% {a}", "~{a}: [{b}]", "~“{a}” & <{b}>",
    "~{i}. {a}", "~?{a} {b}", "~{a} “{b}: {c}”", "~`{a}`",
)  # fmt: skip

TRAPS = (
    "no|on|off|yes|y|n|NO|Yes|true|False|null|~|012|1e3|1.0|0x1F|12:30|1_000|2024-03-09||3.10|=|"
    "<<|-|.inf|0|-1|07|1,000|+44|None|.5"
    "~No|ON|OFF|TRUE|Null|0o17|1.5e+3|08:15|2023-12-31|.nan|00|-0|6.|Off|0b11"
).replace("|~|012", "|\0|012")
"""Strings that a bare YAML scalar may not hold; NUL stands for the tilde."""

ASKS = (
    "Rewrite this {source} document as {to}.", "Translate from {source} to {to}.",
    "{source} to {to}:", "Turn this {source} into {to}.", "Give me the same data as {to}.",
    "Convert to {to} (from {source}).", "Please write this as {to}.", "As {to}, please:",
    "The same in {to}:", "I need this {source} as {to}.", "Express this {source} in {to}.",
    "(Kindly convert|Convert|Change) the {source} below (to|into) {to}.",
    "Our (tool|script|importer) reads {to} only. Translate this {source}.",
    "(Here is|This is) {source}; I want {to}.", "{source} in, {to} out:",
    "What does this {source} look like in {to}?", "Port this (file|config|record) to {to}.",
    "Make it {to}, same data:", "(Keep|Preserve) all values and (output|write) {to}.",
    "From {source} to {to}, nothing lost:", "Someone sent {source}. Give it back as {to}.",
    "Could you (put|turn) this into {to}?", "Write the {to} for this {source}.",
    "Target: {to}. Source ({source}):", "Recast as {to}:", "{to} version of this {source}:",
    "~Swap the {source} for {to}.", "~How would you write this in {to}?",
    "~Express it as {to} instead of {source}.", "~Migrate this {source} (record|file) to {to}.",
    "~{to} wanted, {source} given:", "~Carry this over into {to}.",
    "~Same (content|data), but {to} (please|now):", "~Transcribe to {to}.",
)  # fmt: skip

COMMENTS = (
    "exported by hand", "draft", "v2, checked", "see the wiki", "do not edit", "nightly copy",
    "~sent on request", "~merged copy", "~for review",
)  # fmt: skip


def pool(words: str, new: bool) -> list[str]:
    """Return the values of a pool that may be used: the held-out ones alone, or the others.

    >>> pool("a|b~c|d", new=True)
    ['c', 'd']
    """
    seen, _, held_out = words.partition("~")
    return (held_out if new else seen).replace("\0", "~").split("|")
