"""The MongoDB and the Valkey server of a test session."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kernapay.core.limits import raise_open_files
from kernapay.devstack.servers import MongoServer
from kernapay.storage.schema import APPLIED
from tests import query_recorder
from tests.clusters.nodes import RedisNode
from tests.databases import FRESH, open_store

_THEIRS = ("admin", "config", "local")


class Servers(NamedTuple):
    mongo: MongoServer
    redis: RedisNode

    def empty(self) -> None:
        """Delete what an earlier session left. Indexes stay, since to build them takes seconds."""
        with open_store(self.mongo.database_url("admin")) as admin:
            for name in set(admin.client.list_database_names()).difference(_THEIRS):
                database = admin.client[name]
                if name.startswith(FRESH) or APPLIED not in database.list_collection_names():
                    admin.client.drop_database(name)
                    continue
                for collection in database.list_collection_names(filter={"type": "collection"}):
                    if collection != APPLIED and not collection.startswith("system."):
                        database[collection].delete_many({})
        with self.redis.client() as client:
            client.flushall()


@contextmanager
def start_servers(home: Path) -> Iterator[Servers]:
    """Yield both servers, which end with the block."""
    # mongod inherits it. It keeps files open for every collection and index of every test's database: the usual soft
    # limit of 1,024 ends it in the middle of a session.
    raise_open_files()
    mongo = MongoServer(home / "mongo", options=query_recorder.MONGOD_OPTIONS)
    redis = RedisNode(home / "redis")
    try:
        # Launched together, so that the session waits for the slower one only.
        mongo.launch()
        redis.launch()
        redis.wait_ready()
        mongo.wait_ready()
        yield Servers(mongo, redis)
    finally:
        redis.kill()
        mongo.kill()


class Kept:
    """Servers that outlast a session: a mutation run starts them once, and forks a session for each mutant."""

    servers: Servers | None = None
