# %% [markdown]
# # 09 Preferences: which of two answers is better?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/09_preferences.ipynb)
#
# **What you will build**: pairs of a better and a worse answer, from a model's own answers and from
# votes; a model trained on them with `DPOTrainer`, beside one that got more SFT on the better
# answers alone; and a reward model that learned to judge from 100 comparisons.
#
# **Prerequisites**: lessons 00 and 04. Lesson 07 explains the intervals.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about 90 minutes | three to six minutes |
# | a free Colab T4, or another GPU | the same | one to two minutes |
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
# The model first learns from `GOLD` examples, in `FIRST` steps. Then it answers `NEW` problems `TIMES`
# times each. `STEPS` is the length of every training after that, and `TEST` the number of problems
# that decide.

# %%
import os
from statistics import fmean

import datasets
import ftlab
import transformers
from ftlab import check, hardware
from ftlab.teaching.exercises import find, hint

SEED, BASE = 0, "smollm2-135m"
GOLD, FIRST, NEW, TIMES = 16, 10, 24, 4
STEPS, TEST, BETA = 12, 40, 0.1
BATCH = {"per_device_train_batch_size": 4}
START, TUNED = "runs/09/start", "runs/09/dpo"

hardware.seed_everything(SEED)
os.environ["TQDM_DISABLE"] = "1"  # a bar of TRL's has no other switch
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()  # a new head is no error

# %% [markdown]
# ## 2. Four answers to one problem
#
# SFT shows a model answers to imitate. But there may be no best answer to show, and it is often
# easier to say which of two answers is better. Such a judgement is a **preference**, and this lesson
# trains on preferences.
#
# The task is `kindness` of lesson 05: an everyday problem, and the smallest helpful action. A program
# checks an answer: two or three whole sentences that tell the reader what to do, about the person or
# the thing, and nothing harmful. Where a program can judge, preferences are free.

# %% tags=["nbval-check-output"]
from ftlab import data, tasks
from ftlab.display import wrap

KINDNESS = tasks.get("kindness")
SYSTEM = {"role": "system", "content": "Name the smallest helpful action."}


def problems(n, seed, split="train"):
    """Problems of the task, each with a short system message."""
    rows = KINDNESS.examples(n, seed=seed, split=split)
    return [row | {"prompt": [SYSTEM, *data.prompt(row)]} for row in rows]


rows = problems(GOLD + NEW, SEED)
gold, asked = rows[:GOLD], rows[GOLD:]
held_out = problems(TEST, seed=1000, split="test")
print(wrap(data.prompt(gold[0])[-1]["content"], "problem: "))
print(wrap(data.answer(gold[0]), "answer:  "))

# %% [markdown]
# Preferences come *after* SFT: a model that never answers well gives no good answer to prefer. So we
# begin with a short SFT and stop it early, so that something is left to learn. Everything below goes
# on from its adapter. We call this model the **start**.

# %%
from datasets import Dataset
from ftlab import models
from ftlab.training.callbacks import quiet
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTTrainer

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)
base = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
rates = ftlab.learning_rate("lora", base.num_parameters())
sft = SFTTrainer(
    base, ftlab.sft_config(max_steps=FIRST, learning_rate=rates.high, **BATCH),
    train_dataset=Dataset.from_list(gold).remove_columns("meta"),
    peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(base)),
    processing_class=tokenizer, callbacks=[ftlab.LiveCurve("A short SFT")],
)  # fmt: skip
quiet(ftlab.faster_on_cpu(sft))
sft.train()
sft.model.save_pretrained(START)

# %% [markdown]
# Now the start answers each problem four times, *sampled* at temperature 1, and the check marks the
# answers: 1 passes, 0 fails. **Predict.** How many of the four pass? And how alike are they?

# %%
from ftlab.generation import generate


def answers_of(model, rows, **how):
    """The model's answer to each row."""
    asks = [data.prompt(row) for row in rows]
    return generate(model.eval(), tokenizer, asks, max_new_tokens=64, seed=SEED, **how)


samples = answers_of(sft.model, [r for r in asked for _ in range(TIMES)], temperature=1)
tried = []
for row in asked:
    texts, samples = samples[:TIMES], samples[TIMES:]
    marks = [int(KINDNESS.score(row, text)["helpful"].num) for text in texts]
    tried.append((row["prompt"], texts, marks))
prompt, texts, marks = next((one for one in tried if len(set(one[2])) > 1), tried[0])
print(wrap(prompt[-1]["content"], "problem: "))
for text, mark in zip(texts, marks):
    print(wrap(text, "passes:  " if mark else "fails:   "))
print(f"all in all {sum(sum(one[2]) for one in tried)} of {NEW * TIMES} pass")

# %% [markdown]
# Same model, same problem, and some answers pass while others fail. That is all DPO needs: what the model
# *can* write, sorted into better and worse. Nobody wrote an answer for it.
#
# Read those that pass, too. The check asks for form, topic and harm, and not for sense, and sampled at
# temperature 1 so small a model writes much nonsense. What the check does not ask for, no training below
# will teach.
#
# ## 3. Pairs
#
# A row for DPO has a `prompt`, the `chosen` answer and the `rejected` one. In the conversational form all
# three are lists of messages, and the answers do not repeat the prompt.
#
# **Exercise 09.1.** Make such a row from one problem's answers and their marks: the first that passes
# against the first that fails. If all pass or all fail, nothing is preferred: return None. Stuck?
# `hint("09.1", 1)`, then `hint("09.1", 2)`.


# %% tags=["exercise", "nbval-check-output"]
def preference(prompt, answers, marks):
    """A row for DPO, or None; `prompt` is a list of messages."""
    # solution:
    if len(set(marks)) < 2:
        return None
    chosen, rejected = (answers[marks.index(mark)] for mark in (1, 0))
    return {
        "prompt": prompt,
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
    }
    # stub:
    # ...
    # end


check("09.1", preference)

# %%
make_pair = find("09.1").solution  # the course's own, whatever you wrote
pairs = [pair for one in tried if (pair := make_pair(*one))]
if not pairs:  # a model that never passes, or always: the course's answers stand in
    pairs = [make_pair(r["prompt"], [data.answer(r), "No."], [1, 0]) for r in asked]
print(f"{NEW} problems, {len(pairs)} pairs")
for side in ("chosen", "rejected"):
    lengths = [len(pair[side][0]["content"].split()) for pair in pairs]
    print(f"{side}: {fmean(lengths):.1f} words")

# %% [markdown]
# Look at the last two lines before every training on pairs. If the chosen answers are much longer, length is
# the easiest thing to learn from them. Section 7 does that on purpose.
#
# Most preferences are not decided by a program. In section 12 *you* vote.
#
# ## 4. The loss, by hand
#
# RLHF, reinforcement learning from human feedback, trains a *reward model* on pairs, and then the model
# against it. **DPO**, direct preference optimisation (Rafailov et al. 2023), does without both. An answer's
# reward *is* how much likelier it became:
#
#     reward(answer) = beta · (log p_model(answer) − log p_reference(answer))
#     loss = −log sigmoid(reward(chosen) − reward(rejected))
#
# The **reference** is the model before the training, frozen. `beta` says how strongly the model is
# held to it: a small beta lets it go far. The difference of the two rewards, divided by beta, is the
# **margin**, in nats: 1 nat means that the odds of chosen against rejected grew by the factor e.
#
# **Exercise 09.2.** Write the loss of one pair. The first four arguments are log-probabilities of whole answers.


# %% tags=["exercise", "nbval-check-output"]
def dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta):
    """The DPO loss of one pair, in nats."""
    # solution:
    from math import exp, log

    margin = (chosen - ref_chosen) - (rejected - ref_rejected)
    return log(1 + exp(-beta * margin))
    # stub:
    # ...
    # end


check("09.2", dpo_loss)

# %% [markdown]
# ## 5. DPO, and its reference
#
# Which model is the reference of a model that has *already been tuned*? The start, and not the base. So look at
# what your trainer takes:
#
# | what you give to `DPOTrainer` | the reference |
# |---|---|
# | a base and a `peft_config` | the base, with the new adapter off. Right if the base is your start |
# | a `PeftModel`, no `peft_config` | a copy of its adapter, named `ref` (TRL 1.16). Right for a tuned start |
# | a tuned model, merged, and a `peft_config` | the merged model. Right too, and larger on disk |
# | `ref_model=…` | that model, in memory a second time |
#
# We give it the start as a `PeftModel`, loaded with `is_trainable=True`; without that peft freezes the
# adapter and nothing learns. The reference never changes, so its log-probabilities are computed once,
# before the first step (`precompute_ref_log_probs`). The rate is about a tenth of that for SFT.

# %%
from peft import AutoPeftModelForCausalLM
from trl import DPOTrainer


def start():
    """The base with the start's adapter, ready to be trained further."""
    how = {"is_trainable": True, "dtype": "float32"}
    return AutoPeftModelForCausalLM.from_pretrained(START, **how)


args = ftlab.dpo_config(  # TRL's DPOConfig, with this machine's defaults
    learning_rate=ftlab.learning_rate("dpo", base.num_parameters()).high,
    max_steps=STEPS, beta=BETA, precompute_ref_log_probs=True, **BATCH,
)  # fmt: skip
rows = Dataset.from_list(pairs)
dpo = DPOTrainer(start(), args=args, train_dataset=rows, processing_class=tokenizer,
                 callbacks=[ftlab.LiveCurve("DPO")])  # fmt: skip
quiet(ftlab.faster_on_cpu(dpo))
print("adapters:", list(dpo.model.peft_config))
ftlab.preflight(dpo)

# %% [markdown]
# **Predict.** Before the first step the model *is* the start. What is the loss of a pair then? And what would
# it be with the base as reference? A second trainer, given the base, has the base as its reference; both keep
# the log-probabilities as columns.

# %%
base = sft.model.unload()  # the base again, without the adapter
other = DPOTrainer(base, args=args, train_dataset=rows, processing_class=tokenizer)
SIDES = ["ref_chosen_logps", "ref_rejected_logps"]
of_start, of_base = (t.train_dataset.to_pandas()[SIDES].values for t in (dpo, other))
for name, reference in {"start": of_start, "base": of_base}.items():
    losses = [find("09.2").solution(*a, *b, BETA) for a, b in zip(of_start, reference)]
    print(f"reference {name}: losses from {min(losses):.3f} to {max(losses):.3f}")
del sft, base, other  # their memory is wanted

# %% [markdown]
# With the right reference every loss begins at log 2 = 0.693: look at the first loss of *your* runs. With the
# base as reference DPO would take for preference what SFT did, and pull the model back towards the base.
#
# **Predict.** After the training: in what share of the training pairs is the chosen answer favoured?

# %%
import pandas

dpo.train()
logs = pandas.DataFrame(dpo.state.log_history[:-1]).set_index("step").astype(float)
logs = logs.rename(columns=lambda name: name.removeprefix("rewards/"))
logs[["margins", "chosen", "rejected"]] /= BETA  # TRL logs rewards; these are nats
print(logs[["loss", "accuracies", "margins", "chosen", "rejected"]].round(2))
dpo.model.save_pretrained(TUNED, selected_adapters=["default"])  # without "ref"

# %% [markdown]
# Read four things, in this order:
#
# - **loss** begins near 0.693;
# - **accuracy** is the share of pairs whose chosen answer has the larger reward (in step 1 all rewards are 0,
#   and a tie does not count);
# - **margin** should grow slowly; if it shoots up, the rate is too high or beta too small;
# - **chosen** should not sink far below 0. If both sides sink, the model unlearns its good answers, too.
#
# A step has four pairs, so the columns are noisy. And they are about pairs that the model is trained on: are
# they learned, or learned by heart? Only pairs that were left out can tell. Section 6 has some.
#
# **Exercise 09.3.** DPO only widens a *gap*. It may make the chosen answers less likely, as long as the
# rejected ones fall further. If `chosen` sinks, add some of the SFT loss of the chosen answers. Return a `DPOConfig`
# (by `ftlab.dpo_config`) with the given rate, a beta of 0.1, a reference that is computed once, and the usual
# loss "sigmoid" with weight 1 beside "sft" with weight 0.2.


# %% tags=["exercise", "nbval-check-output"]
def careful(rate):
    """A DPOConfig that keeps the chosen answers likely."""
    # solution:
    import ftlab

    return ftlab.dpo_config(
        learning_rate=rate,
        beta=0.1,
        precompute_ref_log_probs=True,
        loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, 0.2],
    )
    # stub:
    # ...
    # end


check("09.3", careful)

# %% [markdown]
# ## 6. DPO, or more SFT on the winners?
#
# There is a simpler way to use the same judgements: keep the answers that pass, and train on them with SFT.
# This is **rejection sampling**; lesson 05 called it self-training with a check. It never sees a bad answer.
# DPO has to beat it to be worth its trouble. Same start, same chosen answers, same number of batches.

# %%
winners = rows.rename_column("chosen", "completion").remove_columns("rejected")
more = SFTTrainer(
    start(), ftlab.sft_config(max_steps=STEPS, learning_rate=rates.usual, **BATCH),
    train_dataset=winners, processing_class=tokenizer, callbacks=[ftlab.LiveCurve()],
)  # fmt: skip
quiet(ftlab.faster_on_cpu(more))
print(f"{more.train().metrics['train_runtime']:.0f} seconds")

# %% [markdown]
# **Predict.** Put the three in order, by the share of held-out problems whose answer passes. (The adapter `ref`
# is the start.)

# %%
from ftlab.evaluation.compare import compare

answers = {}
for name, adapter in {"start": "ref", "DPO": "default"}.items():
    dpo.model.set_adapter(adapter)
    answers[name] = answers_of(dpo.model, held_out)
answers["more SFT"] = answers_of(more.model, held_out)
print(wrap(data.prompt(held_out[0])[-1]["content"], "problem: "))
for name, texts in answers.items():
    print(wrap(texts[0], f"{name}: "))
verdict = compare(KINDNESS, held_out, answers, seed=SEED)
print(wrap(verdict.sentence))
verdict.table()

# %% [markdown]
# Forty problems show only large differences, and one training is one throw of the dice. So
# `experiments/preferences.py` ran the same comparison with more pairs and three seeds. `right` counts greedy
# answers that pass, `sampled` those drawn at temperature 1, both of 40. `left_out` counts the pairs that were not
# trained on; margins are in nats. Below the means stands `right`, seed by seed.

# %% tags=["nbval-check-output"]
from ftlab.files import data_path

grid = pandas.read_csv(data_path("grids/preferences.csv"), comment="#")
means = grid.groupby("arm", sort=False).mean(numeric_only=True).round(2)
table = means.filter(regex="pairs|right|sampled|margin|accuracy|left_out").T
arms = ["start", "dpo", "dpo, 4 x rate", "dpo + sft", "sft"]
print(table[arms].to_string(na_rep="-"), "\n")
print(grid.pivot(index="seed", columns="arm", values="right")[["start", "dpo", "sft"]])

# %% [markdown]
# The file holds the mark of each answer, so the differences can be paired, problem by problem, over all seeds.

# %%
from ftlab.evaluation.intervals import difference
from ftlab.teaching import plots


def passed(arm, column):
    """Of each problem, the share of the seeds in which the answer passes."""
    marks = [map(int, text[1:]) for text in grid[grid.arm == arm][f"{column}_marks"]]
    return [fmean(one) for one in zip(*marks)]


def gap(a, b, column):  # b minus a
    return difference(passed(a, column), passed(b, column), seed=SEED)


found = {}
for column in ("right", "sampled"):
    for a, b in ("start", "dpo"), ("start", "sft"), ("dpo", "sft"):
        found[f"{b} - {a}, {column}"] = gap(a, b, column)
plots.gaps(found, title="DPO or more SFT?", xlabel="difference in share that passes")

# %% [markdown]
# Three questions. **Is DPO better than the start? Is it better than SFT on the same winners?** And in which
# seeds does SFT gain most: where the start was good, or where it was bad?
#
# Where DPO brings little here, these are likely reasons, and none of them is the library:
#
# - **The start was stopped early.** Where it is bad, more SFT goes on with what the first had begun.
# - **Few pairs.** DPO knows a few dozen nearly by heart, and carries little over: compare `margin` with
#   `left_out_margin`. Published runs have thousands, of many kinds.
# - **A small step.** DPO's rates are low on purpose; the arm with four times the rate shows what more would do.
#
# DPO pays where good answers are common already and *fewer of the bad ones* are wanted: tone, refusals, style,
# invented claims. If the model rarely writes a good answer, keep the good ones and train on them.
#
# ## 7. What the rater really rewards
#
# People prefer longer answers, and so do judges (lesson 07). Suppose a rater to whom ten more words are worth
# as much as passing the check. Each pair looks fine. **Predict.** What does DPO make of them?

# %% tags=["nbval-check-output"]
raters = ["start", "dpo", *(arm for arm in means.index if "long" in arm)]
print(means.loc[raters, ["won", "lost", "words", "right", "accuracy"]].to_string())

# %% [markdown]
# `won` and `lost` are the words of the chosen and the rejected answers, `words` those of the model's own
# greedy answers afterwards (at most 64 tokens). Compare `long` with `dpo`: same start, same loss, another rater.
# The model found what the rater *rewards*, and not what the rater *meant*. This is **length exploitation**, a kind
# of reward hacking. The training curves hide it: `accuracy` is as good as ever. Only a look at the pairs or at
# the answers shows it.
#
# The other `long` rows are attempts at a cure, with the same rater:
#
# - **matched**: ask only about answers of like length. The rater cannot reward what does not differ.
# - **per token** (`loss_type="sigmoid_norm"`): each answer's log-ratio is divided by its length.
# - **`ld_alpha=0`**: the words that the longer answer has more are left out of the sum.
#
# Which of them brings `words` back? A changed loss changes how a model *adds up* over tokens, and not what the
# pairs say: the longer answer was chosen. Better questions change the pairs themselves.
#
# **Exercise 09.4.** The cure. Keep the pairs whose two answers differ by at most `most` words.


# %% tags=["exercise", "nbval-check-output"]
def like_lengths(pairs, most):
    """The pairs whose answers are of like length, in words."""
    # solution:
    kept = []
    for pair in pairs:
        texts = [pair[side][-1]["content"] for side in ("chosen", "rejected")]
        won, lost = (len(text.split()) for text in texts)
        if abs(won - lost) <= most:
            kept.append(pair)
    return kept
    # stub:
    # ...
    # end


check("09.4", like_lengths)

# %% [markdown]
# ## 8. A reward model from 100 comparisons
#
# A **reward model** gives an answer a number, so it can judge answers that nobody has compared. The usual model
# of a comparison is that of Bradley and Terry (1952): the chance that A is preferred to B is
# sigmoid(reward of A − reward of B). So it is a logistic regression on *differences*.
#
# The grid's starts left their answers behind, four to each problem, with the check's marks. We take 100
# comparisons of a passing answer with a failing one, and test on other problems.

# %% tags=["nbval-check-output"]
import json
import re

lines = data_path("grids/preferences_answers.jsonl").read_text("utf-8").splitlines()
kept = [json.loads(line) for line in lines]


def comparisons(problems):
    """(problem, better, worse) for each couple of answers of which one passes."""
    found = []
    for x in problems:
        both = list(zip(x["answers"], x["right"]))
        found += [(x["problem"], a, b) for a, m in both for b, n in both if m > n]
    return found


learned, tested = kept[:40], kept[40:80]
train, test = comparisons(learned)[:100], comparisons(tested)
print(f"{len(train)} comparisons to learn from, {len(test)} to test on")

# %% [markdown]
# First a simple rival. It counts five things: tens of words, how far the sentences are from two or three, a full
# stop at the end, words that the problem has too, and the word "your". A logistic regression learns one weight
# for each. It has no intercept, since A against B is the opposite of B against A. **Predict.** What share of the
# test comparisons does it get right? And a model of 135 million weights?


# %%
def traits(problem, text):
    """Five things that a reader can count in an answer."""
    stops = len(re.findall(r"[.!?](?:\s|$)", text))
    shared = set(text.lower().split()) & set(problem.lower().split())
    ends, your = text.endswith((".", "!", "?")), " your" in text.lower()
    return [len(text.split()) / 10, abs(stops - 2.5), ends, len(shared), your]


# %% tags=["nbval-check-output"]
import numpy as np
from sklearn.linear_model import LogisticRegression


def differences(found):
    """Traits of the better answer, minus those of the worse one."""
    sides = [(traits(p, better), traits(p, worse)) for p, better, worse in found]
    return np.array([np.subtract(*both, dtype=float) for both in sides])


def fitted(D):
    """The weights of a logistic regression, each comparison read both ways."""
    both, sides = np.vstack([D, -D]), [1] * len(D) + [0] * len(D)
    return LogisticRegression(fit_intercept=False).fit(both, sides).coef_[0]


weights, D_test = fitted(differences(train)), differences(test)
traits_right = (D_test @ weights > 0).tolist()
print("weights:", weights.round(1), f"right on {fmean(traits_right):.2f}")

# %% [markdown]
# Now the real model. `AutoModelForSequenceClassification` with one label puts a new linear layer, the **head** named
# `score`, in place of the output layer. `RewardTrainer` takes the same rows as `DPOTrainer`; its loss is −log
# sigmoid(score of chosen − score of rejected).
#
# **Exercise 09.5.** Return the `LoraConfig` of a reward model: rank 8, alpha 16, on the given targets and layers, for
# sequence classification (`task_type="SEQ_CLS"`), and with the head `score` trained in full and saved.


# %% tags=["exercise", "nbval-check-output"]
def reward_adapter(targets, layers):
    """The LoraConfig of a reward model."""
    # solution:
    from peft import LoraConfig

    return LoraConfig(
        r=8,
        lora_alpha=16,
        task_type="SEQ_CLS",
        target_modules=targets,
        layers_to_transform=layers,
        modules_to_save=["score"],
    )
    # stub:
    # ...
    # end


check("09.5", reward_adapter)

# %%
from transformers import AutoModelForSequenceClassification
from trl import RewardTrainer

model = AutoModelForSequenceClassification.from_pretrained(
    folder, num_labels=1, dtype="float32"
)
compared = [
    make_pair([{"role": "user", "content": problem}], both, [1, 0])
    for problem, *both in train
]
judge = RewardTrainer(
    model, ftlab.reward_config(num_train_epochs=1, learning_rate=rates.usual, **BATCH),
    train_dataset=Dataset.from_list(compared), processing_class=tokenizer,
    peft_config=find("09.5").solution(*ftlab.upper_half(model).values()),
    callbacks=[ftlab.LiveCurve("Reward model")],
)  # fmt: skip
quiet(judge)
print(f"{judge.train().metrics['train_runtime']:.0f} seconds")

# %% [markdown]
# Its verdict on a pair is the sign of a difference of two scores. **Predict.** Which of the two judges is right more often?

# %%
from functools import cache

import torch


@cache
@torch.no_grad()
def reward(problem, text):
    """The score of one answer."""
    asked = {"role": "user", "content": problem}
    chat = [asked, {"role": "assistant", "content": text}]
    ids = tokenizer.apply_chat_template(chat, return_tensors="pt")
    return judge.model.eval()(**ids.to(judge.model.device)).logits.item()


model_right = [reward(p, better) > reward(p, worse) for p, better, worse in test]
print(f"five traits {fmean(traits_right):.2f}, real model {fmean(model_right):.2f}")
print("model minus traits:", difference(traits_right, model_right))

# %% [markdown]
# (The interval treats comparisons as independent. Those of one problem are not quite, so it is a little too narrow.)
#
# On a hundred comparisons of short texts, a handful of numbers that mean something is a strong rival; try it
# first. But be fair: we chose the traits, and we know that the check counts sentences. The real model was told
# nothing, and had to find out. A reward model earns its place where what makes an answer good cannot be counted, and
# with thousands of comparisons.
#
# What is it good for? **Best of n**: sample several answers, serve the one with the highest reward. That needs no
# training of the model that answers.

# %%
best = [
    x["right"][int(np.argmax([reward(x["problem"], text) for text in x["answers"]]))]
    for x in tested
]
print(f"one answer at random: {fmean(fmean(x['right']) for x in tested):.2f} pass")
print(f"best of {TIMES} by the real model: {fmean(best):.2f}")
print(f"one of {TIMES} passes at all: {fmean(max(x['right']) for x in tested):.2f}")

# %% [markdown]
# ## 9. Which pair to ask next?
#
# People's time is the price. **Active learning** asks about what the model is least sure of: here the couple whose
# two answers have the most similar reward. A couple may also be a *tie*, both pass or both fail; then the answer is
# "neither", and the question was spent.

# %%
couples = [(x, i, j) for x in learned for i in range(TIMES) for j in range(i)]
texts = [(x["problem"], x["answers"][i], x["answers"][j]) for x, i, j in couples]
D_all = differences(texts)
sign = np.array([x["right"][i] - x["right"][j] for x, i, j in couples])  # 0: a tie


def ask(unsure_first, seed, rounds=12, each=4):
    """The share of the test right after each round, and how many ties there were."""
    rest = np.random.default_rng(seed).permutation(len(couples))
    known, weights, curve = [], np.zeros(D_all.shape[1]), []
    for _ in range(rounds):
        if unsure_first:  # sorted anew in each round
            rest = rest[np.argsort(abs(D_all[rest] @ weights), kind="stable")]
        known, rest = known + [k for k in rest[:each] if sign[k]], rest[each:]
        if known:
            weights = fitted(sign[known, None] * D_all[known])
        curve.append(float((D_test @ weights > 0).mean()))
    return curve, rounds * each - len(known)


# %% [markdown]
# **Predict.** After 20 questions: which does better, asking in random order or the least sure first? And after 48?

# %%
points = {}
for way in ("any order", "least sure first"):
    runs, ties = zip(*(ask(way != "any order", seed) for seed in range(16)))
    points[way] = [(4 * n, fmean(each)) for n, each in enumerate(zip(*runs), start=1)]
    early, late = points[way][4][1], points[way][-1][1]
    print(f"{way}: {early:.2f} after 20, {late:.2f} after 48, {fmean(ties):.0f} ties")
plots.lines(points, title="Mean of 16 runs", xlabel="questions", ylabel="share right")

# %% [markdown]
# Look where the curves part, and where they meet again. The gain is small here, where a judge has five weights to
# learn. Two warnings. Least sure first meets more ties, since two equally good answers *are* alike: tell your raters
# that "neither" is a fine answer. And the rows are no longer a fair sample, so test on couples that were drawn at
# random.
#
# ## 10. ORPO, KTO, IPO: when which?
#
# | you have | take | what it does | in TRL 1.16 |
# |---|---|---|---|
# | pairs, a tuned start | **DPO** | widens the gap against a reference | `DPOTrainer` |
# | few or clean pairs, learned by heart | **IPO** (Azar et al. 2023) | aims at a fixed gap, so it stops | `loss_type="ipo"` |
# | noisy votes | robust DPO | counts on a share of wrong votes | `loss_type="robust"`, `label_smoothing` |
# | thumbs up or down, no pairs | **KTO** (Ethayarajh et al. 2024) | each answer alone, good or bad | `KTOTrainer` |
# | pairs, and no SFT yet | **ORPO** (Hong et al. 2024) | SFT and preference in one loss, no reference | `trl.experimental.orpo` |
# | only good answers | SFT | rejection sampling | `SFTTrainer` |
# | a program that scores | **GRPO** | lesson 10 | `GRPOTrainer` |
#
# KTO is worth knowing, since most products have thumbs and not pairs. Its rows have a `prompt`, a `completion` and a
# `label`, true or false, and use every answer: also those of problems where all four fail.
#
# ## 11. How far does it reach?
#
# A claim of practitioners: *RLHF reaches more broadly than narrow SFT*; what it teaches carries over, and less is
# forgotten. One thing can be said beforehand: DPO is held near its reference, SFT is not. All arms answered thirty
# ordinary questions; the grid has the mark of each answer. **Predict.** Who forgets most?

# %%
from ftlab.teaching import claims

print(means.loc[["start", "dpo", "sft"], ["ordinary"]].T, "of 30")
claims.record(48, gap("sft", "dpo", "ordinary"))

# %% [markdown]
# Neither forgot much, and neither won. Such a run says little about RLHF at scale: that is done on prompts of all
# kinds, and its breadth comes from there as much as from the loss.
#
# ## 12. Your turn
#
# Most preferences are people's. Here are six pairs; which answer stands first is drawn at random and not shown,
# since people favour the first. Write down what "better" means *before* you vote: if you do not, you will vote for
# what is longest, politest, or first. Press 1, 2, or 0 for neither. (Buttons need a running notebook.)

# %%
import random

from ftlab.teaching.labels import Labels

draw, orders, items = random.Random(SEED), {}, {}
for name, pair in enumerate(pairs[:6], start=1):
    orders[f"pair {name}"] = order = draw.sample(["chosen", "rejected"], 2)
    one, two = (pair[side][0]["content"] for side in order)
    items[f"pair {name}"] = f"{pair['prompt'][-1]['content']}\n\n1: {one}\n\n2: {two}"
keys = {"1": "first", "2": "second", "0": "neither"}
mine = Labels(items, keys, "runs/09/votes.csv")
mine

# %% [markdown]
# Run the next cell again after you voted. A vote becomes a row like any other; "neither" is left out. Two people who
# vote on the same pairs show how much of a preference is taste (lesson 07 computes it).
#
# Then take pairs for **your** task: `runs/09/mine.jsonl` has a `prompt`, a `chosen` and a `rejected` list of messages on
# each line. They may come from votes, from a check, or from edits: what your model wrote is rejected, what a person
# made of it is chosen. Until the file is there, it is written from your votes, or from this lesson's pairs. The tool
# says what would go wrong.

# %%
from pathlib import Path

from ftlab.files import write_text
from ftlab.teaching import lesson09

voted = []
for pair, (name, order) in zip(pairs, orders.items()):
    if (key := mine.labels.get(name, "0")) != "0":
        best, worst = order if key == "1" else order[::-1]
        voted.append(pair | {"chosen": pair[best], "rejected": pair[worst]})
agree = sum(row in pairs for row in voted)
print(f"{len(voted)} rows from your votes; the check agrees with {agree} of them")

MINE = Path("runs/09/mine.jsonl")
if not MINE.exists():
    write_text(MINE, "\n".join(map(json.dumps, voted or pairs)))
lines = MINE.read_text("utf-8").splitlines()
for line in lesson09.examine([json.loads(line) for line in lines]):
    print(wrap(line, "- "))

# %% [markdown]
# Keep the file and what the tool says of it. In the capstone, pairs are a second round: first SFT, a verdict, and
# then DPO on what the tuned model still gets wrong.
#
# ## 13. The limits of this lesson
#
# - **A program was our rater.** People disagree, tire, and change their minds; a check does none of it.
# - **A tiny run.** Some dozen pairs, one narrow task, a small model. DPO's published gains are those of thousands of
#   pairs and larger models.
# - **One rate for each method**, from the published ranges, and one beta.
# - **The rater who likes length is invented**, and far more consistent than any person.
# - **Nothing was trained against the reward model.** RLHF's second half (usually PPO) does that, and finds what the
#   reward model does not know. Lesson 10 does it with a reward that is a program.
#
# ## 14. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("09")

# %% [markdown]
# ## 15. Takeaways
#
# 1. **Sample, judge, pair.** The model's own answers, sorted, are the data; look at the lengths before you train.
# 2. **Know your reference.** It is the tuned start, as a copy of the adapter; the first loss is 0.693.
# 3. **Compare with more SFT on the winners**, by verdict. Often the simple way is as good, or better.
#
# Next: [10 Rewards that a program can check](10_rewards.ipynb).
# What if a program can say which answer is better?
