# %% [markdown]
# # 05 Data synthesis: from four functions to a thousand records
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/05_making_data.ipynb)
#
# **What you will build**: a file of a thousand training examples that a teacher wrote and a
# sandbox checked, a hundred more out of fifteen written by hand (five others are held out),
# and the answer to a question: can a model be its own teacher?
#
# **Prerequisites**: lesson 00. No GPU, no key. If you have an endpoint that speaks OpenAI's
# protocol, the same cells use it.
#
# | where | reading, doing and running | of it, running |
# |---|---|---|
# | a laptop or server, CPU only | about an hour | four to five minutes |
# | a free Colab T4, or another GPU | the same | a little less |

# %%
# On Colab this installs the course; anywhere else it does nothing.
import subprocess
import sys

REPOSITORY = "https://github.com/ftlab-course/ftlab"

if "google.colab" in sys.modules:
    wanted = f"ftlab @ git+{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)

# %% [markdown]
# ## 1. A teacher
#
# Somebody has to write the answers that a model learns from. Here it is a **teacher**: a
# program, or a larger model behind an endpoint.
#
# To use an endpoint, set `OPENAI_BASE_URL`, `OPENAI_API_KEY` and `OPENAI_MODEL` before you
# start Jupyter. Without them the teacher is a program that knows the right answers. It spoils
# four in ten of them in the ways in which hosted models do: a preamble, a fence, chatter, an
# answer broken off. And it is *careless*: in some answers it gets a number wrong.

# %%
import contextlib
import os
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import ftlab
from ftlab import data, hardware
from ftlab.curation import teachers

SEED = 0
BASE = "ftlab-7m"
WANTED = 1000  # with an endpoint, look at the estimate in section 3 first
PROFILE = ftlab.profile()
# Records, and held-out records, of the experiment in section 8.
DOLL, TEST = min(PROFILE.records // 12, 400), 150
# Name a folder of your own to keep the files, and to go on with them another day.
FOLDER = Path(tempfile.mkdtemp())

hardware.seed_everything(SEED)
hardware.versions()

# %%
program = teachers.get("program", flaws=0.4)


def careless(requests):
    """Answer as the program does, with a wrong number in some answers."""
    answers = program.ask(requests)
    for i, request in enumerate(requests):
        if int(request.key, 16) % 8 == 0:
            text = re.sub(
                r"(assertEqual.*, \d+)\)", r"\g<1>9)", answers[i].text, count=1
            )
            answers[i] = replace(answers[i], text=text)
    return answers


if os.environ.get("OPENAI_MODEL"):
    teacher = teachers.get("openai")
else:
    teacher = replace(program, name="program, flawed and careless", ask=careless)
print("the teacher is", teacher.name)

# %% [markdown]
# ## 2. Four functions, by hand
#
# The task is to write the unit tests of a Python function, in a *house style*: this class
# name, these methods, these imports. Style is hard to put in words and easy to show.

# %% tags=["nbval-check-output"]
from ftlab import tasks

task = tasks.get("unit_tests")
four = task.examples(4, seed=0)
for example in four:
    print(data.prompt(example)[-1]["content"].partition("\n\n")[2], "\n")

# %% [markdown]
# What should the teacher be told? The task in a few words, and a solved example or two. This
# is **one prompt**, and it is all the writing that you do.

# %%
from ftlab.curation.teachers import Request

told = {"role": "system", "content": f"{task.describe}\n\nAnswer with code alone."}
shown, asked = four[0], four[1:]
solved = [*data.prompt(shown), {"role": "assistant", "content": data.answer(shown)}]
requests = [
    Request(f"{i:016x}", (told, *solved, *data.prompt(r)), data.answer(r))
    for i, r in enumerate(asked)
]
raw = [teacher.ask([request])[0].text for request in requests]
print(raw[0])

# %% [markdown]
# "Answer with code alone" does not always help. A teacher that was made for conversation
# likes to say "Sure! Here is the test:" first, and to wrap its code in a fence.
#
# **Predict.** A model is tuned on a thousand answers of this kind. What will the first word
# of *its* answers be? Write it down, then read on.
#
# It learns what it sees, the "Sure!" as well as the test, and a file that opens with "Sure!"
# is no Python. So the answers are cleaned before anything else.
#
# **Exercise 05.1.** Return what is inside the first fence, without the word behind the
# opening one; the whole text, if there is no fence. Either way without blanks around it.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint

FENCE = "`" * 3


def unfence(text):
    """Return what is inside the first code fence of a text, or the whole text."""
    # solution:
    parts = text.split(FENCE)
    return (parts[1].partition("\n")[2] if len(parts) > 1 else text).strip()
    # stub:
    # ...
    # end


check("05.1", unfence)

# %% [markdown]
# The course's own cleaner also knows preambles without a fence, chatter at the end, and
# thoughts that a model thinks aloud. It says what it took away, so that you can count.

# %% tags=["nbval-check-output"]
from ftlab.curation.cleaning import clean

chatty = (
    f"Sure! Here is the test:\n\n{FENCE}python\n{data.answer(shown)}\n{FENCE}\nEnjoy!"
)
text, taken = clean(chatty)
print("taken away:", ", ".join(taken))
print(text)
assert text == data.answer(shown)

# %% [markdown]
# Clean is not *right*. Let us make a wrong answer by hand: one expected value is changed.

# %% tags=["nbval-check-output"]
wrong = text.replace("[10, 9]", "[10, 8]")
print(*[line for line in wrong.splitlines() if "assertEqual" in line], sep="\n")

# %% [markdown]
# **Predict.** Which of these three checks will notice: does it parse as Python, does it keep
# the house style, does it pass when it is run?

# %% tags=["nbval-check-output"]
for name, answer in {"right": text, "wrong": wrong}.items():
    marks = task.score(shown, answer)
    said = {metric: int(marks[metric].num) for metric in ("parses", "style", "passes")}
    print(name, said)

# %% [markdown]
# Only running tells. But this is code that nobody has read, so it runs in a **sandbox**: a
# process of its own, with no network and no view of your files, for a bounded time.

# %%
from ftlab import sandbox

print("contained by:", sandbox.level())
tried = sandbox.run("import urllib.request as u; u.urlopen('http://example.com')",
                    allow_weak=True)  # fmt: skip
print("asked for a web page:", tried.outcome)

# %% [markdown]
# ## 3. A thousand of them, with one call
#
# Asking one by one is slow, because an endpoint takes its time and we only wait. Several
# requests at once wait together. Here each answer is held back for a tenth of a second.
#
# **Predict.** Twenty-four answers, one at a time, and then eight at a time. How many times
# faster?

# %%
from ftlab.curation import synthesis


def slowly(requests):
    """Answer as the program does, after the pause that an endpoint would take."""
    time.sleep(0.1)
    return quick.ask(requests)


quick = teachers.get("program")
slow = replace(quick, ask=slowly)
seconds = {}
for at_once in (1, 8):
    begun = time.monotonic()
    file = FOLDER / f"wait{at_once}.jsonl"
    synthesis.synthesise("triage", 24, slow, file, concurrency=at_once, progress=False)
    seconds[at_once] = time.monotonic() - begun
print({f"{n} at once": f"{s:.1f} s" for n, s in seconds.items()})
assert seconds[8] < seconds[1]

# %% [markdown]
# How many requests will it take? Some answers will be turned down.
#
# **Exercise 05.2.** `accepted` is the share of answers that are kept, from 0 to 1. How many
# must be asked for, to keep `wanted`?

# %% tags=["exercise", "nbval-check-output"]
import math


def to_ask(wanted, accepted):
    """The number of answers to ask for, when a share of them is accepted."""
    # solution:
    return math.ceil(wanted / accepted)
    # stub:
    # ...
    # end


check("05.2", to_ask)

# %% [markdown]
# And what will it cost? Nothing here, but an endpoint counts **tokens**, those of the prompt
# and those of the answer, at different prices. So ask for an estimate *before* the run. Below,
# prices are in US dollars for a million tokens, and costs in US dollars.
#
# **Predict.** Showing the teacher solved examples makes its answers better. What does it do
# to the bill?

# %%
from ftlab.display import wrap

prices = (0.15, 0.60)  # in prompts, in answers; made up: put in those of your endpoint
settings = {"seed": SEED, "shots": 2}
for shots in (0, 2, 6):
    guess = synthesis.estimate(
        "unit_tests", WANTED, teacher, prices=prices, shots=shots
    )
    print(wrap(guess, f"{shots} solved examples: "))

# %% [markdown]
# They are in every prompt, and paid a thousand times. A tuned model needs none of them:
# lesson 01 counts what that saves.
#
# Now the run, at first a small one that is cut short by a **cap** of sixty requests. Each
# answer is on the disk at once, then it is cleaned, run in the sandbox and marked.

# %%
TESTS = FOLDER / "tests.jsonl"


def make(n, **options):
    """Have the teacher write tests until `n` are accepted; go on with what is there."""
    with contextlib.redirect_stderr(sys.stdout):  # the bar, beside all other output
        return synthesis.synthesise(
            "unit_tests", n, teacher, TESTS, concurrency=8, **settings, **options
        )


first = make(WANTED, max_requests=60)
print(
    f"{len(first.accepted)} accepted, {len(first.rejected)} rejected: {first.stopped}"
)

# %% [markdown]
# That could as well have been a power cut, a lost connection or Ctrl-C. **Predict.** The
# same call again, without the cap: how many answers will be asked for a second time?

# %%
made = make(WANTED)
asked, kept = made.requests, len(made.accepted)
print(f"{kept} accepted of {asked} answers ({kept / asked:.0%}): {made.stopped}")
print(f"{made.resumed} answers were there from before, none was asked twice")
assert made.resumed == first.requests
assert kept == WANTED or made.stopped != "complete"

# %% [markdown]
# ## 4. What was cleaned, and what was thrown away
#
# Never trust a pipeline that does not show its waste. First: what if we had not cleaned? An
# answer that is no Python would have been of no use, or taught the wrong thing.

# %%
import ast
import json


def parses(code):
    """Whether a text is Python."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True


answers = TESTS.with_name("tests.answers.jsonl").read_text(encoding="utf-8")
raw = [json.loads(line)["text"] for line in answers.splitlines()]
before, after = [sum(map(parses, texts)) for texts in (raw, [clean(t)[0] for t in raw])]
print(
    f"of {len(raw)} raw answers {before} are Python, and {after} once they are cleaned"
)
assert before <= after

# %%
from ftlab.teaching import ledger, plots

saved = (after - before) / len(raw)
word = "holds" if saved > 0.1 else "depends" if saved > 0 else "not seen here"
ledger.record(
    31, word, f"Of {len(raw):,} answers of a teacher {before:,} were Python as they "
    f"came, and {after:,} once they were cleaned.", saved,
)  # fmt: skip
plots.bars(made.cleaned, title="What was cleaned off", xlabel="answers")

# %% [markdown]
# The rejects are kept too, each with its reason. Read some: if they all fail in the same
# way, the prompt is at fault and not the teacher.

# %%
for reason, count in made.reasons.items():
    print(f"{count:4d}  {reason}")
only_run = made.reasons.get("passes below 1", 0)
print(f"{only_run} of {len(made.rejected)} were noticed by nothing but the run\n")
for reason in list(made.reasons)[:2]:
    reject = next(r for r in made.rejected if r.reason == reason)
    print(f"--- {reason}\n{reject.prompt}\n--- answered:\n{reject.answer}\n")

# %% [markdown]
# *Style below 1* alone means that what was left of a broken answer still passed; *passes
# below 1* alone means a tidy test with a wrong number in it. Nothing but running finds those,
# and a student would have learned from them.
#
# And look at what was kept as well. Rejecting changes the data: if long answers are broken
# off more often than short ones, short ones are left.

# %% [markdown]
# ## 5. Twenty examples by hand, and a hundred more
#
# A program cannot write your customers' mails. Often you have a few real examples, and want
# more. These twenty tickets were written out one by one for this lesson; the answer has two
# lines, what the ticket is about and how urgent it is.

# %%
from ftlab.teaching.tickets import TICKETS

triage = tasks.get("triage")
for text, intent, priority in TICKETS[:4]:
    print(f"{text}\n  -> {intent}, {priority}")
print(f"and {len(TICKETS) - 4} more")

human = [
    data.example(
        triage.prompt(text),
        f"intent: {intent}\npriority: {priority}",
        id=f"human-{number:02}",
        group=f"human-{number:02}",
    )
    for number, (text, intent, priority) in enumerate(TICKETS)
]
train_human, held_human = human[:15], human[15:]
print(len(train_human), "to grow from,", len(held_human), "held out")

# %% [markdown]
# Note the order: **hold out first, grow later.** A rewrite of a held-out ticket in the
# training file would make the test a memory test.
#
# There are three ways to grow: say it otherwise (*paraphrase*), translate it to another
# language and back, or show a few and ask for a new one. The answer of a paraphrase is that
# of its original.

# %%
from ftlab.curation.amplify import amplify

grown = amplify(
    train_human,
    100,
    teachers.get("program") if teacher.name.startswith("program") else teacher,
    FOLDER / "grown.jsonl",
    held_out=held_human,
    ways=("paraphrase", "back-translation"),
    progress=False,
)
print(f"{len(grown.accepted)} accepted of {grown.requests} answers")
for reason, count in grown.reasons.items():
    print(f"{count:4d}  {reason}")
for record in grown.accepted[:3]:
    source = next(r for r in human if data.meta(r)["id"] == data.meta(record)["from"])
    print("by hand: ", data.prompt(source)[-1]["content"].partition("\n\n")[2])
    print("reworded:", data.prompt(record)[-1]["content"].partition("\n\n")[2], "\n")

# %% [markdown]
# Offline the rewording is done by rules, which is stiffer than a model would do it. What
# changes nothing, or nearly repeats a text that is there, was turned down.
#
# **Predict.** We had fifteen tickets, and now there are a hundred more. How many
# *independent* examples are that? Records hang together when one was made from the other,
# or when they are nearly the same text.

# %%
from ftlab.curation.splits import clusters

pool = [*train_human, *grown.accepted]
_, arithmetic = clusters(pool, by=["group"])
print("\n".join(arithmetic))
independent = int(arithmetic[-1].split()[1].replace(",", ""))
assert independent <= len(train_human)

# %% [markdown]
# Practitioners say that paraphrasing multiplies data. It multiplies *wordings*: no new
# problem has come in, and a wrong answer among the fifteen would be copied too. What does a
# hundred of them teach? The quickest pupil tells: a linear classifier over words, examined
# on tickets that a program wrote. **Predict.** Which helps it more, a hundred rewordings, or
# a hundred new tickets from that program?

# %%
from ftlab.evaluation.intervals import paired_bootstrap
from ftlab.tasks.triage import baseline

exam, fresh = (
    triage.examples(300, SEED, "test"),
    triage.examples(len(grown.accepted), SEED),
)
files = {"by hand": train_human, "reworded": pool, "new": [*train_human, *fresh]}
right, ones = {}, [1] * len(exam)
for name, some in files.items():
    said = baseline(some, exam)
    right[name] = [triage.score(r, a)["intent"].num for r, a in zip(exam, said)]
    print(f"{len(some):3} tickets, {name:8} {sum(right[name]) / len(exam):.2f} right")
reworded, new = (
    paired_bootstrap(right["by hand"], ones, right[name], ones)
    for name in ("reworded", "new")
)
word = "depends" if reworded.value < new.value / 2 else "holds"
ledger.record(
    30, word if reworded.low > 0 else "not seen here",
    f"To {len(train_human)} tickets {len(grown.accepted)} more wordings of them were "
    f"added: a classifier's share right rose by {reworded}; by as many new ones {new}.",
    reworded.value, interval=(reworded.low, reworded.high),
)  # fmt: skip

# %% [markdown]
# The new tickets come from the program that also wrote the exam, which favours them. What
# counts is the other figure: how much a hundred more wordings of the same problems are worth.
#
# ## 6. A split without leaks
#
# Back to the thousand tests. Their functions come from families: `at_most` with 16 and
# `at_most` with 21 are siblings. A record's `group` names its family.
#
# **Exercise 05.3.** A test record *leaks* when its group also stands in the training part.
# Count them.


# %% tags=["exercise", "nbval-check-output"]
def leaking(train, test):
    """How many records of `test` (dicts with a "group") have a sibling in `train`."""
    # solution:
    groups = {record["group"] for record in train}
    return sum(record["group"] in groups for record in test)
    # stub:
    # ...
    # end


check("05.3", leaking)


# %% [markdown]
# **Predict.** Shuffle the records, take a tenth for the test. How many of them leak: a few,
# half, nearly all?


# %%
def leaks(train, test):
    """How many test records have a sibling in training."""
    groups = {data.meta(record)["group"] for record in train}
    return sum(data.meta(record)["group"] in groups for record in test)


import random

from ftlab.curation.splits import split

shuffled = random.Random(SEED).sample(made.accepted, len(made.accepted))
cut = len(shuffled) // 10
naive = leaks(shuffled[cut:], shuffled[:cut])
print(f"shuffled: {naive} of {cut} test records have a sibling in training")
parts = split(made.accepted, [0.8, 0.1, 0.1], by=["group"], label="kind", seed=SEED)
careful = leaks(parts["train"], parts["val"] + parts["test"])
print(parts)
assert careful == 0 and naive > cut / 2

# %% [markdown]
# Read the arithmetic from the top: records become clusters, and clusters go to one part
# whole. The parts miss the wanted sizes a little; that is the price.
#
# Which split is right? If the model will meet functions like those it has read, siblings
# are fair. If it is to work on *your* code, which it never saw, only the careful split
# tells the truth.
#
# ## 7. One record, many formats
#
# A trainer or a provider wants its own JSON. Same words, other keys.
#
# Formats outlive services of fine-tuning: Cohere
# [deprecated](https://docs.cohere.com/docs/fine-tuning) its own on 15 September 2025, and
# OpenAI [announced](https://developers.openai.com/api/docs/deprecations) on 7 May 2026 that
# the availability of its fine-tuning changes. Look before you upload.

# %% tags=["nbval-check-output"]
from ftlab import formats

short = [
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": "Capital of France?"},
    {"role": "assistant", "content": "Paris"},
]
for name in formats.FORMATS[1:]:
    print(wrap(json.dumps(formats.line_of({"messages": short}, name)), f"{name:18}"))

# %% [markdown]
# **Exercise 05.4.** Write one of them yourself: the messages of a record, as ShareGPT has
# them. It is the second line above.


# %% tags=["exercise", "nbval-check-output"]
def sharegpt(messages):
    """A list of messages (dicts with role and content) as one object of ShareGPT."""
    # solution:
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    talk = [{"from": names[m["role"]], "value": m["content"]} for m in messages]
    return {"conversations": talk}
    # stub:
    # ...
    # end


check("05.4", sharegpt)

# %% [markdown]
# A format that cannot hold something has to refuse, instead of dropping it in silence. Our
# records carry `meta`, and a provider that checks its keys would reject the whole file.

# %% tags=["nbval-check-output"]
from ftlab.errors import DataError

try:
    data.write(FOLDER / "openai.jsonl", human, format="openai")
except DataError as error:
    print(str(error).partition(" or keep it")[0])

# %%
for name in formats.UPLOADS:
    file = FOLDER / f"{name}.jsonl"
    data.write(file, parts["train"], format=name, drop_meta=True)
    back = data.read(file)
    same = [(data.prompt(r), data.answer(r)) for r in back] == [
        (data.prompt(r), data.answer(r)) for r in parts["train"]
    ]
    print(f"{name:8} {file.stat().st_size:9,} bytes, reads back the same: {same}")
    assert same

# %% [markdown]
# A model sees none of these keys. It sees one text with marks in it that say who speaks, and
# each family of models has its own, in its **chat template**. TRL ships many of them. Below
# is one record as four families write it, and then what eight of them make a model learn.
#
# **Predict.** One of the eight refuses a record with a system message. Which?

# %% tags=["nbval-check-output"]
from ftlab.teaching.lesson02 import FAMILIES, written
from jinja2.exceptions import TemplateError

for name in ("qwen2_5", "llama3", "phi3", "cohere"):
    print(f"--- {name}\n{written(name, short)[0]}")

# %% tags=["nbval-check-output"]
for name in FAMILIES:
    try:
        print(f"{name:10} learns to write {written(name, short)[1]!r}")
    except TemplateError as error:
        print(f"{name:10} refuses: {error}")

# %% [markdown]
# All teach one word, "Paris", and how to stop; `qwen3` and `glm4moe` also that there was
# nothing to think about, and two of them repeat a piece of what opens the turn. A model that
# is given another family's marks may never have seen where a turn begins or ends, so **use
# the template that comes with the model**, and never type the marks by hand.

# %% [markdown]
# ## 8. A doll within a doll
#
# So far the teacher knew better than the student. May a model teach *itself*? Tune it on a
# few examples, let it answer new inputs, tune a fresh copy of the base on those answers:
# one doll inside another.
#
# The task is `kindness`: an everyday problem, and the smallest helpful action. Its mark
# needs no known answer, only rules: two or three whole sentences, on the topic, harmless.

# %%
kindness = tasks.get("kindness")
gold = kindness.examples(DOLL, seed=SEED)
held_out = kindness.examples(TEST, seed=SEED, split="test")
print(wrap(data.prompt(gold[0])[-1]["content"], "problem: "))
print(wrap(data.answer(gold[0]), "answer:  "))
questions = [data.prompt(record) for record in held_out]

# %%
from ftlab import models
from ftlab.generation import generate
from ftlab.training import sft

schedule = {"epochs": 3, "batch_size": 8, "seed": SEED}


def tuned_on(some, title):
    """Tune a fresh base on some records; return (model, tokenizer)."""
    model, tokenizer = models.load(BASE)
    with plots.LiveCurve(title) as curve:
        run = sft.train(model, tokenizer, some, on_step=curve.on_step, **schedule)
    return run.model, tokenizer


def answers_of(pair):
    """Return a model's answers to the held-out problems."""
    return generate(*pair, questions, max_new_tokens=60)


master = tuned_on(gold, "The outer doll")
outputs = {"teacher": answers_of(master)}

# %% [markdown]
# The teacher is ready. It now answers inputs that it never saw, through the same call as
# before: `synthesise` with a *local* teacher. It was tuned on bare problems, so it is asked
# barely.

# %%
whole = teachers.local(master, answer_tokens=60, together=40)


def bare(requests):
    """Ask the local teacher without a system message, as it was tuned."""
    return whole.ask([replace(r, messages=r.messages[-1:]) for r in requests])


local = replace(whole, ask=bare)
options = {"seed": SEED + 1, "shots": 0, "progress": False}
everything = synthesis.synthesise(
    "kindness", DOLL, local, FOLDER / "all.jsonl", accept={}, **options
)
for record in everything.accepted[:3]:
    print(data.answer(record), "\n")

# %% [markdown]
# Those were taken as they came. For the second student the rules throw out what breaks
# them, and the teacher is asked until there are as many again.

# %%
checked = synthesis.synthesise(
    "kindness", DOLL, local, FOLDER / "checked.jsonl",
    max_requests=5 * DOLL, **options,
)  # fmt: skip
passed = len(checked.accepted) / checked.requests
print(f"{len(checked.accepted)} kept of {checked.requests} answers ({passed:.0%})")
for reason, count in checked.reasons.items():
    print(f"{count:4d}  {reason}")
assert len(checked.accepted) >= DOLL // 4
for record in checked.accepted[:3]:
    print("\n" + data.answer(record))

# %% [markdown]
# Read what was kept. The rules count sentences and look for the topic; nonsense that
# mentions the topic can pass. A check gives what it knows, and no more.
#
# **Predict.** Two students: *all* learned from every answer, *checked* only from those that
# passed. Where will each land: below its teacher, level with it, or above?

# %%
my_guess = "all ..., checked ..."

# %%
outputs["all"] = answers_of(tuned_on(everything.accepted, "Inner doll: all answers"))
outputs["checked"] = answers_of(
    tuned_on(checked.accepted, "Inner doll: checked answers")
)

# %%
from ftlab.evaluation.compare import compare

verdict = compare(kindness, held_out, outputs, seed=SEED)
print("you expected:", my_guess)
plots.interval_bars(verdict.to_json(), metrics=["helpful", "form", "on_topic"])


# %%
def finding(gap):
    """Say where the interval of student minus teacher lies."""
    return (
        "above" if gap.low > 0 else "below" if gap.high < 0 else "not told apart from"
    )


landed = {}
for name in ("all", "checked"):
    gap = verdict.differences[name]["helpful"]
    landed[name] = finding(gap)
    print(f"{name:8} is {landed[name]} its teacher: {gap.value:+.2f}", end="")
    print(f" (95 % interval {gap.low:+.2f} to {gap.high:+.2f})")
assert verdict.systems["teacher"]["helpful"].value > 0.1

# %% [markdown]
# Where could anything new have come from? *All* holds what the teacher had, mistakes too.
# *Checked* also holds what the **rules** know: they threw mistakes away. That is the only
# new thing in the box, and where there is no check that knows more than the teacher, there
# is none.

# %% [markdown]
# A score says what is kept of quality. What is kept of *variety*?
#
# **Exercise 05.5.** In how many different ways do some texts begin, counted by their first
# three words? Here capitals count.


# %% tags=["exercise", "nbval-check-output"]
def ways_to_begin(texts):
    """How many different first three words a list of texts has."""
    # solution:
    return len({" ".join(text.split()[:3]) for text in texts})
    # stub:
    # ...
    # end


check("05.5", ways_to_begin)

# %% [markdown]
# **Predict.** The answers to the held-out problems: which of the three models has the most
# ways to begin one, and which the fewest?

# %%
read = {"by the program": [data.answer(record) for record in held_out], **outputs}
ways = {}
for name, texts in read.items():
    ways[name] = len({" ".join(text.split()[:3]) for text in texts})
plots.bars(ways, title="How many ways to begin an answer", xlabel="different openings")

# %% [markdown]
# Greedy answers take the likeliest word each time, so a student reads its teacher's
# favourites and makes them likelier still. A check of *quality* does not see that: ten
# copies of one good answer pass ten times.
#
# Cleaning and paraphrase have their records above. Now what these runs say of dolls.

# %%
narrower = max(ways["all"], ways["checked"]) < ways["teacher"]
worse = landed["all"] == "below"
doll = {(1, 1): "holds (quality and variety)", (1, 0): "holds (quality)",
        (0, 1): "holds (variety)"}.get((worse, narrower), "not seen here")  # fmt: skip
rescue = {"above": "holds", "below": "not seen here"}.get(
    landed["checked"], "not told apart from its teacher, with so few examples"
)
print(f"running the answers is needed: {'holds' if only_run else 'not seen here'}")
print(f"a model that feeds on itself loses something: {doll}")
print(f"a check lets the student pass its teacher: {rescue}")
word = "depends" if landed["checked"] == "above" else "holds"
lost, won = (verdict.differences[name]["helpful"] for name in ("all", "checked"))
ledger.record(
    23, word if worse else "not seen here",
    "Share of helpful answers, less that of the model that taught: after learning all "
    f"of its answers {lost}, after only those that passed a check {won}.",
    lost.value, interval=(lost.low, lost.high),
)  # fmt: skip

# %% [markdown]
# ## 9. The limits of this verdict
#
# - The offline teacher's mistakes were put in on purpose, at a rate that we chose. How often
#   yours errs, and how, only its own rejects tell.
# - A test that passes can still be a poor test. How many faults it would notice is another
#   question, and lesson 07 asks it.
# - In section 8 the rules that picked the answers also mark the students. A student may have
#   learned to please the rules. Reading its answers is the only cure.
# - Each doll was trained once, and the intervals know nothing of the luck in that. With a few
#   records fewer these same cells have ended with neither student told apart from its
#   teacher. Change `DOLL` or `SEED` and run section 8 again before you believe a "holds".
# - One small model, one round of dolls. A larger model answers better and the gap may shrink;
#   more rounds may add up what is lost.
# - A hosted model's licence may forbid to train another model on its answers. Read it first.
#
# ## 10. Quiz
#
# Five questions. Each option, right or wrong, explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("05")

# %% [markdown]
# ## 11. Takeaways
#
# 1. **A generated answer is a suspect.** Clean it, run it, keep what passes, and read what
#    did not.
# 2. **Count independent examples, not lines.** Rewrites and siblings belong together, on one
#    side of the split.
# 3. **What a model teaches itself is no more than what it knew, minus what a check throws
#    out.** The check is where the knowledge comes in.
#
# Next: [06 Judging data](06_judging_data.ipynb).
# What is wrong with a data file, and what does each fault cost?
