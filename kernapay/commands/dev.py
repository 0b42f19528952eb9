"""`kernapay dev`: the whole stack with one command."""

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import click
from dotenv import dotenv_values
from rich.console import Console

from kernapay.config.settings import ENV_FILE
from kernapay.devstack.accounts import DEMO_ACCOUNTS, DEMO_PASSWORD
from kernapay.devstack.binaries import MissingBinary
from kernapay.devstack.plan import Ports
from kernapay.devstack.process import ServerError
from kernapay.devstack.stack import DevStack, Interrupted
from kernapay.devstack.state import ENVIRONMENT, HOME, StackState

PORT = click.IntRange(1, 65535)


def environment() -> Mapping[str, str]:
    """Return what the settings will read: the file, and over it the process environment."""
    file = {name: value or "" for name, value in dotenv_values(ENV_FILE).items()}
    return {**file, **os.environ}


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=HOME,
    show_default=True,
    help="Directory for databases, secrets and logs; kept between starts.",
)
@click.option(
    "--port",
    type=PORT,
    default=lambda: environment().get("PORT") or Ports.api,
    show_default=f"PORT or {Ports.api}",
    help="Port of the API.",
)
@click.option("--sandbox-port", type=PORT, default=Ports.sandbox, show_default=True)
@click.option("--mongo-port", type=PORT, default=Ports.mongo, show_default=True)
@click.option("--redis-port", type=PORT, default=Ports.redis, show_default=True)
def command(data: Path, port: int, sandbox_port: int, mongo_port: int, redis_port: int) -> None:
    """Run KernaPay with its databases and a Razorpay sandbox; Ctrl-C ends everything.

    A port that is taken is stepped over. MONGODB_URL, REDIS_URL, and RAZORPAY_KEY_ID with
    RAZORPAY_KEY_SECRET replace the built-in parts, from the environment or from .env.payment.
    """
    console = Console()
    ports = Ports(port, sandbox_port, mongo_port, redis_port)
    sys.exit(run(DevStack(data, environment(), console, ports), console))


def run(stack: DevStack, console: Console) -> int:
    """Run the stack until a signal (return 0) or until a part of it fails (return 1)."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signals.append(signal.SIGHUP)
    for number in signals:
        signal.signal(number, lambda *_: stack.interrupt())
    try:
        state = stack.start()
        say(console, banner(state, stack.home))
        stack.watch()
    except Interrupted:
        return 0
    except (ServerError, MissingBinary, OSError) as error:
        say(console, f"\n{error}", style="red")
        return 1
    finally:
        stack.stop()


def say(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def banner(state: StackState, home: Path) -> str:
    """Say where everything is and what to try."""
    kernapay = own_command()
    at_home = home == HOME.resolve()
    data = "" if at_home else f" --data {shlex.quote(str(home))}"
    settings = HOME / ENVIRONMENT if at_home else home / ENVIRONMENT
    lines = [
        "",
        "KernaPay is running. Ctrl-C ends it.",
        "",
        f"  API         {state.api}/v1/api",
        f"  Swagger UI  {state.api}/docs",
    ]
    if state.sandbox:
        lines.append(f"  Sandbox     {state.sandbox}  (plays Razorpay: pay, decline, fail)")
    lines += [f"  {name:<11} {url}" for name, url in state.urls.items()]
    lines += [f"  Data, logs  {home}", ""]
    if "mongod" in state.urls:
        lines.append(f"Sign in with the password {DEMO_PASSWORD} as")
        lines += [f"  {role:<14} {email}" for role, email in DEMO_ACCOUNTS.items()]
        login = (
            f"curl -s {state.api}/v1/api/users/login -H 'content-type: application/json' \\\n"
            f'    -d \'{{"email": "{DEMO_ACCOUNTS["USER"]}", "password": "{DEMO_PASSWORD}"}}\''
        )
    else:
        lines.append("The database is yours, so it got no demo accounts. To make them:")
        lines.append(f"  {kernapay} seed")
        login = f"curl -s {state.api}/health/ready"
    lines += ["", "Try next, in a second terminal:", f"  {kernapay} demo{data}", f"  {login}", ""]
    lines.append("Operators' commands need the settings of this stack (secrets: for you alone):")
    lines += [f"  . {shlex.quote(str(settings))} && {kernapay} doctor", ""]
    return "\n".join(lines)


def own_command() -> str:
    """Return how to call KernaPay from the same directory."""
    called = sys.argv[0]
    if Path(called).name != "kernapay":
        return f"{shlex.quote(sys.executable)} -m kernapay"
    return "kernapay" if shutil.which("kernapay") == called else shlex.quote(called)
