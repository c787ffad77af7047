"""Prompts that begin alike and prompts that do not, with the prefix cache and without."""

from __future__ import annotations

from bench.config import BenchConfig
from bench.model import bench_model
from bench.prefixes import measure_prefixes


def test_the_cache_has_what_prompts_of_one_turn_share_and_nothing_of_other_turns() -> None:
    progress: list[str] = []
    config = BenchConfig(repeats=2, is_quick=True)
    figures = measure_prefixes(bench_model(config), config, progress.append)
    counts = {kind: (its.computed_tokens, its.found_tokens) for kind, its in figures.items()}
    assert counts == {"shared": (512 + 3 * 32, 2 * 512), "unique": (3 * 544, 0)}
    for figure in figures.values():
        assert len(figure.on) == len(figure.off) == 2
        assert min(figure.on + figure.off) > 0
    assert len(progress) == len(set(progress)) == 3 * 2 * 2
    sides = [line.split(", ")[1] for line in progress if "unique" in line]
    assert sides == ["on", "off", "off", "on", "on", "off"], "which goes first alternates"
