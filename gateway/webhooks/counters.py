"""WebhookCounters: what a sender has done, for who measures it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(slots=True, kw_only=True)
class WebhookCounters:
    """Only the dispatcher changes it, on its event loop; reading needs no lock."""

    num_sent: int = 0
    num_failed_attempts: int = 0
    """Given-up ones included."""
    num_given_up: int = 0
    num_due: int = 0
    """How many were due at the last look: what all senders have yet to do."""
    num_in_hands: int = 0
    """Claimed by this sender, and under way."""
