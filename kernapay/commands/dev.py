"""`kernapay dev`: run the complete development stack."""

import shlex
import shutil
import signal
import sys
from pathlib import Path

import click
from rich.console import Console

from kernapay.commands.options import DIRECTORY
from kernapay.config.loading import read_environment
from kernapay.core.limits import raise_open_files
from kernapay.devstack.accounts import DEMO_ACCOUNTS
from kernapay.devstack.binaries import MissingBinary
from kernapay.devstack.plan import Ports
from kernapay.devstack.process import ServerError
from kernapay.devstack.stack import DevStack, Interrupted
from kernapay.devstack.state import ENVIRONMENT, HOME, StackState

PORT = click.IntRange(1, 65535)
EXAMPLE_PAYMENTS = 400


@click.command()
@click.option(
    "--data",
    type=DIRECTORY,
    default=HOME,
    show_default=True,
    help="Directory for databases, secrets and logs. The next start uses it again.",
)
@click.option(
    "--port",
    type=PORT,
    default=lambda: read_environment().get("PORT") or Ports.api,
    show_default=f"PORT or {Ports.api}",
    help="Port of the API.",
)
@click.option(
    "--sandbox-port",
    type=PORT,
    default=Ports.sandbox,
    show_default=True,
    help="Port of the Razorpay sandbox.",
)
@click.option(
    "--mongo-port", type=PORT, default=Ports.mongo, show_default=True, help="Port of MongoDB."
)
@click.option(
    "--redis-port", type=PORT, default=Ports.redis, show_default=True, help="Port of Redis."
)
@click.option(
    "--example-data",
    "has_example_data",
    is_flag=True,
    help="Start with example data, made once: two weeks of a small clinic with refunds, disputes and settlements.",
)
@click.option(
    "--example-payments",
    type=click.IntRange(1, 5000),
    default=EXAMPLE_PAYMENTS,
    show_default=True,
    help="How many payments the example data has.",
)
def command(
    data: Path,
    port: int,
    sandbox_port: int,
    mongo_port: int,
    redis_port: int,
    has_example_data: bool,
    example_payments: int,
) -> None:
    """Run KernaPay with its databases and a Razorpay sandbox. Ctrl-C ends everything.

    If a port is taken, the next free one is used. To use your own servers, set MONGODB_URL,
    REDIS_URL, or RAZORPAY_KEY_ID and RAZORPAY_KEY_SECRET, in the environment or in .env.payment.
    """
    console = Console()
    ports = Ports(port, sandbox_port, mongo_port, redis_port)
    count = example_payments if has_example_data else None
    stack = DevStack(data, read_environment(), console, ports, example_payments=count)
    sys.exit(run(stack, console))


def run(stack: DevStack, console: Console) -> int:
    """Run the stack. Return 0 after a signal, and 1 if a part of it fails."""
    # The children inherit it. mongod keeps files open for each collection and index, and ends when it may open no more.
    raise_open_files()
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
        signals.append(signal.SIGHUP)
    for number in signals:
        signal.signal(number, lambda *_: stack.interrupt())
    try:
        state = stack.start()
        _print(console, describe(state, stack.home, stack.demo_password))
        stack.watch()
    except Interrupted:
        return 0
    except (ServerError, MissingBinary, OSError) as error:
        _print(console, f"\n{error}", style="red")
        return 1
    finally:
        stack.stop()


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def describe(state: StackState, home: Path, demo_password: str | None) -> str:
    """Return the addresses, the accounts and commands to try, for the terminal."""
    kernapay = _own_command()
    is_default = home == HOME.resolve()
    data = "" if is_default else f" --data {shlex.quote(str(home))}"
    settings = shlex.quote(str(HOME / ENVIRONMENT if is_default else home / ENVIRONMENT))
    lines = ["", "KernaPay is running. Press Ctrl-C to stop it.", "", *_addresses(state, home), ""]
    if demo_password is not None:
        lines.append(f"Sign in with the password {demo_password} as one of:")
        lines += [f"  {role:<14} {email}" for role, email in DEMO_ACCOUNTS.items()]
        # `echo` is a part of the shell: the arguments of curl could be read by every user of the machine.
        first_call = (
            f"""echo '{{"email": "{DEMO_ACCOUNTS["USER"]}", "password": "{demo_password}"}}' | \\\n"""
            f"    curl -s {state.api}/v1/api/users/login -H 'content-type: application/json' -d @-"
        )
    else:
        lines.append("Your own database gets no demo accounts. To create them:")
        lines.append(f"  . {settings} && {kernapay} seed")
        first_call = f"curl -s {state.api}/health/ready"
    lines += [
        "",
        "Pages on http://localhost, of any port, may call the API. Others need CORS_ORIGINS.",
        "",
        "Next, in a second terminal:",
        *([f"  {kernapay} demo{data}"] if state.sandbox else []),
        f"  {first_call}",
        "",
        "Other commands need the settings of this stack. The file contains secrets:",
        f"  . {settings} && {kernapay} doctor",
        "",
    ]
    return "\n".join(lines)


def _addresses(state: StackState, home: Path) -> list[str]:
    rows = {
        "API": f"{state.api}/v1/api",
        "Swagger UI": f"{state.api}/docs",
        "Console": f"{state.api}/console",
        "Guide": f"{state.api}/guide",
    }
    if not state.key_id.startswith("rzp_live_"):
        rows["Shop"] = f"{state.api}/shop  (a demo to copy)"
    if state.sandbox:
        rows["Sandbox"] = f"{state.sandbox}  (stands in for Razorpay; shows its webhooks and mails)"
        rows["Checkout"] = f"{state.sandbox}/v1/checkout.js  with the key {state.key_id}"
    rows |= {
        name: f"{url}  (with the password in {ENVIRONMENT})" for name, url in state.urls.items()
    }
    rows["Data, logs"] = str(home)
    return [f"  {name:<11} {text}" for name, text in rows.items()]


def _own_command() -> str:
    """Return the command that starts KernaPay in a shell of the same directory."""
    program = sys.argv[0]
    if Path(program).name != "kernapay":
        return f"{shlex.quote(sys.executable)} -m kernapay"
    return "kernapay" if shutil.which("kernapay") == program else shlex.quote(program)
