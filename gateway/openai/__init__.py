"""OpenAI's API: completions, chat completions and models.

routes.py              the paths
sampling_request.py    what both kinds of request have in common, and how it becomes a job's fields
completion_request.py  /v1/completions: a body becomes what is asked
chat_request.py        /v1/chat/completions: likewise
asked.py               Asked: the jobs, and how their rows are to be told
structure.py           what a row's text has to be
choice.py              a row's deltas become pieces of a choice, with its text
completion_format.py   pieces as OpenAI writes them
chat_format.py         likewise
answer.py              Answer: what goes around choices, whole or streamed
running.py             jobs pushed, awaited, and cancelled where nobody waits any more
respond.py             from a request to its answer
models.py              /v1/models
request_schema.py      requests in the OpenAPI document
examples.py            what the documentation shows

`read_completion` and `read_chat` make an Asked of a body, and an Answer makes a body of its jobs'
rows: all of that without a server or a queue.
"""
