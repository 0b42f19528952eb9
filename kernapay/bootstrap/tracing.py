"""Tracing of a process, on only with TRACING_URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kernapay import __version__
from kernapay.config.settings import Settings
from kernapay.core.tracing import Tracing


@asynccontextmanager
async def traced(settings: Settings, service: str) -> AsyncIterator[None]:
    """Trace what the block does, as this service, if TRACING_URL is set."""
    if settings.tracing_url is None:
        yield
        return
    # Only now: it takes long, and is an extra that need not be installed.
    from kernapay.core.open_telemetry import OpenTelemetry

    tracer = OpenTelemetry(settings.tracing_url, settings.tracing_ratio, service, __version__)
    Tracing.tracer = tracer
    try:
        yield
    finally:
        Tracing.tracer = None
        await tracer.close()
