"""What can go wrong in a bench.

BenchError            a peer failed
└── BenchConfigError  the bench can't run as asked
"""

from __future__ import annotations


class BenchError(Exception):
    """Base of all that a bench raises."""


class BenchConfigError(BenchError):
    """A setting that can't be used; the message names it and what can."""
