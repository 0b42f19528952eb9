"""Servers as the tests look into them."""

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kernapay.devstack.ports import HOST
from kernapay.devstack.servers import RedisServer


class RedisNode(RedisServer):
    """A Valkey or Redis server with a client of it."""

    def client(self) -> Redis:
        """Return a client that gives up at once; close it after use."""
        return Redis(
            host=HOST,
            port=self.port,
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
