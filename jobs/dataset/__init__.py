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
config.py      SamplingConfig: what decides rows and bytes, with selection.py
manifest.py    Manifest: what a folder was made from
folder.py      OutFolder: where the files lie, with placing.py and failures_file.py
part.py        Parquet parts: rows to bytes and back
journal.py     results of parts that are not whole yet
render.py      rows as text
open_part.py   a part and its journal, until it is whole
parts.py       all parts of a folder
missing.py     which rows are missing
flow.py        jobs on their way, with patience.py for a server that goes away
session.py     one process's turn, into a Store; with progress.py and tolerance.py
run.py         SamplingRun
stats.py       stats.json
"""

from jobs.dataset.config import SamplingConfig
from jobs.dataset.errors import (
    ConfigDiffersError,
    DatasetError,
    FolderError,
    InputFileError,
    ModelDiffersError,
    StorageError,
    TooManyFailuresError,
)
from jobs.dataset.failure import Failure
from jobs.dataset.progress import Progress
from jobs.dataset.run import SamplingRun
from jobs.dataset.session import InputResult
from jobs.dataset.survey import Survey
from jobs.dataset.tolerance import Tolerance

__all__ = [
    "ConfigDiffersError",
    "DatasetError",
    "Failure",
    "FolderError",
    "InputFileError",
    "InputResult",
    "ModelDiffersError",
    "Progress",
    "SamplingConfig",
    "SamplingRun",
    "StorageError",
    "Survey",
    "Tolerance",
    "TooManyFailuresError",
]
