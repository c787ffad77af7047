"""By how many bytes a process grows at most; run as a program, reading a file's lines.

`python -m tests.jobs.dataset.growth SMALL BIG` prints the number of lines of BIG, and by how much
reading them made the process grow beyond what SMALL, a file of the same kind, had already made it.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from jobs.dataset.source import Source


def peak_bytes() -> int:
    """The size of this process at its largest so far."""
    # Not getrusage where there is another way: on Linux its peak includes that of the process
    # which started this one.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def num_lines(path: str) -> int:
    with Source([path], ["prompt"], max_line_bytes=2**20).lines() as lines:
        return sum(1 for _ in lines)


if __name__ == "__main__":
    small, big = sys.argv[1:]
    num_lines(small)
    before = peak_bytes()
    print(num_lines(big), peak_bytes() - before)
