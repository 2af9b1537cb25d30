# %% [markdown]
# # 03 SFT with TRL: the trainer itself, nothing hidden
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/03_what_the_trainer_does.ipynb)
#
# **What you will build**: a supervised fine-tune whose every part you have seen. You count
# the tokens that it learns from, work its loss out by hand, choose its settings by a sweep,
# watch it overfit and stop it, and take what it learned off again.
#
# **Prerequisites**: lesson 00. You can read a Python loop and a curve.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour and a half | under four minutes |
# | a free Colab T4, or another GPU | the same, with a real instruct model | about as long |
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
# The one cell that you may want to change. The base model is the profile's choice: a small
# one of the course's own on a CPU, an instruct model on a GPU. No later cell asks which.

# %%
import tempfile
from pathlib import Path

import ftlab
from ftlab import data, hardware

SEED = 0
PROFILE = ftlab.profile()
BASE = "ftlab-7m"
RATES, SIZES = (2e-5, 2e-4, 2e-3, 2e-2), (4, 16)
SWEEP, TRAIN, EPOCHS = 96, 240, 3
FEW, FEW_EPOCHS, WATCHED, TEST = 12, 20, 24, 50
FOLDER = Path(tempfile.mkdtemp())

hardware.seed_everything(SEED)
print("base:", BASE)
hardware.versions()

# %% [markdown]
# Four claims of people who fine-tune for a living. Each is put to the test below, and gets a
# word by rule: holds, depends, or not seen here.
#
# - Small data overfits sooner, and you notice on inputs just beside the training range.
# - Reverting is easy: the base is still there.
# - The defaults for epochs, batch and learning rate are smart. Where not, ask a friend.
# - The base knows already; a whisper of data moves it, all at once, like a phase change.
#
# ## 2. What one record becomes
#
# A restaurant notes its bookings in a way of its own. No model has read of it, so whatever
# ours will know of it comes from our records.

# %% tags=["nbval-check-output"]
from ftlab.teaching.lesson03 import BESIDE, RANGE, bookings

train_records = bookings(TRAIN, SEED)
watched = bookings(WATCHED, SEED + 1, apart_from=train_records)
held_out = bookings(TEST, SEED + 2, apart_from=[*train_records, *watched])
beside = bookings(TEST, SEED + 3, beside=True)
for record in train_records[:4]:
    print(f"{data.prompt(record)[0]['content']:35} ->  {data.answer(record)}")
print("\nparties and hours, trained on:", *RANGE)
print("and just beside:              ", *BESIDE)

# %% [markdown]
# The training records have a **range**. Later we ask inside it and just beside it. No message
# is in two of the four sets: one to train on, one to watch meanwhile and to choose by, and two
# to judge by.
#
# First the record is **rendered**: the chat template writes it down as one text.

# %% tags=["nbval-check-output"]
from ftlab import models, templates

model, tokenizer = models.load(BASE)
record = train_records[0]
print(templates.prompt_text(tokenizer, data.prompt(record)) + data.answer(record))

# %% [markdown]
# Then the text is cut into **tokens**, and each gets a number.
#
# **Predict.** How many tokens has this record, and how many of them should be learned?

# %% tags=["nbval-check-output"]
from IPython.display import HTML

encoded = templates.encode(tokenizer, record)
ids, mask = encoded.input_ids, encoded.loss_mask
print(f"{len(ids)} tokens, {sum(mask)} of them carry loss; the last ones:")
for place in range(len(ids) - sum(mask) - 2, len(ids)):
    piece = tokenizer.decode([ids[place]])
    print(f"{place:4} {ids[place]:7} {'loss' if mask[place] else '    '} {piece!r}")
HTML(templates.mask_html(tokenizer, encoded))

# %% [markdown]
# What is blue and underlined is learned, and the end of the turn is a part of it.
# A trainer wants the mask in another form, the **labels**: the token where it is to be
# learned, and -100 where it is not.
#
# **Exercise 03.1.** Write the labels. Stuck? `hint("03.1", 1)`, then `hint("03.1", 2)`.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def labels_of(ids, mask):
    """One label for each token: the token itself where the mask is 1, else -100."""
    # solution:
    return [token if on else -100 for token, on in zip(ids, mask)]
    # stub:
    # ...
    # end


check("03.1", labels_of)

# %% [markdown]
# ## 3. TRL's own trainer, openly
#
# Most fine-tunes that you will meet are made by TRL's `SFTTrainer`, and so are the course's.
# A config, a model, a tokenizer, a data set: this is the whole constructor.

# %%
import warnings

import datasets
from ftlab.models import quiet
from trl import SFTConfig, SFTTrainer

datasets.disable_progress_bars()
# TRL sets an option by a name that transformers is about to drop, and is told so.
warnings.filterwarnings("ignore", category=FutureWarning)


def plain(rows, **options):
    """TRL's own trainer over these rows; nothing is trained yet."""
    config = SFTConfig(
        output_dir=str(FOLDER / "trl"), report_to="none", disable_tqdm=True,
        use_cpu=PROFILE.device == "cpu", bf16=PROFILE.dtype == "bfloat16",
        fp16=PROFILE.dtype == "float16", seed=SEED, **options,
    )  # fmt: skip
    dataset = datasets.Dataset.from_list(rows)
    with quiet():
        return SFTTrainer(
            model=model, args=config, train_dataset=dataset, processing_class=tokenizer
        )


# %% [markdown]
# Everything that is not said here is a default. These are some that matter.

# %%
defaults = SFTConfig(output_dir=str(FOLDER / "trl"), use_cpu=True, report_to="none")
for name in (
    "learning_rate", "num_train_epochs", "per_device_train_batch_size", "max_length",
    "bf16", "packing", "completion_only_loss", "assistant_only_loss",
):  # fmt: skip
    print(f"{name:28} {getattr(defaults, name)}")

# %% [markdown]
# A record can be handed over in several forms.
#
# **Predict.** Three ways to give the same record to TRL: as messages; as messages with
# `assistant_only_loss`; as prompt and completion. Which tokens does each of them train on?

# %%
from ftlab.display import wrap
from ftlab.teaching.lesson03 import as_messages, as_pair
from ftlab.training import sft

print(wrap(as_messages(record), "as messages: "))
print(wrap(as_pair(record), "as a pair:   ") + "\n")
ways = {
    "messages": plain([as_messages(record)]),
    "messages, assistant only": plain([as_messages(record)], assistant_only_loss=True),
    "prompt and completion": plain([as_pair(record)]),
}
ours = sft.prepare(tokenizer, [record], max_length=1024)[0]
learned = {"ours": [label for label in ours["labels"] if label != -100]}
for name, trainer in ways.items():
    row = trainer.train_dataset[0]
    learned[name] = [label for label in row["labels"] if label != -100]
for name, kept in learned.items():
    print(f"{name:25} {len(kept):3} tokens: {tokenizer.decode(kept)[-48:]!r}")

# %% [markdown]
# **The first default that bites.** Plain messages train on everything, the guest's words
# included, without a warning. With `assistant_only_loss` the answer alone is learned: TRL
# finds it by `{% generation %}` marks in the chat template. White space about the answer may
# be learned with it; here is the difference to ours, spelt out.

# %%
assert len(learned["messages"]) > 2 * len(learned["ours"])
answer = tokenizer.decode(learned["ours"])
for name in ("messages, assistant only", "prompt and completion"):
    before, after = tokenizer.decode(learned[name]).split(answer)
    assert not before.strip() and not after.strip(), "at most white space besides"
    print(f"{name:25} ours, with {before!r} before it and {after!r} behind")

# %% [markdown]
# But for white space at its ends, the mask that you have seen in colour is the one that TRL
# trains on. `sft.train` hands TRL rows that are masked already.
#
# ## 4. The loss, by hand
#
# A model reads a text and at each place guesses the *next* token. To compare guesses with
# labels, somebody has to shift them by one.
#
# **Exercise 03.2.** For each label that is not -100, return the place of the logits that
# guess it, and the label.


# %% tags=["exercise", "nbval-check-output"]
def guesses(labels):
    """[(place of the guess, wanted token), ...] for the labels that are not -100."""
    # solution:
    return [(i - 1, label) for i, label in enumerate(labels) if label != -100]
    # stub:
    # ...
    # end


check("03.2", guesses)

# %% [markdown]
# Now on three tokens that you can count. All labels of our record but the last three become
# -100, the end of the turn being the very last.

# %%
import torch

three = {
    "input_ids": ids,
    "labels": [-100] * (len(ids) - 3) + ids[-3:],
}
with torch.no_grad():
    logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0]
by_hand = []
for place in range(len(ids) - 3, len(ids)):
    chances = torch.softmax(logits[place - 1].float(), dim=-1)
    by_hand.append(-torch.log(chances[ids[place]]).item())
    print(f"{tokenizer.decode([ids[place]])!r:14} {by_hand[-1]:.4f} nats")

# %% [markdown]
# Softmax, the chance of the right token, minus its logarithm; then the mean of the three.
# And TRL's trainer, on the same row?


# %%
def by_trl(rows):
    """The loss that TRL's own trainer works out for one batch of rows."""
    trainer = plain(rows)
    batch = trainer.data_collator(rows)
    batch = {name: values.to(model.device) for name, values in batch.items()}
    model.eval()
    with torch.no_grad():
        return trainer.compute_loss(model, batch).item()


mean = sum(by_hand) / 3
print(f"by hand {mean:.4f}, by TRL {by_trl([three]):.4f}")
assert abs(mean - by_trl([three])) < 0.01

# %% [markdown]
# A batch has answers of different length. **Predict.** Is its loss the mean of the records'
# losses?
#
# **Exercise 03.3.** Each row holds the losses of one record's tokens. Return the loss of the
# batch, in which every *token* counts alike.


# %% tags=["exercise", "nbval-check-output"]
def batch_loss(rows):
    """The loss of a batch; `rows` is a list of lists of losses, in nats."""
    # solution:
    return sum(sum(row) for row in rows) / sum(len(row) for row in rows)
    # stub:
    # ...
    # end


check("03.3", batch_loss)

# %% [markdown]
# Which of the two is it in TRL? Ask it: a row with one label, and the one with three.

# %%
one = {"input_ids": ids, "labels": [-100] * (len(ids) - 1) + ids[-1:]}
short, long, both = by_trl([one]), by_trl([three]), by_trl([one, three])
print(f"one label {short:.4f}, three labels {long:.4f}, the two together {both:.4f}")
print(f"mean of the tokens  {(short + 3 * long) / 4:.4f}")
print(f"mean of the records {(short + long) / 2:.4f}")
assert abs(both - (short + 3 * long) / 4) < 0.01

# %% [markdown]
# Long answers weigh more, since they have more tokens. That is no fault, but worth knowing
# when your records are of very different length.
#
# ## 5. Two more defaults that bite
#
# **Length.** Three records: a short one, one with a long answer, one with a long question.
#
# **Predict.** How many rows will TRL train on? How does each of them end?

# %%
chatter = "It was so good last time. " * 300
too_long = [
    record,
    data.example("What did you think?", chatter),
    data.example(chatter + "What do you say?", "Thank you."),
]
rows = plain([as_pair(r) for r in too_long]).train_dataset
print(len(too_long), "records in,", len(rows), "rows out")
for row in rows:
    ending = tokenizer.decode(row["input_ids"][-6:])
    print(f"{len(row['input_ids']):5} tokens, ending {ending!r}")
assert len(rows) == 2 and len(rows[1]["input_ids"]) == defaults.max_length == 1024
assert templates.end_of_turn_ids(tokenizer)[0] not in rows[1]["labels"]

# %% [markdown]
# One record is gone, and one has lost its end: a model that trains on many of the like never
# learns to stop. No error, no warning. The package's trainer refuses instead:

# %% tags=["nbval-check-output"]
from ftlab.errors import DataError

try:
    sft.prepare(tokenizer, too_long, max_length=1024)
except DataError as error:
    print(wrap(error))

# %% [markdown]
# **Precision.** `bf16` is on unless you say otherwise. Such a number keeps eight binary
# digits.
#
# **Predict.** Does a weight notice a small step then? Three looks: at the numbers, at what
# the setting casts, and at how a base that was saved in bf16 is loaded.

# %% tags=["nbval-check-output"]
from transformers import AutoModelForCausalLM, LlamaConfig

weight, step = 1.0, 0.001
for kind in (torch.float32, torch.bfloat16):
    moved = torch.tensor(weight, dtype=kind) + torch.tensor(step, dtype=kind)
    print(f"{kind!s:15} {weight} + {step} = {moved.item():.6f}")

layer = torch.nn.Linear(4, 4)
with torch.autocast("cpu", dtype=torch.bfloat16):  # this is what the setting does
    product = layer(torch.ones(1, 4))
print("under the setting: weights", layer.weight.dtype, "products", product.dtype)

tiny = dict.fromkeys(("hidden_size", "intermediate_size", "vocab_size"), 32)
tiny = LlamaConfig(**tiny, num_hidden_layers=1, num_attention_heads=2)
with quiet():
    small = AutoModelForCausalLM.from_config(tiny).to(torch.bfloat16)
    small.save_pretrained(FOLDER / "small")
    loaded = AutoModelForCausalLM.from_pretrained(FOLDER / "small")
print("saved in bf16, loaded as:", loaded.dtype)

# %% [markdown]
# So the setting itself does no harm: the weights stay in float32, and only the large products
# are computed coarsely. What does not notice a small step is a base whose *weights* are in
# bf16, and `from_pretrained` takes the type that the checkpoint has, which is often that one.
# Ask for `dtype="float32"` where all weights move. (TRL does so when you give it a name in
# place of a model, and the package's `models.load` does.) Whether coarse products pay depends
# on the machine, and the profile has timed it: some CPUs only imitate bf16, a T4 has none.
#
# Does the package's trainer do what TRL's does? A first step of each, on the same eight
# records. Its loss is that of the untouched base, whatever moves after it.

# %%
from transformers.trainer_callback import PrinterCallback

assert defaults.bf16 is True and SFTConfig.__dataclass_fields__["bf16"].default is None
eight = train_records[:8]
trainer = plain(
    sft.prepare(tokenizer, eight, max_length=1024), max_steps=1, optim="sgd",
    per_device_train_batch_size=8, logging_steps=1,
)  # fmt: skip
trainer.remove_callback(PrinterCallback)
with quiet():
    trainer.train()
theirs = trainer.state.log_history[0]["loss"]
print("products here:", PROFILE.dtype, "because", PROFILE.reasons["dtype"])
print("weights after TRL's step:", *{str(w.dtype) for w in model.parameters()})
del ways, trainer  # they hold the model that has moved

model, tokenizer = models.load(BASE)
first = sft.train(model, tokenizer, eight, method="lora", epochs=1, batch_size=8)
mine = first.history[0]["loss"]
print(f"first loss by TRL {theirs:.3f}, by the package {mine:.3f}")
assert abs(mine - theirs) < 0.05

# %% [markdown]
# From here on the package's `sft.train` does the work. It is TRL's trainer with the traps
# shut: rows masked as you have seen them, nothing cut, and the precision that the machine is
# good at.
#
# ## 6. Which settings? A sweep is the friend
#
# Before anything moves, the base answers. (An adapter, a few small matrices beside the
# weights, is what we train; lesson 04 has more on it.)

# %%
from ftlab.generation import generate
from ftlab.teaching.lesson03 import in_form, share_right


def answers_of(model, records):
    """The model's answers, greedily."""
    return generate(
        model, tokenizer, [data.prompt(r) for r in records], max_new_tokens=24
    )


model, tokenizer = models.load(BASE)
base_answers = answers_of(model, held_out)
for example, answer in list(zip(held_out, base_answers))[:3]:
    print(f"wanted {data.answer(example)!r}, got {answer[:50]!r}")
print(f"right: {share_right(held_out, base_answers):.2f}")
assert share_right(held_out, base_answers) < 0.2

# %% [markdown]
# Four learning rates, ten times apart, and two batch sizes: eight short runs, each over the
# same few records, from the same base.
#
# **Predict.** TRL's default rate is the lowest of the four. Which rate will win, and which
# one will break? And does a larger batch help when the number of records read is the same?

# %%
from ftlab.errors import TrainingError

swept, curves = {}, {}
for rate in RATES:
    for size in SIZES:
        model, tokenizer = models.load(BASE)
        try:
            run = sft.train(
                model, tokenizer, train_records[:SWEEP], method="lora", epochs=1,
                batch_size=size, learning_rate=rate, seed=SEED, eval_records=watched,
            )  # fmt: skip
        except TrainingError as error:
            print(f"rate {rate:g}, batch {size}: {error}")
            continue
        swept[rate, size] = run.eval_loss
        curve = [(row["step"] * size, row["loss"]) for row in run.history]
        curves[f"{rate:g}, batch {size}"] = curve

# %%
from ftlab.teaching import plots_training

for (rate, size), loss in sorted(swept.items(), key=lambda pair: pair[1]):
    print(f"rate {rate:<8g} batch {size:<3} held-out loss {loss:.3f}")
RATE, SIZE = min(swept, key=swept.get)
best = swept[RATE, SIZE]
print(f"\nthe sweep says: rate {RATE:g}, batch {SIZE}")
assert best < 0.5 * swept[RATES[0], SIZES[1]]
plots_training.lines(
    curves, title="Eight short runs", xlabel="records read",
    ylabel="loss (nats per token)", pairs=True, top=6,
)  # fmt: skip

# %% [markdown]
# Which rate went too far, and does the larger batch help? A rate has gone too far where a
# tenth of it, with the same batch, ends lower. And of two batches, the one that ends lower at
# the same rate has won, though both have read the same records.

# %%
ends = {size: [swept.get((rate, size), 99.0) for rate in RATES] for size in SIZES}
for size, losses in ends.items():
    far = [f"{r:g}" for r, a, b in zip(RATES[1:], losses, losses[1:]) if b > a]
    print(f"batch {size:<3} {-(-SWEEP // size):2} steps, too far:", *(far or ["none"]))
won = [f"{rate:g}" for rate, a, b in zip(RATES, *ends.values()) if a < b]
print(f"batch {SIZES[0]} ends lower than batch {SIZES[1]} at the rates", *won)

# %% [markdown]
# The smaller batch makes more steps of the same records, which a low rate needs. Where each
# step is too long already, it stumbles more often, and a larger batch steadies it. So the two
# settings belong together: change one, and look for the other anew.
#
# *Claim: the defaults are smart, and where not, ask a friend.* Three rates: TRL's default,
# the package's for this method, and what we just asked the data itself. TRL's is meant for a
# run that moves all weights; an adapter is usually given some ten times as much. So, to be
# fair, both defaults are tried on all weights too.

# %%
from ftlab.teaching import ledger
from ftlab.training.methods import LEARNING_RATES


def at_rate(rate):
    """The best held-out loss among the swept runs with this rate."""
    return min((loss for (r, _), loss in swept.items() if r == rate), default=99.0)


def with_all(rate):
    """Held-out loss of such a short run that moves all weights; nan if it breaks."""
    model, tokenizer = models.load(BASE)
    try:
        return sft.train(
            model, tokenizer, train_records[:SWEEP], method="full", epochs=1,
            batch_size=SIZE, learning_rate=rate, seed=SEED, eval_records=watched,
        ).eval_loss  # fmt: skip
    except TrainingError as error:
        print(f"rate {rate:g}, all weights: {error}")
        return float("nan")


# %%
theirs, mine = at_rate(defaults.learning_rate), at_rate(LEARNING_RATES["lora"])
all_theirs = with_all(defaults.learning_rate)
all_mine = with_all(LEARNING_RATES["full"])
print(f"LoRA        at TRL's {theirs:.3f}, at ftlab's {mine:.3f}, swept {best:.3f}")
print(f"all weights at TRL's {all_theirs:.3f}, at ftlab's {all_mine:.3f}")
good = (min(theirs, all_theirs) < 1.2 * best) + (mine < 1.2 * best)
told = f"Held-out loss of an adapter is {theirs:.2f} at TRL's rate, {mine:.2f} at"
told += f" ftlab's, {best:.2f} at the best of a sweep"
if all_theirs + all_mine > 0:
    told += "; where all weights move, for which TRL's is meant, it is"
    told += f" {all_theirs:.2f} at TRL's and {all_mine:.2f} at ftlab's"
ledger.record(38, ("not seen here", "depends", "holds")[good], f"{told}.", best)
assert theirs > 1.2 * best

# %% [markdown]
# A default is a choice made for somebody's model and somebody's data. Eight short runs on
# your own cost little, and the friend is never offended.
#
# ## 7. The run, and a look at its first steps
#
# Now the real run, with the sweep's settings. On the way we stop at a few steps to ask the
# same watched records: how dear is the right answer, in nats a token, how many answers have
# the *form*, and how many are right?
#
# **Predict.** Draw three curves against the steps, before you see them: the loss, the share
# in form, the share right. Gradual or sudden?

# %%
from ftlab.teaching import plots
from ftlab.teaching.lesson03 import probe

PROBE_AT = (5, 10, 15, 20, 40, 60, 90, 120)
model, tokenizer = models.load(BASE)
seen = {0: probe(model, tokenizer, watched)}
with plots.LiveCurve(f"{TRAIN} bookings, {EPOCHS} times") as curve:

    def on_step(step, steps, loss, left):
        """Draw, and now and then probe."""
        curve.on_step(step, steps, loss, left)
        if step in PROBE_AT:
            seen[step] = probe(model, tokenizer, watched)

    run = sft.train(
        model, tokenizer, train_records, method="lora", epochs=EPOCHS, batch_size=SIZE,
        learning_rate=RATE, seed=SEED, eval_records=watched, on_step=on_step,
    )  # fmt: skip
seen[run.steps] = probe(model, tokenizer, watched)

# %%
from ftlab.training.run import remark

print("step  loss  in form  right")
for step, at in seen.items():
    print(
        f"{step:4}  {at.loss:4.2f}  {at.form:7.2f}  {at.right:5.2f}  {at.said[:34]!r}"
    )
print("\nheld out, by epoch:", *(f"{row['eval_loss']:.3f}" for row in run.evals))
print(remark(run))
end = seen[run.steps]
assert end.loss < 0.3 * seen[0].loss and end.form > 0.7

# %% [markdown]
# All three on one scale: which part of its whole way has each gone?

# %%
whole = seen[0].loss - end.loss
way = {
    "loss, share of its fall": [
        (s, (seen[0].loss - a.loss) / whole) for s, a in seen.items()
    ],
    "answers in form": [(s, a.form) for s, a in seen.items()],
    "answers right": [(s, a.right) for s, a in seen.items()],
}
plots_training.lines(
    way,
    title="What came when",
    xlabel="optimiser step",
    ylabel="share (0 to 1)",
    top=1.05,
)

# %% [markdown]
# *Claim: the base knows already; a whisper of data moves it, like a phase change.* The rule:
# how many steps lie between a tenth and nine tenths of the way? Less than half as many as
# the loss needs is sudden. A whisper takes at most a tenth of what is read for half of it.
# The claim holds if the form and the right answers both come so, and some answers were right
# before the first step: only then did the base know. Nobody had told ours this notation.


# %%
from ftlab.evaluation.intervals import wilson_interval
from ftlab.teaching.lesson03 import crossing

wide = {
    name: crossing(curve, 0.9) - crossing(curve, 0.1) for name, curve in way.items()
}
for name, steps in wide.items():
    print(f"{name:25} from a tenth to nine tenths in {steps:.0f} steps")
half, votes, read = {}, [], TRAIN * EPOCHS
loss_way, *answers_way = way
for name in answers_way:
    half[name] = crossing(way[name], 0.5) * SIZE
    votes += [wide[name] < 0.5 * wide[loss_way], half[name] <= 0.1 * read]
    print(f"{name:25} half of the way after {half[name]:.0f} of {read} records read")
print(f"right before the first step: {seen[0].right:.2f}")
word = "holds" if all(votes) and seen[0].right > 0 else "depends"
word = word if any(votes) else "not seen here"
form, good = half.values()
told = "In a notation new to the model, half of the way to its form came after"
told += f" {form:.0f} of {read} records read, half of the way to right answers after"
told += f" {good:.0f}; at the end {wilson_interval(end.right * WATCHED, WATCHED)}"
told += " are right."
ledger.record(7, word, told, form)
assert form < good and wide["answers in form"] < wide["answers right"]

# %% [markdown]
# How far had the loss come when the first answer changed? Look at the table again. An answer
# is in form only when *every* one of its tokens is the favourite, so a share of whole answers
# can jump where the chances below it slide. Before you believe in a jump, ask for a softer
# score.
#
# ## 8. Overfitting, seen and stopped
#
# The same settings, with a handful of the records, and many times around.
#
# **Predict.** After which epoch will the loss on the watched records be lowest? Will the
# training loss know?

# %%
from dataclasses import replace

few_records = train_records[:FEW]
asked = {"trained on": few_records, "new, in range": held_out, "just beside": beside}


def score(model):
    """The share of right answers on each kind of question."""
    return {
        what: share_right(rows, answers_of(model, rows)) for what, rows in asked.items()
    }


scores = {f"{TRAIN} records": score(run.model)}
model, tokenizer = models.load(BASE)
few = sft.train(
    model, tokenizer, few_records, method="lora", epochs=FEW_EPOCHS, batch_size=SIZE,
    learning_rate=RATE, seed=SEED, eval_records=watched,
)  # fmt: skip
scores[f"{FEW} records, to the end"] = score(few.model)
few = replace(few, model=None)  # its weights may go
print(wrap(remark(few)))

# %%
each = int(few.evals[0]["step"])  # steps of an epoch
losses = [row["loss"] for row in few.history]
curves = {
    f"the {FEW} records": [
        (i / each + 1, sum(losses[i : i + each]) / each)
        for i in range(0, few.steps, each)
    ],
    "watched records": [(row["step"] / each, row["eval_loss"]) for row in few.evals],
}
plots_training.lines(
    curves,
    title="Learned by heart",
    xlabel="epoch",
    ylabel="loss (nats per token)",
    top=2.5,
)

# %% [markdown]
# A training point is the mean over its epoch, a held-out point is taken after it. So the
# held-out curve may begin lower, and that says nothing more.
#
# **Exercise 03.4.** Stop in time: given the held-out loss of each epoch, return the epoch
# (from 0) whose weights are kept. The run ends when `patience` epochs in a row have passed
# without a new lowest loss; what would have come after it is never known.


# %% tags=["exercise", "nbval-check-output"]
def kept(losses, patience):
    """The epoch whose weights are kept."""
    # solution:
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best >= patience:
            break
    return best
    # stub:
    # ...
    # end


check("03.4", kept)

# %% [markdown]
# The trainer does it on request: `early_stopping=2`.

# %%
model, tokenizer = models.load(BASE)
stopped = sft.train(
    model, tokenizer, few_records, method="lora", epochs=FEW_EPOCHS, batch_size=SIZE,
    learning_rate=RATE, seed=SEED, eval_records=watched, early_stopping=2,
)  # fmt: skip
scores[f"{FEW} records, stopped"] = score(stopped.model)
stopped = replace(stopped, model=None)
print(f"all {few.steps} steps: held-out loss {few.eval_loss:.3f}")
print(f"stopped after {stopped.steps}: held-out loss {stopped.eval_loss:.3f}")
assert stopped.steps <= few.steps and stopped.eval_loss < few.eval_loss + 0.05

# %% [markdown]
# Three tuned models, and three kinds of questions: records that they trained on, new ones in
# the same range, and new ones just beside it.
#
# **Predict.** Nine shares of right answers. Where will the models of few records give
# themselves away? And does stopping early give more right answers, or only a lower loss?

# %%
from ftlab.teaching import plots_data

for who, shares in scores.items():
    print(f"{who:24}", *(f"{what} {share:.2f}  " for what, share in shares.items()))
plots_data.groups(scores, title="Where it shows")


# %%
def trend(evals):
    """The step of the lowest held-out loss, and how far it rose after it."""
    lowest = min(evals, key=lambda row: row["eval_loss"])
    return lowest["step"], evals[-1]["eval_loss"] / lowest["eval_loss"] - 1


for size, made in ((FEW, few), (TRAIN, run)):
    step, rise = trend(made.evals)
    print(f"{size:3} records: lowest at step {step} of {made.steps}, then {rise:+.0%}")
sooner = trend(few.evals)[1] > 0.02 >= trend(run.evals)[1]

# %% [markdown]
# And where is it noticed? The rule: the claim holds if the few records' loss rose after its
# lowest, and more than a fifth of the right answers is lost just beside the range but not
# inside it already. Lost inside too, it depends.

# %%
small, large = scores[f"{FEW} records, to the end"], scores[f"{TRAIN} records"]
inside = small["trained on"] - small["new, in range"]
outside = small["new, in range"] - small["just beside"]
print(
    f"{FEW} records: {inside:+.2f} lost inside the range, {outside:+.2f} more beside it"
)
lost = large["new, in range"] - large["just beside"]
print(f"{TRAIN} records: {lost:+.2f} lost beside the range")
word = "holds" if outside > 0.2 >= inside else "depends"
known, new, out = (
    wilson_interval(small[what] * len(rows), len(rows)) for what, rows in asked.items()
)
told = f"After {FEW} records {known} of the answers on these are right, {new} on new"
told += f" questions in range, {out} just beside it."
ledger.record(35, word if sooner else "not seen here", told, outside)
assert inside > 0.3 and small["trained on"] > 0.5
for example, answer in list(zip(beside, answers_of(run.model, beside)))[:4]:
    asked_for = data.prompt(example)[0]["content"]
    print(f"{asked_for:32} wanted {data.answer(example):17} got {answer[:20]}")

# %% [markdown]
# Overfitting and a narrow range are two things. New questions inside the range show the
# first, questions beside it the second. The last lines are the large run's answers beside the
# range: which numbers did it keep, and which did it bend to what it had seen?


# %% [markdown]
# ## 9. Saved, loaded, switched off, merged
#
# What was learned lies in the adapter, and the adapter in a folder.

# %%
folder = run.save(FOLDER / "bookings")
for file in sorted(folder.glob("*.safetensors")):
    print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
print(f"{run.trainable:,} of {run.parameters:,} weights are the adapter's")
loaded, tokenizer = models.load(folder)
again = answers_of(loaded, held_out[:20])
assert again == answers_of(run.model, held_out[:20])
print("loaded again:", again[:2])

# %% [markdown]
# *Claim: reverting is easy, the base is still there.* Look twice: at the weights, one by one,
# against a base loaded afresh, and at the answers with the adapter off.
#
# **Predict.** Of the base's weights, how many are still the same, to the last bit?

# %%
fresh, _ = models.load(BASE, device="cpu")
originals = dict(fresh.named_parameters())
same = []
for name, weight in run.model.named_parameters():
    if "lora_" not in name:
        name = name.removeprefix("base_model.model.").replace(".base_layer", "")
        same.append(torch.equal(weight.cpu(), originals[name]))
with run.model.disable_adapter():
    off = answers_of(run.model, held_out)
print(f"{sum(same)} of {len(same)} tensors are the same")
print(
    f"{sum(a == b for a, b in zip(off, base_answers))} of {TEST} answers are the base's"
)
assert all(same) and off == base_answers
told = f"With the adapter off, {wilson_interval(TEST, TEST)} of {TEST} answers"
told += " are the base's."
ledger.record(36, "holds", told, 1.0)

# %% [markdown]
# For an adapter, that is. Where every weight moves there is no switch: keep the base's
# folder. And one that is **merged** has no switch either: what B A adds to a weight is added
# once and for all.
#
# **Exercise 03.5.** Here is one weight of the base, the row `b` of B and the column `a` of A
# that meet in it. What is it after merging? W + (alpha / rank) B A.


# %% tags=["exercise", "nbval-check-output"]
def merged_weight(weight, b, a, alpha, rank):
    """One weight, after merging."""
    # solution:
    return weight + alpha / rank * sum(x * y for x, y in zip(b, a))
    # stub:
    # ...
    # end


check("03.5", merged_weight)

# %%
from ftlab.training import adapters

merged, agreement = adapters.merge(loaded, tokenizer)
print(agreement)
now = answers_of(merged, held_out[:20])
alike = sum(a == b for a, b in zip(now, again))
print(f"{alike} of 20 answers as with the adapter beside")
assert not hasattr(merged, "merge_and_unload"), (
    "a plain model, which every server can load"
)
assert agreement.difference < 0.05

# %% [markdown]
# ## 10. The same on a GPU
#
# Nothing above names a device, and only the settings cell chose the model. On another
# machine the same cells run with this:

# %% tags=["nbval-check-output"]
for name, sizes in hardware.DEFAULTS.items():
    print(f"{name:4} {sizes.model}")

# %% [markdown]
# The sweep matters most there: a model a hundred times as large wants another rate, and the
# cells take the one that won. To try a model of your own, put its name at `BASE`.
#
# ## 11. The limits of this lesson
#
# - **One task, made up**, with short answers, and one seed. Lesson 07 puts intervals on such
#   figures; fifty questions leave wide ones.
# - **A coarse sweep**: rates ten times apart, one short pass each. The best of a short run
#   need not be the best of a long one.
# - **Chosen and stopped by the same watched records**, so their loss flatters a little. The
#   shares in section 8 are of others.
# - **Words by rule**: where a rule draws its line (a half, a tenth) is a choice, and another
#   model may fall on its other side. The curves say more than the word.
#
# ## 12. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("03")

# %% [markdown]
# ## 13. Takeaways
#
# 1. **Look at what carries loss** before you train: the form of a record and two defaults
#    decide what is learned, and no error tells.
# 2. **Ask the data for its settings.** A short sweep costs less than one wrong run.
# 3. **The training loss does not know.** Held-out records say when to stop, records beside
#    the range say what was never learned, and an adapter can be taken off.
#
# Next: [04 LoRA and QLoRA](04_lora_and_qlora.ipynb).
# How little of a model must be trained, and in how little memory?
