"""rediss:// with an authority of one's own: the rows come through, and nobody else is trusted.

The embedded server has no TLS, so a proxy stands before it, as before many servers in production.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from jobs import Client, GenerateJob, SampledRows, ServerUnavailableError
from jobs.errors import InvalidJobError
from tests.integration.conftest import WorkerProcess
from tests.integration.job_mixes import mixed_jobs
from tests.tls_proxy import tls_proxy


@dataclass(frozen=True)
class Tls:
    """A server behind TLS, and what a client needs for it."""

    port: int
    authority: Path
    certificate: Path
    """Of a client, with its key."""

    def url(self, *, host: str = "localhost", **options: object) -> str:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"rediss://{host}:{self.port}/0?{query}"


def _context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def _files(authority: trustme.CA, folder: Path) -> tuple[Path, Path]:
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("client@localhost").private_key_and_cert_chain_pem.write_to_path(
        folder / "client.pem"
    )
    return folder / "ca.pem", folder / "client.pem"


@pytest.fixture
def tls(url: str, tmp_path: Path) -> Iterator[Tls]:
    authority = trustme.CA()
    with tls_proxy(url.removeprefix("unix://"), _context(authority)) as port:
        yield Tls(port, *_files(authority, tmp_path))


@pytest.fixture
def mutual_tls(url: str, tmp_path: Path) -> Iterator[Tls]:
    """The server wants a certificate of the client, too."""
    authority = trustme.CA()
    context = _context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    with tls_proxy(url.removeprefix("unix://"), context) as port:
        yield Tls(port, *_files(authority, tmp_path))


def test_client_and_worker_reach_the_server_with_their_authority(
    tls: Tls, queue: str, tmp_path: Path, expected: Callable[[GenerateJob], SampledRows]
) -> None:
    url = tls.url(ssl_ca_certs=tls.authority)
    worker = WorkerProcess(url, queue, tmp_path / "log", [])
    try:
        worker.wait_until_ready()
        assert f"at localhost:{tls.port} (TLS)" in worker.log
        with Client(url, queue) as client:
            jobs = mixed_jobs(5)
            job_ids = client.submit_many(jobs)
            rows = [client.result(job_id, timeout=60).rows for job_id in job_ids]
        assert rows == [expected(job).rows for job in jobs]
        worker.process.terminate()
        assert worker.process.wait(60) == 0, worker.log
    finally:
        worker.process.kill()
        worker.process.wait()


def test_a_client_certificate_opens_a_server_that_wants_one(mutual_tls: Tls, queue: str) -> None:
    with_it = {"ssl_certfile": mutual_tls.certificate, "ssl_keyfile": mutual_tls.certificate}
    url = mutual_tls.url(ssl_ca_certs=mutual_tls.authority, **with_it)
    with Client(url, queue) as client:
        client.submit(prompt_tokens=[1])

    without = mutual_tls.url(ssl_ca_certs=mutual_tls.authority)
    with Client(without, queue) as client, pytest.raises(ServerUnavailableError):
        client.submit(prompt_tokens=[1])


def _refusal(url: str) -> str:
    with Client(url) as client, pytest.raises(ServerUnavailableError) as caught:
        client.status("a")
    return str(caught.value)


def test_a_server_of_an_unknown_authority_is_refused_and_the_reason_told(
    tls: Tls, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    for url in (tls.url(), tls.url(ssl_ca_certs=other)):
        assert "certificate verify failed" in _refusal(url)
    assert "mismatch" in _refusal(tls.url(host="127.0.0.1", ssl_ca_certs=tls.authority))


def test_a_server_that_talks_tls_is_not_reached_without_it(tls: Tls) -> None:
    refusal = _refusal(f"redis://localhost:{tls.port}")
    assert f"localhost:{tls.port} is not available" in refusal


def test_an_authority_s_file_that_is_missing_or_holds_none_is_told(
    tls: Tls, tmp_path: Path
) -> None:
    with pytest.raises(InvalidJobError, match="ssl_ca_certs"):
        Client(f"rediss://localhost?ssl_ca_certs={tmp_path / 'none.pem'}")
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    assert "NO_CERTIFICATE" in _refusal(tls.url(ssl_ca_certs=empty))
