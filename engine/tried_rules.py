"""The ways of a model's layers to attend that the probe tries, each once."""

from __future__ import annotations

import dataclasses

from engine.models.packed import AttentionRule, ModelShape

_MOST_WINDOW = 50
"""Of a trial, whose sequences are so short that a wider window would hide nothing."""


def tried_rules(shape: ModelShape) -> list[tuple[str, AttentionRule]]:
    """Each with what tells of it in a trial's name."""
    rules = dict.fromkeys(
        dataclasses.replace(rule, window=min(rule.window, _MOST_WINDOW)) if rule.window else rule
        for rule in shape.rules
    )
    return [(_label(rule), rule) for rule in rules]


def _label(rule: AttentionRule) -> str:
    window = "" if rule.window is None else " under a window"
    return window + ("" if rule.softcap is None else " with capped scores")
