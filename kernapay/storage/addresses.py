"""Addresses of stores for logs."""


def without_login(url: str) -> str:
    """Return a database URL without user, password and options: `redis://cache.internal:6379/0`."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
