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
import socket
import tempfile
from pathlib import Path

import datasets
import ftlab
import pandas
import torch
import transformers
from ftlab import check, data, hardware, models, templates

SEED, BASE, MICROSCOPE = 0, "smollm2-135m", "ftlab-1m"
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
# No message is in two of the four sets of rows: to train on, to judge by, to watch during a run, and
# some just *beside* the range of the others, for section 11.

# %% tags=["nbval-check-output"]
from ftlab.teaching.lesson03 import BESIDE, RANGE, bookings

train = bookings(TRAIN, SEED)
held_out = bookings(TEST, SEED + 1, apart_from=train)
beside = bookings(TEST, SEED + 2, beside=True)
watched = bookings(WATCHED, SEED + 3, apart_from=[*train, *held_out])
for row in train[:4]:
    print(f"{data.prompt(row)[-1]['content']:35} ->  {data.answer(row)}")
print("\nguests and hours in the training rows:", *RANGE)
print("guests and hours just beside that range:", *BESIDE)

# %% [markdown]
# `fresh` loads the base anew, and `build` makes a trainer for some rows. The whole lesson uses
# these two. What is not named in `build` is a default, and section 8 is about those.

# %%
from datasets import Dataset, load_dataset
from ftlab.generation import generate
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.trainer_callback import PrinterCallback
from trl import SFTTrainer

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
def build(rows, model, watched=None, peft=adapter, reader=tokenizer, fast=True, **more):
    """TRL's trainer for these rows; `fast` is the course's shortcut on a CPU."""
    usual = {"learning_rate": rate.usual, "per_device_train_batch_size": 4}
    usual |= {"output_dir": str(FOLDER / "run"), "seed": SEED}
    transformers.set_seed(SEED)  # an adapter begins with random numbers
    trainer = SFTTrainer(
        model, args=ftlab.sft_config(**usual | more), peft_config=peft,
        train_dataset=Dataset.from_list(rows), eval_dataset=watched,
        processing_class=reader,
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
run.train()
with run.model.disable_adapter():
    before = right(run.model, held_out)
after = right(run.model, held_out)
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

step = pandas.DataFrame({"logit": [2.0, 1.0, -1.0]}, index=["yes", "no", "maybe"])
step["chance"] = step["logit"].map(exp) / step["logit"].map(exp).sum()  # softmax
step["slope"] = step["chance"] - (step.index == "no")  # the gradient
step["logit after"] = step["logit"] - 1.0 * step["slope"]  # a step at a rate of 1
logits = torch.tensor([2.0, 1.0, -1.0], requires_grad=True)
torch.nn.functional.cross_entropy(logits, torch.tensor(1)).backward()
step["PyTorch's slope"] = logits.grad
print(f"loss {-log(step['chance']['no']):.3f} nats", step.round(3), sep="\n")

# %% [markdown]
# The right token's logit rises, all others fall, and the most likely wrong one falls most. A real
# model does the same, one stage further: its logits come from weights, and the chain rule carries
# the gradient from the logits to every weight that is trained. PyTorch does that part, and its
# slopes are ours.
#
# ## 4. Rows from a file, and from the hub
#
# Rows lie in a file with one JSON object a line (**JSONL**). `load_dataset` of the library
# `datasets` reads it, and CSV or Parquet the same way. With a name in place of `"json"`, it loads a
# data set of the Hugging Face **hub**. `streaming=True` reads only what is asked for: look at one
# row before you download a gigabyte. Without a network the cell says so.

# %%
path = data.write(FOLDER / "bookings.jsonl", train)
loaded = load_dataset("json", data_files=str(path), split="train", cache_dir=FOLDER)
print(loaded.num_rows, "rows; the first as it was written:", loaded[0] == train[0])
try:
    socket.create_connection(("huggingface.co", 443), timeout=2).close()
    talks = load_dataset("trl-lib/Capybara", split="train", streaming=True)
    print([turn["role"] for turn in next(iter(talks))["messages"]])
except Exception as error:
    print(f"Conversations of several turns were not loaded ({error}).")

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
turns = [("user", "A table at 19:30?"), ("assistant", "How many?"), ("user", "Four.")]
chat = [{"role": role, "content": text} for role, text in turns]
print(templates.prompt_text(tokenizer, chat))
for thinking in (True, False):
    text = templates.prompt_text(qwen3, chat, enable_thinking=thinking)
    print(f"--- Qwen3, enable_thinking={thinking}\n{text}")

# %% [markdown]
# Some templates add a system message of their own, as that of SmolLM2 does; Qwen3's adds none. If
# your training rows have a system message, ask with the same one later. "No thinking" is a part of
# the prompt, too: an empty thought, written for the model. Train and ask with the same end.
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
# it is not. TRL makes them, and the form of the rows decides how. The same booking can be handed
# over in three ways: as `prompt` and `completion`; as `messages`; and as `messages` with
# `assistant_only_loss=True`. The last one needs a template with `{% generation %}` marks around
# the answers. The base's template has none, so it gets that of another family here.
#
# **Predict.** One of the three trains on the guest's words. Which?

# %%
marked = with_template("qwen2_5_training")
messages = {"messages": data.prompt(train[0]) + train[0]["completion"]}
ways = [(train[0], tokenizer, False), (messages, tokenizer, False)]
for row, reader, only in [*ways, (messages, marked, True)]:
    one = build([row], base, peft=None, reader=reader, assistant_only_loss=only)
    made = one.train_dataset[0]  # what TRL made of the row
    mask = [int(label != -100) for label in made["labels"]]
    print(f"{', '.join(row)}, assistant_only_loss={only}: {sum(mask)} of {len(mask)}")
    encoded = templates.Encoded(made["input_ids"], mask, False)
    display(HTML(templates.mask_html(reader, encoded)))

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
# **Exercise 03.2.** For each label that is not -100, return the position whose logits guess it,
# and the label.


# %% tags=["exercise", "nbval-check-output"]
def guesses(labels):
    """[(position of the guess, wanted token), ...] for the labels that are not -100."""
    # solution:
    return [(i - 1, label) for i, label in enumerate(labels) if label != -100]
    # stub:
    # ...
    # end


check("03.2", guesses)

# %% [markdown]
# A batch has answers of different length. Its loss could be the mean over its rows or the mean
# over its tokens. TRL takes the mean over the tokens: rows with long answers weigh more.
#
# **Exercise 03.3.** Each list holds the losses of one row's tokens. Return the loss of the batch,
# in which every *token* counts alike.


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
# Now a trainer without TRL. **AdamW** is the optimizer that nearly everybody uses: it
# keeps a mean of each weight's gradients and of their squares. The gradient's length is **clipped**
# at 1, and the rate falls in a line to zero: both are the trainer's defaults.
#
# TRL gets the same rows in the same order, without the course's shortcut (`fast=False`). It reads
# two rows one after the other and steps once, where we read them at once. In the second step a
# booking stands beside a question whose answer is one word.
#
# **Predict.** How far apart will the two be after three steps? And where would they part, if one
# of them took the mean over the rows?


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
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[learned])
        loss.backward()  # of the mean over tokens: the gradients
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate.usual * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


# %%
garden = data.example("Is there a garden?", "Yes.")
trl_run = build(
    [*train[:3], garden, *train[3:5]], fresh(), fast=False, max_steps=3,
    bf16=False, fp16=False, train_sampling_strategy="sequential",
    per_device_train_batch_size=1, gradient_accumulation_steps=2,
)  # fmt: skip
trl_run.train()
logged = [log["loss"] for log in trl_run.state.log_history if "loss" in log]
ours = by_hand(list(trl_run.train_dataset), trl_run.data_collator, steps=3)
print(pandas.DataFrame({"TRL": logged, "by hand": list(ours)}).round(5))

# %% [markdown]
# This is what the trainer does: softmax, minus the logarithm, a mean over tokens, a step. All the
# rest is for comfort and for large machines: logs, checkpoints, several GPUs, precision, resuming.
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

print(explain(ftlab.sft_config()))
chatter = "It was so good last time. " * 300
given = [train[0], data.example("How?", chatter), data.example(chatter, "Thank you.")]
for limit in (1024, None):
    print(f"\nmax_length={limit}, 3 rows in:")
    for row in build(given, base, peft=None, max_length=limit).train_dataset:
        ending = tokenizer.decode(row["input_ids"][-5:])
        print(f"{len(row['input_ids']):5} tokens, ending {ending!r}")

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
# again in the backward pass: less memory, more time. In TRL it is on, under this name and under an
# older one, `gradient_checkpointing`. It has nothing to do with the checkpoints that a run saves.

# %%
print("loaded as stored:", AutoModelForCausalLM.from_pretrained(folder).dtype)
for kind in (torch.float32, torch.bfloat16):
    moved = torch.tensor(1.0, dtype=kind) + 0.001  # a small step on a weight of 1
    print(f"{kind!s:15} 1 + 0.001 = {moved.item():.6f}")
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
keys, both = ("input_ids", "labels", "position_ids"), [train[0]] * 2
for name in ("bfd", "wrapped"):
    with models.quiet():  # TRL advises flash attention, a kernel for GPUs
        packed = build(both, base, None, None, packing=True, packing_strategy=name)
    row = packed.data_collator([packed.train_dataset[0]])
    row["labels"][:, : row["labels"].shape[1] // 2] = -100  # the second copy alone
    inputs = {key: row[key].to(base.device) for key in keys if key in row}
    print(f"{name:8} loss {base(**inputs).loss.item():.3f} with", *inputs)

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
from ftlab.evaluation.intervals import bootstrap, paired_bootstrap
from ftlab.files import data_path
from ftlab.teaching import claims, plots

grid = pandas.read_csv(data_path("grids/learning_rates.csv"), comment="#")
print(grid.groupby(["times", "rate"])[["loss", "right"]].mean())
answers = {  # at each multiple of the usual rate: 1 right, 0 wrong
    times: [int(mark) for word in words for mark in word[1:]]
    for times, words in grid.groupby("times")["answers"]
}
ones = [1] * len(answers[1])
claims.record(38, paired_bootstrap(answers[0.02], ones, answers[1], ones))
shares = {times: bootstrap(marks, ones) for times, marks in answers.items()}
plots.curves(
    {"beforehand, all seeds": shares, "yours": {1: bootstrap(after, [1] * TEST)}},
    title="Too low, right, too high", ylabel="right answers (share)", log=True,
    xlabel="learning rate, as a multiple of the usual one",
)  # fmt: skip

# %% [markdown]
# The loss is in nats per token, on held-out rows. Look how wide the range of rates is that work, how
# it ends above, and how below. A rate that is too low does no harm: it learns little in the time. A
# rate that is too high destroys what the base knew.
#
# The box is a **claim**: something that practitioners say, which the course tests by a rule on an
# interval; [the page of claims](claims.md) has all of them. *Claim 38: a provider's defaults are
# clever.* The rule compares the right answers at the usual rate for adapters with those at TRL's
# default, on the same questions.
#
# ## 10. Batch and accumulation
#
# A step reads one batch. When a batch does not fit in memory, **gradient accumulation** reads it in
# parts and steps once: `per_device_train_batch_size` × `gradient_accumulation_steps` × devices is
# the **effective batch**. TRL divides by the tokens of *all* parts: in section 7 it read each batch
# in two parts, and its losses were those of whole batches.
#
# **Exercise 03.4.** Write the `SFTConfig` of a LoRA run on a GPU that holds `fits` rows at a time:
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


check("03.4", settings)

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
from ftlab.teaching import plots

sets = {"range": watched, "beside": beside[:WATCHED]}
sets = {name: Dataset.from_list(rows) for name, rows in sets.items()}
few = build(
    train[:FEW], fresh(), sets,
    num_train_epochs=FEW_EPOCHS, learning_rate=rate.high, lr_scheduler_type="constant",
    eval_strategy="epoch", save_strategy="epoch", save_only_model=True,
    metric_for_best_model="eval_beside_loss", output_dir=str(FOLDER / "few"),
)  # fmt: skip
few.train()
curves = {
    name: [(log["epoch"], log[name]) for log in few.state.log_history if name in log]
    for name in ("loss", "eval_range_loss", "eval_beside_loss")
}
plots.lines(
    curves, title="Learned by heart", xlabel="epoch", ylabel="loss (nats per token)"
)

# %% [markdown]
# The training loss knows nothing of other rows. Where a watched curve turns up, the model has begun
# to learn its few rows in place of the task. **Early stopping** ends a run when a watched loss has
# not fallen for some evaluations: the **patience**. In transformers this is
# `EarlyStoppingCallback`; section 14 uses it.
#
# The run above saved a checkpoint after each epoch, so we can compare the best epoch with the last
# one, on *new* rows just beside the range.

# %%
new, ones = beside[WATCHED : WATCHED + 8], [1] * 8


def losses(model):
    """The mean loss of each new row's answer, in nats per token."""
    each = []
    for row in [templates.encode(tokenizer, row) for row in new]:
        ids, on = torch.tensor([row.input_ids, row.loss_mask], device=model.device)
        with torch.no_grad():
            labels = ids.masked_fill(on == 0, -100)
            each.append(model(input_ids=ids[None], labels=labels[None]).loss.item())
    return each


last, best = losses(few.model), Path(few.state.best_model_checkpoint)
few.model.load_adapter(best, adapter_name="best")
few.model.set_adapter("best")
print("lowest loss beside the range:", best.name, "of", few.state.global_step)
claims.record(35, paired_bootstrap(losses(few.model), ones, last, ones))

# %% [markdown]
# *Claim 35: small data overfits sooner, which shows on inputs just beside the range.* Against that,
# more rows of the same range are of little use: rows just beside it are needed.
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
counts = {step: sum(marks) for step, marks in seen.items()}
print(pandas.DataFrame({"loss": losses, "right of 10": counts}).loc[[*seen]])
fifth = max(step for step in seen if step <= max(seen) / 5)
claims.record(7, paired_bootstrap(seen[fifth], ones, seen[max(seen)], ones))

# %% [markdown]
# Compare the two columns. An answer is right only when *every* one of its tokens is the most likely
# one, so a share of whole answers can jump while the loss beside it slides. Before you believe in a
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
class PowerCut(transformers.TrainerCallback):
    """End the run in its third step."""

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 3:
            raise RuntimeError("the power is gone")


saving = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
saving["per_device_train_batch_size"] = 2
killed = build(train[:8], fresh(), output_dir=str(FOLDER / "killed"), **saving)
killed.add_callback(PowerCut())
try:
    killed.train()
except RuntimeError as error:
    print(f"stopped at step {killed.state.global_step}: {error}")

# %% [markdown]
# A machine may also go down *while* it saves. `newest_whole` passes over a checkpoint that is not
# whole.
#
# **The way back.** *Claim 36: going back is easy, the base is still there.* The last lines compare
# the tuned model, its adapter off, with the base, bit for bit.
#
# **Predict.** After a kill and a resume, are the losses the same as without? And does an adapter
# that is switched off give the base's numbers?

# %%
from ftlab.training.checkpoints import newest_whole

resumed = build(train[:8], fresh(), output_dir=str(FOLDER / "killed"), **saving)
resumed.train(resume_from_checkpoint=newest_whole(FOLDER / "killed"))
whole = build(train[:8], fresh(), output_dir=str(FOLDER / "whole"), **saving)
whole.train()
for name, one in (("never stopped", whole), ("killed and resumed", resumed)):
    print(f"{name:19}", *(f"{log['loss']:.5f}" for log in one.state.log_history[:4]))


# %%
different, tuned = [], run.model.get_base_model()  # without the trainer's autocast
for row in probe[:4]:
    ids = torch.tensor([templates.prompt_ids(tokenizer, data.prompt(row))])
    with torch.no_grad(), run.model.disable_adapter():
        off, plain = (m(ids.to(base.device)).logits for m in (tuned, base))
    different.append(int(not torch.equal(off, plain)))
claims.record(36, bootstrap(different, [1] * len(different)))

# %% [markdown]
# The two lines of losses should agree to the last digit or nearly so. For an adapter there is a way
# back. Where every weight moves there is no switch: keep the folder of the base.
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
    build(train[:4], fresh(), max_steps=2, report_to="mlflow").train()
    table = mlflow.search_runs()
    print(table[["params.learning_rate", "params.max_steps", "metrics.loss"]])
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
    mine[:-2], fresh(), Dataset.from_list(mine[-2:]), num_train_epochs=6,
    learning_rate=rate.high, eval_strategy="epoch", save_strategy="epoch",
    save_only_model=True, load_best_model_at_end=True,
    metric_for_best_model="eval_loss", output_dir=str(FOLDER / "own"),
)  # fmt: skip
own.add_callback(transformers.EarlyStoppingCallback(early_stopping_patience=2))
ftlab.preflight(own)
own.train()
print("kept:", Path(own.state.best_model_checkpoint).name, own.state.best_metric)
asked = [data.prompt(row) for row in mine[-2:]]
for text in generate(own.model, tokenizer, asked, max_new_tokens=24):
    print("got:", text)

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
def objective(trial):
    small, reader = models.load(MICROSCOPE)
    searched = build(
        train[:24], small, Dataset.from_list(watched), None, reader,
        learning_rate=trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        per_device_train_batch_size=trial.suggest_categorical("batch", [2, 4, 8]),
    )  # fmt: skip
    searched.train()
    return searched.evaluate()["eval_loss"]


try:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED))
    study.optimize(objective, n_trials=TRIALS)
    print(study.trials_dataframe(("value", "params")))
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
