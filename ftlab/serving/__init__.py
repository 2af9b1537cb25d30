"""A fine-tuning service on one's own machine, behind the protocol of OpenAI's client.

store.py          files, jobs, events, models, traces: SQLite, and files by their hash
uploads.py        what is uploaded is examined first
worker.py         the process that trains
engine.py         many answers at once, from one base and its adapters
chat.py           chat completions; chat_request.py, what they are asked for with
app.py            the routes, with those of jobs.py and traces.py, behind the Guard of protocol.py
page.py           the page at /

loop.py           from labelled traces to the next model in service; reviews.py, drift.py
"""
