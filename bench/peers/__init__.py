"""The engines that are measured, a file each."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from bench.model import BenchModel
from bench.names import FLOOR, GENERATE, ROWMILL, SEQUENTIAL, TRANSFORMERS
from bench.peers.floor import Floor
from bench.peers.peer import Peer
from bench.peers.rowmill import Rowmill
from bench.peers.sequential import Sequential


def what_is_missing(name: str) -> str | None:
    """Why a peer can't run here; None where it can."""
    if name in TRANSFORMERS and find_spec("transformers") is None:
        return "transformers is not installed: pip install 'rowmill[hf]'"
    return None


def new_peer(name: str, model: BenchModel) -> Peer:
    """A peer with a model of its own. Raises KeyError for an unknown name."""
    if name in TRANSFORMERS:
        return _transformers_peer(name, model)
    peers: dict[str, Callable[[BenchModel], Peer]] = {
        ROWMILL: Rowmill,
        SEQUENTIAL: Sequential,
        FLOOR: Floor,
    }
    return peers[name](model)


def _transformers_peer(name: str, model: BenchModel) -> Peer:
    # transformers takes seconds to import, and need not be there.
    from bench.peers.transformers_generate import TransformersGenerate
    from bench.peers.transformers_generate_batch import TransformersGenerateBatch

    return TransformersGenerate(model) if name == GENERATE else TransformersGenerateBatch(model)
