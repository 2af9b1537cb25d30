# %% [markdown]
# # 07 Evaluation: did it help, and how sure are you?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/07_judging_answers.ipynb)
#
# **What you will build**: a verdict on a model that you tune yourself, which says better by
# how much, on what, how sure, at what price, and what got worse.
#
# **Prerequisites**: lesson 00. A share, a mean and a histogram are all the statistics.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour and a half | four to five minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Two outputs side by side convince everybody, and prove nothing. Whenever you are asked for a
# prediction, write it down before you run the cell.

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
# One model is tuned properly, and two tiny ones later, to see what luck does.

# %%
import ftlab
from ftlab import data, hardware

SEED = 0
BASE, TINY = "ftlab-7m", "ftlab-1m"
PROFILE = ftlab.profile()
TRAIN = min(PROFILE.records, 800)
TEST, SHOTS, MODULES = 160, 4, 10

hardware.seed_everything(SEED)
hardware.versions()

# %% [markdown]
# This lesson puts nine claims of practitioners to the test. Five of them are heard wherever
# people fine-tune:
#
# - BLEU is a good measure for code.
# - The difference between base and tuned is subtle.
# - A prompt that moves to another model wants a test of its format, a hundred of a hundred.
# - A tuned model saves most of the prompt.
# - Tuning makes a model forget.
#
# What came out, here and in the other lessons, is kept in a ledger, `notebooks/claims.md`.
#
# ## 2. Metrics, and where each of them lies
#
# A metric is a question put to every answer, and an answer may please it and still be bad.
# Three usual metrics follow, each at a place where it is *wrong*.
#
# **Accuracy.** Few tickets are urgent. One program calls every ticket ordinary; the other
# finds nearly all urgent ones, and cries wolf now and then.
#
# **Predict.** Which of the two has the higher accuracy?

# %% tags=["nbval-check-output"]
from ftlab.evaluation import pitfalls

for row in pitfalls.accuracy_on_imbalance():
    print(f"{row.what:24} accuracy {row.accuracy:.2f}   F1 of urgent {row.f1:.2f}")

# %% [markdown]
# Accuracy prefers the program that does nothing, since most tickets are ordinary.
#
# **Exercise 07.1.** Write the accuracy that is not fooled: the mean of the accuracy among the
# urgent tickets and that among the others. Both lists hold True for urgent.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def balanced_accuracy(truth, said):
    """The mean of the accuracies on either label, from 0 to 1."""
    # solution:
    shares = []
    for label in (True, False):
        mine = [s == t for t, s in zip(truth, said) if t == label]
        shares.append(sum(mine) / len(mine))
    return sum(shares) / 2
    # stub:
    # ...
    # end


check("07.1", balanced_accuracy)

# %% [markdown]
# **BLEU** counts runs of words that an answer shares with the reference. Is it any good for
# code? Two answers to the same task, the first with one sign changed.

# %% tags=["nbval-check-output"]
print(pitfalls.WRONG)
print(pitfalls.RIGHT)
for row in pitfalls.bleu_on_code():
    print(f"{row.what:28} BLEU {row.figure:5.1f}   executed: {row.truth}")

# %% [markdown]
# **Perplexity** says how many tokens a model hesitates between. Three models of the same kind
# read the same text; only their tokenizers differ.
#
# **Predict.** Is the model with the lowest perplexity the one that knows the text best?

# %% tags=["nbval-check-output"]
for cut in pitfalls.perplexity_across_tokenizers():
    print(f"{cut.tokenizer:11} {cut.tokens:4} tokens   ", end="")
    print(f"perplexity {cut.perplexity:5.1f}   ", end="")
    print(f"{cut.bits_per_character:.2f} bits per character")

# %% [markdown]
# The lowest perplexity goes with the most bits. Guessing a letter is easier than guessing a
# word, but there are more letters to guess. Bits per character count the whole page, and
# compare across tokenizers; perplexity does not.
#
# ## 3. How sure? The bootstrap by hand
#
# Twenty answers, fourteen right. Another twenty questions would have given another figure,
# but which? We have no other questions. The trick: draw twenty *from these*, with repetition,
# as if they were the world, and look how the figure moves.

# %% tags=["nbval-check-output"]
import random

scores = [1] * 14 + [0] * 6
rng = random.Random(SEED)
for _ in range(4):
    again = rng.choices(scores, k=len(scores))
    print("".join("x" if score else "." for score in again), sum(again) / len(again))

# %% [markdown]
# Do it two thousand times, and leave out the lowest and the highest few.
#
# **Exercise 07.2.** Return the two ends of the middle 95 % of a list of draws.


# %% tags=["exercise", "nbval-check-output"]
def middle(draws):
    """[low, high]: 2.5 % of the draws lie below low, and 2.5 % above high."""
    # solution:
    ordered = sorted(draws)
    k = round(0.025 * len(ordered))
    return [ordered[k], ordered[-1 - k]]
    # stub:
    # ...
    # end


check("07.2", middle)

# %% [markdown]
# Here is the whole of it, in ten lines.

# %% tags=["nbval-check-output"]
from ftlab.teaching import plots_evaluation


def bootstrap_by_hand(scores, samples=2000):
    """Draw anew, take the mean, sort, cut 2.5 % at either end."""
    rng = random.Random(SEED)
    means = []
    for _ in range(samples):
        again = rng.choices(scores, k=len(scores))
        means.append(sum(again) / len(again))
    means.sort()
    cut = round(0.025 * samples)
    return means, means[cut], means[-1 - cut]


means, low, high = bootstrap_by_hand(scores)
print(f"{sum(scores) / len(scores):.2f} right, interval {low:.2f} to {high:.2f}")
plots_evaluation.draws(means, low, high, title="Drawn anew", xlabel="share right")

# %% [markdown]
# Wide, isn't it? That is what twenty answers are worth. The package does the same.

# %%
from ftlab.evaluation.intervals import bootstrap

package = bootstrap(scores, [1] * len(scores), seed=SEED)
print(f"by hand {low:.2f} to {high:.2f}")
print(f"package {package.low:.2f} to {package.high:.2f}")
# One answer more or less is a step of 0.05 here.
assert abs(low - package.low) < 0.051 and abs(high - package.high) < 0.051

# %% [markdown]
# Does the interval keep its promise? In a world that we make up, the truth is known: a model
# that is right seven times in ten. Ask it sixty questions, work out the interval, and see
# whether the truth lies inside. Then again, in three hundred such worlds.
#
# **Predict.** In how many of a hundred worlds will the truth lie inside?

# %%
inside = 0
for world in range(300):
    rng = random.Random(world)
    answers = [rng.random() < 0.7 for _ in range(60)]
    found = bootstrap(answers, [1] * 60, samples=500, seed=world)
    inside += found.low <= 0.7 <= found.high
print(f"the truth lay inside in {inside / 300:.0%} of the worlds; promised were 95 %")
assert 0.88 < inside / 300 < 0.99

# %% [markdown]
# ### Two models, the same questions
#
# Some questions are easy for everybody. A draw with many easy ones lifts both models, and
# the *difference* hardly moves. So it is taken within each draw: the **paired** bootstrap.
#
# **Exercise 07.3.** `a` and `b` hold the scores of two models on the same examples; `drawn`
# holds positions, some of them twice.


# %% tags=["exercise", "nbval-check-output"]
def gap(a, b, drawn):
    """The mean of b less that of a, on the drawn positions."""
    # solution:
    return sum(b[i] - a[i] for i in drawn) / len(drawn)
    # stub:
    # ...
    # end


check("07.3", gap)

# %% [markdown]
# A toy: on forty questions, `b` knows all that `a` knows, and five more.
#
# **Predict.** Drawn each by itself, or drawn together: which interval is the narrower?

# %%
from ftlab.evaluation.intervals import paired_bootstrap

a, b, ones = [1] * 20 + [0] * 20, [1] * 25 + [0] * 15, [1] * 40
together = paired_bootstrap(a, ones, b, ones, seed=SEED)
rng = random.Random(SEED)
alone = [sum(rng.choices(b, k=40)) / 40 - sum(rng.choices(a, k=40)) / 40
         for _ in range(2000)]  # fmt: skip
alone.sort()
rows = {
    "each by itself": (together.value, alone[50], alone[-51]),
    "drawn together": tuple(together[:3]),
}
assert alone[50] < 0 < together.low
plots_evaluation.gaps(rows, xlabel="b less a, share right", title="The same answers")

# %% [markdown]
# The same answers, the same difference. Only the paired look can see that `b` is ahead.
# ## 4. The real thing: tune one, ask three
#
# Three systems answer the same held-out sentences: the base as it is, the base with
# solved examples in its prompt, and a tuned model. The examples come from the training
# records: from the held-out ones, they would give answers away.

# %%
from ftlab import models, tasks
from ftlab.evaluation.systems import System, answer, few_shot_examples

task = tasks.get("punctuation")
train_records = task.examples(TRAIN, seed=SEED)
held_out = task.examples(TEST, seed=SEED, split="test")
examples = tuple(few_shot_examples(train_records, held_out, SHOTS, seed=SEED))
base = System("base", BASE)
prompted = System(f"base + {SHOTS} examples", BASE, few_shot_examples=examples)
tuned = System("tuned", f"{BASE}, tuned", "tuned")
for turn in prompted.asks(data.prompt(held_out[0])):
    print(f"{turn['role']:9} {turn['content'][:70]}")

# %% [markdown]
# Training changes the model in place. So whatever you want to know of the base you have to
# ask *before*: its answers, and how well it reads general text, for section 9.

# %%
from ftlab.evaluation import forgetting
from ftlab.generation import continue_text

model, tokenizer = models.load(BASE)
given = {}
for who in (base, prompted):
    given[who.name] = answer(who, model, tokenizer, held_out, max_new_tokens=80)
kinds, texts = zip(*forgetting.general_text())
general = {"base": forgetting.bits_per_character(model, tokenizer, texts)}
OPENING = "It was a dark and stormy night, and"
story_before = continue_text(model, tokenizer, OPENING, max_new_tokens=30)

# %%
from ftlab.teaching import plots
from ftlab.training import sft

with plots.LiveCurve("Punctuation, one pass over the records") as curve:
    run = sft.train(
        model, tokenizer, train_records, epochs=1, batch_size=PROFILE.batch_size,
        seed=SEED, on_step=curve.on_step,
    )  # fmt: skip
given["tuned"] = answer(tuned, model, tokenizer, held_out, max_new_tokens=80)
general["tuned"] = forgetting.bits_per_character(model, tokenizer, texts)
print(f"{run.steps} steps in {run.seconds:.0f} seconds")
for name, answers in given.items():
    print(f"{name:18} {answers.texts[0][:75]!r}")

# %% [markdown]
# ## 5. The verdict, line by line
#
# **Predict.** F1 of marks and capitals, from 0 to 1, for each of the three. And: will the
# examples in the prompt help the base?

# %%
from ftlab.display import wrap
from ftlab.evaluation.compare import compare
from ftlab.evaluation.costs import costs, prices

my_guess = "base ..., with examples ..., tuned ..."
table = prices()
verdict = compare(
    task, held_out, {name: answers.texts for name, answers in given.items()}, seed=SEED,
    costs={"prices": table.model_dump(mode="json"), "systems": costs(given, table)},
    forgetting={"general": forgetting.forgotten(general, seed=SEED)},
)  # fmt: skip
print("you expected:", my_guess)
print(wrap(verdict.sentence))
verdict.table()

# %% [markdown]
# The sentence is made by rule from the figures in the table, and it can only say better or
# worse where that is shown.
#
# - **f1** and its interval: the system by itself.
# - **less base**: the difference, paired. It decides, together with p: the interval has to leave
#   zero out, and p to be below 0.05.
# - **win/tie/loss**: on how many single sentences it did better, as well, worse.
# - **p**: how often pure chance would make a difference as large as this one.
#
# *Claim: the difference between base and tuned is often subtle.* Measured, not felt:

# %%
from ftlab.teaching import ledger

decisive = verdict.differences["tuned"]["f1"]
word = "not seen here" if decisive.low > 0.2 else "depends"
ledger.record(
    42, "holds" if decisive.covers_zero else word,
    f"Capitals and marks of {TEST} held-out sentences, F1 of the tuned model less its "
    f"base's: {decisive}.", decisive.value, interval=(decisive.low, decisive.high),
)  # fmt: skip
assert decisive.low > 0, "the tuned model is shown to be better"
rows = {name: tuple(row["f1"][:3]) for name, row in verdict.differences.items()}
plots_evaluation.gaps(rows, xlabel="F1 less the base's", title="The verdict")

# %% [markdown]
# Was it only the prompt? The line of the base with examples is the answer, for this model: a
# larger one may gain more from them. And on a task that the base can do already, the gain of
# a fine-tune may well be subtle.
#
# Do not take the package's word for it. F1 is a ratio of sums, so a draw adds up what is
# above the line and what is below, and divides at the end. By hand:

# %%
marks = {who: [task.score(r, text)["f1"] for r, text in zip(held_out, given[who].texts)]
         for who in ("base", "tuned")}  # fmt: skip


def f1_of(rows, drawn):
    """The F1 of some examples: the parts are added up first."""
    return sum(rows[i].num for i in drawn) / sum(rows[i].den for i in drawn)


rng, by_hand = random.Random(SEED), []
for _ in range(2000):
    drawn = rng.choices(range(TEST), k=TEST)
    by_hand.append(f1_of(marks["tuned"], drawn) - f1_of(marks["base"], drawn))
by_hand.sort()
print(f"by hand {by_hand[50]:.3f} to {by_hand[-51]:.3f}")
print(f"verdict {decisive.low:.3f} to {decisive.high:.3f}")
assert abs(by_hand[50] - decisive.low) < 0.02 > abs(by_hand[-51] - decisive.high)

# %% [markdown]
# ### Why p is corrected
#
# Take one model and twenty prompts that change nothing at all. Each is compared with the
# original. **Predict.** How many of the twenty will look like a discovery?

# %% tags=["nbval-check-output"]
from ftlab.evaluation.pairs import holm, sign_test

rng = random.Random(1)
ps = []
for _ in range(20):
    wins = sum(rng.random() < 0.5 for _ in range(60))  # of 60 answers that differ
    ps.append(sign_test(wins, 60 - wins))
print("the smallest p of twenty:", round(min(ps), 3))
print("below 0.05:", sum(p < 0.05 for p in ps), "of 20")
print("below 0.05 after correction:", sum(p < 0.05 for p in holm(ps)), "of 20")

# %% [markdown]
# Who compares twenty prompts has twenty chances to be lucky. Holm's correction raises each p
# by how many were compared, and the verdict's p has been through it.
#
# What stands in the verdict besides the headline? Remarks, made by rule as well.

# %%
for remark in verdict.remarks:
    print(wrap(remark, "· "))

# %% [markdown]
# And the answers themselves. The worst regressions come first: sentences on which the tuned
# model did worse than the base with examples, if there are any.


# %%
def lost(example):
    """What tuned lost on one example, against the prompted base."""
    answers = example["outputs"]
    return answers["tuned"]["scores"]["f1"] - answers[prompted.name]["scores"]["f1"]


for example in sorted(verdict.examples, key=lost)[:3]:
    print(f"{lost(example):+.2f}\n  wanted:   {example['reference'][:90]}")
    for name in (prompted.name, "tuned"):
        print(f"  {name}: {example['outputs'][name]['text'][:90]!r}")

# %% [markdown]
# ## 6. “No difference shown” is an answer
#
# Two tiny models, tuned on the same records. One thing differs: the seed, and with it the
# order of the records. **Predict.** Will the verdict find a difference between them?

# %%
texts_of = {}
for seed in (1, 2):
    tiny, tiny_tokenizer = models.load(TINY)
    sft.train(tiny, tiny_tokenizer, train_records[: TRAIN // 2], epochs=1, seed=seed)
    who = System(f"seed {seed}", TINY, "tuned")
    said = answer(who, tiny, tiny_tokenizer, held_out, max_new_tokens=80)
    texts_of[who.name] = said.texts

twins = compare(task, held_out, texts_of, seed=SEED)
print(wrap(twins.sentence))
twin = twins.pairs[0]
print(f"\nthe smallest difference that {TEST} sentences show: {twin.smallest:.3f}")

# %% [markdown]
# If it says “no difference shown”: this does *not* mean that they are equal. It means that
# a difference, if any, is too small for these examples. If one was shown: both runs are what
# you would have called “the tuned model”, and the interval of a single run never knew of it.
#
# And with few examples? Here is the first verdict again, on less and less. Look at how wide
# the intervals get: a difference of half that width would drown in them.

# %%
rows = {}
for n in (10, 20, 40, 80, TEST):
    part = {who: marks[who][:n] for who in marks}
    found = paired_bootstrap(
        [r.num for r in part["base"]], [r.den for r in part["base"]],
        [r.num for r in part["tuned"]], [r.den for r in part["tuned"]],
    )  # fmt: skip
    rows[f"{n} sentences"] = tuple(found[:3])
plots_evaluation.gaps(rows, xlabel="tuned less base, F1", title="Fewer is less sure")

# %% [markdown]
# **Exercise 07.4.** Zero is not the only line that matters. Below some gain, `matters`, nobody
# would bother. Return `"worth it"` when the whole interval reaches it, `"not worth it"` when
# all of it lies below, and `"more examples"` when it may be either.


# %% tags=["exercise", "nbval-check-output"]
def advice(low, high, matters):
    """What to do, given the interval of the gain and the gain that matters."""
    # solution:
    if low >= matters:
        return "worth it"
    return "not worth it" if high < matters else "more examples"
    # stub:
    # ...
    # end


check("07.4", advice)

# %% [markdown]
# ### How many examples do I need?
#
# It depends on how much the two differ from example to example (the spread), and on a square
# root: *smallest difference = 2.8 · spread / √examples*, for four tries of five. So half the
# difference takes four times the examples.

# %%
spreads = {
    "tuned against base": verdict.pairs[1].smallest * TEST**0.5 / 2.8,
    "one seed against another": twin.smallest * TEST**0.5 / 2.8,
}
plots_evaluation.reach(spreads, here=TEST)

# %% [markdown]
# And when people judge, which of two answers is better? *How much feedback is needed?*
#
# **Predict.** For a model that is preferred 55 times in a hundred, how many judgements does it
# take to show that it is no coin?

# %% tags=["nbval-check-output"]
from ftlab.evaluation.intervals import wilson_interval
from ftlab.evaluation.power import votes_needed

for n in (5, 6):
    print(f"{n} votes of {n} for one of the two: p = {sign_test(n, 0):.3f}")
votes = {}
for better in (0.9, 0.7, 0.6, 0.55, 0.52):
    votes[better] = votes_needed(better)  # for p below 0.05 in four tries of five
    print(f"preferred in {better:.0%}: at least {votes[better]:,} judgements")
seen, rng = 0, random.Random(SEED)
for _ in range(200):  # is it so? Two hundred made-up panels
    wins = sum(rng.random() < 0.55 for _ in range(votes[0.55]))
    seen += sign_test(wins, votes[0.55] - wins) < 0.05
share = wilson_interval(seen, 200)
ledger.record(
    44, "depends" if votes[0.52] > 10 * votes[0.9] else "holds",
    f"A model preferred in 70 % of all pairs takes at least {votes[0.7]:,} votes to "
    f"show it in four tries of five, one preferred in 55 % at least {votes[0.55]:,}; "
    f"of 200 made-up panels of that size a share of {share} showed it.", votes[0.55],
)  # fmt: skip
assert 0.7 < share.value < 0.9

# %% [markdown]
# Is a hundred of a hundred in the right format *proof*? With no failure in n tries, which share
# of failures might it still have? The largest one for which such luck happens once in twenty
# times.

# %% tags=["nbval-check-output"]
for n in (10, 100, 1000):
    print(f"{n:4} of {n:4}: up to {1 - 0.05 ** (1 / n):.1%} may still fail")
at_hundred = 1 - 0.05 ** (1 / 100)
word = "holds" if at_hundred < 0.001 else "depends (on how many failures you can bear)"
print(f"proof? {word}: a million answers might hold {1e6 * at_hundred:,.0f} failures")

# %% [markdown]
# ### Three more claims, on the answers that are here
#
# Can a small tuned model match a larger one that is only prompted? Does a format that was
# checked on one model hold on another? Our format: every word is kept, and nothing but marks
# and capitals changes. And can a model tell that its own, finished answer is wrong, by how
# likely each token is when it reads the answer again? A second model judges the same ones.
#
# **Predict.** Of a right answer and a wrong one, how often will its author find the right one
# likelier, always, or as often as a coin? And the judge?

# %%
from ftlab.tasks.punctuation import strip

sizes = {TINY: texts_of["seed 2"]}
sizes |= {name: given[name].texts for name in (prompted.name, "tuned")}
less = compare(task, held_out, sizes, seed=SEED).differences
asked, trained = less[prompted.name]["f1"], less["tuned"]["f1"]
word = "holds" if trained.low <= 0 else "depends"
ledger.record(
    12, "not seen here" if asked.low > 0 else word,
    f"F1 of {BASE} less that of {TINY}, tuned on {TRAIN // 2} sentences: the larger "
    f"with {SHOTS} examples in its prompt {asked}, the larger, tuned on {TRAIN}, "
    f"{trained}.",
    asked.value, interval=(asked.low, asked.high),
)  # fmt: skip
form = {}
for name in ("tuned", TINY):
    kept = [strip(a) == strip(data.answer(r)) for a, r in zip(sizes[name], held_out)]
    form[name] = wilson_interval(sum(kept), TEST)
one, other = form.values()
ledger.record(
    45, "holds" if one.low > other.high or other.low > one.high else "not seen here",
    f"Asked the same {TEST} questions, {BASE}, tuned on {TRAIN} records, kept every "
    f"word in {one} of its answers, {TINY}, tuned on {TRAIN // 2} of them, in {other}.",
    one.value - other.value,
)  # fmt: skip

# %%
from ftlab.teaching.lesson07 import told_apart
from ftlab.training.held_out import nats

texts = given["tuned"].texts
own = [data.example(data.prompt(r), text) for r, text in zip(held_out, texts)]
right = [data.answer(mine) == data.answer(r) for mine, r in zip(own, held_out)]
author = [-r.num / r.den for r in nats(model, tokenizer, own)]
judge = [-r.num / r.den for r in nats(tiny, tiny_tokenizer, own)]
knows, told = told_apart(author, right), told_apart(judge, right)
short = told_apart([-len(data.answer(mine)) for mine in own], right).value
word = "depends" if knows.low > 0.5 else "not seen here"
ledger.record(
    46, "holds" if knows.low > short else word,
    f"{sum(right)} of {TEST} answers were right. Of all pairs of a right and a wrong "
    f"one their author ranked {knows} rightly, length alone {short:.2f}.",
    knows.value, interval=(knows.low, knows.high),
)  # fmt: skip
gap = told_apart(judge, right, less=author)
yes_or_no = told_apart([sure > sorted(judge)[TEST // 2] for sure in judge], right)
ledger.record(
    41, "holds" if gap.low > 0 else "not seen here" if gap.high < 0 else "depends",
    f"Of all pairs of a right and a wrong answer, {TINY} as a judge ranked {told} "
    f"rightly, their author {knows.value:.2f}; saying 1 or 0, the judge {yes_or_no}.",
    gap.value, interval=(gap.low, gap.high),
)  # fmt: skip

# %% [markdown]
# How a small judge does says little of a strong one; what it shows is that a judge wants a
# test of its own, against answers whose mark is known.
#
# ## 7. Code is judged by running it
#
# A task with a sterner judge: given a function, write its unit tests. A model that is good at
# it takes longer to tune than this lesson has. So the writers are *programs*: the one that
# makes the task's records, and three spoilt versions of it.

# %% tags=["nbval-check-output"]
from ftlab.teaching.lesson07 import only_typical, wrong_value

unit_tests = tasks.get("unit_tests")
asked = unit_tests.examples(MODULES, seed=SEED, split="test")
full = [data.answer(record) for record in asked]
writers = {
    "careful": full,
    "typical cases only": [only_typical(module) for module in full],
    "one wrong value": [wrong_value(module) for module in full],
    "only claims": ['print("Ran 4 tests: OK")'] * MODULES,
}
print(data.prompt(asked[0])[-1]["content"])
print(full[0])

# %% [markdown]
# How good are tests? Tests that fail on the true function are worth nothing. Those that pass
# have to show that they can fail: small faults are put into the function, one at a time.
# Each such **mutant** that no test notices has *survived*.
#
# **Predict.** Order the four writers by the share of mutants that they kill. Then order them
# by BLEU against the careful one.

# %%
from ftlab.evaluation import metrics, mutation

graded = {name: mutation.grade_all(asked, modules) for name, modules in writers.items()}
print(f"{'':20} pass  killed                BLEU")
killed, alike = {}, {}
for name, rows in graded.items():
    found = mutation.figures(rows, seed=SEED)
    killed[name], alike[name] = found["killed"], metrics.bleu(writers[name], full)
    passing = found["passes"].value
    print(f"{name:20} {passing:.2f}  {killed[name]!s:20}  {alike[name]:5.1f}")
assert killed["careful"].value > killed["typical cases only"].value
assert killed["one wrong value"].value == killed["only claims"].value == 0
mutation.table(graded["careful"])

# %% [markdown]
# The module that prints “OK” earned nothing: what code says of itself does not count. It was
# not even run, since it does more than call and assert. The others ran in a sandbox, and
# their results came through a channel that no printed line reaches.
#
# One wrong value hardly changes the words, and makes the tests useless. Is BLEU as blind to
# the functions themselves? Take each function, all its mutants (wrong), and a copy with other
# names in it (right).

# %%
from ftlab.evaluation.mutants import normal
from ftlab.teaching.lesson07 import other_names

fooled, pairs = [], []  # of each function
for record, one in zip(asked, graded["careful"]):
    right_one = other_names(one.target)
    assert mutation.grade(data.answer(record), right_one, most=1).passes
    reference = [normal(one.target)]
    truly = metrics.bleu([right_one], reference)
    pairs.append(len(one.mutants))
    fooled.append(sum(metrics.bleu([m.source], reference) > truly for m in one.mutants))
share = bootstrap(fooled, pairs, seed=SEED)
word = "not seen here" if share.low > 0.5 else "depends"
ledger.record(
    40, "holds" if share.high < 0.1 else word,
    f"Of {sum(pairs)} pairs, from {len(pairs)} functions, BLEU put in {share} a "
    "function with a fault above a right one with other names in it.",
    share.value, interval=(share.low, share.high),
)  # fmt: skip

# %% [markdown]
# Which faults did even the careful tests miss? This is what to show whoever writes tests:

# %%
worst = max(graded["careful"], key=lambda one: len(one.survivors))
print(worst.target)
print("\n".join(mutation.show(worst).splitlines()[:13]))

# %% [markdown]
# **Exercise 07.5.** Now you. Orders of 50 or more are free of charge, others cost 5:
#
#     def fee(total):
#         if total >= 50:
#             return 0
#         return 5
#
# Write `passes`, which calls the `fee` that it is given, and returns True for the true
# function and False for every mutant. How few calls will do? Totals are whole numbers.


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
# ## 8. What do 1,000 answers cost?
#
# Whoever puts examples into the prompt pays for them with every question. A fine-tune reads
# them once. The price table is a file that you can edit; its prices here are made up, and a
# tuned model's tokens have twice the price.
#
# **Exercise 07.6.** Return what 1,000 answers cost.


# %% tags=["exercise", "nbval-check-output"]
def money(tokens_in, tokens_out, price_in, price_out):
    """For 1,000 answers: tokens are per answer, prices per million tokens."""
    # solution:
    return (tokens_in * price_in + tokens_out * price_out) / 1000
    # stub:
    # ...
    # end


check("07.6", money)

# %% [markdown]
# **Predict.** By how much is the tuned model's prompt shorter than the one with examples? And
# is it cheaper, though its tokens cost twice as much?

# %%
paid = {}
for name, row in verdict.costs["systems"].items():
    price, answers = table.of(given[name].system), given[name]
    write = [price.output * n / 1000 for n in answers.tokens_out]
    paid[name] = [price.input * n / 1000 + w for n, w in zip(answers.tokens_in, write)]
    print(
        f"{name:18} {row['tokens_in']:4.0f} tokens in, {row['tokens_out']:3.0f} out, "
        f"{row['seconds']:.3f} s; 1,000 answers: {row['by_token']:.4f} "
        f"{table.currency}, {sum(write) / sum(paid[name]):.0%} of it for what is "
        "written"
    )
long, short = given[prompted.name].tokens_in, given["tuned"].tokens_in
less = bootstrap([a - b for a, b in zip(long, short)], long, seed=SEED)
dear, cheap = paid[prompted.name], paid["tuned"]
saved = bootstrap([a - b for a, b in zip(dear, cheap)], dear, seed=SEED)
word = "depends" if less.low > 0.4 else "not seen here"
ledger.record(
    8, "holds" if less.low > 0.8 and saved.low > 0.5 else word,
    f"Without {SHOTS} examples, a tuned model's prompts are shorter by a share of "
    f"{less}; at twice the price a token, its answers are cheaper by a share of "
    f"{saved}.", less.value, interval=(less.low, less.high),
)  # fmt: skip
assert less.low > 0.4

# %%
even = 2 * sum(dear) / sum(cheap)
print(f"as dear as with examples once a tuned token costs {even:.1f} base tokens")
per_token = table.of(prompted).input / 1000
more = [d + per_token * (a - b) for d, a, b in zip(dear, long, short)]
print(f"against twice the examples, cheaper by {1 - sum(cheap) / sum(more):.0%}")

# %% [markdown]
# Is it cheaper at all? See whether the interval leaves zero out. Most of what a tuned answer
# costs is what is written, and no shorter prompt saves that. More examples, or longer ones
# beside questions as short, raise the share that is saved. Longer texts throughout do not:
# both bills grow alike. And look back at section 5 for what the dearer prompt bought: prices
# compare only where the answers are as good.
#
# ## 9. What did it forget?
#
# The model now restores punctuation. What became of the rest? Sixteen short texts of many
# kinds, none of them for this task, and how many bits a character of them costs.
#
# **Predict.** More bits after the fine-tune, as many, or fewer?

# %%
lost_bits = verdict.forgetting["general"]
for name, figure in lost_bits["models"].items():
    print(f"{name:6} {figure.value:.2f} bits per character")
worse = lost_bits["differences"]["tuned"]
ledger.record(
    37, "holds" if worse.low > 0 else "not seen here",
    f"After {TRAIN} records of one task, sixteen other texts cost {worse} more bits a "
    "character.", worse.value, interval=(worse.low, worse.high),
)  # fmt: skip
change = {
    kind: after.value - before.value
    for kind, before, after in zip(kinds, general["base"], general["tuned"])
}
ordered = dict(sorted(change.items(), key=lambda pair: -pair[1])[:8])
plots.bars(
    ordered, title="The eight that suffered most", xlabel="more bits per character"
)

# %% [markdown]
# Not every text suffers alike. And how does it *write* when it is not asked its one question?

# %%
from ftlab.generation import generate

story_after = continue_text(model, tokenizer, OPENING, max_new_tokens=30)
print(wrap(f"{OPENING} {story_before.strip()[:100]}", "before: "))
print(wrap(f"{OPENING} {story_after.strip()[:100]}", "after:  "))
other = [data.prompt(tasks.get("triage").examples(1, seed=SEED, split="test")[0])]
print("\n" + wrap(other[0][-1]["content"][:160], "asked:  "))
said = generate(model, tokenizer, other, max_new_tokens=60)[0]
print(wrap(said[:160], "after:  "))

# %% [markdown]
# Whatever came back, is it what a model would say that was never tuned? A tuned model is
# *narrow*. That is no fault, as long as nothing else is ever asked of it.
#
# ## 10. The verdict interpreted, and its limits
#
# What can you say now? Better by how much: the difference and its interval. On what: these
# held-out sentences. How sure: the smallest difference that they show. At what price: the
# table. What got worse: the general text. The same from a shell, for models in folders:
#
# `ftlab compare --base ftlab-7m --tuned runs/mine --task punctuation --few-shot 4 --out runs/v`
#
# - **One run.** The interval is about other sentences. About other seeds it knows nothing:
#   where it matters, train several.
# - **One kind of text.** Documentation of Python. Letters may come out otherwise.
# - **A small model**, and a hard push: all of its weights moved, at a high rate. A larger
#   one may gain more from examples in its prompt. Lesson 04 has gentler ways to tune.
# - **Sixteen texts** show damage, not nuances. And the unit tests came from programs, since a
#   model that writes them takes longer to tune.
#
# ## 11. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("07")

# %% [markdown]
# ## 12. Takeaways
#
# 1. **Know how your metric lies** before you trust it, and execute what can be executed.
# 2. **A figure without an interval is an anecdote.** Pair the systems, correct for how
#    many you compared, and let “no difference shown” stand when that is so.
# 3. **Better is not enough**: at what price, on what, and what got worse belong to the
#    verdict.
#
# Next: [08 Break it on purpose](08_break_it_on_purpose.ipynb).
# Everything that went well so far, gone wrong.
