"""The clients that the usual generators of TypeScript make of the document: compiled strictly, and used."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import node
from tests.aliases import Json
from tests.factories import PASSWORD, new_email
from tests.stack import Api

PROGRAMS = Path(__file__).with_name("generators")
TYPESCRIPT = "typescript@5.9.3"


class Generator(NamedTuple):
    """A generator: its package, release and call, and what else a client of it needs."""

    package: str
    version: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.package.removeprefix("@").removesuffix("/openapi-ts")


# The newest releases that run on Node 20.
GENERATORS = [
    Generator(
        "openapi-typescript",
        "7.13.0",
        ("openapi-typescript", "openapi.json", "--output", "generated/schema.ts"),
        ("openapi-fetch@0.17.0",),
    ),
    Generator(
        "@hey-api/openapi-ts",
        "0.95.0",
        ("openapi-ts", "--input", "openapi.json", "--output", "generated"),
    ),
    Generator("orval", "7.13.2", ("orval", "--config", "orval.config.cjs")),
]


@pytest.mark.soak
@pytest.mark.parametrize("generator", GENERATORS, ids=lambda each: each.name)
def test_a_generated_client_compiles_strictly_and_makes_a_payment(
    generator: Generator, document: Json, api_server: Api, tmp_path: Path
) -> None:
    modules = node.installed(generator.package, generator.version, TYPESCRIPT, *generator.needs)
    home = tmp_path / "client"
    shutil.copytree(PROGRAMS, home, ignore=lambda _, names: foreign(generator, names))
    (home / "openapi.json").write_text(json.dumps(document))
    (home / "node_modules").symlink_to(modules)

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments],
            cwd=home,
            env={**os.environ, "API": api_server.url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    made = run(f"node_modules/.bin/{generator.command[0]}", *generator.command[1:])
    assert made.returncode == 0, made.stdout + made.stderr
    errors = [
        line for line in run("node_modules/.bin/tsc").stdout.splitlines() if ": error" in line
    ]
    # The part of hey-api's clients that is the same for every document does not know exactOptionalPropertyTypes.
    own = ("generated/client/", "generated/core/") if generator.name == "hey-api" else ()
    assert [line for line in errors if not line.startswith(own)] == []

    email = new_email()
    used = run("node", f"compiled/{generator.name}.js", email, PASSWORD)
    assert used.returncode == 0, used.stderr
    answers = json.loads(used.stdout)
    assert answers.pop("orderId").startswith("order_")
    assert answers == {"email": email, "state": "pending", "listed": [True], "refused": ["amount"]}


def foreign(generator: Generator, names: list[str]) -> list[str]:
    """Return the programs of the other generators."""
    return [each for each in names if each.endswith(".ts") and each != f"{generator.name}.ts"]
