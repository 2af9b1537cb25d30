# %% [markdown]
# # 13 Capstone
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/13_capstone.ipynb)
#
# **What you will build**: a project of your own, from the proposal to the review, in one folder that
# a tool checks. First you see a whole one: a small model that sorts a shop's mail. Two more follow
# quickly, and not all three are worth shipping. Then it is your turn.
#
# **Prerequisites**: lessons 00, 06 and 07.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour, and your project | four to seven minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Whenever you are asked for a prediction, write it down before you run the cell.

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
# `TRAIN` rows to learn from and `TEST` held-out ones for the first project; `FEW` and `FEW_TEST` for
# the other two. `SHOTS` solved examples stand in the prompt of the strongest rival.

# %%
import shutil
from pathlib import Path

import datasets
import ftlab
import transformers
from ftlab import hardware

SEED = 0
BASE = "smollm2-135m"
PROFILE = ftlab.profile()
TRAIN, TEST, EPOCHS, SHOTS = 100, 60, 2, 8
FEW, FEW_TEST = 50, 40

hardware.seed_everything(SEED)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()
CLASS = Path("runs/13")
shutil.rmtree(CLASS, ignore_errors=True)  # begin anew

# %% [markdown]
# ## 2. A folder that says what is missing
#
# A **capstone** is a project at the end of a course. Here it is a folder with five parts, and you
# make them in this order:
#
# | part | file | it says |
# |---|---|---|
# | proposal | `proposal.yaml` | the task, the data, the measure, the rivals, when to ship and when to stop |
# | data | `train.jsonl`, `test.jsonl` | what the model learns from, and what it is judged on |
# | verdict | `verdict/verdict.json` | what was measured, with intervals |
# | card | `card.md` | what a user has to know |
# | review | `reviews/NAME.yaml` | what somebody else thinks of it |
#
# `new` writes an empty proposal, and `check` says what is missing. In a terminal these are
# `ftlab capstone new FOLDER` and `ftlab capstone check FOLDER`.

# %% tags=["nbval-check-output"]
import math

from ftlab import check
from ftlab.teaching import capstone
from rich import print as show

folder = CLASS / "mail"
print(capstone.new(folder).read_text())
show(capstone.table(capstone.check(folder)))

# %% [markdown]
# ## 3. The proposal
#
# You write the proposal *before* you train. Its most important lines are the last two: the figure
# from which the model is of use, the gain that you want over each rival, and when you give up.
# Whoever writes them afterwards finds a reason to ship in any figure.
#
# This is a proposal for sorting the mail of a shop. The messages were written for the course.

# %% tags=["nbval-check-output"]
PROPOSAL = f"""author: Ada
title: Sorting a shop's mail
task: In goes a customer's message, out comes one of seven topics.
why: The base ignores the topics, and a classifier needs more records.
base: {BASE}, Apache-2.0, small enough for a laptop
machine: a laptop without a GPU
data:
  source: messages written for the course, each with one topic
  licence: Apache-2.0
  personal: none, all names are invented
measure: right
cheats: none, an answer is one of seven words and right or wrong
rivals: [base, base + {SHOTS} examples, logistic regression]
tuned: tuned
ship_if: {{at_least: 0.5, better_by: 0.0}}
stop_if: after two rounds of {TRAIN} more records
"""
(folder / "proposal.yaml").write_text(PROPOSAL)
show(capstone.table(capstone.check(folder)[:2]))

# %% [markdown]
# A **stop rule** also belongs into the run itself. If you have ten minutes, the run must end after
# ten minutes, and the rate must have come down by then. `max_steps` does both: the trainer plans
# the learning rate for just so many steps.
#
# **Exercise 13.1.** Return an `SFTConfig` for a budget. A step takes `seconds`, and you have
# `minutes`. Take as many whole steps as fit, and never more than `epochs` passes over `rows` need.
# Use `sft_config(max_steps=…, per_device_train_batch_size=batch)`.


# %% tags=["exercise", "nbval-check-output"]
from ftlab import sft_config


def within(rows, batch, epochs, seconds, minutes):
    """Return settings whose run ends within the budget."""
    # solution:
    passes = math.ceil(rows / batch) * epochs
    steps = min(passes, int(60 * minutes / seconds))
    return sft_config(max_steps=steps, per_device_train_batch_size=batch)
    # stub:
    # ...
    # end


check("13.1", within)

# %% [markdown]
# ## 4. The data
#
# The rows are split before anything else is done. The test rows are then left alone: no example for
# a prompt comes from them, and no setting is chosen by them.

# %% tags=["nbval-check-output"]
from ftlab import data, tasks

task = tasks.get("triage")
train_rows = task.examples(TRAIN, seed=SEED)
test_rows = task.examples(TEST, seed=SEED, split="test")
data.write(folder / "train.jsonl", train_rows)
data.write(folder / "test.jsonl", test_rows)
print(data.prompt(test_rows[0])[-1]["content"], "→", data.answer(test_rows[0]))
show(capstone.table(capstone.check(folder)[:2]))

# %% [markdown]
# `check` has called the doctor of lesson 06 on both files, and has looked for test rows in the
# training file. Let us see it find one.

# %%
spoiled = CLASS / "spoiled"
shutil.copytree(folder, spoiled)
data.write(spoiled / "train.jsonl", [*train_rows, test_rows[0]], overwrite=True)
show(capstone.table(capstone.check(spoiled)[1:2]))
shutil.rmtree(spoiled)

# %% [markdown]
# **Exercise 13.2.** The doctor finds rows that are the same or nearly so. Your data may leak in
# another way: here messages come from customers, and a customer who writes twice writes alike.
# Return the test rows whose `meta["customer"]` also stands in the training rows.


# %% tags=["exercise", "nbval-check-output"]
def leaked(train, test):
    """Return the test rows that share a customer with a training row."""
    # solution:
    known = {row["meta"]["customer"] for row in train}
    return [row for row in test if row["meta"]["customer"] in known]
    # stub:
    # ...
    # end


check("13.2", leaked)

# %% [markdown]
# ## 5. The rivals first
#
# The proposal names three rivals. They are measured before the training: if one of them is good
# enough, you are done, and you have saved yourself the rest. All are asked about the same test rows.
#
# **Predict**: the seven topics are equally frequent, so guessing is right in about one of seven.
# Which rival comes above that, and how far?

# %%
from ftlab import models
from ftlab.evaluation.systems import few_shot_examples
from ftlab.generation import generate
from transformers import AutoModelForCausalLM, AutoTokenizer

base_folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(base_folder)


def fresh():
    """Return the base, untouched."""
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype="float32")
    return base.to(PROFILE.device)


def with_examples(rows, solved):
    """Return the rows' prompts, each with solved examples before the question."""
    turns = [turn for one in solved for turn in (one["prompt"][-1], *one["completion"])]
    return [[*row["prompt"][:-1], *turns, row["prompt"][-1]] for row in rows]


# %%
model = fresh()
solved = few_shot_examples(train_rows, test_rows, SHOTS, seed=SEED)
asked = [row["prompt"] for row in test_rows]
answers = {
    "base": generate(model, tokenizer, asked, max_new_tokens=8),
    f"base + {SHOTS} examples": generate(
        model, tokenizer, with_examples(test_rows, solved), max_new_tokens=8
    ),
    "logistic regression": tasks.triage.baseline(train_rows, test_rows),
}
for name, texts in answers.items():
    right = sum(
        task.score(row, text)["right"].num for row, text in zip(test_rows, texts)
    )
    print(f"{name}: {right:.0f} of {TEST} right")

# %% [markdown]
# Compare with your prediction, and with the proposal's `at_least`. Only if no rival reaches it do
# you go on.

# %% [markdown]
# ## 6. The training
#
# There is nothing new here, and that is the point: these are the pieces of lesson 00.

# %%
from datasets import Dataset
from peft import LoraConfig
from trl import SFTTrainer

# %%


def tune(rows):
    """Tune a fresh base on rows, and return it."""
    model = fresh()
    rate = ftlab.learning_rate("lora", model.num_parameters()).high
    trainer = SFTTrainer(
        model, processing_class=tokenizer, callbacks=[ftlab.LiveCurve()],
        args=ftlab.sft_config(
            num_train_epochs=EPOCHS, per_device_train_batch_size=4,
            learning_rate=rate, seed=SEED,
        ),
        train_dataset=Dataset.from_list(rows).select_columns(["prompt", "completion"]),
        peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(model)),
    )  # fmt: skip
    ftlab.preflight(ftlab.faster_on_cpu(trainer))
    print(f"{trainer.train().metrics['train_runtime']:.0f} seconds")
    return trainer.model


# %%
tuned = tune(train_rows)
answers["tuned"] = generate(tuned, tokenizer, asked, max_new_tokens=8)

# %% [markdown]
# ## 7. The verdict, and the decision
#
# `compare` is known from lesson 07. It pairs the systems row by row, and gives intervals.

# %%
from ftlab.evaluation.compare import compare

verdict = compare(task, test_rows, answers, seed=SEED)
verdict.save(folder / "verdict")
show(verdict.table())
print(verdict.sentence)

# %% [markdown]
# Now the rule of the proposal decides, and not the mood of the evening. It asks two questions: is
# the figure at least `at_least`, and is the gain on *each* rival above `better_by`? It reads the
# lower ends of the intervals for "ship", and the upper ends for "stop". Between the two it says
# "improve": the project is not hopeless, but nothing is proved.
#
# **Exercise 13.3.** Write the first half of the rule. Return "ship" when the whole interval is at or
# above `least`, "stop" when the whole interval is below it, and "improve" otherwise.


# %% tags=["exercise", "nbval-check-output"]
def rule(low, high, least):
    """Decide by the interval of one figure."""
    # solution:
    if low >= least:
        return "ship"
    return "stop" if high < least else "improve"
    # stub:
    # ...
    # end


check("13.3", rule)

# %%
decision, reason = capstone.decided(folder)
print(f"{decision}: {reason}")

# %% [markdown]
# "Improve" often means: more test rows. The interval of a share of 60 rows is about a quarter wide.
# With four times as many rows it is half as wide, and the same figure may then decide.

# %% [markdown]
# ## 8. The card
#
# A card tells people who were not there what the model does, and where it fails. Its figures are
# taken from the verdict, so that they cannot be wrong. Two real errors stand in it.

# %%
wrong = [e for e in verdict.examples if not e["outputs"]["tuned"]["scores"]["right"]]
LIMITS = "\n".join(
    f"- {e['input'][:60]!r} is {e['reference']}; "
    f"it says {e['outputs']['tuned']['text']}."
    for e in wrong[:2]
)


# %% [markdown]
# `card_of` puts the five parts of a card together. Every figure and the decision come from the folder.


# %%
def card_of(folder, use, source, limits):
    """Return the text of a card, with the figures of the folder's verdict."""
    verdict = json.loads((folder / "verdict/verdict.json").read_text())
    lines = [
        f"- {name}: {f['value']:.2f} ({f['low']:.2f} to {f['high']:.2f})"
        for name, figures in verdict["systems"].items()
        for f in [figures[verdict["headline"]]]
    ]
    result = "\n".join(
        [f"{verdict['headline']}, {verdict['n']} test rows:", "", *lines]
    )
    parts = {"Use": use, "Data": source, "Result": result, "Limits": limits,
             "Decision": capstone.decided(folder)[0]}  # fmt: skip
    return "\n\n".join(f"# {name}\n\n{text}" for name, text in parts.items()) + "\n"


# %%
import json

card = card_of(
    folder,
    "It sorts messages of customers by topic, for a person who reads them afterwards. "
    "It must not answer customers, or delete anything.",
    f"{TRAIN} messages written for the course, Apache-2.0.",
    LIMITS or "No error was seen on the test rows.",
)
(folder / "card.md").write_text(card)
print(card)

# %% [markdown]
# The hub shows the top of a card as facts that can be searched: base, licence, figures. They stand
# in a block of YAML that `huggingface_hub` writes.
#
# **Exercise 13.4.** Return the `ModelCardData` of an adapter: `base_model`, `license`,
# `library_name` "peft", `pipeline_tag` "text-generation", and the `tags` "lora" and "ftlab".


# %% tags=["exercise", "nbval-check-output"]
from huggingface_hub import ModelCardData


def facts(base, licence):
    """Return the facts at the top of an adapter's card."""
    # solution:
    return ModelCardData(
        base_model=base, license=licence, library_name="peft",
        pipeline_tag="text-generation", tags=["lora", "ftlab"],
    )  # fmt: skip
    # stub:
    # ...
    # end


check("13.4", facts)

# %% [markdown]
# ## 9. The review
#
# Somebody else reads the folder, and gives 0, 1 or 2 points for each line of a **rubric**, with a
# reason. A rubric says beforehand what counts, so that two reviewers look at the same things. `check`
# takes no review by the author. The review below is an example that came with the lesson.

# %%
print(capstone.review_form("Ben"))
REVIEW = """reviewer: Ben
task: {score: 2, why: One word comes out, and a person reads it.}
data: {score: 1, why: Messy and hostile messages are in it, but all are in English.}
rivals: {score: 1, why: Only one set of examples was tried in the prompt.}
verdict: {score: 2, why: All differences have intervals.}
honesty: {score: 2, why: The card shows errors and says what it is not for.}
"""
(folder / "reviews").mkdir()
(folder / "reviews/ben.yaml").write_text(REVIEW)
show(capstone.table(capstone.check(folder)))

# %% [markdown]
# Change a figure in the card, and `check` notices. Try it: a card that promises more than its verdict
# is the most frequent fault of all.

# %%
shown = f"{verdict.systems['tuned']['right'].value:.2f}"
(folder / "card.md").write_text(card.replace(shown, "0.99"))
show(capstone.table(capstone.check(folder)[3:4]))
_ = (folder / "card.md").write_text(card)

# %% [markdown]
# ## 10. Two more projects
#
# The same path on two other tasks of the course. **Kindness**: answers to a complaint become
# friendly and helpful. **Extraction**: a letter becomes JSON with five fields, and only an answer
# with all five right counts.
#
# **Predict**: both models learn from few rows. Which one ships?

# %%
OTHERS = {
    "kindness": ("Ben", "Kind answers", "helpful",
                 "In goes a complaint, out comes a kind answer."),
    "extraction": ("Cem", "Orders as JSON", "exact",
                   "In goes a letter, out come five fields."),
}  # fmt: skip


# %% [markdown]
# Their proposals differ in a few words. The rest is the same for both.


# %%
def proposal(author, title, measure, sentence, at_least):
    """Return a proposal, as text."""
    return f"""author: {author}
title: {title}
task: {sentence}
why: The base does not keep to the form, even with examples.
base: {BASE}, Apache-2.0
machine: a laptop without a GPU
data: {{source: written for the course, licence: Apache-2.0, personal: none}}
measure: {measure}
cheats: read ten answers, and the measure's own rules
rivals: [base + {SHOTS} examples]
tuned: tuned
ship_if: {{at_least: {at_least}, better_by: 0.0}}
stop_if: after {FEW} records and one round
"""


# %%
def project(name, at_least):
    """Go the whole path with one task; return the folder."""
    folder, task = CLASS / name, tasks.get(name)
    rows = task.examples(FEW, seed=SEED)
    held = task.examples(FEW_TEST, seed=SEED, split="test")
    data.write(folder / "train.jsonl", rows)
    data.write(folder / "test.jsonl", held)
    (folder / "proposal.yaml").write_text(proposal(*OTHERS[name], at_least))
    prompts = with_examples(held, few_shot_examples(rows, held, SHOTS, seed=SEED))
    tuned = tune(rows)
    with tuned.disable_adapter():
        rival = generate(tuned, tokenizer, prompts, max_new_tokens=64)
    own = generate(tuned, tokenizer, [row["prompt"] for row in held], max_new_tokens=64)
    outputs = {f"base + {SHOTS} examples": rival, "tuned": own}
    compare(task, held, outputs, seed=SEED).save(folder / "verdict")
    return folder


# %%
for name in OTHERS:
    place = project(name, at_least=0.5)
    print(name, *capstone.decided(place), sep=": ")

# %% [markdown]
# The rule of the proposal gives an answer to each project. An "improve" or a "stop" is a good answer
# as well: it came after minutes, and not after a month. Before you ship a *kind* model, remember what lesson 12 says
# of requests beyond its range; a measure that is high says nothing of them.

# %% [markdown]
# ## 11. The board of a class
#
# `board` makes one page of all folders below a folder: each project's figures with their intervals,
# its decision, and what is open. It needs no network. The exported progress of learners
# (`ftlab progress --export`) is shown too. In a terminal: `ftlab board FOLDER`.

# %%
from base64 import b64encode

from ftlab.teaching.board import board
from IPython.display import IFrame

page, skipped = board([CLASS])
(CLASS / "board.html").write_text(page)
print(*(f"{p.parent.name}: {sum(s.done for s in capstone.check(p.parent))} of 5 steps"
        for p in sorted(CLASS.glob("*/proposal.yaml"))), sep="\n")  # fmt: skip
inside = b64encode(page.encode()).decode()  # so the page is shown where its file is not
IFrame(f"data:text/html;base64,{inside}", width="100%", height=480)

# %% [markdown]
# ## 12. Your turn
#
# Your own project. What you made in the other lessons goes into its folder:
#
# | lesson | what it left | goes into |
# |---|---|---|
# | 00, 03 | ten pairs, too few to judge by | the beginning of your rows |
# | 01 | the same task four ways | `why`: what a prompt or a search does already |
# | 02 | `runs/02/choice.json` | `base` in the proposal |
# | 04 | the plan that `estimate` printed | `machine` |
# | 05, 06 | `runs/05/mine.jsonl`; `mended.jsonl` and `decisions.json` in `runs/06` | the rows; `data: source` |
# | 07 | `runs/07/mine` | a verdict of the form that is wanted here |
# | 08 | tests for your files, and their review | rows, if your task is tests |
# | 09 | `runs/09/mine.jsonl` | a second round, after the first verdict |
# | 10 | `runs/10/reward.json` | `cheats` in the proposal |
# | 11 | `runs/11/sheet.json` | Use and Limits in the card |
#
# Three projects of the right size: a note becomes a task with a date; a commit message becomes a line
# of a changelog; a question to a club becomes the name of who answers it. For any of them, write 200
# rows or let a model help you (lesson 05), and put them into the file `ROWS`. Any form that the doctor
# knows will do; of a table, `ftlab convert` makes rows.
#
# The cell begins the folder and splits your rows. Then fill in the proposal.

# %%
from ftlab.curation.splits import split

MINE, ROWS = Path("runs/13-mine"), Path("runs/13-mine.jsonl")
if not (MINE / "proposal.yaml").exists():
    capstone.new(MINE)
if ROWS.exists() and not (MINE / "train.jsonl").exists():
    parts = split(data.read(ROWS), [0.8, 0.2], seed=SEED)
    for part in ("train", "test"):
        data.write(MINE / f"{part}.jsonl", parts[part])
show(capstone.table(capstone.check(MINE)))

# %% [markdown]
# `score` is your measure. This one asks for exactly the wanted answer; change it to what counts in
# your task. `own_project` goes the way of sections 5 to 7 on your rows: rivals, training, verdict.


# %%
from dataclasses import replace


def score(row, text):
    """Your measure by its name: True if an answer is right, else False."""
    return tasks.marks(right=text.strip() == data.answer(row).strip())


OWN = replace(task, headline="right", parse=str.strip, score=score)


# %%
def rows_of(file, last=False):
    """A file's rows as prompt and completion; of a chat each answer, or the last."""
    found = [data.unrolled(row) for row in data.read(file)]
    return [one for rows in found for one in (rows[-1:] if last else rows)]


# %%
def own_project(folder, tokens=64):
    """Measure the rivals and the tuned model on your rows; save the verdict."""
    train, test = rows_of(folder / "train.jsonl"), rows_of(folder / "test.jsonl", True)
    plain = [row["prompt"] for row in test]
    shots = with_examples(test, few_shot_examples(train, test, SHOTS, seed=SEED))
    outputs = {
        name: generate(model, tokenizer, prompts, max_new_tokens=tokens)
        for name, prompts in {"base": plain, f"base + {SHOTS} examples": shots}.items()
    }
    outputs["tuned"] = generate(tune(train), tokenizer, plain, max_new_tokens=tokens)
    licence = capstone.form_of(folder)["data"]["licence"]
    own = replace(OWN, name=folder.name, licence=licence)
    verdict = compare(own, test, outputs, seed=SEED)
    verdict.save(folder / "verdict", overwrite=True)
    return verdict


# %% [markdown]
# It runs when the first two steps are done: the proposal is written before the training, here too.

# %%
first = [step.name for step in capstone.check(MINE)[:2] if not step.done]
if first:
    print("still to do before the run:", *first)
else:
    show(own_project(MINE).table())
show(capstone.table(capstone.check(MINE)))

# %% [markdown]
# Then write the card with `card_of(MINE, use, source, limits)`, and give the folder to somebody for a
# review: `capstone.review_form("Ben")` is the form. It is done when every line of the table says so.

# %% [markdown]
# ## 13. The limits of this lesson
#
# - **A tool checks the form.** Whether a task is worth doing, and whether the test rows are like what
#   users will send, no program sees. That is what the review is for.
# - **The rule knows one measure.** Costs, delays and harm are not in it. Write them into the card.
# - **Few test rows.** With 40 to 60 rows only large differences show.
# - **One seed for each run.** Another seed gives another figure; lesson 07 says how different.

# %% [markdown]
# ## 14. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("13")

# %% [markdown]
# ## 15. Takeaways
#
# 1. **Write the rule before the run.** Afterwards every figure finds its excuse.
# 2. **Rivals first.** Often a prompt or a classifier is enough, and you are done.
# 3. **Let others check it.** A card says what a verdict says, and a reader says what neither does.
#
# This was the last lesson. What you need from here on is your own data, and the loop of lesson 08:
# measure, ship, collect what went wrong, and train again.
