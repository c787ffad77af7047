"""A worker whose model takes the process down on a prompt: `poisoned_worker URL QUEUE`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import torch

import engine  # noqa: F401  (before torch, whose environment it prepares)
from engine import Engine, EngineConfig
from engine.models import load_model
from jobs.connection import open_connection
from worker.batch_worker import BatchWorker
from worker.config import WorkerConfig

POISON = [0] * 40


def die_of_poison(model: torch.nn.Module, args: tuple[Any, ...]) -> None:
    """As by a kernel that reads where it must not: the whole process goes."""
    if int((args[0] == 0).sum()) >= len(POISON):
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    url, queue = sys.argv[1:]
    torch.set_num_threads(1)
    model, tokenizer = load_model("demo")
    config = EngineConfig(max_rows=64)
    running = Engine(model, tokenizer, config)
    model.register_forward_pre_hook(die_of_poison)  # not before the engine has tried the model
    with open_connection(url) as connection:
        worker = WorkerConfig(model="demo", redis_url=url, engine=config, queues=(queue,), lease=1)
        BatchWorker(running, connection, worker).work()


if __name__ == "__main__":
    main()
