"""Checks of MongoDB and Redis: connection, version, durability, migrations, indexes, administrators, clocks."""

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
from kernapay.security.principal import STAFF
from kernapay.storage.migration_files import MigrationError, read_migrations
from kernapay.storage.mongo import open_database
from kernapay.storage.redis import RedisFailure
from kernapay.storage.schema import Schema

_SKEW_WARN: Final = timedelta(seconds=1)
# Tokens, links and leases are compared with the clocks of other machines.
_SKEW_FAIL: Final = timedelta(seconds=10)
_OLDEST_MONGODB: Final = (5, 0)
_OLDEST_REDIS: Final = (6, 0)
_SHOWN: Final = 20  # accounts or keys in one finding


def mongodb(settings: Settings, clock: Clock) -> list[Finding]:
    try:
        client, db = open_database(settings.mongodb_url.get_secret_value())
    except PyMongoError as error:  # the client resolves a mongodb+srv:// host at once
        return [_unusable(error)]
    try:
        before = clock()
        hello = client.admin.command("hello")
        after = clock()
        return [
            *_mongodb_server(hello, client.server_info()["versionArray"], settings),
            *_skew("MongoDB", hello["localTime"].replace(tzinfo=UTC), before, after),
            _majority(db),
            *_migrations(db),
            _administrators(db),
            _providers(db),
            *_unverified_staff(db),
            *_orphaned_keys(db),
            *_parked(db),
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
        "start MongoDB, and check the host, user and password in MONGODB_URL.",
    )


def _mongodb_server(
    hello: dict[str, Any], version: list[int], settings: Settings
) -> Iterator[Finding]:
    text = ".".join(map(str, version[:3]))
    if tuple(version[:2]) < _OLDEST_MONGODB:
        yield Finding(
            Level.FAIL, "MongoDB", f"version {text} is too old", "use MongoDB 5.0 or newer."
        )
    if not hello.get("isWritablePrimary"):
        yield Finding(
            Level.FAIL, "MongoDB", "no primary accepts writes", "run rs.status() on a member."
        )
    elif "setName" not in hello and hello.get("msg") != "isdbgrid":
        yield Finding(
            Level.WARN,
            "MongoDB",
            f"version {text} is a standalone server, which loses its last writes when it fails",
            "use a replica set of three members.",
        )
    elif settings.is_production and len(hello.get("hosts", ())) == 1:
        yield Finding(
            Level.WARN,
            "MongoDB",
            f"version {text} is a replica set of one member, so payments stop while it is down",
            "add two members.",
        )
    else:
        members = len(hello.get("hosts", ()))
        yield Finding(Level.OK, "MongoDB", f"version {text}, primary, {members} member(s)")


def _majority(db: Database[dict[str, Any]]) -> Finding:
    durable = WriteConcern(w="majority", j=True, wtimeout=5_000)
    try:
        # Matches nothing, so it changes nothing, but it waits for the confirmation of a majority.
        db.get_collection("doctor", write_concern=durable).delete_many({"_id": "nothing"})
    except PyMongoError as error:
        return Finding(
            Level.FAIL,
            "MongoDB",
            f"a majority does not confirm writes: {type(error).__name__}",
            "run rs.status() on a member: members are down or lag behind.",
        )
    return Finding(Level.OK, "MongoDB", "a majority confirms writes")


def _migrations(db: Database[dict[str, Any]]) -> Iterator[Finding]:
    schema = Schema(db, read_migrations())
    subject = "migrations"
    try:
        schema.check_applied()
        yield Finding(Level.OK, subject, "all applied")
        subject = "indexes"
        schema.check_indexes()
        yield Finding(Level.OK, subject, f"all {len(schema.indexes)} present")
    except MigrationError as error:
        yield Finding(Level.FAIL, subject, error.problem, error.fix)


def _administrators(db: Database[dict[str, Any]]) -> Finding:
    count = db.users.count_documents({"type": "ADMIN", "status": "ACTIVE"})
    if count:
        return Finding(Level.OK, "administrators", f"{count} active")
    return Finding(
        Level.WARN,
        "administrators",
        "No administrator exists",
        "kernapay create-admin --email …",
    )


def _providers(db: Database[dict[str, Any]]) -> Finding:
    waiting = {
        "type": "PROVIDER",
        "status": "ACTIVE",
        "isApprovedProvider": {"$in": [False, None]},
    }
    count = db.users.count_documents(waiting)
    if not count:
        return Finding(Level.OK, "providers", "none waits for approval")
    return Finding(
        Level.WARN,
        "providers",
        f"{count} may move no money before an administrator approves them: {_ids(db, waiting, count)}",
        "GET /v1/api/admin/users?approved=false lists them, POST /v1/api/admin/users/{id}/approve approves one.",
    )


def _ids(db: Database[dict[str, Any]], where: dict[str, Any], count: int) -> str:
    """Return the ids of the oldest accounts, not their addresses: the output may end up in a log."""
    oldest = db.users.find(where, {"_id": 1}).sort([("createdAt", 1), ("_id", 1)]).limit(_SHOWN)
    more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
    return ", ".join(str(user["_id"]) for user in oldest) + more


def _unverified_staff(db: Database[dict[str, Any]]) -> Iterator[Finding]:
    """Find accounts with a staff role but no verified address, as earlier versions allowed."""
    where = {"type": {"$in": sorted(STAFF)}, "status": "ACTIVE", "isEmailVerified": {"$ne": True}}
    count = db.users.count_documents(where)
    if count:
        yield Finding(
            Level.WARN,
            "administrators",
            f"{count} ADMIN or LAB_ASSISTANT without a verified e-mail address: {_ids(db, where, count)}. "
            "Such a LAB_ASSISTANT cannot work",
            "GET /v1/api/admin/users/{id} shows whose they are. kernapay verify-email --email … for those whose "
            "owner opened the account, kernapay create-admin --promote for other administrators; give the rest the "
            "role USER.",
        )


def _orphaned_keys(db: Database[dict[str, Any]]) -> Iterator[Finding]:
    """Find API keys whose maker is no longer an administrator, as earlier versions left them."""
    admins = {
        user["_id"] for user in db.users.find({"type": "ADMIN", "status": "ACTIVE"}, {"_id": 1})
    }
    orphans = [
        f"{key['name']} ({key['_id']})"
        for key in db.api_keys.find({"revokedAt": None})
        if not {key.get("createdBy"), key.get("adoptedBy")} & admins
    ]
    if orphans:
        yield Finding(
            Level.WARN,
            "API keys",
            f"refused, because their makers are no longer administrators: {', '.join(orphans[:_SHOWN])}",
            "POST /v1/api/admin/api-keys/{id}/adopt as an administrator, or DELETE them.",
        )


def _parked(db: Database[dict[str, Any]]) -> Iterator[Finding]:
    """Find parked work, which waits for a person."""
    events = db.webhook_events.count_documents({"status": "parked"})
    reports = db.reconciliation_reports.count_documents({"state": "failed"})
    messages = db.messages.count_documents({"status": "failed"})
    if events:
        yield Finding(
            Level.WARN,
            "inbox",
            f"{events} event(s) are parked: each may be money that is not in the books",
            "kernapay inbox list --status parked, then kernapay inbox replay or kernapay inbox end.",
        )
    else:
        yield Finding(Level.OK, "inbox", "no event is parked")
    if reports:
        yield Finding(
            Level.WARN,
            "reports",
            f"{reports} report(s) of a comparison with the gateway were given up",
            "GET /v1/api/reconciliation/reports has the reasons; kernapay reconcile --from … --to … repeats one.",
        )
    if messages:
        yield Finding(
            Level.WARN,
            "outbox",
            f"{messages} message(s) of the last 30 days were given up: nobody got them",
            "`error` in the collection messages has the reasons; fix them at the provider. People ask for a new code.",
        )


def _skew(
    server: str, server_time: datetime, before: datetime, after: datetime
) -> Iterator[Finding]:
    """Compare the clocks. The server read its time at some moment between `before` and `after`."""
    half = (after - before) / 2
    skew = abs(server_time - (before + half)) - half
    if skew <= _SKEW_WARN:
        yield Finding(Level.OK, "clock", f"agrees with {server}'s")
        return
    yield Finding(
        Level.FAIL if skew > _SKEW_FAIL else Level.WARN,
        "clock",
        f"differs from {server}'s by {skew.total_seconds():.0f} s",
        "set the clocks of both machines with NTP.",
    )


async def redis(services: Services, clock: Clock) -> list[Finding]:
    try:
        before = clock()
        server_time = await services.redis.server_time()
        after = clock()
        info = await services.redis.server_info()
    except RedisFailure as error:
        return [
            Finding(
                Level.FAIL,
                "Redis",
                f"cannot be used, so answers are correct but slow: {type(error).__name__}",
                "start Redis, and check REDIS_URL, or REDIS_HOST, REDIS_PORT and REDIS_PASSWORD.",
            )
        ]
    return [*_redis_server(info), *_skew("Redis", server_time, before, after)]


def _redis_server(info: dict[str, Any]) -> Iterator[Finding]:
    version = str(info.get("valkey_version") or info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_REDIS:
        yield Finding(
            Level.FAIL,
            "Redis",
            f"version {version} is too old",
            "use Redis 6.0 or newer, or Valkey.",
        )
    else:
        yield Finding(Level.OK, "Redis", f"version {version}, reachable")
    if info.get("aof_enabled"):
        yield Finding(Level.OK, "Redis", "keeps its data at a restart (append-only file)")
    else:
        yield Finding(
            Level.WARN,
            "Redis",
            "loses its data at a restart: rate limits start again, and every read goes to MongoDB",
            "set `appendonly yes` in the configuration of Redis.",
        )
