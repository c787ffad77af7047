"""Gateway: the queue by HTTP, for services in any language. Knows jobs, and neither engine nor
worker.

config.py     GatewayConfig
app.py        create_app: the ASGI application
serving.py    serve: the application on an address, with shutdown.py and connection_limits.py
request_log.py, allowed_hosts.py, body_limit.py: what sees a request before its route does
services.py   Services: what all requests share, with server.py and known_workers.py
submission.py how requests become jobs, checked by model_limits.py
caller.py     Caller: who asks
errors.py     errors in OpenAI's shape, with answers.py and error_docs.py
event_stream.py EventStream: server-sent events; attended.py: other answers that take time
json_body.py  bodies that routes check themselves
openapi.py    the OpenAPI document
health.py     /healthz, /readyz
metrics.py    what is counted for Prometheus, with request_meter.py and metrics_server.py
access/       API keys and quotas, with lua/
openai/       /v1/completions, /v1/chat/completions, /v1/models
native/       /v1/jobs
batches/      /v1/files, /v1/batches
webhooks/     the process that tells services of jobs that ended
overview.py   /overview: what a caller may see of queue and workers, with glances.py and fresh.py
page/         the web page: files that ask the routes above
"""

from gateway.app import create_app
from gateway.config import GatewayConfig

__all__ = ["GatewayConfig", "create_app"]
