"""What reading a tokenizer raises."""

from __future__ import annotations


class TokenizerError(Exception):
    """A tokenizer that is missing, broken, of an unknown kind, or not safe to read."""
