"""A measurement in a process of its own: `python -m MODULE JSON`, which prints JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.config import BenchConfig
from bench.errors import BenchError


def run_fresh(
    module: str, config: BenchConfig, variables: dict[str, str] | None = None, **fields: Any
) -> Any:
    """What `module` prints, given `fields` and the settings of `config` that a measurement needs.

    `variables` are set in its environment, beside those of this process. Raises BenchError where
    it fails.
    """
    settings = {
        "device": config.device,
        "dtype": config.dtype,
        "num_threads": config.num_threads,
        "is_quick": config.is_quick,
    }
    # By the program `env`, as the environment is not read here.
    environment = [f"{name}={value}" for name, value in (variables or {}).items()]
    command = ["env", *environment, sys.executable, "-m", module, json.dumps(settings | fields)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode != 0:
        raise BenchError(f"{module} failed: {process.stderr.strip()}")
    return json.loads(process.stdout)
