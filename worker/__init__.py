"""Rowmill's worker: the engine behind the queue, and the command line.

ledger.py        claims, leases and outcomes in the server, with lua/
batch_worker.py  the worker's loop, with claimer.py, claims.py, finalizer.py and translate.py
streams.py       jobs that tell their tokens as they come, with stream_publisher.py
metrics/         counts for Prometheus, and whether the worker is well
config.py        settings, and the environment
embedded.py      a Valkey server of our own, with server_keeper.py, server_process.py and
                 server_lock.py: its keeper's process
local_workers.py worker processes on this machine
local_fleet.py   the two together
queue_bench/     what the queue costs, next to RQ's own worker
sample_bench/    what `rowmill sample` costs, next to the bare engine; both with bench_process.py
                 and bench_table.py
demo.py          questions through the queue, with arithmetic.py
cli.py           the command line
"""
