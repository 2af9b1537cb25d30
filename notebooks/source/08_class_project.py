# %% [markdown]
# # 08 The class project: a model that writes unit tests
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/08_class_project.ipynb)
#
# **What you will build**: a small model that proposes unit tests for your functions, and the whole
# path to it. You start a fine-tuning service on this machine, upload a file, create a job, watch
# its events, and get the name of a tuned model. An agent writes tests with it, runs them, and adds
# them to yours. What the model did in use becomes the data of a second round.
#
# **Prerequisites**: lessons 00 and 05. No GPU, no key and no account. The code that talks to the
# service is the code for a provider: only the address, the key and the model's name change.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about 90 minutes | four to eight minutes |
# | a free Colab T4, or another GPU | the same | two to four minutes |
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
# `MADE` functions of the course are added to the teacher's thirty, the job of section 6 makes
# `EPOCHS` passes in batches of `BATCH`. `USED` functions are asked for in section 10, and `HELD_OUT`
# others decide in section 11. `PATIENCE` bounds every wait for the service, in seconds.

# %%
import atexit
import os
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ftlab
from ftlab import check, data, files, hardware, recorded, tasks

SEED, BASE, PROFILE = 0, "smollm2-135m", ftlab.profile()
MADE, EPOCHS, BATCH = 24, 2, 4
USED, REPLAY, HELD_OUT, PATIENCE = 16, 24, 20, 900
WORK = Path(tempfile.mkdtemp())

hardware.seed_everything(SEED)
words = files.read_data("lessons/project.yaml")

# %% [markdown]
# ## 2. The project: three simple functions and a small app
#
# The cell writes a folder `app` with three files. `simple.py` has the three functions that classes
# like to begin with: factorial, Fibonacci, and the reversal of a string. The other two are what a
# small shop may have. There is also one test that a person wrote. It must still be there at the end.

# %% tags=["nbval-check-output"]
APP, TESTS = WORK / "app", WORK / "tests"
for name, text in words["app"].items():
    files.write_text(WORK / name, text)
print((APP / "simple.py").read_text())
for path in sorted(WORK.rglob("*.py")):
    names = re.findall(r"def (\w+)\(", path.read_text())
    print(f"{path.relative_to(WORK).as_posix()}: {', '.join(names)}")

# %% [markdown]
# ## 3. A fine-tuning service of your own
#
# Most people meet fine-tuning as an **API**: upload a file, create a job, watch its events, use the
# tuned model by its name. `ftlab serve` speaks OpenAI's protocol on this machine, so the class
# needs no cloud and no bill. We start it as a program of its own, with a key that we make up.
# `atexit` ends it should the notebook end early. Its address has a page, too, with the jobs, their curves
# and a playground: print `URL` and open it without the `/v1`.

# %%
KEY = "class-project-key-2026"
log = (WORK / "service.log").open("w")
command = [sys.executable, "-m", "ftlab.cli", "serve", "--port", "0", "--model", BASE]
service = subprocess.Popen(
    [*command, "--data", str(WORK / "service")],
    env={**os.environ, "FTLAB_API_KEY": KEY},
    stdout=subprocess.PIPE, stderr=log, text=True,
)  # fmt: skip
atexit.register(service.terminate)
URL = service.stdout.readline().split()[-1]
print("the service answers:", URL.startswith("http://127.0.0.1:"))

# %% [markdown]
# In one recorded class, four things went wrong before the audience. We let each of them happen.
#
# **The key was missing**: it had been set in another terminal. The second: **the model's name was
# misspelt**, and found again by guessing. **Predict.** What will the service say to each?

# %% tags=["nbval-check-output"]
import openai
from openai import OpenAI

hello = [{"role": "user", "content": "Say hello."}]
client = OpenAI(base_url=URL, api_key=KEY, max_retries=0, timeout=PATIENCE)
for who, key, name in [("no key", "none", BASE), ("a typo", KEY, BASE[:2] + BASE[3:])]:
    try:
        one = client.with_options(api_key=key)
        one.chat.completions.create(model=name, messages=hello, max_tokens=5)
    except openai.APIStatusError as error:
        print(f"{who}: {error.status_code}, {error.body['message']}")
print("models of this key:", [model.id for model in client.models.list()])

# %% [markdown]
# 401 means that the service does not know who asks, 404 that there is no such model *for this key*.
# Do not guess a name: `client.models.list()` has them all. Keep keys in the environment and not in a
# notebook; this one is worth nothing outside of this machine.
#
# ## 4. One prompt, and tests from a teacher
#
# Now the small model, tuned on nothing yet, is asked for the unit tests of the three simple
# functions. What comes back is run in the sandbox of lesson 05. **Predict.** How many of its three
# modules pass?

# %%
from ftlab.agents import functions_of
from ftlab.display import wrap

unit_tests = tasks.get("unit_tests")
simple = functions_of(APP / "simple.py")


def ask(messages, model=BASE, who=client, most=160):
    """The text of an answer at temperature 0."""
    reply = who.chat.completions.create(
        model=model, messages=list(messages), max_tokens=most, temperature=0
    )
    return reply.choices[0].message.content


def passes(source, module):
    """1 if a module of tests passes on a function, else 0."""
    row = data.example(unit_tests.prompt(source), module)
    return int(unit_tests.score(row, module)["passes"].num)


# %%
with ThreadPoolExecutor(8) as pool:
    weak = list(pool.map(lambda f: ask(unit_tests.prompt(f.source)), simple))
print(weak[0][:260], "...")
weak_passes = [passes(f.source, text) for f, text in zip(simple, weak)]
print(f"{sum(weak_passes)} of {len(weak)} modules of the small model pass")

# %% [markdown]
# So we need a **teacher**, as in lesson 05: a large model whose replies were recorded once, behind an
# endpoint of the same protocol. It is asked about the three simple functions and about thirty others,
# eight requests at a time, with a bar. For a teacher of your own, set `OPENAI_BASE_URL`,
# `OPENAI_API_KEY` and `OPENAI_MODEL`.

# %%
from rich.progress import track

endpoint = recorded.serve(files=["teacher", "judge", "project"])
teacher, TEACHER = OpenAI(base_url=endpoint.url, api_key="none"), recorded.RECORDED
if os.environ.get("OPENAI_MODEL"):
    teacher, TEACHER = OpenAI(), os.environ["OPENAI_MODEL"]

drawn = unit_tests.examples(30, seed=5)  # those that lesson 05 asked about
sources = [f.source.strip() for f in simple]
sources += [data.prompt(row)[-1]["content"].partition("\n\n")[2] for row in drawn]
prompt = files.read_data("lessons/teacher.yaml")["unit_tests"]
requests = [[{"role": "user", "content": prompt.format(code=one)}] for one in sources]
with ThreadPoolExecutor(8) as pool:
    answers = pool.map(lambda messages: ask(messages, TEACHER, teacher, 600), requests)
    replies = list(track(answers, "asking", len(requests), refresh_per_second=1))
print(replies[0])

# %% [markdown]
# This reply begins with a **preamble**, "Here are the unit tests", and ends with a remark. The module
# in between is what we want. `clean` takes the rest off, and says what it was.
#
# In the recorded class the generated tests were never executed. Here they are. **Predict.** How many
# of the teacher's 33 pass?

# %% tags=["nbval-check-output"]
from collections import Counter

from ftlab.curation.cleaning import clean

cleaned = [clean(reply) for reply in replies]
print(dict(Counter(kind for _, kinds in cleaned for kind in kinds)))
modules = [module for module, _ in cleaned]
checked = [passes(source, module) for source, module in zip(sources, modules)]
print(f"{sum(checked)} of {len(checked)} modules of the teacher pass")

# %% [markdown]
# A large model can work out `fibonacci(10)`. Can 135 million weights learn to? Look again at what the
# small model wrote: a test is the *call*, which has to be sensible, and the *expected value*, which
# has to be right. Only the call is a matter of pattern. The value is a computation, and a computer is
# at hand that does it without error.
#
# So our rows ask for two things, and section 7 shows what became of each:
#
# - `module`: the whole module, expected values included, as a large model would write it;
# - `calls`: nothing but calls, one on a line. Running the function gives the values.
#
# **Exercise 08.1.** Return the calls in a module of tests: the first argument of every `assertEqual`,
# in order, as a list of texts. `ast.walk` visits every node, and `ast.unparse` writes a node out. Stuck?
# `ftlab.hint("08.1", 1)`, then `ftlab.hint("08.1", 2)`.

# %% tags=["exercise", "nbval-check-output"]
import ast


def calls_in(module):
    """The source of each call that a module of tests expects a value of."""
    # solution:
    return [
        ast.unparse(node.args[0])
        for node in ast.walk(ast.parse(module))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.assertEqual"
    ]
    # stub:
    # ...
    # end


check("08.1", calls_in)

# %% [markdown]
# ## 5. Rows, and a split that does not leak
#
# The three simple functions are in the app that we shall test, so they must **not** be trained on. The
# other thirty of the teacher's stay, and `MADE` functions are added that the course composes, with tests
# whose values come from running. The teacher wrote in several forms (lesson 05 counted them), so only
# its calls are used; the modules are those of the composed functions, all in one house style.

# %% tags=["nbval-check-output"]
from ftlab.agents import calls_prompt
from ftlab.teaching import claims, lesson08

taught = list(zip(sources, modules, checked))[3:]  # without the three simple ones
pairs = [(source, module, "teacher") for source, module, ok in taught if ok]
for row in unit_tests.examples(MADE, seed=8):
    source = data.prompt(row)[-1]["content"].partition("\n\n")[2]
    pairs.append((source, data.answer(row), "composed"))
rows = []
for number, (source, module, by) in enumerate(pairs):
    calls = "\n".join(lesson08.calls_in(module))
    about = {"group": f"function {number}", "by": by}
    rows.append(data.example(calls_prompt(source), calls, form="calls", **about))
    if by == "composed":
        asked = unit_tests.prompt(source)
        rows.append(data.example(asked, module, form="module", **about))
print(data.prompt(rows[0])[0]["content"], "->", data.answer(rows[0]), sep="\n\n")
print(Counter(f"{data.meta(row)['form']}, {data.meta(row)['by']}" for row in rows))

# %% [markdown]
# Two rows may be about one function. If one of them is trained on and the other is tested, the test row
# **leaks**. So whole groups are dealt out, and near copies go together.

# %% tags=["nbval-check-output"]
from ftlab.curation.splits import split

parts = split(rows, [0.9, 0.1], by=["group"], label="form", seed=SEED)
train, valid = parts["train"], parts["test"]
known = {data.meta(row)["group"] for row in train}
print(len(train), "rows to train on,", len(valid), "to watch;", end=" ")
print(sum(data.meta(row)["group"] in known for row in valid), "leak")
for name, part in {"train": train, "valid": valid}.items():
    data.write(WORK / f"{name}.jsonl", part, format="openai", drop_meta=True)
print((WORK / "train.jsonl").read_text().splitlines()[0][:180], "...")

# %% [markdown]
# That last line is what a provider wants: messages, and nothing else. `valid.jsonl` waits for exercise
# 08.2, in which a job watches it.
#
# ## 6. Upload, job, events, model
#
# First a file with a fault, to see who finds it. Line 2 has no answer. **Predict.** When will you hear
# of it: now, or in the middle of the training?

# %%
lines = (WORK / "train.jsonl").read_text().splitlines()
lines[1] = '{"messages": [{"role": "user", "content": "Write tests."}]}'
(WORK / "spoilt.jsonl").write_text("\n".join(lines))
try:
    client.files.create(file=WORK / "spoilt.jsonl", purpose="fine-tune")
except openai.BadRequestError as error:
    print(error.body["message"])
uploaded = client.files.create(file=WORK / "train.jsonl", purpose="fine-tune")
print(uploaded.status, uploaded.bytes, "bytes; an id:", uploaded.id[:5] + "...")

# %% [markdown]
# The third thing that went wrong in the recorded class: **nobody knew what the progress lines counted**,
# or how long it would take. A step is one batch, and an epoch is one pass over all rows. So the number
# of steps is known before the job is created.
#
# A **hyperparameter** is a setting of the training. `"auto"` leaves it to the service. We give three:
# the epochs, the batch size, and `learning_rate_multiplier`, which multiplies the usual rate for this
# size of model; on so few rows, twice the usual rate learns more in the same time.

# %%
import math

settings = {
    "n_epochs": EPOCHS, "batch_size": BATCH, "learning_rate_multiplier": 2,
}  # fmt: skip
steps = EPOCHS * math.ceil(len(train) / BATCH)
print(f"{len(train)} rows, {EPOCHS} epochs, batches of {BATCH}: {steps} steps")
job = client.fine_tuning.jobs.create(
    model=BASE, training_file=uploaded.id, suffix="tests", seed=SEED,
    method={"type": "supervised", "supervised": {"hyperparameters": settings}},
)  # fmt: skip
print("job", job.status)

# %% [markdown]
# The job runs in a process of its own. Should the service be killed now, and started again with the
# same folder, the job goes on from its newest checkpoint. `watch` asks for the newest **event** and
# shows a bar with the time left.
#
# A job that has ended gives the **model id** (the base, your suffix, and an ending that makes it
# unique) and its results: a file of losses, as a provider gives it too. **Predict.** In which part
# of the run will the loss fall most?

# %%
from rich.progress import BarColumn, Progress, TextColumn


def watch(job):
    """Follow a job to its end, with a bar; the job as it ended."""
    columns = TextColumn("{task.description}"), BarColumn()
    with Progress(*columns, auto_refresh=False) as bar:
        line = bar.add_task("waiting", total=None)
        while job.status not in ("succeeded", "failed", "cancelled"):
            time.sleep(2)
            job = client.fine_tuning.jobs.retrieve(job.id)
            newest = client.fine_tuning.jobs.list_events(job.id, limit=1).data[0]
            told = newest.data or {}
            if "step" in told:
                at, of, left = told["step"], told["total_steps"], told["eta_seconds"]
                left = "?" if left is None else left
                text = f"step {at} of {of}, about {left} s left"
                bar.update(line, description=text, completed=at, total=of)
                bar.refresh()
    return job


# %%
import io

import pandas
from ftlab import pictures

start = time.monotonic()
job = watch(job)
assert job.status == "succeeded", job.error
print(
    f"{job.status} in {time.monotonic() - start:.0f} s, {job.trained_tokens:,} tokens"
)
TUNED = job.fine_tuned_model
print("the tuned model:", re.sub(r":[^:]+$", ":...", TUNED))
told = lesson08.all_messages(client, job.id)
print(f"{len(told)} events: {told[0].partition(':')[0]} ... {told[-1]}")
results = client.files.content(job.result_files[0]).text
table = pandas.read_csv(io.StringIO(results))
curve = [{"step": s, "loss": x} for s, x in zip(table.step, table.train_loss)]
pictures.loss_curve(curve, title="The job's loss")

# %% [markdown]
# A step has few rows, so its loss jumps: follow the smoothed line. It says that the rows are learned, and
# not that the tests are good; the next section runs them.
#
# **Exercise 08.2.** Create a job with a **validation file**: `model` on the file `train_id`, with
# `valid_id` watched, 2 epochs, batches of 4, the suffix "watched" and the seed 0. Return the job.
# (The check uses a stand-in for the client, so nothing is trained.)


# %% tags=["exercise", "nbval-check-output"]
def start_job(client, model, train_id, valid_id):
    """A job of two epochs that watches a validation file."""
    # solution:
    settings = {"n_epochs": 2, "batch_size": 4}
    return client.fine_tuning.jobs.create(
        model=model, training_file=train_id, validation_file=valid_id,
        suffix="watched", seed=0,
        method={"type": "supervised", "supervised": {"hyperparameters": settings}},
    )  # fmt: skip
    # stub:
    # ...
    # end


check("08.2", start_job)

# %% [markdown]
# A list in this protocol comes in **pages**, newest first. `.data` is one page only; a loop over the
# answer itself fetches the others.
#
# **Exercise 08.3.** Return the messages of *all* events of a job, oldest first. The service is asked for
# two at a time (`limit=2`).


# %% tags=["exercise", "nbval-check-output"]
def all_messages(client, job_id):
    """The messages of all events of a job, from the first to the last."""
    # solution:
    events = client.fine_tuning.jobs.list_events(job_id, limit=2)
    return [event.message for event in events][::-1]
    # stub:
    # ...
    # end


check("08.3", all_messages)

# %% [markdown]
# ## 7. The agent: the same files, two names
#
# An **agent** is a program that lets a model act and looks at what came of it. Ours reads the
# files, asks the model, runs what it wrote in the sandbox, and keeps what passes. It can also show
# the model its failures and let it try again (`repairs`), which we leave out here. From a shell it
# is `ftlab write-tests`.
#
# First `expect="model"`: the model writes the expected values itself. We run the base, then the tuned
# model: the same call, with another name. **Predict.** For how many of the eight functions does each
# have a test that passes?

# %%
from ftlab import agents
from rich import print as show

to = {"client": client, "out": TESTS}
by_model = {}
for name, model in {"base": BASE, "tuned": TUNED}.items():
    by_model[name] = agents.write_tests(
        APP, model=model, dry_run=True, repairs=0, answer_tokens=200, **to
    )
    by_model[name].model = name
    show(by_model[name].table())

# %% [markdown]
# `proposed` are tests, `pass` those that held on the true function, and `mutants killed` small faults in
# the function that they notice (lesson 07). Why do so few hold? Read what the tuned model expected:

# %%
from ftlab import sandbox

for function in functions_of(APP):
    if function.name not in ("reverse", "discount"):
        continue
    source = function.source
    wrote = clean(ask(unit_tests.prompt(source), TUNED))[0]
    pairs = re.findall(r"assertEqual\((.+\)), (.+)\)$", wrote, re.M)[:2]
    program = source + "".join(f"\nprint(repr({call}))" for call, _ in pairs)
    ran = sandbox.run(program, allow_weak=True).stdout.splitlines()
    for (call, value), true in zip(pairs, ran):
        print(f"{call}: the model expected {value}, it is {true}")

# %% [markdown]
# The form is right and many values are wrong. To write a value the model has to carry the function
# out itself, token by token; what it has learned is how such lines look. Do more rows help? The
# card of the task, `data/tasks/unit_tests.md`, has the figures for 50 and for 100. A large model
# does better, as section 4 showed. For a small one, divide the work: `expect="run"` lets the model
# propose the *calls*, and running the function gives the *values*. **Predict** again, for both.
# Under the tables stand the two side by side, with intervals.

# %%
by_run = {}
for name, model in {"base": BASE, "tuned": TUNED}.items():
    by_run[name] = agents.write_tests(
        APP, model=model, expect="run", dry_run=name == "base",
        samples=3, answer_tokens=100, **to,
    )  # fmt: skip
    by_run[name].model = name
    show(by_run[name].table())
for line in agents.compare(by_run["base"], by_run["tuned"]):
    print(wrap(line))

# %% [markdown]
# Here `proposed` are different calls. Eight functions are few, so the intervals are wide. Read also
# what such a test *cannot* do: a value that comes from running the function is right only if the
# function is. So each carries the comment `# confirm`. It is a **regression test**: it notices when
# the function changes. Whether the function is right, a person has to say, or a model that can
# compute.
#
# ## 8. No test is lost
#
# The fourth thing that went wrong: the agent in that class wrote the test file anew for each function, so
# that **only the last function's tests were left**. Here is that program, on the same tests.

# %%
naive = WORK / "naive.py"
for one in by_run["tuned"].functions:
    if one.tests:
        naive.write_text("\n".join(one.tests.values()))  # opened anew each time
kept = len(re.findall("def test", naive.read_text())) if naive.exists() else 0
print(f"{sum(one.passed for one in by_run['tuned'].functions)} tests, {kept} left")
for path in sorted(TESTS.glob("*.py")):
    print(f"{path.name}: {len(re.findall('def test', path.read_text()))} tests")
assert "test_written_by_hand" in (TESTS / "test_prices.py").read_text()

# %% [markdown]
# Our agent *adds*: it parses the file that is there, puts new methods into the class of their function,
# keeps a copy of the file as it was, and refuses to write where a definition would change. The test that
# a person wrote is still there.
#
# **Exercise 08.4.** `old` and `new` hold tests by name: `{"test_edges": "self.assertEqual(...)"}`. Return
# both together, `old` first. A new test whose text is there already is left out. A new one whose
# *name* is taken gets the first free name of `name_2`, `name_3` and so on.


# %% tags=["exercise", "nbval-check-output"]
def merged(old, new):
    """All tests of two dicts by name; none is lost, and none is there twice."""
    # solution:
    tests = dict(old)
    for name, text in new.items():
        if text in tests.values():
            continue
        free, number = name, 2
        while free in tests:
            free, number = f"{name}_{number}", number + 1
        tests[free] = text
    return tests
    # stub:
    # ...
    # end


check("08.4", merged)

# %% [markdown]
# Read one of the files as it now is. Would you sign these tests? Which values would you check first?
#
# And what is *not* tested? A mutant that no test notices is a question that nobody asked. The agent says
# it in words, with a call that would notice.

# %%
print((TESTS / "test_prices.py").read_text())
for line in by_run["tuned"].words(most=1):
    print(wrap(line.replace(f"{WORK}{os.sep}", ""), "- "))

# %% [markdown]
# ## 9. A judge beside the truth
#
# The class let a second model score the tests: **1 or 0**. We can do better, since tests can be
# run. So we know the truth, and can test the judge (lesson 07). It gets one module for each
# function. Every second one has values that came from running; in the others the tuned model wrote
# its own.
#
# **Cohen's kappa** takes off what chance would give: 1 is full agreement, 0 is chance, and a dash means
# that it cannot be told. For comparison stands the recorded large judge, on the forty modules of
# lesson 07.
#
# **Predict.** The judge is our base. In how many of the eight does it agree with the sandbox?

# %%
from ftlab.agents import Standards
from ftlab.evaluation.judge import judge_each, kappa

items = []
for number, one in enumerate(by_run["tuned"].functions):
    source, tests = one.function.source, list(one.tests.values())
    if number % 2 and tests:
        module = Standards().module(tests, one.name).replace("  # confirm", "")
    else:
        module = clean(ask(unit_tests.prompt(source), TUNED))[0]
    items.append((source, module))
truth = [passes(*item) for item in items]
prompt = files.read_data("lessons/judge.yaml")["runs"]
prompts = [prompt.format(input=source, answer=module) for source, module in items]
verdicts = judge_each(client, BASE, prompts, max_tokens=3)
same = sum(said == true for said, true in zip(verdicts, truth))
print(f"{same} of {len(truth)} alike; it said {dict(Counter(verdicts))}")
forty = pandas.read_json(files.data_path("lessons/judged.jsonl"), lines=True)[:40]
large = judge_each(teacher, TEACHER, forty.prompts.str[0])
print(f"kappa: small {kappa(truth, verdicts)}, large {kappa(forty.truth, large)}")

# %% [markdown]
# `None` is a reply that is neither 1 nor 0. A judge that always says the same agrees wherever the
# truth is that, and knows nothing.
#
# Where code can be run, run it, and keep judges for what no program can check, such as whether a test is
# *worth* having.
#
# ## 10. Traces become data
#
# The tuned model goes into service. The service has a name for that, **`live`**: it stands for one model
# at a time, the base at first. Programs ask for `live`, and need no change when another model takes its
# place. (`live` is ours; with a provider you keep such a name in your own settings.)
#
# What users ask and what the model answers are **traces**. They are the best source of new rows, because
# they are what people really ask. With `store=True` the service keeps a completion; keys, addresses and
# the like are blacked out before it does. Below are `USED` functions, half of them of
# families that training never showed.

# %%
put = {"model": TUNED, "note": "the first round"}
in_service = client.post("/models/live", body=put, cast_to=object)
print("live is the tuned model:", in_service["model"] == TUNED)


def asked_for(n, seed):
    """Requests for calls of functions not trained on, each with calls of ours."""
    rows = unit_tests.examples(n, seed=seed, split="test")
    code = [data.prompt(row)[-1]["content"].partition("\n\n")[2] for row in rows]
    ours = ["\n".join(lesson08.calls_in(data.answer(row))) for row in rows]
    return [data.example(calls_prompt(c), calls) for c, calls in zip(code, ours)]


week = asked_for(USED, seed=9)
how = {"model": "live", "store": True, "max_tokens": 100, "temperature": 0}
use = lambda row: client.chat.completions.create(messages=data.prompt(row), **how)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(use, week))
kept = list(client.chat.completions.list(model=TUNED))
print(f"{len(kept)} traces; the first answer:\n{kept[0].choices[0].message.content}")

# %% [markdown]
# Each trace gets a **label**, good or bad, as metadata of the stored completion. A program can
# label calls, since it can run them. For other work a person labels, on the service's page or in a
# table.
#
# **Exercise 08.5.** Label each stored completion of a model: `{"label": "good"}` where
# `is_good(its text)` is true, else `{"label": "bad"}`. Return the list of the updated completions.


# %% tags=["exercise", "nbval-check-output"]
def label(client, model, is_good):
    """Label all stored completions of a model; the updated completions."""
    # solution:
    return [
        client.chat.completions.update(
            one.id,
            metadata={
                "label": "good" if is_good(one.choices[0].message.content) else "bad"
            },
        )
        for one in client.chat.completions.list(model=model)
    ]
    # stub:
    # ...
    # end


check("08.5", label)

# %% [markdown]
# Now our own. `score` is the share of an answer's lines that are *valid calls*: calls of the
# function with values written out, each counted once, that run. An answer is good if that is at
# least three quarters, of at least three lines. A bad one may be **corrected**: the corrected text
# is a row that shows the model its own mistake mended. In a team a person writes it; here the
# course's own calls stand in for one.

# %%
from ftlab.serving import loop


def score(row, text):
    """The share of an answer's lines that are different valid calls."""
    source = data.prompt(row)[-1]["content"].partition("\n\n")[2]
    valid = lesson08.valid_calls(source, text)
    return len(valid) / max(1, len(text.strip().splitlines()))


labels, ours = Counter(), {data.prompt(row)[-1]["content"]: row for row in week}
for trace in loop.traces(client, model=TUNED):
    row, text = ours[trace["messages"][-1]["content"]], trace["answer"]["content"]
    good = score(row, text) >= 0.75 and text.count("\n") >= 2
    better = {} if good else {"correction": data.answer(row)}
    labels["good" if good else "bad"] += 1
    loop.label(client, trace["id"], label="good" if good else "bad", **better)
new_rows = loop.rows_from_traces(client, model=TUNED)
print(dict(labels), "->", len(new_rows), "rows; one of them:")
print(data.answer(new_rows[0]))

# %% [markdown]
# ## 11. The next round, promoted or refused
#
# The **loop**: traces, labels, rows, job, verdict, and again. The new rows alone would teach new
# kinds and might unteach the old (catastrophic forgetting), so old rows are mixed in; this is
# **replay**. The job goes on from the model in service. Then both models answer `HELD_OUT`
# functions that neither has seen, and the new one is **promoted** only if the interval of the
# difference lies above zero.
#
# **Predict.** Promoted, or refused?

# %%
old = [row for row in train if data.meta(row)["form"] == "calls"]
result = loop.next_round(
    client, new_rows, replay=old[:REPLAY], held_out=asked_for(HELD_OUT, seed=10),
    score=score, suffix="tests-2",
    hyperparameters=settings | {"learning_rate_multiplier": 1},
    max_tokens=100, folder=WORK / "loop",
)  # fmt: skip
print(wrap(str(result).replace(TUNED, "round 1").replace(result.model, "round 2")))
claims.record(47, result.comparison.pairs[0].difference)

# %% [markdown]
# If no difference is shown, that is a usual end of a small round, and an honest one. It does not say that
# traces are useless: a dozen rows hold little that is new, and twenty functions show only large
# differences. If the new one is promoted, look at what its rows had that the first ones lacked.
#
# ## 12. Drift, and the way back
#
# **Drift**: what users ask moves away from what the model was trained on. A classifier can watch for it.
# It learns to tell training requests from traced ones: an AUC of 0.5 is chance, and 1 means that it tells
# all of them apart. What drifts goes to a person first, and then into the rows of the next round.
#
# **Predict** the AUC of two weeks. In the first, users ask for calls of functions, as above; in the second
# they want help with web pages.
#
# And if a promoted model turns out badly? The base is untouched, each round is a small adapter beside it,
# and the one before is still there. **Rollback** puts that one into service again: one call.

# %%
learned = [data.prompt(row)[-1]["content"] for row in old]
first_week = [data.prompt(row)[-1]["content"] for row in week]
for name, texts in {"first week": first_week, "second week": words["drifted"]}.items():
    found = loop.drift(learned, texts)
    print(f"{name}: {'drift' if found.shown else 'no drift shown'}, AUC {found.auc}")
names = {BASE: "the base", TUNED: "the first round's model"}
print("in service after a rollback:", names[loop.rollback(client)])

# %% [markdown]
# ## 13. Your turn
#
# Tests for two files of **yours**, in **your** house style. Put the files into `runs/08/mine` (the cell
# writes two small ones where there are none), and write your rules into `standards.md`, one on a line:
# how tests are named, whether they have a docstring, classes or plain functions. Each rule that the agent
# knows becomes a check; the others are given to the model as they are.
#
# Has your repository tests already? They are the best rows that you can get: people of your team wrote
# them, in your style, and they pass. Exercise 08.1 is the function that makes rows of them. The same path
# makes a code reviewer out of your team's review comments: changes in, comments out, some held out.
#
# Under the table stands the check of what lies in `runs/08/tests`: every test keeps every rule that
# can be checked, and every function has one. Read the tests, confirm the values, and delete the
# comments.

# %%
mine = Path("runs/08/mine")
for name, text in words["mine"].items():
    if not (mine / name).exists():
        files.write_text(mine / name, text)
print((mine / "standards.md").read_text())
own = agents.write_tests(
    mine, client=client, model=TUNED, expect="run", standards=mine / "standards.md",
    out="runs/08/tests", answer_tokens=100,
)  # fmt: skip
own.model = "tuned"
show(own.table())
style = agents.read_standards((mine / "standards.md").read_text())
made = [(one.name, test) for one in own.functions for test in one.tests.values()]
broken = [(f, style.broken(ast.parse(test).body[0], f)) for f, test in made]
broken = [f"{name}: {rule}" for name, rules in broken for rule in rules]
without = [one.name for one in own.functions if not one.tests]
unchecked = ", ".join(style.loose) or "none"
print(f"rules broken: {broken or 'none'}; not checked: {unchecked}")
print("functions without a test:", ", ".join(without) or "none")

# %% [markdown]
# ## 14. Ending the service
#
# The service and its worker end, and the cell proves that nothing is left running: the address does not
# answer any more, and the worker's lock is free.

# %%
from filelock import FileLock

service.terminate()
service.wait(120)
service.stdout.close()
log.close()
endpoint.close()
try:
    client.models.list()
except openai.APIConnectionError as error:
    print("the service:", error)
with FileLock(WORK / "service" / "worker.lock", timeout=120):
    print("the worker has ended")

# %% [markdown]
# ## 15. The limits of this lesson
#
# - **One training of each round.** The intervals are over functions. Other seeds give other models.
# - **Eight functions, all small and pure.** Code with files, a network or a clock needs stand-ins, which
#   this agent does not write.
# - **Expected values from running** are confirmed by nobody yet.
# - **A good label by a program** says that calls run, and not that they are the ones a tester would choose.
#   The mutants say more.
# - **The traces are ours**, asked for in one cell. Users would ask for other things.
#
# ## 16. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("08")

# %% [markdown]
# ## 17. Takeaways
#
# 1. **Fine-tuning as an API is five calls**: upload, job, events, model id, ask. Know the number of steps
#    before, and copy names.
# 2. **Divide the work**: let a small model propose, and let programs compute, check and keep. Run every
#    test, and lose none.
# 3. **The loop closes with a verdict**: traces, labels, rows, job; promoted only by the interval, with the
#    way back prepared.
#
# Next: [09 Preferences](09_preferences.ipynb).
# Which of two answers is better, and what does a model learn from that?
