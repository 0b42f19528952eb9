"""What there is, the guide names: commands, metrics, types of events."""

import re
import shlex
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
        check_example(name, command)
        for part, each in commands(command) if isinstance(command, click.Group) else ():
            assert check_example(f"{name} {part}", each) is each, f"{name} {part}"


def check_example(name: str, command: click.Command) -> click.Command:
    """Read the example as the command line does, and return the command that it calls."""
    _, program, _, *arguments = shlex.split(str(command.epilog))
    assert program == "kernapay", name
    typed: click.Command | None = cli.get_command(click.Context(cli), name.partition(" ")[0])
    while isinstance(typed, click.Group):
        typed = typed.get_command(click.Context(typed), arguments.pop(0))
    assert typed is not None, name
    _, unknown, _ = typed.make_parser(click.Context(typed)).parse_args(arguments)
    assert unknown == [], name
    return typed


def test_every_metric_is_listed_and_every_listed_one_exists(api: httpx.Client) -> None:
    listed = set(re.findall(r"`(kernapay_\w+)", page("monitoring")))
    families = re.findall(r"^# TYPE (kernapay_\w+)", Exposition.of(api).text, re.MULTILINE)
    told = {name for name in families if not name.endswith("_created")}
    assert told - listed == set()
    # A worker's own.
    assert listed - told == {"kernapay_worker_loop_silence_seconds"}
