"""`kernapay openapi`: write the OpenAPI document."""

from pathlib import Path

import click

from kernapay.config.loading import load_settings


@click.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write. Without it, the document is printed.",
)
def command(output: Path | None) -> None:
    """Write the OpenAPI document of the API, without a running service."""
    import msgspec

    from kernapay.app import create_app
    from kernapay.web.openapi.document import write_document

    # The document does not depend on the settings, so any valid ones will do.
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
    text = msgspec.json.format(msgspec.json.encode(write_document(app)), indent=2).decode() + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"wrote {output}")
