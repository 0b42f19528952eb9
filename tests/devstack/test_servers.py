import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern
from redis import Redis
from redis.exceptions import AuthenticationError

from kernapay.devstack.binaries import MissingBinary, Source, locate
from kernapay.devstack.credentials import server_password
from kernapay.devstack.mongo_users import USER, Client
from kernapay.devstack.pidfile import command_line
from kernapay.devstack.ports import free_port, is_free, is_listening
from kernapay.devstack.process import ServerError
from kernapay.devstack.servers import MongoServer
from tests.clusters.nodes import RedisNode
from tests.databases import open_store
from tests.waiting import eventually

pytestmark = pytest.mark.long


def put(server: MongoServer, name: str) -> None:
    with open_store(server.url) as database:
        safe = WriteConcern("majority", j=True)
        database.client.shop.get_collection("things", write_concern=safe).insert_one({"name": name})


def names(server: MongoServer) -> list[str]:
    with open_store(server.url) as database:
        return [thing["name"] for thing in database.client.shop.things.find().sort("_id")]


def test_mongo_keeps_its_data_over_stop_kill_and_a_change_of_port(tmp_path: Path) -> None:
    with MongoServer(tmp_path) as server:
        put(server, "before the stop")
        server.stop()
        assert server.exit_code == 0

        server.start()
        put(server, "before the kill")
        server.kill()
        assert (tmp_path / "mongod.lock").read_text() != "", "the stale lock is what we test"

        server.start()
        assert names(server) == ["before the stop", "before the kill"]
        server.stop()

    with MongoServer(tmp_path) as moved:
        assert moved.port != server.port
        put(moved, "after the move")
        assert names(moved) == ["before the stop", "before the kill", "after the move"]


def test_data_with_a_password_opens_to_its_owner_only_also_on_another_port(tmp_path: Path) -> None:
    password = server_password(tmp_path)
    with MongoServer(tmp_path, password=password) as server:
        put(server, "mine")
        with pytest.raises(OperationFailure, match="requires authentication"):
            intrude(server.port)
        with pytest.raises(OperationFailure, match="requires authentication"):
            intrude(server.port, create_user=True)
        with pytest.raises(OperationFailure, match="Authentication failed"):
            intrude(server.port, password="a guess")
        line = " ".join(command_line(server.pid or 0))
        assert password not in line
        assert password not in server.log.read_text()
    with MongoServer(tmp_path, password=server_password(tmp_path)) as moved:
        assert moved.port != server.port
        assert names(moved) == ["mine"]
    for secret in ("password", "keyfile"):
        assert (tmp_path / secret).stat().st_mode & 0o077 == 0


def test_data_without_a_password_gets_one_and_users_of_strangers_are_removed(
    tmp_path: Path,
) -> None:
    with MongoServer(tmp_path) as server:
        put(server, "from before")
        with server.client() as client:
            client.admin.command("createUser", "stranger", pwd="a back door", roles=["root"])
        server.kill()
    password = server_password(tmp_path)
    with MongoServer(tmp_path, password=password) as server:
        assert names(server) == ["from before"]
        with server.client() as client:
            users = client.admin.command("usersInfo", {"forAllDBs": True})["users"]
    assert [user["user"] for user in users] == [USER]


def test_a_start_that_was_cut_off_before_the_user_was_made_is_made_good(tmp_path: Path) -> None:
    server = MongoServer(tmp_path, password=server_password(tmp_path))
    server.launch()
    eventually(lambda: is_listening(server.port))
    server.kill()
    with MongoServer(tmp_path, server.port, password=server_password(tmp_path)) as again:
        put(again, "after all")
        again.kill()
        # Somebody removed the password: the data must not be opened with another one.
        (tmp_path / "password").unlink()
        with pytest.raises(ServerError, match=f"does not fit the data in {tmp_path}"):
            MongoServer(tmp_path, password=server_password(tmp_path)).start()


def test_a_first_start_is_ready_however_much_the_server_logs(tmp_path: Path) -> None:
    """The user is made once the log says that our process listens. On a slow disk, that line is old by then."""
    server = MongoServer(tmp_path, password=server_password(tmp_path), options=("-vvvvv",))
    server.launch()
    try:

        def has_logged_much_since() -> bool:
            is_listening(server.port)  # connections are logged
            _, line, later = server.log.read_text().partition("Waiting for connections")
            return bool(line) and len(later) > 128 * 1024

        eventually(has_logged_much_since)
        server.wait_ready()
        put(server, "after all")
    finally:
        server.kill()


def intrude(port: int, *, password: str | None = None, create_user: bool = False) -> None:
    """Do what any other user of this machine can try."""
    username = USER if password else None
    client: Client = MongoClient(
        "127.0.0.1", port, directConnection=True, username=username, password=password
    )
    with client:
        if create_user:
            client.admin.command("createUser", "stranger", pwd="a back door", roles=["root"])
        client.shop.things.find_one()


def test_mongo_runs_transactions(
    mongo_server: MongoServer, fresh_database: Callable[[], str]
) -> None:
    url = mongo_server.database_url(fresh_database())
    with open_store(url) as database, database.client.start_session() as session:
        with session.start_transaction():
            database.one.insert_one({}, session=session)
            database.two.insert_one({}, session=session)
        assert database.one.count_documents({}) == database.two.count_documents({}) == 1


def test_redis_keeps_its_data_over_stop_and_kill(tmp_path: Path) -> None:
    with RedisNode(tmp_path) as server:
        with Redis.from_url(server.url) as client:
            client.set("before", "the stop")
        server.stop()
        assert server.exit_code == 0
        server.start()
        with Redis.from_url(server.url) as client:
            client.set("then", "the kill")
        server.kill()
        server.start()
        with Redis.from_url(server.url, decode_responses=True) as client:
            assert client.mget("before", "then") == ["the stop", "the kill"]


def test_redis_with_a_password_answers_nobody_without_it(tmp_path: Path) -> None:
    with RedisNode(tmp_path) as old, Redis.from_url(old.url) as client:
        client.set("from", "before")
    password = server_password(tmp_path)
    with RedisNode(tmp_path, password=password) as server:
        with Redis.from_url(server.url) as client:
            assert client.get("from") == b"before"
        with Redis(port=server.port) as stranger, pytest.raises(AuthenticationError):
            stranger.get("from")
        assert password not in " ".join(command_line(server.pid or 0))
    for file in tmp_path.iterdir():
        if file.is_file() and password in file.read_text(errors="replace"):
            assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.parametrize("kind", [MongoServer, RedisNode])
def test_a_taken_port_is_named_and_its_owner_left_alone(
    kind: type[MongoServer | RedisNode],
    mongo_server: MongoServer,
    redis_server: RedisNode,
    tmp_path: Path,
) -> None:
    owner = mongo_server if kind is MongoServer else redis_server
    with pytest.raises(ServerError, match=f"127.0.0.1:{owner.port}: the port is taken"):
        kind(tmp_path, owner.port).start()
    assert owner.ready()


@pytest.mark.parametrize("kind", [MongoServer, RedisNode])
def test_a_directory_in_use_is_named_and_its_server_left_alone(
    kind: type[MongoServer | RedisNode], mongo_server: MongoServer, redis_server: RedisNode
) -> None:
    owner = mongo_server if kind is MongoServer else redis_server
    with pytest.raises(ServerError, match=f"{owner.home} is in use"):
        kind(owner.home).start()
    assert owner.ready()


def test_a_directory_used_by_a_foreign_mongod_is_named(mongo_server: MongoServer) -> None:
    (mongo_server.home / "mongod.pid").rename(mongo_server.home / "hidden.pid")
    try:
        with pytest.raises(ServerError, match=f"{mongo_server.home} is in use by another mongod"):
            MongoServer(mongo_server.home).start()
    finally:
        (mongo_server.home / "hidden.pid").rename(mongo_server.home / "mongod.pid")
    assert mongo_server.ready()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'error while loading libcurl.so.4'; exit 127", "(?s)install libcurl4.*libcurl.so.4"),
        ("kill -ILL $$", "needs AVX"),
        ("echo 'what it said'; exit 3", "(?s)exit code 3.*what it said"),
    ],
)
def test_a_mongod_that_cannot_run_says_why(script: str, message: str, tmp_path: Path) -> None:
    binary = tmp_path / "mongod"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    with pytest.raises(ServerError, match=message):
        MongoServer(tmp_path / "data", binary=binary).start()


def test_a_server_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    binary = tmp_path / "mongod"
    binary.write_text("#!/bin/sh\nsleep 600\n")
    binary.chmod(0o755)
    server = MongoServer(tmp_path / "data", binary=binary)
    server.launch()
    with pytest.raises(ServerError, match=r"not ready after 0\.2 s"):
        server.wait_ready(timeout=0.2)
    assert server.exit_code == -signal.SIGKILL


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with RedisNode(tmp_path) as server:
        os.kill(server.pid or 0, signal.SIGSTOP)
        server.stop(timeout=0.2)
        assert server.exit_code == -signal.SIGKILL


def test_the_data_is_reachable_from_this_machine_only(redis_server: RedisNode) -> None:
    assert "--bind" in (line := command_line(redis_server.pid or 0))
    assert line[line.index("--bind") + 1] == "127.0.0.1"


def test_a_taken_port_is_stepped_over(redis_server: RedisNode) -> None:
    assert not is_free(redis_server.port)
    assert free_port(redis_server.port) > redis_server.port
    free = free_port()
    assert free_port(free) == free


def test_programs_are_found_in_the_wheels_and_absence_says_what_to_install() -> None:
    for name in ("mongod", "redis"):
        assert locate(name).stat().st_mode & stat.S_IXUSR
    with pytest.raises(MissingBinary, match=r"kernapay\[embedded\].*MONGODB_URL"):
        locate("mongod", {"mongod": Source((), ("no-such-mongod",), "MONGODB_URL")})
