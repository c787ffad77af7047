"""All that a worker imports on its way to its first job; only the fork server imports this."""

from __future__ import annotations

import engine  # noqa: F401  (before torch: it prepares torch's environment)

# isort: split
import torch

import worker.run_worker  # noqa: F401
from engine.models import load_model

torch.set_num_threads(1)  # a pool of threads would not live on in a fork
load_model("demo")  # the first one imports half of torch
