"""The headers of the Standard Webhooks scheme: who sent it, when, and which event it is."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence


def signed_headers(
    secrets: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """With a signature for each secret, so that a receiver may know the old one or the new one.

    `timestamp` is the attempt's, in whole seconds. See https://www.standardwebhooks.com, version 1:
    HMAC with SHA-256 of ID, timestamp and body with dots between.
    """
    content = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = (b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
