"""Name servers that answer as a test says."""

import socket
from typing import Any

from kernapay.deliveries.transport import Resolve


def resolving(*answers: str) -> tuple[Resolve, list[str]]:
    """Return a resolver that gives these addresses, one set at each call, and the names that it is asked for."""
    sets = [each.split() for each in answers]
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[Any]:
        asked.append(host)
        found = sets.pop(0) if len(sets) > 1 else sets[0]
        infos = (socket.getaddrinfo(each, port, type=socket.SOCK_STREAM) for each in found)
        return [info for each in infos for info in each]

    return resolve, asked
