"""From settings to a running worker: the composition root."""

from __future__ import annotations

import engine  # first: sets MKL's mode before torch is imported  # noqa: I001

import logging

import redis
import torch
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine import Engine
from engine.models import load_model
from jobs.connection import open_connection
from worker.batch_worker import BatchWorker
from worker.config import WorkerConfig

log = logging.getLogger("rowmill.worker")
