"""Every block of code in README and the guide is run, or says why not."""

import configparser
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import httpx
import pytest
import razorpay
import requests
import yaml
from playwright.sync_api import Page

from kernapay.commands.main import cli
from kernapay.core.clock import now
from kernapay.devstack.accounts import DEMO_ACCOUNTS, DEMO_PASSWORD
from kernapay.devstack.credentials import credentials
from tests import node
from tests.actors import Actor, log_in, verify
from tests.aliases import Json
from tests.browser import launched_browser
from tests.checkout import ROOT
from tests.checkout_window import pay_by_upi
from tests.contract.running import DevStack
from tests.contract.snippets import DOCS, FLOWS, NOT_RUN, RUN, find, replace, snippets
from tests.factories import sign_up_body, unique
from tests.plain_http import NO_AUTHORITIES
from tests.stack import bare_environment
from tests.waiting import eventually


def test_every_block_is_run_or_says_why_not() -> None:
    known = {**RUN, **NOT_RUN}
    used = set()
    for each in snippets():
        if each.language in ("sh", "json") and each.page in FLOWS:
            continue
        entries = [name for name in known if each.name.startswith(name)]
        assert len(entries) == 1, f"{each.name[:200]} -> {entries}"
        used.add(entries[0])
    assert known.keys() - used == {"README: API=http://127.0.0.1:3000/v1/api"}


def test_the_tests_that_are_named_exist() -> None:
    for test in {*RUN.values(), *FLOWS.values()}:
        path, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / path).read_text(), test


def words_of(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        command, _, _ = line.partition("   ")
        words = shlex.split(command, comments=True)
        if words and words[0].rpartition("/")[2] == "kernapay":
            yield words[1:]


def accept(words: list[str]) -> None:
    """Read the words as the command line does."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command, context = found, click.Context(found)
    _, rest, _ = command.make_parser(context).parse_args(words)
    assert rest == []


@pytest.mark.parametrize(
    ("page", "beginning"),
    [
        ("README", "kernapay listen"),
        ("events", "kernapay listen"),
        ("moving", "export EXPRESS_MONGODB_URL"),
        ("operations", "kernapay doctor "),
        ("sandbox", "kernapay sandbox "),
        ("plugins", "kernapay sandbox "),
    ],
)
def test_typed_commands_exist(page: str, beginning: str) -> None:
    """What they do, test_listen.py, test_express_import.py, test_doctor.py and test_cli.py of the sandbox tell."""
    typed = list(words_of(find(page, beginning)))
    assert typed
    for words in typed:
        accept(words)


def test_the_unit_of_systemd_starts_what_exists() -> None:
    unit = configparser.ConfigParser()
    unit.read_string(find("operations", "[Unit]"))
    program, *words = unit["Service"]["ExecStart"].split()
    assert Path(program).name == "kernapay"
    accept(words)


def test_steps_of_a_pipeline_name_what_exists() -> None:
    install, wait = (step["run"] for step in yaml.safe_load(find("sandbox", "- run:")))
    assert install.startswith("pip install kernapay && (kernapay sandbox >")
    assert wait.endswith("/_sandbox/health")


def test_runbooks_show_what_their_alert_asks() -> None:
    (group,) = yaml.safe_load((DOCS / "monitoring" / "alerts.yaml").read_text())["groups"]
    for path in (DOCS / "runbooks").glob("*.md"):
        (alert,) = (
            each for each in group["rules"] if each["annotations"]["runbook"].endswith(path.name)
        )
        (shown,) = re.findall(r"```promql\n(.*?)```", path.read_text(), re.DOTALL)
        assert shown.split() == alert["expr"].split(), path.name


def test_both_pages_show_the_same_problem() -> None:
    shown = [each.text for each in snippets() if "urn:kernapay:problem:idempotency" in each.text]
    assert len(shown) == 2, "the flow runs one of them"
    assert shown[0] == shown[1]


class Stack:
    """A `kernapay dev` as the guide has it: its addresses and somebody's token in the shell."""

    def __init__(self, stack: DevStack, home: Path, client: httpx.Client) -> None:
        self.api = stack.api
        self.sandbox = stack.sandbox
        self.client = client
        self._home = home
        self.secrets = credentials(stack.home)
        password = self.secrets[DEMO_PASSWORD]
        self.user = log_in(self.client, DEMO_ACCOUNTS["USER"], password)
        self.admin = log_in(self.client, DEMO_ACCOUNTS["ADMIN"], password)

    def new_user(self) -> Actor:
        body = sign_up_body()
        assert self.client.post("/v1/api/users/signup", json=body).status_code == 201
        return log_in(self.client, body["email"], body["password"])

    def bash(self, text: str, **env: str) -> str:
        """Run lines in a shell, which stops at the first that fails; an answer above 399 is a failure."""
        addresses = {"API": f"{self.api}/v1/api", "SANDBOX": self.sandbox}
        text = text.replace("localhost:3000", self.api).replace("localhost:3100", self.sandbox)
        ran = subprocess.run(
            [
                "bash",
                "-euo",
                "pipefail",
                "-c",
                f'curl() {{ command curl -sS --fail-with-body "$@"; }}\n{text}',
            ],
            cwd=self._home,
            env={**bare_environment(), **addresses, **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def code_for(self, email: str) -> str:
        """Return the code of the last mail to somebody."""

        def look() -> str:
            answer = httpx.get(f"{self.sandbox}/_sandbox/mailbox", params={"to": email})
            texts = [each["text"] for each in answer.json()["items"]]
            return re.findall(r"\b\d{6,12}\b", texts[0])[0] if texts else ""

        return eventually(look)


@pytest.fixture
def stack(dev_stack: DevStack, tmp_path: Path) -> Iterator[Stack]:
    with httpx.Client(base_url=dev_stack.api, verify=NO_AUTHORITIES, timeout=30) as client:
        yield Stack(dev_stack, tmp_path, client)


@pytest.mark.long
def test_a_contact_is_confirmed(stack: Stack) -> None:
    user = stack.new_user()
    request, confirm = find("accounts", "curl -X POST $API/verification").split("\n", 1)
    stack.bash(request, TOKEN=user.token)
    stack.bash(replace(confirm, {"341457": stack.code_for(user.email)}), TOKEN=user.token)
    assert user.profile().json()["isEmailVerified"]


@pytest.mark.long
def test_a_password_is_reset(stack: Stack) -> None:
    user = stack.new_user()
    text = replace(find("accounts", "curl $API/users/password"), {"user@example.com": user.email})
    forgot, reset = text.split("\n", 1)
    stack.bash(forgot)
    stack.bash(replace(reset, {"860233417025": stack.code_for(user.email)}))
    log_in(stack.client, user.email, "a whole new battery")


@pytest.mark.long
def test_a_key_is_made(stack: Stack) -> None:
    text = replace(find("administration", "POST /v1/api/admin/api-keys"), {"66b1…": stack.user.id})
    method, path, body = text.split(" ", 2)
    answer = stack.admin.call(method, path, json=json.loads(body))
    assert answer.status_code == 201, answer.text


@pytest.mark.long
def test_an_endpoint_is_registered(stack: Stack) -> None:
    made = json.loads(stack.bash(find("events", "curl -s"), TOKEN=stack.admin.token))
    assert made["secret"].startswith("whsec_")
    gone = stack.admin.call("DELETE", f"/v1/api/endpoints/{made['endpoint']['_id']}")
    assert gone.is_success, gone.text


def test_a_signature_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    from standardwebhooks import Webhook

    secret, sent = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", now()
    event = {
        "type": "payment.succeeded",
        "data": {"referenceId": "PAY_1", "sequence": 2, "status": "success"},
    }
    body = json.dumps(event)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(sent.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1", sent, body),
    }
    exec(
        find("events", "from standardwebhooks"),
        {"SECRET": secret, "body": body, "headers": headers},
    )
    assert capsys.readouterr().out == "payment.succeeded PAY_1 2 success\n"


@pytest.mark.long
def test_a_month_is_exported(stack: Stack, tmp_path: Path) -> None:
    text = replace(find("finance", "curl -H"), {"https://pay.example.com": stack.api})
    stack.bash(text, KEY=stack.admin.token)
    assert (tmp_path / "april.xlsx").read_bytes().startswith(b"PK")


@pytest.mark.long
def test_faults_are_armed(stack: Stack) -> None:
    try:
        stack.bash(find("sandbox", "curl localhost:3100/_sandbox/faults"))
        armed = httpx.get(f"{stack.sandbox}/_sandbox/faults").json()["items"]
        assert {"answer_lost", "webhook_drop"} <= {each["name"] for each in armed}
    finally:
        httpx.delete(f"{stack.sandbox}/_sandbox/faults")


@pytest.mark.long
def test_a_back_end_compares_before_it_delivers(stack: Stack) -> None:
    payment = stack.user.new_payment(amount=50_000, serviceType="CONSULTATION")
    checkout = httpx.post(
        f"{stack.sandbox}/_sandbox/pay", json={"order_id": payment["orderId"], "outcome": "success"}
    ).json()
    assert verify(stack.client, payment, checkout).status_code == 200

    def compare(amount: int) -> None:
        cart = SimpleNamespace(reference=payment["referenceId"], amount=amount)
        known = {"API": f"{stack.api}/v1/api", "httpx": httpx, "key": stack.user.token}
        exec(find("integrate", "payment = httpx.get("), {**known, "cart": cart, "NotPaid": NotPaid})

    compare(50_000)
    with pytest.raises(NotPaid):
        compare(60_000)


class NotPaid(Exception):
    """What the page lets a back end raise."""


@pytest.mark.long
def test_sdks_talk_to_the_sandbox(stack: Stack, tmp_path: Path) -> None:
    here = {"http://127.0.0.1:3100": stack.sandbox}
    key = (stack.secrets["RAZORPAY_KEY_ID"], stack.secrets["RAZORPAY_KEY_SECRET"])
    text = find("sandbox", "client = razorpay.Client(")
    words = {"rzp_test_kernapay": key[0], "sandbox_secret_kernapay_0001": key[1]}
    known: Json = {"razorpay": razorpay}
    exec(replace(text, {**here, **words}), known)
    with requests.Session() as session:
        session.trust_env = False
        known["client"].session = session
        assert known["client"].order.create({"amount": 50_000, "currency": "INR"})["id"]

    program = [
        "const Razorpay = require('razorpay'); const [key_id, key_secret] = process.argv.slice(1);",
        replace(find("sandbox", "const razorpay"), here),
        "razorpay.orders.create({ amount: 50000, currency: 'INR' }).then((o) => console.log(o.id));",
    ]
    packages = node.installed("razorpay", "2.9.6")
    ran = subprocess.run(
        ["node", "-e", "\n".join(program), *key],
        env={**bare_environment(), "NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.startswith("order_"), ran.stderr


@pytest.mark.long
def test_a_program_in_node_is_led_to_the_sandbox(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "razorpay-sandbox.cjs").write_text(find("plugins", "// Sends what"))
    program = (
        "const [key_id, key_secret] = process.argv.slice(1);"
        "const razorpay = new (require('razorpay'))({ key_id, key_secret });"
        "razorpay.orders.create({ amount: 50000, currency: 'INR' }).then((o) => console.log(o.id));"
    )
    key = (stack.secrets["RAZORPAY_KEY_ID"], stack.secrets["RAZORPAY_KEY_SECRET"])
    packages = str(node.installed("razorpay", "2.9.6"))
    ran = subprocess.run(
        ["node", "--require", "./razorpay-sandbox.cjs", "-e", program, *key],
        cwd=tmp_path,
        env={**bare_environment(), "NODE_PATH": packages, "RAZORPAY_SANDBOX": stack.sandbox},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.startswith("order_"), ran.stderr


@pytest.mark.long
def test_the_fixture_of_pytest_is_used_as_shown(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import pytest\n" + find("sandbox", "from kernapay.sandbox.child_process")
    )
    test = find("sandbox", "def test_a_sale")
    (tmp_path / "test_sale.py").write_text(f"import razorpay\n\n\n{test}")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis"],
        cwd=tmp_path,
        env={**bare_environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


@pytest.fixture
def page() -> Iterator[Page]:
    with launched_browser() as browser:
        yield browser.new_page()


@pytest.mark.long
def test_the_page_pays_and_the_stream_tells(page: Page, stack: Stack) -> None:
    """The page of `integrate`, with the script of `sandbox` in it, and the stream beside it."""
    key = stack.secrets["RAZORPAY_KEY_ID"]
    script = replace(find("sandbox", "<script src="), {"http://127.0.0.1:3100": stack.sandbox})
    words = {
        '<script src="https://checkout.razorpay.com/v1/checkout.js"></script>': script,
        "http://127.0.0.1:3000": stack.api,
        "rzp_test_…": key,
        "cart-42": unique("cart-"),
    }
    shop = replace(find("integrate", '<script src="https://checkout'), words)
    token = f"<!doctype html><script>const token = {json.dumps(stack.user.token)}</script>"
    # On the API's own origin, as another one would have to be in CORS_ORIGINS.
    page.route(
        "**/a-shop", lambda route: route.fulfill(content_type="text/html", body=token + shop)
    )
    # To Chromium, a page that was made up here comes from the Internet.
    page.context.grant_permissions(["local-network-access"])
    page.goto(f"{stack.api}/a-shop")
    with (
        page.expect_response("**/payments/create") as created,
        page.expect_response("**/payments/verify") as verified,
    ):
        page.get_by_role("button", name="Pay").click()
        pay_by_upi(page, "success@razorpay")
    assert verified.value.status == 200
    reference = created.value.json()["data"]["referenceId"]
    follow = find("integrate", "const stream")
    page.evaluate(
        f"""(referenceId) => {{
        window.shown = []; const show = (state) => window.shown.push(state.status);
        {follow}
    }}""",
        reference,
    )
    page.wait_for_function("window.shown.includes('success')")
