"""What a worker tells of itself: counts for Prometheus, and whether it is well.

meter.py       what is counted, with buckets.py
waiting.py     what waits in the queues, with lua/waiting.lua
health.py      whether the worker is alive and ready
families.py    the counts as Prometheus reads them
server.py      /metrics, /healthz and /readyz
"""
