"""Which addresses a webhook may go to: those of the internet, unless its operator allows others.

The special ranges are those of IANA's registries for IPv4 and IPv6.
"""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_NO_RECEIVER_V4 = tuple(
    IPv4Network(its)
    # This network, link-local (where clouds tell machines their credentials), multicast, reserved.
    for its in ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
)
_PRIVATE_V4 = tuple(
    IPv4Network(its)
    for its in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24"),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_PRIVATE_V6 = tuple(
    IPv6Network(its)
    for its in ("::1/128", "fc00::/7", "fec0::/10", "2001::/23", "2001:db8::/32", "3fff::/20")
)
_NAT64 = IPv6Network("64:ff9b::/96")


def may_receive(address: Address, *, allows_private: bool) -> bool:
    """Whether a request may be sent there. Link-local, multicast and reserved ones never get one;
    loopback, private and otherwise special ones only where `allows_private`."""
    inner = _inner(address)
    if inner is not None:
        return may_receive(inner, allows_private=allows_private)
    if isinstance(address, IPv4Address):
        if any(address in network for network in _NO_RECEIVER_V4):
            return False
        return allows_private or not any(address in network for network in _PRIVATE_V4)
    if any(address in network for network in _PRIVATE_V6):
        return allows_private
    return address in _GLOBAL_V6 and (allows_private or address.is_global)


def literal(host: str) -> Address | None:
    """The address that a host is, in whatever form; None where it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:  # 127.1, 0x7f000001, 2130706433, as resolvers take them
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _inner(address: Address) -> IPv4Address | None:
    """The IPv4 address to which an IPv6 one leads, by itself or through a gateway."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
