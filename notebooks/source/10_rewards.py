# %% [markdown]
# # 10 Rewards that a program can check
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/10_rewards.ipynb)
#
# **What you will build**: reward functions, and a model that learns from nothing but their numbers.
# You watch a reward that is never earned, one that teaches, and one that the model cheats. You find
# the cheat by reading outputs, and mend the reward. At the end stands a verdict: rewards, or the
# same minutes of ordinary fine-tuning?
#
# **Prerequisites**: lessons 00 and 07. Lesson 09 helps.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about 75 minutes | four to six minutes |
# | a free Colab T4, or another GPU | the same | about two minutes |
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
# A step has `ANSWERS` answers of at most `TOKENS` tokens, `GROUP` to each letter. The run of section 7
# has `STEPS` steps, that of section 9 `HACK` steps. `TEST` letters are held out.

# %%
import copy
import json
import warnings
from pathlib import Path

import datasets
import ftlab
import transformers
from ftlab import hardware

SEED, BASE, PROFILE = 0, "smollm2-135m", ftlab.profile()
RECORDS, FURTHER, TEST = 50, 400, 20
ANSWERS, GROUP, TOKENS, RATE, BETA = 16, 8, 52, 5e-4, 0.04
STEPS, HACK = 4, 6
OUT = Path("runs/10")

hardware.seed_everything(SEED)
warnings.filterwarnings("ignore", ".*checkpointing", FutureWarning)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()

# %% [markdown]
# ## 2. A reward is a function
#
# The task is **extraction**: read a customer's letter and fill in five fields, as JSON. What the letter
# leaves open is `null`. Here is one letter with its record.

# %% tags=["nbval-check-output"]
from ftlab import data, tasks
from ftlab.display import wrap

extraction = tasks.get("extraction")
rows = extraction.examples(RECORDS + FURTHER, seed=SEED)
start_rows, further = rows[:RECORDS], rows[RECORDS:]
held_out = extraction.examples(TEST, seed=SEED, split="test")
letter = start_rows[2]
print(wrap(data.prompt(letter)[-1]["content"], "letter: "))
print(wrap(data.answer(letter), "record: "))

# %% [markdown]
# Ordinary fine-tuning (SFT) shows the model the record and says: write these tokens. **Reinforcement
# learning with verifiable rewards** lets the model write its own answers, and a program gives each
# of them a number, the **reward**. Answers with a higher reward become more likely. Nobody has to
# write the answer down; somebody has to write the *check*. That pays where checking is easier than
# doing: code that must pass its tests, a proof, a form that must be valid.
#
# For TRL a reward is a plain function. It gets `completions`, for each answer a list of messages, and
# every further column of the data set by name. It returns one number an answer. Two names are taken:
# columns called `prompt` and `completion` are *not* handed on. So our record travels as `record`.


# %% tags=["nbval-check-output"]
def is_json(completions, **_):
    """1 for an answer that is JSON, whatever it says."""
    rewards = []
    for messages in completions:
        try:
            json.loads(messages[0]["content"])
            rewards.append(1.0)
        except ValueError:
            rewards.append(0.0)
    return rewards


def as_answers(*texts):
    """Texts in the form in which TRL hands answers over."""
    return [[{"role": "assistant", "content": text}] for text in texts]


right = data.answer(letter)
tried = ["The customer wants bread baskets.", "{}", right, f"Here it is: {right}"]
print(is_json(as_answers(*tried)))

# %% [markdown]
# `{}` is as good as the right record: a reward pays for what it *checks*, and for nothing else.
#
# **Exercise 10.1.** Write a sharper one: 1.0 for a JSON object with exactly the five fields of
# `FIELDS`, whatever their values, and 0.0 for everything else. Stuck? `hint("10.1", 1)`, then
# `hint("10.1", 2)`.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint

FIELDS = ("quantity", "item", "order", "name", "town")


def five_fields(completions, **_):
    """1.0 for each answer that is a JSON object of the five fields, else 0.0."""
    # solution:
    import json

    rewards = []
    for messages in completions:
        try:
            given = json.loads(messages[0]["content"])
        except ValueError:
            given = None
        ok = isinstance(given, dict) and set(given) == set(FIELDS)
        rewards.append(float(ok))
    return rewards
    # stub:
    # ...
    # end


check("10.1", five_fields)

# %% [markdown]
# The form is easy to check. Are the values right? For these letters the records are known, so a reward
# may compare: `fields` is the share of the five that is right. It gives part of the reward for part of
# the work, and so tells more answers apart than "all right, or nothing".


# %% tags=["nbval-check-output"]
def fields(completions, record, **_):
    """The share of the five fields that is right."""
    rewards = []
    for messages, text in zip(completions, record):
        marks = extraction.score(json.loads(text), messages[0]["content"])
        rewards.append(marks["fields"].value)
    return rewards


tried = [*tried, right.replace("11", "12")]
print(fields(as_answers(*tried), record=[json.dumps(letter)] * len(tried)))

# %% [markdown]
# ## 3. Rewards that run code
#
# The best known verifiable rewards run something. For the unit tests of lesson 08 there are two: do the
# tests **pass** on the function, and how many **mutants** do they kill, copies of the function with one
# small fault each? Here are four modules of tests for one function. The first is a large model's
# (recorded, as in lesson 08), the other three are made by hand.

# %% tags=["nbval-check-output"]
from ftlab import recorded
from ftlab.curation.cleaning import clean
from ftlab.files import data_path, read_data

unit_tests = tasks.get("unit_tests")
asked = unit_tests.examples(3, seed=5)[-1]
function = data.prompt(asked)[-1]["content"].partition("\n\n")[2]
prompt = read_data("lessons/teacher.yaml")["unit_tests"].format(code=function)
for reply in recorded.read_recorded(data_path("recorded/teacher.jsonl")):
    if reply["messages"][-1]["content"] == prompt:
        teachers = clean(reply["reply"])[0]
print(function)

# %%
CASE = """import unittest
from target import rank_of

class TestRankOf(unittest.TestCase):
    def test_typical(self):
        self.assertEqual(rank_of(1), {})
"""
modules = {"a large model's": teachers} | {
    name: CASE.format(value)
    for name, value in {
        "one value": "'poor'", "wrong value": "'good'", "itself": "rank_of(1)"
    }.items()
}  # fmt: skip


def passes(completions, row, **_):
    """1.0 for tests that pass on their function, run in the sandbox."""
    pairs = zip(completions, row)
    marks = [unit_tests.score(json.loads(r), m[0]["content"]) for m, r in pairs]
    return [mark["passes"].value for mark in marks]


# %% [markdown]
# **Exercise 10.2.** Write the other: the share of the function's mutants that the tests kill. `grade` runs
# a module on a function and on its mutants, all in the sandbox, and returns an object with `killed`: True
# or False for each mutant. `function` and `reference` are columns: the sources of the function and of tests
# known to be right, which say what calls make sense.

# %% tags=["exercise", "nbval-check-output"]
from ftlab.evaluation.mutation import grade


def killed(completions, function, reference, **_):
    """The share of mutants killed, for each answer."""
    # solution:
    rewards = []
    for messages, source, tests in zip(completions, function, reference):
        graded = grade(messages[0]["content"], source, reference=tests)
        rewards.append(sum(graded.killed) / len(graded.killed))
    return rewards
    # stub:
    # ...
    # end


check("10.2", killed)

# %% [markdown]
# **Predict.** The two rewards of the four modules. For which one do they differ most?

# %% tags=["nbval-check-output"]
from ftlab.teaching import lesson10

answers, n = as_answers(*modules.values()), len(modules)
columns = {"function": [function] * n, "reference": [data.answer(asked)] * n}
pass_rewards = passes(answers, [json.dumps(asked)] * n)
kill_rewards = lesson10.killed(answers, **columns)
print(f"{'tests':16} {'passes':>6} {'killed':>7}")
for name, one, other in zip(modules, pass_rewards, kill_rewards):
    print(f"{name:16} {one:6.0f} {other:7.2f}")

# %% [markdown]
# A test that compares a call with itself passes on every function, the faulty ones included. A model that
# is paid for passing tests may find this out. Paid for killed mutants, it has to name values that are right.
# This is the theme of the lesson in one table; section 9 shows it with a model that learns.
#
# Two rules for rewards that run what a model wrote. Run it **in a sandbox**: the model will try everything.
# And **bound the time**: an endless loop in one answer stops the training.
#
# Our 135M model cannot compute expected values (lesson 08), so from here on it extracts.
#
# ## 4. How a reward becomes a gradient
#
# **GRPO**, group relative policy optimisation (Shao et al. 2024), samples a **group** of answers to each
# prompt and compares them *with each other*. The **advantage** of an answer is its reward minus the
# group's mean, divided by the group's standard deviation. Tokens of answers with a positive advantage are
# made more likely, the others less. No second network has to guess how good a prompt's answers usually
# are, as in older methods (PPO): the group says it.
#
# **Exercise 10.3.** Write `advantages`: `rewards` holds one group after the other, `group` answers each. As
# TRL does, use the sample's standard deviation (`statistics.stdev`) and add 0.0001 to it.


# %% tags=["exercise", "nbval-check-output"]
import statistics


def advantages(rewards, group):
    """The advantage of each answer within its group."""
    # solution:
    found = []
    for at in range(0, len(rewards), group):
        ours = rewards[at : at + group]
        mean, spread = statistics.mean(ours), statistics.stdev(ours)
        found += [(reward - mean) / (spread + 1e-4) for reward in ours]
    return found
    # stub:
    # ...
    # end


check("10.3", advantages)

# %% [markdown]
# **Predict.** The advantages of three groups: one answer of four is right; all four are right; none is.

# %% tags=["nbval-check-output"]
for group in ([1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]):
    found = lesson10.advantages(group, 4)
    print(group, "->", [round(number, 2) for number in found])

# %% [markdown]
# Where all answers earn the same, all advantages are zero, and the group teaches **nothing**, be it
# because the prompt is too easy or too hard. TRL logs the share of such groups as `frac_reward_zero_std`.
# One minus that is what we call the **signal**.
#
# ## 5. From the base: a reward that is never earned
#
# Can the base learn the task from `fields` alone? The trainer takes rewards in place of answers; all else
# is as in SFT. On a CPU `ftlab.grpo_config` switches checkpointing off. `log_completions` makes TRL save each
# step's answers with their rewards: files that we shall need.

# %%
import torch
from datasets import Dataset
from ftlab import models
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)


def fresh():
    """The base as it was downloaded."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, device_map={"": PROFILE.device}
    )


letters = Dataset.from_list(
    [{"prompt": data.prompt(row), "record": json.dumps(row)} for row in further]
)


# %%
def again(model):
    """The model once more. An adapter freezes its weights, so both share them."""
    return copy.deepcopy(model, {id(weight): weight for weight in model.parameters()})


base = fresh()

# %% [markdown]
# Each step prints one line. `kl`, a distance from where the run began, is explained in section 7.


# %%
from transformers.trainer_callback import PrinterCallback, TrainerCallback

COLUMNS = ("reward", "signal", "kl", "loss", "grad_norm")


class Steps(TrainerCallback):
    """Prints a line for each step."""

    def on_train_begin(self, args, state, control, **_):
        print("step" + "".join(f"{name:>10}" for name in COLUMNS))

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            logs = logs | {"signal": 1 - logs["frac_reward_zero_std"]}
            shown = "".join(f"{logs[name]:10.3f}" for name in COLUMNS)
            print(f"{state.global_step:4}{shown}", flush=True)


# %%
from peft import LoraConfig
from trl import GRPOTrainer


def grpo(model, reward, steps, name, answers=ANSWERS):
    """A GRPOTrainer with this lesson's settings."""
    args = ftlab.grpo_config(
        output_dir=str(OUT / name), max_steps=steps, num_generations=GROUP, beta=BETA,
        per_device_train_batch_size=GROUP // 2,  # half a group at a time saves memory
        gradient_accumulation_steps=2 * answers // GROUP, max_completion_length=TOKENS,
        learning_rate=RATE, lr_scheduler_type="constant", temperature=1.0, seed=SEED,
        log_completions=True, num_completions_to_print=0,
    )  # fmt: skip
    adapter = LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(model))
    trainer = GRPOTrainer(
        model, reward, args, letters, processing_class=tokenizer,
        peft_config=adapter, callbacks=[Steps()],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)  # our line in place of its own
    return trainer


# %% [markdown]
# One step of one group from the base. **Predict** the four figures: reward, signal, loss, gradient.

# %%
import pandas

hardware.reuse_memory()
trainer = grpo(again(base), fields, steps=1, name="base", answers=GROUP)
seconds = trainer.train().metrics["train_runtime"]
print(f"{seconds:.0f} seconds")


def kept(name, step):
    """The answers of one step with their rewards, as TRL saved them."""
    path = OUT / name / "completions" / f"completions_{step:05d}.parquet"
    table = pandas.read_parquet(path)
    table["text"] = [messages[0]["content"] for messages in table.completion]
    return table


for text in kept("base", 1).text[:3]:
    print(wrap(repr(text[:180]), "- "))

# %% [markdown]
# The base writes whatever comes to it, never the five fields, and earns nothing. So no group has a signal, and
# the gradient is zero. More steps would not change that: **GRPO makes answers more likely that the model
# already gives now and then.** It cannot find what is never sampled. There are two ways out: an easier
# reward first (`five_fields`, or part of it), or a few records of SFT. The second is cheap.
#
# ## 6. A start of fifty records
#
# Fifty letters with their records, read once. The adapter is merged into the base, because each run that
# follows gets a *new* adapter on top: with that one switched off the model is the start again, which serves
# as the reference (TRL refuses a model with an adapter together with a `peft_config`).

# %%
from trl import SFTTrainer

usual = ftlab.learning_rate("lora", base.num_parameters()).high
trainer = SFTTrainer(
    again(base),
    ftlab.sft_config(
        num_train_epochs=1, per_device_train_batch_size=4, learning_rate=usual
    ),
    train_dataset=Dataset.from_list(start_rows).select_columns(
        ["prompt", "completion"]
    ),
    processing_class=tokenizer,
    peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(base)),
)
trainer.remove_callback(PrinterCallback)
result = ftlab.faster_on_cpu(trainer).train()
trainer.save_model(str(OUT / "start"))
print(f"{result.metrics['train_runtime']:.0f} seconds")

# %% [markdown]
# Three figures on held-out letters: the fields that are right, the answers that are JSON of the five fields,
# and the values **made up**, those that do not stand in the letter. (A quantity may stand there as a word, so
# any whole number passes.)

# %%
from ftlab.evaluation.intervals import bootstrap, paired_bootstrap
from ftlab.generation import generate

test_letters = [data.prompt(row) for row in held_out]


def examined(model):
    """The held-out answers and the fields right in each; prints three figures."""
    texts = generate(model, tokenizer, test_letters, max_new_tokens=TOKENS)
    marks = [extraction.score(*pair) for pair in zip(held_out, texts)]
    right = [mark["fields"].num for mark in marks]
    valid = sum(mark["valid"].num for mark in marks)
    invented = sum(lesson10.made_up(*pair) for pair in zip(held_out, texts))
    print("fields right:", bootstrap(right, [5] * len(right)))
    print(f"valid: {valid:.0f} of {len(marks)}, made up: {invented} values")
    return texts, right


# %% [markdown]
# Each run below begins at this start, the base after fifty records, as one plain model. It takes the base's
# place in memory.

# %%
import gc

from peft import PeftModel

base = trainer = None
gc.collect()
tuned = PeftModel.from_pretrained(fresh(), OUT / "start").merge_and_unload()
before, right_before = examined(tuned)
for row, text in list(zip(held_out, before))[:3]:
    print(wrap(data.answer(row), "\nrecord: "))
    print(wrap(text, "answer: "))

# %% [markdown]
# A start, and not more: most answers are in form, and many values are wrong. Section 9 deals with those that
# are made up. Now the answers differ, and so do their rewards. Here are one group's.

# %%
LETTER = 5
asked_about = [data.prompt(further[LETTER])] * GROUP
record = [json.dumps(further[LETTER])] * GROUP
drawn = generate(
    tuned, tokenizer, asked_about, max_new_tokens=TOKENS, temperature=1.0, seed=SEED
)
rewards = fields(as_answers(*drawn), record)
print(wrap(data.answer(further[LETTER]), "record: "))
for text, reward, gain in zip(drawn, rewards, lesson10.advantages(rewards, GROUP)):
    print(f"{reward:.1f} {gain:+5.2f}  {text[:100]}")

# %% [markdown]
# **Temperature** decides how different the answers are. **Predict.** At 0.2 and at 1.6: how many of the eight
# are different, and how do the rewards spread?

# %%
print("temperature  different  mean reward  spread")
for temperature in (0.2, 1.0, 1.6):
    texts = drawn
    if temperature != 1.0:
        texts = generate(
            tuned, tokenizer, asked_about, max_new_tokens=TOKENS,
            temperature=temperature, seed=SEED,
        )  # fmt: skip
    found = fields(as_answers(*texts), record)
    mean, spread = statistics.mean(found), statistics.stdev(found)
    print(f"{temperature:11}  {len(set(texts)):9}  {mean:11.2f}  {spread:6.2f}")

# %% [markdown]
# Too cold, and the answers are alike: little signal. Too hot, and most are broken: the signal says "stay in
# form" and little else. Trainings mostly use 0.7 to 1.0.
#
# And the **size of a group**? For a reward of 0 or 1 that a model earns with probability p, a group teaches
# unless all its answers agree: 1 − pᴳ − (1 − p)ᴳ. **Predict** the figure for p = 0.1 and groups of 4.

# %% tags=["nbval-check-output"]
print("groups of " + "".join(f"{size:7}" for size in (2, 4, 8, 16)))
for p in (0.02, 0.1, 0.5, 0.9):
    signal = [1 - p**size - (1 - p) ** size for size in (2, 4, 8, 16)]
    print(f"p = {p:<6}" + "".join(f"{share:7.2f}" for share in signal))

# %% [markdown]
# Rarely earned rewards need large groups; published runs use 8 to 64. A reward with steps in between, such
# as `fields`, tells more answers apart, and small groups do.
#
# ## 7. GRPO from the start
#
# **Exercise 10.4.** A step holds whole groups. Return a `GRPOConfig` for `answers` answers a step, of which
# only `at_once` fit into memory together (the rest is accumulated, as in lesson 04), in the largest groups up
# to 16 that divide the step; at temperature 1, with a KL weight of 0.02. `ftlab.grpo_config` makes a
# `GRPOConfig` with this machine's defaults.


# %% tags=["exercise", "nbval-check-output"]
def config(answers, at_once):
    """A GRPOConfig for so many answers a step."""
    # solution:
    import ftlab

    group = max(n for n in range(2, 17) if answers % n == 0)
    return ftlab.grpo_config(
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=answers // at_once,
        num_generations=group,
        temperature=1.0,
        beta=0.02,
    )
    # stub:
    # ...
    # end


check("10.4", config)

# %% [markdown]
# `beta` weighs the **KL term**, which pulls the model back to where it began. `kl` measures how far it went:
# how much less likely the start finds the tokens that are now written. TRL's default is 0, no pull at all,
# and then `kl` is not even logged. We take 0.04, to see it.
#
# The learning rate is high for GRPO: a run of hundreds of steps takes 1e-5 to 2e-4, ours has a handful.
#
# **Predict.** Which of the five columns will show that the model learns?

# %%
trainer = grpo(again(tuned), fields, steps=STEPS, name="grpo")
seconds = trainer.train().metrics["train_runtime"]
print(f"{seconds:.0f} seconds\n")
after, right_after = examined(trainer.model)
fives = [5] * len(right_after)
print("after minus before:", paired_bootstrap(right_before, fives, right_after, fives))

# %% [markdown]
# The **loss stays near zero**, even where the model learns. Within a group the advantages add up to zero, and
# the answers were just sampled from this very model; so what is near zero is the loss's *value*. Its gradient
# is not. Look at the gradient's norm, the signal, and above all the reward. And since each step has other
# letters, easy ones or hard ones, even the reward jumps: a handful of steps shows a tendency at best.
#
# ## 8. The longer curve, and SFT for as long
#
# Longer runs were made beforehand by `experiments/rewards.py`, with the settings that you used.


# %%
from ftlab.teaching import plots_training

grid = pandas.read_csv(data_path("grids/rewards.csv"), comment="#")
SEEDS = sorted(grid.seed[grid.arm == "sft"].unique())
ours = grid[(grid.arm == "grpo") & (grid.step > 0) & grid.seed.isin(SEEDS)]
curves = {f"seed {seed}": part for seed, part in ours.groupby("seed")}
curves = {
    name: list(zip(part.step, part.reward.rolling(3, min_periods=1).mean()))
    for name, part in curves.items()
}
print(f"{len(SEEDS)} seed{'s' if len(SEEDS) > 1 else ''}")
plots_training.lines(
    curves, title="Reward in GRPO, mean of three steps", xlabel="step",
    ylabel="share of fields right", top=1,
)  # fmt: skip

# %% [markdown]
# We have the answers to these letters. Then why not train on them? From the same start, on the same further
# letters, SFT went on for as many seconds (the processor's) as GRPO had taken. Both answered the same 40
# held-out letters.
#
# **Predict.** Which of the two is ahead, and by how much?


# %%
def last(arm, seed=None):
    """The last scored line of a run, or of each seed's."""
    part = grid[(grid.arm == arm) & grid.score.notna() & (grid.step > 0)]
    lines = part.groupby("seed").tail(1).set_index("seed")
    return lines.loc[[n for n in SEEDS if n in lines.index] if seed is None else [seed]]


def items(lines):
    """Fields right and asked for, letter by letter, added up over the seeds."""
    marks = [[int(mark) for mark in text[1:]] for text in lines.marks]
    return [sum(letter) for letter in zip(*marks)], [5 * len(marks)] * len(marks[0])


origin = grid[(grid.arm == "grpo") & (grid.step == 0)].set_index("seed").loc[SEEDS]
runs = {"start": origin, "GRPO": last("grpo"), "SFT": last("sft")}
for name, lines in runs.items():
    print(f"{name:6} {bootstrap(*items(lines))}, {lines.seconds.mean():4.0f} seconds")

# %% [markdown]
# The differences are paired, letter by letter. Where an interval holds zero, no difference is shown.

# %%
from ftlab.teaching import plots_evaluation

gaps = {
    f"{b} minus {a}": paired_bootstrap(*items(runs[a]), *items(runs[b]))
    for a, b in (("start", "GRPO"), ("start", "SFT"), ("GRPO", "SFT"))
}
for name, gap in gaps.items():
    shown = "no difference shown" if gap.low <= 0 <= gap.high else "a difference"
    print(f"{name:16} {gap}: {shown}")
plots_evaluation.gaps(gaps, title="The verdict", xlabel="share of fields right")

# %% [markdown]
# For each letter SFT sees every token of the right answer; GRPO sees a few numbers, and has to write eight
# answers to get them. So where right answers are at hand, SFT learns more in the same time. GRPO is for what
# comes after, or where there are none: a check exists, but no answers. Large models get most from it where
# they sometimes succeed at long tasks, as in mathematics and programming.
#
# ## 9. A reward that is hacked
#
# Section 6 counted values that the model made up. Suppose we have no records for new letters, and want to
# stop that. A check needs none: a value that is true stands in the letter. So the reward takes off a fifth
# for each value that does not stand there. Nothing made up: 0, the highest.


# %%
def careful(completions, record, **_):
    """Less a fifth for each value that does not stand in the letter."""
    pairs = zip(completions, record)
    return [-lesson10.made_up(json.loads(r), m[0]["content"]) / 5 for m, r in pairs]


honest = right.replace("Thessaloniki", "Lisbon")
print(careful(as_answers(right, honest), [json.dumps(letter)] * 2))

# %% [markdown]
# It sounds honest, and on these two answers it is right. **Predict.** How will the model earn it?

# %%
trainer = grpo(again(tuned), careful, steps=HACK, name="careful")
seconds = trainer.train().metrics["train_runtime"]
print(f"{seconds:.0f} seconds\n")
cheated, _ = examined(trainer.model)

# %% [markdown]
# The reward rises: a success, by the curve. Now **read the outputs**. Sort the answers of the last steps by
# their reward, and look at those that are paid best.

# %%
late = pandas.concat([kept("careful", step) for step in range(HACK - 1, HACK + 1)])
best = late.sort_values("careful", ascending=False)
for reward, text in list(zip(best.careful, best.text))[:6]:
    print(f"{reward:5.1f}  {text[:60]} ... {text[-24:]}")

# %% [markdown]
# Look at the ends: most objects are never closed. What counts as a value that is made up? `null` is no value, and an
# answer that is no JSON has no values either. So **an answer that cannot be read is paid in full**, as is one with
# null in all fields. The model was not told; it sampled such answers now and then, and they were paid. This is
# **reward hacking**: the reward rises, and what was meant does not. And once all answers are paid alike, the
# signal is zero and the model stays there.
#
# The longer run of the grid, ten steps from the same start. `fields` is the share of right fields, logged
# beside the reward and not paid.

# %%
hacked = grid[(grid.arm == "careful") & (grid.seed == 0) & (grid.step > 0)]
shown = hacked[["step", "reward", "fields", "signal", "kl", "length"]]
print(shown.to_string(index=False))
line = hacked.sort_values("kl").iloc[-1]
print(f"\nthe KL term at its largest, in step {line.step}: {BETA * line.kl:.3f}")

COUNTS = ["score", "of", "valid", "n", "made_up"]
for arm, lines in {"start": origin, "careful": last("careful")}.items():
    print(f"\n{arm}\n{lines[COUNTS].astype(int).to_string()}")

# %% [markdown]
# `score` counts right fields of `of`, `valid` the answers in form of `n`; each line is a seed. By the reward a run
# with no valid answer is perfect. Whether a cheat is found at all is chance: it has to be sampled before it can be
# paid. Log *several* figures in such a run, and pay for one of them at most.
#
# And the **KL term**? It is the one thing that pulls back, since the start finds these answers unlikely. At
# this weight it is small beside a reward of a fifth for each value. A larger `beta` slows a cheat down, and
# honest progress with it. Many published runs leave it out, and mend the reward.
#
# **Exercise 10.5.** Mend the reward. An answer that is no JSON object earns −1. Otherwise each value that
# stands in the letter earns a fifth, and each that does not costs a fifth. `values(row, text)` gives the
# fields that are filled in, or None for what is no JSON object; `made_up(row, text)` counts those that do not
# stand in the letter.

# %% tags=["exercise", "nbval-check-output"]
from ftlab.teaching.lesson10 import made_up, values


def grounded(completions, record, **_):
    """A fifth for each value from the letter, less for each other; -1 for no JSON."""
    # solution:
    import json

    rewards = []
    for messages, text in zip(completions, record):
        row, answer = json.loads(text), messages[0]["content"]
        given, wrong = values(row, answer), made_up(row, answer)
        known = 0 if given is None else len(given) - wrong
        rewards.append(-1.0 if given is None else (known - wrong) / 5)
    return rewards
    # stub:
    # ...
    # end


check("10.5", grounded)

# %% [markdown]
# A reward is code, and code gets **tests before it is used**. Give it answers of a cheat: nothing, broken JSON,
# an object without values, one value in all fields. The right record has to be ahead of each.

# %% tags=["nbval-check-output"]
cheats = lesson10.cheats(letter)
for name, reward in {"careful": careful, "grounded": lesson10.grounded}.items():
    paid = reward(as_answers(right, *cheats.values()), [json.dumps(letter)] * 6)
    print(f"{name:31} {paid[0]:5.1f}   the right record")
    for cheat, other in zip(cheats, paid[1:]):
        through = "   gets through" if other >= paid[0] else ""
        print(f"   {cheat:28} {other:5.1f}{through}")

# %% [markdown]
# `grounded` still pays in full for one that fills every field with the same word of the letter. A check that does
# not know the answer is a **proxy**: it measures something near what is meant. Did the mended reward help? From
# the grid, same starts, same steps; and the first answers of the seed with the fewest valid ones.

# %%
mended = last("grounded")
print(mended[COUNTS].astype(int).to_string())
gap = paired_bootstrap(*items(origin), *items(last("grounded")))
print("fields right, grounded minus start:", gap)
gap = paired_bootstrap(*items(last("careful")), *items(last("grounded")))
print("fields right, grounded minus careful:", gap)
lines = data_path("grids/rewards.answers.jsonl").read_text("utf-8").splitlines()
said = {tuple(line["run"]): line["said"] for line in map(json.loads, lines)}
worst = int(mended.valid.idxmin())
print(f"\nseed {worst}", *said["grounded", worst, 10][:3], sep="\n")

# %% [markdown]
# Count the fields. A made-up value costs a fifth, and a missing one costs nothing: so where one field is often wrong,
# it pays to leave it out. No answer of our list of cheats did that; a model found it. **A mended reward is a new
# reward**, and it too is judged by reading what it brings. This one should ask for all five fields.
#
# ## 10. Your turn
#
# Write a reward for a task of your own. `MINE` is a prompt with an answer that you would sign; `reward` is your
# check; `bad` are answers that a cheat would give, at least four. The cell tests the reward and writes the
# result down. Change it until no cheat is as good as the good answer. The example is a polite reply in at most
# twenty words; one cheat still gets through.

# %%
from ftlab.files import write_text

MINE = {
    "prompt": "Decline the invitation, politely, in at most 20 words.",
    "good": "Thank you for the invitation. I am sorry, but I cannot come on Friday.",
}


def reward(text):
    """Your check of one answer: a higher number is better."""
    polite = "thank" in text.lower() and "sorry" in text.lower()
    return float(polite and len(text.split()) <= 20)


bad = ["", "No.", "Thank sorry.", "I will come!", "word " * 30]
good, others = reward(MINE["good"]), {text: reward(text) for text in bad}
through = [text for text, number in others.items() if number >= good]
report = MINE | {"reward": good, "cheats": others, "safe": not through}
write_text(OUT / "reward.json", json.dumps(report, indent=1), overwrite=True)
print(f"{len(bad)} cheats, {len(through)} as good as the good answer: {through}")

# %% [markdown]
# Keep the file: the capstone asks how you know that your measure cannot be cheated.
#
# ## 11. The limits of this lesson
#
# - **Few steps, small model, easy task.** Published runs have hundreds of steps, thousands of answers each, and
#   models that reason before they answer. What carries over is the machinery and its failures.
# - **The rate is above the published range**, so that a handful of steps moves the model at all.
# - **SFT had the right answers.** The comparison at equal minutes holds where they exist.
# - **Equal minutes are the processor's**, on one core. On a GPU the writing of answers costs less beside the
#   training than here.
# - **Seeds**: section 8 says how many there were. The intervals count letters as the source of chance.
#
# ## 12. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("10")

# %% [markdown]
# ## 13. Takeaways
#
# 1. **A reward pays for what it checks.** Test it with the answers of a cheat before you train, and read the
#    outputs while you train: of a mended reward, too.
# 2. **No signal, no learning.** Groups whose answers all earn the same teach nothing. A few records of SFT
#    first, and rewards in steps.
# 3. **Where right answers are at hand, SFT is the cheaper teacher.** Rewards are for what can be checked but not
#    be written down.
#
# Next: [11 Shipping](11_shipping.ipynb).
# What you tuned has to be served.
