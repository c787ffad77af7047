"""The package is light, and exports what it says."""

import subprocess
import sys

import jobs


def test_importing_jobs_loads_no_torch_and_no_numpy() -> None:
    script = "import sys, jobs; print(*{'torch', 'numpy', 'engine', 'worker'} & sys.modules.keys())"
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == []


def test_exports_are_sorted_and_exist() -> None:
    assert all(hasattr(jobs, name) for name in jobs.__all__)
    constants = [name for name in jobs.__all__ if name.isupper()]
    classes = [name for name in jobs.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in jobs.__all__ if name[0].islower()]
    assert jobs.__all__ == sorted(constants) + sorted(classes) + sorted(functions)
