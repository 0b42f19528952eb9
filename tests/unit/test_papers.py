"""What stands on a paper: words, taxes, and texts in the scripts of India as they are drawn."""

import base64
import hashlib
import io
import json
import random
import re
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdf
import pypdfium2
import pytest
from fontTools.ttLib import TTFont
from msgspec.structs import replace

from kernapay.config.loading import ConfigurationError
from kernapay.core.qr_codes import rows_of
from kernapay.payments.currencies import format_amount, write_amount
from kernapay.payments.documents import font_files, page
from kernapay.payments.documents.amount_in_words import spell_amount
from kernapay.payments.documents.papers import financial_year
from kernapay.payments.documents.pdf import draw
from kernapay.payments.documents.pdf_canvas import MissingGlyph, PdfCanvas
from kernapay.payments.documents.sheet import Fact, Line, Sheet
from kernapay.payments.documents.taxes import Split, Tax, part_of, split, state_of
from tests.environment import REQUIRED, settings_from

# Conjuncts, signs that stand before their letter, and such that stand above or below it.
SCRIPTS = {
    "Devanagari": ("क्षितिज शर्मा त्रिपाठी", "क्ष"),
    "Bengali": ("শ্রীমতী বন্দ্যোপাধ্যায়", "ন্দ"),
    "Tamil": ("கோபாலகிருஷ்ணன்", "க்ஷ"),
    "Telugu": ("శ్రీనివాస్ కృష్ణమూర్తి", "క్ష"),
    "Kannada": ("ಶ್ರೀಕೃಷ್ಣ ಕರ್ನಾಟಕ", "ಕ್ಷ"),
    "Malayalam": ("ശ്രീകൃഷ്ണൻ നമ്പ്യാർ", "ക്ഷ"),
    "Gujarati": ("શ્રી કૃષ્ણ પટેલ", "ક્ષ"),
    "Gurmukhi": ("ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ", "ਪ੍ਰ"),
    "Odia": ("ଶ୍ରୀକୃଷ୍ଣ ମହାପାତ୍ର", "କ୍ଷ"),
}
MINUS = "\N{MINUS SIGN}"


def sheet(**changes: Any) -> Sheet:
    usual = Sheet(
        is_note=False,
        title="Receipt",
        number="KP-R26-000042",
        day="28 November 2026",
        seller="Checkup Studio",
        address=("12 Example Street", "Bengaluru 560001"),
        banner="",
        party_label="Received from",
        party="Asha Rao",
        party_lines=(),
        amount="\u20b91,20,499.00",
        words="Rupees one lakh twenty thousand four hundred ninety-nine only",
        stamp="Paid",
        stamp_time="28 Nov 2026, 14:33",
        item="Consultation",
        item_note="",
        item_amount="\u20b91,20,499.00",
        lines=(Line("Refunded", f"{MINUS}\u20b9500.00", "back"),),
        facts=(Fact("Method", "Card"), Fact("Reference", "PAY_1", True)),
        footer=("A receipt for a payment, not a tax invoice.",),
        check_url="https://pay.example/r/check/0123456789abcdefghijkl",
        made_at=datetime(2026, 11, 28, 9, 3, 20, tzinfo=UTC),
    )
    return replace(usual, **changes)


def text_of(pdf: bytes) -> str:
    text = "".join(each.extract_text() for each in pypdf.PdfReader(io.BytesIO(pdf)).pages)
    return bare(text)


def bare(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c)[0] not in "ZC")


def ink(pdf: bytes, left: float, top: float, width: float, height: float) -> int:
    """Return how many points of a part of the first page are dark; the part is in millimetres."""
    scale = 4
    picture = pypdfium2.PdfDocument(pdf)[0].render(scale=scale).to_pil().convert("L")
    unit = picture.width / 148
    box = tuple(round(each * unit) for each in (left, top, left + width, top + height))
    return sum(picture.crop(box).histogram()[:128])


@pytest.fixture(scope="module")
def nameless() -> bytes:
    return draw(sheet(party=" "))


def test_names_in_the_scripts_of_india_are_shaped_and_can_be_copied(nameless: bytes) -> None:
    names = [name for name, _ in SCRIPTS.values()]
    facts = tuple(Fact(script, name, True, True) for script, (name, _) in SCRIPTS.items())
    drawn = draw(sheet(facts=facts, party=names[0]))
    read = text_of(drawn)
    assert [name for name in names if bare(name) not in read] == []
    # There is ink where the name stands.
    place = (12, 39, 60, 6)
    assert ink(drawn, *place) - ink(nameless, *place) > 200
    # Letters that join are narrower than beside each other.
    pen = PdfCanvas("", datetime.now(UTC), names)
    pen.use(10, bold=False)
    for script, (_, conjunct) in SCRIPTS.items():
        apart = sum(pen.get_string_width(letter) for letter in conjunct)
        assert pen.get_string_width(conjunct) < apart, script
    pen.finish()
    # Nobody pays for fonts that a document does not need.
    assert len(nameless) < 20_000
    assert len(drawn) < 60_000


def test_the_same_texts_are_the_same_bytes(nameless: bytes) -> None:
    assert draw(sheet(party=" ")) == nameless
    assert draw(sheet(party=".")) != nameless


def test_a_character_that_no_font_has_fails_among_our_words_and_is_marked_in_anothers() -> None:
    mark = font_files.UNKNOWN
    strange = sheet(party="\U0001f600 Zoë 李\ufe0f", item="{nb} **x** Kožušček")
    read = text_of(draw(strange))
    assert f"{mark}Zoë{mark}" in read
    assert "{nb}**x**Kožušček" in read
    # On the page, the reader's own fonts may have it.
    assert "\U0001f600 Zoë 李" in page.write(strange).decode()
    for ours in ({"title": "Receipt 李"}, {"words": "李"}, {"footer": ("\U0001f600",)}):
        with pytest.raises(MissingGlyph):
            draw(sheet(**ours))


def test_a_page_brings_the_letters_that_it_needs_and_lets_nothing_else_in() -> None:
    written = page.write(sheet(party="\u0b95\u0bcb", item="</style><style>x"))
    (font,) = re.findall(rb"base64,([^\"]+)", written)
    letters = TTFont(io.BytesIO(base64.b64decode(font))).getBestCmap()
    # A browser draws the vowel as its two parts, on both sides of the consonant.
    assert {0x0B95, 0x0BCB, 0x0BC7, 0x0BBE} <= letters.keys()
    assert len(letters) < 12
    styles = re.findall(rb"<style>(.*?)</style>", written, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(style).digest()).decode() for style in styles]
    assert len(hashes) == 2
    styled = " ".join(f"'sha256-{each}'" for each in hashes)
    assert page.policy_of(written).startswith(
        f"default-src 'none'; style-src {styled}; font-src data:;"
    )
    assert page.write(sheet()).count(b"<style>") == 1


def test_long_texts_and_many_lines_go_on_on_the_next_page() -> None:
    lines = tuple(Line(f"Refunded, note {n}", f"{MINUS}\u20b9{n}.00", "back") for n in range(50))
    drawn = draw(
        sheet(party="W" * 100, item="x" * 256, lines=lines, amount="\u20b99,00,71,99,25,47,409.93")
    )
    read = text_of(drawn)
    assert "W" * 100 in read
    assert "x" * 256 in read
    assert all(f"note{n}{MINUS}" in read for n in range(50))
    assert len(pypdf.PdfReader(io.BytesIO(drawn)).pages) == 3


def test_the_code_leads_to_the_address_that_is_written_beside_it() -> None:
    """The picture of the code is as the code is: each module dark or light."""
    url = "https://pay.example/r/check/0123456789abcdefghijkl"
    rows = rows_of(url)
    drawn = draw(sheet(check_url=url))
    picture = pypdfium2.PdfDocument(drawn)[0].render(scale=6).to_pil().convert("L")
    unit = picture.width / 148
    module = 17.0 / len(rows)
    for number, row in enumerate(rows):
        dark = {column for first, length in row for column in range(first, first + length)}
        for column in range(len(rows)):
            x = (136 - 17 + (column + 0.5) * module) * unit
            y = (178 + (number + 0.5) * module) * unit
            assert (picture.getpixel((int(x), int(y))) < 128) is (column in dark)
    assert bare(url) in text_of(drawn)


@pytest.mark.parametrize(
    ("amount", "currency", "code", "paper", "words"),
    [
        (50000, "INR", "INR 500.00", "\u20b9500.00", "Rupees five hundred only"),
        (1, "INR", "INR 0.01", "\u20b90.01", "Paise one only"),
        (
            1_23_45_67_890_12,
            "INR",
            "INR 1,234,567,890.12",
            "\u20b91,23,45,67,890.12",
            "Rupees one hundred twenty-three crore forty-five lakh sixty-seven thousand eight hundred ninety "
            "and paise twelve only",
        ),
        (1_234_567_89, "USD", "USD 1,234,567.89", "USD 1,234,567.89", None),
        (4950, "USD", "USD 49.50", "USD 49.50", "USD forty-nine and 50/100"),
        (500, "JPY", "JPY 500", "JPY 500", "JPY five hundred"),
        (12_340, "KWD", "KWD 12.340", "KWD 12.340", "KWD twelve and 340/1000"),
    ],
)
def test_money_is_written_as_people_read_it(
    amount: int, currency: str, code: str, paper: str, words: str | None
) -> None:
    assert format_amount(amount, currency) == code
    assert write_amount(amount, currency) == paper
    assert write_amount(-amount, currency) == f"{MINUS}{paper}"
    assert words is None or spell_amount(amount, currency) == words


@pytest.mark.parametrize(
    ("total", "value", "each", "rounding"),
    [
        (100_00, 84_75, 7_63, -1),
        (1, 1, 0, 0),
        (1_00, 85, 8, -1),
        (99_999_99, 84_745_75, 7_627_12, 0),
        (0, 0, 0, 0),
    ],
)
def test_tax_is_a_rate_of_the_value_and_what_rounding_leaves_is_named(
    total: int, value: int, each: int, rounding: int
) -> None:
    home = split(total, 1800, "29", "29")
    assert home == Split(value, (Tax("CGST 9%", each), Tax("SGST 9%", each)), rounding)
    assert home.total == total
    away = split(total, 1800, "29", "27")
    assert [tax.name for tax in away.taxes] == ["IGST 18%"]
    assert away.total == total
    assert abs(away.rounding) <= 1
    assert [tax.name for tax in split(total, 25, "04", "04").taxes] == [
        "CGST 0.125%",
        "UTGST 0.125%",
    ]


def test_credit_notes_add_up_to_the_receipt_in_any_order() -> None:
    dice = random.Random(7)
    for _ in range(200):
        total = dice.randrange(1, 100_000)
        whole = split(total, dice.choice([0, 25, 500, 1800, 4000]), "29", dice.choice(["29", "27"]))
        parts, before = [], 0
        while before < total:
            amount = dice.randrange(1, total - before + 1)
            parts.append(part_of(whole, before, amount))
            assert parts[-1].total == amount
            assert len({tax.amount for tax in parts[-1].taxes}) == 1
            before += amount
        assert sum(part.value for part in parts) == whole.value
        assert sum(part.taxes[0].amount for part in parts) == whole.taxes[0].amount
        assert sum(part.rounding for part in parts) == whole.rounding


@pytest.mark.parametrize(
    ("gstin", "state", "code"),
    [
        ("27AAPFU0939F1ZV", "Karnataka", "27"),
        (None, " tamil NADU ", "33"),
        ("99AAPFU0939F1ZV", "29", "29"),
        (None, "Bavaria", None),
        (None, None, None),
    ],
)
def test_the_state_of_a_buyer_is_that_of_the_number_else_of_the_address(
    gstin: str | None, state: str | None, code: str | None
) -> None:
    assert state_of(gstin, state) == code


def test_the_financial_year_begins_in_april() -> None:
    days = [datetime(2027, 3, 31, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC)]
    assert [financial_year(day.date()) for day in days] == [2026, 2027]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("receipt_gstin", "27AAPFU0939F1ZX"),
        ("receipt_gstin", "27aapfu0939f1zv"),
        ("receipt_address", "one|two|three|four|five"),
        ("receipt_address", "a||b"),
        ("receipt_series", "LONG"),
        ("service_types", '{"LAB": {"gst": 18.005}}'),
        ("service_types", '{"LAB": {"sac": "99"}}'),
    ],
)
def test_what_would_be_wrong_on_every_receipt_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name.upper()):
        settings_from(REQUIRED, **{name: value})


def test_each_font_is_what_its_list_says_and_may_be_handed_on() -> None:
    listed = json.loads((font_files.FOLDER / "VENDOR.json").read_text())
    assert {path.name for path in font_files.FOLDER.glob("*.ttf")} == set(listed)
    terms = (font_files.FOLDER / "OFL.txt").read_text()
    for name, origin in listed.items():
        content = (font_files.FOLDER / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == origin["sha256"]
        assert origin["licence"] == "OFL-1.1"
        assert origin["package"].removeprefix("@fontsource/") in terms
        assert len(base64.b64decode(origin["integrity"].removeprefix("sha512-"))) == 64
    assert "SIL OPEN FONT LICENSE Version 1.1" in terms
    assert Path(font_files.FOLDER / "sans.ttf").stat().st_size < 40_000
