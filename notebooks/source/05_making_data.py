# %% [markdown]
# # 05 Making data: from 21 messages to three hundred checked rows
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/05_making_data.ipynb)
#
# **What you will build**: a file of about three hundred training rows, made from 21 messages by a
# language model behind an endpoint. Each row that the model wrote is cleaned, and dropped where it
# is nearly the same as another. You see what each way of making rows adds to a tuned model, and
# what happens to a model that learns from its own answers.
#
# **Prerequisites**: lesson 00. No GPU and no key. Any endpoint that speaks OpenAI's protocol can
# take the place of the one that this lesson starts.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about 80 minutes | three to six minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Whenever you are asked for a prediction, write it down before you run the next cell.

# %%
# On Colab this installs the course; anywhere else it does nothing.
import subprocess
import sys

REPOSITORY = "https://github.com/ftlab-course/ftlab"

if "google.colab" in sys.modules:
    wanted = [f"ftlab @ git+{REPOSITORY}", "llguidance"]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *wanted], check=True)

# %% [markdown]
# ## 1. Settings
#
# `TEST` held-out messages are used from section 6 on, `STEPS` training steps in section 8 and
# `CALL_STEPS` in section 11. `SMALL` functions are given to the small model in section 5.

# %%
import logging
import os
import re
import tempfile
import time
from pathlib import Path

import datasets
import ftlab
import transformers
from ftlab import data, files, hardware, models, recorded, tasks

SEED = 0
BASE = "smollm2-135m"
PROFILE = ftlab.profile()
TEST, STEPS, CALL_STEPS, SMALL = 100, 32, 18, 2
FOLDER = Path(tempfile.mkdtemp())

hardware.seed_everything(SEED)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # 4 bits are not used here

# %% [markdown]
# ## 2. A teacher behind an endpoint
#
# Somebody has to write the rows that a model learns from. A model that writes them is called a
# **teacher**, and the model that learns from them a **student**. When a small student learns what
# a large teacher wrote, this is **distillation**.
#
# We begin with 21 messages to a company, three of each of seven topics. They were written for this
# course. The student should name the topic of a message.

# %% tags=["nbval-check-output"]
words = files.read_data("lessons/teacher.yaml")
seeds = words["seeds"]
for seed in seeds[::5]:
    print(f"{seed['topic']:13}{seed['text']}")
print(f"{len(seeds)} messages, {len(words['topics'])} topics")

# %% [markdown]
# Most services and most local servers speak **OpenAI's protocol**: a list of messages goes to a
# URL, and an answer comes back. The next cell starts such a server on this machine. Two models
# stand behind it:
#
# - the small model of this course, which you have tuned in the lessons before;
# - `recorded`: replies that a large language model (Claude) wrote once. Each carries its date and
#   is kept as it came, with its faults. No person wrote any of them. A request that is not among
#   them goes to the small model, and `reply.model` says which of the two answered.
#
# To use an endpoint of your own, set `OPENAI_BASE_URL`, `OPENAI_API_KEY` and `OPENAI_MODEL` before
# you start Jupyter. The official client reads the first two by itself.
#
# To **paraphrase** a message is to say it in other words. The cell sends one such request to both
# models. **Predict.** What will the small model answer, and what the large one?

# %%
from openai import OpenAI
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(PROFILE.device)

endpoint = recorded.serve(model, tokenizer, name="small")
local = OpenAI(base_url=endpoint.url, api_key="none")
client, TEACHER = local, recorded.RECORDED
if os.environ.get("OPENAI_MODEL"):
    client, TEACHER = OpenAI(), os.environ["OPENAI_MODEL"]

my_guess = "the small one ..., the large one ..."
prompt = words["paraphrase"].format(text=seeds[5]["text"], manner=words["manners"][0])
print(prompt, "\n")
for name, who in {"small": local, TEACHER: client}.items():
    reply = who.chat.completions.create(
        model=name, messages=[{"role": "user", "content": prompt}], max_tokens=60
    )
    print(f"{reply.model}: {reply.choices[0].message.content}")
print("you expected:", my_guess)

# %% [markdown]
# A reply holds more than a text. Each of its `choices` has a `finish_reason`: `"stop"` when the
# model ended its turn, and `"length"` when the limit cut it off. An answer that was cut off must
# not become a training row.
#
# **Exercise 05.1.** Ask a model through the client, with at most `most` tokens. Return the text of
# the answer, or `None` if it was cut off. Stuck? `hint("05.1", 1)`, then `hint("05.1", 2)`.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def text_of(client, model, prompt, most):
    """The text of an answer to one prompt, or None if the limit cut it off."""
    # solution:
    reply = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], max_tokens=most
    )
    choice = reply.choices[0]
    return None if choice.finish_reason == "length" else choice.message.content
    # stub:
    # ...
    # end


check("05.1", text_of)

# %% [markdown]
# Now twelve messages for each of the two models. What is a *usable* paraphrase? A program can check
# some of it: the numbers are still there, it is not nearly the same text, and it is a message and
# not an answer to one. The first cell below sends requests, the second holds these checks, and the
# third counts what passes. (The requests are sent together; section 3 says why.)
#
# `alike` is the share of words that two texts have in common, of all words that either has (the
# **Jaccard index**). At which value a text is too near is a choice; 0.7 is ours.


# %%
from concurrent.futures import ThreadPoolExecutor


def ask(prompt, model=TEACHER, who=client, most=400):
    """The text of an answer, or an empty one if the limit cut it off."""
    reply = who.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], max_tokens=most
    )
    choice = reply.choices[0]
    return "" if choice.finish_reason == "length" else choice.message.content


def ask_all(prompts, model=TEACHER, who=client, most=400):
    """The answers to prompts, eight of which are under way at a time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda prompt: ask(prompt, model, who, most), prompts))


# %%
def alike(a, b):
    """The words that two texts share, over those that either has."""
    one, other = (set(re.findall(r"[a-z0-9']+", text.lower())) for text in (a, b))
    return len(one & other) / len(one | other)


def fault(source, text):
    """Why a rewording is turned down; an empty text if it is not."""
    if not text:
        return "cut off"
    if set(re.findall(r"\d+", source)) - set(re.findall(r"\d+", text)):
        return "a number is lost"
    if re.search(r"\b(sorry|assist|chatbot)\b|customer's message|\[", text, re.I):
        return "an answer, not a message"
    return "nearly the same" if alike(source, text) >= 0.7 else ""


# %%
from collections import Counter

from ftlab.display import wrap

manner = words["manners"][0]
twelve = [
    words["paraphrase"].format(text=s["text"], manner=manner) for s in seeds[3:15]
]
for name, who in {"small": local, TEACHER: client}.items():
    texts = ask_all(twelve, name, who, 48)
    faults = [fault(s["text"], t) for s, t in zip(seeds[3:15], texts)]
    print(f"{name}: {faults.count('')} of {len(texts)} usable;", dict(Counter(faults)))
    for text, why in list(zip(texts, faults))[:5]:
        print(wrap(text.replace("\n", " ") or "(cut off)", f"  {why or 'usable'}: "))

# %% [markdown]
# Compare the two counts, and read why replies were turned down. If hardly anything of the small
# model passes, it is too weak for this task. Do not weaken the checks until enough passes. From
# here on the teacher is `TEACHER`.
#
# ## 3. Many requests: several at once, and none twice
#
# A distant endpoint takes time for each reply, and meanwhile our program waits. So we send several
# requests at once. Here is a second server that takes a fifth of a second for each reply. It has no
# model: it refuses a request that is not recorded with the error 404.
#
# **Predict.** Sixteen requests, one after another and then eight at once. How many times faster?

# %%
from rich.progress import track

slow = recorded.serve(delay=0.2)
distant = OpenAI(base_url=slow.url, api_key="none")
sixteen = [
    words["paraphrase"].format(text=s["text"], manner=m)
    for s in seeds[:4]
    for m in words["manners"]
]
my_guess = "... times"
start = time.monotonic()
alone = [ask(p, recorded.RECORDED, distant) for p in sixteen]
middle = time.monotonic()
with ThreadPoolExecutor(8) as pool:
    answers = pool.map(lambda p: ask(p, recorded.RECORDED, distant), sixteen)
    together = list(track(answers, "asking", total=len(sixteen)))
end = time.monotonic()
print(f"alone {middle - start:.1f} s, eight at once {end - middle:.1f} s")
print("the same answers:", alone == together, "| you expected:", my_guess)

# %% [markdown]
# For hundreds of requests at once, `openai.AsyncOpenAI` does the same in one thread. A service
# limits your **rate** and answers 429 when you ask too fast. The client then waits and tries again
# by itself (`max_retries`).
#
# A run of some hundred requests can break off: a lost connection, a full disk, Ctrl-C. So each
# answer is written to the disk at once, under a **hash** of its request: a short code that is
# computed from a text and is the same for the same text. A request that comes again is answered
# from the disk.


# %%
import hashlib
import json


class Cache:
    """Answers on the disk, one a line, found by the hash of their prompt."""

    def __init__(self, path):
        self.path, self.asked, self.answers = path, 0, {}
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            self.answers = dict(json.loads(line) for line in lines)

    def ask(self, prompt):
        """The answer to a prompt; it is asked for only where there is none."""
        key = hashlib.sha256(f"{TEACHER} {prompt}".encode()).hexdigest()[:16]
        if key not in self.answers:
            self.asked += 1
            self.answers[key] = ask(prompt)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, self.answers[key]]) + "\n")
        return self.answers[key]


# %% [markdown]
# We ask for twenty paraphrases and delete the object, as if the program had been killed. Then a new
# object is asked for all paraphrases: 21 messages, each in four manners. **Predict.** How many
# requests go out the second time?

# %% tags=["nbval-check-output"]
pairs = [(seed, manner) for seed in seeds for manner in words["manners"]]
prompts = [words["paraphrase"].format(text=s["text"], manner=m) for s, m in pairs]

first = Cache(FOLDER / "answers.jsonl")
for prompt in prompts[:20]:
    first.ask(prompt)
asked_before = first.asked
del first  # killed

cache = Cache(FOLDER / "answers.jsonl")
with ThreadPoolExecutor(8) as pool:
    paraphrases = list(pool.map(cache.ask, prompts))
print(f"{asked_before} asked, then {cache.asked}: {len(paraphrases)} answers")

# %% [markdown]
# Nothing was asked twice, so nothing is paid for twice. `ftlab synth` and `ftlab amplify` do this
# as well; their cache also survives a line that a kill has cut in half.
#
# Now the other requests. Each message is translated to Finnish and to Japanese and **back**
# (**back-translation**). For each topic and six places, such as a gym or a library, five **new**
# messages are asked for, with the three seeds as examples (**few-shot**). The other two kinds of
# request, unit tests and tool calls, are for sections 5 and 10. The cell prints how many replies of
# each kind came.

# %% tags=["nbval-check-output"]
unit_tests = tasks.get("unit_tests")
functions = unit_tests.examples(words["functions"], seed=5)
code = [data.prompt(row)[-1]["content"].partition("def ")[2] for row in functions]
shown = {s["topic"]: "" for s in seeds}
for s in seeds:
    shown[s["topic"]] += f"\n- {s['text']}" if shown[s["topic"]] else f"- {s['text']}"
asked = {
    "there": [("translate", {"text": s["text"], "language": to})
              for s in seeds for to in words["languages"]],
    "new": [("new", {"topic": topic, "examples": shown[topic], "where": place})
            for topic in words["topics"] for place in words["places"]],
    "code": [("unit_tests", {"code": f"def {one}"}) for one in code],
    "calls": [("tool_call", {"sentence": one}) for one in words["sentences"]],
}  # fmt: skip
replies = {"paraphrase": paraphrases}
with ThreadPoolExecutor(8) as pool:
    for kind, some in asked.items():
        requests = [words[name].format(**slots) for name, slots in some]
        replies[kind] = list(pool.map(cache.ask, requests))
    back = [words["back"].format(text=text) for text in replies["there"]]
    replies["back"] = list(pool.map(cache.ask, back))
print({kind: len(some) for kind, some in replies.items()})

# %% [markdown]
# A request without a recorded reply goes to the small model. `endpoint.counts` says how many
# replies each of the two has written so far.
#
# ## 4. Cleaning
#
# A model that was made for conversation may begin with "Sure! Here's a polite version:", put the
# text in quotation marks or in a fence (three backticks), and add a remark.
#
# **Predict.** In which of the six kinds of reply is there most to clean? (Paraphrases, translations
# there and back, new messages, code, and calls.) The cell counts four marks in each kind, and shows
# what `tidy` makes of one reply.

# %% tags=["nbval-check-output"]
import pandas

FENCE = "`" * 3
MARKS = {
    "preamble": r"\A(sure|here)\b[^\n]*:\n",
    "quotation marks": r'(\A|:\n\n)"',
    "fence": FENCE,
    "remark at the end": rf"\n\n[(（*]|{FENCE}\n\n\S",
}
found = {
    kind: [sum(bool(re.search(mark, t, re.I)) for t in some) for mark in MARKS.values()]
    for kind, some in replies.items()
}
print(pandas.DataFrame(found, index=list(MARKS)).T)


def tidy(reply):
    """The one message in a reply, without what stands around it."""
    text = re.sub(MARKS["preamble"] + "+", "", reply.strip(), flags=re.I)
    if quoted := re.match(r'"([^"]+)"', text):
        text = quoted[1]
    return " ".join(re.split(r"\n+[(*]", text)[0].split())


print(wrap(f"{replies['back'][22]!r} -> {tidy(replies['back'][22])!r}"))

# %% [markdown]
# `tidy` cuts off preambles, quotation marks and remarks. A student that is trained on rows that
# begin with "Sure!" may learn to begin so. In a file of Python such a line is a syntax error.
#
# The five new messages of one reply come with dashes, with numbers, or in quotation marks, and two
# replies have a preamble.
#
# **Exercise 05.2.** Return the list of the messages in such a reply.

# %% tags=["exercise", "nbval-check-output"]
import re


def messages_in(reply):
    """The messages of a reply that lists them, one on a line."""
    # solution:
    lines = [re.sub(r"^(-|\d+\.) +", "", line.strip()) for line in reply.splitlines()]
    return [line.strip('"') for line in lines if line and not line.endswith(":")]
    # stub:
    # ...
    # end


check("05.2", messages_in)


# %% [markdown]
# For code, the course's own cleaner takes off preambles, fences and remarks. How many of the thirty
# modules are Python before it, and how many after?

# %%
from ftlab.curation.cleaning import clean
from ftlab.evaluation.intervals import paired_bootstrap
from ftlab.teaching import claims


def is_python(text):
    """1 if a text is Python, else 0."""
    try:
        return int(bool(compile(text, "answer", "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return 0


modules = [clean(text)[0] for text in replies["code"]]
raw, cleaned = ([is_python(t) for t in some] for some in (replies["code"], modules))
print(f"Python as they came: {sum(raw)} of {len(raw)}; cleaned: {sum(cleaned)}")
one = [1] * len(raw)
claims.record(31, paired_bootstrap(raw, one, cleaned, one, seed=SEED))

# %% [markdown]
# The last line is a **claim** that practitioners make, decided by a rule in `data/claims.yaml`:
# that a teacher's preamble has to be cleaned away. Look at the row `code` of the table before you
# believe its wording: it shows how many of these modules had a preamble, and how many a fence.
#
# ## 5. Right is what has been run
#
# A clean answer can be wrong. The teacher wrote unit tests for thirty short functions. We take one
# of them and change one expected value by hand. **Predict.** Which check will notice: that it must
# be Python, or that it must pass when it is run?
#
# Code that nobody has read is run in a **sandbox**: a process of its own, with no network and no
# view of your files, for a bounded time.

# %%
from ftlab import sandbox

right = modules[0]
wrong = re.sub(r"(assertEqual\(.*, )\S+\)", r"\g<1>'wrong')", right, count=1)
print("contained by:", sandbox.level())
for name, text in {"as it was": right, "one value changed": wrong}.items():
    marks = unit_tests.score(functions[0], text)
    print(f"{name}: Python {is_python(text)}, passes {int(marks['passes'].num)}")

# %% [markdown]
# Now all thirty modules of the large model, and `SMALL` of the small one. The last lines count in
# which forms the large model wrote them. **Predict.** How many of its thirty pass? Their expected
# values can be wrong, since a model writes them without running the function.

# %%
my_guess = "... of 30"
passed = [
    int(unit_tests.score(record, text)["passes"].num)
    for record, text in zip(functions, modules)
]
print(f"{TEACHER}: {sum(passed)} of {len(passed)} pass; you expected: {my_guess}")
prompts = [words["unit_tests"].format(code=f"def {one}") for one in code[:SMALL]]
weak = ask_all(prompts, "small", local, 160)
good = [
    unit_tests.score(record, clean(text)[0])["passes"].num
    for record, text in zip(functions, weak)
]
print(
    f"small: {int(sum(good))} of {len(weak)} pass; the first begins: {weak[0][:60]!r}"
)

forms = Counter(
    ("class TestName" if re.search(r"^class Test", text, re.M) else "class Name")
    + (", with a main line" if "__main__" in text else ", without a main line")
    for text in modules
)
for form, count in forms.most_common():
    print(f"{count:3}  {form}")

# %% [markdown]
# A test that passes may still be in another form than the next one. The prompt says "one class
# named after the function", and does not say how a file ends; the last lines above count what the
# large model made of that. Where there are several forms, a student of all thirty may learn all of
# them, and chance decides which one it writes. What a prompt leaves open can come out otherwise
# each time. There are two cures: say it in the prompt, and reject what differs. For the second, a
# check must look at the form as well as run the code.
#
# To keep only those answers of a model that pass a check is **rejection sampling**. Always read
# some of the rejected ones: if they all fail in the same way, the prompt is at fault.
#
# ## 6. From 21 seeds to three hundred rows
#
# First look at what translation does. **Predict.** What gets lost on the way to Finnish or Japanese
# and back: facts, tone, or mistakes of spelling?

# %% tags=["nbval-check-output"]
home = [tidy(reply) for reply in replies["back"]]
for number in (2, 8, 11):
    print(wrap(seeds[number]["text"], "seed:     "))
    for offset, language in enumerate(words["languages"]):
        print(wrap(home[2 * number + offset], f"{language + ':':10}"))
    print()

# %% [markdown]
# Compare the capitals, the contractions and the word order with the seed's. Careless spelling is
# partly gone. Finnish has one word for "he" and "she", as the teacher's note in section 4 says.
# Different languages lose different things.
#
# Now each candidate must pass: it is not faulty, it is no near copy of a row that we have, and it
# is no near copy of a **held-out** message. The last one matters most: with a rewording of a test
# message in the training file, the test would measure memory. So hold out first, and make rows
# later.


# %%
from ftlab.tasks import triage
from ftlab.teaching import lesson05

held_out = triage.examples(TEST, seed=SEED, split="test")
tests = [data.prompt(row)[-1]["content"] for row in held_out]
candidates = [
    ("paraphrase", n // 4, seeds[n // 4]["topic"], tidy(text))
    for n, text in enumerate(paraphrases)
]
candidates += [
    ("back-translation", n // 2, seeds[n // 2]["topic"], text)
    for n, text in enumerate(home)
]
candidates += [
    ("new", None, words["topics"][n // len(words["places"])], text)
    for n, reply in enumerate(replies["new"])
    for text in lesson05.messages_in(reply)
]

# %% [markdown]
# Each row keeps its **group**, the seed that it is from, and who wrote it. **Predict.** Which of the
# three ways loses the most?


# %% tags=["nbval-check-output"]
def row_of(text, topic, group, way):
    """A training row that says where it is from."""
    meta = {"group": group, "way": way, "by": TEACHER}
    return data.example(text, topic, system=triage.SYSTEM, **meta)


texts = [seed["text"] for seed in seeds]
rows = [row_of(s["text"], s["topic"], f"seed {n}", "seed") for n, s in enumerate(seeds)]
reasons = {}
for number, (way, seed, topic, text) in enumerate(candidates):
    why = "" if seed is None else fault(seeds[seed]["text"], text)
    if not why and max(alike(text, other) for other in texts) >= 0.7:
        why = "near another row"
    if not why and max(alike(text, other) for other in tests) >= 0.7:
        why = "near a held-out message"
    reasons.setdefault(way, Counter())[why or "kept"] += 1
    if not why:
        texts.append(text)
        group = f"new {number}" if seed is None else f"seed {seed}"
        rows.append(row_of(text, topic, group, way))
groups = {data.meta(row)["group"] for row in rows}
print(f"{len(seeds)} seeds have become {len(rows)} rows, in {len(groups)} groups")
pandas.DataFrame(reasons).fillna(0).astype(int)

# %% [markdown]
# Count **groups**, not rows. All rewordings of a seed say the same thing, so 21 seeds with their
# rewordings are still 21 problems. Each new message is counted as a group of its own, though all
# are from one model that was shown the same examples.
#
# Is the *label* of a new message right? The teacher was asked for the topic, and may have missed
# it. A cheap check: a classifier that learns from four fifths of the rows judges the last fifth,
# and so on for each fifth (cross-validation, see lesson 06). Where it disagrees most, a person
# should look.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

fresh = [row for row in rows if data.meta(row)["way"] == "new"]
asked, topics = zip(*((data.prompt(r)[-1]["content"], data.answer(r)) for r in fresh))
pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5))
linear = make_pipeline(pieces, LogisticRegression(C=10))
chances = cross_val_predict(linear, asked, topics, cv=5, method="predict_proba")
names = sorted(set(topics))
doubts = [row.max() - row[names.index(t)] for row, t in zip(chances, topics)]
for n in sorted(range(len(fresh)), key=lambda n: -doubts[n])[:5]:
    named = names[chances[n].argmax()]
    print(wrap(asked[n], f"{topics[n]}, or {named}? "))

# %% [markdown]
# Read them. Which are the classifier's mistakes, which the teacher's, and which belong to two
# topics? Lesson 06 looks for wrong labels with more care.
#
# ## 7. Splits that leak, and splits that do not
#
# Suppose there were no other messages, and we held out a part of our own rows. A test row **leaks**
# when a row of its group is in the training part.
#
# **Exercise 05.3.** Count the test records that leak.


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
# We take the seeds with their rewordings, and hold out a quarter in two ways: rows drawn at random,
# and whole groups. The classifier learns from the rest. **Predict.** Its share right on each of the
# two, and on the held-out messages of the course, which were written separately.

# %% tags=["nbval-check-output"]
import random

from ftlab.curation.splits import split

my_guess = "random ..., groups ..., held out ..."
reworded = [row for row in rows if data.meta(row)["way"] != "new"]
shuffled = random.Random(SEED).sample(reworded, len(reworded))
cut = len(shuffled) // 4
parts = split(reworded, [0.75, 0.25], by=["group"], label="completion", near=False)
ways = {
    "random rows": (shuffled[cut:], shuffled[:cut]),
    "whole groups": (parts["train"], parts["test"]),
    "held out from the start": (reworded, held_out),
}
for name, (train, test) in ways.items():
    seen = {data.meta(row)["group"] for row in train}
    leaks = sum(data.meta(row)["group"] in seen for row in test)
    named = triage.baseline(train, test)
    good = sum(topic == data.answer(row) for topic, row in zip(named, test))
    print(f"{name}: {good / len(test):.2f} right of {len(test)}, {leaks} leak")
print("you expected:", my_guess)

# %% [markdown]
# Where test rows leak, their rewordings were in the training part, and the first figure is too
# good. The third is the nearest to what new messages would get. The groups must stand in the file
# (`meta`) before it is shuffled: from the text alone a paraphrase is not always recognised.
#
# ## 8. What each way adds
#
# What do these rows do to the *tuned model*? The experiment has six **arms**, which are the
# variants that it compares. The first has the 21 seeds alone. Four have the seeds and up to 42
# more: paraphrases, back-translations, new messages, or messages that were **written** for the
# course one by one. These five read equally many rows, so the seeds alone are read more often. The
# last arm, `everything`, has all that the teacher made and reads more (see the column `read`).
#
# The experiment was run beforehand (`experiments/amplify.py`), and its results are in a file.
# `runs` says how many trainings each arm had, and `linear` is a logistic regression on the same
# rows. **Predict.** Order the arms by their share right.

# %% tags=["nbval-check-output"]
import numpy
from ftlab.files import data_path
from ftlab.teaching import plots_data

my_guess = "..."
grid = pandas.read_csv(data_path("grids/amplify.csv"), comment="#")
grid["tuned"] = grid["right"] / grid["of"]
grid["linear"] = grid["logistic"] / grid["of"]
grid = grid[grid["arm"] != "base"]
table = grid.groupby("arm", sort=False).agg(
    runs=("seed", "count"), rows=("rows", "first"), read=("read", "first"),
    tuned=("tuned", "mean"), lowest=("tuned", "min"), highest=("tuned", "max"),
    linear=("linear", "mean"),
)  # fmt: skip
print("you expected:", my_guess)
print(table.round(2).to_string())
columns = {"tuned model": table["tuned"], "logistic regression": table["linear"]}
plots_data.groups(
    {name: column.to_dict() for name, column in columns.items()},
    title="Topics right, by what was added to 21 seeds",
)

# %% [markdown]
# How sure is that? The file holds each answer of each run, so each arm can be compared with the
# seeds alone on the same messages.


# %% tags=["nbval-check-output"]
def marks_of(arm):
    """Every mark of an arm, seed after seed, on the same messages each time."""
    runs = grid[grid["arm"] == arm].sort_values("seed")
    return [[int(digit) for digit in run[1:]] for run in runs["answers"]]


def gain(before, after):
    """How much more is right in one arm than in another, with its interval."""
    pairs = list(zip(marks_of(before), marks_of(after)))  # the seeds that both have
    a, b = (numpy.concatenate(marks) for marks in zip(*pairs))
    return paired_bootstrap(a, [1] * len(a), b, [1] * len(b), seed=SEED)


for arm in table.index[1:]:
    print(f"{arm:17} minus the seeds alone: {gain('seeds', arm)}")
if {"new", "written"} <= set(table.index):
    print(f"written minus new: {gain('new', 'written')}")
claims.record(30, gain("seeds", "paraphrase"))

# %% [markdown]
# The intervals are about other messages. With one run of each arm they say nothing about another
# training; with several, they treat the runs as independent, which makes them a little too narrow.
# And the written messages are by the authors of the test, which may favour them.
#
# And one point of your own: the seeds with 42 new messages, once, on this machine. `fine_tune`
# builds the trainer. The second cell draws the messages, trains, and prints the share right of
# `TEST`.

# %%
from datasets import Dataset
from peft import LoraConfig
from trl import SFTTrainer


def fine_tune(rows, steps):
    """A trainer with a fresh copy of the base and an adapter on its upper half."""
    base = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    rate = ftlab.learning_rate("lora", base.num_parameters()).high
    args = ftlab.sft_config(
        max_steps=steps, learning_rate=rate, seed=SEED, per_device_train_batch_size=4
    )
    adapter = LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(base))
    trainer = SFTTrainer(
        base.to(PROFILE.device), args=args, train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer, peft_config=adapter, callbacks=[ftlab.LiveCurve()],
    )  # fmt: skip
    ftlab.preflight(ftlab.faster_on_cpu(trainer))
    return trainer


# %%
from ftlab.evaluation.intervals import wilson_interval
from ftlab.generation import generate

chosen = rows[: len(seeds)]
for topic in words["topics"]:
    some = [row for row in fresh if data.answer(row) == topic]
    chosen += random.Random(SEED).sample(some, 6)
trainer = fine_tune(
    [{k: r[k] for k in ("prompt", "completion")} for r in chosen], STEPS
)
seconds = trainer.train().metrics["train_runtime"]
answers = generate(
    trainer.model, tokenizer, [data.prompt(r) for r in held_out], max_new_tokens=6
)
good = [triage.score(row, text)["right"].num for row, text in zip(held_out, answers)]
print(f"{len(chosen)} rows, {seconds:.0f} s: {wilson_interval(sum(good), len(good))}")

# %% [markdown]
# Does its interval hold the figure of the arm `new`? Other new messages were drawn here, and other
# test messages asked.
#
# ## 9. A model that learns from itself
#
# So far the teacher was a larger model. Can a model teach *itself*? It answers new inputs, and a
# fresh copy of the base learns from the answers: **self-training**. Two ways to choose what is
# learned: *all* answers as they come, or only those that pass a check (rejection sampling).
#
# The task here is `kindness`: an everyday problem, and the smallest helpful action. Its check needs
# no known answer, only rules: two or three whole sentences, on the topic, harmless. This is the
# loop, without the training:
#
# ```python
# for problem in new_problems:
#     answers = [sample(model, problem, temperature=1.0) for _ in range(3)]
#     kept = [answer for answer in answers if passes(problem, answer)]  # or all of them
#     rows += kept[:1]
# model = fine_tune(fresh_base, rows)
# ```
#
# The **temperature** says how freely a model draws its next token: at 0 it takes the likeliest one.
# Three rounds of this are too long for a lesson, so they were run beforehand
# (`experiments/self_training.py`). *All* and *checked* draw at temperature 1. A third line, *all,
# cooler*, is unchecked as well, and draws at 0.7.
#
# **Predict.** Round 0 learned from the course's own answers. What becomes of the share of helpful
# answers in rounds 1 to 3: with all answers, with those that passed, and with cooler ones?

# %% tags=["nbval-check-output"]
my_guess = "all: ..., checked: ..., cooler: ..."
loop = pandas.read_csv(data_path("grids/self_training.csv"), comment="#")
points = {}
for kept in ("all", "checked", "all, cooler"):
    runs = loop[loop["kept"].isin([kept, "gold"])]
    sums = runs.groupby("round")[["helpful", "of"]].sum()
    points[kept] = {
        n: wilson_interval(int(h), int(of)) for n, (h, of) in sums.iterrows()
    }
print("you expected:", my_guess)
loop["passed"] = loop["passed"] / loop["sampled"]
shown = loop.groupby(["kept", "round"])[["rows", "passed", "openings", "words"]].mean()
print(f"{loop['seed'].nunique()} runs from round 0 on; means:\n{shown.round(2)}")
plots_data.curves(
    points, title="A model that learns from its own answers",
    xlabel="round", ylabel="share helpful",
)  # fmt: skip

# %% [markdown]
# `passed` is the share of samples that passed the check. `openings` says in how many ways 40
# held-out answers begin (their first three words), and `words` is their mean length. Where the
# share helpful falls from round to round, the model learns its own mistakes. When variety is lost
# as well, this is called **model collapse**; look at `openings`. Many openings are not always a
# good sign, since wrong answers can be varied too.
#
# What could be new in the rows? *All* holds what the model knew, with its mistakes. *Checked* also
# holds what the **rules** know, since they drop some mistakes. *All, cooler* has no check: compare
# its column `passed` with that of *all*. The temperature decides how many mistakes are drawn.


# %% tags=["nbval-check-output"]
def helpful(kept, number):
    """The marks of a round, seed by seed, where the seed has got so far."""
    some = loop[(loop["kept"] == kept) & (loop["round"] == number)]
    return {r.seed: [int(digit) for digit in r.answers[1:]] for r in some.itertuples()}


def change(kept):
    """Helpful answers in the last round minus those of round 0, same problems."""
    last = loop[loop["kept"] == kept]["round"].max()
    start, end = helpful("gold", 0), helpful(kept, last)
    a, b = (numpy.concatenate([marks[s] for s in end]) for marks in (start, end))
    return paired_bootstrap(a, [1] * len(a), b, [1] * len(b), seed=SEED)


for kept in loop["kept"].unique():
    if kept != "gold":
        print(f"{kept}: the last round minus round 0: {change(kept)}")
claims.record(23, change("all"))

# %% [markdown]
# The rule of claim 23 looks at *all* alone, so its verdict is about unchecked answers at
# temperature 1. Read the line of *all, cooler* before you say that self-training always harms.
#
# Here each round learned from its own rows only. It can help to keep the first rows and to *add*
# the new ones (Gerstgrasser and others 2024). The script is short, and you can try it.
#
# ## 10. Tool calls
#
# A **tool call** is an answer that a program reads: the name of a function, and its arguments. A
# restaurant has three functions. `pydantic` describes them once, for three uses: to check a call,
# to tell a model which functions there are, and, in the next section, to restrict what a model can
# write.

# %%
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

Day = Literal[
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"
]
Time = Annotated[str, Field(pattern=r"^[0-2]\d:[0-5]\d$")]


class book_table(BaseModel, extra="forbid"):
    name: str | None
    people: int | None
    day: Day | None
    time: Time | None


class cancel_booking(BaseModel, extra="forbid"):
    name: str | None
    day: Day | None


class opening_hours(BaseModel, extra="forbid"):
    day: Day | None


# %% [markdown]
# **Predict.** Of the teacher's 24 calls, how many are valid? The prompt said "null for what the
# guest does not say", and nothing about how a time is written.

# %% tags=["nbval-check-output"]
my_guess = "..."
TOOLS = {tool.__name__: tool for tool in (book_table, cancel_booking, opening_hours)}


def invalid(text):
    """What is wrong with a call; an empty text if nothing is."""
    try:
        call = json.loads(text)
        TOOLS[call["tool"]].model_validate(call["arguments"], strict=True)
    except ValidationError as error:
        return f"{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}"
    except (ValueError, KeyError, TypeError) as error:
        return f"no call: {type(error).__name__}"
    return ""


written = [clean(reply)[0] for reply in replies["calls"]]
for sentence, text in zip(words["sentences"], written):
    if why := invalid(text):
        print(wrap(f"{sentence} -> {json.loads(text)['arguments']}: {why}"))
valid = [(s, t) for s, t in zip(words["sentences"], written) if not invalid(t)]
print(f"{len(valid)} of {len(written)} are valid; you expected: {my_guess}")

# %% [markdown]
# **Exercise 05.4.** Make a training row of a sentence and a call of the teacher's: `messages`, in
# which the assistant calls the function, and `tools`. What is null was not said: leave it out.


# %% tags=["exercise", "nbval-check-output"]
def tool_record(sentence, call, tools):
    """A row whose answer is a tool call; `call` has the keys "tool" and "arguments"."""
    # solution:
    said = {key: it for key, it in call["arguments"].items() if it is not None}
    function = {"name": call["tool"], "arguments": said}
    turn = {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": function}
    ]}  # fmt: skip
    return {"messages": [{"role": "user", "content": sentence}, turn], "tools": tools}
    # stub:
    # ...
    # end


check("05.4", tool_record)

# %% [markdown]
# The conversation goes on: the program answers with the role `tool`, the assistant speaks to the
# guest, and the guest asks again. Such a row of **several turns** teaches every assistant turn in
# it. Here is one in OpenAI's own format, in which the arguments are a string and each call has an
# id.

# %% tags=["nbval-check-output"]
from ftlab import formats

tools = [
    {"type": "function", "function": {
        "name": name, "parameters": tool.model_json_schema()
    }}
    for name, tool in TOOLS.items()
]  # fmt: skip
call = {"name": "opening_hours", "arguments": {"day": "Monday"}}
talk = [
    {"role": "user", "content": words["sentences"][2]},
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call_0", "type": "function", "function": call}
    ]},
    {"role": "tool", "tool_call_id": "call_0", "content": "closed"},
    {"role": "assistant", "content": "Sorry, we are closed on Mondays."},
    {"role": "user", "content": "And on Tuesday?"},
    {"role": "assistant", "content": "One moment, I will look."},
]  # fmt: skip
conversation = {"messages": talk, "tools": tools}
for turn in formats.line_of(conversation, "openai")["messages"]:
    print(turn)

# %% [markdown]
# ## 11. Valid is not right
#
# Must a model be tuned to write valid JSON? At each step, a program can rule out every token with
# which the text could no longer fit the schema. This is **constrained decoding**; `llguidance` does
# it here, and many servers offer it as `response_format`. An answer that is complete is valid. But
# is it *right*?
#
# Two cells do it. In `Grammar`, look at the line with `-inf`: it rules tokens out. `constrained`
# asks the model with it.

# %%
import torch
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from transformers import LogitsProcessor


class Grammar(LogitsProcessor):
    """Leaves each row only the tokens with which it can still fit the grammar."""

    def __init__(self, tokens, grammar, rows, start):
        self.rows = [LLMatcher(tokens, grammar) for _ in range(rows)]
        self.read = start

    def __call__(self, ids, scores):
        for n, matcher in enumerate(self.rows):
            if not matcher.is_stopped():
                matcher.consume_tokens(ids[n, self.read :].tolist())
            allowed = numpy.frombuffer(matcher.compute_logit_bias(), dtype=numpy.uint8)
            scores[n, torch.tensor(allowed == 0)] = -float("inf")
        self.read = ids.shape[1]
        return scores


# %%
def constrained(model, prompts, options):
    """A model's answers to prompts, each of them JSON that fits the schema."""
    grammar = LLMatcher.grammar_from_json_schema(schema, defaults=options)
    size, end = model.config.vocab_size, tokenizer.eos_token_id
    tokens = from_tokenizer(tokenizer, n_vocab=size, eos_token=end)
    tokenizer.padding_side = "left"  # so that all rows go on at the same place
    batch = tokenizer.apply_chat_template(
        prompts, add_generation_prompt=True, padding=True,
        return_dict=True, return_tensors="pt",
    ).to(model.device)  # fmt: skip
    start = batch["input_ids"].shape[1]
    held = Grammar(tokens, grammar, len(prompts), start)
    out = model.generate(
        **batch, max_new_tokens=64, do_sample=False, logits_processor=[held],
        eos_token_id=end, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return tokenizer.batch_decode(out[:, start:], skip_special_tokens=True)


# %% [markdown]
# The schema is that of the three classes. One more thing has to be settled: JSON may have a space
# after its commas and colons, or none. `spaced` writes it as the training rows have it, `compact`
# without.
#
# The rival is a fine-tune. The template of our base knows no tools, so here the call is the text of
# the answer. Of the valid calls, twelve are for training and the others for the test. It is a very
# small test: look at large differences only.

# %%
schema = {"anyOf": [
    {"type": "object", "required": ["tool", "arguments"], "additionalProperties": False,
     "properties": {"tool": {"const": name}, "arguments": tool.model_json_schema()}}
    for name, tool in TOOLS.items()
]}  # fmt: skip
spaced = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
compact = {"whitespace_flexible": False}
SYSTEM = (
    "Answer with one JSON call: book_table(name, people, day, time), "
    "cancel_booking(name, day) or opening_hours(day)."
)
call_rows = [
    data.example(s, json.dumps(json.loads(t)), system=SYSTEM) for s, t in valid
]
random.Random(SEED).shuffle(call_rows)
caller = fine_tune(call_rows[:12], CALL_STEPS)
result = caller.train()
print(f"{result.metrics['train_runtime']:.0f} seconds")

# %% [markdown]
# **Predict.** Valid calls, and right ones, of the base and of the tuned model: free, and
# constrained. And will the spaces matter?

# %%
my_guess = "..."
left = call_rows[12:]
asked = [data.prompt(row) for row in left]
wanted = [json.loads(data.answer(row)) for row in left]
systems = {
    "base, free": generate(model, tokenizer, asked, max_new_tokens=64),
    "base, constrained": constrained(model, asked, spaced),
    "tuned, free": generate(caller.model, tokenizer, asked, max_new_tokens=64),
    "tuned, constrained": constrained(caller.model, asked, spaced),
    "tuned, constrained, compact": constrained(caller.model, asked, compact),
}
for name, texts in systems.items():
    fits = [not invalid(text) for text in texts]
    made = [json.loads(text) if fit else {} for text, fit in zip(texts, fits)]
    tool = sum(call.get("tool") == want["tool"] for call, want in zip(made, wanted))
    whole = sum(call == want for call, want in zip(made, wanted))
    print(
        f"{name:28} of {len(texts)}: valid {sum(fits)}, tool {tool}, all right {whole}"
    )
    print(wrap(texts[1].replace("\n", " ")[:160], "   "))
print("the second guest wrote:", asked[1][-1]["content"], "\nyou expected:", my_guess)

# %% [markdown]
# Compare `valid` with `all right`, and the printed arguments with what the guest wrote. **A valid
# call is not always a right one.** Then compare the free lines: what did a dozen rows teach, the
# form, the function, or the arguments?
#
# The two can be combined. The last two lines differ only in the spaces of the JSON. Where their
# counts are close, so few sentences show no difference; the printed answers show what can go wrong.
# A model that must write JSON without the spaces of its training rows continues a text unlike any
# that it was trained on.
#
# ## 12. Formats, and who owns the rows
#
# Each trainer and each provider wants its own keys for the same messages. A program that writes a
# format should refuse what has no place in it, and not drop it silently. The table shows which
# formats take a tool call.

# %% tags=["nbval-check-output"]
from ftlab.errors import DataError

plain = {k: rows[0][k] for k in ("prompt", "completion")}
kinds = {"a topic": plain, "a tool call, several turns": conversation}
holds = {}
for name in formats.FORMATS:
    for kind, row in kinds.items():
        try:
            keys = ", ".join(formats.line_of(row, name))
        except DataError as error:
            keys = f"refused: {str(error).partition(';')[0]}"
        holds.setdefault(name, {})[kind] = keys
pandas.DataFrame(holds).T

# %% [markdown]
# Before you train on rows that a model wrote, answer three questions in writing:
#
# - **The teacher's terms.** Many services forbid training a competing model on their answers, and
#   some open models pass their licence on to what is trained on their output. Read the terms of the
#   day on which you ask, and keep the date. Each row here says in `meta` who wrote it (`by`).
# - **The seeds' licence.** Real messages belong to somebody, and hold names and numbers. A
#   paraphrase keeps them. Remove them first; lesson 06's doctor looks for them.
# - **The reader's right to know.** Say in the data set's card which rows a model wrote.
#
# ## 13. Your turn
#
# Write ten messages of your own, of two or more topics. A model says each in two other ways: your
# own endpoint's if you have set `OPENAI_MODEL`, else the small one, of whose rewordings few may
# pass. The doctor checks the file.

# %%
MINE = [
    ("The tap in the kitchen drips since Monday.", "repair"),
    ("There is no hot water on the third floor!", "repair"),
    ("the lift stopped between 2 floors again", "repair"),
    ("Could somebody oil the front door? It squeaks.", "repair"),
    ("One of the cellar lights is out.", "repair"),
    ("My neighbour plays drums after 11 at night.", "noise"),
    ("please tell flat 7 to turn the music down", "noise"),
    ("A dog barks in the yard from 6 in the morning.", "noise"),
    ("They are drilling on Sunday. Is that allowed?", "noise"),
    ("Our new neighbours shout at each other all night.", "noise"),
]

# %%
from ftlab.curation import doctor
from rich import print as show

who, name = (local, "small") if client is local else (client, TEACHER)
tasks_of = [(text, topic, m) for text, topic in MINE for m in words["manners"][:2]]
prompts = [words["paraphrase"].format(text=t, manner=m) for t, _, m in tasks_of]
texts = [tidy(text) for text in ask_all(prompts, name, who, 60)]
mine = [data.example(t, topic, group=t, way="seed") for t, topic in MINE]
for (source, topic, _), text in zip(tasks_of, texts):
    near = any(alike(text, data.prompt(row)[-1]["content"]) >= 0.7 for row in mine)
    if text and not near and not fault(source, text):
        mine.append(data.example(text, topic, group=source, way="paraphrase"))
path = data.write("runs/05/mine.jsonl", mine, overwrite=True)
print(f"{len(MINE)} seeds, {len(texts)} rewordings, {len(mine)} rows in the file")
show(doctor.examine(path).table())
slow.close()
endpoint.close()

# %% [markdown]
# Read the rewordings that passed before you believe the count. If the small model wrote them, some
# may be answers that the checks did not notice: which check would have caught them? Keep the file.
# Lesson 06 examines such files, and the capstone wants one.
#
# ## 14. The limits of this verdict
#
# - **One teacher, asked once.** The recorded replies are those of one large model on one day,
#   several in one context. Another teacher makes other mistakes: read what your checks reject.
# - **One student, and a task of one word.** Where answers are long, a student also learns the
#   teacher's style and its mistakes.
# - **The same authors.** Seeds, written messages and test come from the course's authors, who had a
#   language model's help. Messages of real customers may differ more.
# - **The rules that pick are the rules that mark.** In section 9 a student may learn to please the
#   rules without being helpful. Read its answers; lesson 07 has some that pass the rules and make
#   no sense.
# - **Few runs.** The tables say how many. With other seeds, neighbouring arms may change places.
#
# ## 15. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("05")

# %% [markdown]
# ## 16. Takeaways
#
# 1. **Check what a model writes.** Clean it, run it or check it, keep what passes, and read what
#    did not.
# 2. **Count groups, not rows.** Rewordings of one message belong together, on one side of the
#    split.
# 3. **A model that learns from its own answers learns its mistakes too.** A check can drop those
#    that it knows. A valid answer can still be wrong.
#
# Next: [06 Judging data](06_judging_data.ipynb).
# What is wrong with a data file, and what does each fault cost?
