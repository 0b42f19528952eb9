"""What a development stack consists of: decided from the environment, before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kernapay.devstack.credentials import credentials
from kernapay.devstack.ports import HOST, free_port
from kernapay.devstack.servers import MongoServer, RedisServer

DATABASE = "kernapay"
WEBHOOK_PATH = "/v1/api/payments/webhook"


@dataclass(frozen=True)
class Ports:
    """Where the search for free ports begins."""

    api: int = 3000
    sandbox: int = 3100
    mongo: int = 27117
    redis: int = 6479


@dataclass(frozen=True)
class Plan:
    """The servers that are ours, the addresses, and the environment of every Python child."""

    mongo: MongoServer | None  # None: MONGODB_URL names another
    redis: RedisServer | None  # None: REDIS_URL or REDIS_HOST names another
    sandbox: str | None  # None: there are keys of the real Razorpay
    api: str
    env: Mapping[str, str]
    chosen: Mapping[str, str]  # the part of env that was not in the environment
    notes: tuple[str, ...]


def make_plan(home: Path, environ: Mapping[str, str], ports: Ports) -> Plan:
    """Choose servers, ports and secrets; raise MissingBinary when a server is not installed."""
    notes: list[str] = []
    given: set[int] = set()

    def port(name: str, preferred: int) -> int:
        if (chosen := free_port(preferred, given)) != preferred:
            notes.append(f"Port {preferred} is taken: {name} is on {chosen}.")
        given.add(chosen)
        return chosen

    env = {name: value for name, value in environ.items() if value}
    mongo, redis, sandbox = None, None, None
    if "MONGODB_URL" in env:
        notes.append("MongoDB is yours, from MONGODB_URL.")
    else:
        mongo = MongoServer(home / "mongo", port("MongoDB", ports.mongo))
        env["MONGODB_URL"] = mongo.database_url(DATABASE)
    if "REDIS_URL" in env or "REDIS_HOST" in env:
        notes.append("Redis is yours, from REDIS_URL or REDIS_HOST.")
    else:
        redis = RedisServer(home / "redis", port("Redis", ports.redis))
        env["REDIS_URL"] = redis.url

    api_port = port("the API", ports.api)
    api = f"http://{HOST}:{api_port}"
    # With demo accounts whose password is public, it must not be reachable from elsewhere.
    env.update(APP_ENV="development", HOST=HOST, PORT=str(api_port))
    kept = credentials(home)
    env.setdefault("FILES_DIR", str(home / "files"))
    env.setdefault("JWT_SECRET", kept["JWT_SECRET"])
    env.setdefault("RAZORPAY_WEBHOOK_SECRET", kept["RAZORPAY_WEBHOOK_SECRET"])
    if "RAZORPAY_KEY_ID" in env and "RAZORPAY_KEY_SECRET" in env:
        notes.append("Razorpay is not played: RAZORPAY_KEY_ID and RAZORPAY_KEY_SECRET are set.")
    else:
        key, secret = kept["RAZORPAY_KEY_ID"], kept["RAZORPAY_KEY_SECRET"]
        sandbox = f"http://{HOST}:{port('the sandbox', ports.sandbox)}"
        env.update(
            RAZORPAY_KEY_ID=key,
            RAZORPAY_KEY_SECRET=secret,
            RAZORPAY_BASE_URL=sandbox,
            MAILBOX_URL=sandbox,
        )
    chosen = {name: value for name, value in env.items() if environ.get(name) != value}
    if sandbox:
        # Not as options: arguments are there for every user of the machine to read.
        env["SANDBOX_KEYS"] = f"{env['RAZORPAY_KEY_ID']}:{env['RAZORPAY_KEY_SECRET']}"
        env["SANDBOX_WEBHOOKS"] = f"{api}{WEBHOOK_PATH}|{env['RAZORPAY_WEBHOOK_SECRET']}"
    return Plan(mongo, redis, sandbox, api, env, chosen, tuple(notes))
