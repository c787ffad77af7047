"""What of a webhook's URL is hopeless already when its job is pushed."""

from __future__ import annotations

from gateway.webhooks.addresses import literal, may_receive
from jobs import GenerateJob, InvalidJobError
from jobs.webhook_url import WebhookUrl


def check_webhook(job: GenerateJob, *, allows_private: bool) -> None:
    """Raises InvalidJobError for a host that is an address which gets no webhooks, or this machine.

    Names are not looked up: what they lead to then is what counts, and the sender checks it.
    """
    if job.webhook_url is None:
        return
    host = WebhookUrl.parse(job.webhook_url).host
    address = literal(host)
    is_local = host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")
    is_bad = address is not None and not may_receive(address, allows_private=allows_private)
    if is_bad or (is_local and not allows_private):
        limit = "one whose host may be reached: no loopback, private or reserved address"
        raise InvalidJobError("webhook_url", f"a URL of {host}", limit)
