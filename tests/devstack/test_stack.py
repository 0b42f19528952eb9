import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from pymongo.errors import OperationFailure
from redis import Redis
from redis.exceptions import AuthenticationError

from kernapay.commands.dev import command as cli
from kernapay.config.loading import read_environment
from kernapay.devstack.pidfile import command_line
from kernapay.devstack.ports import free_port, is_listening
from kernapay.devstack.state import NoStack, StackState, find_stack
from tests.aliases import Json
from tests.databases import open_store
from tests.waiting import eventually

pytestmark = pytest.mark.long

SETTINGS = ("MONGODB_URL", "JWT_SECRET", "RAZORPAY_BASE_URL", "FILES_DIR")
FAKE = Path(__file__).with_name("fake_kernapay.py")
SCRIPT = """
import os, sys
from pathlib import Path
from rich.console import Console
from kernapay.commands.dev import run
from kernapay.devstack.plan import Ports
from kernapay.devstack.stack import DevStack
home, fake, *ports = sys.argv[1:]
console = Console()
program = (sys.executable, fake)
count = os.environ.get("EXAMPLE_PAYMENTS")
stack = DevStack(
    Path(home), os.environ, console, Ports(*map(int, ports)), program, count and int(count)
)
sys.exit(run(stack, console))
"""
# What a shell of macOS allows.
LIMITED = ("sh", "-c", 'ulimit -S -n 256; exec "$0" "$@"')


def is_gone(pid: int) -> bool:
    return not command_line(pid)


class Dev:
    """A `kernapay dev` in a process of its own, on a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "data"
        self.notes = directory / "notes"
        self.notes.mkdir()
        self.ports = [free_port() for _ in range(4)]
        self.runs: list[subprocess.Popen[str]] = []

    def start(self, **environ: str) -> "subprocess.Popen[str]":
        names = (
            "MONGODB_URL",
            "REDIS_URL",
            "REDIS_HOST",
            "RAZORPAY_KEY_ID",
            "JWT_SECRET",
            "PORT",
            "FILES_DIR",
        )
        clean = {name: value for name, value in os.environ.items() if name not in names}
        run = subprocess.Popen(
            [*LIMITED, sys.executable, "-c", SCRIPT, self.home, FAKE, *map(str, self.ports)],
            env={**clean, "FAKE_NOTES": str(self.notes), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.runs.append(run)
        return run

    def wait_ready(self) -> StackState:
        def running() -> StackState | None:
            if self.runs[-1].poll() is not None:
                pytest.fail(f"the stack ended: {self.runs[-1].communicate()[0]}")
            with suppress(NoStack):
                return find_stack(self.home)
            return None

        return eventually(running)

    def note(self, command: str) -> Json:
        """Return what the fake noted of its options, its environment and its limit for open files."""
        noted: Json = json.loads((self.notes / f"{command}.json").read_text())
        return noted

    def workers(self) -> list[int]:
        return [int(file.read_text() or 0) for file in self.notes.glob("worker-*")]


@contextmanager
def dev_in(directory: Path) -> Iterator[Dev]:
    dev = Dev(directory)
    try:
        yield dev
    finally:
        for run in dev.runs:
            if run.poll() is None:
                run.terminate()
            run.communicate(timeout=30)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    with dev_in(tmp_path) as dev:
        yield dev


@dataclass(frozen=True)
class Observed:
    """A stack that has ended, what it showed while it ran, and a second one on its directory."""

    dev: Dev
    state: StackState
    modes: dict[Path, int]
    credentials: dict[str, str]
    command_lines: list[str]
    env_file: str
    shell: list[str]
    """The settings that a shell got of it, in the order of SETTINGS."""
    second: "subprocess.CompletedProcess[str]"
    state_after_second: StackState
    output: str


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with dev_in(tmp_path_factory.mktemp("observed")) as dev:
        run = dev.start(METRICS_TOKEN="of-my-own")
        state = dev.wait_ready()
        env = dev.home / "env"
        stored = json.loads((dev.home / "credentials.json").read_text())
        stored |= {file.parent.name: file.read_text() for file in dev.home.glob("*/password")}
        script = f'. "$1"; printf "%s\\n" {" ".join(f"${name}" for name in SETTINGS)}'
        shell = subprocess.run(
            ["sh", "-c", script, "sh", env], env={}, capture_output=True, text=True, check=True
        )
        private = (dev.home, env, dev.home / "credentials.json", *dev.home.glob("*/password"))
        found = {
            "modes": {path: path.stat().st_mode for path in private},
            "credentials": stored,
            "command_lines": [" ".join(command_line(pid)) for pid in state.pids.values()],
            "env_file": env.read_text(),
            "shell": shell.stdout.splitlines(),
        }
        second = dev.start()
        output, _ = second.communicate(timeout=30)
        ended = subprocess.CompletedProcess([], second.returncode, output)
        after = find_stack(dev.home)
        run.terminate()
        output, _ = run.communicate(timeout=30)
        yield Observed(
            dev=dev, state=state, second=ended, state_after_second=after, output=output, **found
        )


def test_one_command_starts_everything_and_data_and_secrets_survive_a_restart(dev: Dev) -> None:
    """Files are kept with the data too, unless told otherwise."""
    first = dev.start()
    state = dev.wait_ready()
    api, sandbox, mongo, redis = dev.ports
    assert (state.api, state.sandbox) == (f"http://127.0.0.1:{api}", f"http://127.0.0.1:{sandbox}")
    assert state.urls["mongod"].startswith(f"mongodb://127.0.0.1:{mongo}/")
    assert state.urls["redis"] == f"redis://127.0.0.1:{redis}/0"
    assert set(state.pids) == {"mongod", "redis", "sandbox", "api", "worker"}
    env = dev.note("serve")["env"]
    assert (env["APP_ENV"], env["HOST"]) == ("development", "127.0.0.1")
    assert env["DEV_STACK"] == "true"
    assert env["RAZORPAY_BASE_URL"] == state.sandbox
    with Redis.from_url(state.urls["redis"]) as stranger, pytest.raises(AuthenticationError):
        stranger.get("starts")
    with (
        open_store(state.urls["mongod"]) as database,
        pytest.raises(OperationFailure, match="authentication"),
    ):
        database.starts.find_one()

    first.send_signal(signal.SIGINT)
    output, _ = first.communicate(timeout=20)
    assert first.returncode == 0
    demo_password = dev.note("seed")["env"]["KERNAPAY_DEMO_PASSWORD"]
    assert len(demo_password) >= 20
    checkout = f"{state.sandbox}/v1/checkout.js  with the key {state.key_id}"
    for expected in (
        *(f"{state.api}/docs", checkout, "admin@example.com", "-m kernapay demo"),
        *(demo_password, "Pages on http://localhost"),
    ):
        assert expected in output
    stops = [line.split()[0] for line in output.splitlines() if line.endswith("stopped")]
    assert stops == ["worker", "api", "sandbox", "redis", "mongod"]
    eventually(lambda: all(is_gone(pid) for pid in [*state.pids.values(), *dev.workers()]))
    with pytest.raises(NoStack, match="kernapay dev"):
        find_stack(dev.home)

    elsewhere = str(dev.home.with_name("elsewhere"))
    dev.start(FILES_DIR=elsewhere)
    dev.wait_ready()
    again = dev.note("serve")["env"]
    assert (env["FILES_DIR"], again["FILES_DIR"]) == (str(dev.home / "files"), elsewhere)
    for kept in ("JWT_SECRET", "KERNAPAY_DEMO_PASSWORD", "MONGODB_URL", "REDIS_URL"):
        assert again[kept] == env[kept], kept
    with open_store(again["MONGODB_URL"]) as database:
        assert database.starts.count_documents({}) == 2
    with Redis.from_url(again["REDIS_URL"]) as client:
        assert client.get("starts") == b"2"


def test_its_processes_may_open_as_many_files_as_the_system_allows(observed: Observed) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 256
    assert observed.dev.note("migrate")["open_files"] == min(hard, 65_536)


def test_secrets_are_readable_by_their_owner_only_and_on_no_command_line(
    observed: Observed,
) -> None:
    assert len(observed.modes) == 5
    assert [path for path, mode in observed.modes.items() if mode & 0o077] == []
    secrets = dict(observed.credentials)
    assert len(secrets) > 2
    # Pages hand it to Checkout.
    assert secrets.pop("RAZORPAY_KEY_ID") == observed.state.key_id
    assert all(observed.command_lines)
    logs = "".join(log.read_text() for log in observed.dev.home.glob("**/*.log"))
    for name, secret in secrets.items():
        assert len(secret) >= 20
        assert not any(secret in line for line in observed.command_lines), name
        assert secret not in repr(observed.state), name
        assert secret not in logs, name
        assert (secret in observed.output) == (name == "KERNAPAY_DEMO_PASSWORD"), name


def test_a_shell_gets_the_settings_of_the_stack_while_it_runs(observed: Observed) -> None:
    served = observed.dev.note("serve")["env"]
    assert observed.shell == [served[name] for name in SETTINGS]
    # What the stack was given stays where it is.
    assert "METRICS_TOKEN" not in observed.env_file
    assert "SANDBOX_" not in observed.env_file
    # A `serve` with these settings is not a part of the stack.
    assert "DEV_STACK" not in observed.env_file
    env = observed.dev.home / "env"
    assert f". {env} && " in observed.output
    assert not env.exists()


def test_kill_9_of_the_stack_leaves_no_process_and_the_next_start_works(dev: Dev) -> None:
    first = dev.start()
    state = dev.wait_ready()
    pids = [*state.pids.values(), *dev.workers()]
    assert len(pids) == 7
    first.kill()
    first.communicate()
    eventually(lambda: all(is_gone(pid) for pid in pids))

    with pytest.raises(NoStack):
        find_stack(dev.home)
    dev.start()
    assert dev.wait_ready().api == state.api


def test_taken_ports_are_stepped_over_and_said(dev: Dev) -> None:
    with ExitStack() as stack:
        for port in dev.ports:
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        run = dev.start()
        state = dev.wait_ready()
        urls = [state.api, state.sandbox, state.urls["mongod"], state.urls["redis"]]
        assert not [
            url for url, port in zip(urls, dev.ports, strict=True) if f":{port}" in str(url)
        ]
    run.terminate()
    output, _ = run.communicate(timeout=20)
    for port in dev.ports:
        assert f"Port {port} is taken" in output


def test_a_second_stack_on_the_directory_says_where_the_first_one_is(observed: Observed) -> None:
    assert observed.second.returncode == 1
    assert f"process {observed.state.pid}" in observed.second.stdout
    assert observed.state.api in observed.second.stdout
    assert observed.state_after_second == observed.state, "the first one is undisturbed"


def test_the_death_of_a_child_ends_the_stack_and_shows_its_last_words(dev: Dev) -> None:
    run = dev.start()
    state = dev.wait_ready()
    os.kill(state.pids["api"], signal.SIGUSR1)
    output, _ = run.communicate(timeout=20)
    assert run.returncode == 1
    assert "api ended with exit code 7" in output
    assert "the last words of a fake" in output
    eventually(lambda: all(is_gone(pid) for pid in [*state.pids.values(), *dev.workers()]))


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_step_that_fails_ends_the_start_and_shows_why(dev: Dev, command: str) -> None:
    run = dev.start(FAKE_FAILS=command)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 1
    assert f"{command} fails as asked" in output
    assert not any(is_listening(port) for port in dev.ports)


@pytest.mark.soak
def test_example_data_is_made_once_and_never_left_half_made(dev: Dev) -> None:
    """A start that ended while it made the data leaves the sandbox's clock in the past: the next one says so."""
    wanted = {"EXAMPLE_PAYMENTS": "7"}
    failed = dev.start(FAKE_FAILS="seed", **wanted)
    assert "seed fails as asked" in failed.communicate(timeout=30)[0]
    # Also a start without the option must not go on with that.
    refused = dev.start()
    output = refused.communicate(timeout=30)[0]
    assert (failed.returncode, refused.returncode) == (1, 1)
    assert f"rm -r {dev.home}" in output
    shutil.rmtree(dev.home)

    for options in (["--example-payments", "7"], []):
        run = dev.start(**wanted)
        dev.wait_ready()
        assert dev.note("seed")["options"] == options
        assert dev.note("serve")["env"]["MERCHANT_NAME"] == "Sunrise Clinic"
        run.terminate()
        run.communicate(timeout=20)

    own = dev.start(MONGODB_URL="mongodb://127.0.0.1:1/mine", **wanted)
    assert "unset MONGODB_URL" in own.communicate(timeout=30)[0]


def test_ctrl_c_while_it_starts_leaves_nothing_behind(dev: Dev) -> None:
    run = dev.start()
    log = dev.home / "mongo" / "mongod.log"
    eventually(log.exists)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=20)
    assert run.returncode == 0
    assert not any(is_listening(port) for port in dev.ports)
    assert not (dev.home / "stack.json").exists()


def test_servers_and_keys_of_the_environment_win(dev: Dev, mongo_url: str, redis_url: str) -> None:
    run = dev.start(
        MONGODB_URL=mongo_url,
        REDIS_URL=redis_url,
        RAZORPAY_KEY_ID="rzp_test_mine",
        RAZORPAY_KEY_SECRET="my secret",
    )
    state = dev.wait_ready()
    assert set(state.pids) == {"api", "worker"}
    assert state.sandbox is None
    env = dev.note("serve")["env"]
    assert (env["MONGODB_URL"], env["REDIS_URL"]) == (mongo_url, redis_url)
    assert env["RAZORPAY_BASE_URL"] is None
    # Demo accounts have no business in a database that is not ours.
    assert not (dev.notes / "seed.json").exists()
    run.terminate()
    output, _ = run.communicate(timeout=20)
    assert "MONGODB_URL" in output
    assert mongo_url not in output


def test_the_file_of_the_settings_counts_and_the_environment_wins_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env.payment").write_text("REDIS_HOST=cache.internal\nMONGODB_URL=from-the-file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGODB_URL", "from-the-environment")
    found = read_environment()
    assert (found["REDIS_HOST"], found["MONGODB_URL"]) == ("cache.internal", "from-the-environment")


def test_the_command_explains_itself() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    for option in ("--data", "--port", "MONGODB_URL", "RAZORPAY_KEY_ID"):
        assert option in result.output
    assert CliRunner().invoke(cli, ["--port", "70000"]).exit_code == 2
