"""What the queue costs beside the engine, next to RQ's own worker on the same server.

config.py          how much is measured
run.py             the whole bench, in parts:
throughput.py      jobs/s from the queue to stored results, with turn.py
latency.py         from submit to result on an idle worker
claim_time.py      a claim of 64, whatever waits behind them
report.py          what was found; table.py shows it
system.py          what is measured: rowmill_system.py and rq_system.py, each with its worker's
                   process, rowmill_process.py and rq_process.py
free_engine.py     an engine that costs nothing
payload.py         the job and the row that all of them move
server_counts.py   commands and bytes, as the server counts them
server_time.py     the clock of all processes
leftovers.py       tidies the server up
"""
