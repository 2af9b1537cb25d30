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
# has `STEPS` steps, that of section 10 `HACK` steps. `TEST` letters are held out.

# %%
import json
import statistics
from pathlib import Path

import datasets
import ftlab
import pandas
import transformers
from ftlab import check, data, hardware, tasks
from ftlab.display import wrap
from ftlab.teaching.exercises import hint

SEED, BASE = 0, "smollm2-135m"
RECORDS, FURTHER, TEST = 50, 400, 20
ANSWERS, GROUP, TOKENS, RATE, BETA = 16, 8, 52, 5e-4, 0.04
STEPS, HACK, OUT = 4, 6, Path("runs/10")

hardware.seed_everything(SEED)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()

# %% [markdown]
# ## 2. A reward is a function
#
# The task is **extraction**: read a customer's letter and fill in five fields, as JSON. What the letter
# leaves open is `null`. Here is one letter with its record.

# %% tags=["nbval-check-output"]
extraction = tasks.get("extraction")
FIELDS = ("quantity", "item", "order", "name", "town")
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
def five_fields(completions, **_):
    """1.0 for each answer that is a JSON object of the five fields, else 0.0."""
    # solution:
    import json

    from ftlab.tasks.extraction import FIELDS

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
    pairs = zip(map(json.loads, record), completions)
    marks = [extraction.score(row, messages[0]["content"]) for row, messages in pairs]
    return [mark["fields"].value for mark in marks]


print(fields(as_answers(right, right.replace("11", "12")), [json.dumps(letter)] * 2))

# %% [markdown]
# ## 3. Rewards that run code
#
# The best known verifiable rewards run something. For the unit tests of lesson 08 there are two: do the
# tests **pass** on the function, and how many **mutants** do they kill, copies of the function with one
# small fault each? Here are a function and four modules of tests: one known to be right, and three of our own.

# %%
from ftlab.evaluation.mutation import grade

unit_tests = tasks.get("unit_tests")
asked = unit_tests.examples(3, seed=5)[-1]
function = data.prompt(asked)[-1]["content"].partition("\n\n")[2]
print(function)
CASE = """import unittest
from target import rank_of

class TestRankOf(unittest.TestCase):
    def test_typical(self):
        self.assertEqual(rank_of(1), {})
"""
modules = {"known to be right": data.answer(asked)}
tests = {"one value": "'poor'", "wrong": "'good'", "itself": "rank_of(1)"}
modules |= {name: CASE.format(value) for name, value in tests.items()}

# %% [markdown]
# **Exercise 10.2.** Write a reward: the share of the function's mutants that the tests kill. `grade` runs
# a module on a function and on its mutants, all in the sandbox, and returns an object with `killed`: True
# or False for each mutant. `function` and `reference` are columns: the sources of the functions, and of
# tests known to be right, which say what calls make sense.
#
# **Predict.** The two rewards of the four modules. For which one do they differ most?


# %% tags=["exercise", "nbval-check-output"]
def killed(completions, function, reference, **_):
    """The share of mutants killed, for each answer."""
    # solution:
    from ftlab.evaluation.mutation import grade

    rewards = []
    for messages, source, tests in zip(completions, function, reference):
        graded = grade(messages[0]["content"], source, reference=tests)
        rewards.append(sum(graded.killed) / len(graded.killed))
    return rewards
    # stub:
    # ...
    # end


check("10.2", killed)

# %% tags=["nbval-check-output"]
from ftlab.teaching import lesson10


def passes(completions, row, **_):
    """1.0 for tests that pass on their function, run in the sandbox."""
    pairs = zip(map(json.loads, row), completions)
    marks = [unit_tests.score(row, messages[0]["content"]) for row, messages in pairs]
    return [mark["passes"].value for mark in marks]


answers, n = as_answers(*modules.values()), len(modules)
pass_rewards = passes(answers, [json.dumps(asked)] * n)
kill_rewards = lesson10.killed(answers, [function] * n, [data.answer(asked)] * n)
print(f"{'tests':18} {'passes':>6} {'killed':>7}")
for name, one, other in zip(modules, pass_rewards, kill_rewards):
    print(f"{name:18} {one:6.0f} {other:7.2f}")

# %% [markdown]
# A test that compares a call with itself passes on every function, the faulty ones included. A model that
# is paid for passing tests may find this out. Paid for killed mutants, it has to name values that are right.
# (Even the module that is right lets mutants live: it never asks about 3 and 23, where the function changes.)
# This is the theme of the lesson in one table; section 10 shows it with a model that learns.
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
def advantages(rewards, group):
    """The advantage of each answer within its group."""
    # solution:
    import statistics

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
for size in (2, 4, 8, 16):
    print(f"group of {size}, right one time in ten: {1 - 0.1**size - 0.9**size:.2f}")

# %% [markdown]
# Where all answers earn the same, all advantages are zero, and the group teaches **nothing**, be it
# because the prompt is too easy or too hard. TRL logs the share of such groups as `frac_reward_zero_std`.
# One minus that is what we call the **signal**.
#
# The last lines are the chance that a group has a signal, where a reward is 0 or 1 and answers are rarely right.
# Such rewards need large groups; published runs use 8 to 64. A reward in steps, such as `fields`, tells more
# answers apart.
#
# ## 5. From the base: a reward that is never earned
#
# Can the base learn the task from `fields` alone? The data set has prompts and no completions, and the trainer
# takes a reward in place of answers; all else is as in SFT. `beta` weighs the KL term of section 7.
# `log_completions` makes TRL save each step's answers with their rewards: files that we shall read.

# %%
from datasets import Dataset
from ftlab import models
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)
base = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
letters = Dataset.from_list(
    [{"prompt": data.prompt(row), "record": json.dumps(row)} for row in further]
)
test_letters = [data.prompt(row) for row in held_out]

# %%
from ftlab.training.callbacks import ProgressLines, quiet
from peft import LoraConfig
from trl import GRPOTrainer


def grpo(model, reward, name, steps, answers=ANSWERS):
    """A trainer with this lesson's settings."""
    args = ftlab.grpo_config(  # TRL's GRPOConfig; on a CPU, checkpointing is off
        output_dir=str(OUT / name), max_steps=steps, learning_rate=RATE, beta=BETA,
        per_device_train_batch_size=GROUP // 2,  # half a group at a time saves memory
        gradient_accumulation_steps=2 * answers // GROUP, num_generations=GROUP,
        max_completion_length=TOKENS, lr_scheduler_type="constant",
        log_completions=True, num_completions_to_print=0,
    )  # fmt: skip
    adapter = LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(model))
    trainer = GRPOTrainer(model, reward, args, letters, processing_class=tokenizer,
                          peft_config=adapter, callbacks=[ProgressLines()])  # fmt: skip
    quiet(trainer)
    return trainer


# %% [markdown]
# Two helpers show what TRL left: the figures of each step, and the answers of one. Then one step of one group, from
# the base. **Predict** the figures: reward, signal, loss, gradient.


# %%
def steps_of(trainer):
    """The figures of each step."""
    logs = pandas.DataFrame(trainer.state.log_history[:-1]).astype(float)
    logs["signal"] = 1 - logs.frac_reward_zero_std
    return logs[["step", "reward", "signal", "kl", "loss", "grad_norm"]].round(3)


def saved(name, step):
    """The answers of a step, with their rewards."""
    file = OUT / name / "completions" / f"completions_{step:05d}.parquet"
    table = pandas.read_parquet(file)
    return table.assign(text=[messages[0]["content"] for messages in table.completion])


trainer = grpo(base, fields, "base", steps=1, answers=GROUP)
trainer.train()
print(steps_of(trainer).to_string(index=False))
for text in saved("base", 1).text[:3]:
    print(wrap(repr(text[:180]), "- "))

# %% [markdown]
# The base writes whatever comes to it, and none of the eight answers earns anything. So the group has no signal,
# and the gradient is zero. More such steps would change nothing: **GRPO makes answers more likely that the model
# already gives now and then.** It cannot find what is never sampled. There are two ways out: an easier
# reward first (`five_fields`, or part of it), or a few records of SFT. The second is cheap.
#
# ## 6. A start of fifty records
#
# Fifty letters with their records, read once. `unload` takes the adapter of the last run away, and what is left is the
# base again. Then the new adapter is *merged* into the base: this plain model is the **start**. Each run that
# follows gets a new adapter on top. With that one switched off the model is the start, so the trainer needs no second
# model for its KL term.

# %%
from trl import SFTTrainer

base = trainer.model.unload()
rate = ftlab.learning_rate("lora", base.num_parameters()).high
args = ftlab.sft_config(
    num_train_epochs=1, learning_rate=rate, per_device_train_batch_size=4
)
sft = SFTTrainer(
    base, args, train_dataset=Dataset.from_list(start_rows).remove_columns("meta"),
    processing_class=tokenizer, callbacks=[ftlab.LiveCurve("Fifty records")],
    peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(base)),
)  # fmt: skip
quiet(ftlab.faster_on_cpu(sft))
sft.train()
tuned = sft.model.merge_and_unload()

# %% [markdown]
# Three figures on held-out letters: the fields that are right, the answers that are JSON of the five fields,
# and the values **made up**, those that do not stand in the letter. (A quantity may stand there as a word, so
# any whole number passes.)

# %%
from ftlab.evaluation.intervals import bootstrap, difference
from ftlab.generation import generate


def examined(model):
    """Answers to the held-out letters and their shares of right fields."""
    texts = generate(model, tokenizer, test_letters, max_new_tokens=TOKENS)
    marks = [extraction.score(*pair) for pair in zip(held_out, texts)]
    right, valid = (
        [mark[name].value for mark in marks] for name in ("fields", "valid")
    )
    wrong = sum(lesson10.made_up(*pair) for pair in zip(held_out, texts))
    print("fields right:", bootstrap(right, [1] * TEST))
    print(f"valid: {sum(valid):.0f} of {TEST}, made up: {wrong} values")
    return texts, right


# %%
before, right_before = examined(tuned)
for row, text in list(zip(held_out, before))[:3]:
    print(wrap(data.answer(row), "\nrecord: "))
    print(wrap(text, "answer: "))

# %% [markdown]
# A start, and not more: most answers are in form, and many values are wrong. Section 10 deals with those that
# are made up. Now sampled answers differ, and so do their rewards. Here is one group, with its advantages.

# %%
row = further[5]
drawn = generate(
    tuned, tokenizer, [data.prompt(row)] * GROUP, max_new_tokens=TOKENS, temperature=1
)
rewards = fields(as_answers(*drawn), [json.dumps(row)] * GROUP)
for text, reward, gain in zip(drawn, rewards, lesson10.advantages(rewards, GROUP)):
    print(f"{reward:.1f} {gain:+5.2f}  {text[:100]}")

# %% [markdown]
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
# `beta` weighs the **KL term**, which pulls the model back to where it began. `kl` measures how far it went, in
# nats a token: how much less likely the start finds what is now written. TRL's default is 0, no pull at all,
# and then `kl` is not even logged. We take 0.04, to see it.
#
# The learning rate is high for GRPO: a run of hundreds of steps takes 1e-5 to 2e-4, ours has a handful.
#
# **Predict.** Which of the five columns will show that the model learns?

# %%
trainer = grpo(tuned, fields, "grpo", STEPS)
trainer.train()
print(steps_of(trainer).to_string(index=False))
after, right_after = examined(trainer.model)
print("after minus before:", difference(right_before, right_after))

# %% [markdown]
# The **loss stays near zero**, even where the model learns. Within a group the advantages add up to zero, and
# the answers were just sampled from this very model; so what is near zero is the loss's *value*. (What is left comes
# from the lengths: TRL 1.16 averages over tokens, so a long answer counts more.) Its gradient is not near zero. Look at
# the gradient's norm, the signal, and above all the reward. And since each step has other letters, easy ones or hard
# ones, even the reward jumps: a handful of steps shows a tendency at best.
#
# ## 8. The longer curve, and SFT for as long
#
# `experiments/rewards.py` made longer runs, with the settings that you used and three seeds.

# %%
from ftlab.files import data_path
from ftlab.teaching import plots

grid = pandas.read_csv(data_path("grids/rewards.csv"), comment="#")
curves = {}
for seed, part in grid[(grid.arm == "grpo") & (grid.step > 0)].groupby("seed"):
    curves[f"seed {seed}"] = list(zip(part.step, part.reward.rolling(3, 1).mean()))
plots.lines(curves, title="GRPO, mean of three steps", xlabel="step", ylabel="reward")

# %% [markdown]
# We have the answers to these letters. Then why not train on them? From the same start, on the same further
# letters, SFT went on for as many seconds (the processor's) as GRPO had taken. Both answered the same 40
# held-out letters. The differences are paired, letter by letter; where an interval holds zero, no difference is shown.
#
# **Predict.** Which of the two is ahead, and by how much?

# %%
scored = grid[grid.score.notna()]


def shares(arm, place, lines=scored):  # place: 0 the start, -1 the end
    """The share of fields right in each letter, over all seeds."""
    marks = lines[lines.arm == arm].groupby("seed").nth(place).marks.str[1:]
    return [statistics.fmean(map(int, letter)) / 5 for letter in zip(*marks)]


which = {"start": ("grpo", 0), "GRPO": ("grpo", -1), "SFT": ("sft", -1)}
runs = {name: shares(*one) for name, one in which.items()}
for name, run in runs.items():
    print(f"{name:6}", bootstrap(run, [1] * len(run)))
seconds = scored[scored.step > 0].groupby("arm").seconds.mean().round()
print("seconds:", seconds[["grpo", "sft"]].to_dict())
pairs = ("start", "GRPO"), ("start", "SFT"), ("GRPO", "SFT")
gaps = {f"{b} minus {a}": difference(runs[a], runs[b]) for a, b in pairs}
plots.gaps(gaps, title="The verdict", xlabel="difference in the share of fields right")

# %% [markdown]
# For each letter SFT sees every token of the right answer; GRPO sees a few numbers, and has to write eight
# answers to get them. So where right answers are at hand, SFT learns more in the same time. GRPO is for what
# comes after, or where there are none: a check exists, but no answers. Large models get most from it where
# they sometimes succeed at long tasks, as in mathematics and programming.
#
# ## 9. Group size and temperature
#
# Two small sets of runs change one setting each: the size of a group (with 16 answers a step, 8 groups of 2, or one
# of 16), and the **temperature** of the sampling. Everything else is as in `grpo`, which has groups of 8 and
# temperature 1. **Predict.** In which run do the groups have least signal? Which earns least?

# %%
ARMS = ["group 2", "group 4", "grpo", "group 16", "temperature 0.5", "temperature 1.5"]
seed_0 = grid[(grid.seed == 0) & (grid.step > 0)]
table = seed_0.groupby("arm")[["signal", "reward", "gradient", "kl", "length"]].mean()
table["right of 200"] = seed_0.groupby("arm").score.last()
print(table.loc[ARMS].round(3).to_string())
scored_0 = scored[scored.seed == 0]
print("right of 200 at the start:", scored_0.score.iloc[0])
gains = {
    arm: difference(shares(arm, 0, scored_0), shares(arm, -1, scored_0)) for arm in ARMS
}
plots.gaps(gains, title="Ten steps, one seed", xlabel="end minus start, share right")

# %% [markdown]
# The **signal** grows with the group: the two answers of a pair often earn the same. The price is variety, for a step
# of one group of 16 is about a single letter, and a step of eight pairs about eight. Colder sampling makes answers
# alike, and costs signal, too. Hot sampling breaks them: `reward` is the lowest by far, and the end shows no gain over
# the start. Its signal is high all the same, so a signal alone is no proof of a good run.
#
# In the picture the intervals overlap. **One seed cannot put the group sizes in order**, nor tell 0.5 from 1. Trainings
# mostly use temperatures of 0.7 to 1.0.
#
# ## 10. A reward that is hacked
#
# Section 6 counted values that the model made up. Suppose we have no records for new letters, and want to
# stop that. A check needs none: a value that is true stands in the letter. So the reward takes off a fifth
# for each value that does not stand there. Nothing made up: 0, the highest. **Predict.** It sounds honest. How
# will the model earn it?


# %%
from ftlab.teaching.lesson10 import made_up, values


def careful(completions, record, **_):
    """Less a fifth for each value that does not stand in the letter."""
    pairs = zip(completions, record)
    return [-made_up(json.loads(r), m[0]["content"]) / 5 for m, r in pairs]


honest = right.replace("Thessaloniki", "Lisbon")
print(careful(as_answers(right, honest), [json.dumps(letter)] * 2))

trainer = grpo(trainer.model.unload(), careful, "careful", HACK)
trainer.train()
print(steps_of(trainer).to_string(index=False))
cheated, _ = examined(trainer.model)

# %% [markdown]
# The reward rises: a success, by the curve. Now **read the outputs**. Sort the answers of the last steps by
# their reward, and look at those that are paid best.

# %%
late = pandas.concat([saved("careful", HACK - 1), saved("careful", HACK)])
best = late.sort_values("careful", ascending=False)[:6]
for reward, text in zip(best.careful, best.text):
    print(f"{reward:5.1f}  {text[:60]} ... {text[-24:]}")

# %% [markdown]
# Read them to the end: null wherever a value could stand, and objects that no parser reads, broken in the middle or
# never closed. What counts as a value that is made up? `null` is no value, and an answer that is no JSON has no values
# either. So **an answer that cannot be read is paid in full**, as is one with null in all fields. The model was not
# told; it sampled such answers now and then, and they were paid. This is **reward hacking**: the reward rises, and what
# was meant does not. And once all answers are paid alike, the signal is zero and the model stays there.
#
# The longer run of the grid, ten steps from the same start. `fields` is the share of right fields, logged
# beside the reward and not paid. `length` is the mean in tokens, and no answer may be longer than 52.

# %%
hacked = seed_0[seed_0.arm == "careful"]
shown = hacked[["step", "reward", "fields", "signal", "kl", "length"]]
print(shown.to_string(index=False))
print(f"\nthe KL term at its largest: {BETA * hacked.kl.max():.3f}\n")
COUNTS = ["score", "valid", "made_up"]
ends = scored.groupby(["arm", "seed"])[COUNTS].agg(["first", "last"]).astype(int)
print(ends.loc["careful"])

# %% [markdown]
# `score` counts right fields of 200, `valid` the answers in form of 40, `made_up` values; each line is a seed, before
# (`first`) and after (`last`). By the reward a run with no valid answer is perfect. Whether a cheat is found at all is
# chance: it has to be sampled before it can be paid. Log *several* figures in such a run, and pay for one of them
# at most. (In this run the cheat was to write past the limit. TRL can leave such answers out,
# `mask_truncated_completions`; that closes this hole, and no other.)
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
def grounded(completions, record, **_):
    """A fifth for each value from the letter, less for each other; -1 for no JSON."""
    # solution:
    import json

    from ftlab.teaching.lesson10 import made_up, values

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
print(ends.loc["grounded"])
end = shares("grounded", -1)
print("grounded minus start:  ", difference(shares("grpo", 0), end))
print("grounded minus careful:", difference(shares("careful", -1), end))
lines = data_path("grids/rewards.answers.jsonl").read_text("utf-8").splitlines()
worst = int(ends.loc["grounded"][("valid", "last")].idxmin())
wanted = ["grounded", worst, 10]
(said,) = (line["said"] for line in map(json.loads, lines) if line["run"] == wanted)
print(f"\nseed {worst}", *said[:3], sep="\n")

# %% [markdown]
# Count the fields. A made-up value costs a fifth, and a missing one costs nothing: so where one field is often wrong,
# it pays to leave it out. No answer of our list of cheats did that; a model found it. **A mended reward is a new
# reward**, and it too is judged by reading what it brings. This one should ask for all five fields.
#
# ## 11. Your turn
#
# Write a reward for a task of your own. `GOOD` is an answer that you would sign, `reward` is your check, and `BAD` are
# answers that a cheat would give, at least four. The cell tests the reward and writes the result down. Change it
# until no cheat is as good as the good answer. The example is a polite refusal in at most twenty words; one cheat
# still gets through.

# %%
from ftlab.files import write_text

GOOD = "Thank you for the invitation. I am sorry, but I cannot come on Friday."
BAD = ["", "No.", "Thank sorry.", "I will come!", "word " * 30]


def reward(text):
    """Your check of one answer: a higher number is better."""
    polite = "thank" in text.lower() and "sorry" in text.lower()
    return float(polite and len(text.split()) <= 20)


paid = {text: reward(text) for text in [GOOD, *BAD]}
write_text(OUT / "reward.json", json.dumps(paid, indent=1), overwrite=True)
through = [text for text in BAD if paid[text] >= paid[GOOD]]
print(f"{len(BAD)} cheats, {len(through)} as good as the good answer: {through}")

# %% [markdown]
# Keep the file: the capstone asks how you know that your measure cannot be cheated.
#
# ## 12. The limits of this lesson
#
# - **Few steps, small model, easy task.** Published runs have hundreds of steps, thousands of answers each, and
#   models that reason before they answer. What carries over is the machinery and its failures.
# - **The rate is above the published range**, so that a handful of steps moves the model at all.
# - **SFT had the right answers.** The comparison at equal minutes holds where they exist.
# - **Equal minutes are the processor's**, on one core. On a GPU the writing of answers costs less beside the
#   training than here.
# - **Seeds**: three in sections 8 and 10, one in section 9. The intervals count letters as the source of chance.
# - **GRPO has variants.** Dividing by a group's spread gives much weight to groups that hardly differ;
#   `scale_rewards="none"` leaves it out (Dr. GRPO, Liu et al. 2025).
#
# ## 13. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("10")

# %% [markdown]
# ## 14. Takeaways
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
