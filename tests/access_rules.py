"""The access rules that docs/security.md gives, so that what is documented is what is tested."""

from __future__ import annotations

import re
from pathlib import Path

import redis

SECURITY = Path(__file__).parent.parent / "docs" / "security.md"
USERS = ("producer", "gateway", "worker", "webhooks", "operator", "viewer")


def documented_rules(user: str) -> list[str]:
    """The words that follow the user's name."""
    blocks = re.findall(r"^```acl\n(.*?)^```$", SECURITY.read_text(), re.MULTILINE | re.DOTALL)
    (words,) = [block.split() for block in blocks if block.split()[:2] == ["user", user]]
    return words[2:]


def make_users(connection: redis.Redis) -> None:
    """Makes the documented users, and gives the default one a password."""
    for user in USERS:
        connection.execute_command("ACL", "SETUSER", user, *documented_rules(user))
    connection.execute_command("ACL", "SETUSER", "default", "resetpass", ">default-password")


def url_as(user: str, url: str) -> str:
    """A server's unix:// URL with a user's login."""
    return url.replace("unix://", f"unix://{user}:{user}-password@")
