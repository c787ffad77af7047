"""What the environment says, and what torch's libraries have to find in it. Imported before torch.

A value that is set already is left alone.
"""

from __future__ import annotations

import os

# For torch's way, where MKL does the products: bits that do not depend on the path that it takes,
# see invariance.py. The native kernels do without.
MKL_CBWR = os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
"""What MKL finds at its first product, unless that was before this import; see mkl.py."""

KERNELS = os.environ.get("ROWMILL_KERNELS", "")
"""Which way float32 is computed on a CPU, where that is not left to what was built; see native."""

# OpenMP threads that wait for each other spin only briefly, then sleep: with anything else running
# on the machine, libgomp's long spins made steps 60 times slower (docs/performance.md).
os.environ.setdefault("GOMP_SPINCOUNT", "4000")
