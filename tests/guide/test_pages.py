"""The guide's pages: every link leads somewhere, every page is found, and what stands in them reads in both places."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import httpx
import pytest
from litestar import Litestar

from kernapay.core.errors import KernaPayError
from kernapay.guide.contents import CONTENTS, START
from kernapay.guide.pages import Page, make_page, names, read_page, slug
from kernapay.guide.search import LONGEST, search
from kernapay.web.problems import status_of
from tests.actors import assert_problem
from tests.checkout import ROOT

DOCS = ROOT / "kernapay" / "docs"
PAGES = [read_page(name) for name in names()]
HOSTILE = '"><script>alert(1)</script>&<b>'


def source_of(page: Page) -> str:
    return (ROOT / "README.md" if page.name == START else DOCS / f"{page.name}.md").read_text()


def test_every_page_is_in_the_contents_and_in_readme() -> None:
    files = {path.stem for path in DOCS.glob("*.md")} | {START}
    assert sorted(name for group in CONTENTS.values() for name in group) == sorted(files)
    named = re.findall(
        r"\| \[[^]]+\]\(kernapay/docs/(\w+)\.md\) \|", (ROOT / "README.md").read_text()
    )
    assert [START, *named] == [name for group in CONTENTS.values() for name in group]


def test_no_page_is_too_long_to_be_read() -> None:
    lengths = {page.name: source_of(page).count("\n") for page in PAGES}
    assert lengths.pop(START) <= 250
    assert {name: length for name, length in lengths.items() if length > 200} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_page_and_a_heading_that_exist(page: Page) -> None:
    anchors = {f"/guide/{each.name}": {part.anchor for part in each.sections} for each in PAGES}
    own = f"/guide/{page.name}"
    for link in re.findall(r'(?:href|src)="([^"]+)"', page.html):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        if path.startswith("/guide/pictures/"):
            assert (DOCS / path.removeprefix("/guide/")).is_file(), link
        elif path in ("LICENSE",):
            assert (ROOT / path).is_file()
        else:
            assert (path or own) in anchors, link
            assert not anchor or anchor in anchors[path or own], link


def test_no_page_has_two_headings_with_one_anchor() -> None:
    for page in PAGES:
        found = [section.anchor for section in page.sections]
        assert len(found) == len(set(found)), page.name


def test_links_lead_to_the_same_place_in_the_repository_and_in_the_guide() -> None:
    text = "# T\n\n[a](../refunds.md#disputes) [b](#t) [c](https://x.example/) ![d](../pictures/shop.png)"
    html = make_page("runbooks/x", PurePosixPath("kernapay/docs/runbooks/x.md"), text).html
    assert 'href="/guide/refunds#disputes"' in html
    assert 'href="#t"' in html
    assert 'href="https://x.example/"' in html
    assert 'src="/guide/pictures/shop.png"' in html


def test_what_looks_like_markup_is_shown_as_text() -> None:
    place = PurePosixPath("kernapay/docs/x.md")
    text = f"# {HOSTILE}\n\n{HOSTILE}\n\n```\n{HOSTILE}\n```\n\n[x](javascript:alert(1))"
    html = make_page("x", place, text).html
    assert "<script" not in html
    assert 'href="javascript' not in html


def test_anchors_are_those_of_github() -> None:
    assert slug("Upgrading past `0012_payees`".replace("`", "")) == "upgrading-past-0012_payees"
    assert slug("Settlements: what reached the bank") == "settlements-what-reached-the-bank"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How do I refund a customer?", "refunds#refunds"),
        ("rotate the webhook secret", "operations#rotating-secrets"),
        ("check the signature of an event", "events#checking-the-signature"),
        ("restore a backup", "operations#restoring-an-older-copy"),
        ("chargeback deadline", "refunds#disputes"),
        ("kernapay_queue_due", "monitoring#metrics"),
        ("GSTIN on the receipt", "receipts#receipts-and-credit-notes"),
        ("sharding", "scaling#sharding-mongodb"),
        ("what agrees in a month", "finance#what-has-to-agree"),
        ("import rules of rooms", "contributing#for-contributors"),
        ("How do I repeat a create call safely?", "integrate#repeat-safely"),
        ("Which webhook secret do I set where?", "integrate#webhooks-of-razorpay"),
        ("customer closed Checkout, what now?", "integrate#when-the-customer-closes-checkout"),
        ("amount in rupees or paise", "integrate#amounts"),
        ("partial refund", "refunds#refunds"),
        ("rotate JWT secret", "operations#rotating-secrets"),
        ("go live", "operations#going-live"),
        ("Redis is down what happens", "runbooks/redis-down#kernapayredisdown"),
        ("alert oldest due work", "monitoring#metrics"),
        ("fee tax settlement differs", "settlements#settlements-what-reached-the-bank"),
        ("credit note", "receipts#receipts-and-credit-notes"),
        ("money came after the sale expired", "payments#money-that-comes-too-late-or-twice"),
        ("customer paid twice", "payments#money-that-comes-too-late-or-twice"),
        ("run one test", "contributing#run-the-tests"),
        ("where do I add an error code", "contributing#where-to-add-something"),
    ],
)
def test_a_question_is_answered_among_the_first_places(question: str, expected: str) -> None:
    assert expected in [f"{hit.page}#{hit.anchor}" for hit in search(question)][:3]


@pytest.mark.parametrize("question", ["port", "one"])
def test_a_word_is_found_where_words_begin_with_it(question: str) -> None:
    excerpts = " ".join(hit.excerpt for hit in search(question))
    before = re.findall("(.)<mark>", excerpts)
    assert before
    assert not any(character.isalnum() for character in before)


def test_words_that_stand_side_by_side_count_more() -> None:
    hits = [hit.page for hit in search("credit note")]
    assert hits[0] == "receipts"
    assert "upgrading" not in hits[:3]


def test_an_excerpt_is_where_most_of_the_words_are() -> None:
    (found,) = [hit for hit in search("alert oldest due work") if hit.anchor == "metrics"]
    assert {"due", "oldest", "alert"} <= set(re.findall("<mark>(.+?)</mark>", found.excerpt))


def test_a_heading_without_a_text_is_no_answer() -> None:
    assert all(hit.excerpt for hit in search("refunds and disputes"))


def test_the_guide_is_served_and_searched_without_a_token(api: httpx.Client) -> None:
    for path in ("/guide", "/guide/refunds", "/guide/runbooks/slow"):
        answer = api.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert api.get("/guide/assets/guide.css").headers["content-type"].startswith("text/css")
    assert api.get("/guide/pictures/shop.png").headers["content-type"] == "image/png"
    assert '<a href="/guide/refunds#refunds">' in api.get("/guide/search?q=refund").text
    assert "0 places" in api.get("/guide/search?q=zzzzz").text


def test_hostile_questions_are_shown_as_text_or_refused(api: httpx.Client) -> None:
    answer = api.get("/guide/search", params={"q": HOSTILE})
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert_problem(api.get("/guide/search", params={"q": "x" * (LONGEST + 1)}), 400, "q")
    for odd in ("", " ", "?", "(", "\\", ".*", "\u202e"):
        assert api.get("/guide/search", params={"q": odd}).status_code == 200
    for path in ("/guide/nothing", "/guide/runbooks/nothing", "/guide/..%2f..%2fLICENSE"):
        assert_problem(api.get(path), 404)


def errors_of(kind: type[KernaPayError]) -> Iterator[type[KernaPayError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from errors_of(each)


def test_every_code_of_an_error_is_listed_with_its_status(application: Litestar) -> None:
    text = (DOCS / "errors.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text, re.MULTILINE)
    ours = {
        (kind.code, str(status_of(kind)))
        for kind in errors_of(KernaPayError)
        if "code" in vars(kind)
    }
    # Litestar's own.
    ours.add(("method_not_allowed", "405"))
    assert sorted(listed) == sorted(ours)
    html = read_page("errors").html
    assert all(f'<tr id="{code}">' in html for code, _ in ours)


def test_each_error_leads_to_its_place_in_the_guide(api: httpx.Client) -> None:
    problem = api.post("/v1/api/payments/verify", json={}).json()
    assert problem["help"] == f"/guide/errors#{problem['code']}"
