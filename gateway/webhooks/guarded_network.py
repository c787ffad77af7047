"""GuardedNetwork: connections to addresses that may get webhooks, and to no others."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore2

from gateway.webhooks.addresses import Address, may_receive

Lookup = Callable[..., list[tuple[Any, ...]]]

_MOST_TRIED = 4
"""Addresses of one name."""


class ForbiddenAddressError(Exception):
    """A host has no address that may get webhooks."""


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Looks a name up once, and connects to an address that it has checked: a name that leads
    elsewhere a moment later leads nowhere. TLS and the request go by the name all the same.
    """

    def __init__(
        self,
        *,
        allows_private: bool,
        num_lookups: int,
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        """`num_lookups`: at once, each on a thread, so that slow ones hold up nothing else."""
        self._allows_private = allows_private
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(num_lookups, "lookup")
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raises ForbiddenAddressError, or ConnectError and ConnectTimeout of httpcore2."""
        try:
            async with asyncio.timeout(timeout):
                return await self._connect(await self._allowed(host, port), port, timeout)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("no connection in time") from error

    async def _allowed(self, host: str, port: int) -> list[Address]:
        addresses = await self._addresses(host, port)
        allowed = [
            address
            for address in addresses
            if may_receive(address, allows_private=self._allows_private)
        ]
        if not allowed:
            raise ForbiddenAddressError("the host has no address that may get webhooks")
        return allowed[:_MOST_TRIED]

    async def _addresses(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        # As bytes: a text would be encoded as a name of IDNA, which fails in odd ways.
        arguments = (host.encode("ascii"), port, socket.AF_UNSPEC, socket.SOCK_STREAM)
        try:
            found = await loop.run_in_executor(self._threads, self._lookup, *arguments)
        except OSError as error:
            raise httpcore2.ConnectError("the host's name has no address") from error
        # An address with a zone (fe80::1%eth0) is of one link, and no receiver's.
        texts = dict.fromkeys(str(entry[4][0]) for entry in found)
        return [ipaddress.ip_address(text) for text in texts if "%" not in text]

    async def _connect(
        self, addresses: list[Address], port: int, timeout: float | None
    ) -> httpcore2.AsyncNetworkStream:
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(str(address), port, share)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.connect_tcp(str(addresses[-1]), port, timeout)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
