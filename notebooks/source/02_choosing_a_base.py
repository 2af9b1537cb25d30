# %% [markdown]
# # 02 Choosing a base
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/02_choosing_a_base.ipynb)
#
# **What you will build**: a choice of a model to start from, with reasons. You read what a
# model's files say, filter a catalogue of open models by your demands, count tokens on your own
# text, and see how benchmarks mislead. At the end three bases are tuned on the same rows and
# asked the same questions.
#
# **Prerequisites**: lesson 00.
#
# | where | reading, doing and running | of it, training |
# |---|---|---|
# | a laptop or server, CPU only | about 75 minutes | two to three minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Write down what you expect before you run a cell that asks for it.

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
# `MINE` is a text as your users would write it. `MORE` may hold names of further bases on the
# hub, such as `"Qwen/Qwen2.5-0.5B-Instruct"`, if you are connected: they join the comparison.
# `MICROSCOPE` is a model of about a million weights that comes with the course.

# %%
import datasets
import ftlab
import transformers
from ftlab import hardware

SEED = 0
BASE = "smollm2-135m"
MICROSCOPE = "ftlab-1m"
MORE = ()
MINE = "Hi, my café order #4711 hasn't arrived. Könnt ihr bitte nachsehen? 🙏"
PROFILE = ftlab.profile()
TRAIN, TEST, EPOCHS, STEPS = PROFILE.examples, 24, 1, 8

hardware.seed_everything(SEED)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()

# %% [markdown]
# ## 2. What the files say
#
# A model is a folder, here or on the hub. Two files in it tell you most of what you need before
# you load anything. `config.json` holds the **architecture**: how many layers, how wide, how
# long a text may be.

# %%
from ftlab import models
from transformers import AutoConfig

folder = models.get(BASE)
config = AutoConfig.from_pretrained(folder)
print(*sorted(file.name for file in folder.iterdir()), sep=", ")
print(f"{config.num_hidden_layers} layers of {config.hidden_size}, {config.model_type}")
print(f"{config.vocab_size:,} tokens known")
print(f"{config.max_position_embeddings:,} tokens fit the context")

# %% [markdown]
# The weights lie in **safetensors** files. Such a file begins with eight bytes that say how long
# its header is. The header is JSON, and names each **tensor**, a block of numbers, with its
# shape. The numbers follow.
#
# **Exercise 02.1.** Count the parameters, that is the weights, from the bytes of such a file.
# An entry `"__metadata__"` is no tensor. Stuck? `hint("02.1", 1)`.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def parameters(content):
    """How many weights a safetensors file holds."""
    # solution:
    import json
    import math

    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    return sum(math.prod(entry["shape"]) for entry in header.values())
    # stub:
    # ...
    # end


check("02.1", parameters)

# %% [markdown]
# The library `safetensors` does the same. It reads the header, and a tensor only when you ask
# for its numbers. Next to it we build the model on the device `meta`, which has shapes and no
# memory. Both counts take no time, for a model of any size.
#
# From the count follows the memory. Two bytes for each weight run a model in half precision.
# Full fine-tuning in float32 holds sixteen: the weight, its gradient, and two averages that the
# optimiser keeps.

# %%
import math

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

counted = 0
for file in sorted(folder.glob("*.safetensors")):
    with safe_open(file, framework="pt") as weights:
        for name in list(weights.keys()):
            counted += math.prod(weights.get_slice(name).get_shape())
with torch.device("meta"):
    empty = AutoModelForCausalLM.from_config(config)
print(f"{counted:,} weights by the header, {empty.num_parameters():,} by the model")
for method, size in (("inference", 2), ("full fine-tuning", 16)):
    print(f"{method:16} {size * counted / 1e9:5.1f} GB, before activations")

# %% [markdown]
# ### A format that runs code
#
# Older weights are stored as a **pickle**, Python's format for any object. An object may say
# what is to be called when it is loaded. Such a file is made and then *only read* below, inside
# the course's sandbox, which keeps the program away from your files, from the network and from
# other programs.
#
# **Predict.** The program reads one file of weights. What else will it do?

# %% tags=["nbval-check-output"]
from ftlab import sandbox

PROGRAM = """
import os, pathlib, pickle

class Weights:
    def __reduce__(self):
        return exec, ("open('note.txt', 'w').write('your keys')",)

file = pathlib.Path("pytorch_model.bin")
file.write_bytes(pickle.dumps(Weights()))
print("before:", sorted(os.listdir()))
pickle.loads(file.read_bytes())
print("after: ", sorted(os.listdir()))
"""
result = sandbox.run(PROGRAM, allow_weak=True)
print(result.stdout or result.stderr)

# %% [markdown]
# Reading the file ran code, which could have been any other. Safetensors holds names,
# shapes and numbers, and nothing that runs, so we take weights in no other format, and the
# course's loader refuses them. `trust_remote_code=True` asks for the same trust as a pickle: it
# runs Python code that came with the model.
#
# ## 3. A shortlist by facts
#
# The hub has hundreds of thousands of models. Most fall away by facts that you can look up:
# licence, context, languages, size. The course's catalogue of November 2026 holds some current
# families. Each entry has the pages that say so, and the day; what no page said is left blank.

# %% tags=["nbval-check-output"]
from ftlab import catalogue

everything = catalogue.catalogue()
for model in catalogue.choose(everything.models):
    size, context = catalogue.billions(model.parameters), model.context or ""
    line = f"{model.name:36} {size:>7} {context:>7}  {model.licence:13}"
    print(line, f"thinks: {model.thinking}" if model.thinking else "")

# %% [markdown]
# **Thinking** models write a text of reasoning before they answer. `switch` means that the chat
# template turns this on and off. For a short answer from a small tuned model you want it off.
#
# “Open” says that you may download the weights. What you may do with them, the **licence** says.
# In short and in our words; the text itself decides.
#
# The box under the output is a **claim**: something that practitioners say, which the course tests by
# a rule on an interval. [The page of claims](claims.md) has all of them.

# %% tags=["nbval-check-output"]
from ftlab.display import wrap
from ftlab.evaluation.intervals import wilson_interval
from ftlab.teaching import claims

for licence in everything.licences.values():
    print(f"{licence.name}, commercial use: {licence.commercial}")
    for condition in licence.conditions:
        print(wrap(condition, "  - "))
terms = [everything.licences[model.licence].commercial for model in everything.models]
bound = sum(term != "yes" for term in terms)
claims.record(16, wilson_interval(bound, len(terms)))

# %% [markdown]
# Look at what binds a *fine-tune*: a limit of revenue, a name that must begin with Llama.
#
# **Exercise 02.2.** Write the filter. `models` is a list of dictionaries. Keep the names of the
# models whose `languages` hold `language`, whose `context` is at least `context`, which can be
# fully fine-tuned (16 bytes for each of the `parameters`) in `gigabytes` of 10^9 bytes, and
# whose `commercial` is not `"no"`. A value of None is unknown, and meets no demand.


# %% tags=["exercise", "nbval-check-output"]
def shortlist(models, language, context, gigabytes):
    """The names of the models that meet all four demands."""
    # solution:
    names = []
    for model in models:
        size = model["parameters"]
        if (
            language in (model["languages"] or [])
            and (model["context"] or 0) >= context
            and size is not None
            and 16 * size <= gigabytes * 1e9
            and model["commercial"] != "no"
        ):
            names.append(model["name"])
    return names
    # stub:
    # ...
    # end


check("02.2", shortlist)

# %% [markdown]
# The catalogue has such a filter, in Python and on the command line:
# `ftlab models --language de --min-context 8000 --commercial --fits T4 --method lora`. Change
# the demands to yours.

# %% tags=["nbval-check-output"]
DEMANDS = {"languages": ["de"], "min_context": 8000, "commercial": True}
for method in ("full", "lora", "qlora"):
    found = catalogue.choose(everything.models, memory=13e9, method=method, **DEMANDS)
    print(f"{method:5} in 13 GB:", *(model.name for model in found))
for line in everything.history:
    print(wrap(line.said, "- "))

# %% [markdown]
# A page that claims 201 languages and lists none meets no demand for German: ask the model. The
# lines of history show that all of this changes from year to year.
#
# ## 4. Tokenizers, on your text
#
# You pay by the token, and the context is counted in tokens. How many a text takes depends on
# what the **tokenizer**, which cuts text into tokens, was trained on. A common kind is **BPE**,
# byte-pair encoding: it starts from single bytes and joins the pair that is most frequent, again
# and again, until the vocabulary is full. So bytes are the worst case. Beside them we look at
# the tokenizers of our models.
#
# **Predict.** Which of these texts takes the most tokens for each character?

# %%
from transformers import AutoTokenizer

my_guess = "..."
TEXTS = {
    "English": "Could you please look where my parcel is? It left your shop on Monday.",
    "German": "Könnt ihr bitte nachsehen, wo mein Paket geblieben ist?",
    "Greek": "Μπορείτε να δείτε πού βρίσκεται το δέμα μου;",
    "mine": MINE,
}
tokenizers = {
    name: AutoTokenizer.from_pretrained(models.get(name))
    for name in (BASE, MICROSCOPE, *MORE)
}

# %%
PRICE = 1.0  # for a million tokens; invented
print("you expected:", my_guess)
print(f"{'tokens per 100 characters':28}", *(f"{kind:>8}" for kind in TEXTS), "   cost")
cutters = {name: own.tokenize for name, own in tokenizers.items()}
for name, cut in {"bytes": str.encode, **cutters}.items():
    rates = [100 * len(cut(text)) / len(text) for text in TEXTS.values()]
    cost = rates[-1] / 100 * PRICE  # of a million characters like yours
    print(f"{name:28}", *(f"{rate:8.0f}" for rate in rates), f"{cost:7.2f}")

# %% [markdown]
# The last column is the price of a million characters like yours. Whoever trained the tokenizer
# chose whose text is cheap: these learned from English above all, and other scripts fall into
# small pieces, down to single bytes, which cost more and are learned worse. A model for many
# languages has a larger vocabulary. Check your language before you tune.
#
# ## 5. How a family marks turns
#
# The **chat template** writes a conversation as one text with markers that say who speaks. Each
# family has its own, and TRL ships copies of many. One conversation in four of them, with
# `<bos>` and `<eos>` for the tokens that begin and end every text:

# %% tags=["nbval-check-output"]
from importlib import resources

TURNS = [
    {"role": "user", "content": "Where is my parcel?"},
    {"role": "assistant", "content": "On its way."},
]
shelf = resources.files("trl") / "chat_templates"
own, written = tokenizers[BASE], {}
FAMILIES = ("qwen3", "llama3", "gemma", "phi3", "glm4moe", "cohere", "lfm2", "gptoss")
for family in FAMILIES:
    template = (shelf / f"{family}.jinja").read_text(encoding="utf-8")
    written[family] = own.apply_chat_template(
        TURNS,
        chat_template=template,
        tokenize=False,
        bos_token="<bos>",
        eos_token="<eos>",
    )
for family in FAMILIES[:4]:
    print(f"--- {family}\n{written[family]}")

# %% [markdown]
# `qwen3` writes an empty block of thinking before the answer: that is its switch. Our base uses
# the markers of the same family of templates, called **ChatML**.
#
# **Exercise 02.3.** Write a conversation in ChatML, up to where the assistant begins to write.


# %% tags=["exercise", "nbval-check-output"]
def chatml(messages):
    """The text of a conversation, ready for the assistant's next turn."""
    # solution:
    text = ""
    for message in messages:
        text += f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n"
    return text + "<|im_start|>assistant\n"
    # stub:
    # ...
    # end


check("02.3", chatml)

# %% [markdown]
# What happens when a model gets another family's markers? To its tokenizer they are no markers.

# %%
for family, text in written.items():
    print(f"{family:8} {len(own(text)['input_ids']):4} tokens of the base's tokenizer")
pairs = [(a, b) for a in written for b in written if a < b]
differ = sum(written[a] != written[b] for a, b in pairs)
print(f"{differ} of {len(pairs)} pairs of families write it differently")
claims.record(17, wilson_interval(differ, len(pairs)))

# %% [markdown]
# Markers of its own are one token each; foreign ones fall to pieces that mean nothing to the
# model. So use the template that comes with the model, and never type markers by hand.
#
# ## 6. Benchmarks, and how they mislead
#
# A **benchmark** is a fixed list of questions with one figure at the end. A small one was
# written for this lesson: four options each, and the right one comes first in the file.

# %% tags=["nbval-check-output"]
from ftlab import data
from ftlab.files import read_data

QUESTIONS = read_data("lessons/benchmark.yaml")


def row(item):
    """A question of the benchmark as a row, with the right option as its answer."""
    return data.example(item["question"], item["options"][0], system="Answer briefly.")


print(len(QUESTIONS), "questions, such as:", *QUESTIONS[0].values())

# %% [markdown]
# The model does not write. We compute how likely it finds each option, by the character, and
# count how often the right one is the likeliest. Big benchmarks are scored like this, too.


# %%
def pick(model, tokenizer, item):
    """The place of the option that the model finds likeliest, by the character."""
    ids = prompt_ids(tokenizer, row(item)["prompt"])
    prompt = torch.tensor([ids], device=model.device)
    how = {"add_special_tokens": False, "padding": True, "padding_side": "right"}
    options = tokenizer(list(item["options"]), return_tensors="pt", **how)
    ids, mask = (options[k].to(model.device) for k in ("input_ids", "attention_mask"))
    with torch.inference_mode():
        first = model(prompt, use_cache=True, logits_to_keep=1)
        cache = first.past_key_values  # the prompt is computed once for all options
        cache.batch_repeat_interleave(len(ids))
        rest = model(ids, past_key_values=cache).logits[:, :-1]
    logits = torch.cat([first.logits.expand(len(ids), -1, -1), rest], dim=1).float()
    logs = logits.log_softmax(-1).gather(2, ids[:, :, None])[:, :, 0] * mask
    lengths = torch.tensor([len(option) for option in item["options"]])
    return int((logs.sum(dim=1).cpu() / lengths).argmax())


# %% [markdown]
# How many does the base get right? `fresh` gives each training a copy of the base.

# %%
from ftlab.templates import prompt_ids


def picks(model, tokenizer, questions):
    """For each question 1 if the right option, the first, is the likeliest, else 0."""
    return [int(pick(model, tokenizer, item) == 0) for item in questions]


def fresh(name):
    """A base as it comes, ready to be tuned."""
    model = AutoModelForCausalLM.from_pretrained(models.get(name), dtype="float32")
    return model.to(PROFILE.device)


tokenizer, base = tokenizers[BASE], fresh(BASE)
benchmark = {"base": picks(base, tokenizer, QUESTIONS)}
print(f"{sum(benchmark['base'])} of {len(QUESTIONS)} right; guessing gives a quarter")

# %% [markdown]
# ### Contamination
#
# Benchmarks are published, and bases read the web. What does it do to the score if a part of the
# questions was in the training data? We can find out, for we may cheat on purpose: half of the
# questions **leak** into a training set with their answers, the other half stays **clean**.
#
# **Predict.** How much better will the model be on either half? First the training, lesson 00's
# section 6 in one function. It serves for all trainings of this lesson.

# %%
from peft import LoraConfig
from trl import SFTTrainer


def tune(model, tokenizer, rows, method="lora", **settings):
    """Train with TRL, by LoRA on the upper half or in full; return the model."""
    settings["learning_rate"] = ftlab.learning_rate(method, model.num_parameters()).high
    adapter = LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(model))
    trainer = SFTTrainer(
        model,
        args=ftlab.sft_config(per_device_train_batch_size=4, seed=SEED, **settings),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter if method == "lora" else None,
        callbacks=[ftlab.LiveCurve(f"Loss, {len(rows)} rows, {method}")],
    )
    ftlab.preflight(ftlab.faster_on_cpu(trainer))
    trainer.train()
    return trainer.model.eval()


# %% [markdown]
# The cheat reads the leaked half three times.

# %%
my_leak_guess = "leaked: ..., clean: ..."
leaked = [row(item) for item in QUESTIONS[::2]]
cheat = tune(fresh(BASE), tokenizer, leaked, num_train_epochs=3)
benchmark["cheat"] = picks(cheat, tokenizer, QUESTIONS)

# %%
from ftlab.evaluation.intervals import paired_bootstrap
from ftlab.teaching import plots


def gain(before, after):
    """The difference of two shares on the same questions, with its interval."""
    ones = [1] * len(before)
    return paired_bootstrap(before, ones, after, ones, seed=SEED)


rows = {}
for half, start in (("leaked half", 0), ("clean half", 1)):
    rows[half] = gain(benchmark["base"][start::2], benchmark["cheat"][start::2])
    print(f"{half}: {rows[half]}")
print("you expected:", my_leak_guess)
plots.gaps(
    {half: found[:3] for half, found in rows.items()},
    xlabel="cheat minus base, share right",
    title="Who has read the test?",
)

# %% [markdown]
# Read the two intervals. The clean half may gain too: the cheat has learned that short answers
# are wanted, and this it can use on new questions. What the leaked half gained beyond that is
# memory. Nobody outside can tell the two apart in one published figure. So *ask questions that
# were never published*, and look for the test in your own training data: any text of the test
# that stands there, whatever its capitals and blanks.
#
# ### Averages that reverse
#
# Model A is better than B on easy questions *and* on hard ones. But A was asked mostly hard
# questions, and B mostly easy ones.
#
# **Predict.** Which has the higher share right over all its questions?

# %% tags=["nbval-check-output"]
asked = {"A": {"easy": 10, "hard": 90}, "B": {"easy": 90, "hard": 10}}
right = {"A": {"easy": 9, "hard": 27}, "B": {"easy": 72, "hard": 2}}
for name in asked:
    for kind, number in asked[name].items():
        print(f"{name}, {kind}: {right[name][kind] / number:.0%}")
    overall = sum(right[name].values()) / sum(asked[name].values())
    print(f"{name}, overall: {overall:.0%}")

# %% [markdown]
# Better on each part and worse on the whole: this is **Simpson's paradox**. The two averages are
# of different exams. Compare models on the same questions, and look at the parts.
#
# ## 7. The bake-off
#
# What decides is your task. Each candidate is asked plainly, asked with three solved examples,
# and asked again after tuning on the same rows. The task is lesson 00's: restore capitals and
# marks. The third candidate has the base's architecture and no training at all.
#
# **Exercise 02.4.** Return a model with the architecture in `folder` and random weights.


# %% tags=["exercise", "nbval-check-output"]
def untrained(folder):
    """The same layers and sizes; no weight is read."""
    # solution:
    from transformers import AutoConfig, AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    # stub:
    # ...
    # end


check("02.4", untrained)

# %% [markdown]
# Is there a cheap signal that says beforehand which base will do best? One is **bits per
# character**: how badly the untuned model predicts plain text. Fewer is better. It can be
# compared between models with different tokenizers, since it is counted by the character. The
# untrained model is made in float32: `from_config` takes the type from the configuration, which
# is half precision here, and many processors are slow at that.
#
# **Predict.** Order the three candidates by their F1 after tuning.

# %%
from ftlab.evaluation.forgetting import bits_per_character, general_text

my_order = "..."
torch.manual_seed(SEED)
random_base = AutoModelForCausalLM.from_config(config, dtype="float32")
candidates = {
    BASE: (base, tokenizer, "lora"),
    MICROSCOPE: (fresh(MICROSCOPE), tokenizers[MICROSCOPE], "full"),
    "random weights": (random_base.to(PROFILE.device), tokenizer, "full"),
}
candidates |= {name: (fresh(name), tokenizers[name], "lora") for name in MORE}
texts = [text for _, text in general_text()[::3]]
bits = {}
for name, (model, own, _) in candidates.items():
    parts = bits_per_character(model, own, texts)
    bits[name] = sum(part.num for part in parts) / sum(part.den for part in parts)
    print(f"{name:16} {model.num_parameters():12,} weights {bits[name]:6.2f} bits")

# %% [markdown]
# Now each candidate answers twice, learns, and answers again. The two trained bases read all
# the rows. Random weights need full tuning, since there is nothing that an adapter could build
# on. To save your time they get `STEPS` steps only, which is not a fair chance: raise it, and
# see how far a hundred rows bring them.

# %%
from ftlab.generation import generate
from ftlab.tasks import punctuation

train_rows = punctuation.rows(TRAIN, seed=SEED)
held_out = punctuation.rows(TEST, seed=SEED, split="test")
plain = [one["prompt"] for one in held_out]
shots = []
for one in train_rows[:3]:
    shots += one["prompt"][1:] + one["completion"]
few_shot = [[system, *shots, user] for system, user in plain]
tuned, answers = {}, {}
for name, (model, own, method) in candidates.items():
    print(name)
    answers[name, "plain"] = generate(model, own, plain, max_new_tokens=40)
    answers[name, "3 examples"] = generate(model, own, few_shot, max_new_tokens=40)
    random = name == "random weights"
    length = {"max_steps": STEPS} if random else {"num_train_epochs": EPOCHS}
    tuned[name] = tune(model, own, train_rows, method, **length)
    answers[name, "tuned"] = generate(tuned[name], own, plain, max_new_tokens=40)

# %% [markdown]
# Read one question before you look at a figure. A tuned model without knowledge of the language
# repeats what is frequent; one with it copies the words and puts marks between them.

# %%
for name in candidates:
    print(name)
    for way in ("plain", "3 examples", "tuned"):
        print(wrap(" ".join(answers[name, way][0].split())[:150], f"  {way}: "))
print(wrap(held_out[0]["completion"][0]["content"], "wanted: "))

# %%
from ftlab.evaluation.intervals import bootstrap

f1 = {}
for key, replies in answers.items():
    marks = [punctuation.score(one, text)["f1"] for one, text in zip(held_out, replies)]
    f1[key] = [mark.num for mark in marks], [mark.den for mark in marks]
print("you expected:", my_order)
print(f"{'F1':16} {'plain':>18} {'3 examples':>18} {'tuned':>18}  bits")
for name in candidates:
    ways = [bootstrap(*f1[key], seed=SEED) for key in f1 if key[0] == name]
    print(f"{name:16}", *(f"{found!s:>18}" for found in ways), f"{bits[name]:5.2f}")

# %% [markdown]
# *A bigger base gives a better tune.* The difference between the two trained bases, on the same
# questions, and that between the two models of the same size:


# %%
def tuned_gap(a, b):
    """F1 of b minus that of a, both tuned, with its interval."""
    return paired_bootstrap(*f1[a, "tuned"], *f1[b, "tuned"], seed=SEED)


bigger, learned = tuned_gap(MICROSCOPE, BASE), tuned_gap("random weights", BASE)
claims.record(15, bigger)
claims.record(18, learned)
plots.gaps(
    {f"{BASE} less {MICROSCOPE}": bigger[:3], f"{BASE} less random": learned[:3]},
    xlabel="difference of F1, both tuned",
    title="Size, and what was read",
)

# %% [markdown]
# The second row compares models of *equal* size. If it lies as far from zero as the first, size
# alone explains nothing: what the base has read before is what tuning uses. To ask from which
# size on a behaviour appears, you need a family in several sizes that read the same texts. Three
# bases of different makers cannot say it, so that claim stays open here.
#
# Does the cheap signal order the bases as the tuned score does? Count the pairs.

# %%
from itertools import combinations

from ftlab.evaluation.intervals import Interval

score = {name: bootstrap(*f1[name, "tuned"], seed=SEED).value for name in candidates}
pairs = list(combinations(candidates, 2))
alike = sum((bits[a] - bits[b]) * (score[a] - score[b]) < 0 for a, b in pairs)
share = wilson_interval(alike, len(pairs))
print(f"{alike} of {len(pairs)} pairs of bases stand in the same order: {share}")
claims.record(14, Interval(*(value - 0.5 for value in share[:3])))

# %% [markdown]
# An interval that reaches below a half allows that a coin would do as well. Three bases make
# three pairs, and three are few, whatever their order. Use a cheap signal to drop the worst
# candidates, not to choose between good ones. With `MORE` bases you get more pairs.
#
# ### The benchmark, after the tuning
#
# *Benchmarks hardly move when a base is tuned, though its behaviour changes.* Our benchmark asks
# for knowledge, and the tuning taught punctuation.
#
# **Predict.** How many more questions, or fewer, does the tuned base get right?

# %%
benchmark["tuned"] = picks(tuned[BASE], tokenizer, QUESTIONS)
moved = gain(benchmark["base"], benchmark["tuned"])
task = paired_bootstrap(*f1[BASE, "plain"], *f1[BASE, "tuned"], seed=SEED)
print(f"benchmark: {sum(benchmark['base'])} before, {sum(benchmark['tuned'])} after")
print(f"share right, tuned minus base: {moved}")
print(f"F1 of the task, tuned minus base: {task}")
claims.record(19, moved)

# %% [markdown]
# Compare the two differences. A benchmark of knowledge says little about whether a model does
# *your* task, in either direction. Look at the width of the first interval, too: few questions
# cannot show that nothing moved. That takes thousands, so the claim stays open here.
#
# ## 8. Your turn
#
# Choose a base for a task of yours, and give reasons. Put your demands into `DEMANDS`, one name
# of the catalogue into `CHOICE`, and five texts in your users' words into `TEXTS_OF_MINE`. The
# cell checks each demand against the catalogue, counts tokens, and keeps the result.

# %%
import json
from pathlib import Path

CHOICE = "HuggingFaceTB/SmolLM3-3B"
DEMANDS = {"commercial": True, "languages": ["en", "de"], "min_context": 4000,
           "safe": True, "memory": 13e9, "method": "lora"}  # fmt: skip
REASON = "It lists German, and its data are open."
TEXTS_OF_MINE = [MINE, "Please cancel it.", "Wo ist es?", "Thanks!", "Is it blue?"]

entry = next(model for model in everything.models if model.name == CHOICE)
missed = catalogue.misses(entry, **DEMANDS)
print("every demand is met" if not missed else f"not met or not known: {missed}")
rivals = [model.name for model in catalogue.choose(everything.models, **DEMANDS)]
print("all that meet them:", *rivals or ["none"])

# %%
counts = [len(tokenizer.tokenize(text)) for text in TEXTS_OF_MINE]
print(f"{sum(counts)} tokens of the base's tokenizer for {len(counts)} texts")
sheet = {"choice": CHOICE, "demands": DEMANDS, "reason": REASON, "missed": missed,
         "rivals": rivals, "source": entry.source, "seen": str(entry.seen)}  # fmt: skip
path = Path("runs/02/choice.json")
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps(sheet, indent=1), encoding="utf-8")
print("kept in", path.as_posix())

# %% [markdown]
# If your choice misses a demand, either the model or the demand is wrong, and you decide which.
# Then open the pages in `source`, for they may have changed. With a hub at hand, put the name
# into `MORE` and run the bake-off with your own rows.
#
# ## 9. The limits of this choice
#
# - One task, one seed, one short training. Another task may order the bases in another way.
# - Each candidate was tuned with one rate from a table. A fair contest gives each its best.
# - The benchmark has 48 easy questions. Its intervals are wide.
# - The catalogue ages, and some of its pages are not the makers' own. Look again.
# - Our words on licences are no legal advice.
#
# ## 10. Quiz
#
# Five questions. Each option, right or wrong, explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("02")

# %% [markdown]
# ## 11. Takeaways
#
# 1. **Facts first.** Licence, format, context, languages and memory can be read before anything
#    is loaded, and drop most candidates.
# 2. **A benchmark is somebody else's exam.** It may have leaked, its average may hide the parts,
#    and it hardly notices your task.
# 3. **Tune the shortlist, and ask it your task.** Bits per character drop the worst; only the
#    bake-off chooses.
#
# Next: [03 What the trainer does](03_what_the_trainer_does.ipynb).
# The base is chosen; what happens when it is trained?
