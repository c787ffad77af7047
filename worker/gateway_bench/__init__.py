"""What the gateway costs beside the client alone, and whether it bears many streams.

config.py           how much is measured
run.py              the whole bench, in parts:
latency.py          a small completion by the client, and by HTTP
streams.py          many streaming requests at once, with load_process.py
gateway_process.py  the gateway, in a process of its own
http_call.py        one request, as plain HTTP
report.py           what was found; table.py shows it
"""
