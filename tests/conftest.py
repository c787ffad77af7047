"""What all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

import engine  # noqa: F401  (before any test imports torch: it prepares torch's environment)

# No test asserts a time, and a loaded machine is no failure.
settings.register_profile(
    "rowmill", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("rowmill")
