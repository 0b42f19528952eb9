"""`kernapay listen`: show events as they happen, and forward them to a program on this machine."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import httpx
import msgspec

from kernapay.commands.options import running_stack
from kernapay.deliveries.signing import key_of, new_secret, sign
from kernapay.devstack.demo_session import CannotSignIn, signed_in
from kernapay.devstack.state import NoStack, find_stack

API_KEY: Final = "KERNAPAY_API_KEY"
SECRET: Final = "KERNAPAY_LISTEN_SECRET"  # noqa: S105
_POLL_SECONDS: Final = 1.0
_FORWARD_SECONDS: Final = 10.0
# An event is stored a moment after it happened, and those of one moment in any order.
_OVERLAP: Final = timedelta(seconds=30)
_PAGE: Final = 100
Row = dict[str, Any]


@click.command()
@click.option(
    "--forward-to",
    metavar="URL",
    help="Post each event to this URL, signed. Without it, events are only shown.",
)
@click.option("--type", "types", multiple=True, help="Only events of this type; may be repeated.")
@click.option(
    "--api", metavar="URL", help=f"Another API than the running stack's; needs {API_KEY}."
)
@running_stack
def command(forward_to: str | None, types: tuple[str, ...], api: str | None, data: Path) -> None:
    """Show events as they happen, until Ctrl-C, and forward them to a program in development.

    It acts with the key in KERNAPAY_API_KEY, and hears what an endpoint of that account would. Without a key, it signs
    in as the demo administrator of the running stack. What it forwards is signed with a secret that it prints; set
    KERNAPAY_LISTEN_SECRET to keep the same one. Nothing is sent again: for that, make an endpoint.
    """
    secret = os.environ.get(SECRET) or new_secret()
    try:
        key = key_of(secret)
    except ValueError:
        raise click.ClickException(f"{SECRET} must be whsec_ and standard base64.") from None
    with _client(api, data) as service, httpx.Client(trust_env=False) as target:
        click.echo(f"Listening to {service.base_url}. Press Ctrl-C to stop.")
        if forward_to is not None:
            click.echo(f"Forwarding to {forward_to}, signed with the secret {secret}")
        with suppress(KeyboardInterrupt):
            for event in Listener(service).events():
                if not types or event["type"] in types:
                    said = "" if forward_to is None else forward(target, forward_to, key, event)
                    click.echo(f"{event['timestamp']}  {event['type']:<26}{event['_id']}{said}")


@contextmanager
def _client(api: str | None, data: Path) -> Iterator[httpx.Client]:
    """Yield a client of the API that may read events."""
    key = os.environ.get(API_KEY)
    if api is None:
        try:
            api = find_stack(data).api
        except NoStack as error:
            raise click.ClickException(f"{error}, or --api with {API_KEY}") from error
    elif key is None:
        raise click.ClickException(f"Set {API_KEY} to a key of that API: kp_test_…")
    if key is not None:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=api, timeout=30, headers=headers) as client:
            yield client
        return
    try:
        with signed_in(api, data, "ADMIN") as client:
            yield client
    except CannotSignIn as error:
        raise click.ClickException(str(error)) from error
    except httpx.HTTPError as error:
        raise click.ClickException(f"{api} does not answer: {type(error).__name__}.") from error


class Listener:
    """Asks for events again and again."""

    def __init__(
        self,
        service: httpx.Client,
        pause: Callable[[], None] = lambda: time.sleep(_POLL_SECONDS),
        since: datetime | None = None,
    ) -> None:
        self._service = service
        self._pause = pause
        self._since = since or datetime.now(UTC)
        self._seen: dict[str, datetime] = {}

    def events(self) -> Iterator[Row]:
        """Yield what happens from now on, in order, each event once. Raises ClickException."""
        while True:
            try:
                found = self._read()
            except httpx.HTTPError as error:
                click.echo(
                    f"The API does not answer ({type(error).__name__}). Trying again.", err=True
                )
                found = []
            yield from sorted(found, key=lambda event: (event["timestamp"], event["sequence"]))
            self._pause()

    def _read(self) -> list[Row]:
        """Return the events that were not seen before."""
        start = self._since.isoformat().replace("+00:00", "Z")
        new: list[Row] = []
        cursor: dict[str, str] = {}
        while True:
            # A page may be short although more follows: events that cannot be read are left out.
            if not (page := self._page({"from": start, "count": str(_PAGE), **cursor})):
                break
            new += [event for event in page if event["_id"] not in self._seen]
            cursor = {"cursor": page[-1]["_id"]}
        for event in new:
            self._seen[event["_id"]] = _time_of(event)
        if self._seen:
            self._since = max(self._since, max(self._seen.values()) - _OVERLAP)
            self._seen = {name: at for name, at in self._seen.items() if at >= self._since}
        return new

    def _page(self, query: dict[str, str]) -> list[Row]:
        answer = self._service.get("/v1/api/events", params=query)
        if answer.status_code >= 500 or answer.status_code == 429:
            answer.raise_for_status()
        if answer.status_code != 200:
            raise click.ClickException(
                f"The API answered {answer.status_code}: {answer.text[:500]}"
            )
        page: list[Row] = answer.json()
        return page


def forward(target: httpx.Client, url: str, key: bytes, event: Row) -> str:
    """Post an event as an endpoint gets it. Return what became of it."""
    body = msgspec.json.encode({name: event[name] for name in ("type", "timestamp", "data")})
    proof = sign([key], event["_id"], int(time.time()), body)
    headers = {"content-type": "application/json", **proof}
    begin = time.perf_counter()
    try:
        answer = target.post(url, content=body, headers=headers, timeout=_FORWARD_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"  → {type(error).__name__}"
    return f"  → {answer.status_code} ({(time.perf_counter() - begin) * 1000:.0f} ms)"


def _time_of(event: Row) -> datetime:
    return datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))
