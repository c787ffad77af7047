"""WebhookUrl: where a job's webhook goes, taken apart in one way only."""

import re
from typing import NamedTuple, Self

MAX_URL_LENGTH = 2048
URL_PATTERN = r'^(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?([/?][!"$-~]*)?$'
"""Narrow, so that nobody can read another host in it: no user, no fragment, ASCII only."""
URL_LIMIT = (
    f"an http:// or https:// URL of at most {MAX_URL_LENGTH} printable ASCII characters, "
    "without a user or a fragment"
)

_PATTERN = re.compile(URL_PATTERN)
_PORTS = {"http": 80, "https": 443}


class WebhookUrl(NamedTuple):
    """`host` is a name or an address, in lower case and without brackets; `target` is what follows
    host and port, as it goes into the request."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ValueError, without a part of the URL."""
        found = _PATTERN.fullmatch(url) if len(url) <= MAX_URL_LENGTH else None
        if found is None:
            raise ValueError(f"the URL must be {URL_LIMIT}")
        scheme, host, written_port, target = found.groups(default="")
        port = int(written_port or _PORTS[scheme])
        if not 0 < port < 65536:
            raise ValueError("the URL's port must be from 1 to 65535")
        target = target if target.startswith("/") else f"/{target}"
        return cls(scheme, host.strip("[]").lower(), port, target)

    @property
    def authority(self) -> str:
        """Host and port as the request's Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"
