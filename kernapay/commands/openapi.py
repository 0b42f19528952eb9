"""`kernapay openapi`: the API document, without a running service."""

from pathlib import Path

import click

from kernapay.config.settings import load_settings


@click.command()
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file; else printed."
)
def command(output: Path | None) -> None:
    """Write the OpenAPI document."""
    import msgspec

    from kernapay.app import create_app
    from kernapay.web.openapi.schema import document

    # The document does not depend on the configuration: any will do.
    app = create_app(
        load_settings(
            None,
            app_env="development",
            mongodb_url="mongodb://localhost/kernapay",
            jwt_secret="unused",  # noqa: S106
            razorpay_key_id="rzp_test_unused",
            razorpay_key_secret="unused",  # noqa: S106
            razorpay_webhook_secret="unused",  # noqa: S106
        )
    )
    text = msgspec.json.format(msgspec.json.encode(document(app)), indent=2).decode() + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"wrote {output}")
