"""Offline sampling of a dataset. Needs pyarrow (the extra `dataset`), and no torch.

errors.py        everything raised on purpose
source.py        Source: files as one sequence of lines, with jsonl_file.py and parquet_file.py
record.py        a line's fields
inputs.py        InputReader: a line as an Input, or why it is a BadLine
prompt.py        a prompt as tokens
batch_line.py    lines of OpenAI's batch format
seeds.py         the seed of an input
survey.py        what the files hold, before any job is pushed, with duplicates.py
"""
