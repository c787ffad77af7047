"""The server's URL: checked before anything is opened, and what of it is secret."""

from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from jobs.errors import InvalidJobError

FORMS = "redis://[user:password@]host[:port][/db], rediss://… or unix://[user:password@]/path"

_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_OPTIONS = frozenset(
    {*_TLS_FILES, "ssl_ca_path", "ssl_cert_reqs", "ssl_check_hostname", "ssl_password"}
)
_OPTIONS = frozenset(
    {
        "client_name",
        "db",
        "health_check_interval",
        "max_connections",
        "password",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_timeout",
        "username",
    }
)
_SECRET_OPTIONS = ("password", "ssl_password")
_SHORTEST_SECRET = 4
"""Characters: a shorter one stands in every other line by chance."""


def check_url(url: str) -> None:
    """Raises InvalidJobError for what is no server's URL or would be read as another one.

    No part of the URL is shown: a password with a bare `/`, `?`, `#` or `@` in it can end up in
    any part. Options after `?` are redis-py's; those for TLS go with rediss://, and their files
    have to be there.
    """
    try:
        parts = urlsplit(url)
        is_address = _is_address(parts)
    except ValueError:  # a port that is no number, brackets that don't match
        is_address = False
    if not is_address:
        _refuse("this URL", f"{FORMS}; in a password / ? # @ % are written %2F %3F %23 %40 %25")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not options.keys() <= _OPTIONS | _TLS_OPTIONS:
        known = ", ".join(sorted(_OPTIONS | _TLS_OPTIONS))
        _refuse("an option in this URL", f"one of {known}")
    if parts.scheme != "rediss" and options.keys() & _TLS_OPTIONS:
        _refuse("this URL", "one of rediss:// where it has options for TLS")
    for name in _TLS_FILES:
        if name in options and not Path(options[name]).is_file():
            _refuse(f"{name} in this URL", "a file that is there and can be read")


def secrets_of(url: str) -> tuple[str, ...]:
    """The passwords in a URL, decoded and as they are written; the longest first."""
    try:
        parts = urlsplit(url)
        found = {parts.password or "", unquote(parts.password or "")}
        for pair in parts.query.split("&"):
            name, _, value = pair.partition("=")
            if name in _SECRET_OPTIONS:
                found |= {value, unquote(value)}
    except ValueError:  # no URL of a server: check_url says so
        return ()
    return tuple(sorted((one for one in found if len(one) >= _SHORTEST_SECRET), key=len)[::-1])


def _is_address(parts: SplitResult) -> bool:
    if parts.fragment:
        return False
    if parts.scheme == "unix":
        return parts.hostname is None and parts.port is None and len(parts.path) > 1
    db = parts.path.removeprefix("/")
    is_db = db == "" or (db.isascii() and db.isdigit())
    return parts.scheme in ("redis", "rediss") and is_db and parts.port != 0


def _refuse(value: str, limit: str) -> NoReturn:
    raise InvalidJobError("url", value, limit)
