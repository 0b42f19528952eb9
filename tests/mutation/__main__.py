"""Change the money code in small ways, one at a time, and see whether a test notices.

`python -m tests.mutation payments/matching.py`; without a module, all of them. A run that was stopped goes on where it
was; each leaves a report in `.kernapay/mutation`. What lived is tried again only with `--again`, and everything when
the room gets other tests. Exit code 1 when a mutant lives that `survivors.toml` does not list.
`pip install -e '.[dev,mutation]'` first.
"""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import click

from tests.mutation.mutants import UNDECIDED, Mutants
from tests.mutation.rooms import ROOMS
from tests.mutation.survivors import Change, read_survivors
from tests.mutation.workplace import place_of, prepare

_LOOK_SECONDS = 5.0


@click.command()
@click.argument("modules", nargs=-1, type=click.Choice(sorted(ROOMS)), metavar="[MODULE]...")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Of all.")
@click.option("--seed", type=int, default=1, show_default=True, help="For the choice of a share.")
@click.option("--again", is_flag=True, help="Try again what lives.")
@click.option("--report", is_flag=True, help="Try nothing; show what is known.")
def main(modules: tuple[str, ...], share: float, seed: int, again: bool, report: bool) -> None:
    """Try the mutants of modules of the money rooms."""
    unlisted = 0
    for module in modules or ROOMS:
        place = place_of(module)
        if not report:
            prepare(module, ROOMS[module])
        elif not place.exists():
            continue
        mutants = Mutants(place, module, share, seed)
        names = mutants.undecided() + (mutants.alive() if again else [])
        if names and not report:
            _run(module, place, mutants, names)
        unlisted += _report(module, place, mutants)
    sys.exit(1 if unlisted else 0)


def _run(module: str, place: Path, mutants: Mutants, names: list[str]) -> None:
    # One at a time: the mutants share the servers.
    program = str(Path(sys.executable).with_name("mutmut"))
    command = (program, "run", "--max-children", "1", *names)
    started = time.monotonic()
    before = len(mutants.undecided())
    with (
        (place / "mutmut.log").open("ab") as log,
        subprocess.Popen(command, cwd=place, stdout=log, stderr=log) as process,
    ):
        while _is_running(process):
            left = len(mutants.undecided())
            _show(module, mutants.counts(), before - left, left, time.monotonic() - started)
    if process.returncode:
        raise click.ClickException(f"mutmut ended with {process.returncode}: see {log.name}")


def _is_running(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _show(module: str, counts: Counter[str], done: int, left: int, seconds: float) -> None:
    eta = (
        f"{seconds / done * left / 60:.0f} min left" if done else "counting which tests reach what"
    )
    click.echo(f"{module}: {_summary(counts)}; {eta}")


def _summary(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))


def _report(module: str, place: Path, mutants: Mutants) -> int:
    """Show what became of the mutants, and write it into the folder. Return how many live that are not listed."""
    listed = [each for each in read_survivors() if each.module == module]
    found = set()
    unlisted: list[tuple[str, Change]] = []
    for name in mutants.alive():
        change = mutants.change_of(name)
        fitting = [each for each in listed if each.fits(change)]
        found.update(fitting)
        if not fitting:
            unlisted.append((name, change))
    counts = mutants.counts()
    tried = sum(number for status, number in counts.items() if status not in UNDECIDED)
    lines = [f"{module}: {tried} of {mutants.total} tried: {_summary(counts)}"]
    lines += [f"\n  {name}\n  - {each.before}\n  + {each.after}" for name, each in unlisted]
    lines += [f"\n  may live: {each.function}: {each.before}: {each.reason}" for each in found]
    if tried == mutants.total:
        gone = [each for each in listed if each not in found]
        lines += [
            f"\n  listed, but no mutant lives: {each.function}: {each.before}" for each in gone
        ]
    text = "\n".join(lines)
    click.echo(text)
    (place / "report.txt").write_text(f"{text}\n")
    return len(unlisted)


if __name__ == "__main__":
    main()
