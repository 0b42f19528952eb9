"""Back to the version before: its code goes on with what this one has written."""

import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.actors import log_in, request_refund, status, verify
from tests.checkout import ROOT
from tests.factories import PASSWORD
from tests.plain_http import NO_AUTHORITIES
from tests.stack import Api
from tests.upgrades.conftest import Site
from tests.upgrades.dumps import DATA, Dump
from tests.upgrades.old_code import OldCode, has_history, unpack
from tests.waiting import eventually

pytestmark = pytest.mark.long

_PATH = max(DATA.glob("*.zip"))
BEFORE = Dump(_PATH)
NEWER = [path for path in (ROOT / "migrations").glob("[0-9]*.py") if path.stem[:4] > _PATH.stem[:4]]


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    if not has_history(BEFORE.facts.commit):
        pytest.skip("this clone does not reach back to the version before")
    home = tmp_path / "before"
    home.mkdir()
    unpack(BEFORE.facts.commit, home)
    return home


@pytest.mark.parametrize("is_reverted", [False, True], ids=["its schema stays", "migrated down"])
def test_the_version_before_goes_on_with_what_this_one_has_written(
    site: Site, old_home: Path, tmp_path: Path, is_reverted: bool
) -> None:
    site.restore(BEFORE)
    assert site.kernapay("migrate", "up").returncode == 0
    with Api(tmp_path, site.env) as newer:
        site.sandbox.deliver_to(newer.url)
        asha = log_in(newer.client, BEFORE.facts.emails["asha"], PASSWORD)
        waiting = asha.new_payment()
        repeated = asha.new_payment(idempotencyKey="before-the-rollback")
        paid, _ = asha.buy(site.sandbox)
        root = log_in(newer.client, BEFORE.facts.emails["root"], PASSWORD)
        assert request_refund(root, paid, 20_000).status_code in (201, 202)
        eventually(lambda: status(newer.client, paid)["amountRefunded"] == 20_000)
    site.sandbox.clear()
    if is_reverted:
        down = site.kernapay("migrate", "down", "--steps", str(len(NEWER)))
        assert down.returncode == 0, down.stdout + down.stderr

    code = OldCode(old_home, Path(sys.executable), site.env)
    before = code.server("before", tmp_path, "kernapay", "/health/ready", "serve")
    with ExitStack() as stack:
        stack.callback(before.process.kill)
        before.process.start()
        client = stack.enter_context(
            httpx.Client(base_url=before.url, trust_env=False, verify=NO_AUTHORITIES, timeout=20)
        )
        assert asha.at(client).profile().status_code == 200, "nobody has to sign in again"
        asha, root = (
            log_in(client, BEFORE.facts.emails[name], PASSWORD) for name in ("asha", "root")
        )
        shown = {each["referenceId"]: each["status"] for each in asha.history().json()}
        assert shown[waiting["referenceId"]] == "pending"
        assert shown[paid["referenceId"]] == "success"
        again = asha.create(idempotencyKey="before-the-rollback")
        assert again.json()["data"]["referenceId"] == repeated["referenceId"]
        checkout = site.sandbox.pay(waiting["orderId"])
        assert verify(client, waiting, checkout).status_code == 200
        site.sandbox.deliver_to(before.url)
        assert request_refund(root, paid).status_code in (201, 202)
        eventually(lambda: status(client, paid)["status"] == "refunded")
        asha.buy(site.sandbox)

    # Forward again: what the older one has written meanwhile is sound.
    assert site.kernapay("migrate", "up").returncode == 0
    audit = site.kernapay("audit")
    assert "\n1 difference(s)" in audit.stdout, audit.stdout + audit.stderr
    assert BEFORE.facts.payments["missed"]["referenceId"] in audit.stdout
