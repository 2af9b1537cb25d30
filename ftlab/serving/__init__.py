"""A fine-tuning service on one's own machine, behind the protocol of OpenAI's client.

store.py          files, jobs, events, models, traces: SQLite, and files by their hash
worker.py         the process that trains
engine.py         many answers at once, from one base and its adapters
chat.py           chat completions
app.py            the routes, with those of jobs.py and traces.py, behind the Guard of protocol.py
page.html         the page at /, which asks these routes
server.py         the service's process
loop.py           from labelled traces to the next model in service; drift.py
gguf.py           a model as one file for llama.cpp
"""
