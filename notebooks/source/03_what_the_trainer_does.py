# %% [markdown]
# # 03 What the trainer does: every part of a run, opened
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/03_what_the_trainer_does.ipynb)
#
# **What you will build**: a fine-tune whose every part you have seen. You take one gradient step
# by hand, see which tokens are learned, reproduce the trainer's loss and then the whole trainer,
# choose a learning rate, watch a run overfit, stop it, kill it and resume it.
#
# **Prerequisites**: lesson 00. You can read a Python loop and a curve.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour and a half | four to six minutes |
# | a free Colab T4, or another GPU | the same | less |
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
# One cell holds everything that you may want to change. All runs of this lesson are small: the
# longest reads 50 short rows twice.

# %%
import tempfile
from pathlib import Path

import datasets
import ftlab
import torch
import transformers
from ftlab import check, data, hardware, models, templates

SEED = 0
BASE, MICROSCOPE = "smollm2-135m", "ftlab-1m"
PROFILE = ftlab.profile()
TRAIN, EPOCHS, TEST = 50, 2, 20
FEW, FEW_EPOCHS, WATCHED, TRIALS = 5, 7, 4, 6
FOLDER = Path(tempfile.mkdtemp())  # what the runs leave

hardware.seed_everything(SEED)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()

# %% [markdown]
# ## 2. A run in one minute
#
# First a whole run, as in lesson 00. The rest of the lesson takes it apart.
#
# A restaurant notes its bookings in a form of its own: the name, the number of guests, and from
# when to when the table is taken, which is always two hours. No model has read of this form.
#
# There are four sets of rows, and no message is in two of them: to train on, to judge by, to watch
# during a run, and some just *beside* the range of the others, for section 11.

# %% tags=["nbval-check-output"]
from ftlab.teaching.lesson03 import BESIDE, RANGE, bookings

train = bookings(TRAIN, SEED)
held_out = bookings(TEST, SEED + 1, apart_from=train)
for row in train[:4]:
    print(f"{data.prompt(row)[-1]['content']:35} ->  {data.answer(row)}")
beside = bookings(TEST, SEED + 2, beside=True)
watched = bookings(WATCHED, SEED + 3, apart_from=[*train, *held_out])
print("\nguests and hours in the training rows:", *RANGE)
print("guests and hours just beside that range:", *BESIDE)

# %% [markdown]
# `fresh` loads the base anew, and `build` makes a trainer for some rows. These two functions are
# used in the whole lesson. What is not named in `build` is a default, and section 8 is about those.

# %%
from datasets import Dataset
from ftlab.generation import generate
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)


def fresh():
    """The base, as it was downloaded."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    return model.to(PROFILE.device)


base = fresh()
adapter = LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(base))
rate = ftlab.learning_rate("lora", base.num_parameters())


# %%
def build(rows, model, watched=None, config=adapter, fast=True, **settings):
    """TRL's trainer for these rows; `fast` is the course's shortcut on a CPU."""
    usual = {"learning_rate": rate.usual, "per_device_train_batch_size": 4}
    usual |= {"output_dir": str(FOLDER / "run"), "seed": SEED}
    if isinstance(watched, dict):
        watched = {name: Dataset.from_list(part) for name, part in watched.items()}
    elif watched:
        watched = Dataset.from_list(watched)
    transformers.set_seed(SEED)  # an adapter begins with random numbers
    trainer = SFTTrainer(
        model, args=ftlab.sft_config(**usual | settings), peft_config=config,
        train_dataset=Dataset.from_list(rows), eval_dataset=watched,
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)  # it prints each log as a dictionary
    return ftlab.faster_on_cpu(trainer) if fast else trainer


# %% [markdown]
# The run also saves a **checkpoint** every few steps: a copy of what has been trained so far.
# Section 12 looks into them.
#
# **Predict.** After how many of its steps will the model answer in the restaurant's form?


# %%
def right(model, rows):
    """1 for each row that the model answers exactly right, else 0."""
    asked = [data.prompt(row) for row in rows]
    answers = generate(model, tokenizer, asked, max_new_tokens=24)
    return [int(data.answer(row) == text.strip()) for row, text in zip(rows, answers)]


run = build(
    train, fresh(), num_train_epochs=EPOCHS, output_dir=str(FOLDER / "bookings"),
    save_strategy="steps", save_steps=3, save_only_model=True,
)  # fmt: skip
run.add_callback(ftlab.LiveCurve(f"{TRAIN} bookings, {EPOCHS} epochs"))
result = run.train()
with run.model.disable_adapter():
    before = right(run.model, held_out)
after = right(run.model, held_out)
print(f"{result.global_step} steps in {result.metrics['train_runtime']:.0f} seconds")
print(f"right on {TEST} held-out rows: before {sum(before)}, after {sum(after)}")

# %% [markdown]
# A handful of lines, and a model that writes the restaurant's form. Now: what happened in there?
#
# ## 3. One step by hand
#
# A model reads tokens and gives every token of its vocabulary a number, its **logit**. The
# **softmax** makes probabilities of the logits: all positive, with the sum 1. The **loss** of one
# guess is minus the logarithm of the probability of the right token. It is measured in **nats**.
#
# The **gradient** says how the loss changes when a logit changes a little. For this loss it is
# simple: the probability, minus 1 at the right token. A **step** moves against the gradient, by
# the **learning rate** times it.
#
# **Predict.** Three tokens, and `no` is right. Which logits rise in the step, which fall, and
# which moves most?

# %% tags=["nbval-check-output"]
from math import exp, log

tokens, wanted = ["yes", "no", "maybe"], 1
logits = [2.0, 1.0, -1.0]
for step in range(3):
    total = sum(exp(logit) for logit in logits)
    chances = [exp(logit) / total for logit in logits]
    gradient = [chance - (i == wanted) for i, chance in enumerate(chances)]
    print(f"step {step}: loss {-log(chances[wanted]):.3f} nats")
    for token, logit, chance, slope in zip(tokens, logits, chances, gradient):
        print(f"  {token:6} logit {logit:6.3f} chance {chance:.3f} slope {slope:6.3f}")
    logits = [logit - 1.0 * slope for logit, slope in zip(logits, gradient)]

logits = torch.tensor([2.0, 1.0, -1.0], requires_grad=True)
torch.nn.functional.cross_entropy(logits, torch.tensor(wanted)).backward()
print("slopes by PyTorch:", [round(slope, 3) for slope in logits.grad.tolist()])

# %% [markdown]
# The right token's logit rises, all others fall, and the most likely wrong one falls most. A real
# model does the same, one stage further: its logits come from weights, and the chain rule carries
# the gradient from the logits to every weight that is trained. PyTorch does that part, and its
# first slopes are ours.
#
# ## 4. Rows from a file, and from the hub
#
# Rows lie in a file with one JSON object a line (**JSONL**). `load_dataset` of the library
# `datasets` reads it, and CSV or Parquet the same way. With a name in place of `"json"`, it loads a
# data set of the Hugging Face **hub**. `streaming=True` reads only what is asked for: look at one
# row before you download a gigabyte. Without a network the cell says what it would have loaded.

# %%
import os
import socket

from datasets import load_dataset

path = data.write(FOLDER / "bookings.jsonl", train)
loaded = load_dataset("json", data_files=str(path), split="train", cache_dir=FOLDER)
print(loaded.num_rows, "rows with", loaded.column_names)
print("the first as it was written:", loaded[0] == train[0])

NAME = "trl-lib/Capybara"
try:
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        raise OSError("HF_HUB_OFFLINE is set")
    socket.create_connection(("huggingface.co", 443), timeout=2).close()
    row = next(iter(load_dataset(NAME, split="train", streaming=True)))
    print(NAME, list(row), "roles:", [turn["role"] for turn in row["messages"]])
except Exception as error:
    print(f"Not loaded: {NAME}, conversations of several turns ({error}).")

# %% [markdown]
# ## 5. Templates: turns, systems, tools, thoughts
#
# The **chat template** writes messages as one text. Each family of models has its own, and it
# decides more than it seems. Here is one conversation in two templates: the base's own, and that
# of Qwen3, which TRL carries.
#
# **Predict.** What does a template do when a conversation has no system message?
#
# Qwen3 also **thinks**: it may write a part between `<think>` and `</think>` before it answers, and
# its template has an option for this. Compare the ends.

# %% tags=["nbval-check-output"]
import copy
from importlib.resources import files


def with_template(name):
    """Our tokenizer with the chat template of another family."""
    other = copy.deepcopy(tokenizer)
    file = files("trl") / "chat_templates" / f"{name}.jinja"
    other.chat_template = file.read_text(encoding="utf-8")
    return other


qwen3 = with_template("qwen3")
asked, reply = "A table at 19:30?", "For how many?"
chat = [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]
chat.append({"role": "user", "content": "Four."})
print(templates.prompt_text(tokenizer, chat))
for thinking in (True, False):
    text = templates.prompt_text(qwen3, chat, enable_thinking=thinking)
    print(f"--- Qwen3, enable_thinking={thinking}\n{text}")

# %% [markdown]
# Some templates add a system message of their own, as that of SmolLM2 does; Qwen3's adds none. If
# your training rows have a system message, ask with the same one later.
#
# "No thinking" is a part of the prompt: an empty thought, written for the model. A model that was
# trained with one of these ends and is asked with the other sees a prompt that it does not know.
#
# **Tools** are functions that a model may ask for. Four things make a row with a tool: `tools`,
# the list of the functions' descriptions; an assistant message with `tool_calls`; a message of
# the role `tool` with the result; and the assistant's reply. A call has this form:
# `{"type": "function", "function": {"name": …, "arguments": {…}}}`, and the `content` beside it
# is empty.
#
# **Exercise 03.1.** Return the row in which the assistant calls `free_tables` with the argument
# `time` and then replies. Stuck? `ftlab.hint("03.1", 1)`, then `ftlab.hint("03.1", 2)`.


# %% tags=["exercise", "nbval-check-output"]
def tool_row(question, time, result, reply, description):
    """One row: question, call, result, reply; `description` is that of the tool."""
    # solution:
    function = {"name": "free_tables", "arguments": {"time": time}}
    call = {"type": "function", "function": function}
    turns = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": result},
        {"role": "assistant", "content": reply},
    ]
    return {"messages": turns, "tools": [description]}
    # stub:
    # ...
    # end


check("03.1", tool_row)

# %% [markdown]
# Such a row in Qwen3's template, with the tokens that carry loss in colour: what the assistant
# writes, and the tokens that end its turns. The call is learned. The tool's result is not.

# %% tags=["nbval-check-output"]
from ftlab.display import wrap
from ftlab.teaching.lesson03 import TOOL_ROW
from IPython.display import HTML, display

display(HTML(templates.mask_html(qwen3, templates.encode(qwen3, TOOL_ROW))))
for problem in templates.problems(tokenizer, TOOL_ROW):
    print(wrap(problem, "The base's own template: "))

# %% [markdown]
# The list below the picture is about the base's *own* template. One that knows no tools does not
# complain about them: it leaves them out. Before you train on a kind of row, look at its tokens.
#
# ## 6. Which tokens are learned
#
# The trainer wants the colours as **labels**: the token where it is to be learned, and -100 where
# it is not.
#
# **Exercise 03.2.** Write the labels.


# %% tags=["exercise", "nbval-check-output"]
def labels_of(ids, mask):
    """One label for each token: the token itself where the mask is 1, else -100."""
    # solution:
    return [token if on else -100 for token, on in zip(ids, mask)]
    # stub:
    # ...
    # end


check("03.2", labels_of)

# %% [markdown]
# TRL makes the labels, and the form of the rows decides how. The same booking can be handed over
# in three ways: as `prompt` and `completion`; as `messages`; and as `messages` with
# `assistant_only_loss=True`. The last one needs a template with `{% generation %}` marks around
# the answers. The base's template has none, so it gets that of another family here.
#
# **Predict.** One of the three trains on the guest's words. Which?

# %%
marked = with_template("qwen2_5_training")
messages = {"messages": data.prompt(train[0]) + train[0]["completion"]}
ways = {
    "prompt and completion": (train[0], tokenizer, False),
    "messages": (messages, tokenizer, False),
    "messages, assistant_only_loss": (messages, marked, True),
}
for name, (row, one, only) in ways.items():
    trainer = SFTTrainer(
        base,
        args=ftlab.sft_config(assistant_only_loss=only),
        train_dataset=Dataset.from_list([row]),
        processing_class=one,
    )
    made = trainer.train_dataset[0]  # what TRL made of the row
    mask = [int(label != -100) for label in made["labels"]]
    print(f"{name}: {sum(mask)} of {len(mask)} tokens carry loss")
    encoded = templates.Encoded(made["input_ids"], mask, False)
    display(HTML(templates.mask_html(one, encoded)))

# %% [markdown]
# Plain `messages` train on everything, the system message and the guest's words included. There
# is no error and no warning, and the loss looks fine: these words repeat, so they are easy. The
# two others may differ by a line end behind the answer. `preflight` prints which tokens carry loss.
#
# ## 7. The loss, and the whole trainer, by hand
#
# At each position a model guesses the *next* token. To compare guesses with labels, one of them
# has to be shifted by one.
#
# **Exercise 03.3.** For each label that is not -100, return the position whose logits guess it,
# and the label.


# %% tags=["exercise", "nbval-check-output"]
def guesses(labels):
    """[(position of the guess, wanted token), ...] for the labels that are not -100."""
    # solution:
    return [(i - 1, label) for i, label in enumerate(labels) if label != -100]
    # stub:
    # ...
    # end


check("03.3", guesses)

# %% [markdown]
# A batch has answers of different length. **Predict.** Is its loss the mean over the rows, or the
# mean over the tokens? Here is one batch of two rows: a booking, and a question whose answer is
# one word.

# %%
from torch.nn.functional import cross_entropy

pair = [train[0], data.example("Is there a garden?", "Yes.")]
two = build(pair, base, config=None, fast=False)
batch = two.data_collator(list(two.train_dataset))
batch = {name: part.to(base.device) for name, part in batch.items()}
with torch.no_grad():
    theirs = two.compute_loss(base, dict(batch)).item()
    chances = base(batch["input_ids"], batch["attention_mask"]).logits.softmax(dim=-1)
rows = []
for row, labels in zip(chances, batch["labels"].tolist()):
    pairs = [(i - 1, label) for i, label in enumerate(labels) if label != -100]
    rows.append([-row[place, label].log().item() for place, label in pairs])
    print(f"{len(pairs):2} tokens, loss {sum(rows[-1]) / len(pairs):.4f}")
print(f"mean over rows   {sum(sum(row) / len(row) for row in rows) / len(rows):.4f}")
print(f"mean over tokens {sum(map(sum, rows)) / sum(map(len, rows)):.4f}")
print(f"TRL's            {theirs:.4f}")

# %% [markdown]
# Softmax, minus the logarithm, and a mean: that is the whole loss. Compare the last line with the
# two above it. When rows differ in length, those with long answers weigh more.
#
# **Exercise 03.4.** Each list holds the losses of one row's tokens. Return the loss of the batch,
# in which every *token* counts alike.


# %% tags=["exercise", "nbval-check-output"]
def batch_loss(rows):
    """The loss of a batch; `rows` is a list of lists of losses, in nats."""
    # solution:
    return sum(sum(row) for row in rows) / sum(len(row) for row in rows)
    # stub:
    # ...
    # end


check("03.4", batch_loss)

# %% [markdown]
# Now a trainer without TRL. **AdamW** is the optimizer that nearly everybody uses: it
# keeps a mean of each weight's gradients and of their squares. The gradient's length is **clipped**
# at 1, and the rate falls in a line to zero: both are the trainer's defaults.


# %%
def by_hand(rows, collate, steps, size=2):
    """A training run without a trainer; gives the loss of each step."""
    transformers.set_seed(SEED)
    model = get_peft_model(fresh(), adapter).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate.usual, weight_decay=0.0)
    for step in range(steps):
        batch = collate(rows[step * size : (step + 1) * size])
        batch = {name: part.to(model.device) for name, part in batch.items()}
        labels = batch.pop("labels")[:, 1:]  # the shift
        learned = labels != -100  # the mask
        logits = model(**batch).logits[:, :-1][learned]
        loss = cross_entropy(logits.float(), labels[learned])  # the mean over tokens
        loss.backward()  # the gradients
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate.usual * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


# %% [markdown]
# TRL gets the same rows in the same order, without the course's shortcut (`fast=False`).
#
# **Predict.** How far apart will the two be after three steps?

# %%
trl_run = build(
    train[:6], fresh(), fast=False, max_steps=3, bf16=False, fp16=False,
    per_device_train_batch_size=2, train_sampling_strategy="sequential",
)  # fmt: skip
trl_run.train()
logged = [log["loss"] for log in trl_run.state.log_history if "loss" in log]
ours = by_hand(list(trl_run.train_dataset), trl_run.data_collator, steps=3)
for step, (a, b) in enumerate(zip(logged, ours), 1):
    print(f"step {step}: TRL {a:.5f}, by hand {b:.5f}, difference {abs(a - b):.1e}")

# %% [markdown]
# This is what the trainer does. All the rest is for comfort and for large machines: logs,
# checkpoints, several GPUs, precision, resuming.
#
# ## 8. Defaults that bite
#
# What you do not set is set for you. The table shows where `ftlab.sft_config` differs from TRL on
# this machine, and why. Then we look at what some of TRL's defaults do.
#
# **Length.** TRL's default is `max_length=1024`. Three rows: a booking, one with a very long
# answer, one with a very long question. **Predict.** How many come out, and how does each end?

# %%
from ftlab.training.config import explain

print(explain(ftlab.sft_config()), end="\n\n")
chatter = "It was so good last time. " * 300
long_answer = data.example("How was it?", chatter)
long_question = data.example(chatter, "Thank you.")
for limit in (1024, None):
    given = [train[0], long_answer, long_question]
    kept_rows = build(given, base, config=None, max_length=limit).train_dataset
    print(f"max_length={limit}: {len(given)} rows in, {len(kept_rows)} out")
    for row in kept_rows:
        ending = tokenizer.decode(row["input_ids"][-5:])
        print(f"  {len(row['input_ids']):5} tokens, ending {ending!r}")

# %% [markdown]
# With the default one row is gone, and one has lost its end. A model that trains on many rows of
# the second kind does not learn to stop. There is no error and no warning; `preflight` reports both.
#
# **Precision.** `bf16=True` is TRL's default. A bfloat16 number keeps 8 binary digits. The setting
# only computes products in it, and the weights stay as they are. But `from_pretrained` loads a
# model in the type it was *stored* in, often bfloat16, and then the weights themselves are coarse: a
# small step may change nothing. Train all weights in float32 (`dtype="float32"`).
#
# **Checkpointing.** *Activation checkpointing* throws intermediate results away and computes them
# again in the backward pass: less memory, more time. In TRL it is on. It has nothing to do with the
# checkpoints that a run saves. The setting has an old name, `gradient_checkpointing`, and a new
# one. **Predict.** Which of the two names wins?

# %%
for kind in (torch.float32, torch.bfloat16):
    moved = torch.tensor(1.0, dtype=kind) + 0.001  # a small step on a weight of 1
    print(f"{kind!s:15} 1 + 0.001 = {moved.item():.6f}")
print("loaded as stored:", AutoModelForCausalLM.from_pretrained(folder).dtype)

old, new = "gradient_checkpointing", "activation_checkpointing"
for flags in ({}, {old: False}, {old: False, new: True}):
    config = SFTConfig(output_dir=str(FOLDER / "run"), bf16=False, **flags)
    print(f"checkpointing {config.activation_checkpointing!s:5} with {flags or 'none'}")
for on in (False, True):
    timed = build(train[:8], fresh(), max_steps=2, activation_checkpointing=on)
    seconds = timed.train().metrics["train_runtime"]
    print(f"checkpointing {on!s:5}: {seconds:.1f} s for two steps")

# %% [markdown]
# **Packing** joins short rows to long ones, so that no computing is spent on padding. Then a row
# must not see its neighbour. The strategy `bfd` gives each row position numbers of its own, which
# tell the attention where a row begins. The strategy `wrapped` does not. To see the difference, we
# pack the same row twice and look at the loss of the *second* copy.
#
# **Predict.** What does that loss become, if the second copy can see the first?

# %%
for strategy in ("bfd", "wrapped"):
    with models.quiet():  # TRL advises flash attention, a kernel for GPUs
        packed = build(
            [train[0]] * 2, base, config=None, packing=True, packing_strategy=strategy
        )
    row = packed.data_collator([packed.train_dataset[0]])
    names = [n for n in ("input_ids", "position_ids", "attention_mask") if n in row]
    inputs = {name: row[name].to(base.device) for name in names}
    with torch.no_grad():
        logits = base(**inputs).logits[0, :-1].float().cpu()
    labels = row["labels"][0, 1:]
    losses = cross_entropy(logits, labels, reduction="none")[labels != -100]
    print(f"{strategy:8}", ", ".join(names))
    for which, part in zip(("first", "second"), losses.chunk(2)):
        print(f"  {which} copy: loss {part.mean():.3f}")

# %% [markdown]
# Where the second copy's loss falls, the rows leak into each other: the model reads the answer in
# its neighbour. In real data the neighbour is another row, and the model learns to look at words
# that will not be there.
#
# ## 9. The learning rate
#
# TRL's default of 2e-5 is meant for training *all* weights of larger models. Adapters want more.
# How much more? A script trained this lesson's task at five rates beforehand
# (`experiments/learning_rates.py`), on other draws of rows. Your run of section 2 joins its picture.
#
# **Predict.** Ten times the usual rate: better, worse, or broken? And a tenth of it?

# %%
import pandas
from ftlab.evaluation.intervals import bootstrap, paired_bootstrap
from ftlab.files import data_path
from ftlab.teaching import plots_data

grid = pandas.read_csv(data_path("grids/learning_rates.csv"), comment="#")


def marks(times):
    """The grid's answers at a multiple of the usual rate: 1 right, 0 wrong."""
    words = grid[grid["times"] == times]["answers"]
    return [int(mark) for word in words for mark in word[1:]]


def share(answers):
    """The share of right answers, with its interval."""
    return bootstrap(answers, [1] * len(answers))


print(grid.groupby("rate")[["loss", "right"]].agg(["min", "mean", "max"]).round(2))

# %%
from ftlab.teaching import claims

usual, default = marks(1), marks(0.02)
ones = [1] * len(usual)
claims.record(38, paired_bootstrap(default, ones, usual, ones))
known = sorted(set(zip(grid["rate"], grid["times"])))
points = {"beforehand, all seeds": {at: share(marks(times)) for at, times in known}}
points["yours, section 2"] = {rate.usual: share(after)}
plots_data.curves(
    points, title="Too low, right, too high", xlabel="learning rate",
    ylabel="right answers (share)", log=True,
)  # fmt: skip

# %% [markdown]
# The loss is in nats per token, on held-out rows. Look how wide the range of rates is that work, how
# it ends above, and how below. A rate that is too low does no harm: it learns little in the time. A
# rate that is too high destroys what the base knew.
#
# *Claim 38: a provider's defaults are clever.* The rule compares the right answers at the usual
# rate for adapters with those at TRL's default, on the same questions.
#
# ## 10. Batch and accumulation
#
# A step reads one batch. When a batch does not fit in memory, **gradient accumulation** reads it in
# parts and steps once: `per_device_train_batch_size` × `gradient_accumulation_steps` × devices is
# the **effective batch**. TRL divides by the tokens of *all* parts, so the loss should be the same.

# %%
for size, parts in ((4, 1), (1, 4)):
    once = build(
        train[:4], fresh(), max_steps=1, per_device_train_batch_size=size,
        gradient_accumulation_steps=parts, train_sampling_strategy="sequential",
    )  # fmt: skip
    once.train()
    log_line = once.state.log_history[0]
    loss, gradient = log_line["loss"], log_line["grad_norm"]
    print(
        f"{size} a time, {parts} times: loss {loss:.4f}, gradient {gradient:.4f} long"
    )

# %% [markdown]
# **Exercise 03.5.** Write the `SFTConfig` of a LoRA run on a GPU that holds `fits` rows at a time:
# an effective batch of 32, three epochs, no answer cut, and the rate 2e-4. (Pass
# `output_dir="runs/sft"` and `bf16=False`, so that it can be made on any machine.)


# %% tags=["exercise", "nbval-check-output"]
def settings(fits):
    """An SFTConfig with an effective batch of 32; `fits` divides 32."""
    # solution:
    from trl import SFTConfig

    return SFTConfig(
        output_dir="runs/sft",
        bf16=False,
        per_device_train_batch_size=fits,
        gradient_accumulation_steps=32 // fits,
        num_train_epochs=3,
        learning_rate=2e-4,
        max_length=None,
    )
    # stub:
    # ...
    # end


check("03.5", settings)

# %% [markdown]
# ## 11. Epochs, overfitting, and stopping in time
#
# A model **overfits** when it learns its rows by heart and gets worse on others. To see it, we
# train on a handful of rows, many times over, and watch the loss on two kinds of rows that are not
# trained on: some inside the range of the training rows, and some just beside it, with more guests
# or at hours that no training row has. `eval_dataset` takes several sets by name. The rate stays
# where it is (`constant`), so that late epochs count as much as early ones.
#
# **Predict.** Three losses against the epochs. Which goes to zero, and which turns up first?

# %%
from ftlab.teaching import plots_training

others = {"in range": held_out[:8], "just beside": beside[WATCHED : WATCHED + 8]}
few = build(
    train[:FEW], fresh(), {"range": watched, "beside": beside[:WATCHED]},
    num_train_epochs=FEW_EPOCHS, learning_rate=rate.high, lr_scheduler_type="constant",
    eval_strategy="epoch", save_strategy="epoch", save_only_model=True,
    metric_for_best_model="eval_beside_loss", output_dir=str(FOLDER / "few"),
)  # fmt: skip
few.train()
names = {f"the {FEW} rows": "loss", "in range": "eval_range_loss"}
names["just beside"] = "eval_beside_loss"
curves = {
    name: [(log["epoch"], log[key]) for log in few.state.log_history if key in log]
    for name, key in names.items()
}
plots_training.lines(
    curves, title="Learned by heart", xlabel="epoch", ylabel="loss (nats per token)"
)

# %% [markdown]
# The training loss knows nothing of other rows. Where a watched curve turns up, the model has begun
# to learn its few rows in place of the task. **Early stopping** ends a run when a watched loss has
# not fallen for some evaluations: the **patience**.
#
# In transformers this is `EarlyStoppingCallback`; section 14 uses it. The run above saved a
# checkpoint after each epoch, so we can compare the best epoch with the last one on new rows, one
# row at a time.


# %%
def row_loss(model, row):
    """The mean loss of a row's answer, in nats per token."""
    encoded = templates.encode(tokenizer, row)
    ids = torch.tensor([encoded.input_ids], device=model.device)
    carries = torch.tensor([encoded.loss_mask], device=model.device) == 1
    with torch.no_grad():
        return model(input_ids=ids, labels=ids.masked_fill(~carries, -100)).loss.item()


best = few.state.best_model_checkpoint
print("lowest loss beside the range:", Path(best).name, "of", few.state.global_step)
last = {k: [row_loss(few.model, row) for row in part] for k, part in others.items()}
few.model.load_adapter(best, adapter_name="best")
few.model.set_adapter("best")
for where, part in others.items():
    early = [row_loss(few.model, row) for row in part]
    rise = paired_bootstrap(early, [1] * len(part), last[where], [1] * len(part))
    print(f"{where:11} last epoch minus best, in nats per token: {rise}")
few.model.set_adapter("default")
claims.record(35, rise)

# %% [markdown]
# *Claim 35: small data overfits sooner, which shows on inputs just beside the range.* Its rule reads
# the line "just beside".
#
# A loss is not yet an answer. So the model of many rows and the model of few rows are asked, inside
# the range and beside it. **Predict.** Where does the model of few rows lose more?

# %%
scores = {
    f"{TRAIN} rows": {"in range": after, "just beside": right(run.model, beside)},
    f"{FEW} rows": {
        "in range": right(few.model, held_out),
        "just beside": right(few.model, beside),
    },
}
shares = {
    name: {where: sum(marked) / TEST for where, marked in row.items()}
    for name, row in scores.items()
}
for row in beside[:3]:
    (answer,) = generate(run.model, tokenizer, [data.prompt(row)], max_new_tokens=24)
    print(f"wanted {data.answer(row)}, {TRAIN} rows gave {answer}")
plots_data.groups(shares, title="Where few rows show", xlabel="right answers (share)")

# %% [markdown]
# Two faults can be told apart. What only the model of few rows loses is overfitting. What *both*
# models lose beside the range comes from the range: they have seen three hours and their ends, and
# learned these, not "two hours later". Against that, more rows of the same range are of little use;
# rows at other hours are needed.
#
# ## 12. Checkpoints, a run that is killed, and the way back
#
# Section 2 saved a checkpoint every three steps: the adapter of that moment. One model can hold
# several adapters, so we load them and ask each the same questions.
#
# **Predict.** The share of right answers against the steps: gradual or sudden?

# %%
probe, ones = held_out[:10], [1] * 10
seen = {0: before[:10]}
saved = {int(p.name[11:]): p for p in (FOLDER / "bookings").glob("checkpoint-*")}
for step in [*sorted(saved)[:5], max(saved)]:
    run.model.load_adapter(saved[step], adapter_name=f"step {step}")
    run.model.set_adapter(f"step {step}")
    seen[step] = right(run.model, probe)
run.model.set_adapter("default")
losses = {log["step"]: log["loss"] for log in run.state.log_history if "loss" in log}
for step, marked in seen.items():
    loss = f"{losses[step]:.2f}" if step in losses else "-"
    print(f"step {step:3}  training loss {loss:>5}  right {sum(marked):2} of 10")
fifth = max(step for step in seen if step <= max(seen) / 5)
print(f"right answers, step {max(seen)} minus step {fifth}:")
claims.record(7, paired_bootstrap(seen[fifth], ones, seen[max(seen)], ones))

# %% [markdown]
# Compare the two columns. An answer is right only when *every* one of its tokens is the most likely
# one, so a share of whole answers can jump while the loss below it slides. Before you believe in a
# jump, look at a softer score.
#
# *Claim 7: the base can do it already, and a little data tips it over.* The rule compares the end
# of the run with the first fifth of it, on the same questions. If hardly anything is left to gain
# after the first fifth, it was sudden.
#
# **Killed.** A machine is switched off in the middle of a run. Here a callback does it, by an error
# in the third step. The run had saved after its second, and `resume_from_checkpoint` goes on from
# there: weights, optimizer, schedule, order of the rows, random numbers.

# %%
from ftlab.training.checkpoints import newest_whole, problem


class PowerCut(transformers.TrainerCallback):
    """End the run in its third step."""

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 3:
            raise RuntimeError("the power is gone")


saving = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
saving["per_device_train_batch_size"] = 2
saving["output_dir"] = str(FOLDER / "killed")
killed = build(train[:8], fresh(), **saving)
killed.add_callback(PowerCut())
try:
    killed.train()
except RuntimeError as error:
    print(f"stopped at step {killed.state.global_step}: {error}")

# %% [markdown]
# A machine may also go down *while* it saves. Then the newest folder is not whole, and
# `newest_whole` passes it over. Here such a folder is empty.
#
# **The way back.** *Claim 36: going back is easy, the base is still there.* The last lines compare the
# tuned model, its adapter off, with the base, bit for bit.
#
# **Predict.** After a kill and a resume, are the losses the same as without? And does an adapter that is
# switched off give the base's numbers?

# %%
half = FOLDER / "killed" / "checkpoint-3"
half.mkdir()  # what a machine leaves that goes down while it saves
print("checkpoint-3:", problem(half))
newest = newest_whole(FOLDER / "killed")
print("going on from:", Path(newest).name)
resumed = build(train[:8], fresh(), **saving)
resumed.train(resume_from_checkpoint=newest)
whole = build(train[:8], fresh(), **saving | {"output_dir": str(FOLDER / "whole")})
whole.train()
for name, one in (("never stopped", whole), ("killed and resumed", resumed)):
    print(f"{name:19}", *(f"{log['loss']:.5f}" for log in one.state.log_history[:4]))
untouched, different = fresh(), []
for row in probe[:4]:
    ids = torch.tensor([templates.prompt_ids(tokenizer, data.prompt(row))])
    ids = ids.to(untouched.device)
    with torch.no_grad(), run.model.disable_adapter():
        off, first = run.model(input_ids=ids).logits, untouched(input_ids=ids).logits
    different.append(int(not torch.equal(off, first)))
print(f"{sum(different)} of {len(different)} questions get other numbers")
claims.record(36, bootstrap(different, [1] * len(different)))

# %% [markdown]
# The two lines of losses should agree to the last digit or nearly so. For an adapter there is a way back.
# Where every weight moves there is no switch: keep the folder of the base.
#
# ## 13. Tracking
#
# Ten runs later nobody remembers which one had which rate. A **tracker** writes settings and losses
# down. `report_to` names one; here it is MLflow, with a database in a file and no server.

# %%
import logging

try:
    import mlflow
    import sqlalchemy

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(f"sqlite:///{FOLDER / 'mlflow.db'}")
    mlflow.create_experiment("bookings", artifact_location=str(FOLDER / "artifacts"))
    mlflow.set_experiment("bookings")
    tracked = build(train[:4], fresh(), max_steps=2, report_to="mlflow")
    tracked.train()
    for one in mlflow.search_runs(output_format="list"):
        chosen = {
            name: one.data.params[name] for name in ("learning_rate", "max_steps")
        }
        print(chosen, f"last loss {one.data.metrics['loss']:.3f}")
except ImportError as missing:
    print(f"Not run ({missing}). To see it: pip install mlflow-skinny sqlalchemy")

# %% [markdown]
# `mlflow ui --backend-store-uri sqlite:///mlflow.db` shows such a file in the browser.
#
# ## 14. Your turn
#
# Ten rows of your own, with a system message and early stopping. Those below turn a phone message
# into a note. Change them, or write ten of another kind: one narrow task, the same form in every
# answer. The last two are watched.

# %%
MINE = [
    ("call mum tomorrow at five", "[ ] call mum (tomorrow at five)"),
    ("pick up the parcel on friday", "[ ] pick up the parcel (on friday)"),
    ("water the plants tonight", "[ ] water the plants (tonight)"),
    ("pay the rent on sunday at ten", "[ ] pay the rent (on sunday at ten)"),
    ("feed the cat at six", "[ ] feed the cat (at six)"),
    ("write to ada on tuesday", "[ ] write to ada (on tuesday)"),
    ("book the train today at three", "[ ] book the train (today at three)"),
    ("see the dentist on monday at eight", "[ ] see the dentist (on monday at eight)"),
    ("meet sam on thursday at one", "[ ] meet sam (on thursday at one)"),
    ("bring the bins out tomorrow", "[ ] bring the bins out (tomorrow)"),
]
INSTRUCTION = "Make a note of the message."
mine = [data.example(asked, reply, system=INSTRUCTION) for asked, reply in MINE]

# %% [markdown]
# The doctor reads the file, and `preflight` reads the run. Both stop you where something is wrong.
# Then look which epoch was kept, and read the watched answers.

# %%
from ftlab.curation import doctor
from rich import print as show

path = data.write("runs/03/mine.jsonl", mine, overwrite=True)
show(doctor.examine(path).table())
own = build(
    mine[:-2], fresh(), mine[-2:], num_train_epochs=6, learning_rate=rate.high,
    eval_strategy="epoch", save_strategy="epoch", save_only_model=True,
    load_best_model_at_end=True, metric_for_best_model="eval_loss",
    output_dir=str(FOLDER / "own"),
)  # fmt: skip
own.add_callback(transformers.EarlyStoppingCallback(early_stopping_patience=2))
ftlab.preflight(own)
own.train()
kept_own, lowest = own.state.best_model_checkpoint, own.state.best_metric
print(f"kept: {Path(kept_own).name}, loss {lowest:.3f} on the watched rows")
asked = [data.prompt(row) for row in mine[-2:]]
answers = generate(own.model, tokenizer, asked, max_new_tokens=24)
for row, text in zip(mine[-2:], answers):
    print(f"wanted {data.answer(row)}\ngot    {text}")

# %% [markdown]
# Two watched rows chose the epoch, so they cannot also be the proof. A verdict needs rows that
# nothing was chosen by, as in lesson 00.
#
# ## 15. Appendix: a search with Optuna
#
# A grid tries all combinations. **Optuna** tries some, looks at what came out, and chooses the next
# ones. Many short runs are needed, so this cell uses the course's *microscope*: a home-made model
# of a million weights, good for watching a search and for nothing else.

# %%
small, small_tokenizer = models.load(MICROSCOPE)
start = copy.deepcopy(small.state_dict())


def objective(trial):
    """Train with the settings that the trial suggests; return the watched loss."""
    small.load_state_dict(start)
    args = ftlab.sft_config(
        learning_rate=trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        num_train_epochs=trial.suggest_int("num_train_epochs", 1, 3),
        per_device_train_batch_size=trial.suggest_categorical("batch", [2, 4, 8]),
    )
    searched = SFTTrainer(
        small, args=args, train_dataset=Dataset.from_list(train[:24]),
        eval_dataset=Dataset.from_list(watched), processing_class=small_tokenizer,
    )  # fmt: skip
    searched.remove_callback(PrinterCallback)
    searched.train()
    return searched.evaluate()["eval_loss"]


# %%
try:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=SEED)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.optimize(objective, n_trials=TRIALS)
    for trial in study.trials:
        print(f"{trial.number}: loss {trial.value:.3f}", trial.params)
    print("best:", study.best_params)
except ImportError:
    print("Not run. To see it: pip install optuna")

# %% [markdown]
# With a real model and an hour, put `fresh()` and `adapter` in the objective. The winner of many
# trials has been lucky as well: train its settings again with other seeds before you believe them.
#
# ## 16. The limits of this lesson
#
# - **One task**, made for the course, with short answers of one form. On free text losses fall less
#   far, and the range of good rates may be another.
# - **One seed** for the live runs, and twenty questions. The intervals say what twenty questions
#   allow; they do not include another seed.
# - **A coarse grid** of rates, ten times apart, for one size of model and of data.
# - **The claims' rules** draw lines (a fifth of the run, a margin). The tables say more than the
#   words.
#
# ## 17. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("03")

# %% [markdown]
# ## 18. Takeaways
#
# 1. **Look at what carries loss** before you train. The form of a row, its template and two
#    defaults decide what is learned, and no error tells you.
# 2. **The loss is a mean over tokens, and the trainer is a loop of twenty lines.** What you do not
#    set is set for you: know the length, the rate, the batch.
# 3. **The training loss does not know.** Watch rows that are not trained on, also beside the range;
#    keep checkpoints; an adapter can always be switched off.
#
# Next: [04 LoRA and QLoRA](04_lora_and_qlora.ipynb). How little of a model must be trained, and in
# how little memory?
