# %% [markdown]
# # 00 Your first fine-tune, and proof that it worked
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/00_first_fine_tune.ipynb)
#
# **What you will build**: a model that puts capitals and punctuation back into English
# sentences, made from a real open model in a minute or two of training. You write the same
# code that people write at work: transformers, datasets, peft and TRL. Then you compare it with
# the model before, asked in two ways, on sentences that it has never seen.
#
# **Prerequisites**: you read and write simple Python. No GPU, no key, no account, and no
# machine learning yet.
#
# | where | reading, doing and running | of it, training |
# |---|---|---|
# | a laptop or server, CPU only | about an hour | one to two minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Run the cells from top to bottom with **Shift+Enter**. Some cells ask you to write down what
# you expect *before* you run the next one. Do it: a wrong guess is what you will remember.
# Words in bold type are explained where they first occur, and in the
# [glossary](../docs/glossary.md) (on Colab:
# [the same on GitHub](https://github.com/ftlab-course/ftlab/blob/main/docs/glossary.md)).

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
# One cell holds everything that you may want to change. `MINE` is a sentence of your own, in
# lower case and without marks.

# %%
import datasets
import ftlab
import transformers
from ftlab import hardware

SEED = 0
BASE = "smollm2-135m"
MINE = "yesterday i met anna in london and asked her where are you going"
PROFILE = ftlab.profile()
TRAIN, TEST, EPOCHS = PROFILE.examples, 60, 3

hardware.seed_everything(SEED)
datasets.disable_progress_bars()  # their bars would fill a saved page
transformers.utils.logging.disable_progress_bar()
PROFILE

# %% [markdown]
# The table shows what this machine can do. The course asks once and chooses its sizes by it.
# A slow processor takes 100 examples, a fast one 150.
#
# Here is the course. Each lesson opens alone, so you can come back to any of them.

# %% tags=["nbval-check-output"]
from ftlab.teaching import plots

plots.course_map("00")

# %% [markdown]
# ## 2. A real model
#
# `smollm2-135m` is SmolLM2-135M-Instruct, a small open model of Hugging Face with the Apache-2.0
# licence. `models.get` returns the folder that holds it, and downloads it once if it is not
# there. A folder like this, or a name on the Hugging Face hub, is all that transformers needs.

# %%
from ftlab import models
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
model.to(PROFILE.device)
print(f"{model.num_parameters():,} weights in {model.config.num_hidden_layers} layers")
print(f"{len(tokenizer):,} tokens in its vocabulary")

# %% [markdown]
# The **weights** are the numbers that a model computes with, arranged in layers, one after the
# other. Training changes weights. A **token** is a piece of a text, and the vocabulary holds all
# pieces that the model knows.
#
# This model is **instruction-tuned**: somebody has already taught it to answer. A conversation
# is a list of **messages**, each with a role and a text. The **chat template** of the tokenizer
# writes them as one text, and `generate` continues that text.


# %%
def answer(model, messages):
    """The model's answer to a conversation, always its most likely words."""
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    ).to(model.device)
    output = model.generate(**inputs, max_new_tokens=60, do_sample=False)
    new = output[0][inputs["input_ids"].shape[1] :]
    return tokenizer.decode(new, skip_special_tokens=True)


print(answer(model, [{"role": "user", "content": "What is the capital of France?"}]))

# %% [markdown]
# It knows things, and it answers in sentences. Now the task of this lesson. From any written
# sentence we make a question by taking the capitals and marks away. The answer is the sentence
# as it was written.

# %% tags=["nbval-check-output"]
from ftlab.display import wrap
from ftlab.tasks.punctuation import strip

written = "Where is Anna? She went to London, I think."
print("question:", strip(written))
print("answer:  ", written)

# %% [markdown]
# The task is put to the model by a **system message**, which says what the whole conversation
# is about, and a **user message** with the sentence.
#
# **Predict.** What will the model make of your sentence `MINE`? Write it down before you run
# the cell.


# %%
my_prediction = "..."


def question(sentence):
    """The messages that ask to restore a sentence."""
    return [
        {"role": "system", "content": "Restore punctuation and capitals."},
        {"role": "user", "content": strip(sentence)},
    ]


before = answer(model, question(MINE))
print("you expected:", my_prediction)
print("asked:       ", strip(MINE))
print(wrap(before, "answered:     "))

# %% [markdown]
# The model was never taught this task in this form. We could describe it better, we could show
# examples in the prompt, or we could train. This lesson does the last two and compares them.

# %% [markdown]
# ## 3. The data: rows of messages
#
# An example for training is a **row**: the `prompt` is what the model is given, the
# `completion` is what it shall write. Both are lists of messages. This is the form that TRL and
# the data sets on the hub use.
#
# **Exercise 00.1.** Return the row of a sentence: a dictionary with the keys `prompt` and
# `completion`. Stuck? `hint("00.1", 1)`, then `hint("00.1", 2)`.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def row(sentence):
    """One example: the question about a sentence, and the sentence as the answer."""
    # solution:
    from ftlab.tasks.punctuation import SYSTEM, strip

    asked = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": strip(sentence)},
    ]
    return {
        "prompt": asked,
        "completion": [{"role": "assistant", "content": sentence}],
    }
    # stub:
    # ...
    # end


check("00.1", row)

# %% [markdown]
# The course has such rows ready. Their sentences come from the documentation inside your own
# Python, and some from letters and conversations written for the course. The rows are split
# into two sets. The model trains on the first. The second is **held out**: it is used only to
# measure. A sentence in both would spoil the measurement, so we look.

# %%
from ftlab.tasks import punctuation

train_rows = punctuation.rows(TRAIN, seed=SEED)
held_out = punctuation.rows(TEST, seed=SEED, split="test")
learned = {row["completion"][0]["content"] for row in train_rows}
asked = {row["completion"][0]["content"] for row in held_out}
print(f"{len(train_rows)} rows to train on, {len(held_out)} held out")
print(f"{len(learned & asked)} sentences are in both")
for example in train_rows[:3]:
    print("\n" + wrap(example["prompt"][-1]["content"], "user:      "))
    print(wrap(example["completion"][0]["content"], "assistant: "))

# %% [markdown]
# `datasets` is the library that holds such rows. A `Dataset` is a table with a column for each
# key, and trainers take it directly. We leave out `meta`, our own notes about a row.

# %%
from datasets import Dataset

data = Dataset.from_list(train_rows).remove_columns("meta")
data

# %% [markdown]
# ## 4. What the model will see
#
# A model reads no messages. It reads one sequence of tokens. So let us look at the first row as
# the model will see it. The text between the markers with angle brackets is ours; the markers come
# from the chat template.
#
# **Predict.** The training will compare the model's guesses with some of these tokens. Which:
# all of them, those of the question, or those of the answer?

# %%
from ftlab import templates
from IPython.display import HTML

encoded = templates.encode(tokenizer, train_rows[0])
HTML(templates.mask_html(tokenizer, encoded))

# %% [markdown]
# The coloured tokens **carry loss**: only these are learned. They are the answer and the marker
# that ends the turn. The marker matters: a model that has not learned it does not stop.
#
# The other tokens are read and not learned. TRL does this by itself for rows with `prompt` and
# `completion`. Lesson 03 shows what happens when it goes wrong.

# %% [markdown]
# ## 5. First, a better prompt
#
# Before you train, try to ask better. Showing solved examples in the prompt is called **few-shot
# prompting**. In a conversation, a solved example is a user message followed by the assistant's
# answer.
#
# **Exercise 00.2.** Return the messages of a few-shot prompt. `question` has two messages, the
# system message and the user message; `solved` is a list of rows like those above.


# %% tags=["exercise", "nbval-check-output"]
def with_examples(question, solved):
    """The question's messages, with solved rows as earlier turns in between."""
    # solution:
    messages = [question[0]]
    for row in solved:
        messages += [row["prompt"][1], row["completion"][0]]
    return [*messages, question[1]]
    # stub:
    # ...
    # end


check("00.2", with_examples)

# %% [markdown]
# Now the base model answers all held-out questions, once asked plainly and once with eight
# solved examples. `generate` of ftlab does the same as `answer` above for many conversations at
# a time, and computes what their prompts share only once.

# %%
from ftlab.generation import generate


def few_shot(row, solved=tuple(train_rows[:8])):
    """A held-out row's question, with eight solved examples in front."""
    system, user = row["prompt"]
    turns = [turn for one in solved for turn in (one["prompt"][1], *one["completion"])]
    return [system, *turns, user]


plain = [row["prompt"] for row in held_out]
answers = {"base": generate(model, tokenizer, plain, max_new_tokens=80)}
answers["base + 8 examples"] = generate(
    model, tokenizer, [few_shot(row) for row in held_out], max_new_tokens=80
)

# %% [markdown]
# Read the first three. Asked plainly, does the model do what is wanted, or does it explain the
# sentence, answer it, or write code? What do the examples change?

# %%
for number in range(3):
    print(wrap(held_out[number]["completion"][0]["content"], "wanted: "))
    for name, texts in answers.items():
        print(wrap(texts[number], f"{name}: "))
    print()

# %% [markdown]
# ## 6. The fine-tune
#
# A fine-tune changes the model by examples. We do not change its own weights: **LoRA** adds two
# thin matrices beside each chosen weight matrix, and trains those alone. Together they are
# called an **adapter**. peft is the library for adapters, and a `LoraConfig` says where they
# go. Here they go on the upper half of the layers only: the training then has to compute
# nothing backwards through the lower half, which saves time.

# %%
from peft import LoraConfig

layers = model.config.num_hidden_layers
adapter = LoraConfig(
    r=16,  # the inner size of the two matrices
    lora_alpha=32,  # scales what they add
    layers_to_transform=list(range(layers // 2, layers)),
    target_modules=[
        *("q_proj", "k_proj", "v_proj", "o_proj"),  # attention
        *("gate_proj", "up_proj", "down_proj"),  # feed-forward
    ],
)

# %% [markdown]
# `target_modules` are the names of the matrices in each layer.
#
# **Exercise 00.3.** Write a smaller adapter: `r`, the **rank**, is 8, `lora_alpha` is twice the
# rank, and it sits on `q_proj` and `v_proj` of the upper half of the layers.


# %% tags=["exercise", "nbval-check-output"]
def small_adapter(layers):
    """A LoraConfig for a model with this many layers."""
    # solution:
    from peft import LoraConfig

    return LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=["q_proj", "v_proj"],
        layers_to_transform=list(range(layers // 2, layers)),
    )
    # stub:
    # ...
    # end


check("00.3", small_adapter)

# %% [markdown]
# The settings of the training itself are an `SFTConfig`, TRL's class for **supervised
# fine-tuning**. `ftlab.sft_config` returns one with defaults for this machine. One **epoch** is
# one pass over all rows. A step reads one **batch** of rows; when rows are few, small batches
# give more steps. The **learning rate** says how far a step goes: for adapters on a model of
# this size, people use about 0.0005 to 0.002.

# %%
rate = ftlab.learning_rate("lora", model.num_parameters())
args = ftlab.sft_config(
    num_train_epochs=EPOCHS,
    per_device_train_batch_size=4,
    learning_rate=rate.high,
    seed=SEED,
)
print("learning rate:", args.learning_rate)

# %% [markdown]
# `SFTTrainer` puts it all together: model, settings, rows, tokenizer, adapter. Before it runs,
# `ftlab.preflight` looks at what it is about to do. Each line of its table is a mistake that has
# cost people days, and here each one is checked before the first step. `ftlab.faster_on_cpu` gives
# the same losses in less time, and does nothing on a GPU.

# %%
from trl import SFTTrainer

trainer = SFTTrainer(
    model,
    args=args,
    train_dataset=data,
    processing_class=tokenizer,
    peft_config=adapter,
    callbacks=[ftlab.LiveCurve()],
)
ftlab.faster_on_cpu(trainer)
ftlab.preflight(trainer)

# %% [markdown]
# **Predict.** The **loss** is the mean surprise of the model at each token of the answers (in nats,
# a unit that lesson 03 explains). How will its curve look: a line, a cliff, or a slope that flattens?

# %%
result = trainer.train()
tuned = trainer.model
trained, total = tuned.get_nb_trainable_parameters()
losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
print(f"{trained:,} of {total:,} weights were trained: {trained / total:.1%}")
print(f"loss {losses[0]:.2f} at the first step, {losses[-1]:.2f} at the last")
seconds = result.metrics["train_runtime"]
print(f"{trainer.state.global_step} steps in {seconds:.0f} seconds")

# %% [markdown]
# ## 7. Before and after
#
# The same question as in section 2, your sentence, the same call. Only the adapter is new.

# %%
after = answer(tuned, question(MINE))
print("asked:  ", strip(MINE))
print(wrap(before, "before:  "))
print(wrap(after, "after:   "))

# %% [markdown]
# Compare word by word. Are the capitals and marks right, and is every word still there? Most of
# the rows were sentences of documentation; yours may be of another kind.
#
# One sentence is an anecdote. So the tuned model answers all held-out questions, asked plainly:
# it needs no examples in the prompt.

# %%
answers["tuned"] = generate(tuned, tokenizer, plain, max_new_tokens=80)
for number in range(3):
    print(wrap(held_out[number]["completion"][0]["content"], "wanted:   "))
    print(wrap(answers["tuned"][number], "answered: "), "\n")

# %% [markdown]
# ## 8. The verdict
#
# How many capitals and marks are right? **F1** counts those that are right, those that are there
# and should not be, and those that are missing. It is 0 when nothing is right and 1 when all is.
# `words_kept` is the share of the words that were kept: a model could write correct sentences
# of its own, and this would show it.
#
# **Predict.** Three numbers between 0 and 1: base, base with examples, tuned.

# %%
from ftlab import tasks
from ftlab.evaluation.compare import compare

my_guess = "base ..., base + 8 examples ..., tuned ..."

verdict = compare(tasks.get("punctuation"), held_out, answers, seed=SEED)
print("you expected:", my_guess)
print(wrap(verdict.sentence))
plots.interval_bars(verdict.to_json(), metrics=["f1", "words_kept"])

# %% [markdown]
# What does each way cost? A model is paid by the token, and examples are read with each question.

# %%
prompts = {"base": plain, "base + 8 examples": [few_shot(row) for row in held_out]}
prompts["tuned"] = plain
for name, asked in prompts.items():
    tokens = [len(templates.prompt_ids(tokenizer, messages)) for messages in asked]
    print(f"{name}: {sum(tokens) / len(tokens):.0f} tokens in a prompt, on average")

# %% [markdown]
# Each bar above has an **interval**. Sixty other sentences would give a slightly different value, and
# the interval says how different. What decides is the interval of the *difference*: tuned minus
# the best that prompting reached. Zero means no difference, so look where zero lies.
#
# **Exercise 00.4.** Return `"tuned"` when the interval shows that tuned is better, `"base"` when
# it shows that base is, and `"cannot tell"` when it allows both.


# %% tags=["exercise", "nbval-check-output"]
def which_is_better(low, high):
    """Read the interval of tuned minus base, from `low` to `high`."""
    # solution:
    if low > 0:
        return "tuned"
    return "base" if high < 0 else "cannot tell"
    # stub:
    # ...
    # end


check("00.4", which_is_better)

# %%
sides = ("base + 8 examples", "tuned")
gap = next(p.difference for p in verdict.pairs if (p.a, p.b) == sides)
print(f"{sides[1]} minus {sides[0]}, in F1: {gap}")

# %% [markdown]
# Read the interval as in the exercise. If all of it lies above zero, training gave more than the
# examples did. If zero is in it, eight examples in the prompt would do as well on these sentences,
# and what training saves is their tokens in every prompt.
#
# An average hides individual errors, so read the worst answers as well.


# %%
def tuned_f1(example):
    """The tuned model's F1 on one held-out sentence."""
    return example["outputs"]["tuned"]["scores"]["f1"]


for example in sorted(verdict.examples, key=tuned_f1)[:3]:
    print(f"F1 {tuned_f1(example):.2f}")
    print(wrap(example["reference"], "  wanted:   "))
    print(wrap(example["outputs"]["tuned"]["text"], "  answered: "))

# %% [markdown]
# Where words are lost or invented, the model is wrong. Elsewhere the answer may be correct
# English with one comma more or less: the measure knows only the one way its author wrote it.

# %% [markdown]
# ## 9. Your turn
#
# Ten examples of your own, and a model that has learned them in a minute. The ten pairs below
# turn a short note into a polite request. Change them, or write ten of another kind: one narrow
# task, the same form in every answer, and inputs that differ.

# %%
PAIRS = [
    ("send me the report", "Could you please send me the report?"),
    ("close the window", "Could you please close the window?"),
    ("call me after lunch", "Could you please call me after lunch?"),
    ("check the numbers again", "Could you please check the numbers again?"),
    ("tell anna about the meeting", "Could you please tell Anna about the meeting?"),
    ("move the car", "Could you please move the car?"),
    ("bring two chairs", "Could you please bring two chairs?"),
    ("water the plants on friday", "Could you please water the plants on Friday?"),
    ("write to the landlord", "Could you please write to the landlord?"),
    ("explain the second step", "Could you please explain the second step?"),
]
NEW = ["book a table for six", "speak more slowly"]
INSTRUCTION = "Make a polite request of this note."

# %% [markdown]
# First the **doctor** looks at the file: it reports what is wrong with data before anyone
# trains on it. The same from a cell is `!ftlab doctor runs/00/mine.jsonl`, and without the `!` in a
# terminal, in the folder of this notebook. So it is with every command of the course.

# %%
from ftlab import data as rows_of
from ftlab.curation import doctor
from rich import print as show

mine = [rows_of.example(ask, reply, system=INSTRUCTION) for ask, reply in PAIRS]
path = rows_of.write("runs/00/mine.jsonl", mine, overwrite=True)
show(doctor.examine(path).table())

# %% [markdown]
# Then the training: the same four pieces as in section 6, on a fresh copy of the base. Ten rows
# are few, so the model reads them eight times.

# %%
fresh = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
second = SFTTrainer(
    fresh.to(PROFILE.device),
    args=ftlab.sft_config(
        num_train_epochs=8,
        per_device_train_batch_size=4,
        learning_rate=rate.high,
        seed=SEED,
    ),
    train_dataset=Dataset.from_list(mine),
    processing_class=tokenizer,
    peft_config=adapter,
    callbacks=[ftlab.LiveCurve()],
)
ftlab.faster_on_cpu(second)
ftlab.preflight(second)
result = second.train()
print(f"{result.metrics['train_runtime']:.0f} seconds")

# %%
for note in NEW:
    asked = [
        {"role": "system", "content": INSTRUCTION},
        {"role": "user", "content": note},
    ]
    print("note: ", note)
    with second.model.disable_adapter():
        print(wrap(answer(second.model, asked), "base:  "))
    print(wrap(answer(second.model, asked), "tuned: "), "\n")

# %% [markdown]
# With its adapter off, the model is the base again. Ten rows show the form. They show nothing
# about how often it comes out right: for that you need held-out rows, as above.

# %% [markdown]
# ## 10. The limits of this verdict
#
# - It speaks of these sentences: documentation, and some letters. Try a line of a poem as `MINE`.
# - It speaks of one training run. Another `SEED` gives a slightly different model, and the
#   interval does not include that.
# - What the model *forgot* while it learned was not measured. Lesson 07 does that.
# - The prompt with examples could perhaps be improved further. Lesson 01 tries.
#
# ## 11. Quiz
#
# Five questions. Each option, right or wrong, explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("00")

# %% [markdown]
# ## 12. Takeaways
#
# 1. **A fine-tune is rows of messages, a `LoraConfig`, an `SFTConfig` and an `SFTTrainer`.** One
#    narrow task shows its effect after a hundred rows.
# 2. **Only the answer and its end are learned.** Look at the colours before you train.
# 3. **The rival is the best prompt, not the plain one**, on held-out rows, with an interval of
#    the difference.
#
# Next: [01 Prompt or tune?](01_prompt_retrieve_tune_or_neither.ipynb).
# When is a prompt enough, when does a search help more, and when does training pay?
