"""The CPU kernels: C++ beside this file, built when Rowmill is installed.

They serve float32 on a CPU. Where there was no compiler they are missing, and torch's own
operations serve instead: slower, and with other bits, which the engine's provenance tells. The
environment variable ROWMILL_KERNELS chooses: "torch" to do without them, "native" to insist.
"""

from engine.native.library import HOW_TO_BUILD, Library, are_missing, kernels_for

__all__ = ["HOW_TO_BUILD", "Library", "are_missing", "kernels_for"]
