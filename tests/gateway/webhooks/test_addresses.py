"""No address outside the internet gets a webhook, in whatever form it is written."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpcore2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.webhooks.addresses import literal, may_receive
from gateway.webhooks.guarded_network import ForbiddenAddressError, GuardedNetwork
from tests.gateway.webhooks.receiver import Receiver

# IANA's registries of special-purpose addresses, multicast and what is not assigned.
SPECIAL = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32"),
]
SPECIAL_V6 = [
    *("::/128", "::1/128", "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32"),
    *("3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "4000::/2"),
]


@st.composite
def special_v4(draw: st.DrawFn) -> IPv4Address:
    network = IPv4Network(draw(st.sampled_from(SPECIAL)))
    return network[draw(st.integers(0, network.num_addresses - 1))]


@st.composite
def special(draw: st.DrawFn) -> IPv4Address | IPv6Address:
    """Of either family, or of the first inside the second."""
    inner = int(draw(special_v4()))
    network = IPv6Network(draw(st.sampled_from(SPECIAL_V6)))
    below = draw(st.integers(0, 2**80 - 1))
    return draw(
        st.sampled_from(
            [
                IPv4Address(inner),
                network[draw(st.integers(0, network.num_addresses - 1))],
                IPv6Address((0xFFFF << 32) | inner),
                IPv6Address((0x0064FF9B << 96) | inner),
                IPv6Address((0x2002 << 112) | (inner << 80) | below),
            ]
        )
    )


def written(draw: st.DrawFn, address: IPv4Address | IPv6Address) -> str:
    """As a URL may have it."""
    if isinstance(address, IPv6Address):
        return draw(st.sampled_from([str(address), address.exploded]))
    number, parts = int(address), address.packed
    rest = int.from_bytes(parts[1:], "big")
    forms = [
        str(address), str(number), hex(number), f"0{number:o}", f"{parts[0]}.{rest}",
        ".".join(hex(part) for part in parts), ".".join(f"0{part:o}" for part in parts),
    ]  # fmt: skip
    return draw(st.sampled_from(forms))


@st.composite
def special_hosts(draw: st.DrawFn) -> str:
    return written(draw, draw(special()))


@given(special())
def test_no_special_address_gets_a_webhook(address: IPv4Address | IPv6Address) -> None:
    assert not may_receive(address, allows_private=False)


@given(special_hosts())
def test_no_form_of_one_does_and_each_is_known_before_it_is_looked_up(host: str) -> None:
    address = literal(host)
    assert address is not None and not may_receive(address, allows_private=False)
    network = GuardedNetwork(allows_private=False, num_lookups=1)

    async def connect() -> None:
        try:
            await network.connect_tcp(host, 9, timeout=10)
        finally:
            network.close()

    with pytest.raises((ForbiddenAddressError, httpcore2.ConnectError)) as caught:
        asyncio.run(connect())
    if caught.type is httpcore2.ConnectError:  # this machine may have no IPv6, or refuse a form
        assert "has no address" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "223.255.255.255"),
        *("2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"),
    ],
)
def test_addresses_of_the_internet_do(address: str) -> None:
    assert may_receive(ip_address(address), allows_private=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fd00::1", "::ffff:10.0.0.1"])
def test_private_ones_do_where_they_are_allowed(address: str) -> None:
    assert may_receive(ip_address(address), allows_private=True)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255"),
        *("::", "fe80::1", "ff02::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    ],
)
def test_others_never_do(address: str) -> None:
    assert not may_receive(ip_address(address), allows_private=True)


def entries(*addresses: str) -> list[tuple[Any, ...]]:
    """As the system's resolver gives them."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]


def test_a_name_is_looked_up_once_and_its_checked_address_is_the_one_that_is_connected(
    service: Receiver,
) -> None:
    """Should it lead elsewhere a moment later: it was rebound to get at a private address."""
    asked: list[object] = []

    def lookup(*arguments: object) -> list[tuple[Any, ...]]:
        asked.append(arguments[0])
        return entries("169.254.169.254", "fe80::1%eth0", "127.0.0.1")

    network = GuardedNetwork(allows_private=True, num_lookups=1, lookup=lookup)

    async def peer() -> object:
        stream = await network.connect_tcp("rebound.example", service.port, timeout=10)
        address = stream.get_extra_info("server_addr")
        await stream.aclose()
        return address

    assert asyncio.run(peer()) == ("127.0.0.1", service.port), "the only one that is allowed"
    assert asked == [b"rebound.example"]
    network.close()


def test_a_name_with_private_addresses_only_is_refused() -> None:
    network = GuardedNetwork(
        allows_private=False, num_lookups=1, lookup=lambda *_: entries("127.0.0.1", "10.0.0.1")
    )
    with pytest.raises(ForbiddenAddressError):
        asyncio.run(network.connect_tcp("inside.example", 80, timeout=10))
    network.close()


def test_an_address_that_does_not_answer_is_not_the_last_that_is_tried(service: Receiver) -> None:
    network = GuardedNetwork(
        allows_private=True,
        num_lookups=1,
        lookup=lambda *_: entries("127.255.255.254", "127.0.0.1"),
    )

    async def peer(port: int) -> object:
        stream = await network.connect_tcp("two.example", port, timeout=10)
        address = stream.get_extra_info("server_addr")
        await stream.aclose()
        return address

    with socket.create_server(("127.0.0.1", 0)) as server:  # on one of the two only
        port = server.getsockname()[1]
        assert asyncio.run(peer(port)) == ("127.0.0.1", port)
    network.close()
