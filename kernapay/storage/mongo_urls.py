"""What a MONGODB_URL says beside the address: the database, and options that are not safe for money."""

import re
from typing import Final

# Payments are read from the primary and written to a majority. These options of a URL would say otherwise; each with
# the value that changes nothing.
_OVERRIDDEN: Final = {
    "readpreference": "primary",
    "readpreferencetags": None,
    "maxstalenessseconds": None,
    "readconcernlevel": "majority",
    "w": "majority",
    "j": "true",
    "journal": "true",
    "fsync": "true",
    "retrywrites": "true",
}


def has_database(url: str) -> bool:
    """Return whether the URL names a database."""
    return bool(url.partition("?")[0].partition("://")[2].partition("/")[2])


def ends_password_early(url: str) -> bool:
    """Return whether a `/` or `?` stands before the `@`: unescaped in a password, it ends the address there."""
    return re.search("[/?].*@", url.partition("://")[2], re.DOTALL) is not None


def has_plus_in_login(url: str) -> bool:
    """Return whether user or password contain a `+`, which the driver reads as a space."""
    return "+" in url.partition("://")[2].rpartition("@")[0]


def find_overridden(url: str) -> list[str]:
    """Return the names of the options that are not used as written, because they are not safe for money."""
    return [name for name, value in _options(url) if _is_overridden(name, value)]


def without_overridden(url: str) -> str:
    """Return the URL without those options. The client is given safe ones, and refuses some beside them."""
    address, _, _ = url.partition("?")
    kept = [f"{name}={value}" for name, value in _options(url) if not _is_overridden(name, value)]
    return f"{address}?{'&'.join(kept)}" if kept else address


def _options(url: str) -> list[tuple[str, str]]:
    parts = (option.partition("=") for option in re.split("[&;]", url.partition("?")[2]) if option)
    return [(name, value) for name, _, value in parts]


def _is_overridden(name: str, value: str) -> bool:
    return name.lower() in _OVERRIDDEN and value.lower() != _OVERRIDDEN[name.lower()]
