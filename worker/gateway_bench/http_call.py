"""One request to the gateway as plain HTTP: no client library's time is measured with it."""

from __future__ import annotations

import http.client
import json
from typing import Any

from bench.errors import BenchError

COMPLETIONS = "/v1/completions"


class HttpCaller:
    """Keeps its connection, as services do."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(self, path: str) -> int:
        """The status; 0 where nothing answers."""
        try:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0
        return answer.status

    def complete(self, **fields: Any) -> dict[str, Any]:
        """The body of a completion. Raises BenchError for another answer."""
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", COMPLETIONS, json.dumps(fields), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise BenchError(f"the gateway answered {answer.status}: {text.decode()[:200]}")
        body: dict[str, Any] = json.loads(text)
        return body

    def close(self) -> None:
        self._connection.close()
