"""A real mongod and a real Valkey or Redis server as child processes, for development."""

import secrets
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from kernapay.devstack.binaries import locate
from kernapay.devstack.credentials import write_private
from kernapay.devstack.libraries import environment_for
from kernapay.devstack.mongo_users import (
    USER,
    Client,
    ForeignUsers,
    create_first_user,
    replace_users,
)
from kernapay.devstack.ports import HOST, free_port, is_listening
from kernapay.devstack.process import Process, ServerError

REPLICA_SET = "kernapay"
_AUTHENTICATION_FAILED = 18
_NOT_YET_INITIALIZED = 94


class Server(Process):
    """A database server on a loopback port, with its data in one directory."""

    def __init__(
        self,
        name: str,
        data_dir: Path,
        port: int | None,
        binary: Path | None,
        options: Sequence[str],
        password: str | None = None,
    ) -> None:
        """Without a password, every user of this machine may read and write the data."""
        super().__init__(name, data_dir.resolve())
        self.port = free_port() if port is None else port
        self.binary = binary or locate(name)
        self.options = options
        self.password = password

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


class MongoNode(Server):
    """One mongod, started as a member of a replica set. Ready when it answers."""

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        binary: Path | None = None,
        options: Sequence[str] = (),
        password: str | None = None,
    ) -> None:
        super().__init__("mongod", data_dir, port, binary, options, password)

    @property
    def url(self) -> str:
        return self.database_url("")

    def database_url(self, database: str) -> str:
        login, query = "", f"replicaSet={REPLICA_SET}"
        if self.password is not None:
            login, query = f"{USER}:{self.password}@", f"{query}&authSource=admin"
        return f"mongodb://{login}{self.address}/{database}?{query}"

    @property
    def _key_file(self) -> Path:
        return self.home / "keyfile"

    def command(self) -> Sequence[str]:
        return (
            str(self.binary),
            # It makes clients sign in, and is the secret between the members of a replica set.
            *(("--keyFile", str(self._key_file)) if self.password is not None else ()),
            *("--dbpath", str(self.home)),
            *("--bind_ip", HOST),
            *("--port", str(self.port)),
            *("--replSet", REPLICA_SET),
            *("--wiredTigerCacheSizeGB", "0.25"),
            # 17 MB on disk instead of 315.
            *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"),
            *("--oplogSize", "64"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # MongoDB: a member serves 15 s more before it exits, so that clients find another one.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
            "--nounixsocket",
            "--quiet",
            *self.options,
        )

    def environment(self) -> Mapping[str, str] | None:
        return environment_for(self.home / "libraries")

    def client(self, *, signed_in: bool = True) -> Client:
        """Return a client of this node alone, in any state. The caller closes it."""
        signs_in = signed_in and self.password is not None
        return MongoClient(
            HOST,
            self.port,
            directConnection=True,
            serverSelectionTimeoutMS=2000,
            timeoutMS=10000,
            username=USER if signs_in else None,
            password=self.password if signs_in else None,
        )

    def ready(self) -> bool:
        if not is_listening(self.port):
            return False
        try:
            with self.client() as client:
                return self._is_ours(client)
        except PyMongoError:
            return False

    def _is_ours(self, client: Client) -> bool:
        # Another server may use the port. It answers until ours fails to listen, and ends.
        return bool(client.admin.command("serverStatus")["pid"] == self.pid)

    def explain(self, exit_code: int) -> str:
        if exit_code == 48:
            return f"mongod cannot listen on {self.address}: the port is taken. Fix: choose another port."
        if exit_code == 100 and "DBPathInUse" in self.tail(50):
            return f"The data directory {self.home} is in use by another mongod."
        if exit_code == 127:
            return (
                f"{self.binary} needs a system library that is missing. Fix: pip install 'kernapay[embedded]', "
                "which carries it, or install libcurl4 and OpenSSL 3, or set MONGODB_URL to a server of your own.\n"
                f"{self.tail(3)}"
            )
        if exit_code == -signal.SIGILL:
            return (
                f"This processor cannot run {self.binary}, which needs AVX. "
                "Fix: set MONGODB_URL to a server of your own."
            )
        return super().explain(exit_code)


class MongoServer(MongoNode):
    """A mongod that is a replica set of one member. Ready when it accepts writes.

    With a password, its only user is made at the first start, also for data that had none until now.
    """

    def launch(self) -> None:
        if self.password is not None and not self._key_file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            if (self.home / "WiredTiger").exists():
                self._protect(self.password)
            write_private(self._key_file, secrets.token_hex(64))
        super().launch()

    def ready(self) -> bool:
        if not is_listening(self.port):
            return False
        try:
            with self.client() as client:
                return self._is_ours(client) and self._is_primary(client)
        except OperationFailure as error:
            if error.code == _AUTHENTICATION_FAILED and self.password is not None:
                self._bootstrap(self.password)
            return False
        except PyMongoError:
            return False

    @property
    def _initial_set(self) -> dict[str, Any]:
        return {"_id": REPLICA_SET, "members": [{"_id": 0, "host": self.address}]}

    def _protect(self, password: str) -> None:
        """Add the user to data of an earlier version, which had no password."""
        with (
            MongoServer(
                self.home, self.port, binary=self.binary, options=self.options
            ) as unprotected,
            unprotected.client() as client,
        ):
            replace_users(client, password)

    def _bootstrap(self, password: str) -> None:
        if not self._has_logged_listening():
            return
        try:
            with self.client(signed_in=False) as client:
                create_first_user(client, password, self._initial_set)
        except ForeignUsers:
            self.kill()
            raise ServerError(
                f"The stored password of MongoDB does not fit the data in {self.home}. "
                f"Fix: restore {self.home / 'password'}, or remove the directory with all its data."
            ) from None
        except PyMongoError:
            return  # the next call tries again

    def _has_logged_listening(self) -> bool:
        """Return whether our process has the port. Before the first user exists, only the log says so."""
        start, pid, log = '"msg":"MongoDB starting"', f'"pid":{self.pid},', self.log_lines()
        # The second search continues behind the line that the first one found.
        return any(start in line and pid in line for line in log) and any(
            "Waiting for connections" in line for line in log
        )

    def _is_primary(self, client: Client) -> bool:
        if (hello := client.admin.command("hello")).get("me") == self.address:
            return bool(hello["isWritablePrimary"])
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != _NOT_YET_INITIALIZED:
                raise
            client.admin.command("replSetInitiate", self._initial_set)
            return False
        if config["members"][0]["host"] != self.address:
            # The replica set stores its port. On another port it would never elect a primary.
            config["members"][0]["host"] = self.address
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)
        return False


class RedisServer(Server):
    """A Valkey or Redis server that appends every write to a file."""

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        binary: Path | None = None,
        options: Sequence[str] = (),
        password: str | None = None,
    ) -> None:
        super().__init__("redis", data_dir, port, binary, options, password)

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password is not None else ""
        return f"redis://{login}{self.address}/0"

    @property
    def _config_file(self) -> Path:
        return self.home / "redis.conf"

    def launch(self) -> None:
        if self.password is not None:
            self.home.mkdir(parents=True, exist_ok=True)
            # Not an option: every user of the machine can read the arguments of a process.
            write_private(self._config_file, f"requirepass {self.password}\n")
        super().launch()

    def command(self) -> Sequence[str]:
        return (
            str(self.binary),
            *((str(self._config_file),) if self.password is not None else ()),
            *("--port", str(self.port)),
            *("--bind", HOST),
            *("--dir", str(self.home)),
            *("--appendonly", "yes"),
            *("--appendfsync", "everysec"),
            *("--save", ""),
            # A process title would hide the arguments, by which the pid file recognises the process.
            *("--set-proc-title", "no"),
            *self.options,
        )

    def ready(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=2) as connection:
                if self.password is not None:
                    connection.sendall(f"AUTH {self.password}\r\n".encode())
                    connection.recv(64)
                connection.sendall(b"INFO server\r\n")
                reply = connection.recv(16384)
        except OSError:
            return False
        # Another server may use the port. It answers until ours fails to listen, and ends.
        return f"\r\nprocess_id:{self.pid}\r\n".encode() in reply

    def explain(self, exit_code: int) -> str:
        if "Address already in use" in self.tail(5):
            return (
                f"{self.binary.name} cannot listen on {self.address}: the port is taken. "
                "Fix: choose another port."
            )
        return super().explain(exit_code)
