"""Refuse an older Python before pip resolves anything.

pip 23.0, which comes with Python 3.10, reads `requires-python` last: it tries releases of the dependencies for minutes.
"""

import sys

from hatchling.metadata.plugin.interface import MetadataHookInterface

OLDEST = (3, 11)


class RequirePython(MetadataHookInterface):
    """Ends the build with one sentence; the other metadata stay as they are in pyproject.toml."""

    def update(self, metadata):
        if sys.version_info < OLDEST:
            sys.exit(
                "KernaPay needs Python {}.{} or newer, and this is Python {}.{}. Fix: make the virtual environment "
                "with a newer one, such as python3.11 -m venv .venv".format(
                    *OLDEST, *sys.version_info[:2]
                )
            )
