"""`kernapay sandbox`: the sandbox is a program of its own; this is its command."""

from kernapay.sandbox.cli import sandbox as command

__all__ = ["command"]
