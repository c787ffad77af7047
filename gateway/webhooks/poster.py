"""Poster: one request to a stranger's server, and what it answered."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import ssl
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

import httpcore2

from gateway.webhooks.config import WebhooksConfig, WebhooksConfigError
from gateway.webhooks.guarded_network import ForbiddenAddressError, GuardedNetwork
from jobs.webhook_url import WebhookUrl

_MOST_OF_BODY = 16_384
"""Bytes of an answer that are read, and thrown away: less, and its sender might see an error."""
_BODY_SECONDS = 1.0

_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    OSError,
    TimeoutError,
    ValueError,  # a name that TLS can't ask for
)


class Answer(NamedTuple):
    status: int
    retry_after: float | None
    """Seconds."""


class NoAnswerError(Exception):
    """No answer came; the text says why, and holds nothing of the URL but its host."""


class ForbiddenHostError(Exception):
    """The host may not get webhooks, so nothing was sent."""


class Poster:
    """Sends over a connection of its own each time, so no request depends on one before it.

    Redirects are answers like others, and no proxy is used, whatever the environment says.
    """

    def __init__(self, config: WebhooksConfig, network: GuardedNetwork) -> None:
        """Raises WebhooksConfigError where the authorities' file can't be read."""
        self._allowed_hosts = tuple(pattern.lower() for pattern in config.allowed_hosts)
        self._timeout = config.timeout
        its = config.timeout
        self._timeouts = {"connect": config.connect_timeout, "read": its, "write": its}
        self._network = network
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_tls(config),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=network,
        )

    async def post(self, url: WebhookUrl, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises NoAnswerError or ForbiddenHostError."""
        host = url.host.rstrip(".")
        if self._allowed_hosts and not any(fnmatchcase(host, its) for its in self._allowed_hosts):
            raise ForbiddenHostError(f"{host} is none of the allowed hosts")
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(url, headers, body)
        except ForbiddenAddressError as error:
            raise ForbiddenHostError(f"{host} has no address that may get webhooks") from error
        except _FAILURES as error:
            raise NoAnswerError(_reason(error)) from error

    async def _post(self, url: WebhookUrl, headers: Mapping[str, str], body: bytes) -> Answer:
        sent = {
            "Host": url.authority,
            "Content-Type": "application/json",
            "User-Agent": "rowmill",
            "Accept": "*/*",
            "Connection": "close",
            **headers,
        }
        place = httpcore2.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        async with self._pool.stream(
            "POST",
            place,
            headers=[*sent.items()],
            content=body,
            extensions={"timeout": self._timeouts},
        ) as response:
            answer = Answer(response.status, _retry_after(dict(response.headers)))
            with contextlib.suppress(*_FAILURES):
                await _read_a_bit(response)
        return answer

    async def close(self) -> None:
        await self._pool.aclose()
        self._network.close()


async def _read_a_bit(response: httpcore2.Response) -> None:
    num_bytes = 0
    async with asyncio.timeout(_BODY_SECONDS):
        async for chunk in response.aiter_stream():
            num_bytes += len(chunk)
            if num_bytes > _MOST_OF_BODY:
                break


def _retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds from a number or a date, whichever stands there."""
    lowered = {name.lower(): value for name, value in headers.items()}
    text = lowered.get(b"retry-after", b"").decode("latin-1").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


def _tls(config: WebhooksConfig) -> ssl.SSLContext:
    if config.ca_file is None:
        return httpcore2.default_ssl_context()
    try:
        return ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise WebhooksConfigError(f"ca_file: {config.ca_file} can't be read: {error}") from error


def _reason(error: Exception) -> str:
    """Without what the other side wrote."""
    match error:
        case httpcore2.ConnectTimeout():
            return "no connection in time"
        case httpcore2.TimeoutException() | TimeoutError():
            return "no answer in time"
        case httpcore2.ConnectError():
            tls = _cause(error, ssl.SSLError)
            return f"TLS: {_of(tls)}" if tls else f"no connection: {_of(error)}"
        case httpcore2.NetworkError() | OSError():
            return "the connection broke"
        case httpcore2.ProtocolError():
            return "no answer in HTTP"
        case _:
            return "the host's name can't be used"


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The first of a kind among an error and what caused it."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__ or seen.__context__
    return seen


def _of(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "the handshake failed").replace("_", " ").lower()
    refused = _cause(error, ConnectionRefusedError)
    return "refused" if refused else str(error)
