"""Options that several commands have in common."""

from pathlib import Path
from typing import Final

import click

from kernapay.devstack.state import HOME

DIRECTORY: Final = click.Path(file_okay=False, path_type=Path)

running_stack = click.option(
    "--data",
    type=DIRECTORY,
    default=HOME,
    show_default=True,
    help="Data directory of the running stack, as given to `kernapay dev`.",
)
