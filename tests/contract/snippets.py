"""The blocks of code in README and in the guide, and what runs each of them."""

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from markdown_it import MarkdownIt

from tests.checkout import ROOT

DOCS: Final = ROOT / "kernapay" / "docs"
_HERE: Final = "tests/contract/test_snippets.py::"
_FLOW: Final = (
    "tests/contract/test_readme.py::test_the_flow_runs_as_written_and_prints_what_is_shown"
)
_EXAMPLES: Final = "tests/guide/test_examples.py::test_the_page_shows_the_program_itself"

RUN: Final = {
    "README: API=http://127.0.0.1:3000/v1/api": _FLOW,
    "README: kernapay listen --forward-to http://localhost:8000/hook": f"{_HERE}test_typed_commands_exist",
    "accounts: curl -X POST $API/verification/email/request": f"{_HERE}test_a_contact_is_confirmed",
    "accounts: curl $API/users/password/forgot": f"{_HERE}test_a_password_is_reset",
    "administration: POST /v1/api/admin/api-keys": f"{_HERE}test_a_key_is_made",
    "errors: {": f"{_HERE}test_both_pages_show_the_same_problem",
    "events: curl -s localhost:3000/v1/api/endpoints": f"{_HERE}test_an_endpoint_is_registered",
    "events: from standardwebhooks import Webhook": f"{_HERE}test_a_signature_is_checked",
    "events: kernapay listen": f"{_HERE}test_typed_commands_exist",
    'examples: """A shop\'s back end in Flask': _EXAMPLES,
    "examples: // A shop": _EXAMPLES,
    "finance: curl -H": f"{_HERE}test_a_month_is_exported",
    "integrate: .venv/bin/kernapay openapi": "tests/contract/test_client.py::test_the_generated_client_makes_a_payment",
    "integrate: <script src=": f"{_HERE}test_the_page_pays_and_the_stream_tells",
    "integrate: payment = httpx.get(": f"{_HERE}test_a_back_end_compares_before_it_delivers",
    "integrate: const stream": f"{_HERE}test_the_page_pays_and_the_stream_tells",
    "moving: export EXPRESS_MONGODB_URL": f"{_HERE}test_typed_commands_exist",
    "plugins: kernapay sandbox ": f"{_HERE}test_typed_commands_exist",
    "plugins: // Sends what": f"{_HERE}test_a_program_in_node_is_led_to_the_sandbox",
    "operations: kernapay doctor ": f"{_HERE}test_typed_commands_exist",
    "operations: [Unit]": f"{_HERE}test_the_unit_of_systemd_starts_what_exists",
    "sandbox: kernapay sandbox ": f"{_HERE}test_typed_commands_exist",
    "sandbox: client = razorpay.Client(": f"{_HERE}test_sdks_talk_to_the_sandbox",
    "sandbox: const razorpay": f"{_HERE}test_sdks_talk_to_the_sandbox",
    "sandbox: <script src=": f"{_HERE}test_the_page_pays_and_the_stream_tells",
    "sandbox: - run:": f"{_HERE}test_steps_of_a_pipeline_name_what_exists",
    "sandbox: def test_a_sale": f"{_HERE}test_the_fixture_of_pytest_is_used_as_shown",
    "sandbox: from kernapay.sandbox.child_process": f"{_HERE}test_the_fixture_of_pytest_is_used_as_shown",
    "sandbox: curl localhost:3100/_sandbox/faults": f"{_HERE}test_faults_are_armed",
}
"""The test of a block by its page and its beginning. Blocks of `sh` and `json` in `FLOWS` run in one shell."""
FLOWS: Final = {"README": _FLOW, "customers": _FLOW, "integrate": _FLOW}
NOT_RUN: Final = {
    "README: python3 -m venv .venv && .venv/bin/pip install -e '.[embedded]'": "what `.ci/run` and `dev_stack` do",
    "README: python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'": "what `.ci/run` does",
    "benchmarks: python -m tests.benchmarks.api": "takes minutes; tests/benchmarks/test_api.py measures one row",
    "contributing: kernapay/": "a drawing; tests/house/test_readme.py compares it with the folders",
    "contributing: .venv/bin/pytest -n0": "one test of the guide, as this suite runs it",
    "development: python3 -m venv": "what `.ci/run` and `dev_stack` do",
    "development: .venv/bin/kernapay dev --example-data": "takes minutes; tests/devstack/test_example_data.py",
    "monitoring: docker compose": "needs Docker; tests/house/test_compose.py reads the file",
    "operations: docker compose": "needs Docker; tests/house/test_compose.py reads the file",
    "payments: paid (Checkout": "a drawing",
    "plugins: <?php": "needs PHP",
}
"""Why a block is not run, by its page and its beginning."""


class Snippet(NamedTuple):
    page: str
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}: {self.text.strip()}"


@cache
def snippets() -> tuple[Snippet, ...]:
    """Return every block, also those without a language. Runbooks have queries only, those of the alerts."""
    return tuple(_read())


def _read() -> Iterator[Snippet]:
    for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md"))):
        for token in MarkdownIt().parse(path.read_text()):
            if token.type in ("fence", "code_block"):
                yield Snippet(path.stem, token.info, token.content)


def find(page: str, beginning: str) -> str:
    """Return the one block that begins so."""
    (found,) = (
        each.text
        for each in snippets()
        if each.page == page and each.text.strip().startswith(beginning)
    )
    return found


def replace(text: str, parts: dict[str, str]) -> str:
    """Replace words, each of which has to be there."""
    for old, new in parts.items():
        assert old in text, old
        text = text.replace(old, new)
    return text
