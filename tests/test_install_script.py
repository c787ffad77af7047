"""What brings the tests' programs never fails an install, and touches nothing that is there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts/install_test_programs.sh"


def programs(folder: Path, **bodies: str) -> Path:
    """A folder with these programs and the shell's own, and nothing else."""
    for name in ("sh", "rm", "chmod"):
        (folder / name).symlink_to(f"/bin/{name}")
    for name, body in bodies.items():
        file = folder / name.replace("_", "-")
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
    return folder


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)],
        env={
            "PATH": str(folder),
            "CALLS": str(folder / "calls"),
            "POLICY_RC_D": str(folder / "policy"),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


ALL = {"prometheus": "", "promtool": "", "chromium": ""}
APT = {"apt_get": 'echo "$*" >> "$CALLS"'}


def test_where_all_is_there_nothing_is_done_or_said(tmp_path: Path) -> None:
    result = run(programs(tmp_path, **ALL, **APT, id="echo 0"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"id": "echo 0"}, "there is no apt-get"),
        ({"id": "echo 1000", **APT}, "as root: apt-get install"),
    ],
)
def test_who_can_t_install_is_told_what_is_missing(
    tmp_path: Path, others: dict[str, str], reason: str
) -> None:
    result = run(programs(tmp_path, chromium="", **others))
    assert result.returncode == 0
    assert "prometheus" in result.stderr and "chromium" not in result.stderr
    assert reason in result.stderr
    assert not (tmp_path / "calls").exists()


def test_an_install_that_fails_fails_nobody(tmp_path: Path) -> None:
    result = run(programs(tmp_path, id="echo 0", apt_get="exit 100"))
    assert result.returncode == 0
    assert "apt-get failed" in result.stderr and "chromium" in result.stderr
    assert not (tmp_path / "policy").exists()


def test_only_what_is_missing_is_installed_and_no_service_is_started_for_it(tmp_path: Path) -> None:
    apt = 'echo "$*" >> "$CALLS"; "$POLICY_RC_D" || echo "denied $?" >> "$CALLS"'
    result = run(programs(tmp_path, id="echo 0", chromium="", apt_get=apt))
    assert result.returncode == 0
    assert (tmp_path / "calls").read_text().splitlines() == [
        "update -q",
        "denied 101",
        "install -q --yes --no-install-recommends prometheus",
        "denied 101",
    ]
    assert not (tmp_path / "policy").exists()


def test_a_policy_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("somebody's own")
    assert run(programs(tmp_path, id="echo 0", **APT)).returncode == 0
    assert (tmp_path / "policy").read_text() == "somebody's own"
