"""`kernapay sandbox`: run the sandbox, which is a separate program."""

from kernapay.sandbox.cli import sandbox as command

__all__ = ["command"]
