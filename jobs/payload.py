"""A job's payload: RQ's `data` field, read within limits."""

import zlib

from jobs.errors import InvalidJobError, WireError, brief
from jobs.function import FUNCTION_NAME
from jobs.generate_job import GenerateJob
from jobs.wire import read_call


def read_job(payload: bytes, max_payload_bytes: int) -> GenerateJob:
    """The job in a payload of at most so many bytes, as it comes and inflated.

    Raises WireError for a payload that is not Rowmill's format, or is larger and then not read
    further, InvalidJobError for a job that is not for us or has a bad field.
    """
    call = read_call(_inflated(payload, max_payload_bytes))
    if not isinstance(call, list | tuple) or len(call) != 4:
        raise WireError("the payload is not a call of four parts")
    function, instance, args, kwargs = call
    if function == FUNCTION_NAME and args:
        raise InvalidJobError("args", brief(args), "empty: a job's fields are keyword arguments")
    if function != FUNCTION_NAME or instance is not None:
        raise InvalidJobError(
            "function", brief(function), f"{FUNCTION_NAME!r} with keyword arguments only"
        )
    return GenerateJob.parse(kwargs)


def _inflated(payload: bytes, max_bytes: int) -> bytes:
    if not payload:
        raise WireError("the payload is empty or missing")
    if len(payload) > max_bytes:
        raise WireError(f"the payload has {len(payload)} bytes, of at most {max_bytes}")
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(payload, max_bytes + 1)
    except zlib.error:
        return payload  # RQ also reads what is not compressed
    if len(data) > max_bytes:
        raise WireError(f"the payload inflates to more than {max_bytes} bytes")
    if not inflater.eof or inflater.unused_data:
        raise WireError("the payload is not exactly one zlib stream")
    return data
