"""The tracer: OpenTelemetry, sent by OTLP over HTTP. Only the extra `kernapay[tracing]` installs it.

No trace header is sent to anybody, and no span has an id of a payment or a person, an address or a text of an error.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Final

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_HEADER: Final = "traceparent"
_PATH: Final = "/v1/traces"
_EXPORT_SECONDS: Final = 3
# How long the end of the process waits for the last spans to be sent.
_CLOSING_SECONDS: Final = 5
_FIRST_FAILURE: Final = 400
_format: Final = TraceContextTextMapPropagator()


class _Request:
    def __init__(self, span: Span) -> None:
        self._span = span

    def finish(self, name: str, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(StatusCode.ERROR)


class OpenTelemetry:
    def __init__(self, url: str, ratio: float, service: str, version: str) -> None:
        """Send to the collector at `url` a share of all traces, `ratio` of 1."""
        share = TraceIdRatioBased(ratio)
        self._provider = TracerProvider(
            # Callers do not decide what is sampled: they could ask for everything.
            sampler=ParentBased(
                share, remote_parent_sampled=share, remote_parent_not_sampled=share
            ),
            resource=Resource.create({"service.name": service, "service.version": version}),
        )
        exporter = OTLPSpanExporter(endpoint=f"{url}{_PATH}", timeout=_EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("kernapay", version)

    def current(self) -> str | None:
        carrier: dict[str, str] = {}
        _format.inject(carrier)
        return carrier.get(_HEADER)

    @contextmanager
    def request(self, traceparent: str | None) -> Iterator[_Request]:
        parent = _format.extract({_HEADER: traceparent} if traceparent else {}, context.Context())
        with self._entered("request", parent, SpanKind.SERVER) as span:
            yield _Request(span)

    @contextmanager
    def resume(self, name: str, traceparent: str) -> Iterator[None]:
        present = trace.get_current_span().get_span_context()
        links = [Link(present)] if present.is_valid else []
        parent = _format.extract({_HEADER: traceparent}, context.Context())
        with self._entered(name, parent, SpanKind.CONSUMER, links):
            yield

    def record_call(self, name: str, seconds: float, status: int | None) -> None:
        end = time.time_ns()
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, start_time=end - round(seconds * 1_000_000_000)
        )
        if status is None:
            span.set_attribute("error.type", "unanswered")
        else:
            span.set_attribute("http.response.status_code", status)
        if status is None or status >= _FIRST_FAILURE:
            span.set_status(StatusCode.ERROR)
        span.end(end)

    async def close(self) -> None:
        """Send the spans that are left, for five seconds at most."""
        # A daemon: the end of the process must not wait for a collector that does not answer.
        sending = Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, _CLOSING_SECONDS)

    @contextmanager
    def _entered(
        self, name: str, parent: context.Context, kind: SpanKind, links: list[Link] | None = None
    ) -> Iterator[Span]:
        # The library would store the text of an exception, which may name a person.
        with self._tracer.start_as_current_span(
            name, parent, kind, links=links, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise
