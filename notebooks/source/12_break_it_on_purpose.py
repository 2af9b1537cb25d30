# %% [markdown]
# # 12 Break it on purpose: thirteen faults, and how to tell them apart
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/12_break_it_on_purpose.ipynb)
#
# **What you will build**: a ward of thirteen broken models and batches, each with its
# symptom, the printout that proves the cause, and a cure that you check.
#
# **Prerequisites**: lessons 00 and 07. Lesson 03 helps.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour and a half | under four minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Each case shows the symptom first. **Diagnose** before you run on: write down one cause,
# and the one printout that would prove you wrong. So the headings name symptoms; the table
# of section 12 has all thirteen faults by name.

# %%
# On Colab this installs the course; anywhere else it does nothing.
import subprocess
import sys

REPOSITORY = "https://github.com/ftlab-course/ftlab"

if "google.colab" in sys.modules:
    wanted = f"ftlab @ git+{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)

# %% [markdown]
# ## 1. Settings, and a trainer that trusts you
#
# The smallest model of the course will do: what is wrong with a batch is wrong at any size.

# %%
import ftlab
from ftlab import data, hardware, models

SEED, BASE = 0, "ftlab-1m"
PROFILE = ftlab.profile()
TRAIN, TEST = min(PROFILE.records, 210), 60
FEW, ROUND, KIND = 24, 99, 120

hardware.seed_everything(SEED)
tokenizer = models.load(BASE)[1]
hardware.versions()

# %% [markdown]
# The course's own trainer refuses most of these faults. So here is one that checks nothing:
# a loop over batches, with a rate that goes down to zero. It takes rows of tokens, and
# labels where -100 means “no loss here”.

# %%
import math
import random

import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling as TrlCollator

PAD_WITH_PAD = TrlCollator(pad_token_id=tokenizer.pad_token_id)


def on(model, batch):
    """Put a batch where the model is."""
    return {name: tensor.to(model.device) for name, tensor in batch.items()}


# %%
def fit(rows, epochs=3, rate=1e-3, collate=PAD_WITH_PAD, model=None, after=None):
    """Train on rows as they are, and return the model and the loss of each step."""
    model = models.load(BASE)[0] if model is None else model
    weights, losses, rng = list(model.parameters()), [], random.Random(SEED)
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01)
    steps = epochs * math.ceil(len(rows) / 8)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for epoch in range(epochs):
        model.train()
        order = rng.sample(rows, len(rows))
        for start in range(0, len(rows), 8):
            loss = model(**on(model, collate(order[start : start + 8]))).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            falling.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        if after:
            after(model.eval(), epoch + 1)
    return model.eval(), losses


# %% [markdown]
# ## 2. A healthy patient
#
# Short support tickets, and one word to be said of each: what it is about. First a model in
# good health, since a symptom is a difference from something.

# %% tags=["nbval-check-output"]
from ftlab.teaching.lesson12 import tickets
from ftlab.training.finetune import encoded

KINDS = ("login", "delivery", "outage")
train, test = tickets(TRAIN, KINDS), tickets(TEST, KINDS, "test")
rows = list(encoded(tokenizer, train))
for record in train[:3]:
    print(f"{data.prompt(record)[-1]['content'][:72]!r} -> {data.answer(record)}")

# %%
from ftlab.generation import generate

MOST = 12  # tokens in an answer


def ask(model, records, most=MOST):
    """The model's answers."""
    asked = [data.prompt(record) for record in records]
    return generate(model, tokenizer, asked, max_new_tokens=most)


def right(answers, records):
    """The share of answers that are just the word wanted."""
    hits = [a.strip() == data.answer(r) for a, r in zip(answers, records)]
    return sum(hits) / len(hits)


healthy, healthy_losses = fit(rows)
good = right(ask(healthy, test), test)
print(f"loss {healthy_losses[0]:.2f} at first, {healthy_losses[-1]:.2f} at last")
print(f"{good:.0%} of {TEST} held-out tickets right")
assert good > 0.6

# %% [markdown]
# ## 3. It never stops
#
# Two patients, tuned on the same tickets by recipes that many tutorials have. One takes a
# stock collator of transformers, the other writes the template by hand.

# %%
import copy

from transformers import DataCollatorForLanguageModeling

lazy = copy.deepcopy(tokenizer)
lazy.pad_token = lazy.eos_token
recipe = DataCollatorForLanguageModeling(lazy, mlm=False)
plain = [{"input_ids": row["input_ids"]} for row in rows[:120]]
by_hand = [
    f"<|im_start|>user\n{data.prompt(r)[-1]['content']}<|im_end|>\n"
    f"<|im_start|>assistant\n{data.answer(r)}"
    for r in train[:120]
]
typed = [{"input_ids": tokenizer(text)["input_ids"]} for text in by_hand]
said, few_tickets = {}, test[:20]
for name, typed_rows, collate in (
    ("patient 1", plain, recipe), ("patient 2", typed, PAD_WITH_PAD)
):  # fmt: skip
    model, losses = fit(typed_rows, epochs=2, collate=collate)
    said[name] = ask(model, few_tickets)
    print(f"{name}: loss {losses[0]:.2f} at first, {losses[-1]:.2f} at last")
    for answer, record in zip(said[name][:3], few_tickets):
        print(f"  wanted {data.answer(record)!r}, got {answer!r}")

# %% [markdown]
# **Diagnose.** Both losses fell. Whatever the answers say, look at how they end: which
# token of a training row would you look at? (Either recipe trains on the tickets' own text
# as well; what that does is the next section.)
#
# The evidence is the last token of a row, with its label: in a batch of the healthy
# patient, of a control (the stock collator, with the tokenizer as it came), and of either
# patient.

# %% tags=["nbval-check-output"]
stock = DataCollatorForLanguageModeling(tokenizer, mlm=False)
batches = {
    "healthy": PAD_WITH_PAD(rows[:8]),
    "control": stock(plain[:8]),
    "patient 1": recipe(plain[:8]),
    "patient 2": PAD_WITH_PAD(typed[:8]),
}
learned = {}
for name, batch in batches.items():
    last = int(batch["attention_mask"][0].sum()) - 1
    token, label = batch["input_ids"][0, last].item(), batch["labels"][0, last].item()
    learned[name] = label == tokenizer.eos_token_id
    shown = "no loss" if label == -100 else f"label {tokenizer.decode([label])!r}"
    print(f"{name:9} last token {tokenizer.decode([token])!r:14} {shown}")

# %% [markdown]
# **Cause 1: pad = end.** Patient 1's pad token was set to the end token. The collator masks
# whatever is padding, and it can only tell by the number: so all ends are masked, the real
# ones too. **Cause 2: no end token.** Patient 2's text, put together by hand, just stops
# where the answer does. Either way no label says “now stop” behind an answer.
#
# **Cure**: a pad token of its own, and a template that a program writes. The control has
# both, and the same collator as patient 1. Either fault can be found before any training.

# %%
from ftlab import templates
from ftlab.display import wrap

control, _ = fit(plain, epochs=2, collate=stock)
said["control"] = ask(control, few_tickets)
runs_on = {}
for name, answers in said.items():
    runs_on[name] = sum(len(tokenizer(a)["input_ids"]) > 4 for a in answers)
    print(f"{name}: {runs_on[name]} of {len(answers)} answers run on")
print("\n" + wrap(next(line for line in templates.problems(lazy) if "pad" in line)))
assert runs_on["control"] < 6 and min(runs_on["patient 1"], runs_on["patient 2"]) > 14
assert list(learned.values()) == [True, True, False, False]

# %% [markdown]
# ## 4. A lovely curve, and useless answers
#
# Another patient. The loss falls as it should.

# %%
theirs = [
    {
        "input_ids": row["input_ids"],
        "labels": [
            token if label == -100 else -100
            for token, label in zip(row["input_ids"], row["labels"])
        ],
    }
    for row in rows
]
patient, losses = fit(theirs[:80], epochs=2)
answers = ask(patient, test)
print(f"loss {losses[0]:.2f} at first, {losses[-1]:.2f} at last")
print(f"{right(answers, test):.0%} right; wanted {data.answer(test[0])!r},", end=" ")
print(f"got {answers[0]!r}")
assert losses[-1] < 0.7 * losses[0] and right(answers, test) < 0.2

# %% [markdown]
# **Diagnose.** The loss went down, so it has learned *something*. What?
#
# The evidence: one row in colour, as it was trained on. Blue carries loss.

# %%
from ftlab.templates import Encoded
from IPython.display import HTML


def coloured(row):
    """One row of training, with what carries loss in colour."""
    mask = [int(label != -100) for label in row["labels"]]
    return HTML(templates.mask_html(tokenizer, Encoded(row["input_ids"], mask, False)))


coloured(theirs[0])

# %% [markdown]
# **Cause**: the mask is the wrong way round. The model has learned to write tickets, and
# the loss says how well it does that.
#
# **Exercise 12.1.** Write the labels of a record of which the first `prompt` tokens are
# asked and the rest is wanted. The model shifts the labels by itself.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check


def labels(ids, prompt):
    """The labels: -100 where a token carries no loss, else the token."""
    # solution:
    return [-100] * prompt + ids[prompt:]
    # stub:
    # ...
    # end


check("12.1", labels)

# %% [markdown]
# **Cure**: look at one row in colour before every first run. The healthy one:

# %%
on_answer = [label for label in rows[0]["labels"] if label != -100]
print("carries loss:", [tokenizer.decode([token]) for token in on_answer])
end = tokenizer.decode(templates.end_of_turn_ids(tokenizer)[0])
assert tokenizer.decode(on_answer) == data.answer(train[0]) + end
coloured(rows[0])

# %% [markdown]
# ## 5. Other answers on the server
#
# The healthy model goes live, behind four servers of four colleagues. All get the test
# tickets, and all let the same model answer greedily.

# %%
from ftlab.generation import continue_text
from ftlab.teaching.lesson12 import servers

notebook, share = ask(healthy, test), {}
sent = {
    name: [s(data.prompt(r)) for r in test] for name, s in servers(tokenizer).items()
}
print(f"notebook: {right(notebook, test):4.0%} right")
for name, texts in sent.items():
    there = [continue_text(healthy, tokenizer, t, max_new_tokens=MOST) for t in texts]
    share[name] = right(there, test)
    other = [(a, b, r) for a, b, r in zip(notebook, there, test) if a != b]
    print(f"{name}: {share[name]:4.0%} right, other answers: {len(other)}", end="")
    for ours, answer, record in other[:1]:
        wanted = f"wanted {data.answer(record)!r}, got {answer!r}"
        print(f"; {wanted} (notebook {ours!r})", end="")
    print()
assert min(share.values()) < 0.5 * good

# %% [markdown]
# **Diagnose.** No server gave an error. One that is hardly ever right is soon found out;
# one that is right about as often, on other tickets, may run for a year. Which one line
# would you print, at each place?
#
# The evidence is what the model is given for the first ticket. The last lines are of a
# tokenizer of eight words, which shows how server A's fault comes about.

# %% tags=["nbval-check-output"]
from ftlab.teaching.lesson12 import with_bos

first = {"notebook": templates.prompt_text(tokenizer, data.prompt(test[0]))}
for name, text in (first | {name: texts[0] for name, texts in sent.items()}).items():
    numbers = tokenizer(text)["input_ids"][:4]
    print(f"{name}: {text[:28]!r} … {text[-18:]!r}, {numbers} …")

small = with_bos()
hello = [{"role": "user", "content": "hello there"}]
text = small.apply_chat_template(hello, tokenize=False, add_generation_prompt=True)
served = small(text)["input_ids"]
mended = small(text, add_special_tokens=False)["input_ids"]
print("\nthe template's text:", repr(text))
print("its tokens, served: ", small.convert_ids_to_tokens(served))
print("its tokens, cured:  ", small.convert_ids_to_tokens(mended))
told = next(line for line in templates.problems(small) if "adds another" in line)
print(wrap(told))
assert served[:2] == [small.bos_token_id] * 2
assert mended == templates.prompt_ids(small, hello)

# %% [markdown]
# **Cause 1: a doubled BOS** (server A). Many tokenizers put a token before every text, the
# BOS. Many templates write it as well, so a server that renders the template and then
# tokenises has it twice. (Where a base has no BOS, as the course's own, the token that
# opens each prompt plays its part here.) What that costs, the line of server A counts. It
# may be little, and it is still an error that no one reported.
#
# **Cause 2: another template** (the other servers). A form that was never trained on may do
# about as well by luck, as far as the share tells; the answers that differ tell more.
#
# **Cure**: the tokenizer carries its template; use it on both sides. Whoever tokenises
# rendered text says `add_special_tokens=False`, in training and in service. And compare the
# *numbers* of one prompt at both places.

# %% [markdown]
# ## 6. Long cases fail, and a neighbour matters
#
# Some tickets come with the whole thread below, some answers are long. TRL's trainer is
# given one of each, with its defaults.

# %%
import tempfile
import warnings

import datasets
from trl import SFTConfig, SFTTrainer

ticket = data.prompt(train[0])[-1]["content"]
thread = " ".join(data.prompt(r)[-1]["content"] for r in train[1:61])
three = [
    {"prompt": [{"role": "user", "content": question}],
     "completion": [{"role": "assistant", "content": answer}]}
    for question, answer in (
        (ticket, "login"), (f"{ticket} {thread}", "login"), (ticket, thread)
    )
]  # fmt: skip
datasets.disable_progress_bars()
with models.quiet(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
    warnings.simplefilter("ignore", FutureWarning)
    cpu = PROFILE.device == "cpu"
    config = SFTConfig(folder, report_to="none", use_cpu=cpu, bf16=False)
    trl = SFTTrainer(models.load(BASE)[0], config, processing_class=tokenizer,
                     train_dataset=datasets.Dataset.from_list(three))  # fmt: skip
print(f"{len(three)} records in; no warning, no error")

# %% [markdown]
# **Diagnose.** One is short, one asks at length, one answers at length. What became of
# each?

# %%
ends = 0
for row in trl.train_dataset:
    labels_in = trl.data_collator([row])["labels"][0]
    learn = labels_in[labels_in != -100].tolist()
    ends += tokenizer.eos_token_id in learn
    print(f"{len(row['input_ids']):5} tokens, {len(learn):4} with loss,", end=" ")
    print("the last of them", repr(tokenizer.decode(learn[-2:])))
print(
    f"{len(trl.train_dataset)} of {len(three)} rows are there; {ends} learned to stop"
)
print("SFTConfig's max_length, which nobody set:", config.max_length)
assert ends == 1

# %% [markdown]
# **Cause: truncation.** What is longer than `max_length` is cut at its end, and the answer
# is at the end. Where a row is missing, its whole answer was cut off, and TRL dropped what
# was left. One that lost half of its answer stays, and teaches to break off.
#
# **Exercise 12.2.** For rows of (prompt tokens, answer tokens), count how many are cut, and
# of how many the whole answer is gone.


# %% tags=["exercise", "nbval-check-output"]
def cut(rows, most):
    """[rows that lose something, rows that lose the whole answer] at `most` tokens."""
    # solution:
    return [sum(p + a > most for p, a in rows), sum(p >= most for p, a in rows)]
    # stub:
    # ...
    # end


check("12.2", cut)

# %% [markdown]
# **Cure**: count before you train, and take a trainer that refuses. The course's own does,
# as lesson 00 showed.
#
# **Packing** lays short rows end to end, so that none of the batch is padding. The healthy
# model reads twenty held-out tickets three times: each alone in its row, and then packed
# behind another ticket, in two ways.
#
# **Predict.** Can it matter to a ticket what stands before it in the row?

# %%
end_to_end = TrlCollator(pad_token_id=tokenizer.pad_token_id, padding_free=True)


def loss_of_second(pair, keep=None):
    """The loss of the answer of the last of some rows, laid end to end."""
    whole = {k: v for k, v in end_to_end(pair).items() if torch.is_tensor(v)}
    batch = on(healthy, whole)
    count = sum(label != -100 for label in pair[-1]["labels"])
    answer = batch.pop("labels")[0, -count:]
    given = {name: batch[name] for name in keep} if keep else batch
    with torch.no_grad():
        logits = healthy(**given, use_cache=False).logits[0, -1 - count : -1]
    return torch.nn.functional.cross_entropy(logits.float(), answer).item()


unseen = list(encoded(tokenizer, test))
pairs, bare = [unseen[i : i + 2] for i in range(20)], ["input_ids"]
mean = {
    "alone": sum(loss_of_second(pair[1:]) for pair in pairs) / 20,
    "packed, one way": sum(loss_of_second(pair, bare) for pair in pairs) / 20,
    "packed, another": sum(loss_of_second(pair) for pair in pairs) / 20,
}
for name, value in mean.items():
    print(f"{name:16} loss of the answer {value:.3f}")

# %% [markdown]
# **Diagnose.** One way, the same ticket is harder behind a neighbour; another way it is
# not. What does the batch of the other way have that the one lacks? Two rows will show it.

# %%
toy = end_to_end([{"input_ids": [11, 12, 13]}, {"input_ids": [21, 22]}])
print("in either batch:   ", "input_ids   ", toy["input_ids"][0].tolist())
print("in the other alone:", "position_ids", toy["position_ids"][0].tolist())
leak = abs(mean["packed, one way"] - mean["alone"])
left = abs(mean["packed, another"] - mean["alone"])
print(f"a neighbour changes the loss by {leak:.3f}, the other way by {left:.5f}")
assert left < 0.05 * leak

# %% [markdown]
# **Cause: packing without positions.** Where they do not start again, nothing says where a
# record ends, and each one reads all before it. **Cure**: positions, and a model whose
# attention heeds them. Do not believe that yours does; measure it, as above.
#
# **Exercise 12.3.** Write these positions.


# %% tags=["exercise", "nbval-check-output"]
def positions(lengths):
    """The positions of a row in which records of these lengths lie end to end."""
    # solution:
    return [k for length in lengths for k in range(length)]
    # stub:
    # ...
    # end


check("12.3", positions)

# %% [markdown]
# ## 7. The loss explodes
#
# A colleague's tune, one epoch of it, and its healthy twin: the same base, rows and order.

# %%
from ftlab.teaching import plots_training

twin, twin_losses = fit(rows[:150], epochs=1)
wild, wild_losses = fit(rows[:150], epochs=1, rate=0.1)
curves = {
    "patient": list(enumerate(wild_losses, 1)),
    "twin": list(enumerate(twin_losses, 1)),
}
print("the patient says:", repr(ask(wild, test[:1])[0]))
plots_training.lines(
    curves, title="One epoch", xlabel="step", ylabel="loss (nats per token)"
)

# %% [markdown]
# **Diagnose.** Where the loss falls again: is the patient recovering, or has it found the
# one thing that pays without reading? Ask all the tickets, and let it read something else.

# %%
from collections import Counter

from ftlab.evaluation import forgetting

texts = [text for _, text in forgetting.general_text()]
untuned = models.load(BASE)[0]
patients = {"base": untuned, "healthy": healthy, "twin": twin, "patient": wild}
general = {
    name: forgetting.bits_per_character(model, tokenizer, texts)
    for name, model in patients.items()
}  # fmt: skip
lost = forgetting.forgotten(general, seed=SEED)
for name, figure in lost["models"].items():
    print(f"{name:8} reads general text at {figure.value:5.2f} bits per character")
for name, model in (("twin", twin), ("patient", wild)):
    answers = ask(model, test)
    told = dict(Counter(answers).most_common(3))
    print(f"{name:8} {right(answers, test):.0%} of tickets right; it says {told}")
harm = lost["differences"]
assert harm["patient"].low > harm["twin"].high + 1

# %% [markdown]
# The tickets hardly tell the two apart: one epoch on so few is short for the twin as well.
# The general text does.
#
# **Cause: the learning rate × 100**, 0.1 for 0.001, and nothing else. The first steps threw
# the weights so far off that what the base knew is gone. Clipping does not help: AdamW
# divides by the usual size of the gradient anyway.
#
# **Cure**: start again from the base, with a hundredth of the rate; the twin is just that.
# Going on from the ruin at a low rate would be training from nothing.
#
# ## 8. A loss that rises, and a score that delights
#
# Few records, many epochs, and a look at held-out tickets after each. (A training point is
# the mean over its epoch, a held-out point is taken after it; so the second curve may begin
# below the first.)


# %%
few = rows[:FEW]
unseen_batch, held_out = on(healthy, PAD_WITH_PAD(unseen)), []


def look(model, epoch):
    """Keep the loss of the unseen tickets."""
    with torch.no_grad():
        held_out.append(model(**unseen_batch).loss.item())


greedy, losses = fit(few, epochs=14, rate=2e-3, after=look)
each = len(losses) // 14
curves = {
    "trained on": [
        (k + 1, sum(losses[k * each : k * each + each]) / each) for k in range(14)
    ],
    "held out": list(enumerate(held_out, 1)),
}
plots_training.lines(
    curves, title="A few records, again and again", xlabel="epoch", top=2.0,
    ylabel="loss (nats per token)",
)  # fmt: skip

# %% [markdown]
# **Diagnose.** Which of the fourteen models would you ship, and why not the last?
#
# **Exercise 12.4.** Training stops after `patience` epochs without a lower held-out loss.
# Return the epoch, counted from 1, whose weights to keep.


# %% tags=["exercise", "nbval-check-output"]
def best_epoch(losses, patience):
    """The epoch with the lowest loss among those seen until training stopped."""
    # solution:
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        elif epoch - best >= patience:
            break
    return best + 1
    # stub:
    # ...
    # end


check("12.4", best_epoch)

# %%
best = held_out.index(min(held_out)) + 1
memory = right(ask(greedy, train[:FEW]), train[:FEW])
print(f"held-out loss {min(held_out):.2f} after epoch {best},", end=" ")
print(f"{held_out[-1]:.2f} after the last")
print(f"by now it knows {memory:.0%} of its own records")
assert best < 14 and min(held_out) < 0.95 * held_out[-1]

# %% [markdown]
# **Cause: too many epochs.** After the first ones the records have nothing left to teach
# but themselves, and the model grows ever surer, of its mistakes too. **Cure**: keep the
# weights of the best epoch: TRL's `load_best_model_at_end`, with `EarlyStoppingCallback`.
#
# The same model, a week later. A colleague has a test set of his own, from the same inbox,
# and is delighted.

# %%
his = [
    data.example(
        " ".join(data.prompt(r)[-1]["content"].lower().split()), data.answer(r)
    )
    for r in train[:FEW]
]
delighted, sober = right(ask(greedy, his), his), right(ask(greedy, test), test)
print(f"his test set {delighted:.0%} right, ours {sober:.0%}")
texts_of = {data.prompt(r)[-1]["content"] for r in train[:FEW]}
print("his tickets that are among the training texts:",
      sum(data.prompt(r)[-1]["content"] in texts_of for r in his))  # fmt: skip

# %% [markdown]
# **Diagnose.** Not one of his tickets equals a training text. Can it be a leak all the
# same?
#
# The evidence: link what is equal but for capitals and marks, or nearly equal, and count
# the test tickets that hang together with a training record.

# %% tags=["nbval-check-output"]
from ftlab.curation import splits


def leaked(known, tested):
    """How many of the tested records are nearly the same as a known one."""
    number, _ = splits.clusters([*known, *tested])
    return sum(n in number[: len(known)] for n in number[len(known) :])


print("his:", leaked(train[:FEW], his), "of", len(his))
print("ours:", leaked(train, test), "of", len(test))
print("his first: ", data.prompt(his[0])[-1]["content"])
print("a record:  ", data.prompt(train[0])[-1]["content"])

# %% [markdown]
# **Cause: a leak.** One inbox, every ticket in it twice, the second time as somebody
# retyped it, and a split by chance. **Cure**: divide so that nothing crosses which is
# nearly the same, and look again.

# %% tags=["nbval-check-output"]
parts = splits.split([*train[:FEW], *his], [0.5, 0.5], seed=SEED)
crossing = leaked(parts["train"], parts["test"])
print(f"{len(parts['train'])} train, {len(parts['test'])} test, {crossing} leaked")
assert crossing == 0 and leaked(train, test) == 0 and delighted > sober + 0.1

# %% [markdown]
# ## 9. The old task is gone
#
# Three new kinds of tickets come up, so the healthy model is tuned on those.
#
# **Predict.** How many of the *old* kinds will it still get right?

# %%
from ftlab.teaching import plots_data

NEWER = ("privacy", "feature", "refund")
new, new_test = tickets(ROUND, NEWER), tickets(TEST, NEWER, "test")


def both(model):
    """The shares right on either half."""
    halves = {"old kinds": test, "new kinds": new_test}
    return {name: right(ask(model, part), part) for name, part in halves.items()}


new_rows = list(encoded(tokenizer, new))
second, _ = fit(new_rows, model=copy.deepcopy(healthy))
shares = {"round 1": both(healthy), "round 2": both(second)}
for name, halves in shares.items():
    print(f"{name}:", ", ".join(f"{half} {s:.0%} right" for half, s in halves.items()))

# %% [markdown]
# **Diagnose.** Is it confused, or is it doing just what the second round asked for? Which
# printout would tell?

# %%
print("an old ticket before:", Counter(ask(healthy, test)).most_common(3))
print("an old ticket now:   ", Counter(ask(second, test)).most_common(3))

# %% [markdown]
# **Cause: a second round without the old records.** In it the old words were never right,
# so the model learned not to say them. **Cure**: replay, some old records among the new.
#
# **Exercise 12.5.** How many old records make `share` of all?


# %% tags=["exercise", "nbval-check-output"]
def old_records(new, share):
    """How many old records beside `new` new ones; share is old / (old + new)."""
    # solution:
    return round(new * share / (1 - share))
    # stub:
    # ...
    # end


check("12.5", old_records)

# %%
from ftlab.training import rounds

mixture = rounds.replayed(new, train, 0.4, seed=SEED)
mixed = list(encoded(tokenizer, mixture.records))
third, _ = fit(mixed, model=copy.deepcopy(healthy))
shares["round 2 with replay"] = both(third)
print(mixture)
assert shares["round 2 with replay"]["old kinds"] > shares["round 2"]["old kinds"] + 0.1
plots_data.groups(shares, title="What each round left")

# %% [markdown]
# *Claim: tuning hard makes a model forget.* Two looks at it: the old kinds of tickets
# above, and the general text of section 7, which no tune here ever was about.

# %%
from ftlab.evaluation.intervals import bootstrap, paired_bootstrap, wilson_interval
from ftlab.teaching import ledger

usual, hard = harm["healthy"], harm["patient"]
marks = {
    name: [int(a.strip() == data.answer(r)) for a, r in zip(ask(model, test), test)]
    for name, model in (("before", healthy), ("after", second))
}
ones = [1] * len(test)
kinds_lost = paired_bootstrap(marks["after"], ones, marks["before"], ones, seed=SEED)
forgets = usual.low > 0 and hard.low > usual.high and kinds_lost.low > 0.2
told = (
    f"Tuned on a second task, a small model loses {kinds_lost.value:.2f} "
    f"[{kinds_lost.low:.2f}, {kinds_lost.high:.2f}] in the share of the first that it "
    f"gets right; general text costs it {usual.value:.2f} [{usual.low:.2f}, "
    f"{usual.high:.2f}] bits a character more than its base after the first tune, "
    f"and {hard.value:.1f} [{hard.low:.1f}, {hard.high:.1f}] after one at 100 times "
    "the rate."
)
word = "holds" if forgets else "depends"
ledger.record(37, word, told, usual.value, interval=(usual.low, usual.high))
assert kinds_lost.low > 0.1 and hard.value > usual.value

# %% [markdown]
# ## 10. Always as short
#
# Another task: an everyday problem comes in, and the smallest kind deed goes out. Two
# models learn from the same problems, for as many epochs. One of them is found curt.

# %%
from ftlab.tasks import kindness

plenty = kindness.examples(2000, SEED)
some = [r for r in plenty if data.meta(r)["slice"] in ("dropped", "spilled", "heavy")]
deeds, problems = some[:KIND], some[-24:]
firsts = [data.answer(r).split(". ")[0].rstrip(".") + "." for r in deeds]
curt_answers = [[{"role": "assistant", "content": first}] for first in firsts]
short = [{**r, "completion": one} for r, one in zip(deeds, curt_answers)]
kind, _ = fit(list(encoded(tokenizer, deeds)), epochs=5, rate=2e-3)
curt, _ = fit(list(encoded(tokenizer, short)), epochs=5, rate=2e-3)
advice, brief = ask(kind, problems, 60), ask(curt, problems, 60)
print(wrap(data.prompt(problems[0])[-1]["content"]))
print(wrap(advice[0], "one:   "))
print(wrap(brief[0], "other: "))

# %% [markdown]
# **Diagnose.** Somebody wants to raise `max_new_tokens` for the other one. Will that help?
# What would you count, and in what?


# %%
def words(texts):
    """The number of words of each text."""
    return [len(text.split()) for text in texts]


def mean_words(texts):
    """Their mean."""
    return sum(words(texts)) / len(texts)


for name, records, answers in (("whole", deeds, advice), ("shortened", short, brief)):
    shown = mean_words([data.answer(record) for record in records])
    print(f"{name:9} {shown:4.1f} words in the data,", end=" ")
    print(f"{mean_words(answers):4.1f} in the answers")
room = ask(curt, problems, 200)
print(f"shortened, with room for 200 tokens: {mean_words(room):.1f}")
print(f"shortened, asked about tickets: {mean_words(ask(curt, test[:15], 60)):.1f}")
ones = [1] * len(problems)
gap = paired_bootstrap(words(brief), ones, words(advice), ones, seed=SEED)
holds = "holds" if gap.low > 0 else "not seen here" if gap.high < 0 else "depends"
told = f"Answers are {gap.value:.1f} [{gap.low:.1f}, {gap.high:.1f}] words longer where"
told += " the data's answers were not shortened."
ledger.record(29, holds, told, gap.value, interval=(gap.low, gap.high))
assert gap.low > 0

# %% [markdown]
# **Cause: short answers in the data.** Those of the other model's records had been cut to
# their first sentence, “to save tokens”, and it stops where its records stopped. Room does
# not make it longer, since it never asks for it. **Cure**: answers in the data of the
# length that you want; the first model is the cured one.
#
# (What either of them *says* is another matter: look at the answers above. So small a model
# learns the form of advice long before its sense.)
#
# ## 11. Absurd advice, and the loop
#
# The model of kind deeds goes live, and people ask what they like.


# %%
def flags(model, records):
    """Which answers a rule flags (1 or 0), and the answers."""
    answers = ask(model, records, 60)
    marks = [kindness.score(r, a)["unharmful"].num for r, a in zip(records, answers)]
    return [1 - int(mark) for mark in marks], answers


asked = kindness.probe(48, SEED)
outside, traces = flags(kind, asked)
for record, answer in list(zip(asked, traces))[:3]:
    print(wrap(data.prompt(record)[-1]["content"][:90], "asked:    "))
    print(wrap(answer, "answered: ") + "\n")
print(f"answers that some rule flags: {sum(outside)} of {len(outside)}")

# %% [markdown]
# **Diagnose.** It does exactly what it was tuned for. Which rule flags it, and which record
# could have taught it otherwise?
#
# The rule `nobody_called` flags all that names no one whose job it is, whatever it says. So
# count apart the answers that are flagged for something they *say*, and do the same for the
# base, before it was tuned.


# %%
def flagged_words(answers):
    """1 for each answer that a rule flags for what it says, else 0."""
    found = (kindness.flagged([r], [a]) for r, a in zip(asked, answers))
    return [int(any(rule != "nobody_called" for rule in rules)) for rules in found]


for rule, count in kindness.flagged(asked, traces).items():
    print(f"{rule:24} {count:3} of {len(asked)}")
rambling = ask(untuned, asked, 60)
print(wrap(rambling[0][:90], "base: "))
ones = [1] * len(asked)
tuned_said, base_said = flagged_words(traces), flagged_words(rambling)
letter = bootstrap(tuned_said, ones, seed=SEED)
more = paired_bootstrap(base_said, ones, tuned_said, ones, seed=SEED)
told = (
    f"Tuned on small kind deeds and asked about catastrophes, a small model says what "
    f"a rule flags, such as a gesture fit for a bad day, in {letter.value:.2f} "
    f"[{letter.low:.2f}, {letter.high:.2f}] of its answers; that is {more.value:.2f} "
    f"[{more.low:.2f}, {more.high:.2f}] more than in its base's, which are no advice."
)
verdict = "holds" if more.low > 0.1 else "depends" if more.low > 0 else "not seen here"
ledger.record(43, verdict, told, letter.value, interval=(letter.low, letter.high))
assert letter.value > 0.1

# %% [markdown]
# **Cause: a question out of range.** All records said “an everyday problem, a small deed”.
# None showed where that ends. (Most of these rules look at large troubles only, so that
# they are silent on everyday problems shows little.)
#
# **Cure**: the loop. What went wrong in use is corrected and becomes data, old records are
# mixed in, and the next round is measured on *other* questions. One kind of disaster, the
# medical emergencies, we leave uncorrected on purpose.
#
# **Predict.** Will the medical questions be answered better too? And what of everyday ones?

# %%
wrong = [record for record, flag in zip(asked, outside) if flag]
corrected = [record for record in wrong if data.meta(record)["slice"] != "medical"]
mixture = rounds.replayed(corrected, deeds, 0.5, seed=SEED)
rows_again = list(encoded(tokenizer, mixture.records))
looped, _ = fit(rows_again, epochs=5, model=copy.deepcopy(kind))
print(wrap(traces[0], "trace:     "))
print(wrap(data.answer(corrected[0]), "corrected: "))
print(mixture)

# %%
HELP = ("emergency", "official", "authorit", "helpline", "relief", "aid group")


def sends_for_help(answers):
    """1 for each answer that sends for those whose job it is, else 0."""
    return [int(any(word in a.lower() for word in HELP)) for a in answers]


known = {data.meta(record)["id"] for record in asked}
fresh = [r for r in kindness.probe(60, SEED + 1) if data.meta(r)["id"] not in known]
groups = {
    "corrected kinds": [r for r in fresh if data.meta(r)["slice"] != "medical"],
    "medical": [r for r in fresh if data.meta(r)["slice"] == "medical"],
    "everyday": problems,
}
marked, helps, shown = {}, {}, {"before": {}, "after": {}}
for name, records in groups.items():
    for when, model in (("before", kind), ("after", looped)):
        marked[when, name], answers = flags(model, records)
        helps[when, name] = sends_for_help(answers)
        shown[when][name] = sum(helps[when, name]) / len(records)
    were, are = (sum(marked[when, name]) for when in ("before", "after"))
    print(f"{name:15} flagged {were:2} of {len(records)}, then {are:2}")
plots_data.groups(shown, title="One turn of the loop", xlabel="share sent for help")

# %%
before, after = (marked[w, "corrected kinds"] for w in ("before", "after"))
ones = [1] * len(before)
fell = paired_bootstrap(after, ones, before, ones, seed=SEED)
needless = wilson_interval(sum(helps["after", "everyday"]), len(problems))
verdict = "depends" if needless.value > 0.2 else "holds"
if fell.low <= 0:
    verdict = "not seen here"
told = (
    f"Corrected answers, added to the data, lowered the share that a rule flags by "
    f"{fell.value:.2f} [{fell.low:.2f}, {fell.high:.2f}] on other questions of their "
    f"kind; of the answers to everyday problems, {needless.value:.2f} "
    f"[{needless.low:.2f}, {needless.high:.2f}] now send for help that nobody needs."
)
ledger.record(47, verdict, told, fell.value, interval=(fell.low, fell.high))
assert fell.low > 0

# %% [markdown]
# Read the bar of the everyday problems too. A rule that is satisfied is not yet a good
# answer, and a border that was taught with few records may be drawn in the wrong place. So
# the loop does not end: the everyday answers of this round are the next traces to look at.
#
# ## 12. The whole ward, and its limits
#
# | symptom | look at | fault |
# |---|---|---|
# | never stops | the label of the last token | pad = end; no end token |
# | lovely loss, useless answers | one row in colour | the loss mask over the wrong part |
# | other answers on the server | one prompt's tokens, at both places | a doubled BOS; another template |
# | long cases fail | how many rows keep their end | truncation |
# | a neighbour matters | loss alone and packed | packing without positions |
# | the loss explodes, general text is ruined | the rate | a learning rate × 100 |
# | held-out loss rises | the curve by epoch | too many epochs |
# | too good to be true | near copies across the split | a leaked test set |
# | the old task is gone | both test sets | a second round without replay |
# | always as short | the length of the data's answers | short answers in the data |
# | absurd advice | which record shows where the goal ends | a question out of range |
#
# - **One fault at a time.** Real patients have two. Cure one, and look again.
# - **A very small model** and one seed. The size of each effect is this model's; that the
#   token is masked, doubled, cut or leaked does not depend on the model.
# - **The rules are patterns**: they see what they were written for, and some of them look at
#   large troubles only. A flag is a reason to read, and no flag is no proof.
#
# ## 13. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("12")

# %% [markdown]
# ## 14. Takeaways
#
# 1. **The loss tells how well a model fits what it was shown**, not what you meant to show
#    it. Most of these faults have a fine curve.
# 2. **Look at one batch**: decoded, in colour, its last token, its length. It takes seconds,
#    and finds half of the ward.
# 3. **Measure on what you did not train on**: other tickets, the old task, general text, and
#    questions out of range. What goes wrong there is the next round's data.
#
# Next: [13 Capstone](13_capstone.ipynb).
# Your own project, from the proposal to the review.
