"""`kernapay sandbox`: a Razorpay on this machine, by itself on one port."""

import os

import click

from kernapay.sandbox.config import ConfigError, SandboxConfig

HELP = """Run a Razorpay that lives on this machine.

It speaks Razorpay's REST API, serves its Checkout, delivers signed webhooks, keeps its own
books and goes wrong on request. Point any Razorpay SDK at its address with one of its key
pairs. Everything can be seen and steered on its page, or by calls under /_sandbox.

\b
Environment (options win):
  SANDBOX_KEYS                    ID:SECRET[,ID:SECRET...]
  SANDBOX_DATA                    SQLite file; empty: in memory
  SANDBOX_WEBHOOKS                URL|SECRET[|KEY_ID][,...], registered at start
  SANDBOX_CAPTURE                 automatic (default) or manual
  SANDBOX_AUTO_REFUND_MINUTES     uncaptured payments go back after (4320)
  SANDBOX_MAX_AMOUNT              largest amount, in minor units (50000000)
  SANDBOX_SETTLE_AFTER_HOURS      settlements run every (48)
  SANDBOX_WEBHOOK_TIMEOUT         seconds an endpoint has to answer (5)
  SANDBOX_WEBHOOK_BACKOFF         seconds to the first retry, doubling, 24 h in all (2)
  SANDBOX_DELIVERY_LOG            finished deliveries kept in the log (5000)
  SANDBOX_BAD_KEY_STATUS          401 (default) or 400
  SANDBOX_REFUND_CONFLICT_STATUS  400 (default) or 409

\b
Try:
  curl -u rzp_test_kernapay:sandbox_secret_kernapay_0001 http://127.0.0.1:3100/v1/orders \\
       -d amount=50000 -d currency=INR
  curl http://127.0.0.1:3100/_sandbox/pay -d '{"order_id": "order_...", "method": "upi"}'
  curl http://127.0.0.1:3100/_sandbox/faults -d '{"name": "answer_lost", "times": 1}'
  curl http://127.0.0.1:3100/_sandbox/clock -d '{"advance": 86400}'
"""


@click.command("sandbox", help=HELP)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=3100, show_default=True, type=click.IntRange(1, 65535), help="Port."
)
@click.option("--data", metavar="FILE", help="Keep the books in this SQLite file.")
@click.option("--key", "keys", multiple=True, metavar="ID:SECRET", help="A key pair; repeatable.")
@click.option(
    "--webhook", "webhooks", multiple=True, metavar="URL=SECRET", help="A webhook; repeatable."
)
@click.option("--capture", type=click.Choice(["automatic", "manual"]), help="Default capture.")
def sandbox(
    host: str,
    port: int,
    data: str | None,
    keys: tuple[str, ...],
    webhooks: tuple[str, ...],
    capture: str | None,
) -> None:
    environ = dict(os.environ)
    if data is not None:
        environ["SANDBOX_DATA"] = data
    if keys:
        environ["SANDBOX_KEYS"] = ",".join(keys)
    if webhooks:
        # The secret follows the last equals sign, since an address may have some of its own.
        environ["SANDBOX_WEBHOOKS"] = ",".join("|".join(w.rsplit("=", 1)) for w in webhooks)
    if capture is not None:
        environ["SANDBOX_CAPTURE"] = capture
    try:
        config = SandboxConfig.from_env(environ)
    except ConfigError as problem:
        raise click.ClickException(str(problem)) from None
    serve(config, host, port)


def serve(config: SandboxConfig, host: str = "127.0.0.1", port: int = 3100) -> None:
    """Run until SIGTERM or Ctrl-C; raise ClickException if port or file is in use."""
    # Imported late: the other commands of the main program need none of this.
    from kernapay.sandbox.server import CannotStart, run

    try:
        run(config, host, port)
    except CannotStart as problem:
        raise click.ClickException(str(problem)) from None
