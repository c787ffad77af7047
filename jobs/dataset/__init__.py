"""Offline sampling of a dataset. Needs pyarrow (the extra `dataset`), and no torch.

errors.py      everything raised on purpose
source.py      Source: files as one sequence of lines, with jsonl_file.py and parquet_file.py
record.py      a line's fields
inputs.py      InputReader: a line as an Input, or why it is a BadLine
request.py     what a line asks for, with batch_line.py for OpenAI's batch format
prompt.py      a prompt as tokens
seeds.py       the seed of an input
survey.py      what the files hold, before any job is pushed, with file_facts.py
probe.py       whether a file is what was meant
seen_ids.py    IDs that come twice
"""
