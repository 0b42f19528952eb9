"""A real mongod and a real Valkey or Redis server as child processes, for development."""

import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from kernapay.devstack.binaries import locate
from kernapay.devstack.ports import HOST, free_port, is_listening
from kernapay.devstack.process import Process

REPLICA_SET = "kernapay"
Client = MongoClient[dict[str, Any]]


class Server(Process):
    """A database server on a loopback port, with its data in one directory."""

    def __init__(
        self,
        name: str,
        data_dir: Path,
        port: int | None,
        binary: Path | None,
        options: Sequence[str],
    ) -> None:
        super().__init__(name, data_dir.resolve())
        self.port = free_port() if port is None else port
        self.binary = binary or locate(name)
        self.options = options

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
    ) -> None:
        super().__init__("mongod", data_dir, port, binary, options)

    @property
    def url(self) -> str:
        return self.database_url("")

    def database_url(self, database: str) -> str:
        return f"mongodb://{self.address}/{database}?replicaSet={REPLICA_SET}"

    def command(self) -> Sequence[str]:
        return (
            str(self.binary),
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

    def client(self) -> Client:
        """Return a client of this node alone, in any state. The caller closes it."""
        return MongoClient(
            HOST, self.port, directConnection=True, serverSelectionTimeoutMS=2000, timeoutMS=10000
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
                f"{self.binary} needs a system library that is missing. Fix: install libcurl4 and OpenSSL 3, "
                f"or set MONGODB_URL to a server of your own.\n{self.tail(3)}"
            )
        if exit_code == -signal.SIGILL:
            return (
                f"This processor cannot run {self.binary}, which needs AVX. "
                "Fix: set MONGODB_URL to a server of your own."
            )
        return super().explain(exit_code)


class MongoServer(MongoNode):
    """A mongod that is a replica set of one member. Ready when it accepts writes."""

    def ready(self) -> bool:
        if not is_listening(self.port):
            return False
        try:
            with self.client() as client:
                return self._is_ours(client) and self._is_primary(client)
        except PyMongoError:
            return False

    def _is_primary(self, client: Client) -> bool:
        if (hello := client.admin.command("hello")).get("me") == self.address:
            return bool(hello["isWritablePrimary"])
        config = client.local["system.replset"].find_one()
        if config is None:
            members = [{"_id": 0, "host": self.address}]
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        elif config["members"][0]["host"] != self.address:
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
    ) -> None:
        super().__init__("redis", data_dir, port, binary, options)

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def command(self) -> Sequence[str]:
        return (
            str(self.binary),
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
