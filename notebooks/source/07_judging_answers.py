# %% [markdown]
# # 07 Judging answers
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/07_judging_answers.ipynb)
#
# **What you will build**: a verdict that you would sign. You tune a model, compare it with its base
# on held-out inputs, and say by how much it is better, how sure that is, and what got worse. You
# let a language model judge answers, and measure how far it can be trusted. You run what can be run.
#
# **Prerequisites**: lesson 00. A share and a mean are all the statistics that you need.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour and a half | five to seven minutes |
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
# `TRAIN` rows to tune on, `TEST` held-out sentences, `SHOTS` solved examples in a prompt. `MODULES`
# limits how many test modules of each sort are executed, `JUDGED` how many prompts of each sort the
# small model judges.

# %%
import random
import re

import datasets
import ftlab
import transformers
from ftlab import hardware

SEED = 0
BASE = "smollm2-135m"
PROFILE = ftlab.profile()
TRAIN, TEST, EPOCHS, SHOTS = 50, 40, 2, 4
MODULES, JUDGED = 40, 16

hardware.seed_everything(SEED)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()

# %% [markdown]
# ## 2. Something to judge
#
# The task is that of lesson 00: capitals and punctuation back into English sentences. Four systems
# answer the same held-out sentences: the base, the base with solved examples in its prompt, a tuned
# model, and the tuned model with the examples. The examples come from the training rows; from the
# held-out ones they would give answers away. The cell asks the first two systems.

# %%
from ftlab import data, models, tasks
from ftlab.generation import generate
from ftlab.tasks import punctuation
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(PROFILE.device)
train_rows = punctuation.rows(TRAIN, seed=SEED)
held_out = punctuation.rows(TEST, seed=SEED, split="test")
asked = [row["prompt"] for row in held_out]
solved = [t for r in train_rows[:SHOTS] for t in (r["prompt"][1], *r["completion"])]
few_shot = [[prompt[0], *solved, prompt[1]] for prompt in asked]
answers = {
    "base": generate(model, tokenizer, asked, max_new_tokens=60),
    "base + examples": generate(model, tokenizer, few_shot, max_new_tokens=60),
}

# %% [markdown]
# Now the training, and the answers of the other two systems. It saves three checkpoints on its way,
# which section 9 needs.

# %%
from datasets import Dataset
from peft import LoraConfig
from trl import SFTTrainer

args = ftlab.sft_config(
    num_train_epochs=EPOCHS, per_device_train_batch_size=4, seed=SEED,
    learning_rate=ftlab.learning_rate("lora", model.num_parameters()).high,
    output_dir="runs/07/run", save_strategy="steps", save_steps=0.34,
)  # fmt: skip
trainer = SFTTrainer(
    model, args=args, processing_class=tokenizer, callbacks=[ftlab.LiveCurve()],
    train_dataset=Dataset.from_list(train_rows).remove_columns("meta"),
    peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(model)),
)  # fmt: skip
ftlab.preflight(ftlab.faster_on_cpu(trainer))
print(f"{trainer.train().metrics['train_runtime']:.0f} seconds")
tuned = trainer.model
answers["tuned"] = generate(tuned, tokenizer, asked, max_new_tokens=60)
answers["tuned + examples"] = generate(tuned, tokenizer, few_shot, max_new_tokens=60)

# %% [markdown]
# A first look. The score is F1 of marks and capitals, from 0 to 1. Here are three sentences on which
# the tuned model gains most over the base with examples, and three on which it gains least.

# %%
from ftlab.display import wrap

scores = {
    name: [punctuation.score(row, text)["f1"] for row, text in zip(held_out, texts)]
    for name, texts in answers.items()
}
sides = ("base + examples", "tuned")
gains = [b.value - a.value for a, b in zip(*(scores[name] for name in sides))]
order = sorted(range(TEST), key=lambda i: gains[i])
for title, three in (("BEST", order[-3:]), ("WORST", order[:3])):
    print(f"THE {title} THREE")
    for i in three:
        print(wrap(data.answer(held_out[i]), "wanted:            "))
        print("\n".join(wrap(answers[name][i], f"  {name:17}") for name in sides))

# %% [markdown]
# With the first three you could praise the model, with the last three reject it. Both are
# **anecdotes**: examples that somebody chose. A verdict needs all the answers, a metric, and an
# interval.
#
# ## 3. Metrics, and where each of them misleads
#
# A **metric** turns an answer into a number. Each has a place where it misleads. First two small
# made-up cases. *Accuracy*: of a hundred tickets five are urgent, and they come last. One program
# never says urgent; the other finds most of them, with some false alarms. *Perplexity* says between
# how many tokens a model hesitates, on average. Here are two models of one text. For both, a token
# is as probable as it is frequent in the text; for one the tokens are letters, for the other words.
#
# **Predict.** Which program has the higher accuracy? Which model has the lower perplexity?

# %% tags=["nbval-check-output"]
import math
from collections import Counter

from ftlab.evaluation.forgetting import general_text
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

urgent = [0] * 95 + [1] * 5
programs = {"never urgent": [0] * 100, "finds most": [1] * 10 + [0] * 86 + [1] * 4}
for name, said in programs.items():
    print(
        f"{name:12} accuracy {accuracy_score(urgent, said):.2f}, balanced "
        f"{balanced_accuracy_score(urgent, said):.2f}, F1 {f1_score(urgent, said):.2f}"
    )
passage = general_text()[0][1]
for name, tokens in {"letters": list(passage), "words": passage.split()}.items():
    shares = [count / len(tokens) for count in Counter(tokens).values()]
    nats = -sum(share * math.log(share) for share in shares)  # for each token
    bits = nats / math.log(2) * len(tokens) / len(passage)
    print(f"{name:12} perplexity {math.exp(nats):.0f}, {bits:.2f} bits per character")

# %% [markdown]
# Accuracy prefers the program that never says urgent, since most tickets are ordinary. The
# **balanced accuracy** is the mean of the accuracies on each label. Perplexity is lowest for the
# letters, and bits per character for the words: a letter is easier to guess, but a text has more
# letters than words. So never compare perplexities across tokenizers.
#
# Third, **BLEU**: how many runs of one to four words an answer shares with a reference. *It is really
# good for code*, practitioners say. The code here is unit tests **written by models**, for functions
# of which the course has reference tests:
#
# - `tuned`: SmolLM2, tuned beforehand on sixty such modules (`experiments/answers_to_judge.py`);
# - `large model`: recorded replies of a large language model (Claude), asked in words
#   (`data/recorded`), for other functions than the rest;
# - `spoilt`: the reference with one expected value changed; `right`: the reference itself.
#
# Each module runs in the sandbox of the course against the function that it tests. The first cell
# below collects the modules, and the second runs them. Look at its table.
#
# **Predict.** Order the four by BLEU, and by the share of modules that pass.

# %%
import json
from concurrent.futures import ThreadPoolExecutor

from ftlab.evaluation import mutation
from ftlab.files import data_path, read_text
from ftlab.recorded import read_recorded
from ftlab.tasks import unit_tests


def lines(name):
    """The rows of a JSONL file of the course."""
    return [json.loads(line) for line in read_text(data_path(name)).splitlines()]


judged = lines("lessons/judged.jsonl")
tested = {row["function"]: row["reference"] for row in lines("lessons/tested.jsonl")}
runs = [row for row in judged if row["kind"] == "runs"][:MODULES]
modules = [(row["systems"][0], row["input"], row["answers"][0]) for row in runs]
for row in read_recorded(data_path("recorded/teacher.jsonl")):
    head, _, code = row["messages"][-1]["content"].partition("\n\ndef ")
    if code and len(modules) < 2 * MODULES:
        modules.append(("large model", f"def {code}", row["reply"]))


# %%
import pandas
from sacrebleu import sentence_bleu


def judge_module(module):
    """Run a module against its function; compare its words with the reference."""
    who, function, text = module
    code, reference = unit_tests.parse(text), tested[function]
    graded = mutation.grade(code, function, reference=reference)
    bleu = sentence_bleu(code, [reference]).score
    marks = {"BLEU": bleu, "house style": graded.style, "passes": graded.passes}
    return {"who": who, "n": 1, **marks, "graded": graded}


with ThreadPoolExecutor(2) as pool:
    frame = pandas.DataFrame(pool.map(judge_module, modules))
print(frame.groupby("who").agg({
    "n": "sum", "BLEU": "mean", "house style": "mean", "passes": "mean"
}).round(2))  # fmt: skip

# %% [markdown]
# Read the rows of `tuned` and `large model` against each other: which one does BLEU prefer, and
# which one has tests that pass? Then look at `spoilt`: a changed value is one word of many, so BLEU
# hardly changes, while most of these modules fail.
#
# The column in the middle misleads in another way. The large model was told the house style in a
# sentence. The checker also wants what this sentence did not say: one wording of the docstring, a
# class name that begins with `Test`, and certain last lines. A score of "all rules kept" hides
# which rule failed.
#
# Two claims can be tested on these modules. *Claim 40: BLEU suits code.* Its rule asks how often
# BLEU is higher for a module that passes than for one that fails, and takes off the half that
# chance gives (this is the area under the ROC curve, **AUC**, minus 0.5). *Claim 12: a small tuned
# model can match a large one on a narrow task.* Its rule compares the shares of modules that pass.
# `told_apart` computes the first; the cell after it records both.

# %%
import numpy
from ftlab.evaluation.intervals import UNKNOWN, Interval, wilson_interval
from ftlab.teaching import claims
from sklearn.metrics import roc_auc_score


def told_apart(score, right):
    """How often a right answer scores above a wrong one, less the half of chance."""
    draw, values, drawn = random.Random(SEED), [], range(len(right))
    for _ in range(501):  # first as they are, then drawn anew
        marks = [bool(right[i]) for i in drawn]
        if len(set(marks)) == 2:
            values.append(roc_auc_score(marks, [score[i] for i in drawn]) - 0.5)
        drawn = draw.choices(range(len(right)), k=len(right))
    ends = numpy.quantile(values, [0.025, 0.975]) if values else None
    return Interval(values[0], *ends) if values else UNKNOWN


# %%
written = frame[frame.who != "right"].reset_index()
claims.record(40, told_apart(written.BLEU, written.passes))
passed = [frame.passes[frame.who == who] for who in ("tuned", "large model")]
a, b = (wilson_interval(marks.sum(), len(marks)) for marks in passed)
below = math.hypot(b.value - b.low, a.high - a.value)  # Newcombe 1998: other functions,
above = math.hypot(b.high - b.value, a.value - a.low)  # so that nothing can be paired
ahead = b.value - a.value
claims.record(12, Interval(ahead, ahead - below, ahead + above))

# %% [markdown]
# Each claim is decided by a rule in `data/claims.yaml`. On another narrow task the small model may
# match the large one: sorting messages, for example, needs no computed values.
#
# ## 4. How sure? The bootstrap by hand
#
# Twenty answers, fourteen right. Another twenty questions would have given another share, but
# which? We have no other questions. The **bootstrap** draws twenty *from these*, with repetition,
# as if they were all the questions there are. It does so two thousand times, and the middle 95 % of
# the shares is the interval.
#
# **Exercise 07.1.** Return the two ends of the middle 95 % of a list of draws.


# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def middle(draws):
    """[low, high]: 2.5 % of the draws lie below low, and 2.5 % above high."""
    # solution:
    ordered = sorted(draws)
    k = round(0.025 * len(ordered))
    return [ordered[k], ordered[-1 - k]]
    # stub:
    # ...
    # end


check("07.1", middle)

# %% [markdown]
# The next cell computes this for four cases, with another interval beside it. **Predict.** What
# does the bootstrap say of 3 right answers of 3?

# %% tags=["nbval-check-output"]
from ftlab.teaching import plots_evaluation


def by_hand(marks):
    """The share right of each draw, sorted, and the ends of their middle."""
    draw, n = random.Random(SEED), len(marks)
    shares = sorted(sum(draw.choices(marks, k=n)) / n for _ in range(2000))
    return shares, shares[50], shares[-51]


shares, low, high = by_hand([1] * 14 + [0] * 6)
for right, n in ((14, 20), (0, 10), (3, 3), (100, 100)):
    _, least, most = by_hand([1] * right + [0] * (n - right))
    print(f"{right} of {n}: bootstrap {least:.2f} to {most:.2f}, "
          f"Wilson {wilson_interval(right, n)}")  # fmt: skip
plots_evaluation.draws(shares, low, high, title="Drawn anew", xlabel="share right")

# %% [markdown]
# Where all answers are alike, drawing anew changes nothing, and the bootstrap is sure of
# everything: ± 0 after three answers. **Wilson's interval** has a formula for shares and keeps its
# width. The package uses it where all answers are alike, and a formula of the same kind (Tango's)
# for differences of pairs.
#
# Does a 95 % interval hold the truth 95 times in a hundred? We invent a case in which the truth is
# known: a model that is right seven times in ten. Ask it sixty questions, compute the interval, and
# see whether the truth lies inside. Do the same two hundred times. **Predict.** For what share of
# them does each of the two intervals hold the truth?

# %% tags=["nbval-check-output"]
from ftlab.evaluation.intervals import bootstrap, paired_bootstrap

inside = {"bootstrap": 0, "Wilson": 0}
for world in range(200):
    draw = random.Random(world)
    right = [draw.random() < 0.7 for _ in range(60)]
    found = {
        "bootstrap": bootstrap(right, [1] * 60, samples=500, seed=world),
        "Wilson": wilson_interval(sum(right), 60),
    }
    for name, interval in found.items():
        inside[name] += interval.low <= 0.7 <= interval.high
for name, count in inside.items():
    print(f"{name}: the truth was inside in {count / 200:.0%} of the worlds")

# %% [markdown]
# ### Two models, the same sentences
#
# Two models are compared by a *difference*. In each draw both can be read on the same drawn
# sentences, which is the **paired** bootstrap, or each on sentences of its own. F1 is a ratio of
# sums, so a draw adds up the numerators and the denominators, and divides at the end.
#
# **Predict.** Which interval of "tuned minus base with examples" is narrower, paired or not?


# %%
def f1_of(name, drawn):
    """F1 of a system on the drawn sentences."""
    parts = [scores[name][i] for i in drawn]
    return sum(part.num for part in parts) / sum(part.den for part in parts)


draw, paired, apart = random.Random(SEED), [], []
for _ in range(2000):
    one, other = (draw.choices(range(TEST), k=TEST) for _ in range(2))
    paired.append(f1_of("tuned", one) - f1_of("base + examples", one))
    apart.append(f1_of("tuned", one) - f1_of("base + examples", other))
gap = f1_of("tuned", range(TEST)) - f1_of("base + examples", range(TEST))
rows = {name: (gap, *(sorted(draws)[k] for k in (50, -51)))
        for name, draws in {"paired": paired, "not paired": apart}.items()}  # fmt: skip
plots_evaluation.gaps(rows, xlabel="tuned minus base + examples, F1", title="By hand")

# %% [markdown]
# A sentence that is easy is easy for both models. On one and the same draw it lifts both, and their
# difference moves less. Where the paired interval is the narrower one, this is the reason.
#
# ## 5. The verdict, line by line
#
# `compare` computes paired intervals for every metric and every two systems, and puts a sentence on
# top. It takes texts, so that it does not matter where they come from: a model, an adapter, a
# prompt, a classifier, an endpoint.
#
# **Predict.** F1 of each of the four systems. And do the examples help the *tuned* model?

# %%
from ftlab.evaluation.compare import compare

my_guess = "base ..., with examples ..., tuned ..., tuned with examples ..."
verdict = compare(tasks.get("punctuation"), held_out, answers, seed=SEED)
print("you expected:", my_guess)
print(wrap(verdict.sentence))
verdict.table()

# %% [markdown]
# The sentence is made by rule from the figures, and says "better" only where that is shown.
#
# - **f1** with its interval: each system by itself.
# - **less base**: the difference, paired. It counts as shown where the interval leaves out zero *and*
#   p is below 0.05.
# - **win/tie/loss**: on how many sentences it did better, as well, worse.
# - **p**: how often chance alone makes a difference as large as this one. It is corrected for the
#   number of comparisons; the end of the next cell shows why.
#
# Look at the tuned model with examples in its prompt: if the sentence shows no difference to the
# tuned model alone, leave the examples out. They cost tokens in every prompt.
#
# "No difference shown" is a result as well. It does not say that two systems are equal: a
# difference, if there is one, is too small for so many sentences. How many would it take? And how
# many *votes*, if people choose between two answers? The next cell prints both. Its last line
# compares twenty invented prompts that change nothing.

# %%
from ftlab.evaluation.pairs import holm, sign_test
from ftlab.evaluation.power import votes_needed

pair = next(pair for pair in verdict.pairs if (pair.a, pair.b) == sides)
print(f"{sides[1]} minus {sides[0]}: {pair.difference}, p = {pair.corrected:.4f}")
print(f"{TEST} sentences show differences from {pair.smallest or 0:.2f} on")
for size, n in pair.needed.items():
    print(f"  a difference of {size} needs {n:,} sentences")
for share in (0.9, 0.7, 0.6, 0.55):
    print(f"  a preference of {share:.0%} needs {votes_needed(share):,} votes")
draw = random.Random(1)  # twenty prompts that change nothing, sixty answers that differ
wins = [sum(draw.random() < 0.5 for _ in range(60)) for _ in range(20)]
ps = [sign_test(won, 60 - won) for won in wins]
print(f"of 20 useless prompts, {sum(p < 0.05 for p in ps)} have p < 0.05,",
      f"{sum(p < 0.05 for p in holm(ps))} after the correction")  # fmt: skip
claims.record(42, pair.difference)

# %% [markdown]
# Half the difference takes four times the sentences. And with twenty useless prompts there are
# twenty chances to be lucky: **Holm's correction** multiplies the smallest p by the number of
# comparisons, the next one by one less, and so on.
#
# The rule of claim 42 compares the tuned model with the base that has examples in its prompt.
# Against the base alone, see the table.
#
# Compare the interval of this pair with the paired one of section 4. Both come from random draws
# and may differ in the last digit; where an interval ends near zero, that digit decides on which
# side. This is one more reason to ask for p as well, and to call a result at the edge what it is:
# not shown.
#
# ### Seeds and examples: two sources of doubt
#
# The interval speaks of *other sentences*. It knows nothing of *another training*: a new seed gives
# the adapter other initial weights and the rows another order. `data/grids/adapters.csv` has runs
# that differ in nothing but the seed, on fifty held-out sentences (lesson 04).
#
# **Predict.** Will two seeds of one recipe be told apart?

# %% tags=["nbval-check-output"]
grid = pandas.read_csv(data_path("grids/adapters.csv"), comment="#")
grid = grid[grid.task == "punctuation"]


def items(run):
    """Numerators and denominators of F1, sentence by sentence."""
    pairs = [pair.split("/") for pair in run.f1_items.split()]
    return [[float(pair[i]) for pair in pairs] for i in (0, 1)]


rows, widths = {}, []
for name, twins in grid.groupby("name"):
    if twins.seed.nunique() > 1:
        one, other = [items(run) for run in twins.sort_values("seed").itertuples()][:2]
        rows[name] = paired_bootstrap(*one, *other)[:3]
        found = bootstrap(*one)
        widths.append((found.high - found.low) / 4)
seeds = (sum(row[0] ** 2 for row in rows.values()) / 2 / len(rows)) ** 0.5
print(f"standard deviation over seeds {seeds:.3f}, "
      f"over sentences {sum(widths) / len(widths):.3f}")  # fmt: skip
plots_evaluation.gaps(rows, xlabel="second seed minus first, F1", title="Same recipe")

# %% [markdown]
# Where zero is outside, the same recipe was "shown" to be better than itself. The two doubts add
# up, and more sentences reduce only one of them. If a decision depends on a few hundredths, train
# each side with several seeds. The verdict above has one seed.
#
# ## 6. A language model as judge
#
# Most answers have no reference and cannot be executed. So practitioners ask *a second model*: 1 or
# 0, or which of two answers is better. This is **LLM-as-a-judge**. Like any measuring instrument, a
# judge has to be tested before it is used.
#
# Two judges stand behind one endpoint on this machine. `recorded` replays the verdicts of a large
# language model (Claude), written once and kept as they came (`data/recorded/README.md` says how).
# No person wrote any of them. The other is SmolLM2, live. Put in the URL and the key of any
# endpoint of this protocol, and its model's name, to have your own judge.

# %% tags=["nbval-check-output"]
from ftlab.recorded import serve
from openai import OpenAI

base = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(PROFILE.device)
endpoint = serve(base, tokenizer, name=BASE)
client = OpenAI(base_url=endpoint.url, api_key="not needed here")


def reply(prompt, model="recorded", longest=100):
    """A judge's reply, as it came."""
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], temperature=0,
        max_tokens=longest,
    )  # fmt: skip
    return answer.choices[0].message.content


print(runs[0]["prompts"][0], "\n---")
print(wrap(reply(runs[0]["prompts"][0])))

# %% [markdown]
# The prompt asks for the verdict on the first line, before the reason. A judge is only as good as
# its parser: a reply that cannot be read is *no verdict*. If you count it as 0, a judge that does
# not keep the format looks strict.
#
# **Exercise 07.2.** Ask a judge through the client whether a sentence is correct, at temperature 0,
# and read the first line of its reply: return 1, 0, or None for anything else.


# %% tags=["exercise", "nbval-check-output"]
def judge(client, model, text):
    """The verdict of `model` on a text: 1, 0, or None where it gave none."""
    # solution:
    question = "Is this sentence correct? Answer with 1 or 0 on the first line."
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": f"{question}\n\n{text}"}],
        temperature=0,
    )
    line = (answer.choices[0].message.content or "").strip().split("\n")[0].strip()
    return int(line) if line in ("0", "1") else None
    # stub:
    # ...
    # end


check("07.2", judge)

# %% [markdown]
# `judge_each` of the package does this for many prompts, several at a time. Two questions to the large
# model: will all tests of this module pass (the truth is the sandbox's), and is this a helpful answer
# to an everyday problem (the "truth" is the word rules of the task `kindness`)?
#
# Agreement alone misleads, as accuracy does. **Cohen's kappa** takes off what chance would give: 1
# is full agreement, 0 is chance. **Predict.** Kappa for each of the two.

# %% tags=["nbval-check-output"]
from ftlab.evaluation.judge import first_line, judge_each, judge_pairs, kappa

said = {}
for kind in ("runs", "helpful"):
    rows = [row for row in judged if row["kind"] == kind]
    truth = [row["truth"] for row in rows]
    said[kind] = judge_each(client, "recorded", [row["prompts"][0] for row in rows])
    alike = sum(s == t for s, t in zip(said[kind], truth))
    print(f"{kind}: {alike} of {len(rows)} alike, kappa {kappa(truth, said[kind])}; "
          f"1 said {said[kind].count(1)} times, by the rules {sum(truth)}")  # fmt: skip
    if kind == "runs":
        claims.record(41, kappa(truth, said[kind]))
unlike = [row for row, s in zip(rows, said["helpful"]) if row["truth"] and s == 0]
for row in unlike[:4]:
    print(wrap(row["input"], "asked:  "))
    print(wrap(row["answers"][0], "answer: "))
    print(wrap(reply(row["prompts"][0]).partition("\n")[2], "judge:  "))

# %% [markdown]
# Look at the line `runs`: if kappa is high, this judge can be trusted on such modules, as far as
# forty show. Note how wide the interval is even at full agreement.
#
# On helpfulness, which of the two is right? Read the answers: the rules look for a small action and
# for words of the problem, and an answer can have both and make no sense. Then it is the *metric*
# that misleads, and the judge shows it. Look also at how often the judge said 1. A rater that
# always gives the same verdict has a kappa of zero, whatever the other says. And if no answer here
# was called good, these forty do not show whether the judge would recognise a good one.
#
# Now the small model, with the same prompts. **Predict.** In how many of its replies is the first line
# a 1 or a 0?

# %%
part = [row["prompts"][0] for row in judged if row["kind"] == "runs"][:JUDGED]
part += [row["prompts"][0] for row in judged if row["kind"] == "helpful"][:JUDGED]
for prompt in part[:1] + part[-1:]:
    print(repr(reply(prompt, BASE, longest=12)))
kept = {}
for name in ("recorded", BASE):
    verdicts = judge_each(client, name, part, max_tokens=12)
    kept[name] = [verdict is not None for verdict in verdicts]
    print(f"{name}: format kept in {sum(kept[name])} of {len(part)}, "
          f"{wilson_interval(sum(kept[name]), len(part))}")  # fmt: skip
every = [reply(prompt) for row in judged for prompt in row["prompts"]]
kept_all = sum(first_line(text, tuple("01AB")) is not None for text in every)
print(f"recorded, all its prompts: {kept_all}, {wilson_interval(kept_all, len(every))}")
one = [1] * len(part)
claims.record(45, paired_bootstrap(kept[BASE], one, kept["recorded"], one))

# %% [markdown]
# A prompt that was written for one model was **moved to another**. Compare the two counts: did its
# format survive? Practitioners ask for a regression test, *a hundred of a hundred in format*,
# before a model is exchanged. The last line does so for all prompts of this lesson; its interval
# says how many failures are still possible after a clean result.
#
# Could the small model know the answer and only miss the format? We can force a verdict: compare
# the probability of the token "1" with that of "0" as the first token of its reply. `leaning` does
# this.

# %%
import torch
from ftlab import templates


def leaning(model, prompts, low="0", high="1"):
    """How much likelier `high` is than `low` as the first token of a reply, in nats."""
    words = tokenizer([low, high], add_special_tokens=False)["input_ids"]
    found = []
    for prompt in prompts:
        ids = templates.prompt_ids(tokenizer, [{"role": "user", "content": prompt}])
        with torch.inference_mode():
            tokens = torch.tensor([ids], device=model.device)
            logits = model(tokens, logits_to_keep=1).logits[0, -1].float()
        found.append((logits[words[1][-1]] - logits[words[0][-1]]).item())
    return found


# %%
lean = leaning(base, [row["prompts"][0] for row in runs])
truth, forced = [row["truth"] for row in runs], [int(value > 0) for value in lean]
print(f"SmolLM2, forced: 1 for {sum(forced)} of {len(runs)} modules, {sum(truth)} pass")
agreed = sum(f == t for f, t in zip(forced, truth))
print(f"as the sandbox says: {wilson_interval(agreed, len(runs))}")
print(
    f"kappa {kappa(truth, forced)}; told apart beyond chance {told_apart(lean, truth)}"
)

# %% [markdown]
# A judge that always says 1 agrees with the truth wherever the truth is 1, and knows nothing. Kappa
# is then zero, or cannot be computed at all ("–").
#
# ### Pairs, and what a judge likes
#
# A judge can also be asked "Which is better, A or B?". But it may like the first place (**position
# bias**), or the longer answer (**length bias**). So every pair is asked in both orders.
#
# **Exercise 07.3.** `first` is the letter when A is the base and B the tuned model, `second` the letter
# with the places swapped. Return `"base"`, `"tuned"`, `"tie"` where the place decided, or None where a
# letter is missing.


# %% tags=["exercise", "nbval-check-output"]
def preferred(first, second):
    """Whom a judge prefers, asked in both orders."""
    # solution:
    if first is None or second is None:
        return None
    if first == second:
        return "tie"
    return "base" if first == "A" else "tuned"
    # stub:
    # ...
    # end


check("07.3", preferred)

# %% [markdown]
# Three tests of the large model: base against tuned on thirty problems; a plain answer against the same
# with empty sentences around it; and an answer against *itself*, where only the place can decide.
# Then the small model's favourite place, forced as above.
#
# **Predict.** How often is the padded answer preferred? And which place does SmolLM2 like?

# %%
prompts = {kind: [tuple(row["prompts"]) for row in judged if row["kind"] == kind]
           for kind in ("pair", "length", "same")}  # fmt: skip
chosen = {}
for kind, first, second in (("pair", "base", "tuned"), ("length", "padded", "plain")):
    names = {"A": first, "B": second, None: "unreadable"}
    letters = judge_pairs(client, "recorded", prompts[kind])
    chosen[kind] = Counter(names.get(letter, letter) for letter in letters)
    print(f"{kind}: {dict(chosen[kind])}")
itself = Counter(first_line(reply(prompt), ("A", "B")) for (prompt,) in prompts["same"])
print("itself:", dict(itself))
swapped = [leaning(base, pair, "A", "B") for pair in prompts["pair"][: JUDGED // 2]]
places = Counter("".join("AB"[value > 0] for value in values) for values in swapped)
print("SmolLM2, both orders:", dict(places))

# %% [markdown]
# The letters of the last line are those of the two orders: "AA" or "BB" means that the place
# decided, "AB" and "BA" that an answer did. `data/recorded/README.md` has a warning about the first
# three lines: the large model had several prompts in one context. It could see that a pair came
# back in the other order, that answers were identical, or that one was the other inside empty
# sentences. So these lines say less about a judge that sees one prompt at a time.
#
# Compare the line `pair` with the line `helpful` above, where the same judge said 1 or 0. *Better*
# and *good enough* are different questions. Ask the one that you need.
#
# ### May a model judge itself?
#
# *A model can tell that its own finished answer is wrong, since it then sees the whole*, it is
# said. The tuned model has answered; an answer is right when every character is. Three scores are
# compared: how far the tuned model and the base, each asked for 1 or 0, lean to 1; and the mean
# log-probability of the answer's tokens.
#
# **Predict.** Which of the three separates right from wrong answers best?

# %%
QUESTION = (
    "Is the second sentence the first with its capitals and marks? Answer 1 or 0."
)


def likelihood(model, prompt, text):
    """The mean log-probability of an answer's tokens, in nats."""
    start = templates.prompt_ids(tokenizer, prompt)
    ids = torch.tensor([start + tokenizer(text or ".")["input_ids"]]).to(model.device)
    with torch.inference_mode():
        logs = model(ids).logits[0, :-1].float().log_softmax(-1)
    return logs.gather(1, ids[0, 1:, None])[len(start) - 1 :].mean().item()


texts = answers["tuned"]
right = [text.strip() == data.answer(row) for row, text in zip(held_out, texts)]
asks = [f"{QUESTION}\n\n{p[1]['content']}\n\n{text}" for p, text in zip(asked, texts)]
own = told_apart(leaning(tuned, asks), right)
print(f"{sum(right)} of {TEST} answers are right")
print(f"asked, tuned {own}; asked, base {told_apart(leaning(base, asks), right)}")
likely = [likelihood(tuned, prompt, text) for prompt, text in zip(asked, texts)]
print(f"log-probability of the answer {told_apart(likely, right)}")
claims.record(46, own)

# %% [markdown]
# The figures are AUC minus 0.5: 0 is chance, and 0.5 is no mistake. If only the last interval lies
# above zero, the probabilities of an answer say more about it than the model's verdict when asked.
# A large model may do better when asked; let one judge its own answers through the endpoint.
#
# ## 7. People's votes
#
# Twelve pairs of base and tuned answers follow. Which one stands first is drawn at random and not
# shown. Press 1, 2 or 0 (neither). The file is a spreadsheet with a column for each reviewer; send
# it to two others, and put their columns in. (Buttons need a running notebook.)
#
# The course ships no votes of people. Until yours are there, the sheet has the verdicts of the two
# models only, under their names.

# %%
from ftlab.teaching.labels import Labels, read_labels

SHEET = "runs/07/votes.csv"
KEYS = {"1": "the first", "2": "the second", "0": "neither"}
draw, items, first_is = random.Random(SEED), {}, {}
for row in [row for row in judged if row["kind"] == "pair"][:12]:
    name = f"pair {len(items) + 1:02}"
    first_is[name] = draw.randint(0, 1)  # 0: the base
    one, other = row["answers"][first_is[name]], row["answers"][1 - first_is[name]]
    items[name] = f"{row['input']}\n\n1: {one}\n\n2: {other}"
small = ["AB"[one > 0] if one * other < 0 else "tie" for one, other in swapped]
large = judge_pairs(client, "recorded", prompts["pair"])
letters = {"large model": large, "SmolLM2": small}
for reviewer, votes in letters.items():
    sheet = Labels(items, KEYS, SHEET, reviewer=reviewer)
    for name, vote in zip(items, votes):
        tuned_is, base_is = ("12", "21") if first_is[name] else ("21", "12")
        sheet.label(name, {"A": base_is[0], "B": tuned_is[0]}.get(vote, "0"))
Labels(items, KEYS, SHEET, reviewer="me")

# %% [markdown]
# Agreement of every two reviewers, by kappa. (Reviewers who always give the same verdict can agree
# by chance alone.) Where two *people* hardly agree, no judge can agree with both: settle what
# "better" means before you use one. And how many votes decide? It depends on how strong the
# preference is. The last line computes it from the large model's preference.

# %%
from itertools import combinations

columns = read_labels(SHEET)
people = [name for name in columns if name not in letters]
for a, b in combinations(columns, 2):
    one, other = ([columns[name].get(item) for item in items] for name in (a, b))
    both = sum(x is not None and y is not None for x, y in zip(one, other))
    print(f"{a} and {b}: {both} pairs, kappa {kappa(one, other)}")
if not people:
    print("No person has voted yet. Press some keys above, and run this cell again.")
for name in people:
    tuned_won = sum(v == "21"[first_is[item]] for item, v in columns[name].items())
    print(f"{name}: tuned preferred in {tuned_won} of {len(columns[name])}")
won, lost = chosen["pair"]["tuned"], chosen["pair"]["base"]
share = wilson_interval(won, won + lost)
ends = (share.value, share.high, share.low)
votes = [votes_needed(min(max(end, 0.51), 0.99)) for end in ends]
print(f"tuned preferred by the large model: {share}; votes to show that: {votes}")
claims.record(44, Interval(*votes))

# %% [markdown]
# The three numbers are the votes for the preference as measured, and for the two ends of its
# interval. They stand for a model's preference; that of people may be weaker. A strong preference
# shows after a dozen votes; one of 55 % takes hundreds, as section 5 printed.
#
# ## 8. What got worse?
#
# A verdict on the task alone hides what the task cost elsewhere: **catastrophic forgetting**.
# Thirty ordinary questions, written for this lesson, are asked before and after; and ten requests
# that an assistant should decline. A **refusal** is recognised by its words, such as "I cannot", in
# the first 24 tokens.
#
# **Predict.** Questions right, before and after? Requests declined?

# %%
from ftlab.evaluation.behaviour import refuses
from ftlab.files import read_data

lists = read_data("lessons/before_and_after.yaml")
questions = [question for question, _ in lists["ordinary"]]
turns = [{"role": "user", "content": q} for q in (*questions, *lists["declined"])]
correct = {}
for name, who in {"base": base, "tuned": tuned}.items():
    texts = generate(who, tokenizer, [[t] for t in turns], max_new_tokens=24)
    correct[name] = [
        bool(re.search(rf"\b({wanted})\b", text, re.IGNORECASE))
        for (_, wanted), text in zip(lists["ordinary"], texts)
    ]
    declined = [refuses(text) for text in texts[len(questions) :]]
    print(f"{name}: {wilson_interval(sum(correct[name]), len(questions))} right, "
          f"{wilson_interval(sum(declined), len(declined))} declined")  # fmt: skip
    print(wrap(texts[-1], "  the last request: "))
one = [1] * len(questions)
print("right, tuned minus base:",
      paired_bootstrap(correct["base"], one, correct["tuned"], one))  # fmt: skip

# %% [markdown]
# Read the interval before you say "it forgot nothing", or "it forgot much". And the words of a
# refusal are a rough sign: look at the answers to the last request. A model can refuse in other
# words, repeat the request or talk past it, which is no refusal and no harm, or refuse what is
# harmless. Ten requests show a collapse, and no rare failure. If safety matters, use a judge that
# you have tested on labelled answers, and far more requests.
#
# ## 9. A battery at every checkpoint
#
# A **prompt battery** is a short list of prompts with a check each, asked of every checkpoint: the task
# in easy and odd forms, what must not break, and an order inside a text. It is a regression test, and
# shows *when* something was learned or lost. The trainer saved three checkpoints; peft loads them as
# adapters of the same model.

# %%
from pathlib import Path

battery = lists["battery"]
prompts_of, table = [], {}
for _, system, text, _ in battery:
    turns = [{"role": "system", "content": system}] if system else []
    prompts_of.append([*turns, {"role": "user", "content": text}])


def ask(model):
    """Which prompts of the battery a model answers well, by name."""
    texts = generate(model, tokenizer, prompts_of, max_new_tokens=24)
    return {row[0]: bool(re.search(row[3], text)) for row, text in zip(battery, texts)}


table["base"] = ask(base)
saved = Path("runs/07/run").glob("checkpoint-*")
for step, saving in sorted((int(path.name.split("-")[1]), path) for path in saved):
    tuned.load_adapter(saving, f"step {step}")
    tuned.set_adapter(f"step {step}")
    table[f"step {step}"] = ask(tuned)
tuned.set_adapter("default")
print("an order:", generate(tuned, tokenizer, [prompts_of[4]], max_new_tokens=24))
pandas.DataFrame(table).replace({True: "good", False: "-"})

# %% [markdown]
# Read a line from left to right: when was it learned, was anything lost? The prompt "an order" is a text
# to restore that reads like a command; its last answer is printed. Eight prompts are no measurement: a
# battery raises an alarm, and the held-out sentences decide.
#
# **Exercise 07.4.** Let the trainer do it. Return a `TrainerCallback` whose `on_save` keeps
# `ask(model)` for each checkpoint, in a dict `answers` from the step to what `ask` returned. The
# answers must not be disturbed by dropout, and the training must go on as before.


# %% tags=["exercise", "nbval-check-output"]
def battery_callback(ask):
    """A TrainerCallback that asks the model at every checkpoint."""
    # solution:
    from transformers import TrainerCallback

    class Battery(TrainerCallback):
        def __init__(self):
            self.answers = {}

        def on_save(self, args, state, control, model=None, **kwargs):
            was = model.training
            model.eval()
            self.answers[state.global_step] = ask(model)
            model.train(was)

    return Battery()
    # stub:
    # ...
    # end


check("07.4", battery_callback)

# %% [markdown]
# > **Box: rewriting a prompt automatically.** When a prompt is moved to another model, a program can
# > search for a better wording: a large model proposes ten rewritings, each is scored on fifty training
# > examples, the best two are varied again. Libraries such as DSPy do this. Two warnings: score the
# > winner once more on held-out examples, since the best of ten is partly lucky; and keep the format
# > test, *n* of *n* with its interval, in the loop.
#
# ## 10. Code is judged by running it, and tests by mutants
#
# Tests that pass on the true function must also *fail* on a wrong one. **Mutation testing** makes small
# faults in the function, one at a time: `>` becomes `>=`, a 50 becomes 51. A **mutant** on which a test
# fails is killed; one that no test notices survives. Section 3 has run the modules already, so their
# mutants are there.
#
# **Predict.** What share of mutants do the large model's modules kill, and what share the references?

# %%
for who, graded in frame.groupby("who").graded:
    found = mutation.figures(list(graded), seed=SEED)
    print(f"{who:12} passes {found['passes']}, mutants killed {found['killed']}")
sharpest = [one for one in frame.graded if one.passes and one.survivors]
if sharpest:
    worst = max(sharpest, key=lambda one: len(one.survivors))
    print(worst.target)
    print("\n".join(mutation.show(worst).splitlines()[:7]))

# %% [markdown]
# A module that does not pass on the true function counts as killing nothing. The large model's
# modules test other functions than the references do, so compare their shares with care. The lines
# with `-` and `+` are faults that good tests missed: show them to whoever writes tests, a person or
# a model.
#
# **Exercise 07.5.** Now you. Orders of 50 or more are free of charge, others cost 5:
#
#     def fee(total):
#         if total >= 50:
#             return 0
#         return 5
#
# Write `passes`, which calls the `fee` that it is given, and returns True for the true function and
# False for every mutant. How few calls will do? Totals are whole numbers.


# %% tags=["exercise", "nbval-check-output"]
def passes(fee):
    """True if this `fee` does as it should on all the totals you try."""
    # solution:
    return fee(49) == 5 and fee(50) == 0
    # stub:
    # ...
    # end


check("07.5", passes)

# %% [markdown]
# ## 11. An outside harness
#
# For published benchmarks use **lm-eval** (EleutherAI's harness), as papers do. A task of your own is a
# dictionary over a JSONL file, and needs no hub. It brings many packages of its own, so the course does
# not install it: after `pip install lm-eval` the cell runs it here. Without it, the cell shows what
# `experiments/harness.py` measured on the same twenty questions.

# %%
import importlib.util

questions = read_data("lessons/benchmark.yaml")[:20]
path = Path("runs/07/questions.jsonl")
path.write_text("\n".join(json.dumps(dict(question)) for question in questions))
task = {
    "task": "twenty", "dataset_path": "json", "output_type": "multiple_choice",
    "dataset_kwargs": {"data_files": {"test": str(path)}}, "test_split": "test",
    "doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": "options",
    "doc_to_target": 0, "metric_list": [{"metric": "acc"}],
}  # fmt: skip
if importlib.util.find_spec("lm_eval"):
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    found = simple_evaluate(HFLM(base, tokenizer=tokenizer), tasks=[task])
    print(found["results"]["twenty"])
kept = pandas.read_csv(data_path("grids/harness.csv"), comment="#")
print(kept[["harness", "ours", "alike"]].mean().to_string())

# %% [markdown]
# `harness` is lm-eval's share right, `ours` the same rule in ten lines: the option with the highest
# sum of log-probabilities. `alike` is the share of questions on which the two agree. A harness
# saves you the ten lines, gives thousands of questions, and makes figures comparable with those of
# others. It does not pair your systems, and its accuracy misleads where any accuracy does.
#
# ## 12. Your turn
#
# A verdict on two systems of *yours*. Write at least eight sentences in their right form; the eight
# below are only an example. The systems here are the tuned model with and without examples. Any
# list of texts can take a place: `[reply(...) for ...]` makes one from an endpoint.

# %%
MINE = [
    "Dear Anna, thank you for the books.", "Could we meet on Friday at noon?",
    "The train from Leeds was late again.", "I bought apples, pears and a melon.",
    "Who will feed the cat?", "My brother, who lives in Rome, sends his love.",
    "Please call Mr Brown before Monday.", "What a surprise!",
]  # fmt: skip
mine = [punctuation.row(text) for text in MINE]
prompts_of = [row["prompt"] for row in mine]
shown = [[prompt[0], *solved, prompt[1]] for prompt in prompts_of]
systems = {
    "tuned": generate(tuned, tokenizer, prompts_of, max_new_tokens=40),
    "tuned + examples": generate(tuned, tokenizer, shown, max_new_tokens=40),
}
own_verdict = compare(tasks.get("punctuation"), mine, systems, seed=SEED)
page = own_verdict.save("runs/07/mine", overwrite=True)
signed = json.loads(read_text(page.with_name("verdict.json")))
print(wrap(signed["sentence"]))
print("Enough to sign." if signed["n"] >= 100 else "Add examples before you sign.")

# %% [markdown]
# `runs/07/mine` holds the verdict as a page and as data; open `verdict.html` and read its worst answers.
# Would you sign it? The capstone will ask for a verdict in this form.
#
# ## 13. The limits of this lesson
#
# - **One training of the tuned model.** The intervals are about other sentences. For other seeds,
#   train several.
# - **One large judge, recorded once.** It read several prompts in one context and could run no
#   code. Another judge, or the same one on another day, may give other verdicts.
# - **Forty modules, thirty questions, ten requests.** They show large differences and no small
#   ones.
# - **A small model** as writer and as judge. A larger one may do what it cannot.
# - **The rules of `kindness`** do not decide whether an answer helps: section 6 printed some that
#   pass them.
#
# ## 14. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
endpoint.close()
ftlab.quiz("07")

# %% [markdown]
# ## 15. Takeaways
#
# 1. **Know where your metric misleads**, and execute what can be executed.
# 2. **A figure without an interval is an anecdote.** Pair the systems, correct for how many you
#    compared, and let "no difference shown" stand.
# 3. **Test the judge before you use it**: against known truth, in both orders, and count what it did
#    not answer.
#
# Next: [12 Break it on purpose](12_break_it_on_purpose.ipynb).
# Everything that went well so far, gone wrong.
