"""`rowmill sample`, which says how large its process became: `python -m … JSON`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

from bench.process_size import peak_resident
from worker.bench_process import serve
from worker.cli import app


def main(words: list[str]) -> None:
    def work() -> dict[str, Any]:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            if code := app(words, standalone_mode=False):
                raise SystemExit(code)
        return {"peak_bytes": peak_resident()}

    serve(work)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
