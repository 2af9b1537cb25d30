# %% [markdown]
# # 11 Shipping: is what you serve what you measured?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/11_shipping.ipynb)
#
# **What you will build**: one file with a tuned model in it, and a server that answers from it. You
# merge an adapter, write the model as GGUF in 16, 8 and 4 bits, and serve each with llama.cpp. You
# compare what llama.cpp computes with what transformers computes, token by token. Then you repeat the
# verdict on what is served, count what an answer costs, and prepare a release that you can take back.
#
# **Prerequisites**: lessons 00 and 04. Lesson 07 helps with the verdict.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour and a quarter | four to five minutes |
# | a free Colab T4, or another GPU | the same | three to four minutes |
#
# Whenever you are asked for a prediction, write it down before you run the cell.

# %%
# On Colab this installs the course; anywhere else it does nothing.
import subprocess
import sys

REPOSITORY = "https://github.com/ftlab-course/ftlab"
if "google.colab" in sys.modules:
    wanted = f"ftlab[ship] @ git+{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)

# %% [markdown]
# ## 1. Settings
#
# `LENGTH` is the most tokens of an answer, and `OUT` the folder for what is made. llama.cpp comes with
# the Python package `xllamacpp`; where it is missing, `pip install xllamacpp` gets it.

# %%
import shutil
from itertools import takewhile
from pathlib import Path

import ftlab
import numpy as np
import pandas
import torch
import transformers
import xllamacpp
from ftlab import check, hardware, models
from ftlab.display import wrap
from ftlab.tasks import punctuation

SEED, BASE, PROFILE = 0, "smollm2-135m", ftlab.profile()
TRAIN, TEST, EPOCHS, LENGTH, OUT = 60, 30, 2, 60, Path("runs/11")

hardware.seed_everything(SEED)
transformers.utils.logging.disable_progress_bar()
shutil.rmtree(OUT, ignore_errors=True)

# %% [markdown]
# ## 2. A model to ship
#
# The task is that of lesson 00: capitals and punctuation back into English sentences. This time the
# training is one call, `finetune`, which is what `ftlab train` runs: the same pieces of TRL and peft,
# and a folder at the end with the adapter, the settings and a model card.

# %%
from ftlab.evaluation.intervals import bootstrap
from ftlab.generation import generate
from ftlab.training.finetune import finetune

base, tokenizer = models.load(BASE)
train_rows = punctuation.rows(TRAIN, seed=SEED)
run = finetune(
    train_rows, OUT / "adapter", model=BASE, epochs=EPOCHS, batch_size=4, seed=SEED,
    learning_rate=ftlab.learning_rate("lora", base.num_parameters()).high,
    layers="upper-half", callbacks=[ftlab.LiveCurve()],
)  # fmt: skip
tuned, tokenizer = models.load(OUT / "adapter")
held_out = punctuation.rows(TEST, seed=SEED, split="test")
asked, answers = [row["prompt"] for row in held_out], {}
print("asked:", asked[0][-1]["content"])
for name, model in {"base": base, "adapter": tuned}.items():
    answers[name] = generate(model, tokenizer, asked, max_new_tokens=LENGTH)
    pairs = zip(held_out, answers[name])
    marks = [punctuation.score(row, text)["f1"] for row, text in pairs]
    print(f"{name:8} F1 {bootstrap(*zip(*marks))}; {answers[name][0][:64]!r}")

# %% [markdown]
# The second line is the figure that you would report. It belongs to an adapter in float32, beside a
# base, in transformers, on this machine. Almost none of that is what users will get. Each of the
# next steps changes something, and each can go wrong without an error.
#
# ## 3. Merge, reload, check
#
# Merging adds the adapter into the weights (lesson 04). `safe_merge` stops where a weight would
# become infinite. Then the folder is saved, **loaded again**, and asked the same questions.
#
# **Predict.** How many of the answers will be the same, letter by letter?

# %%
from ftlab.training import folder

merged = tuned.merge_and_unload(safe_merge=True)
folder.save(OUT / "merged", merged, tokenizer, folder.summary_of(OUT / "adapter"))
reloaded, tokenizer = models.load(OUT / "merged")
answers["merged"] = generate(reloaded, tokenizer, asked, max_new_tokens=LENGTH)
same = sum(a == b for a, b in zip(answers["adapter"], answers["merged"]))
print(f"the same answers: {same} of {TEST}")

# %% [markdown]
# Where an answer differs, two tokens were nearly equally probable, and the last digit of a float
# decided. A merge that is wrong gives *other* answers almost everywhere. The usual causes: the
# adapter was trained on another base, the output layer was lost (lesson 04), or the tokenizer beside
# the weights is not the one of the training.
#
# From a shell, `ftlab merge` does these steps and refuses to write a folder that differs.
#
# ## 4. One file
#
# A Hugging Face folder holds several files, and needs Python. **GGUF** is one file for llama.cpp and
# for what is built on it (Ollama, LM Studio, many apps): weights, shapes, tokenizer, chat template.
# The weights may be **quantised**: held in fewer bits. Three forms are used here:
#
# - `F16`: 16-bit floats.
# - `Q8_0`: blocks of 32 weights; each weight is a whole number from -127 to 127, and each block has
#   one scale.
# - `Q4_0`: the same with 16 values in place of 255.
#
# **Predict.** The sizes of the three files, for about 135 million weights. (The folder's own file,
# `model.safetensors`, is in float32.)

# %%
from ftlab.serving import gguf

KINDS = ["F16", "Q8_0", "Q4_0"]
FILES = {k: gguf.export(OUT / "merged", OUT / f"{k}.gguf", k) for k in KINDS}
for file in (OUT / "merged" / "model.safetensors", *FILES.values()):
    size = file.stat().st_size
    bits = 8 * size / base.num_parameters()
    print(f"{file.name:18} {size / 1e6:4.0f} MB, {bits:.1f} bits a weight")

# %% [markdown]
# Why is 4 bits not half of 8? The scales take room, and the embeddings stay in 8 bits. In a small
# model with a large vocabulary the embeddings are a large part of the weights.
#
# Now look into the file. Everything that a server needs to know is in these fields.

# %%
from gguf import GGUFReader

reader = GGUFReader(FILES["Q4_0"])
for key, field in reader.fields.items():
    print(f"{key:40} {repr(field.contents())[:50]}")
print({tensor.tensor_type.name for tensor in reader.tensors})

# %% [markdown]
# Two fields decide what the model reads. `tokenizer.ggml.pre` is the *name* of the rule that splits a
# text before the merges; the rule itself is in llama.cpp's code. `tokenizer.chat_template` is the
# template, as it stands beside the weights. `general.license` came from the base's card.
#
# **Exercise 11.1.** Hold a block of numbers as `Q8_0` does, and return the numbers that come back.
# (The library differs in one thing: it holds the scale in 16 bits.)


# %% tags=["exercise", "nbval-check-output"]
def eight_bits(block):
    """The block's numbers after they went through 8 bits with one scale."""
    # solution:
    scale = max(abs(x) for x in block) / 127
    return [round(x / scale) * scale for x in block]
    # stub:
    # ...
    # end


check("11.1", eight_bits)

# %% [markdown]
# ## 5. A server
#
# llama.cpp's server speaks the protocol of OpenAI's API.
#
# **Exercise 11.2.** Ask such a server through the official `openai` client. Greedy answers are
# wanted, of at most 60 tokens. Return the text, and why it ended (`finish_reason`).


# %% tags=["exercise", "nbval-check-output"]
def ask(client, model, messages):
    """The answer's text, and why it ended."""
    # solution:
    reply = client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_tokens=60
    )
    return reply.choices[0].message.content, reply.choices[0].finish_reason
    # stub:
    # ...
    # end


check("11.2", ask)

# %% [markdown]
# And the real server. Here it runs inside the notebook, on a free port of this machine. At work it is
# a process of its own, with the same options: `llama-server -m Q8_0.gguf -c 2048`. It may keep what
# it computed for the beginning of an earlier prompt. That saves time and can change last digits, so
# in this lesson each prompt is read anew.

# %%
import httpx
from openai import OpenAI


def serve(file):
    """Start llama.cpp's server on a file; it runs until the object is deleted."""
    options = xllamacpp.CommonParams()
    options.model.path, options.n_ctx, options.n_parallel = str(file), 2048, 1
    threads = torch.get_num_threads()
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = threads
    options.verbosity, options.warmup, options.cache_prompt = -1, False, False
    return xllamacpp.Server(options)


def chat(server, messages):
    """A greedy answer through the chat route."""
    client = OpenAI(base_url=f"{server.listening_address}/v1", api_key="none")
    return client.chat.completions.create(
        model="mine", messages=messages, temperature=0, max_tokens=LENGTH
    )


# %%
servers = {kind: serve(file) for kind, file in FILES.items()}
reply = chat(servers["F16"], asked[0])
print(wrap(reply.choices[0].message.content, "served: "))
print(reply.choices[0].finish_reason, "after", reply.usage.completion_tokens, "tokens")

# %% [markdown]
# `stop` means that the model wrote its end token and the server knew it as one. `length` in most
# answers is the sign of a wrong end token: the model goes on talking until the limit.
#
# ## 6. The same tokens in
#
# "Good in transformers, gibberish in the app" is the most frequent complaint after shipping. The
# first suspect is the prompt: another template, a second BOS token, another split of the text. So
# compare **tokens**, not texts. Beside the chat route, llama.cpp has routes of its own: one renders a
# conversation, one splits a text into tokens.


# %%
def post(server, route, **body):
    """One request to the server's own routes."""
    return httpx.post(server.listening_address + route, json=body, timeout=120).json()


def theirs(server, messages):
    """The tokens that the server makes of a conversation."""
    text = post(server, "/apply-template", messages=messages)["prompt"]
    doubled = tokenizer.bos_token and text.startswith(tokenizer.bos_token)
    body = {"content": text, "add_special": not doubled, "parse_special": True}
    return post(server, "/tokenize", **body)["tokens"]


def ours(messages):
    """The tokens that transformers makes of it."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True)[
        "input_ids"
    ]


# %% tags=["nbval-check-output"]
ODD = [
    "in 1999 it cost    345 euros", "it's  don't\n\n\tnaïve café", "名前は何ですか 🙂🙂",
    "", " leading and trailing ", "def f(x):\n    return x  # 100%",
    "<b>&amp;</b> \\n \"quoted\"",
]  # fmt: skip
prompts = asked + [[{"role": "user", "content": text}] for text in ODD]
alike = [theirs(servers["F16"], messages) == ours(messages) for messages in prompts]
print(f"the same tokens for {sum(alike)} of {len(alike)} conversations")

# %% [markdown]
# These were the held-out sentences, and some texts that are chosen to be awkward. What does a wrong
# name of the split look like? The next cell writes files with the names of two other rules in them.
#
# **Predict.** Does llama.cpp refuse the files? How many of the odd texts will have other tokens?

# %%
for pre in ("gpt-2", "llama-bpe"):
    file = gguf.export(OUT / "merged", OUT / f"{pre}.gguf", "Q8_0", pre=pre)
    server = serve(file)
    other = [t for t, m in zip(ODD, prompts[TEST:]) if theirs(server, m) != ours(m)]
    print(f"{pre}: no error, and other tokens for {len(other)} of {len(ODD)} odd texts")
    print("   ", ", ".join(map(repr, other)))
    del server

# %% [markdown]
# No error, and the same tokens for most texts: it takes several spaces before a number, or lines of
# code, to see the fault. That is why such faults live long. The course's exporter finds the name by
# the tokenizer's own rule, and refuses a tokenizer whose rule it does not know.
#
# ## 7. The same text out?
#
# Now the *same tokens in*, greedy decoding, and the texts of both sides beside each other: first on
# the tuned model and its task, then on the base and a few questions.
#
# **Predict.** In which of the three forms will llama.cpp write exactly what transformers writes?


# %%
def written(server, messages, length=LENGTH):
    """The greedy answer to the tokens that transformers makes."""
    body = {"prompt": ours(messages), "n_predict": length, "temperature": 0}
    return post(server, "/completion", **body)["content"].strip()


for kind, server in servers.items():
    texts = [written(server, messages) for messages in asked]
    other = [(a, b) for a, b in zip(answers["merged"], texts) if a != b]
    print(f"{kind:5} the same text for {TEST - len(other)} of {TEST}")
    for a, b in other[:1]:
        print(wrap(a, "      transformers: "))
        print(wrap(b, "      llama.cpp:    "))
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(a, b))
        print("      they part behind", repr("".join(x for x, _ in alike)[-30:]))

# %% [markdown]
# On its task a tuned model is sure of most tokens, so small differences change few texts. A base that
# is asked for facts is less sure. `Q4_1` is the form in which this base comes in its package: its
# weights went through it already, so they change no more.

# %%
FACTS = ["What is the capital of France?", "Name three fruits.", "Who wrote Hamlet?"]
questions = [[{"role": "user", "content": text}] for text in FACTS]
said, bases = generate(base, tokenizer, questions, max_new_tokens=16), {}
for kind in ("F16", "Q8_0", "Q4_1"):
    bases[kind] = serve(gguf.export(models.get(BASE), OUT / f"base-{kind}.gguf", kind))
    for question, text, a in zip(FACTS, questions, said):
        b = written(bases[kind], text, 16)
        print(f"{kind:5} {question:32} {'the same' if a == b else repr(b[:36])}")

# %% [markdown]
# Look at the first question. If one form names the city and another begins with something else, you
# might conclude that the quantised model has lost a fact. Look one step deeper before you say so:
# at the probabilities of the first token. **Predict.** How probable is the first token of the right
# answer: 0.9, or less?


# %%
def theirs_log(server, ids):
    """llama.cpp's log-probability of every token behind a prompt."""
    found = np.full(base.config.vocab_size, -np.inf)
    body = {"prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": len(found)}
    body["logit_bias"] = [[ids[-1], 1000]]  # what is written does not matter here
    (step,) = post(server, "/completion", **body)["completion_probabilities"]
    for entry in step["top_logprobs"]:
        found[entry["id"]] = entry["logprob"]
    return found


@torch.no_grad()
def ours_log(model, ids):
    """transformers' log-probabilities."""
    logits = model(torch.tensor([ids], device=model.device)).logits[0, -1]
    return logits.float().log_softmax(-1).cpu().numpy()


# %%
ids = ours(questions[0])
logs = {"transformers": ours_log(base, ids)}
logs |= {kind: theirs_log(server, ids) for kind, server in bases.items()}
best = logs["transformers"].argsort()[:-4:-1]
words = [repr(tokenizer.decode([i])) for i in best]
pandas.DataFrame({k: np.exp(log[best]) for k, log in logs.items()}, words).T.round(3)

# %% [markdown]
# So there are two questions. Why does the order change? Because the first tokens are nearly equally
# probable, and a small difference decides which is first. Greedy decoding shows only the winner. And
# why is there a difference where the weights are the same, as in `Q4_1`?
#
# ## 8. Where the difference comes from
#
# In F16 both compute with the same weights and with floats. In a quantised file llama.cpp also rounds
# what goes *into* each matrix, the **activations**: to 8 bits, in blocks of 32, by the rule that you
# wrote in 11.1. Products of whole numbers are fast. If that is the cause, then transformers with
# rounded activations must differ from transformers *in the same way*. A hook before each linear
# layer rounds what goes into it.

# %%
from gguf import quants


def through(tensor):
    """A tensor's numbers after `Q8_0`: the library's version of exercise 11.1."""
    kind = quants.GGMLQuantizationType.Q8_0
    held = quants.quantize(tensor.detach().float().cpu().numpy(), kind)
    return torch.from_numpy(quants.dequantize(held, kind)).to(tensor)


def rounded_log(model, ids):
    """The log-probabilities, with what goes into every linear layer rounded."""
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    rounding = lambda layer, args: (through(args[0]),)
    hooks = [layer.register_forward_pre_hook(rounding) for layer in layers]
    found = ours_log(model, ids)
    for hook in hooks:
        hook.remove()
    return found


# %% [markdown]
# We compare on all tokens of the vocabulary. Both sides hold the weights of the `Q8_0` file. `d` is
# llama.cpp minus transformers, `r` is transformers with rounded activations minus without. If `d` and
# `r` come from the same cause, they are correlated. We look at the model's first layer alone, and at
# all of them.
#
# **Predict.** The correlation at one layer, and at all.

# %%
from ftlab.models import quiet
from transformers import AutoModelForCausalLM

with quiet():
    settings = {"num_hidden_layers": 1, "dtype": "float32"}
    one_layer = AutoModelForCausalLM.from_pretrained(models.get(BASE), **settings)
    kinds = getattr(one_layer.config, "layer_types", None)
    one_layer.config.layer_types = kinds and kinds[:1]
    one_layer.save_pretrained(OUT / "one")
tokenizer.save_pretrained(OUT / "one")
first = serve(gguf.export(OUT / "one", OUT / "one.gguf", "Q8_0"))
for model, server in ((one_layer, first), (base, bases["Q8_0"])):
    for weight in model.parameters():
        weight.data = through(weight) if weight.ndim == 2 else weight.data
    plain, rounded = ours_log(model, ids), rounded_log(model, ids)
    log = theirs_log(server, ids)
    d, r = (x[np.isfinite(log)] for x in (log - plain, rounded - plain))
    print(f"layers: {model.config.num_hidden_layers}; d and r spread by {d.std():.3f} "
          f"and {r.std():.3f}, correlation {np.corrcoef(d, r)[0, 1]:.2f}")  # fmt: skip

# %% [markdown]
# At one layer our rounding explains most of what llama.cpp does differently. At all layers `d` and
# `r` are still of one size, and less alike. A value that lies near the middle of two whole numbers
# goes one way here and the other way there; then the next layer starts from other numbers. So the
# cause is shown, and the exact difference of a deep model cannot be predicted.
#
# What follows for you: in F16 ask for the same text. In a quantised form do not ask for the same
# text, and do not judge it by one question. Ask for the same *verdict*.
#
# ## 9. The verdict, repeated on what is served
#
# The same held-out sentences, through the chat route of each server, by the client: template,
# tokenizer, weights, arithmetic and stops, all as users get them.
#
# **Predict.** F1 of the 4-bit file, minus F1 of the merged model.

# %%
served = {kind: [chat(server, m) for m in asked] for kind, server in servers.items()}
for kind, replies in served.items():
    answers[kind] = [reply.choices[0].message.content or "" for reply in replies]
    ends = [reply.choices[0].finish_reason for reply in replies]
    print(f"{kind:5} {ends.count('length')} of {TEST} were cut at {LENGTH} tokens")

# %%
from ftlab.evaluation.compare import compare
from ftlab.tasks import get

lineup = {name: answers[name] for name in ["merged", "base", *KINDS]}
verdict = compare(get("punctuation"), held_out, lineup, seed=SEED)
print(wrap(verdict.sentence))
verdict.table()

# %% [markdown]
# Every row is held against `merged`, the model in transformers. A form whose interval leaves out zero
# on the bad side is not the model that you measured: do not ship it under the old figure. "No
# difference shown" on so few sentences is weak: before a release, take as many as lesson 07 says that
# you need. If 4 bits lose too much, there are three ways: 8 bits; a form with smaller errors at about
# 4 bits (llama.cpp's own `llama-quantize` makes `Q4_K_M` from the F16 file); or training that knows of
# the rounding.
#
# ## 10. Size, speed, latency
#
# **Throughput** is how many tokens come per second. **Latency** is how long one user waits; its
# median hides the slow ones, so a high percentile is reported beside it. The server times each
# request: reading the prompt, and writing. (The way to the server and back is not in it.)

# %%
speed = {}
for kind, replies in served.items():
    t = pandas.DataFrame([reply.model_extra["timings"] for reply in replies])
    wait = (t.prompt_ms + t.predicted_ms) / 1000
    speed[kind] = {
        "MB": FILES[kind].stat().st_size / 1e6,
        "read tokens/s": 1000 * t.prompt_n.sum() / t.prompt_ms.sum(),
        "write tokens/s": 1000 * t.predicted_n.sum() / t.predicted_ms.sum(),
        "mean s": wait.mean(), "median s": wait.median(),
        "95 % below s": wait.quantile(0.95),
    }  # fmt: skip
speed = pandas.DataFrame(speed).T
speed.round(2)

# %% [markdown]
# Writing is limited by memory: for each token all weights are read once. So fewer bytes are more
# tokens per second, up to a point. Reading a prompt is limited by arithmetic, where all its tokens
# share one pass over the weights. The wheel that pip installs is built for many processors; one
# that is compiled on your machine can be several times as fast in reading.
#
# These are the times of one user. With several at once a server computes their next tokens together
# (`n_parallel`), and each of them waits a little longer.
#
# ## 11. What a thousand answers cost
#
# **Exercise 11.3.** A machine costs `per_hour`, and you pay for it whether it works or not. It is busy
# for a `share` of the time, and an answer takes `seconds`. What do 1,000 answers cost?


# %% tags=["exercise", "nbval-check-output"]
def per_thousand(seconds, per_hour, share):
    """Money for 1,000 answers."""
    # solution:
    return 1000 * seconds / 3600 * per_hour / share
    # stub:
    # ...
    # end


check("11.3", per_thousand)

# %% [markdown]
# Three places: at home, on a rented GPU, at a provider who charges by the token. The prices come from
# a table in which each row has its page and the day on which it was read. Power is your own setting.
# How fast a rented GPU would answer is not known here, so its line turns the question round: how
# many answers a second must it give to be as cheap as the provider's tokens?

# %%
from ftlab.training import hosted

WATTS, PER_KWH, SHARE = 65, 0.30, 0.25  # at work, power, time that a rented GPU works
power = 1000 * speed["mean s"] / 3600 * WATTS / 1000 * PER_KWH
print("power at home for 1,000 answers:", power.round(4).to_dict())
prices = hosted.table()
ids = tokenizer(answers["merged"])["input_ids"] + [ours(messages) for messages in asked]
tokens = sum(map(len, ids)) / TEST
for row in prices.serving:
    if row.per_million is not None:
        money = tokens / 1000 * row.per_million
        told = f"{money:.4f} for 1,000 answers of {tokens:.0f} tokens"
    else:
        need = row.per_hour / 3.6 / SHARE / money
        told = f"as cheap from {need:.0f} answers a second on, busy {SHARE:.0%}"
    print(f"{row.provider}, {row.what}: {told}\n   {row.source}, read {row.seen}")
print(hosted.hosted(train_rows, tokenizer, epochs=EPOCHS, prices=prices))

# %% [markdown]
# A small model on a machine that you own costs cents, and it keeps the data at home. A rented GPU pays
# when it is busy. By the token you pay for nothing else, but such prices are for shared bases: for a
# tuned model many providers want a GPU of its own, by the hour. (Fireworks says so in its present
# documentation, at docs.fireworks.ai, under *cost structure*.) Open the pages before you decide.
#
# The last lines say what the *training* would cost there: providers charge tokens times epochs. From a
# shell, before a file leaves the house: `ftlab estimate --hosted train.jsonl --epochs 2`.
#
# ## 12. A Modelfile for Ollama
#
# Ollama runs GGUF files under a **Modelfile**: which file, which system text, which settings. Two
# lines are forgotten often. Without `PARAMETER temperature 0` it samples, and your verdict was greedy.
# And where a `stop` is missing that the model was trained with (here `<|im_end|>`), it talks on.
#
# **Exercise 11.4.** Write the Modelfile: the directives `FROM`, `SYSTEM`, `PARAMETER temperature` and
# one `PARAMETER stop` for each end, each on a line of its own, texts in double quotes.


# %% tags=["exercise", "nbval-check-output"]
def modelfile(file, system, ends):
    """The text of a Modelfile."""
    # solution:
    lines = [f"FROM {file}", f'SYSTEM "{system}"', "PARAMETER temperature 0"]
    return "\n".join(lines + [f'PARAMETER stop "{end}"' for end in ends])
    # stub:
    # ...
    # end


check("11.4", modelfile)

# %% [markdown]
# With that file, `ollama create mine -f Modelfile` and `ollama run mine`. Ollama was not run in this
# lesson. It renders prompts with a template language of its own, and takes the template out of the
# GGUF only where it knows it. So check it as in section 6: ask it with `"raw": true` and your own
# rendered prompt, then without, and compare the answers.
#
# ## 13. The card, the licences, and the hub
#
# The run wrote a model card. It holds what the run knows, and of quality only what a verdict found.
#
# **Licences are passed on.** The base's licence binds what you make of it: Apache-2.0 wants its text
# and notices kept, others forbid some uses, or want their name in yours. The *data* have a licence of
# their own, and a model may repeat them. A teacher's terms may forbid training a rival with its
# answers (lesson 05). The card is the place; `huggingface_hub` reads and writes it.

# %%
from huggingface_hub import ModelCard

path = folder.add_verdict(OUT / "merged", verdict.to_json())
card = ModelCard.load(path)
card.text += f"\n## Data\n\n{TRAIN} rows. Licence: {get('punctuation').licence}\n"
card.save(path)
print(card.content.partition("<!-- verdict: ")[0], wrap(verdict.sentence), sep="\n")
print(card.text[card.text.index("## Data") :])

# %% [markdown]
# **Publishing.** `push_to_hub` sends a model, `upload_folder` a folder. Look first at what would go:
# the names, the sizes, and whether something is there that must not leave, such as training rows or a
# key. Without `PUSH` and a token nothing is sent.

# %%
from huggingface_hub import HfApi, get_token

PUSH, REPO = False, "your-name/punctuation-135m"
leaving = [*sorted((OUT / "merged").iterdir()), *FILES.values()]
print("\n".join(f"{f.name:24} {f.stat().st_size / 1e6:7.1f} MB" for f in leaving))
private = [f.name for f in leaving if f.suffix in (".jsonl", ".csv", ".env", ".key")]
print("must not leave:", private or "nothing found by its name")
if PUSH and get_token() and not private:
    HfApi().create_repo(REPO, private=True, exist_ok=True)
    HfApi().upload_folder(repo_id=REPO, folder_path=OUT / "merged")
else:
    print("a dry run: nothing was sent")

# %% [markdown]
# ## 14. After the release
#
# A released model is a version like any other: it is named, it can be told from others, and the last
# one can be brought back. A small file says which is in service. It is replaced whole, so that a server
# which reads it finds the old list or the new one.

# %%
import json

from ftlab.files import sha256, write_text

LOG, versions = OUT / "versions.json", []  # the last one is in service
for kind, file in FILES.items():
    f1 = round(verdict.systems[kind]["f1"].value, 3)
    versions.append({"name": kind, "file": sha256(file)[:12], "f1": f1})
write_text(LOG, json.dumps(versions), overwrite=True)
print("in service:      ", json.loads(LOG.read_text())[-1])
write_text(LOG, json.dumps(versions[:-1]), overwrite=True)
print("after a rollback:", json.loads(LOG.read_text())[-1])

# %% [markdown]
# A list like this suits files. In the course's own service (`ftlab serve`) the name `live` is that
# pointer: `ftlab loop` trains on labelled traces and promotes a model only if the verdict says
# better, and `ftlab rollback` takes it back.
#
# What do you watch? *The outputs*: the share in form, the share cut at the limit, the lengths, what
# people mark as wrong. *The inputs*: whether they still look like what the model was trained on.
# **Drift** is when they do not. A simple test: let a classifier tell old inputs from new ones. If it
# cannot (AUC 0.5), they look alike.
#
# **Predict.** The AUC for new sentences of the same kind, and for customers' messages.

# %% tags=["nbval-check-output"]
from ftlab.serving.drift import drift
from ftlab.tasks import triage

rows = {
    "the training data": punctuation.rows(150, seed=1),
    "the same kind": punctuation.rows(100, seed=1, split="test"),
    "customers": triage.examples(100, seed=1),
}
old, *new = [[row["prompt"][-1]["content"] for row in part] for part in rows.values()]
for name, texts in zip(("the same kind", "customers"), new):
    found = drift(old, texts)
    print(f"{name}: AUC {found.auc}, drift", "shown" if found.shown else "not shown")
print(wrap(texts[found.first[0]], "look first at: "))

# %% [markdown]
# Training and test passages of one kind can differ a little, since they were split by document. What
# you measure on the day of the release is your baseline; an alarm is a clear rise over it. Then
# people look at the inputs that the classifier is surest about: a new product, another language, an
# attack, or a bug in the program before you.
#
# **Upkeep.** Pin what serves (the versions of llama.cpp and of the file), and repeat the verdict on
# every change, as in section 9. A new release of the base is a new project: the adapter does not fit
# it, and the verdict decides between the two again.
#
# **When to go back to the base**: a newer base does the task from a prompt, with no difference shown;
# inputs have moved, and the tuned model is worse on them than the base with examples; the tuned model
# harms where the base does not (lesson 12); or nobody is left who repeats the verdict. Going back is
# easy as long as you kept the prompt: `rollback` to it.
#
# ## 15. Your turn
#
# A release sheet for a model of your own. Put your merged folder's name into `MINE` (until then it is
# this lesson's), choose a form, and run the cell. The tool checks the file, and says what is missing.

# %%
MINE, FORM, LIMIT_MB = OUT / "merged", "Q8_0", 200

mine = gguf.export(MINE, OUT / "mine.gguf", FORM, overwrite=True)
server, card = serve(mine), ModelCard.load(MINE / "README.md")
sheet = {
    "the same tokens in": all(theirs(server, m) == ours(m) for m in prompts),
    "small enough": mine.stat().st_size < LIMIT_MB * 1e6,
    "the card names the licence": bool(card.data.license),
    "the card has the data's licence": "Licence:" in card.text,
    "the card has a verdict": "No verdict yet" not in card.text,
    "not shown to be worse": bool(verdict.differences[FORM]["f1"].high >= 0),
}
for what, done in sheet.items():
    print("yes" if done else "NO ", what)
path = write_text(OUT / "sheet.json", json.dumps(sheet), overwrite=True)

# %% [markdown]
# Keep `sheet.json` with the file. The capstone asks for it.
#
# ## 16. The limits of this lesson
#
# - **A small model, a narrow task, thirty sentences.** Larger models lose less in 4 bits, and tasks in
#   which one wrong token matters (code, numbers) lose more. Measure yours.
# - **One run of each form, one machine.** Speeds are those of this machine while the lesson ran.
# - **Three of the many forms.** llama.cpp's K-quants and formats for GPUs (AWQ, GPTQ, FP8 in vLLM)
#   were not tried.
# - **Ollama, a rented GPU and a provider were not used.** Their prices were read on the named days, in
#   copies of the pages without a date of their own.
#
# ## 17. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("11")

# %% [markdown]
# ## 18. Takeaways
#
# 1. **Evaluate what you ship**: the file, the template, the arithmetic and the stops, through the
#    endpoint. The figure of the notebook belongs to another object.
# 2. **Compare tokens first, then texts in F16, then verdicts.** Where a text differs, name the first
#    token that does, and its probability on both sides.
# 3. **A release is a version**: a hash, a card with the licences, a verdict, and a way back.
#
# Next: [12 Break it on purpose](12_break_it_on_purpose.ipynb). What does each mistake look like
# before you know its name?
