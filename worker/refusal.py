"""Whether a server's refusal is for ever."""

from __future__ import annotations

import redis


def is_for_ever(error: Exception) -> bool:
    """Whether the server would refuse this ever again, for what it is.

    Codes such as OOM, MISCONF, NOREPLICAS or READONLY, and denied permissions, tell of a server
    that may take it later; the library has classes of their own for some of them.
    """
    code = str(error).split(" ", 1)[0]
    return type(error) is redis.ResponseError and (code == "WRONGTYPE" or not code.isupper())
