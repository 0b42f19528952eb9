"""Traces of a payment: from the request through calls to the gateway to the event that settles it.

They need TRACING_URL. Without it, OpenTelemetry is not imported, and every function here returns at once.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Protocol


class RequestSpan(Protocol):
    """The span of a request."""

    def finish(self, name: str, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        """Name the span once its route and its status are known."""


class Tracer(Protocol):
    def current(self) -> str | None:
        """Return the present span in the form of the header `traceparent` (W3C), None outside of a trace."""

    def request(self, traceparent: str | None) -> AbstractContextManager[RequestSpan]:
        """Trace the block as a request. With a `traceparent` it belongs to the caller's trace."""

    def resume(self, name: str, traceparent: str) -> AbstractContextManager[None]:
        """Trace the block as a part of an earlier trace, with a link to the present one."""

    def record_call(self, name: str, seconds: float, status: int | None) -> None:
        """Add a call to another service that has just ended. `status` is None without an answer."""


class Tracing:
    """Whether this process traces: `tracer` is None while it does not."""

    tracer: ClassVar[Tracer | None] = None


def current() -> str | None:
    """Return the present trace as text to store, None while there is none."""
    return None if Tracing.tracer is None else Tracing.tracer.current()


def resume(name: str, traceparent: str | None) -> AbstractContextManager[None]:
    """Run the block as a part of the stored trace, if there is one."""
    if Tracing.tracer is None or traceparent is None:
        return nullcontext()
    return Tracing.tracer.resume(name, traceparent)


def record_call(name: str, seconds: float, status: int | None) -> None:
    """Add a call to another service that has just ended to the present trace."""
    if Tracing.tracer is not None:
        Tracing.tracer.record_call(name, seconds, status)
