# %% [markdown]
# # 05 Making data: from 21 messages to three hundred checked rows
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/05_making_data.ipynb)
#
# **What you will build**: a file of about three hundred training rows, made from 21 messages by a
# language model behind an endpoint. Each row is cleaned and checked. You see what each way of making
# rows adds to a tuned model, and what happens to a model that learns from its own answers.
#
# **Prerequisites**: lesson 00. No GPU and no key. Any endpoint that speaks OpenAI's protocol can
# take the place of the one that this lesson starts.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about 75 minutes | three to six minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Whenever you are asked for a prediction, write it down before you run the next cell.

# %%
# On Colab this installs the course; anywhere else it does nothing.
import subprocess
import sys

REPOSITORY = "https://github.com/ftlab-course/ftlab"
if "google.colab" in sys.modules:
    wanted = f"ftlab @ git+{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)

# %% [markdown]
# ## 1. Settings
#
# `TEST` held-out messages are used from section 6 on, `STEPS` training steps in section 8 and
# `CALL_STEPS` in section 11. `SMALL` functions are given to the small model in section 5.

# %%
import json
import random
import re
import time
from typing import Literal

import datasets
import ftlab
import pandas
import transformers
from ftlab import check, data, files, hardware, models, recorded, tasks
from ftlab.display import wrap
from ftlab.evaluation.intervals import difference, wilson_interval
from ftlab.teaching import claims, lesson05, plots

SEED, BASE, PROFILE = 0, "smollm2-135m", ftlab.profile()
TEST, STEPS, CALL_STEPS, SMALL = 100, 32, 18, 2
hardware.seed_everything(SEED)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()

# %% [markdown]
# ## 2. A teacher behind an endpoint
#
# Somebody has to write the rows that a model learns from. A model that writes them is called a
# **teacher**, and the model that learns from them a **student**. When a small student learns what
# a large teacher wrote, this is **distillation**. Here the student should name the topic of a
# customer's message. We begin with 21 messages, which were written for this course.

# %% tags=["nbval-check-output"]
words = files.read_data("lessons/teacher.yaml")
seeds = words["seeds"]
for seed in seeds[::5]:
    print(f"{seed['topic']:13}{seed['text']}")
print(f"{len(seeds)} messages, {len(words['topics'])} topics")

# %% [markdown]
# Most services and local servers speak **OpenAI's protocol**: a list of messages goes to a URL, and
# an answer comes back. So a teacher is a URL and a name, and you can choose among three:
#
# - `small`: the small base of the lessons before, untuned;
# - `recorded`: replies that a large language model (Claude) wrote once, each with its date and kept
#   as it came, with its faults. No person wrote any of them. A request that is not among them goes
#   to the small model, and `reply.model` says which of the two answered;
# - your own: set `OPENAI_BASE_URL`, `OPENAI_API_KEY` and `OPENAI_MODEL` before you start Jupyter.
#   The official client reads the first two by itself.
#
# To **paraphrase** a message is to say it in other words. One prompt goes to two models.
# **Predict.** What will the small one answer, and what the large one?

# %%
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from openai import OpenAI
from rich.progress import track

model, tokenizer = models.load(BASE)
endpoint = recorded.serve(model, tokenizer, name="small")
local = OpenAI(base_url=endpoint.url, api_key="none")
client, TEACHER = local, recorded.RECORDED
if os.environ.get("OPENAI_MODEL"):
    client, TEACHER = OpenAI(), os.environ["OPENAI_MODEL"]

prompt = words["paraphrase"].format(text=seeds[5]["text"], manner=words["manners"][0])
chat = [{"role": "user", "content": prompt}]
print(prompt)
for name, who in {"small": local, TEACHER: client}.items():
    reply = who.chat.completions.create(model=name, messages=chat, max_tokens=60)
    print(f"\n{reply.model}: {reply.choices[0].message.content}")

# %% [markdown]
# Each of the `choices` in a reply has a `finish_reason`: `"stop"` when the model ended its turn,
# `"length"` when the limit cut it off. An answer that was cut off must not become a training row.
#
# **Exercise 05.1.** Ask a model through the client, with at most `most` tokens. Return the text of
# the answer, or `None` if it was cut off. Stuck? `ftlab.hint("05.1", 1)`, then `ftlab.hint("05.1", 2)`.


# %% tags=["exercise", "nbval-check-output"]
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
# What is a *usable* paraphrase? A program can check some of it: the numbers are still there, it is
# not nearly the same text, and it is a message and not an answer to one. `alike` is the share of
# words that two texts have in common, of all words that either has (the **Jaccard index**). At
# which value a text is too near is a choice; 0.7 is ours.

# %%
ANSWER = r"\b(sorry|assist|chatbot)\b|customer's message|\["


def alike(a, b):
    """The words that two texts share, over those that either has."""
    one, other = (set(re.findall(r"[a-z0-9']+", text.lower())) for text in (a, b))
    return len(one & other) / len(one | other)


def fault(text, source, others=()):
    """Why a text that a model wrote is turned down; empty if it is not."""
    if not text:
        return "cut off"
    if set(re.findall(r"\d+", source)) - set(re.findall(r"\d+", text)):
        return "a number is lost"
    if source and re.search(ANSWER, text, re.I):
        return "an answer, not a message"
    if source and alike(source, text) >= 0.7:
        return "nearly the same"
    return "near another" if any(alike(text, one) >= 0.7 for one in others) else ""


# %% [markdown]
# Twelve messages go to each model. `ask_all` has eight requests under way at a time (section 3 says
# why) and shows a bar; `lesson05.text_of` is exercise 05.1, solved.


# %%
def ask_all(ask, prompts):
    """The answers to prompts, in order; eight are under way at a time."""
    with ThreadPoolExecutor(8) as pool:
        return list(track(pool.map(ask, prompts), "asking", total=len(prompts)))


# %%
asked = lesson05.requests()
twelve = asked["paraphrase"][12:60:4]  # the first manner of four: a text message
for name, who in {"small": local, TEACHER: client}.items():
    texts = ask_all(partial(lesson05.text_of, who, name, most=48), twelve)
    faults = [fault(text, seed["text"]) for text, seed in zip(texts, seeds[3:15])]
    print(f"{name}: {faults.count('')} of {len(texts)} usable")
    for text, why in list(zip(texts, faults))[2:5]:
        print(wrap(text or "(cut off)", f"  {why or 'usable'}: "))

# %% [markdown]
# Compare the two counts, and read why replies were turned down. If hardly anything of the small
# model passes, it is too weak for this task. Do not weaken the checks until enough passes. From
# here on the teacher is `TEACHER`.
#
# ## 3. Many requests: several at once, and none twice
#
# A distant endpoint takes time for each reply, and meanwhile our program waits. So we send several
# requests at once. Here is a second server, which takes a fifth of a second for each reply.
#
# **Predict.** Sixteen requests, one after another and then eight at once. How many times faster?

# %%
slow = recorded.serve(delay=0.2)
distant = OpenAI(base_url=slow.url, api_key="none")
ask = partial(lesson05.text_of, distant, recorded.RECORDED, most=400)
sixteen, start = asked["paraphrase"][:16], time.monotonic()
alone, middle = [ask(prompt) for prompt in sixteen], time.monotonic()
print("the same answers:", ask_all(ask, sixteen) == alone)
print(f"alone {middle - start:.1f} s, eight at once {time.monotonic() - middle:.1f} s")
slow.close()

# %% [markdown]
# A service limits your **rate** and answers 429 when you ask too fast. The client then waits and
# tries again by itself (`max_retries`).
#
# A long run can break off: a lost connection, a full disk, Ctrl-C. So each answer is written to the
# disk at once, under a **hash** of its request: a short code that is the same for the same text. We
# ask for twenty paraphrases, open the file anew as after a kill, and ask for all: 21 messages, each
# in four manners. **Predict.** How many requests go out the second time? (Run the cell once more,
# even tomorrow: then all answers are there.)
#
# Then come the other requests. Each message is translated to Finnish and to Japanese and **back**
# (**back-translation**). For each topic and six places, such as a gym, five **new** messages are
# asked for, with the three seeds as examples (**few-shot**). Unit tests and tool calls are for
# sections 5 and 10.

# %%
from ftlab.curation.answer_cache import AnswerCache


def ask_once(prompt):
    """The teacher's answer (empty if cut off), asked for only if the disk has none."""
    chat = [{"role": "user", "content": prompt}]
    if not cache.get(chat, model=TEACHER):
        answer = lesson05.text_of(client, TEACHER, prompt, 400) or ""
        cache.keep(chat, answer, model=TEACHER)
    return cache.get(chat, model=TEACHER).text


cache = AnswerCache("runs/05/answers.jsonl")
ask_all(ask_once, asked["paraphrase"][:20])
cache = AnswerCache("runs/05/answers.jsonl")  # as after a kill
there = len(cache)
replies = {kind: ask_all(ask_once, some) for kind, some in asked.items()}
home = [words["back"].format(text=text) for text in replies["there"]]
replies["back"] = ask_all(ask_once, home)
print(f"{there} answers were there, {len(cache) - there} were asked for")

# %% [markdown]
# ## 4. Cleaning
#
# A model that was made for conversation may begin with "Sure! Here's a polite version:", put the
# text in quotation marks or in a fence (three backticks), and add a remark.
#
# **Predict.** In which of the six kinds of reply is there most to clean? (Paraphrases, translations
# there and back, new messages, code, and calls.) The cell counts the replies with each mark, and
# shows what the course's `tidy` makes of one reply.

# %% tags=["nbval-check-output"]
MARKS = {"preamble": r"\A(?:sure|here)\b[^\n]*:\n", "quotation marks": r'(?:\A|:\n\n)"',
         "fence": "```", "remark at the end": r"\n\n[(（*]|```\n\n\S"}  # fmt: skip
texts = pandas.Series(replies).explode()
marked = {name: texts.str.contains(mark, case=False) for name, mark in MARKS.items()}
marked = pandas.DataFrame({"replies": texts.notna(), **marked})
print(wrap(f"{replies['back'][22]!r} -> {lesson05.tidy(replies['back'][22])!r}"))
marked.groupby(level=0, sort=False).sum()

# %% [markdown]
# A student that is trained on rows that begin with "Sure!" may learn to begin so. The five new
# messages of one reply come with dashes, with numbers, or in quotation marks, and two replies have
# a preamble.
#
# **Exercise 05.2.** Return the list of the messages in such a reply.


# %% tags=["exercise", "nbval-check-output"]
def messages_in(reply):
    """The messages of a reply that lists them, one on a line."""
    # solution:
    import re

    lines = [re.sub(r"^(-|\d+\.) +", "", line.strip()) for line in reply.splitlines()]
    return [line.strip('"') for line in lines if line and not line.endswith(":")]
    # stub:
    # ...
    # end


check("05.2", messages_in)

# %% [markdown]
# For code, the course's own `clean` takes off preambles, fences and remarks. In a file of Python
# each of them is a syntax error. **Predict.** Of the thirty modules, how many are Python as they
# came? With only the preamble left on? And with nothing left on?

# %% tags=["nbval-check-output"]
import ast

from ftlab.curation.cleaning import clean


def is_python(text):
    """Whether a text is Python."""
    try:
        return bool(ast.parse(text))
    except SyntaxError:
        return False


modules = [clean(reply)[0] for reply in replies["code"]]
led = [r.partition("```")[0] + m for r, m in zip(replies["code"], modules)]
came, kept, cleaned = ([*map(is_python, t)] for t in (replies["code"], led, modules))
print(f"as they came {sum(came)}, preamble left on {sum(kept)}, cleaned {sum(cleaned)}")
claims.record(31, difference(kept, cleaned))

# %% [markdown]
# The last line is a **claim** that practitioners make, decided by a rule in `data/claims.yaml`. It
# counts the preamble alone: fence and remark are off on both sides. Each module with a preamble is
# broken, but few have one. It is the fence that breaks them all.
#
# ## 5. Right is what has been run
#
# A clean answer can be wrong. Code that nobody has read is run in a **sandbox**: a process of its
# own, with no network and no view of your files, for a bounded time. We run the thirty modules of
# the large model, one of them also with an expected value changed by hand, and `SMALL` of the small
# model. **Predict.** How many of the thirty pass? A model writes the expected values without
# running the function.

# %%
from ftlab import sandbox

unit_tests = tasks.get("unit_tests")
functions = unit_tests.examples(words["functions"], seed=5)
wrong = re.sub(r"(assertEqual\(.*, )\S+\)", r"\1'wrong')", modules[0], count=1)
ask = partial(lesson05.text_of, local, "small", most=160)
weak = [clean(reply or "")[0] for reply in ask_all(ask, asked["code"][:SMALL])]
print("contained by:", sandbox.level())
for name, some in {TEACHER: modules, "value changed": [wrong], "small": weak}.items():
    good = sum(unit_tests.score(*pair)["passes"].num for pair in zip(functions, some))
    code = sum(map(is_python, some))
    print(f"{name}: {code} Python, {good:.0f} of {len(some)} pass")
print(f"rejected: {weak[0][:160]!r}")

# %% [markdown]
# Only running notices the changed value. To keep only those answers of a model that pass a check is
# **rejection sampling**. Always read some of the rejected ones: if they all fail in the same way,
# the prompt is at fault.
#
# ## 6. From 21 seeds to three hundred rows
#
# Now the messages. A candidate must pass three checks: it has no fault, it is no near copy of a row
# that we have, and it is no near copy of a **held-out** message. The last one matters most: with a
# paraphrase of a test message in the training file, the test would measure memory. So hold out
# first, and make rows later. (The table calls both kinds of copy *near another*.) Each row keeps the
# seed that it is from.
#
# `lesson05.candidates` takes the messages out of the replies, with `tidy` and exercise 05.2.
# **Predict.** Which of the three ways loses the most, and why?

# %% tags=["nbval-check-output"]
from ftlab.tasks import triage

held_out = triage.examples(TEST, seed=SEED, split="test")
tests = [data.prompt(row)[-1]["content"] for row in held_out]
made, log = [("seed", s["topic"], s["text"], s["text"]) for s in seeds], []
for way, topic, source, text in lesson05.candidates(replies):
    reason = fault(text, source, [*tests, *(row[3] for row in made)]) or "kept"
    log.append((way, reason, source, text))
    if reason == "kept":
        made.append((way, topic, source or text, text))
log = pandas.DataFrame(log, columns=["way", "result", "source", "text"])
for row in log[log.result != "kept"].groupby("result").head(2).itertuples():
    print(wrap(f"{row.source} -> {row.text}", f"{row.result}: "))
print(f"{len(seeds)} seeds have become {len(made)} rows")
pandas.crosstab(log.way, log.result)

# %% [markdown]
# Read the rejected ones. Many translations come home nearly as they left; and "4 tickets" that came
# home as "four" was turned down by a check that is too strict. Is the *topic* of a new message
# right? The teacher was asked for it, and may have missed it; lesson 06 looks for wrong labels.
#
# ## 7. Splits that leak, and splits that do not
#
# All paraphrases of a seed say the same thing, so count **groups**, not rows: 21 seeds with their
# paraphrases are still 21 problems. Suppose there were no other messages, and we held out a part of
# our own rows. A test row **leaks** when a row of its group is in the training part.
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
# We take the seeds with their paraphrases and back-translations, and hold out a quarter in two
# ways: rows drawn at random, and whole groups. A logistic regression learns from the rest.
# **Predict.** Its share right on each of the two, and on the held-out messages of the course, which
# were written separately.

# %% tags=["nbval-check-output"]
from ftlab.curation.splits import split

rows = [
    data.example(text, topic, system=triage.SYSTEM, group=source, way=way, by=TEACHER)
    for way, topic, source, text in made
]
again = [row for row in rows if data.meta(row)["way"] != "new"]
mixed = random.Random(SEED).sample(again, len(again))
parts = split(again, [0.75, 0.25], by=["group"], label="completion", near=False)
whole, cut = (parts["train"], parts["test"]), len(parts["test"])
ways = {"random rows": (mixed[cut:], mixed[:cut]), "whole groups": whole,
        "held out from the start": (again, held_out)}  # fmt: skip
for name, (train, test) in ways.items():
    named = zip(triage.baseline(train, test), map(data.answer, test))
    leaks = lesson05.leaking(*([data.meta(r) for r in part] for part in (train, test)))
    right = sum(said == want for said, want in named) / len(test)
    print(f"{name}: {right:.2f} right of {len(test)}, {leaks} leak")

# %% [markdown]
# Where test rows leak, the first figure is too good. The third is the nearest to what new messages
# would get. The groups must stand in the file (`meta`) before it is shuffled: from the text alone a
# paraphrase is not always recognised.
#
# ## 8. What each way adds
#
# What do these rows do to the *tuned model*? The experiment has six **arms**, which are the
# variants that it compares. The first has the 21 seeds alone. Four have the seeds and up to 42
# more: paraphrases, back-translations, new messages, or messages **written** for the course one by
# one. These five read equally many rows, so the seeds alone are read more often. The last arm,
# `everything`, has all that the teacher made and reads more (see the column `read`).
#
# It was run beforehand (`experiments/amplify.py`), each arm several times: the columns `seed 0` and
# so on are random seeds, with which the messages are drawn and the training begins. `tuned model` is
# their mean; a logistic regression learned from the same rows. **Predict.** Order the arms.

# %% tags=["nbval-check-output"]
grid = pandas.read_csv(files.data_path("grids/amplify.csv"), comment="#")
grid["tuned model"] = grid.right / grid.of
grid["logistic regression"] = grid.logistic / grid.of
arms = grid.groupby("arm", sort=False)
means = arms[["rows", "read", "tuned model", "logistic regression"]].mean()
each = grid.pivot(index="arm", columns="seed", values="tuned model").add_prefix("seed ")
print(means.join(each).round(2).to_string())
plots.groups(means.iloc[:, 2:].to_dict(), title="Right, by what was added to 21 seeds")

# %% [markdown]
# Compare the columns `seed` of one arm with the differences between arms. With one training of each,
# which arm would have won? The file holds each answer of each run, so two arms can be compared on the
# same messages.

# %% tags=["nbval-check-output"]
marks = lambda runs: [int(m) for t in runs.sort_values("seed").answers for m in t[1:]]
runs = {arm: marks(part) for arm, part in arms}
for arm in means.index[1:]:
    print(f"{arm} minus the seeds alone: {difference(runs['seeds'], runs[arm])}")
print(f"new minus written by hand: {difference(runs['written'], runs['new'])}")
claims.record(30, difference(runs["seeds"], runs["paraphrase"]))

# %% [markdown]
# An interval that holds zero shows no difference; which arms show one? `everything` has more rows
# *and* reads more, so a gain of it has two possible causes. The intervals treat the runs as
# independent, which makes them a little too narrow. The written messages are by the authors of the
# test, which may favour them.
#
# Now one point of your own: the seeds with 42 new messages, once, on this machine. **Predict.** Its
# share right of `TEST`. `fine_tune` is the trainer of lesson 00.

# %%
from datasets import Dataset
from ftlab.generation import generate
from peft import LoraConfig
from trl import SFTTrainer


def fine_tune(rows, steps):
    """Train an adapter on the upper half of a fresh copy of the base."""
    base, _ = models.load(BASE)
    rate = ftlab.learning_rate("lora", base.num_parameters()).high
    trainer = SFTTrainer(
        base, processing_class=tokenizer, callbacks=[ftlab.LiveCurve()],
        args=ftlab.sft_config(max_steps=steps, learning_rate=rate, seed=SEED,
                              per_device_train_batch_size=4),
        train_dataset=Dataset.from_list(rows).select_columns(["prompt", "completion"]),
        peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(base)),
    )  # fmt: skip
    ftlab.preflight(ftlab.faster_on_cpu(trainer))
    trainer.train()
    return trainer.model


# %%
new = [row for row in rows if data.meta(row)["way"] == "new"]
random.Random(SEED).shuffle(new)
by_topic = {t: [row for row in new if data.answer(row) == t] for t in words["topics"]}
chosen = rows[: len(seeds)] + [row for some in by_topic.values() for row in some[:6]]
chats = [data.prompt(row) for row in held_out]
answers = generate(fine_tune(chosen, STEPS), tokenizer, chats, max_new_tokens=6)
right = sum(triage.score(*pair)["right"].num for pair in zip(held_out, answers))
print(f"{len(chosen)} rows: {wilson_interval(right, len(answers))}")

# %% [markdown]
# Does the interval hold the figure of the arm `new`? Other new messages were drawn here.
#
# ## 9. A model that learns from itself
#
# So far the teacher was a larger model. Can a model teach *itself*? It answers new inputs, and a
# fresh copy of the base learns from the answers: **self-training**. Two ways to choose what is
# learned: *all* answers as they come, or only those that pass a check (rejection sampling).
#
# The task here is `kindness`: an everyday problem, and the smallest helpful action. Its check needs
# no known answer, only rules: two or three whole sentences, on the topic, harmless. The loop:
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
# Three rounds of this were run beforehand (`experiments/self_training.py`), several times. *All*
# and *checked* draw at temperature 1. *All, cooler* is unchecked as well, and draws at 0.7.
#
# **Predict.** Round 0 learned from the course's own answers. What becomes of the helpful answers, of
# 40, in rounds 1 to 3: with all answers, with those that passed, and with cooler ones?

# %% tags=["nbval-check-output"]
loop = pandas.read_csv(files.data_path("grids/self_training.csv"), comment="#")
loop["passed"] /= loop["sampled"]
each = loop.pivot(index=["kept", "round"], columns="seed", values="helpful")
means = loop.groupby(["kept", "round"])[["passed", "openings", "words"]].mean().round(2)
print(each.add_prefix("seed ").join(means).to_string())
gold, points = loop[loop.kept == "gold"], {}
for kept in ("all", "checked", "all, cooler"):
    some = loop[loop.kept == kept]
    sums = pandas.concat([gold, some]).groupby("round")[["helpful", "of"]].sum()
    points[kept] = {n: wilson_interval(*pair) for n, pair in sums.T.items()}
    first, last = gold[gold.seed.isin(some.seed)], some[some["round"] == 3]
    change = difference(marks(first), marks(last))
    print(f"{kept}, round 3 minus round 0: {change}")
    if kept == "all":
        claims.record(23, change)
title = "Learning from its own answers"
plots.curves(points, title=title, xlabel="round", ylabel="share helpful")

# %% [markdown]
# `passed` is the share of samples that passed the check, `openings` in how many ways the 40 answers
# begin (their first three words), and `words` their mean length. Where the helpful answers get
# fewer from round to round, the model learns its own mistakes. Where its answers also become ever
# more alike, this is called **model collapse**. Compare the columns `seed`: the same loop can end
# badly once and well another time. And variety can be lost while the score holds: compare `openings`
# and the share helpful of *all, cooler*.
#
# What could be new in the rows? *All* holds what the model knew, with its mistakes. *Checked* also
# holds what the **rules** know, since they drop some mistakes. *All, cooler* has no check either:
# the temperature decides how many mistakes are drawn. The rule of claim 23 looks at *all* alone, at
# temperature 1. Read the line of *all, cooler* before you say that self-training harms. The other
# half of the claim, that data by people are better, is the line *new minus written by hand* in
# section 8.
#
# Here each round learned from its own rows only. It can help to keep the first rows and to *add*
# the new ones (Gerstgrasser and others 2024).
#
# ## 10. Tool calls
#
# A **tool call** is an answer that a program reads: the name of a function, and its arguments. A
# restaurant has three functions. `pydantic` describes them once, for three uses: to check a call,
# to tell a model which functions there are, and to restrict what a model can write (section 11).

# %%
from pydantic import BaseModel, Field

Day = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
              "Sunday"]  # fmt: skip


class book_table(BaseModel, extra="forbid"):
    name: str | None
    people: int | None
    day: Day | None
    time: str | None = Field(pattern=r"^[0-2]\d:[0-5]\d$")


class cancel_booking(BaseModel, extra="forbid"):
    name: str | None
    day: Day | None


class opening_hours(BaseModel, extra="forbid"):
    day: Day | None


# %% [markdown]
# **Predict.** Of the teacher's 24 calls, how many are valid? The prompt said "null for what the
# guest does not say", and nothing about how a time is written.

# %% tags=["nbval-check-output"]
TOOLS = {tool.__name__: tool for tool in (book_table, cancel_booking, opening_hours)}


def invalid(text):
    """What is wrong with a call; an empty text if nothing is."""
    try:
        call = json.loads(text)
        TOOLS[call["tool"]].model_validate(call["arguments"], strict=True)
    except (ValueError, KeyError, TypeError) as error:  # pydantic's is a ValueError
        return str(error).partition(" [type")[0]
    return ""


calls = [(s, clean(reply)[0]) for s, reply in zip(words["sentences"], replies["calls"])]
valid = [(sentence, text) for sentence, text in calls if not invalid(text)]
for sentence, text in calls:
    if why := invalid(text):
        print(wrap(f"{sentence} -> {text}: {why}"))
print(f"{len(valid)} of {len(calls)} are valid")

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
# ## 11. Valid is not right
#
# Must a model be tuned to write valid JSON? At each step, a program can rule out every token with
# which the text could no longer fit the schema: **constrained decoding**. Many servers offer it as
# `response_format`, and so does ours. An answer that is complete is valid. Is it *right*?

# %%
calls = []
for name, tool in TOOLS.items():
    parts = {"tool": {"const": name}, "arguments": tool.model_json_schema()}
    rule = {"type": "object", "required": [*parts], "additionalProperties": False}
    calls.append({**rule, "properties": parts})
call = {"name": "call", "schema": {"anyOf": calls}}
held = {"type": "json_schema", "json_schema": call}
FORMS = {"free": {"type": "text"}, "constrained": held}

# %% [markdown]
# The rival is a fine-tune. The template of our base knows no tools, so here the call is the text of
# the answer. Of the valid calls, twelve are for training and the others for the test. It is a very
# small test: look at large differences only.
#
# A call in which every argument is null fits the schema and says nothing. It is counted apart, as
# **in form, but empty**; the first line of the table counts the teacher's own calls. **Predict.**
# Calls in form, and all right, of the base and of the tuned model, free and constrained.

# %%
call_rows = []
for sentence, text in valid:
    call = json.dumps(json.loads(text), separators=(",", ":"))
    call_rows.append(data.example(sentence, call, system=words["call"]))
random.Random(SEED).shuffle(call_rows)
caller = fine_tune(call_rows[:12], CALL_STEPS)
tuned = recorded.serve(caller, tokenizer, name="tuned", files=[])

# %%
left, counts = call_rows[12:], {}
systems = {"teacher": [data.answer(row) for row in left]}
for name, url in {"small": endpoint.url, "tuned": tuned.url}.items():
    server = OpenAI(base_url=url, api_key="none").chat.completions
    for how, form in FORMS.items():
        asks = {"model": name, "response_format": form, "max_tokens": 64}
        told = [server.create(messages=data.prompt(row), **asks) for row in left]
        systems[f"{name}, {how}"] = [one.choices[0].message.content for one in told]
wanted = [json.loads(text) for text in systems["teacher"]]
for name, texts in systems.items():
    print(wrap(texts[1], f"{name}: "))
    calls = [{} if invalid(text) else json.loads(text) for text in texts]
    empty = [bool(call) and set(call["arguments"].values()) == {None} for call in calls]
    tools = [call.get("tool") == right["tool"] for call, right in zip(calls, wanted)]
    right = [call == right for call, right in zip(calls, wanted)]
    counts[name] = [sum(map(bool, calls)), sum(empty), sum(tools), sum(right)]
tuned.close()
columns = ["in form", "but empty", "right tool", "all right"]
pandas.DataFrame(counts, index=columns).T

# %% [markdown]
# The printed calls answer one guest: compare them with the teacher's. Then compare `in form` with
# `all right`. **A valid call is not always a right one.** What the constraint
# cannot give, only the model can know: which tool, and what the guest said. The columns `right tool`
# and `all right` show how far twelve rows took it. The two can be combined.
#
# ## 12. Several turns, formats, and who owns the rows
#
# After a call the program answers with the role `tool`, and the assistant speaks to the guest. Such
# a row of **several turns** teaches every assistant turn in it. `openai.pydantic_function_tool`
# describes the functions.
#
# Each trainer and each provider wants its own keys for the same messages. A program that writes a
# format should refuse what has no place in it, and not drop it silently. **Predict.** Which of the
# formats in the table take such a row?

# %% tags=["nbval-check-output"]
from ftlab import formats
from openai import pydantic_function_tool

call = {"tool": "opening_hours", "arguments": {"day": "Monday"}}
tools = [pydantic_function_tool(tool) for tool in TOOLS.values()]
talk = lesson05.tool_record(words["sentences"][2], call, tools)
talk["messages"] += [
    {"role": "tool", "tool_call_id": "call_0", "content": "closed"},
    {"role": "assistant", "content": "Sorry, we are closed on Mondays."},
]
print(formats.line_of(talk, "openai")["messages"])
plain, table = {key: rows[0][key] for key in ("prompt", "completion")}, {}
for name in formats.FORMATS:
    table[name] = {"a topic": ", ".join(formats.line_of(plain, name))}
    try:
        table[name]["a tool call"] = ", ".join(formats.line_of(talk, name))
    except ftlab.FtlabError as error:
        table[name]["a tool call"] = f"refused: {str(error).partition(';')[0]}"
pandas.DataFrame(table).T

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
# own endpoint's if you have set `OPENAI_MODEL`, else the small one, of whose paraphrases few may
# pass. The doctor checks the file.

# %%
from ftlab.curation import doctor
from rich import print as show

MINE = [(one["text"], one["topic"]) for one in words["mine"]]  # put your own here
sources = [(*pair, manner) for pair in MINE for manner in words["manners"][:2]]
prompts = [words["paraphrase"].format(text=text, manner=m) for text, _, m in sources]
name = "small" if client is local else TEACHER
texts = ask_all(partial(lesson05.text_of, client, name, most=60), prompts)
mine = {text: (topic, text) for text, topic in MINE}
for (source, topic, _), text in zip(sources, texts):
    if text and not fault(lesson05.tidy(text), source, mine):
        mine[lesson05.tidy(text)] = (topic, source)
rows = [data.example(text, topic, group=group) for text, (topic, group) in mine.items()]
path = data.write("runs/05/mine.jsonl", rows, overwrite=True)
print(f"{len(MINE)} seeds, {len(texts)} paraphrases, {len(mine)} rows in the file")
show(doctor.examine(path).table())
endpoint.close()

# %% [markdown]
# Read the paraphrases that passed before you believe the count: which check would have caught those
# that are none? Keep the file. Lesson 06 examines such files, and the capstone wants one.
#
# ## 14. The limits of this verdict
#
# - **One teacher, asked once.** The recorded replies are those of one large model on one day.
#   Another teacher makes other mistakes: read what your checks reject.
# - **A task of one word.** Where answers are long, a student also learns the teacher's style.
# - **The same authors.** Seeds, written messages and test come from the course's authors, who had a
#   language model's help. Real messages may differ more.
# - **The rules that pick are the rules that mark.** In section 9 a student may learn to please the
#   rules without being helpful. Read its answers.
# - **Few runs.** With other seeds, neighbouring arms may change places.
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
# 2. **Count groups, not rows.** Paraphrases of one message belong together, on one side of the
#    split.
# 3. **A model that learns from its own answers learns its mistakes too.** A check, or a lower
#    temperature, keeps some of them out. A valid answer can still be wrong.
#
# Next: [06 Judging data](06_judging_data.ipynb).
# What is wrong with a data file, and what does each fault cost?
