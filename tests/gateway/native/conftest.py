"""A gateway that asks for keys, in front of a real worker's queue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from gateway import GatewayConfig, create_app
from gateway.access.api_key import hash_of, new_key
from tests.gateway.conftest import SERVED
from tests.integration.conftest import WorkerProcess


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {name: new_key() for name in ("acme", "other", "poor")}


@pytest.fixture(scope="module")
def api(
    url: str, worker: WorkerProcess, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """As the tenant acme."""
    path: Path = tmp_path_factory.mktemp("keys") / "keys.toml"
    lines = []
    for name, key in keys.items():
        lines += ["[[keys]]", f'name = "{name}"', f'sha256 = "{hash_of(key)}"']
        lines += ["rows_per_minute = 3", "tokens_per_minute = 100"] if name == "poor" else []
    path.write_text("\n".join(lines))
    config = GatewayConfig(redis_url=url, queue=SERVED, model="demo", keys_file=path)
    with TestClient(create_app(config), headers=bearer(keys["acme"])) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
