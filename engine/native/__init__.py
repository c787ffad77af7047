"""The CPU kernels: C++ beside this file, built when Rowmill is installed.

They serve float32 on a CPU. Where there was no compiler they are missing, and torch's own
operations serve instead: slower, and with other bits, which the engine's provenance tells.
"""

from engine.native.library import Library, kernels_for

__all__ = ["Library", "kernels_for"]
