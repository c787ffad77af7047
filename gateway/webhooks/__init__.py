"""Webhooks: the process that tells services of jobs that ended.

config.py          WebhooksConfig
run_webhooks.py    the process
dispatcher.py      Dispatcher: the loop
outbox.py          Outbox: what is to be sent, in the server
event.py           Event: what is told
signature.py       how it is signed
secrets_file.py    SecretsFile: what it is signed with
poster.py          Poster: one request
guarded_network.py GuardedNetwork: connections to checked addresses only
addresses.py       which these are
host_line.py       HostLine: who waits for one host
back_off.py        BackOff: when it is tried again
counters.py        WebhookCounters
webhook_metrics.py these for Prometheus
"""

from gateway.webhooks.config import WebhooksConfig, WebhooksConfigError
from gateway.webhooks.counters import WebhookCounters
from gateway.webhooks.run_webhooks import run_webhooks
from gateway.webhooks.secrets_file import SecretsFile
from gateway.webhooks.webhook_metrics import webhook_registry

__all__ = [
    "SecretsFile",
    "WebhookCounters",
    "WebhooksConfig",
    "WebhooksConfigError",
    "run_webhooks",
    "webhook_registry",
]
