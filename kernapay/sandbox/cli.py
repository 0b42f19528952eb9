"""`kernapay sandbox`: run the sandbox."""

import os

import click

from kernapay.sandbox.config import ConfigError, SandboxConfig

HELP = """Run a simulator of Razorpay on this machine.

It has Razorpay's REST API, its Checkout and its signed webhooks, and injects faults on request.
Point any Razorpay SDK at its address with one of its key pairs. Its page at / and the calls under
/_sandbox show and control everything.

\b
Environment variables (options override them; defaults in brackets):
  SANDBOX_KEYS                    ID:SECRET[,ID:SECRET...]
  SANDBOX_DATA                    SQLite file to keep all data in [in memory]
  SANDBOX_WEBHOOKS                URL|SECRET[|KEY_ID][,...]
  SANDBOX_ALLOWED_HOSTS           further names of this machine, like sandbox[,...], by which the page
                                  and the calls under /_sandbox may be reached [localhost only]
  SANDBOX_CAPTURE                 automatic or manual [automatic]
  SANDBOX_AUTO_REFUND_MINUTES     uncaptured payments are refunded after [4320]
  SANDBOX_MAX_AMOUNT              largest amount, in minor units [50000000]
  SANDBOX_SETTLE_AFTER_HOURS      hours between settlements [48]
  SANDBOX_WEBHOOK_TIMEOUT         seconds until a webhook times out [5]
  SANDBOX_WEBHOOK_BACKOFF         seconds to the first retry, doubling for 24 h [2]
  SANDBOX_DELIVERY_LOG            ended deliveries to keep in the log [5000]
  SANDBOX_BAD_KEY_STATUS          answer to a bad key pair: 400 or 401 [401]
  SANDBOX_REFUND_CONFLICT_STATUS  answer to a reused refund key: 400 or 409 [400]

\b
Try:
  curl -u rzp_test_kernapay:sandbox_secret_kernapay_0001 http://127.0.0.1:3100/v1/orders \\
       -d amount=50000 -d currency=INR
  curl http://127.0.0.1:3100/_sandbox/pay -d '{"order_id": "order_...", "method": "upi"}'
  curl http://127.0.0.1:3100/_sandbox/faults -d '{"name": "answer_lost", "times": 1}'
  curl http://127.0.0.1:3100/_sandbox/clock -d '{"advance": 86400}'
  curl -X POST http://127.0.0.1:3100/_sandbox/scenarios/dispute_lost
"""


@click.command("sandbox", help=HELP)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=3100,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port to listen on.",
)
@click.option("--data", metavar="FILE", help="SQLite file to keep all data in.")
@click.option("--key", "keys", multiple=True, metavar="ID:SECRET", help="Key pair. Repeatable.")
@click.option(
    "--webhook", "webhooks", multiple=True, metavar="URL=SECRET", help="Webhook. Repeatable."
)
@click.option(
    "--capture",
    type=click.Choice(["automatic", "manual"]),
    help="How payments are captured if their order does not say.",
)
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
        # The secret follows the last equals sign, because an address may contain others.
        environ["SANDBOX_WEBHOOKS"] = ",".join("|".join(w.rsplit("=", 1)) for w in webhooks)
    if capture is not None:
        environ["SANDBOX_CAPTURE"] = capture
    try:
        config = SandboxConfig.from_env(environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    serve(config, host, port)


def serve(config: SandboxConfig, host: str = "127.0.0.1", port: int = 3100) -> None:
    """Run until SIGTERM or SIGINT. Raise ClickException if the port or the file is in use."""
    # Imported here to keep the program's other commands fast.
    from kernapay.sandbox.server import StartError, run

    try:
        run(config, host, port)
    except StartError as error:
        raise click.ClickException(str(error)) from None
