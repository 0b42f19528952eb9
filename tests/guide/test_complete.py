"""What there is, the guide names: commands, metrics, types of events."""

import re
from collections.abc import Iterator

import click
import httpx

from kernapay.commands.main import cli
from kernapay.deliveries.models import EventType
from tests.checkout import ROOT
from tests.exposition import Exposition

DOCS = ROOT / "kernapay" / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def test_every_type_of_event_is_listed_once() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", page("events"), re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]
    assert sorted(listed) == sorted(EventType)


def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            if command := group.get_command(context, name):
                yield name, command


def test_every_command_is_in_the_guide_and_has_an_example_that_can_be_typed() -> None:
    text = "".join(path.read_text() for path in DOCS.glob("*.md"))
    for name, command in commands(cli):
        assert f"kernapay {name}" in text, name
        _, program, _, *arguments = str(command.epilog).split()
        assert program == "kernapay"
        typed = command
        while isinstance(typed, click.Group):
            typed = typed.commands[arguments.pop(0)]
        _, unknown, _ = typed.make_parser(click.Context(typed)).parse_args(arguments)
        assert unknown == [], name


def test_every_metric_is_listed_and_every_listed_one_exists(api: httpx.Client) -> None:
    listed = set(re.findall(r"`(kernapay_\w+)", page("monitoring")))
    families = re.findall(r"^# TYPE (kernapay_\w+)", Exposition.of(api).text, re.MULTILINE)
    told = {name for name in families if not name.endswith("_created")}
    assert told - listed == set()
    # A worker's own.
    assert listed - told == {"kernapay_worker_loop_silence_seconds"}
