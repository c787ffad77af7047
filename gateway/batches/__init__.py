"""Files and batches: OpenAI's /v1/files and /v1/batches, on the disk.

limits.py        BatchLimits: what callers may have
desk.py          Desk: what the routes share, and what runs behind them

file_routes.py   /v1/files, with upload.py for what comes and dependencies.py
file_store.py    FileStore: the files, each a StoredFile (stored_file.py), with expires_after.py
batch_routes.py  /v1/batches
batch_store.py   BatchStore: the batches, each a Batch (batch.py)
tenant_folder.py where a caller's lie
identifiers.py   what they are called
disk.py          what callers are told where it is full
paging.py        how they are listed
examples.py      what the documentation shows

runner.py        Runner: the threads
turn.py          Turn: one process's work at a batch
validation.py    what is wrong with an input file, by its input_lines.py
endpoint.py      Endpoint: a line as what its route is asked, and rows as what it answers
requests.py      Requests: all lines as that
refusal.py       Refusals: requests that no worker can run
sampling.py      the jobs through the queue, as a dataset's, with counts.py
results.py       Results: the journal of their rows
answers.py       output and error files
"""
