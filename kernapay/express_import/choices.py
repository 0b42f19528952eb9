"""The CSV file in which a person chooses which of several accounts with the same address stays."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kernapay.core.errors import InvalidInput
from kernapay.users.contacts import normalise_email

KEEP: Final = "keep"
MERGE: Final = "merge"
_COLUMNS: Final = ("id", "becomes", "email", "payments", "shownPaid")
_HELP: Final = (
    f"becomes: {KEEP} (one of each address), {MERGE} (its payments go to the one that is kept), "
    "or another e-mail address"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that needs a person's choice. `payments` counts its payments, `shown_paid` those shown as paid."""

    id: str
    email: str
    payments: int
    shown_paid: int


Choices = dict[str, str]
"""The choice by account id: `keep`, `merge`, or a new e-mail address."""


def read_choices(path: Path, *, production: bool) -> Choices:
    """Read the choices from a file. Raises InvalidInput, naming the account."""
    choices: Choices = {}
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", field="duplicates") from error
    for number, row in enumerate(csv.DictReader(_data_lines(text)), 1):
        if "id" not in row or "becomes" not in row:
            raise InvalidInput(f"{path} needs the columns id and becomes.", field="duplicates")
        becomes = (row["becomes"] or "").strip()
        if not becomes:
            continue
        if becomes not in (KEEP, MERGE):
            try:
                becomes = normalise_email(becomes, production=production)
            except InvalidInput as error:
                raise InvalidInput(
                    f"{path}, account {number} ({row['id']}): {becomes} is neither {KEEP}, {MERGE} "
                    "nor an e-mail address.",
                    field="duplicates",
                ) from error
        choices[(row["id"] or "").strip().lower()] = becomes
    return choices


def write_choices(path: Path, candidates: Sequence[Candidate], choices: Choices) -> None:
    """Write the file for a person to fill in, with the choices made so far. Only its owner may read it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(f"# {_HELP}\n")
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for each in candidates:
            chosen = choices.get(each.id, "")
            writer.writerow((each.id, chosen, _cell(each.email), each.payments, each.shown_paid))
        # Keep the line of an account with a new address: without it, the next import would ask again.
        asked = {each.id for each in candidates}
        writer.writerows((each, choices[each], "", "", "") for each in choices if each not in asked)


def _cell(value: str) -> str:
    # A spreadsheet would run it.
    return f"'{value}" if value[:1] in ("=", "+", "-", "@") else value


def _data_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
