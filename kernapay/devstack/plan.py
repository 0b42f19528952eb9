"""The parts of a development stack, chosen from the environment before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kernapay.devstack.accounts import DEMO_PASSWORD
from kernapay.devstack.credentials import credentials, server_password
from kernapay.devstack.ports import HOST, free_port
from kernapay.devstack.process import ServerError
from kernapay.devstack.servers import MongoServer, RedisServer

DATABASE = "kernapay"
_OWN_KEYS = ("RAZORPAY_KEY_ID", "RAZORPAY_KEY_SECRET")
WEBHOOK_PATH = "/v1/api/payments/webhook"


@dataclass(frozen=True)
class Ports:
    """The preferred ports. If one is taken, the next free one is used."""

    api: int = 3000
    sandbox: int = 3100
    mongo: int = 27117
    redis: int = 6479


@dataclass(frozen=True)
class Plan:
    """The servers to start, the addresses, and the environment of every Python child."""

    mongo: MongoServer | None  # None if MONGODB_URL is set
    redis: RedisServer | None  # None if REDIS_URL or REDIS_HOST is set
    sandbox: str | None  # None if keys of the real Razorpay are set
    api: str
    env: Mapping[str, str]
    chosen: Mapping[str, str]  # the part of env that was not in the environment
    notes: tuple[str, ...]


def make_plan(
    home: Path, environ: Mapping[str, str], ports: Ports, defaults: Mapping[str, str] | None = None
) -> Plan:
    """Choose servers, ports and secrets. `defaults` are settings that the environment may override.

    Raises MissingBinary if a server is not installed, ServerError for keys that do not belong here.
    """
    draft = _Draft({name: value for name, value in environ.items() if value})
    mongo = draft.add_mongo(home / "mongo", ports.mongo)
    redis = draft.add_redis(home / "redis", ports.redis)
    api = f"http://{HOST}:{draft.port('the API', ports.api)}"
    env = draft.env
    # Listen only on the loopback address: the stack is for the people of this machine.
    env.update(APP_ENV="development", HOST=HOST, PORT=api.rpartition(":")[2])
    _check_own_keys(env)
    stored = credentials(home)
    env.setdefault("FILES_DIR", str(home / "files"))
    env.setdefault("JWT_SECRET", stored["JWT_SECRET"])
    env.setdefault("RAZORPAY_WEBHOOK_SECRET", stored["RAZORPAY_WEBHOOK_SECRET"])
    sandbox = draft.add_sandbox(stored, ports.sandbox)
    # What receives events in development runs on this machine.
    env.setdefault("DELIVERY_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
    # `kernapay listen` gets events without an endpoint.
    env.setdefault("DELIVERIES_ALWAYS_STORE", "true")
    for name, value in (defaults or {}).items():
        env.setdefault(name, value)
    if mongo:
        env[DEMO_PASSWORD] = stored[DEMO_PASSWORD]
    chosen = {name: value for name, value in env.items() if environ.get(name) != value}
    # Not chosen: a `serve` that somebody starts with the settings of this stack is not a part of it.
    env["DEV_STACK"] = "true"
    if sandbox:
        # Not as options: every user of the machine can read the arguments of a process.
        env["SANDBOX_KEYS"] = f"{env['RAZORPAY_KEY_ID']}:{env['RAZORPAY_KEY_SECRET']}"
        env["SANDBOX_WEBHOOKS"] = f"{api}{WEBHOOK_PATH}|{env['RAZORPAY_WEBHOOK_SECRET']}"
    # A child reads `.env.payment` too: there, only an empty variable hides what the file has.
    return Plan(mongo, redis, sandbox, api, {**environ, **env}, chosen, tuple(draft.notes))


class _Draft:
    """A plan that is being made. Each server is added only if the environment does not name another one."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self.notes: list[str] = []
        self._assigned: set[int] = set()

    def port(self, name: str, preferred: int) -> int:
        if (chosen := free_port(preferred, self._assigned)) != preferred:
            self.notes.append(f"Port {preferred} is taken, so {name} uses port {chosen}.")
        self._assigned.add(chosen)
        return chosen

    def add_mongo(self, home: Path, preferred: int) -> MongoServer | None:
        if "MONGODB_URL" in self.env:
            self.notes.append("MongoDB is not started: MONGODB_URL is set.")
            return None
        server = MongoServer(home, self.port("MongoDB", preferred), password=server_password(home))
        self.env["MONGODB_URL"] = server.database_url(DATABASE)
        return server

    def add_redis(self, home: Path, preferred: int) -> RedisServer | None:
        if "REDIS_URL" in self.env or "REDIS_HOST" in self.env:
            self.notes.append("Redis is not started: REDIS_URL or REDIS_HOST is set.")
            return None
        server = RedisServer(home, self.port("Redis", preferred), password=server_password(home))
        self.env["REDIS_URL"] = server.url
        return server

    def add_sandbox(self, stored: Mapping[str, str], preferred: int) -> str | None:
        if "RAZORPAY_KEY_ID" in self.env and "RAZORPAY_KEY_SECRET" in self.env:
            keys = "RAZORPAY_KEY_ID and RAZORPAY_KEY_SECRET"
            self.notes.append(f"The sandbox is not started: {keys} are set.")
            return None
        url = f"http://{HOST}:{self.port('the sandbox', preferred)}"
        self.env.update(
            RAZORPAY_KEY_ID=stored["RAZORPAY_KEY_ID"],
            RAZORPAY_KEY_SECRET=stored["RAZORPAY_KEY_SECRET"],
            RAZORPAY_BASE_URL=url,
            MAILBOX_URL=url,
        )
        return url


def _check_own_keys(env: Mapping[str, str]) -> None:
    """Raise ServerError for half a pair of keys, or for keys that move real money."""
    for name, other in (_OWN_KEYS, _OWN_KEYS[::-1]):
        if name in env and other not in env:
            raise ServerError(
                f"{name} is set, but {other} is not. Fix: set both to use them, or unset both to use the sandbox."
            )
    if env.get("RAZORPAY_KEY_ID", "").startswith("rzp_live_"):
        raise ServerError(
            "RAZORPAY_KEY_ID moves real money, which a development stack must not. "
            "Fix: use a key that begins with rzp_test_, or unset both keys to use the sandbox."
        )
