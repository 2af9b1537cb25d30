# %% [markdown]
# # 00 Start here: your first fine-tune, and proof that it worked
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/00_start_here.ipynb)
#
# **What you will build**: a model that puts capitals and punctuation back into English
# sentences, made from one that cannot, and an honest verdict on how much better it became.
#
# **Prerequisites**: you read and write simple Python. No GPU, no key, no account, and no
# machine learning yet.
#
# | where | reading, doing and running | of it, training |
# |---|---|---|
# | a laptop or server, CPU only | about three quarters of an hour | two to five minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Run the cells from top to bottom with **Shift+Enter**. Now and then you are asked to write
# down what you expect *before* you run a cell. Do: a guess that turns out wrong is what you
# will remember.

# %%
# On Colab this installs the course; anywhere else it does nothing.
import subprocess
import sys

REPOSITORY = "https://github.com/ftlab-course/ftlab"

if "google.colab" in sys.modules:
    wanted = f"ftlab @ git+{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)

# %% [markdown]
# ## 1. This machine, and this course
#
# One cell holds everything that you may want to change. `MINE` is a sentence of your own,
# in lower case and without any marks: write one that you would like to see restored.

# %%
import ftlab
from ftlab import data, hardware

SEED = 0
# Small enough for any machine; the name of a Hugging Face model would do as well.
BASE = "ftlab-7m"
MINE = "yesterday i met anna in london and asked her where are you going"
PROFILE = ftlab.profile()
TRAIN, TEST, EPOCHS = PROFILE.records, 200, 2

hardware.seed_everything(SEED)
hardware.versions()

# %% [markdown]
# What can this machine do? The course asks once, and chooses accordingly. Nothing else in
# the notebooks depends on the hardware, and each choice comes with its reason.

# %%
PROFILE

# %% [markdown]
# Where does the road go from here? Nine lessons, and each group of them answers a question.

# %% tags=["nbval-check-output"]
from ftlab.teaching import plots

plots.course_map("00")

# %% [markdown]
# Every lesson makes the same promise: it trains a real model within minutes on the machine
# you have, and ends with a verdict on text that the model has never seen. No number in the
# prose is to be believed; the cells print them, and you can run them again.

# %% [markdown]
# ## 2. A task, and a model that cannot do it
#
# The task has to be one where everybody sees at once whether it worked. Ours is this:

# %% tags=["nbval-check-output"]
from ftlab import tasks
from ftlab.teaching.show import wrap

task = tasks.get("punctuation")
print(wrap(task.describe))

# %% [markdown]
# Examples cost nothing here, because *un*-doing the task is easy. From any written sentence
# we get the question by taking its marks away; the answer is the sentence itself.

# %% tags=["nbval-check-output"]
from ftlab.tasks.punctuation import strip

written = "Where is Anna? She went to London, I think."
print("question:", strip(written))
print("answer:  ", written)

# %% [markdown]
# Now the model. It is a small one that this course trained from nothing, on books and on
# Python code. It has read a lot, but nobody ever taught it to *do* anything: such a model is
# called a **base model**.

# %%
from ftlab import models

model, tokenizer = models.load(BASE)
print(f"{sum(p.numel() for p in model.parameters()):,} weights")
print(f"{len(tokenizer):,} tokens in its vocabulary")

# %% [markdown]
# A base model continues text. Give it the start of a sentence, and it writes on.

# %%
start = tokenizer("It was a dark and stormy night, and", return_tensors="pt")
start = {name: start[name].to(model.device) for name in ("input_ids", "attention_mask")}
more = model.generate(**start, max_new_tokens=30, pad_token_id=tokenizer.pad_token_id)
print(wrap(tokenizer.decode(more[0], skip_special_tokens=True)))

# %% [markdown]
# **Predict.** What will it answer when it is asked to restore your sentence: the sentence
# restored, the sentence as it is, or something else? Write it down.

# %%
my_prediction = "..."

# %%
from ftlab.generation import generate

ask_mine = [task.prompt(MINE)]
before = generate(model, tokenizer, ask_mine, max_new_tokens=64)[0]
print("you expected:", my_prediction)
print("asked:       ", strip(MINE))
print(wrap(repr(before[:100]), "answered:     "))

# %% [markdown]
# It goes on writing, in English or nearly, but it does not do what was asked. It knows much
# about sentences and nothing about our wish. Fine-tuning is how we tell it: by examples.

# %% [markdown]
# ## 3. What one example becomes
#
# An example is called a **record**: messages go in, and the completion is what we want out.

# %% tags=["nbval-check-output"]
record = data.example(task.prompt(written), written)
for message in data.prompt(record):
    print(f"{message['role']}: {message['content']}")
print(f"completion: {data.answer(record)}")

# %% [markdown]
# A model does not know messages, it knows one stream of text. A **chat template** writes the
# messages down with markers that say who speaks. Look at where the prompt stops: that is
# where the model will have to go on.

# %% tags=["nbval-check-output"]
from ftlab import templates

print(templates.prompt_text(tokenizer, data.prompt(record)))

# %% [markdown]
# Then the text is cut into **tokens**, pieces of words, and each has a number.
#
# **Predict.** Of all the tokens in this record, on how many should the model be trained: on
# all of them, or on some? Which?

# %% tags=["nbval-check-output"]
encoded = templates.encode(tokenizer, record)
pieces = [tokenizer.decode([token]) for token in encoded.input_ids]
print(len(pieces), "tokens; the last ten:")
for piece, token, on in list(zip(pieces, encoded.input_ids, encoded.loss_mask))[-10:]:
    print(f"{token:6d}  {'loss' if on else '    '}  {piece!r}")

# %% [markdown]
# Only the tokens that the model will have to write itself carry loss. The **loss mask** says
# which these are; here it is in colour, for the whole record.

# %%
from IPython.display import HTML

HTML(templates.mask_html(tokenizer, encoded))

# %% tags=["nbval-check-output"]
supervised = sum(encoded.loss_mask)
print(f"{supervised} of {len(encoded.input_ids)} tokens carry loss")
last = max(i for i, on in enumerate(encoded.loss_mask) if on)
print("the last of them:", repr(pieces[last]))

# %% [markdown]
# The last one deserves a second look: it is the marker that ends the turn. It carries loss
# as well, because stopping is a part of the answer that has to be learned too.
#
# What about a record that is too long for the model? Cut short, it would lose just that
# marker, and nobody would notice. So our trainer refuses, and says what to do.

# %% tags=["nbval-check-output"]
from ftlab.errors import DataError
from ftlab.training import sft

try:
    sft.prepare(tokenizer, [record], max_length=20)
except DataError as error:
    print(wrap(error))

# %% [markdown]
# ## 4. Learning, with three tokens
#
# How do examples change a model? Small enough to do by hand: a language of three tokens. A
# text has just said *where is anna*, and the model gives each possible next token a score.
# Scores become probabilities by exponentiating them and dividing by the sum (**softmax**).

# %% tags=["nbval-check-output"]
import math

names = [".", "?", "!"]
scores = [2.0, 1.0, 0.0]
powers = [math.exp(score) for score in scores]
probabilities = [power / sum(powers) for power in powers]
for name, probability in zip(names, probabilities):
    print(f"{name}  {probability:.3f}")

# %% [markdown]
# The right token is the question mark. How wrong is the model? One number says it, the
# **loss**: minus the logarithm of the probability that the right token got. A sure and right
# guess costs nothing; a sure and wrong one costs a lot.
#
# **Exercise 00.1.** Write it as a function. Stuck? `hint("00.1", 1)`, then `hint("00.1", 2)`.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def token_loss(probabilities, target):
    """The loss of one token, in nats; `target` is the position of the right token."""
    # solution:
    return -math.log(probabilities[target])
    # stub:
    # ...
    # end


check("00.1", token_loss)

# %% [markdown]
# By hand and by PyTorch, it is the same number.

# %% tags=["nbval-check-output"]
import torch

target = names.index("?")
by_hand = -math.log(probabilities[target])
logits = torch.tensor([scores], requires_grad=True)
by_torch = torch.nn.functional.cross_entropy(logits, torch.tensor([target]))
print(f"by hand {by_hand:.4f}, by torch {by_torch.item():.4f}")
assert math.isclose(by_hand, by_torch.item(), rel_tol=1e-5)

# %% [markdown]
# Now the step that is repeated in all of deep learning: ask in which direction each score
# should move for the loss to fall (the **gradient**), and move it a little that way.
#
# **Predict.** Which of the three scores will go up, and which will go down?

# %% tags=["nbval-check-output"]
by_torch.backward()
moved = (logits - 1.0 * logits.grad).detach()
after_step = torch.softmax(moved, dim=-1)[0].tolist()
for name, old, new in zip(names, probabilities, after_step):
    print(f"{name}  {old:.3f} -> {new:.3f}")

# %% tags=["nbval-check-output"]
shown = {"before the step": probabilities[target], "after it": after_step[target]}
plots.bars(shown, title="How likely is the question mark?", xlabel="probability")

# %% [markdown]
# One score went up, the others went down, and the question mark is likelier than before. A
# fine-tune is this step over and over. The only difference: instead of three scores, what
# moves are all the weights of the model that make the scores.
#
# A record has many tokens, and each has its loss. The loss of the record is the mean over
# those that the mask lets through.
#
# **Exercise 00.2.** `losses` and `mask` are lists of the same length.


# %% tags=["exercise", "nbval-check-output"]
def record_loss(losses, mask):
    """The mean loss of the tokens whose mask is 1."""
    # solution:
    return sum(loss * on for loss, on in zip(losses, mask)) / sum(mask)
    # stub:
    # ...
    # end


check("00.2", record_loss)

# %% [markdown]
# ## 5. The first fine-tune
#
# Two sets of records: one to train on, and one that is **held out**, which the model never
# sees while it learns. Sharing even one sentence would spoil the verdict, so look.

# %%
train_records = task.examples(TRAIN, seed=SEED)
held_out = task.examples(TEST, seed=SEED, split="test")
shared = {data.answer(r) for r in train_records} & {data.answer(r) for r in held_out}
print(
    f"{len(train_records)} to train on, {len(held_out)} held out, {len(shared)} shared"
)
for example in train_records[:3]:
    print("\n" + wrap(strip(data.answer(example)), "   "))
    print(wrap(data.answer(example), "-> "))
assert not shared

# %% [markdown]
# The verdict compares base and tuned on the same held-out questions. Training changes the
# model in place, so the base has to answer *now*.

# %%
questions = [data.prompt(example) for example in held_out]
base_answers = generate(model, tokenizer, questions, max_new_tokens=96)
for example, answer in list(zip(held_out, base_answers))[:3]:
    print(wrap(data.answer(example), "wanted:   "))
    print(wrap(repr(answer[:100]), "answered: ") + "\n")

# %% [markdown]
# **Exercise 00.3.** The model takes one step per batch, and goes over all records once per
# epoch. How many steps does a run take?


# %% tags=["exercise", "nbval-check-output"]
def steps(records, batch_size, epochs):
    """The number of optimiser steps in a run; all three arguments are whole numbers."""
    # solution:
    return math.ceil(records / batch_size) * epochs
    # stub:
    # ...
    # end


check("00.3", steps)

# %% [markdown]
# **Predict.** A model that knows nothing at all gives every token the same probability. This
# cell prints the loss that this would cost. Where will our loss start: there, higher, or
# lower? And how will the curve look: a line, a cliff, a slide?

# %%
knows_nothing = math.log(len(tokenizer))
print(f"knowing nothing costs {knows_nothing:.2f} nats a token")

# %% [markdown]
# Here it is: one call. The curve grows while the model learns.

# %%
with plots.LiveCurve("Your first fine-tune") as curve:
    run = sft.train(
        model,
        tokenizer,
        train_records,
        epochs=EPOCHS,
        batch_size=PROFILE.batch_size,
        seed=SEED,
        eval_records=held_out,
        on_step=curve.on_step,
    )

# %% [markdown]
# The line across is the loss on the held-out records after training. The curve's last point is
# one batch, easy or hard by luck; below the picture, the mean of the last fifty steps is printed
# as well. The line lies somewhat above the end of the curve, because by then each training
# record was being read for the second time. If it lay far above, the model would have learned
# its records by heart.

# %%
plots.loss_curve(run.history, title="Trained, and held out", eval_loss=run.eval_loss)

# %%
losses = [step["loss"] for step in run.history]
first, latest = losses[0], losses[-50:]
last = sum(latest) / len(latest)
print(f"{run.steps} steps in {run.seconds:.0f} seconds")
print(f"{run.trainable / run.parameters:.0%} of {run.parameters:,} weights moved")
print(f"{run.supervised_tokens:,} of {run.total_tokens:,} tokens carried loss")
print(
    f"loss {first:.2f} at the first step, {last:.2f} over the last {len(latest)}, ",
    end="",
)
print(f"{run.eval_loss:.2f} held out; knowing nothing: {knows_nothing:.2f}")
assert run.eval_loss < 0.5 * first < 0.5 * knows_nothing

# %% [markdown]
# The first step already cost less than knowing nothing: the base model brought its English
# along. What fell so fast after it was the cost of not knowing what we want.

# %% [markdown]
# ## 6. Before and after
#
# The same question as in section 2, the same sentence of yours, the same call.
#
# **Predict.** Will every mark and capital be right?

# %%
after = generate(run.model, tokenizer, ask_mine, max_new_tokens=64)[0]
print("asked:  ", strip(MINE))
print(wrap(repr(before[:100]), "before:  "))
print(wrap(repr(after), "after:   "))

# %% [markdown]
# One sentence is an anecdote. So let the tuned model answer all held-out questions.

# %%
tuned_answers = generate(run.model, tokenizer, questions, max_new_tokens=96)
for example, answer in list(zip(held_out, tuned_answers))[:5]:
    print(wrap(data.answer(example), "wanted:   "))
    print(wrap(answer, "answered: ") + "\n")

# %% [markdown]
# ## 7. The verdict
#
# How to put a number on this? Count three things: marks and capitals that are right
# (*hits*), those that are there and should not be (*wrong*), and those that should be there
# and are not (*missed*). **F1** is their balance: 0 when nothing is right, 1 when all is.
#
# **Exercise 00.4.** A hit is worth two, one for either side: 2 hits / (2 hits + wrong +
# missed).


# %% tags=["exercise", "nbval-check-output"]
def f1(hits, wrong, missed):
    """The F1 of three counts, from 0 to 1."""
    # solution:
    return 2 * hits / (2 * hits + wrong + missed)
    # stub:
    # ...
    # end


check("00.4", f1)

# %% [markdown]
# **Predict.** Base and tuned, two numbers between 0 and 1. Write them down, then run.

# %%
my_guess = "base ..., tuned ..."

# %%
from ftlab.evaluation.compare import compare

answers = {"base": base_answers, "tuned": tuned_answers}
verdict = compare(task, held_out, answers, seed=SEED)
print("you expected:", my_guess)
print(wrap(verdict.sentence))
verdict.table()

# %% [markdown]
# Behind every number stands an **interval**. Another few hundred sentences would have given
# slightly other numbers; the interval says how other. It is found by drawing the held-out
# records again and again, with repetition, and looking at how the number varies.
#
# A dash in the table stands where there was nothing to count. And **p**, below it, is how often
# mere shuffling of the two models' answers would give a gap as large as this one.

# %%
plots.interval_bars(verdict.to_json(), metrics=["f1", "f1_capitals", "words_kept"])

# %% [markdown]
# The interval that decides is that of the **difference**, tuned minus base. Zero means "no
# difference", so all depends on where zero lies.
#
# **Exercise 00.5.** Return `"tuned"` when tuned is shown to be better, `"base"` when base
# is, and `"cannot tell"` when the interval allows both.


# %% tags=["exercise", "nbval-check-output"]
def who_is_better(low, high):
    """Read the interval of tuned minus base, from `low` to `high`."""
    # solution:
    if low > 0:
        return "tuned"
    return "base" if high < 0 else "cannot tell"
    # stub:
    # ...
    # end


check("00.5", who_is_better)

# %% [markdown]
# Practitioners say that the difference between base and tuned is often subtle. The lessons put
# such claims to the test; what each of them measured is kept in a **ledger**,
# `notebooks/claims.md`, with one of three verdicts: *holds*, *depends*, *not seen here*. This is
# the first record.

# %%
from ftlab.teaching import ledger

gap = verdict.differences["tuned"]["f1"]
print(f"tuned minus base: {gap.value:.2f}, interval {gap.low:.2f} to {gap.high:.2f}")
word = "not seen here" if gap.low > 0.2 else "depends"
f1_base, f1_tuned = (verdict.systems[name]["f1"] for name in ("base", "tuned"))
ledger.record(
    42, "holds" if gap.covers_zero else word,
    f"Restoring {TEST} sentences, the base reached an F1 of {f1_base}, and after "
    f"{TRAIN:,} examples {f1_tuned}.", gap.value, interval=(gap.low, gap.high),
)  # fmt: skip
assert gap.low > 0.3, "far above zero: the gain is no luck of these sentences"
kept = verdict.systems["tuned"]["words_kept"]
print(
    f"words kept by tuned: {kept.value:.2f}, interval {kept.low:.2f} to {kept.high:.2f}"
)
assert kept.value > 0.8

# %% [markdown]
# The whole interval of the difference lies above zero, and far above it: the fine-tune
# worked. "Words kept" guards against a cheap trick, since a model could please by writing
# tidy sentences of its own.
#
# A number hides faces. Look at the answers where tuned did worst.


# %%
def tuned_f1(example):
    """The tuned model's F1 on one held-out example."""
    return example["outputs"]["tuned"]["scores"]["f1"]


for example in sorted(verdict.examples, key=tuned_f1)[:3]:
    print(f"F1 {tuned_f1(example):.2f}")
    print(wrap(example["reference"], "  wanted:   "))
    print(wrap(example["outputs"]["tuned"]["text"], "  answered: "))

# %% [markdown]
# Is it the measure that is unfair? Read them again. Where words are lost or invented, the model
# is wrong. Elsewhere an answer may be good English, such as one with a comma more or less, and
# the measure knows only the one way its author wrote it.

# %% [markdown]
# ## 8. The limits of this verdict
#
# - It speaks of sentences from Python's documentation, as they are in the running Python.
#   On letters or novels the tuned model may do much worse. Try one as `MINE`.
# - It speaks of one training run. Another `SEED` gives a slightly other model, and the
#   interval knows nothing of that.
# - A base model that is asked without an example is a weak opponent. Lesson 01 gives it
#   better prompts first.
# - What the model *forgot* while it learned was not measured. Lesson 06 does.
#
# ## 9. Quiz
#
# Five questions. Each option, right or wrong, explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("00")

# %% [markdown]
# ## 10. Takeaways
#
# 1. **A fine-tune moves weights by examples.** A step makes the wanted tokens a little
#    likelier, and a run is many steps.
# 2. **The loss mask decides what is learned**: the answer and its end, not the question.
#    Look at it before you train.
# 3. **A gain is a claim until it is measured** on text held out of training, against the
#    base, with an interval that stays clear of zero.
#
# Next: [01 When to fine-tune](01_when_to_fine_tune.ipynb).
# The base model gets a fair chance first: a better prompt, and examples in it. Sometimes that
# is all you need.
