"""Jobs: what producers and workers agree on, and the client of the queue. Imports no torch.

errors.py        everything raised on purpose
generate_job.py  GenerateJob: a prompt and how to sample from it, with sampling_fields.py
field_limits.py  fields with limits, and errors that tell them
sampled_rows.py  SampledRows: what comes back
provenance.py    Provenance: what is needed to repeat it
names.py         which names jobs and queues may have
job_status.py    where a job stands, with job_info.py
job_life.py      JobLife: how it came there, with life_event.py and life_phase.py
job_options.py   timeouts, lifetimes, attempts
model_card.py    ModelCard: what a worker can run
wire.py          both as bytes, with packed_*.py, columns.py, *_array.py and little_endian.py
payload.py       a job's bytes as they lie in the server
server_call.py   what is asked of the server, as data
rq_queue.py      jobs in RQ's layout, with scripts.py, lua/ and sighting.py
waiting.py       waiting for many jobs at once
streaming.py     reading rows while they are sampled, with row_stream.py
overview.py      Overview: queues, workers and failures, with overview_reading.py
field_reading.py what others wrote into fields of the server, with short_fields.py
operations.py    all that clients do, but for making calls
server_url.py    the server's URL
connection.py    the connection's timeouts and errors
client.py        Client: submit, result, stream, status, cancel; with blocking_server.py
async_client.py  AsyncClient: the same for asyncio, with async_server.py
client_options.py what both can be told
row_delta.py     RowDelta: what a stream tells of a row
function.py      the function name that jobs carry
"""

from jobs.async_client import AsyncClient
from jobs.client import Client
from jobs.errors import (
    InvalidJobError,
    JobCancelledError,
    JobExistsError,
    JobFailedError,
    JobNotFoundError,
    JobsError,
    LoginRefusedError,
    PermissionDeniedError,
    QueueFullError,
    ResultTimeoutError,
    ServerUnavailableError,
    StreamDivergedError,
    WireError,
)
from jobs.function import FUNCTION_NAME, generate
from jobs.generate_job import GenerateJob
from jobs.job_info import JobInfo
from jobs.job_life import JobLife
from jobs.job_options import JobOptions
from jobs.job_status import JobStatus
from jobs.life_event import LifeEvent, LifeEventKind
from jobs.life_phase import LifePhase
from jobs.model_card import ModelCard
from jobs.overview import FailureView, Overview, QueueView, WorkerView
from jobs.provenance import Provenance
from jobs.row_delta import RowDelta
from jobs.sampled_rows import Row, SampledRows
from jobs.wire import WIRE_VERSION, MsgpackSerializer

__all__ = [
    "FUNCTION_NAME",
    "WIRE_VERSION",
    "AsyncClient",
    "Client",
    "FailureView",
    "GenerateJob",
    "InvalidJobError",
    "JobCancelledError",
    "JobExistsError",
    "JobFailedError",
    "JobInfo",
    "JobLife",
    "JobNotFoundError",
    "JobOptions",
    "JobStatus",
    "JobsError",
    "LifeEvent",
    "LifeEventKind",
    "LifePhase",
    "LoginRefusedError",
    "ModelCard",
    "MsgpackSerializer",
    "Overview",
    "PermissionDeniedError",
    "Provenance",
    "QueueFullError",
    "QueueView",
    "ResultTimeoutError",
    "Row",
    "RowDelta",
    "SampledRows",
    "ServerUnavailableError",
    "StreamDivergedError",
    "WireError",
    "WorkerView",
    "generate",
]
