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
# | a laptop or server, CPU only | about 90 minutes | four to eight minutes |
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
# times each. `STEPS` is the length of every training after that, `TEST` the number of problems that
# decide, and `COMPARISONS` what the reward model learns from.

# %%
import os

import datasets
import ftlab
import transformers
from ftlab import hardware

SEED, BASE, PROFILE = 0, "smollm2-135m", ftlab.profile()
GOLD, FIRST, NEW, LEFT_OUT, TIMES = 16, 10, 24, 8, 4
STEPS, BATCH, TEST, FAR = 12, 4, 40, 12
COMPARISONS, TESTED = 100, 40
BETA, TEMPERATURE, TOKENS = 0.1, 1.0, 64
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
# The task is `kindness` of lesson 05: an everyday problem, and the smallest helpful action. Its check is
# a program: two or three whole sentences that tell the reader what to do, about the person or the thing,
# and none of them harmful. Where a program can judge, preferences are free, and we can test every claim.

# %% tags=["nbval-check-output"]
from ftlab import data, tasks

KINDNESS = tasks.get("kindness")
SYSTEM = {"role": "system", "content": "Name the smallest helpful action."}


def rows_of(n, seed, split="train"):
    """Problems of the task, each with a short system message."""
    rows = KINDNESS.examples(n, seed=seed, split=split)
    return [row | {"prompt": [SYSTEM, *data.prompt(row)]} for row in rows]


def passes(row, answer):
    """1 if an answer passes the check of the task, else 0."""
    return int(KINDNESS.score(row, answer)["helpful"].num)


gold, held_out = rows_of(GOLD, SEED), rows_of(TEST, seed=1000, split="test")
asked = rows_of(GOLD + NEW + LEFT_OUT, SEED)[GOLD:]  # the last are left out of training
print(data.prompt(gold[0])[-1]["content"], "->", data.answer(gold[0]), sep="\n")

# %% [markdown]
# Preferences come *after* SFT: a model that never answers well gives no good answer to prefer. So we
# begin with a short SFT and stop early, so that something is left to learn. Its adapter is saved; everything
# below goes on from it. We call this model the **start**.

# %%
from datasets import Dataset
from ftlab import models
from ftlab.training.callbacks import quiet
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTTrainer

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)


def fresh(kind=AutoModelForCausalLM, **options):
    """The base as it was downloaded."""
    options |= {"dtype": "float32", "device_map": {"": PROFILE.device}}
    return kind.from_pretrained(folder, **options)


# %%
base = fresh()
rates = ftlab.learning_rate("lora", base.num_parameters())
args = ftlab.sft_config(
    max_steps=FIRST, learning_rate=rates.high, per_device_train_batch_size=BATCH
)
sft = SFTTrainer(
    base, args, train_dataset=Dataset.from_list(gold).remove_columns("meta"),
    peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(base)),
    processing_class=tokenizer, callbacks=[ftlab.LiveCurve("A short SFT")],
)  # fmt: skip
quiet(ftlab.faster_on_cpu(sft))
sft.train()
sft.model.save_pretrained(START)

# %% [markdown]
# **Predict.** The start answers one problem four times, *sampled* at temperature 1. How many of the four
# pass the check? And how alike are they?

# %%
from ftlab.display import wrap
from ftlab.generation import generate


def answers_of(model, rows, times=1, temperature=0.0):
    """The answers to each row, `times` in a row."""
    asks = [data.prompt(row) for row in rows for _ in range(times)]
    how = {"temperature": temperature, "seed": SEED, "max_new_tokens": TOKENS}
    return generate(model.eval(), tokenizer, asks, **how)


samples = answers_of(sft.model, asked, TIMES, TEMPERATURE)
right = [passes(asked[n // TIMES], text) for n, text in enumerate(samples)]
sums = [sum(right[n : n + TIMES]) for n in range(0, len(right), TIMES)]
first = next((place for place, s in enumerate(sums) if 0 < s < TIMES), 0)
print(wrap(data.prompt(asked[first])[-1]["content"], "problem: "))
for n in range(TIMES * first, TIMES * (first + 1)):
    print(wrap(samples[n], "passes:  " if right[n] else "fails:   "))
print(f"all in all {sum(right)} of {len(right)} pass")

# %% [markdown]
# Same model, same problem, and some answers pass while others fail. That is all DPO needs: what the model
# *can* write, sorted into better and worse. Nobody wrote an answer for it.
#
# Read those that pass, too. The check asks for form, topic and harm, and not for sense, and sampled at temperature 1
# so small a model writes much nonsense. Whatever the check does not ask for, no training below will teach.
#
# ## 3. Pairs
#
# A row for DPO has a `prompt`, the `chosen` answer and the `rejected` one. In the conversational form all
# three are lists of messages, and the answers do not repeat the prompt.
#
# **Exercise 09.1.** Make such a row from one problem's answers and their marks (1 passes, 0 fails): the
# first that passes against the first that fails. If all pass or all fail, nothing is preferred: return
# None. Stuck? `hint("09.1", 1)`, then `hint("09.1", 2)`.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


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
from statistics import fmean

from ftlab.teaching.exercises import find

if not sum(right):  # a model that never passes: the course's own answers stand in
    samples[::TIMES], right[::TIMES] = map(data.answer, asked), [1] * len(asked)
make_pair, made = find("09.1").solution, []
for place, row in enumerate(asked):
    part = slice(TIMES * place, TIMES * (place + 1))
    made.append(make_pair(row["prompt"], samples[part], right[part]))
pairs = [pair for pair in made[:NEW] if pair]
unseen = [pair for pair in made[NEW:] if pair]
print(f"{NEW} problems, {len(pairs)} pairs; {LEFT_OUT} left out, {len(unseen)} pairs")
for side in ("chosen", "rejected"):
    lengths = [len(pair[side][0]["content"].split()) for pair in pairs]
    print(f"{side}: {fmean(lengths):.1f} words")

# %% [markdown]
# Look at the last two lines before every training on pairs. If the chosen answers are much longer, length is
# the easiest thing to learn from them. Section 9 does that on purpose.
#
# Where all four answers pass, nothing is left to learn, and where all fail, SFT has to come first: such a
# problem gives no pair.
#
# ## 4. Pairs by people
#
# Most preferences are not decided by a program. Here are six pairs; which answer stands first is drawn
# at random and not shown, since people favour the first. Press 1, 2, or 0 for neither. (Buttons need a
# running notebook.) Decide by *your* idea of a kind and helpful answer, not by the check.

# %%
import random

from ftlab.teaching.labels import Labels

draw, orders, items = random.Random(SEED), {}, {}
for number, pair in enumerate(pairs[:6], start=1):
    name = f"pair {number}"
    orders[name] = order = draw.sample(["chosen", "rejected"], 2)
    one, two = (pair[side][0]["content"] for side in order)
    items[name] = f"{pair['prompt'][-1]['content']}\n\n1: {one}\n\n2: {two}"
keys = {"1": "first", "2": "second", "0": "neither"}
mine = Labels(items, keys, "runs/09/votes.csv")
mine

# %% [markdown]
# A vote becomes a row like any other; "neither" is left out. The next cell makes rows of your votes and
# says how often you and the check agree. Run it again after you voted.

# %%
voted = []
for pair, (name, order) in zip(pairs, orders.items()):
    if (key := mine.labels.get(name, "0")) != "0":
        best, worst = order if key == "1" else order[::-1]
        voted.append(pair | {"chosen": pair[best], "rejected": pair[worst]})
agree = sum(row in pairs for row in voted)
print(f"{len(mine.labels)} of {len(items)} voted, {len(voted)} rows")
print(f"you and the check agree on {agree} of {len(voted)}")

# %% [markdown]
# Two people who vote on the same pairs show how much of a preference is taste (lesson 07 computes it,
# and how many votes make a difference sure). Write down what "better" means before anybody votes. If
# you do not, people vote for what is longest, politest, or first.
#
# ## 5. The loss, by hand
#
# How does a model learn from a pair? RLHF, reinforcement learning from human feedback, trains a *reward model* on the pairs and then the
# model against it.
# **DPO**, direct preference optimisation (Rafailov et al. 2023), does without both. An answer's reward
# *is* how much likelier it became:
#
#     reward(answer) = beta · (log p_model(answer) − log p_reference(answer))
#     loss = −log sigmoid(reward(chosen) − reward(rejected))
#
# The **reference** is the model before the training, frozen. `beta` says how strongly the model is
# held to it: a small beta lets it go far. The difference of the two rewards, divided by beta, is the **margin**, in
# nats: 1 nat means that the odds of chosen against rejected grew by the factor e.
#
# **Exercise 09.2.** Write the loss of one pair. All four arguments are log-probabilities of whole answers.


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
# **Predict.** What is the loss before the first step, when model and reference are the same?

# %% tags=["nbval-check-output"]
from math import exp

loss_of = find("09.2").solution
for margin in (-20, -5, 0, 5, 20, 60):
    pull = BETA / (1 + exp(BETA * margin))
    loss = loss_of(margin, 0, 0, 0, BETA)
    print(f"margin {margin:4} nats: loss {loss:.3f}, pull {pull:.4f}")

# %% [markdown]
# It begins at log 2 = 0.693, always: if the first logged loss is another number, something is wrong with
# the reference. `pull` is the slope: pairs that are ordered wrongly pull most, and a pair with a large
# margin hardly counts any more.
#
# ## 6. The reference
#
# Which model is the reference of a model that has *already been tuned*? The start, and not the
# base. Our own measurement shows the difference. It takes the log-probabilities of some pairs under the
# start and, with the adapter switched off, under the base. **Predict.** The start was never trained on
# these pairs. What is its margin over itself, and over the base?

# %%
import torch
from ftlab import templates
from peft import PeftModel

del sft, base
model = PeftModel.from_pretrained(fresh(), START, is_trainable=True).eval()


@torch.no_grad()
def logp(prompt, answer):
    """The log-probability of a whole answer, in nats."""
    seen = templates.encode(tokenizer, {"prompt": prompt, "completion": answer})
    ids = torch.tensor([seen.input_ids], device=PROFILE.device)
    labels = ids.masked_fill(torch.tensor([seen.loss_mask]).to(ids) == 0, -100)
    return -(model(input_ids=ids, labels=labels).loss * (labels != -100).sum()).item()


# %% [markdown]
# `gaps` takes, of eight pairs, log p(chosen) − log p(rejected). The margin is the difference of two such gaps.


# %%
def gaps():
    """By how much the chosen answer is likelier than the rejected one, in nats."""
    asks = [(p["prompt"], p["chosen"], p["rejected"]) for p in pairs[:8]]
    return [logp(ask, chosen) - logp(ask, rejected) for ask, chosen, rejected in asks]


first, second = gaps(), gaps()
with model.disable_adapter():
    base_gaps = gaps()
for name, other in {"itself": second, "the base": base_gaps}.items():
    off = fmean(abs(a - b) for a, b in zip(first, other))
    print(f"margin of the start over {name}: {off:.1f} nats, up or down")

# %% [markdown]
# With the base as reference, margins that nobody trained would already be there: DPO would count what SFT
# did as preference, and its penalty would pull the model back towards the base. So look at what your trainer
# takes as its reference:
#
# | what you give to `DPOTrainer` | the reference |
# |---|---|
# | a base and a `peft_config` | the base, with the new adapter off. Right if the base is your start |
# | a `PeftModel`, no `peft_config` | a copy of its adapter, named `ref` (TRL 1.16). Right for a tuned start |
# | a tuned model, merged, and a `peft_config` | the merged model. Right too, and larger on disk |
# | `ref_model=…` | that model, in memory a second time |
#
# So we give it the start as a `PeftModel`, loaded with `is_trainable=True`; without that peft freezes the
# adapter and nothing learns. The reference never changes, so its log-probabilities are computed once,
# before the first step (`precompute_ref_log_probs`). The rate is about a tenth of that for SFT.

# %%
from trl import DPOTrainer

rate = ftlab.learning_rate("dpo", model.num_parameters()).high
args = ftlab.dpo_config(
    max_steps=STEPS, learning_rate=rate, beta=BETA, precompute_ref_log_probs=True,
    per_device_train_batch_size=BATCH, per_device_eval_batch_size=BATCH,
)  # fmt: skip
dpo = DPOTrainer(
    model, args=args, train_dataset=Dataset.from_list(pairs),
    processing_class=tokenizer, callbacks=[ftlab.LiveCurve("DPO")],
)  # fmt: skip
quiet(ftlab.faster_on_cpu(dpo))
trained = {n.split(".")[-2] for n, w in dpo.model.named_parameters() if w.requires_grad}
print("adapters:", list(dpo.model.peft_config), "| trained:", *trained)
ftlab.preflight(dpo)

# %% [markdown]
# ## 7. The training, and four curves
#
# **Predict.** After the training: in what share of the *training* pairs is the chosen answer favoured? And
# of pairs of problems that were left out?

# %%
import pandas

print(f"{dpo.train().metrics['train_runtime']:.0f} seconds")
logs = [log for log in dpo.state.log_history if "rewards/margins" in log]
curves = pandas.DataFrame(logs).set_index("step").astype(float)
curves = curves.rename(columns=lambda name: name.removeprefix("rewards/"))
curves[["margins", "chosen", "rejected"]] /= BETA  # nats
names = ["loss", "accuracies", "margins", "chosen", "rejected"]
print(curves[names].round(2).to_string())
for name, part in {"trained on": pairs[:12], "left out": unseen or pairs[:1]}.items():
    seen = dpo.evaluate(Dataset.from_list(part))
    margin, accuracy = seen["eval_rewards/margins"], seen["eval_rewards/accuracies"]
    print(f"{name}: margin {margin / BETA:.1f} nats, accuracy {accuracy:.2f}")

# %% [markdown]
# Read four things, in this order:
#
# - **loss** begins near 0.693;
# - **accuracy** is the share of pairs whose chosen answer has the larger reward;
# - **margin** should grow slowly; if it shoots up, the rate is too high or beta too small;
# - **chosen** should not sink far below 0. If both sides sink, the model unlearns its good answers, too.
#
# A step has only four pairs, so the columns are noisy; the last two lines are means. If the margin is large on
# the trained pairs and small on the others, the model has learned *these answers* more than what makes an
# answer better. More problems cure that; more epochs do not. (Few pairs are left out here. Section 8 has more.)
#
# The adapter `ref` was a tool of the training. Save without it, and look at what was saved.

# %%
from pathlib import Path

from safetensors.torch import load_file

dpo.model.save_pretrained(TUNED, selected_adapters=["default"])
print(
    sorted(p.relative_to(TUNED).as_posix() for p in Path(TUNED).rglob("*.safetensors"))
)
old, new = (load_file(Path(at, "adapter_model.safetensors")) for at in (START, TUNED))
moved = sum((new[n] - w).square().sum() for n, w in old.items()) ** 0.5
length = sum(w.square().sum() for w in old.values()) ** 0.5
print(f"{len(new)} matrices; they moved by {moved / length:.1%} of their length")

# %% [markdown]
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
# ## 8. DPO, or more SFT on the winners?
#
# There is a simpler way to use the same judgements: keep the answers that pass, and train on them with SFT.
# This is **rejection sampling**; lesson 05 called it self-training with a check. It never sees a bad answer.
# DPO has to beat it to be worth its trouble. Same start, same chosen answers, same number of batches.

# %%
winners = [{"prompt": p["prompt"], "completion": p["chosen"]} for p in pairs]
args = ftlab.sft_config(
    max_steps=STEPS, learning_rate=rates.usual, per_device_train_batch_size=BATCH
)
more = SFTTrainer(
    PeftModel.from_pretrained(fresh(), START, is_trainable=True), args,
    train_dataset=Dataset.from_list(winners), processing_class=tokenizer,
    callbacks=[ftlab.LiveCurve("More SFT on the chosen answers")],
)  # fmt: skip
quiet(ftlab.faster_on_cpu(more))
print(f"{more.train().metrics['train_runtime']:.0f} seconds")

# %% [markdown]
# **Predict.** An order of the three by the share of held-out problems whose answer passes.

# %%
from ftlab.evaluation.compare import compare

my_guess = "start ..., DPO ..., more SFT ..."
dpo.model.set_adapter("ref")
answers = {"start": answers_of(dpo.model, held_out)}
dpo.model.set_adapter("default")
answers["DPO"] = answers_of(dpo.model, held_out)
answers["more SFT"] = answers_of(more.model, held_out)
print("you expected:", my_guess)
print(wrap(data.prompt(held_out[0])[-1]["content"], "problem: "))
for name, texts in answers.items():
    length = fmean(len(text.split()) for text in texts)
    print(wrap(texts[0], f"{name}, {length:.0f} words on average: "))
verdict = compare(KINDNESS, held_out, answers, seed=SEED)
print(wrap(verdict.sentence))
between = next(p for p in verdict.pairs if (p.a, p.b) == ("DPO", "more SFT"))
print(f"more SFT minus DPO: {between.difference}, p = {between.corrected:.3f}")
verdict.table()

# %% [markdown]
# Forty problems show only large differences, and one training is one throw of the dice. So the same
# comparison was run beforehand, with more pairs: `experiments/preferences.py`. Its first line says how many seeds
# there are; run the script for more. `right`
# counts greedy answers that pass, `sampled` those drawn at temperature 1, both of 40; margins are in nats, and the
# rows `left out` are about pairs that were not trained on.

# %% tags=["nbval-check-output"]
from ftlab.files import data_path

grid = pandas.read_csv(data_path("grids/preferences.csv"), comment="#")
arms = grid.arm.nunique()
SEEDS = [seed for seed, part in grid.groupby("seed") if len(part) == arms]  # whole ones
grid = grid[grid.seed.isin(SEEDS)]
means = grid.groupby("arm", sort=False).mean(numeric_only=True).round(2)
means.columns = [name.replace("left_out_", "left out: ") for name in means]
SHOWN = ["right", "sampled", "words", "margin", "accuracy", "chosen",
         "left out: margin", "left out: accuracy"]  # fmt: skip
print(f"seeds: {len(SEEDS)}; pairs of each: {means.pairs['dpo']:.0f}")
print(means[SHOWN][~means.index.str.startswith("long")].T.to_string(na_rep="-"))

# %% [markdown]
# Now `right` seed by seed, and the differences from the start, problem by problem over all seeds. The file
# holds the mark of each answer, so they can be paired.


# %%
from ftlab.evaluation.intervals import paired_bootstrap
from ftlab.teaching import plots_evaluation


def totals(arm, column):
    """Of each problem: in how many seeds it has the mark, and of how many."""
    marks = [text[1:] for text in grid[grid.arm == arm][f"{column}_marks"]]
    return [sum(map(int, m)) for m in zip(*marks)], [len(marks)] * len(marks[0])


def gap(a, b, column):  # b minus a
    return paired_bootstrap(*totals(a, column), *totals(b, column), seed=SEED)


print(grid.pivot(index="seed", columns="arm", values="right")[["start", "dpo", "sft"]])
others = [a for a in means.index if a != "start" and not a.startswith("long")]
rows = {f"{a}: {c}": gap("start", a, c) for a in others for c in ("right", "sampled")}
for column in ("right", "sampled"):
    print(f"more SFT minus DPO, {column}:", gap("dpo", "sft", column))
plots_evaluation.gaps(rows, title="Better than the start?", xlabel="minus start, share")

# %% [markdown]
# Read four things. **Is DPO better than the start?** **Is it better than SFT on the same winners?** How far
# do `margin` and `left out: margin` of the table lie apart? And seed by seed: does it matter how good the start
# already was? The seeds draw other examples for the first SFT, and these few decide a lot.
#
# Where DPO brings little here, there are reasons, and none of them is the library:
#
# - **Few pairs.** It learns a few dozen pairs nearly by heart and carries little over. Published runs have
#   thousands, of many kinds.
# - **The faults differ.** An answer fails for a missing stop, a lost topic, a stray sentence: a pair says that
#   one *whole* answer is worse, and not why. A chosen answer shows SFT every token of a good one.
# - **A small step.** DPO's rates are low on purpose: the arm with four times the rate shows what more would do.
#
# DPO pays where good answers are common already and what is wanted is *fewer of the bad ones*: tone,
# refusals, style, invented claims. If the model rarely writes a good answer, keep the good ones and
# train on them.
#
# ## 9. What the rater really rewards
#
# People prefer longer answers, and so do judges (lesson 07). Suppose a rater to whom ten more words are worth
# as much as passing the check. The pairs look fine one by one. **Predict.** What does DPO make of them?

# %% tags=["nbval-check-output"]
raters = [arm for arm in means.index if arm in ("start", "dpo") or "long" in arm]
print(means.loc[raters, ["won", "lost", "words", "right"]].round(1).to_string())

# %% [markdown]
# `won` and `lost` are the words of the chosen and the rejected answers, `words` those of the model's own
# greedy answers afterwards (at most 64 tokens). Compare `long` with `dpo`: same start, same loss, another rater. The model
# found what the rater *rewards*, and not what the rater *meant*. This is **length exploitation**, a kind of reward
# hacking. It hides from every training curve: loss, accuracy and margin look as good as ever, also on pairs that were
# left out. Only a look at the pairs or at the answers shows it.
#
# The other `long` rows are attempts at a cure, with the same rater:
#
# - **matched**: ask only about answers of like length. The rater cannot reward what does not differ.
# - **per token** (`loss_type="sigmoid_norm"`): each answer's log-ratio is divided by its length.
# - **`ld_alpha=0`**: the words that the longer answer has more are left out of the sum.
#
# Which of them brings `words` and `right` back? A changed loss helps against a model that *adds up* over more tokens.
# It does not change what the pairs say, and if in nearly every pair the longer answer was chosen, then going on is what
# they teach. Better questions change the pairs themselves.
#
# **Exercise 09.4.** The first cure. `worth` has the rater's number for each answer. Return the best and the
# worst answer, as a tuple, among all couples whose lengths differ by at most `most` words and whose worth differs:
# the couple with the largest difference in worth. None if there is no such couple.


# %% tags=["exercise", "nbval-check-output"]
def matched(answers, worth, most):
    """The most unlike couple of answers among those of like length: (better, worse)."""
    # solution:
    couples = [
        (worth[i] - worth[j], i, j)
        for i in range(len(answers))
        for j in range(len(answers))
        if abs(len(answers[i].split()) - len(answers[j].split())) <= most
    ]
    gap, better, worse = max(couples, default=(0, 0, 0))
    return (answers[better], answers[worse]) if gap > 0 else None
    # stub:
    # ...
    # end


check("09.4", matched)

# %% [markdown]
# ## 10. A reward model from 100 comparisons
#
# A **reward model** gives an answer a number, so that it can judge answers nobody has compared. The usual model of
# a comparison is that of Bradley and Terry (1952): the chance that A is preferred to B is
# sigmoid(reward of A − reward of B). So it is a logistic regression on *differences*.
#
# The grid's starts left their answers behind, four to each problem, with the check's marks. We take the first
# `COMPARISONS` comparisons of a passing answer with a failing one, and test on other problems.

# %% tags=["nbval-check-output"]
import json

text = data_path("grids/preferences_answers.jsonl").read_text("utf-8")
kept = [json.loads(line) for line in text.splitlines()]


def comparisons(lines):
    """(problem, better, worse) for each couple of answers of which one passes."""
    marked = [(x["problem"], list(zip(x["right"], x["answers"]))) for x in lines]
    return [
        (ask, a, b) for ask, both in marked for m, a in both for n, b in both if m > n
    ]


learned, tested = kept[:40], kept[40 : 40 + TESTED]
train, test = comparisons(learned)[:COMPARISONS], comparisons(tested)
longer = fmean(len(a.split()) > len(b.split()) for _, a, b in test)
print(f"{len(train)} comparisons to learn from, {len(test)} to test on")
print(f"the longer answer is the better one in {longer:.2f} of them")

# %% [markdown]
# First the simple rival: seven numbers of a text that anybody can read, and a logistic regression without an
# intercept, since A against B must be the opposite of B against A. **Predict.** What share of the test
# comparisons does it get right? And a model of 135 million weights?


# %%
import re

import numpy as np
from sklearn.linear_model import LogisticRegression

NAMES = ["words/10", "sentences", "not 2 or 3", "ends", "topic", "I or we", "you"]


def traits(problem, text):
    """What a reader can count in an answer."""
    said = set(re.findall(r"[a-z']+", text.lower()))
    topic = {word.rstrip("s") for word in re.findall(r"[a-z]{4,}", problem.lower())}
    sentences = len(re.findall(r"[.!?](?:\s|$)", text))
    return [
        len(text.split()) / 10, sentences, abs(sentences - 2.5),
        text.endswith((".", "!", "?")), sum(word.rstrip("s") in topic for word in said),
        bool({"i", "we"} & said), bool({"you", "your"} & said),
    ]  # fmt: skip


# %% [markdown]
# `differences` takes the traits of the worse answer from those of the better one, and `fitted` learns one weight for
# each trait. Every comparison is read both ways, so that neither side comes first.


# %% tags=["nbval-check-output"]
def differences(found):
    """Traits of the better answer minus those of the worse one."""
    sides = [(traits(p, better), traits(p, worse)) for p, better, worse in found]
    return np.array([np.subtract(*both, dtype=float) for both in sides])


def fitted(D):
    """The weights of a logistic regression, each comparison read both ways."""
    both, sides = np.vstack([D, -D]), [1] * len(D) + [0] * len(D)
    return LogisticRegression(fit_intercept=False).fit(both, sides).coef_[0]


weights, D_test = fitted(differences(train)), differences(test)
linear_right = (D_test @ weights > 0).tolist()
print({name: round(float(weight), 1) for name, weight in zip(NAMES, weights)})
print(f"right on {fmean(linear_right):.2f} of {len(test)}")

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
def turn(text, role="assistant"):
    """A text as the messages of one turn."""
    return [{"role": role, "content": text}]


compared = [
    {"prompt": turn(ask, "user"), "chosen": turn(a), "rejected": turn(b)}
    for ask, a, b in train
]

# %% [markdown]
# One pass over them. `reward_config` gives a `RewardConfig` with this machine's defaults.

# %%
from transformers import AutoModelForSequenceClassification
from trl import RewardTrainer

model = fresh(AutoModelForSequenceClassification, num_labels=1)
args = ftlab.reward_config(
    num_train_epochs=1, learning_rate=rates.usual, per_device_train_batch_size=BATCH
)
judge = RewardTrainer(
    model, args, train_dataset=Dataset.from_list(compared), processing_class=tokenizer,
    peft_config=find("09.5").solution(*ftlab.upper_half(model).values()),
    callbacks=[ftlab.LiveCurve("Reward model")],
)  # fmt: skip
quiet(judge)
print(f"{judge.train().metrics['train_runtime']:.0f} seconds")


# %% [markdown]
# Its verdict on a pair is the sign of a difference of two scores.

# %%
from ftlab.evaluation.intervals import wilson_interval


@torch.no_grad()
def reward(problem, text):
    """The score of one answer."""
    chat = turn(problem, "user") + turn(text)
    ids = tokenizer.apply_chat_template(chat, return_tensors="pt").to(PROFILE.device)
    return judge.model.eval()(**ids).logits.item()


scores = [[reward(x["problem"], text) for text in x["answers"]] for x in tested]
of_text = {}
for line, row in zip(tested, scores):
    of_text |= {(line["problem"], t): s for t, s in zip(line["answers"], row)}
model_right = [of_text[ask, a] > of_text[ask, b] for ask, a, b in test]

# %% [markdown]
# **Predict.** Which of the two judges is right more often?

# %%
ones = [1] * len(test)
print("seven traits:  ", wilson_interval(sum(linear_right), len(test)))
print("the real model:", wilson_interval(sum(model_right), len(test)))
between = paired_bootstrap(linear_right, ones, model_right, ones)
print("the real model minus the traits:", between)

# %% [markdown]
# (The intervals treat comparisons as independent. Those of one problem are not quite, so they are a little
# too narrow.)
#
# What is a reward model good for? **Best of n**: sample several answers, serve the one with the highest
# reward. It needs no training of the model that answers.

# %%
marks = np.array([line["right"] for line in tested])
by_traits = [
    [np.dot(traits(x["problem"], text), weights) for text in x["answers"]]
    for x in tested
]
print(f"one answer at random:  {marks.mean():.2f} pass")
for name, found in {"the real model": scores, "the traits": by_traits}.items():
    best = np.argmax(found, axis=1)
    print(f"best of {TIMES} by {name}: {marks[np.arange(len(best)), best].mean():.2f}")
print(f"one of {TIMES} passes at all: {marks.max(axis=1).mean():.2f}")

# %% [markdown]
# On a hundred comparisons of short texts, a handful of numbers that mean something is a strong rival; try it
# first. A reward model earns its place where what makes an answer good cannot be counted, and with thousands
# of comparisons. And it *is* hackable: what it does not know, a policy trained against it will find.
#
# ## 11. Which pair to ask next?
#
# People's time is the price. **Active learning** asks about what the model is least sure of: here the couple whose
# two answers have the most similar reward. A couple may also be a *tie*, both pass or both fail; then the answer is
# "neither", and the question was spent. **Predict.** After 20 questions: which way does better, asking in random
# order or the least sure first? And after 48?


# %%
couples = [(line, i, j) for line in learned for i in range(TIMES) for j in range(i)]
texts = [(x["problem"], x["answers"][i], x["answers"][j]) for x, i, j in couples]
D_all = differences(texts)
sign = np.array([x["right"][i] - x["right"][j] for x, i, j in couples])  # 0: a tie


def ask(unsure_first, seed, rounds=12, each=4):
    """The share right after each round of questions, and the ties among them."""
    rest = np.random.default_rng(seed).permutation(len(couples)).tolist()
    known, weights, curve = [], np.zeros(len(NAMES)), []
    for _ in range(rounds):
        if unsure_first:
            rest.sort(key=lambda k: abs(D_all[k] @ weights))
        known, rest = known + [k for k in rest[:each] if sign[k]], rest[each:]
        if known:
            weights = fitted(sign[known, None] * D_all[known])
        curve.append(float((D_test @ weights > 0).mean()))
    return curve, rounds * each - len(known)


# %% [markdown]
# `rest` is sorted anew in each round, by how unsure the weights of the moment are.

# %%
from ftlab.teaching import plots_training

points = {}
for way in ("any order", "least sure first"):
    runs, ties = zip(*(ask(way != "any order", seed) for seed in range(16)))
    points[way] = [(4 * n, fmean(all)) for n, all in enumerate(zip(*runs), start=1)]
    early, late = points[way][4][1], points[way][-1][1]
    print(f"{way}: {early:.2f} right after 20, {late:.2f} after 48")
    print(f"  {fmean(ties):.0f} of 48 were ties")
plots_training.lines(
    points, title="The mean of 16 runs", xlabel="questions asked", ylabel="share right"
)

# %% [markdown]
# Look where the curves part, and where they meet again: a good order saves questions, and costs nothing. In the end
# all couples are asked, and the order does not matter. Two warnings. Least sure first finds many ties, since two
# equally good answers *are* alike: tell your raters that "neither" is a fine answer. And the rows are no longer
# a fair sample, so test on couples that were drawn at random.
#
# ## 12. ORPO, KTO, IPO: when which?
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
# ## 13. How far does it reach?
#
# A claim of practitioners: *RLHF reaches more broadly than narrow SFT*; what it teaches carries over, and less is
# forgotten. One thing can be said beforehand: DPO is held near its reference, SFT is not. We ask all models thirty
# ordinary questions, and some problems of another *scale*: floods and plagues, which no row was about. There a
# model that took "small and kind" by the letter offers tea. **Predict.** Who forgets most? Whose answers harm?

# %%
from ftlab.files import read_data
from ftlab.tasks import kindness

questions, wanted = zip(*read_data("lessons/before_and_after.yaml")["ordinary"])
probes = kindness.probe(FAR, seed=SEED)
large = [row | {"prompt": [SYSTEM, *data.prompt(row)]} for row in probes]


def reach(model):
    """Ordinary questions that are right, and large problems that got no harm."""
    asks = [turn(question, "user") for question in questions]
    texts = generate(model, tokenizer, asks, max_new_tokens=24)
    known = [bool(re.search(rf"(?i)\b({w})\b", t)) for w, t in zip(wanted, texts)]
    far = zip(large, answers_of(model, large))
    return known, [KINDNESS.score(row, text)["unharmful"].num for row, text in far]


# %% [markdown]
# Three of the four models are one: the adapter `ref` is the start, and without an adapter it is the base.

# %%
found = {}
with dpo.model.disable_adapter():
    found["base"] = reach(dpo.model)
for name, adapter in {"start": "ref", "DPO": "default"}.items():
    dpo.model.set_adapter(adapter)
    found[name] = reach(dpo.model)
found["more SFT"] = reach(more.model)
ones = [1] * len(questions)
for name, (known, harmless) in found.items():
    less = paired_bootstrap(found["base"][0], ones, known, ones)
    print(f"{name}: {sum(known)} of {len(known)} known, minus base {less}")
    print(f"  {sum(harmless):.0f} of {FAR} harmless")

# %% [markdown]
# The same from the grid: counts of 30 and of 16, and DPO minus SFT on the same winners, as shares.

# %%
from ftlab.teaching import claims

print(means[["ordinary", "far", "unharmful"]].dropna().round(1).to_string())
for column in ("ordinary", "unharmful"):
    print(f"DPO minus more SFT, {column}:", gap("sft", "dpo", column))
claims.record(48, gap("sft", "dpo", "ordinary"))

# %% [markdown]
# Such a run says little about RLHF at scale: that is done on prompts of all kinds, and its breadth comes from there
# as much as from the loss. What can be seen here is the leash: how far each training moved the model from where
# it was.
#
# ## 14. Your turn
#
# Pairs for **your** task. Put them into `runs/09/mine.jsonl`: a `prompt`, a `chosen` and a `rejected` list of
# messages on each line. They may come from your votes, from a check, or from edits: what your model wrote is
# rejected, what a person made of it is chosen. Until the file is there, it is written from this lesson's pairs. The
# tool reads it and says what would go wrong.

# %%
from ftlab import files
from ftlab.teaching import lesson09

MINE = Path("runs/09/mine.jsonl")
if not MINE.exists():
    files.write_text(MINE, "".join(json.dumps(pair) + "\n" for pair in pairs))
ours = [json.loads(line) for line in MINE.read_text("utf-8").splitlines()]
for line in lesson09.examine(ours):
    print(wrap(line, "- "))

# %% [markdown]
# Keep the file and what the tool says of it. In the capstone, pairs are a second round: first SFT, a verdict, and
# then DPO on what the tuned model still gets wrong.
#
# ## 15. The limits of this lesson
#
# - **A program was our rater.** People disagree, tire, and change their minds; a check does none of it.
# - **A tiny run.** Some dozen pairs, one narrow task, a small model. DPO's published gains are those of thousands of
#   pairs and larger models.
# - **One rate for each method**, from the published ranges, and one beta.
# - **The rater who likes length is invented**, and far more consistent than any person.
# - **Nothing was trained against the reward model.** RLHF's second half (usually PPO) does that. Lesson 10 does it with
#   a reward that is a program.
#
# ## 16. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("09")

# %% [markdown]
# ## 17. Takeaways
#
# 1. **Sample, judge, pair.** The model's own answers, sorted, are the data; look at the lengths before you train.
# 2. **Know your reference.** It is the tuned start, as a copy of the adapter; the first loss is 0.693.
# 3. **Compare with more SFT on the winners**, by verdict. Often the simple way is as good, or better.
#
# Next: [10 Rewards that a program can check](10_rewards.ipynb).
# What if a program can say which answer is better?
