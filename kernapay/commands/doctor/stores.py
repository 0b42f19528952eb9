"""MongoDB and Redis: reachable, safe, in the right form, and of one mind about the time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import WriteConcern
from pymongo.database import Database
from pymongo.errors import PyMongoError

from kernapay.bootstrap.services import Services
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.config.settings import Settings
from kernapay.core.clock import Clock
from kernapay.storage.migrations import MigrationError, Migrator
from kernapay.storage.mongo import open_database
from kernapay.storage.redis import RedisFailure

_SKEW_NOTED: Final = timedelta(seconds=1)
# Tokens, links and leases are compared with clocks of other machines.
_SKEW_HARMFUL: Final = timedelta(seconds=30)
_OLDEST_MONGODB: Final = (5, 0)
_OLDEST_REDIS: Final = (6, 0)


def mongodb(settings: Settings, clock: Clock) -> list[Finding]:
    try:
        client, db = open_database(settings.mongodb_url.get_secret_value())
    except PyMongoError as error:  # an SRV address is looked up already here
        return [_unusable(error)]
    try:
        asked = clock()
        hello = client.admin.command("hello")
        answered = clock()
        return [
            *_mongodb_server(hello, client.server_info()["versionArray"], settings),
            *_skew("MongoDB", hello["localTime"].replace(tzinfo=UTC), asked, answered),
            _majority(db),
            *_migrations(db),
            _administrators(db),
        ]
    except PyMongoError as error:
        return [_unusable(error)]
    finally:
        client.close()


def _unusable(error: PyMongoError) -> Finding:
    return Finding(
        Level.FAIL,
        "MongoDB",
        f"cannot be used: {type(error).__name__}",
        "start it, and check MONGODB_URL, its host, its user and its password",
    )


def _mongodb_server(
    hello: dict[str, Any], version: list[int], settings: Settings
) -> Iterator[Finding]:
    text = ".".join(map(str, version[:3]))
    if tuple(version[:2]) < _OLDEST_MONGODB:
        yield Finding(Level.FAIL, "MongoDB", f"version {text} is too old", "use 5.0 or newer")
    if not hello.get("isWritablePrimary"):
        yield Finding(
            Level.FAIL, "MongoDB", "no primary takes writes", "look at rs.status() on a member"
        )
    elif "setName" not in hello and hello.get("msg") != "isdbgrid":
        yield Finding(
            Level.WARN,
            "MongoDB",
            f"version {text}, a server of its own",
            "use a replica set: this one loses what it had not yet written when it fails",
        )
    elif settings.production and len(hello.get("hosts", ())) == 1:
        yield Finding(
            Level.WARN,
            "MongoDB",
            f"version {text}, a replica set of one member",
            "add members: payments stop while this one is away",
        )
    else:
        members = len(hello.get("hosts", ()))
        yield Finding(Level.OK, "MongoDB", f"version {text}, primary, {members} member(s)")


def _majority(db: Database[dict[str, Any]]) -> Finding:
    durable = WriteConcern(w="majority", j=True, wtimeout=5_000)
    try:
        # Matches nothing and changes nothing, yet waits until a majority could have said so.
        db.get_collection("doctor", write_concern=durable).delete_many({"_id": "nothing"})
    except PyMongoError as error:
        return Finding(
            Level.FAIL,
            "MongoDB",
            f"a majority does not confirm writes: {type(error).__name__}",
            "look at rs.status(): members are away or lag behind",
        )
    return Finding(Level.OK, "MongoDB", "a majority confirms writes")


def _migrations(db: Database[dict[str, Any]]) -> Iterator[Finding]:
    migrator = Migrator(db)
    try:
        missing = [state.name for state in migrator.status() if state.applied_at is None]
    except MigrationError as error:
        yield Finding(Level.FAIL, "migrations", str(error), "deploy the version they came with")
        return
    if missing:
        yield Finding(
            Level.FAIL, "migrations", f"not applied: {', '.join(missing)}", "kernapay migrate up"
        )
        return
    yield Finding(Level.OK, "migrations", "all applied")
    expected = migrator.indexes()
    lost = sorted(
        f"{index.collection}.{index.name}"
        for index in expected
        if not index.fits(db[index.collection].index_information().get(index.name))
    )
    if lost:
        yield Finding(
            Level.FAIL,
            "indexes",
            f"missing or changed: {', '.join(lost)}",
            "make them again as the migrations say: without them payments can double",
        )
    else:
        yield Finding(Level.OK, "indexes", f"all {len(expected)} present")


def _administrators(db: Database[dict[str, Any]]) -> Finding:
    count = db.users.count_documents({"type": "ADMIN", "status": "ACTIVE"})
    if count:
        return Finding(Level.OK, "administrators", f"{count} active")
    return Finding(Level.WARN, "administrators", "nobody", "kernapay create-admin --email …")


def _skew(
    server: str, its_time: datetime, asked: datetime, answered: datetime
) -> Iterator[Finding]:
    ours = asked + (answered - asked) / 2
    skew = abs(its_time - ours) - (answered - asked) / 2
    if skew <= _SKEW_NOTED:
        yield Finding(Level.OK, "clock", f"agrees with {server}'s")
        return
    yield Finding(
        Level.FAIL if skew > _SKEW_HARMFUL else Level.WARN,
        "clock",
        f"differs from {server}'s by {skew.total_seconds():.0f} s",
        "let NTP set the clocks of both machines",
    )


async def redis(services: Services, clock: Clock) -> list[Finding]:
    try:
        asked = clock()
        its_time = await services.redis.server_time()
        answered = clock()
        info = await services.redis.server_info()
    except RedisFailure as error:
        return [
            Finding(
                Level.FAIL,
                "Redis",
                f"cannot be used: {type(error).__name__}",
                "start it, and check REDIS_URL: answers stay right without it, but slow",
            )
        ]
    return [*_redis_server(info), *_skew("Redis", its_time, asked, answered)]


def _redis_server(info: dict[str, Any]) -> Iterator[Finding]:
    version = str(info.get("valkey_version") or info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_REDIS:
        yield Finding(Level.FAIL, "Redis", f"version {version} is too old", "use 6.0 or newer")
    else:
        yield Finding(Level.OK, "Redis", f"version {version}, answers")
    if info.get("aof_enabled"):
        yield Finding(Level.OK, "Redis", "keeps what it holds (append-only file)")
    else:
        yield Finding(
            Level.WARN,
            "Redis",
            "forgets everything at a restart",
            "appendonly yes: rate limits start anew and MongoDB gets a burst of reads otherwise",
        )
