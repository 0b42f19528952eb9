"""MongoDB and Redis as they run in production: several nodes that fail and take over."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from kernapay.devstack.binaries import locate
from kernapay.devstack.ports import HOST, free_port
from kernapay.devstack.process import ServerError
from kernapay.devstack.servers import REPLICA_SET, MongoNode, Server
from tests.clusters.nodes import RedisNode
from tests.clusters.proxy import Proxy

PATIENCE = 30.0  # seconds
SLOTS = 16384
MASTER_NAME = "mymaster"


class Cluster(ABC):
    """Servers that start together and are killed together."""

    def __init__(self) -> None:
        self.servers: list[Server] = []

    def start(self) -> Self:
        """Start every server and make them one; raise ServerError when that fails."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        # Asked politely, each would first wait for the others to take over.
        for server in self.servers:
            server.kill()

    def kill(self, index: int) -> None:
        """End one server with SIGKILL."""
        self.servers[index].kill()

    def restart(self, index: int) -> None:
        """Start a killed server again, on its port and with its data."""
        self.servers[index].start()

    @abstractmethod
    def _start(self) -> None:
        """Launch the servers and wait until they work together."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def launch(servers: Sequence[Server]) -> None:
    """Start servers side by side."""
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_ready()


def wait_for(what: str, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Wait until the condition holds; raise ServerError after the timeout (seconds)."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if condition():
                return
        except (PyMongoError, RedisError):
            pass  # a node that is down or changing its role; the deadline ends this
        if time.monotonic() > deadline:
            raise ServerError(f"No {what} after {timeout:g} s.")
        time.sleep(0.05)


class MongoReplicaSet(Cluster):
    """A replica set whose elections take about a second.

    With `proxied`, each node is known to the others and to clients by the address of its entry
    in `proxies`, which can cut it off.
    """

    def __init__(self, home: Path, nodes: int = 3, *, proxied: bool = False) -> None:
        super().__init__()
        self.nodes = [MongoNode(home / f"mongo{index}") for index in range(nodes)]
        self.servers = [*self.nodes]
        self.proxies = [Proxy(node.port) for node in self.nodes] if proxied else []

    @property
    def url(self) -> str:
        return self.database_url("")

    def database_url(self, database: str) -> str:
        return f"mongodb://{','.join(self.addresses)}/{database}?replicaSet={REPLICA_SET}"

    @property
    def addresses(self) -> list[str]:
        return [each.address for each in self.proxies or self.nodes]

    def stop(self) -> None:
        super().stop()
        for proxy in self.proxies:
            proxy.stop()

    def primary(self, other_than: int | None = None) -> int:
        """Return the index of the node that takes writes, once there is one."""
        found: list[int] = []

        def elected() -> bool:
            for index, node in enumerate(self.nodes):
                if index == other_than or not node.is_running:
                    continue
                with node.client() as client:
                    if client.admin.command("hello")["isWritablePrimary"]:
                        found.append(index)
                        return True
            return False

        wait_for("primary", elected)
        return found[0]

    def step_down(self) -> int:
        """Make the primary a secondary; return the index of the new primary."""
        old = self.primary()
        with self.nodes[old].client() as client:
            client.admin.command("replSetStepDown", 30, secondaryCatchUpPeriodSecs=10)
        return self.primary(other_than=old)

    def _start(self) -> None:
        for proxy in self.proxies:
            proxy.start()
        launch(self.servers)
        config = {
            "_id": REPLICA_SET,
            "members": [{"_id": i, "host": host} for i, host in enumerate(self.addresses)],
            "settings": {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 250},
        }
        with self.nodes[0].client() as client:
            client.admin.command("replSetInitiate", config)
        self.wait_complete()

    def wait_complete(self) -> None:
        """Wait until there is a primary and every other node is a secondary."""
        self.primary()
        wait_for("secondaries", self._is_complete)

    def _is_complete(self) -> bool:
        with self.nodes[0].client() as client:
            members = client.admin.command("replSetGetStatus")["members"]
        return all(member["stateStr"] in ("PRIMARY", "SECONDARY") for member in members)


class SentinelServer(RedisNode):
    """One watcher of a Redis master."""

    def __init__(self, data_dir: Path, master: RedisNode, quorum: int) -> None:
        super().__init__(data_dir, binary=locate("redis"))
        self._master = master
        self._quorum = quorum

    def command(self) -> Sequence[str]:
        return (str(self.binary), str(self.home / "sentinel.conf"), "--sentinel")

    def launch(self) -> None:
        config = self.home / "sentinel.conf"
        # The sentinel keeps what it learns in this file.
        if not config.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            config.write_text(
                f"port {self.port}\n"
                f"bind {HOST}\n"
                f"dir {self.home}\n"
                f"sentinel monitor {MASTER_NAME} {HOST} {self._master.port} {self._quorum}\n"
                f"sentinel down-after-milliseconds {MASTER_NAME} 500\n"
                f"sentinel failover-timeout {MASTER_NAME} 3000\n"
            )
        super().launch()

    def hurry(self) -> None:
        """Look around often; by default a master that returns stays one for ten seconds."""
        with self.client() as client:
            client.execute_command("SENTINEL DEBUG", "INFO-PERIOD", 500, "PUBLISH-PERIOD", 300)

    def ask(self, command: str) -> Any:
        with self.client() as client:
            return client.execute_command(f"SENTINEL {command}", MASTER_NAME)


class RedisSentinel(Cluster):
    """A master with replicas, and three sentinels that replace it when it fails."""

    def __init__(self, home: Path, replicas: int = 1) -> None:
        super().__init__()
        # A master lets a replica wait five seconds, for others to come along.
        prompt = ("--repl-diskless-sync-delay", "0")
        first = RedisNode(home / "redis0", options=prompt)
        options = (*prompt, "--replicaof", f"{HOST} {first.port}")
        names = [f"redis{index + 1}" for index in range(replicas)]
        self.nodes = [first, *(RedisNode(home / name, options=options) for name in names)]
        self.sentinels = [SentinelServer(home / f"sentinel{i}", first, 2) for i in range(3)]
        self.servers = [*self.nodes, *self.sentinels]

    @property
    def url(self) -> str:
        hosts = ",".join(sentinel.address for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER_NAME}"

    def master(self) -> int:
        """Return the index of the master on which the sentinels agree, once they do."""
        found: list[int] = []

        def agreed() -> bool:
            running = [sentinel for sentinel in self.sentinels if sentinel.is_running]
            ports = {int(sentinel.ask("GET-MASTER-ADDR-BY-NAME")[1]) for sentinel in running}
            index = [node.port for node in self.nodes].index(ports.pop())
            if ports or not self.nodes[index].is_running:
                return False
            with self.nodes[index].client() as client:
                found.append(index)
                return bool(client.info("replication")["role"] == "master")

        wait_for("master", agreed)
        return found[-1]

    def failover(self) -> int:
        """Kill the master; return the index of the replica that took its place."""
        self.kill(self.master())
        return self.master()

    def _start(self) -> None:
        launch(self.nodes)
        # A sentinel looks for replicas at once, and then only every ten seconds.
        wait_for("replicas", lambda: self._replicas_online() == len(self.nodes) - 1)
        launch(self.sentinels)
        for sentinel in self.sentinels:
            sentinel.hurry()
        wait_for("sentinels", lambda: all(map(self._knows_all, self.sentinels)))

    def _replicas_online(self) -> int:
        with self.nodes[0].client() as client:
            info = client.info("replication")
        return sum(info[f"slave{i}"]["state"] == "online" for i in range(info["connected_slaves"]))

    def _knows_all(self, sentinel: SentinelServer) -> bool:
        master = sentinel.ask("MASTER")
        return (int(master["num-other-sentinels"]), int(master["num-slaves"])) == (
            len(self.sentinels) - 1,
            len(self.nodes) - 1,
        )


class RedisCluster(Cluster):
    """Masters that share the slots; without replicas."""

    def __init__(self, home: Path, nodes: int = 3) -> None:
        super().__init__()
        self.nodes: list[RedisNode] = []
        for index in range(nodes):
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            # Its default, port + 10000, is not known to be free.
            bus = ("--cluster-port", str(free_port()))
            self.nodes.append(RedisNode(home / f"redis{index}", options=(*options, *bus)))
        self.servers = [*self.nodes]

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(node.address for node in self.nodes)}"

    def _start(self) -> None:
        launch(self.servers)
        share = -(-SLOTS // len(self.nodes))
        for index, node in enumerate(self.nodes):
            first, last = index * share, min((index + 1) * share, SLOTS) - 1
            with node.client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
        with self.nodes[0].client() as client:
            for node in self.nodes[1:]:
                client.execute_command("CLUSTER MEET", HOST, node.port, node.options[-1])
        self.wait_ok()

    def wait_ok(self) -> None:
        """Wait until every node sees every slot served."""
        wait_for("complete cluster", lambda: all(map(self._is_ok, self.nodes)))

    def _is_ok(self, node: RedisNode) -> bool:
        with node.client() as client:
            info = client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == len(self.nodes)
