"""What `rowmill sample` costs beside the engine, and how much memory it takes.

config.py           how much is measured
run.py              the whole bench, in parts:
throughput.py       tokens/s of the command next to the bare engine's
memory.py           peaks of the command and of the server, with server_memory.py
report.py           what was found; table.py shows it
workload.py         the requests that both get
sampler.py          one run of the command, in a process of its own: sampler_process.py
bare_process.py     the bare engine, in one too
"""
