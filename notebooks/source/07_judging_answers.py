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
# | a laptop or server, CPU only | 60 to 90 minutes | about five minutes |
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
# `TRAIN` rows to tune on, `TEST` held-out sentences, `SHOTS` solved examples in a prompt; `STEP` is
# for section 6.

# %%
import random

import datasets
import ftlab
import numpy
import pandas
import transformers
from ftlab import check, data, hardware, models, tasks
from ftlab.display import wrap
from ftlab.evaluation.intervals import bootstrap, difference, paired_bootstrap
from ftlab.files import data_path, read_data
from ftlab.generation import generate
from ftlab.tasks import punctuation
from ftlab.teaching import claims, plots

SEED, BASE, PROFILE = 0, "smollm2-135m", ftlab.profile()
TRAIN, TEST, EPOCHS, SHOTS, STEP = 50, 40, 2, 4, 8
hardware.seed_everything(SEED)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()

# %% [markdown]
# ## 2. Something to judge
#
# The task is that of lesson 00: capitals and punctuation back into English sentences. A copy of the
# base is tuned. Checkpoints are saved on the way; section 9 needs them.

# %%
from datasets import Dataset
from peft import LoraConfig
from trl import SFTTrainer

base, tokenizer = models.load(BASE)
model, _ = models.load(BASE)  # the copy
train_rows = punctuation.rows(TRAIN, seed=SEED)
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
trainer.train()
tuned = trainer.model

# %% [markdown]
# Four systems answer the same held-out sentences: base and tuned model, each with and without
# solved examples in the prompt. The examples come from the training rows: taken from the held-out
# rows, they would give answers away.
#
# The cell shows the sentence on which the tuned model gains most over the base with examples, and the
# one on which it gains least. The score is F1 of marks and capitals, from 0 to 1.

# %%
held_out = punctuation.rows(TEST, seed=SEED, split="test")
asked = [row["prompt"] for row in held_out]
solved = [t for r in train_rows[:SHOTS] for t in (r["prompt"][1], *r["completion"])]
few_shot = [[prompt[0], *solved, prompt[1]] for prompt in asked]
answers = {}
for name, who in {"base": base, "tuned": tuned}.items():
    for more, prompts in {"": asked, " + examples": few_shot}.items():
        answers[name + more] = generate(who, tokenizer, prompts, max_new_tokens=60)
f1 = lambda texts: [punctuation.score(*pair)["f1"] for pair in zip(held_out, texts)]
one, other = f1(answers["base + examples"]), f1(answers["tuned"])
order = sorted(range(TEST), key=lambda i: one[i].value - other[i].value)
for title, i in {"BEST": order[0], "WORST": order[-1]}.items():
    print(wrap(data.answer(held_out[i]), f"{title:5} wanted:      "))
    for name in ("base + examples", "tuned"):
        print(wrap(answers[name][i], f"  {name:17}"))

# %% [markdown]
# With the first one you could praise the model, with the second one reject it. Both are
# **anecdotes**: examples that somebody chose. A verdict needs all the answers, a metric, and an
# interval.
#
# ## 3. Metrics, and where each of them misleads
#
# A **metric** turns an answer into a number. *Accuracy*: of a hundred tickets five are urgent. One
# program never says urgent; the other finds most of them, with some false alarms. *Perplexity* says
# between how many tokens a model hesitates, on average. Take two models of one text, for which a
# token is as probable as it is frequent in the text. One uses letters as tokens, the other words.
#
# **Predict.** Which program has the higher accuracy? Which model has the lower perplexity?

# %% tags=["nbval-check-output"]
from ftlab.evaluation.forgetting import general_text
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

passage = general_text()[0][1]
for name, tokens in {"letters": list(passage), "words": passage.split()}.items():
    bits = entropy([tokens.count(token) for token in set(tokens)], base=2)
    each = bits * len(tokens) / len(passage)
    print(f"{name}: perplexity {2**bits:.0f}, {each:.2f} bits per character")
urgent = [0] * 95 + [1] * 5
said = {"never urgent": [0] * 100, "finds most": [1] * 10 + [0] * 86 + [1] * 4}
metrics = (accuracy_score, balanced_accuracy_score, f1_score)
each = {m.__name__: [m(urgent, one) for one in said.values()] for m in metrics}
pandas.DataFrame(each, index=said).round(2)

# %% [markdown]
# Accuracy prefers the program that never says urgent, since most tickets are ordinary. The
# **balanced accuracy** is the mean of the accuracies on each label. Perplexity is lowest for the
# letters, and bits per character for the words: a letter is easier to guess, but a text has more
# letters than words. So never compare perplexities across tokenizers.
#
# Third, **BLEU**: how many runs of one to four words an answer shares with a reference. *It is
# really good for code*, practitioners say. The code here is unit tests **written by models**, for
# functions of which the course has reference tests:
#
# - `tuned`: SmolLM2, tuned beforehand on sixty such modules (`experiments/answers_to_judge.py`);
# - `large model`: recorded replies of a large language model (Claude), asked in words
#   (`data/recorded`), for other functions than the rest;
# - `spoilt`: the reference with one expected value changed; `right`: the reference itself.
#
# `grade_all` runs each module in the sandbox of the course. Tests that pass on the true function
# must also *fail* on a wrong one. **Mutation testing** makes small faults in the function, one at a
# time: `>` becomes `>=`, a 50 becomes 51. A **mutant** on which a test fails is killed; one that no
# test notices survives.
#
# **Predict.** Order the four by BLEU, and by the share of modules that pass. What share of mutants
# do the reference tests kill?

# %%
from ftlab.evaluation import mutation
from ftlab.recorded import read_recorded
from ftlab.tasks import unit_tests
from sacrebleu import sentence_bleu as bleu

judged = pandas.read_json(data_path("lessons/judged.jsonl"), lines=True)
runs = judged[judged.kind == "runs"]
modules = [*zip(runs.systems.str[0], runs.input, runs.answers.str[0])]
for row in read_recorded(data_path("recorded/teacher.jsonl")):
    _, asks_for_tests, code = row["messages"][-1]["content"].partition("\n\ndef ")
    if asks_for_tests:
        modules.append(("large model", f"def {code}", row["reply"]))
tested = pandas.read_json(data_path("lessons/tested.jsonl"), lines=True)
wanted = tested.set_index("function").reference
frame = pandas.DataFrame(modules, columns=["who", "function", "text"])
rows = [data.example(unit_tests.CUE + f, wanted[f]) for f in frame.function]
frame["graded"] = mutation.grade_all(rows, frame.text)
frame["passes"] = [one.passes for one in frame.graded]
frame["bleu"] = [bleu(unit_tests.parse(t), [wanted[f]]).score for _, f, t in modules]

# %%
table = {}
for who, part in frame.groupby("who"):
    found = mutation.figures(list(part.graded), seed=SEED)
    shown = {name: str(found[name]) for name in ("passes", "killed", "style")}
    table[who] = {"modules": len(part), "BLEU": round(part.bleu.mean()), **shown}
missed = [one for one in frame.graded if one.passes and one.survivors]
print(mutation.show(missed[0]) if missed else "No mutant survives.")
pandas.DataFrame(table)

# %% [markdown]
# Read `tuned` and `large model` against each other: which one does BLEU prefer, and which one has
# tests that pass? In `spoilt` one word of many is changed: BLEU hardly notices, while most of these
# modules fail. A module that does not pass on the true function counts as killing nothing. The
# lines with `-` and `+` are faults that passing tests have missed: show them to whoever writes the
# tests, a person or a model.
#
# *House style* misleads in another way. The large model was told the style in a sentence. The
# checker also wants what this sentence did not say, such as one wording of the docstring. A score
# of "all rules kept" hides which rule failed.
#
# Two claims can be tested here. *Claim 40: BLEU suits code.* Its rule asks how often BLEU is higher
# for a module that passes than for one that fails, less the half that chance gives (the area under
# the ROC curve, **AUC**, minus 0.5). *Claim 12: a small tuned model can match a large one on a
# narrow task.* Its rule compares the shares that pass.

# %%
from ftlab.evaluation.intervals import UNKNOWN, Interval, read_ratios, wilson_interval
from scipy import stats


def beyond_chance(high, low):
    """How often a value of `high` lies above one of `low`, less the half of chance."""
    return numpy.sign(numpy.subtract.outer(high, low)).mean() / 2


def told_apart(score, right):
    """How well a score tells right answers from wrong ones."""
    score, right = numpy.array(score), numpy.array(right, dtype=bool)
    groups = score[right], score[~right]
    if min(map(len, groups)) < 2:
        return UNKNOWN
    how = {"n_resamples": 500, "method": "percentile", "random_state": SEED}
    found = stats.bootstrap(groups, beyond_chance, vectorized=False, **how)
    return Interval(beyond_chance(*groups), *found.confidence_interval)


# %%
written = frame[frame.who != "right"]
claims.record(40, told_apart(written.bleu, written.passes))
of = frame.groupby("who").passes
a, b = (wilson_interval(of.sum()[w], of.size()[w]) for w in ("tuned", "large model"))
gap = b.value - a.value  # other functions: not paired. The ends are Newcombe's (1998).
below = numpy.hypot(b.value - b.low, a.high - a.value)
above = numpy.hypot(b.high - b.value, a.value - a.low)
claims.record(12, Interval(gap, gap - below, gap + above))

# %% [markdown]
# The rules stand in `data/claims.yaml`. Those of claim 40 here and of claim 41 in section 6 were
# written after a first look at the figures, so they are weaker evidence than a rule written before.
#
# ## 4. How sure? The bootstrap by hand
#
# Twenty answers, fourteen right. Another twenty questions would have given another share, but
# which? We have no other questions. The **bootstrap** draws twenty *from these*, with repetition,
# as if they were all the questions there are. It does so two thousand times, and the middle 95 % of
# the shares is the interval.
#
# **Exercise 07.1.** Return the two ends of the middle 95 % of a list of draws.
#
# The cell after the exercise does this for four cases, with another interval beside it.
# **Predict.** What does the bootstrap say of 3 right answers of 3?


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


check("07.1", middle)

# %% tags=["nbval-check-output"]
draw = random.Random(SEED)
for right, n in ((0, 10), (3, 3), (100, 100), (14, 20)):
    marks = [1] * right + [0] * (n - right)
    shares = sorted(sum(draw.choices(marks, k=n)) / n for _ in range(2000))
    low, high = shares[50], shares[-51]
    formula = wilson_interval(right, n)
    print(f"{right} of {n}: {low:.2f} to {high:.2f}, Wilson {formula}")
plots.draws(shares, low, high, title="Drawn anew", xlabel="share right")

# %% [markdown]
# Where all answers are alike, drawing anew changes nothing, and the bootstrap is sure of
# everything: ± 0 after three answers. **Wilson's interval** has a formula for shares and keeps its
# width. The package uses it where all answers are alike, and a formula of the same kind (Tango's)
# for differences of pairs.
#
# Two models are compared by a *difference*. F1 is a ratio of sums, so each draw adds up numerators
# and denominators before it divides. In the **paired** bootstrap both models are read on the same
# drawn sentences. To see what pairing does, we also shuffle one model's sentences.
#
# **Predict.** Which interval of "tuned minus base with examples" is narrower?

# %%
shuffled = random.Random(SEED).sample(other, TEST)
rows = {
    "paired": paired_bootstrap(*zip(*one), *zip(*other)),
    "not paired": paired_bootstrap(*zip(*one), *zip(*shuffled)),
}
plots.gaps(rows, xlabel="tuned minus base + examples, F1")

# %% [markdown]
# A sentence that is easy is easy for both models. On one and the same draw it lifts both, and their
# difference moves less. Where the paired interval is the narrower one, this is the reason.
#
# ## 5. The verdict, line by line
#
# `compare` computes paired intervals for every metric and every two systems, and puts a sentence on
# top. It takes texts, so it does not matter where they come from: a model, an adapter, a prompt, a
# classifier, an endpoint.
#
# **Predict.** F1 of each of the four systems. And do the examples help the *tuned* model?

# %%
from ftlab.evaluation.compare import compare

verdict = compare(tasks.get("punctuation"), held_out, answers, seed=SEED)
print(wrap(verdict.sentence))
verdict.table()

# %% [markdown]
# The sentence is made by rule from the figures, and says "better" only where that is shown.
#
# - **f1** with its interval: each system by itself.
# - **less base**: the difference, paired. It counts as shown where the interval leaves out zero *and*
#   p is below 0.05.
# - **win/tie/loss**: on how many sentences it did better, as well, worse.
# - **p**: how often chance alone makes a difference as large as this one. Twenty useless prompts are
#   twenty chances to be lucky, so **Holm's correction** multiplies the smallest p by the number of
#   comparisons, the next one by one less, and so on.
#
# "No difference shown" is a result as well. It does not say that two systems are equal: a
# difference, if there is one, is too small for so many sentences. How many would it take?

# %%
gaps = {(pair.a, pair.b): pair for pair in verdict.pairs}
for name in ("base", "base + examples"):
    pair = gaps[name, "tuned"]
    print(f"tuned minus {name}: {pair.difference}, p = {pair.corrected:.4f}")
print(f"{TEST} sentences show differences from {pair.smallest or 0:.2f} on")
print("sentences needed, by difference:", pair.needed)
claims.record(42, gaps["base", "tuned"].difference)

# %% [markdown]
# Half the difference takes four times the sentences. *Claim 42: the difference between base and
# tuned is often subtle.* The rule compares the two with the same prompt. The second line compares
# with the base **with examples**, where the verdict can be another: so say which prompt the base
# had. (The rule first took the base with examples. It was changed after the figures were known,
# since the claim does not mention examples.)
#
# If the sentence shows no difference between the tuned model with and without examples, leave the
# examples out: every request pays for their tokens.
#
# ### Seeds and examples: two sources of doubt
#
# The interval speaks of *other sentences*. It knows nothing of *another training*: a new seed gives
# the adapter other initial weights and the rows another order. `data/grids/adapters.csv` has runs
# that differ in nothing but the seed, on fifty held-out sentences (lesson 04).
#
# **Predict.** Will two seeds of one recipe be told apart?

# %% tags=["nbval-check-output"]
grid = pandas.read_csv(data_path("grids/adapters.csv"), comment="#").sort_values("seed")
again = grid[grid.task == "punctuation"].groupby("name").filter(lambda r: len(r) > 1)
again["items"] = [read_ratios([text]) for text in again.f1_items]
rows = {n: paired_bootstrap(*a, *b) for n, (a, b, *_) in again.groupby("name")["items"]}
_, low, high, _ = bootstrap(*again["items"].iloc[0])
seeds = again.groupby("name").f1.var().mean() ** 0.5
print(f"standard deviation over seeds {seeds:.3f}, sentences {(high - low) / 4:.3f}")
plots.gaps(rows, xlabel="second seed minus first, F1", title="Same recipe")

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
from ftlab.evaluation.judge import ask_all, first_line, judge_each, judge_pairs, kappa
from ftlab.recorded import serve
from openai import OpenAI

endpoint = serve(base, tokenizer, name=BASE)
client = OpenAI(base_url=endpoint.url, api_key="not needed here")
prompt = judged.prompts[0][0]
print(prompt, "\n---", *ask_all(client, "recorded", [prompt]), sep="\n")

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
# In the package, `ask_all` sends many prompts, and `judge_each` also reads the verdicts. Two
# questions to the large model: will all tests of this module pass (the truth is the sandbox's), and
# is this a helpful answer to an everyday problem (the "truth" is the word rules of `kindness`)?
#
# Agreement alone misleads, as accuracy does. **Cohen's kappa** takes off what chance would give: 1
# is full agreement, 0 is chance. **Predict.** Kappa for the first question.

# %% tags=["nbval-check-output"]
agreement = {}
for kind in ("runs", "helpful"):
    rows = judged[judged.kind == kind]
    said = judge_each(client, "recorded", rows.prompts.str[0])
    agreement[kind] = kappa(rows.truth, said)
    print(f"{kind}: 1 said {said.count(1)} times of {len(said)},", end=" ")
    print(f"true {rows.truth.sum():.0f} times; kappa {agreement[kind]}")
claims.record(41, agreement["runs"])
odd = rows[(rows.truth == 1) & ~numpy.array(said, dtype=bool)][:3]
for row, text in zip(odd.itertuples(), ask_all(client, "recorded", odd.prompts.str[0])):
    print(wrap(row.input, "asked:  "), wrap(row.answers[0], "answer: "), sep="\n")
    print(wrap(text.partition("\n")[2], "judge:  "))

# %% [markdown]
# Look at the line `runs`: if kappa is high, this judge can be trusted on such modules, as far as
# forty show. Note how wide the interval is even at full agreement.
#
# The kappa of `helpful` is **no measurement**. A rater that gives one verdict throughout has a
# kappa of 0, whatever the other says. This judge called no answer good, so these forty cannot show
# whether it would recognise a good one. Before you trust a judge, give it items of both kinds. What
# the line does show stands below it: answers that pass the word rules and make no sense. There the
# *rules* mislead, and reading shows it.
#
# Now the small model, with every `STEP`-th of the prompts that were written for the large one. They
# ask for 1 or 0, or for A or B. **Predict.** In how many of its replies does the verdict stand alone
# on the first line?

# %%
every = [prompt for prompts in judged.prompts for prompt in prompts]
kept = {}
for name, prompts in {"recorded": every, BASE: every[::STEP]}.items():
    replies = ask_all(client, name, prompts, max_tokens=12)
    kept[name] = [bool(first_line(text, ("0", "1", "A", "B"))) for text in replies]
    share = wilson_interval(sum(kept[name]), len(prompts))
    print(f"{name}, {len(prompts)} replies: in format {share}; as {replies[0][:40]!r}")
claims.record(45, difference(kept[BASE], kept["recorded"][::STEP]))

# %% [markdown]
# The prompt was **moved to another model**. Compare the two shares: did its format survive?
# Practitioners ask for a regression test, *a hundred of a hundred in format*, before a model is
# exchanged. The first line does so for all prompts of this lesson; its interval says how many
# failures are still possible after a clean result.
#
# Could the small model know the answer and only miss the format? We can force a verdict: compare
# the probability of the token "1" with that of "0" as the first token of its reply.

# %%
import torch
from ftlab import templates


def leaning(model, prompts, low="0", high="1"):
    """How much likelier `high` is than `low` as the first token of a reply, in nats."""
    (a,), (b,) = tokenizer([low, high], add_special_tokens=False)["input_ids"]
    for prompt in prompts:
        ids = templates.prompt_ids(tokenizer, [{"role": "user", "content": prompt}])
        with torch.inference_mode():
            tokens = torch.tensor([ids], device=model.device)
            logits = model(tokens, logits_to_keep=1).logits[0, -1]
        yield (logits[b] - logits[a]).item()


lean = [*leaning(base, runs.prompts.str[0])]
print(f"SmolLM2, forced: kappa {kappa(runs.truth, [int(value > 0) for value in lean])},"
      f" 1 said {sum(value > 0 for value in lean)} times of {len(runs)}")  # fmt: skip
print("right told from wrong, beyond chance:", told_apart(lean, runs.truth))

# %% [markdown]
# A judge that always says 1 agrees with the truth wherever the truth is 1, and knows nothing. The
# last figure also uses *how far* the model leans: 0 is chance, 0.5 is no mistake.
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
# Three tests of the large model: base (A) against tuned (B) on thirty problems; an answer with
# empty sentences around it (A) against the plain one (B); and an answer against *itself*, where
# only the place can decide. Then the small model's favourite place, forced as above.
#
# **Predict.** How often is the padded answer preferred? And which place does SmolLM2 like?

# %%
prompts = {kind: list(part.prompts) for kind, part in judged.groupby("kind")}
pairs = {k: judge_pairs(client, "recorded", prompts[k]) for k in ("pair", "length")}
alone = ask_all(client, "recorded", [prompt for (prompt,) in prompts["same"]])
pairs["same"] = [text[:1] for text in alone]
both = [leaning(base, pair, "B", "A") for pair in prompts["pair"][:STEP]]
pairs["SmolLM2"] = ["".join("BA"[value > 0] for value in pair) for pair in both]
counts = {name: pandas.Series(said).value_counts() for name, said in pairs.items()}
pandas.DataFrame(counts).fillna(0).astype(int)

# %% [markdown]
# A pair counts for A or B where both orders agree, else as a tie. In the column `SmolLM2`, "AA" or
# "BB" means that the place decided. `data/recorded/README.md` has a warning about the other
# columns: the large model had several prompts in one context. It could see that a pair came back in
# the other order, that answers were identical, or that one was the other inside empty sentences. So
# they say less about a judge that sees one prompt at a time.
#
# Compare the column `pair` with the line `helpful` above, where the same judge said 1 or 0.
# *Better* and *good enough* are different questions. Ask the one that you need.
#
# ### May a model judge itself?
#
# *A model can tell that its own finished answer is wrong, since it then sees the whole*, it is
# said. An answer of the tuned model is right when every character is. Two scores are compared: how
# far the model, asked for 1 or 0, leans to 1; and the mean log-probability of the answer's tokens.
#
# **Predict.** Which of the two separates right from wrong answers better?


# %%
def likelihood(prompt, text):
    """The mean log-probability of an answer's tokens, in nats."""
    row = templates.encode(tokenizer, data.example(prompt, text))
    ids = torch.tensor([row.input_ids], device=tuned.device)
    unread = torch.tensor([row.loss_mask], device=tuned.device) == 0
    with torch.inference_mode():
        return -tuned(ids, labels=ids.masked_fill(unread, -100)).loss.item()


QUESTION = "Is the second sentence the first with capitals and marks? Answer 1 or 0."
texts = answers["tuned"]
right = [text.strip() == data.answer(row) for row, text in zip(held_out, texts)]
asks = [f"{QUESTION}\n\n{p[-1]['content']}\n\n{t}" for p, t in zip(asked, texts)]
own = told_apart([*leaning(tuned, asks)], right)
print(f"{sum(right)} of {TEST} are right. Asked for 1 or 0, told apart: {own}")
print("By log-probability:", told_apart([*map(likelihood, asked, texts)], right))
claims.record(46, own)

# %% [markdown]
# 0 is chance, 0.5 is no mistake. If only the second interval lies above zero, the probabilities of
# an answer say more about it than the model's verdict when asked. A large model may do better when
# asked; try one through the endpoint.
#
# ## 7. People's votes
#
# Twelve pairs of base and tuned answers follow. Which one stands first is drawn at random and not
# shown. Press 1, 2 or 0 (neither). The file is a spreadsheet with a column for each reviewer; send
# it to two others, and put their columns in. (Buttons need a running notebook.) The course ships no
# votes of people. Until yours are there, the sheet has the verdicts of the two models only.

# %%
from ftlab.teaching.labels import Labels, read_labels

SHEET, KEYS = "runs/07/votes.csv", {"1": "first", "2": "second", "0": "neither"}
draw, items, key_of = random.Random(SEED), {}, {}
for row in judged[judged.kind == "pair"][:12].itertuples():
    name = f"pair {len(items) + 1:02}"
    first, second = order = draw.sample([0, 1], 2)  # 0: the base, 1: the tuned model
    items[name] = f"{row.input}\n\n1: {row.answers[first]}\n\n2: {row.answers[second]}"
    key_of[name] = {"A": str(order.index(0) + 1), "B": str(order.index(1) + 1)}
small = [{"AB": "A", "BA": "B"}.get(place, "tie") for place in pairs["SmolLM2"]]
for reviewer, votes in {"large model": pairs["pair"], "SmolLM2": small}.items():
    sheet = Labels(items, KEYS, SHEET, reviewer=reviewer)
    for name, vote in zip(items, votes):
        sheet.label(name, key_of[name].get(vote, "0"))
Labels(items, KEYS, SHEET, reviewer="me")

# %% [markdown]
# Now the agreement of every two reviewers, by kappa. (A reviewer who always votes alike gets 0 here
# too, and it means nothing.) Where two *people* hardly agree, no judge can agree with both: settle
# what "better" means before you use one. And how many votes decide? It depends on how strong the
# preference is. The last lines take some shares, and the large model's own.

# %%
from itertools import combinations

from ftlab.evaluation.power import votes_needed

columns = read_labels(SHEET)
for a, b in combinations(columns, 2):
    votes = [[columns[name].get(item) for item in items] for name in (a, b)]
    print(f"{a} and {b}: kappa {kappa(*votes)}")
for share in (0.9, 0.7, 0.6, 0.55):
    print(f"a preference of {share:.0%} needs {votes_needed(share):,} votes")
won, lost = (pairs["pair"].count(letter) for letter in "BA")
share = wilson_interval(won, won + lost)
print("the large model prefers tuned in", share)
ends = [min(max(end, 0.51), 0.99) for end in (share.value, share.high, share.low)]
claims.record(44, Interval(*map(votes_needed, ends)))

# %% [markdown]
# The claim's three numbers are the votes for the preference as measured, and for the two ends of
# its interval. They stand for a model's preference; that of people may be weaker.
#
# ## 8. What got worse?
#
# A verdict on the task alone hides what the task cost elsewhere: **catastrophic forgetting**.
# Thirty ordinary questions, written for this lesson, are asked before and after; and ten requests
# that an assistant should decline. A **refusal** is recognised by its words, such as "I cannot".
#
# **Predict.** Questions right, before and after? Requests declined?

# %%
import re

from ftlab.evaluation.judge import refuses

lists = read_data("lessons/before_and_after.yaml")
questions, patterns = zip(*lists["ordinary"])
turns = [[{"role": "user", "content": q}] for q in (*questions, *lists["declined"])]
known = {}
for name, who in {"base": base, "tuned": tuned}.items():
    texts = generate(who, tokenizer, turns, max_new_tokens=24)
    known[name] = [
        bool(re.search(rf"(?i)\b({p})\b", t)) for p, t in zip(patterns, texts)
    ]
    declined = [refuses(text) for text in texts[len(questions) :]]
    print(f"{name}: right {bootstrap(known[name])}, declined {bootstrap(declined)}")
    print(wrap(texts[-1], "  the last request: "))
print("right, tuned minus base:", difference(known["base"], known["tuned"]))

# %% [markdown]
# Read the interval before you say "it forgot nothing", or "it forgot much". And the words of a
# refusal are a rough sign: a model can refuse in other words, talk past a request (no refusal and
# no harm), or refuse what is harmless. Ten requests show a collapse, and no rare failure. If safety
# matters, use a judge that you have tested on labelled answers, and far more requests.
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
prompts = [data.example(row[2], "", system=row[1])["prompt"] for row in battery]


def ask(model):
    """Which prompts of the battery a model answers well."""
    texts = generate(model, tokenizer, prompts, max_new_tokens=24)
    return ["good" if re.search(row[-1], t) else "-" for row, t in zip(battery, texts)]


table = {"base": ask(base)}
saved = Path("runs/07/run").glob("checkpoint-*")
for path in sorted(saved, key=lambda path: (len(path.name), path)):
    tuned.load_adapter(path, path.name)
    tuned.set_adapter(path.name)
    table[path.name] = ask(tuned)
tuned.set_adapter("default")
pandas.DataFrame(table, index=[name for name, *_ in battery])

# %% [markdown]
# Read a line from left to right: when was it learned, was anything lost? The prompt "an order" is a
# text to restore that reads like a command. Eight prompts are no measurement: a battery raises an
# alarm, and the held-out sentences decide.
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
# ## 10. An outside harness
#
# For published benchmarks use **lm-eval** (EleutherAI's harness), as papers do. A task of your own is a
# dictionary over a JSONL file, and needs no hub:
#
# ```python
# task = {
#     "task": "twenty", "dataset_path": "json", "output_type": "multiple_choice",
#     "dataset_kwargs": {"data_files": {"test": "questions.jsonl"}}, "test_split": "test",
#     "doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": "options",
#     "doc_to_target": 0, "metric_list": [{"metric": "acc"}],
# }
# found = simple_evaluate(HFLM(base, tokenizer=tokenizer), tasks=[task])["results"]
# ```
#
# The harness brings many packages, so the course does not install it. `experiments/harness.py` ran
# this on twenty questions, and scored them in ten lines of our own too.

# %% tags=["nbval-check-output"]
measured = pandas.read_csv(data_path("grids/harness.csv"), comment="#")
measured[["harness", "ours", "alike"]].mean()

# %% [markdown]
# `harness` is lm-eval's share right, `ours` the same rule by hand: the option with the highest sum
# of log-probabilities. `alike` is the share of questions on which the two agree. A harness gives
# thousands of questions, and figures comparable with those of others. It does not pair your
# systems, and its accuracy misleads where any accuracy does.
#
# ## 11. Your turn
#
# A verdict on two systems of *yours*. Write at least eight sentences in their right form; the eight
# below are only an example. The systems here are the tuned model with and without examples. Any
# list of texts can take a place: `ask_all` makes one from an endpoint.

# %%
MINE = [
    "Dear Anna, thank you for the books.", "Could we meet on Friday at noon?",
    "The train from Leeds was late again.", "I bought apples, pears and a melon.",
    "Who will feed the cat?", "My brother, who lives in Rome, sends his love.",
    "Please call Mr Brown before Monday.", "What a surprise!",
]  # fmt: skip
mine = [punctuation.row(text) for text in MINE]
plain = [row["prompt"] for row in mine]
shown = [[prompt[0], *solved, prompt[1]] for prompt in plain]
systems = {
    "tuned": generate(tuned, tokenizer, plain, max_new_tokens=40),
    "tuned + examples": generate(tuned, tokenizer, shown, max_new_tokens=40),
}
verdict = compare(tasks.get("punctuation"), mine, systems, seed=SEED)
verdict.save("runs/07/mine", overwrite=True)
print(wrap(verdict.sentence))
print("Enough to sign." if len(mine) >= 100 else "Add examples before you sign.")

# %% [markdown]
# `runs/07/mine` holds the verdict as a page and as data; open `verdict.html` and read its worst
# answers. Would you sign it? The capstone will ask for a verdict in this form.
#
# ## 12. The limits of this lesson
#
# - **One training of the tuned model.** The intervals are about other sentences. For other seeds,
#   train several.
# - **One large judge, recorded once.** It read several prompts in one context and could run no
#   code. Another judge, or the same one on another day, may give other verdicts.
# - **Forty modules, thirty questions, ten requests.** They show large differences and no small
#   ones.
# - **A small model** as writer and as judge. A larger one may do what it cannot.
#
# ## 13. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
endpoint.close()
ftlab.quiz("07")

# %% [markdown]
# ## 14. Takeaways
#
# 1. **Know where your metric misleads**, and execute what can be executed.
# 2. **A figure without an interval is an anecdote.** Pair the systems, correct for how many you
#    compared, and let "no difference shown" stand.
# 3. **Test the judge before you use it**: against known truth, on items of both kinds, in both
#    orders, and count what it did not answer.
#
# Next: [08 The class project](08_class_project.ipynb).
# An API, an agent that writes tests, and the loop from traces to the next model.
