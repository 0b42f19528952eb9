"""What people type has one form, and what hides, reorders or breaks text is refused or shown."""

import json
import unicodedata

import msgspec
import pytest

from kernapay.core.errors import InvalidInput
from kernapay.core.text import (
    digits_of,
    folded,
    normalise_name,
    show_controls,
    show_controls_in_json,
)
from kernapay.users.contacts import email_forms, normalise_new_email
from tests.attacks.hostile import REORDERING


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Asha Rao", "Asha Rao"),
        ("  Asha \u00a0\u3000 Rao ", "Asha Rao"),
        ("Rene\u0301", "René"),
        ("आशा राव", "आशा राव"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_a_name_has_one_form(text: str, name: str) -> None:
    assert normalise_name(text) == name == normalise_name(name)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "\u200b", "\u200d\u200c", "\u2060\ufeff", "\u00ad", "\u3164", "\uffa0"),
        *("\u115f\u1160", "\u2800", "\u180e", "\ufe0f", "\u034f", "\u200e\u200f", "\U0001d159"),
        *("\u0301", "\U000e0041", "\U000e0100", "\ue000", "\u200b \u200b"),
    ],
    ids=ascii,
)
def test_what_is_invisible_is_no_name(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalise_name(text, "label")
    assert caught.value.field == "label"


def test_texts_are_compared_without_case_width_and_composition() -> None:
    assert folded("ＲＥＮE\u0301") == folded("rené")
    assert folded("STRASSE") == folded("straße")


def test_digits_are_those_of_any_keyboard() -> None:
    assert digits_of("１２３４５６") == digits_of("123 456") == digits_of("१२३-४५६") == "123456"


@pytest.mark.parametrize("point", REORDERING, ids=hex)
def test_a_control_is_shown_as_such_wherever_it_stands(point: int) -> None:
    text = f"Asha{chr(point)}é"
    shown = f"Asha<U+{point:04X}>é"
    assert show_controls(text) == shown
    document = msgspec.json.encode({"name": text, chr(point): [text]})
    assert json.loads(show_controls_in_json(document)) == {"name": shown, shown[4:-1]: [shown]}


def test_no_other_character_is_touched() -> None:
    text = "".join(
        chr(point)
        for point in range(0x20, 0x11000)
        if point not in REORDERING and unicodedata.category(chr(point)) != "Cs"
    )
    assert show_controls(text) == text
    assert json.loads(show_controls_in_json(msgspec.json.encode(text))) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ａｓｈａ@example.com", "asha@example.com"),
        ("ＡＳＨＡ＠ｅｘａｍｐｌｅ．ｃｏｍ", "asha@example.com"),
        ("rene\u0301@example.com", "rené@example.com"),
        ("RENÉ@example.com", "rené@example.com"),
        ("\u0130smail@example.com", "ismail@example.com"),
        ("straße@example.com", "straße@example.com"),
        ("иванов@example.com", "иванов@example.com"),
        ("आशा@example.com", "आशा@example.com"),
        ("さとうken@example.com", "さとうken@example.com"),
        ("taro太郎ー@example.com", "taro太郎ー@example.com"),
        ("łukasz.œuf@example.com", "łukasz.œuf@example.com"),
    ],
)
def test_an_address_of_any_keyboard_has_one_form(text: str, address: str) -> None:
    assert normalise_new_email(text, production=False) == address
    assert normalise_new_email(address, production=False) == address
    assert email_forms(text, production=False).normal == address


@pytest.mark.parametrize(
    "local_part",
    [
        *("\u0430sha", "\u0430\u0455\u04bb\u0430", "\u0251sha", "\u0131shik", "\u03bdikos"),
        *("आशाasha", "иван.petrov", "😀", "x²", "ﬁ", "①", "asha\u0660", "asha\u2024rao", "\ufe80"),
        # Phonetic signs, small capitals, marks laid over a letter, and strokes of other scripts.
        *(
            "\u0237ohn",
            "\u1d00dmin",
            "\ua730oo",
            "a\u0335dmin",
            "adm\ua781n",
            "a\u30fcb",
            "adm\u4e28n",
        ),
        *("as\u200bha", "as\u00adha", "asha\u202e", "\u2066asha\u2069", "a\u0085b", "a\u2028b"),
    ],
    ids=ascii,
)
def test_a_local_part_that_looks_like_another_or_like_nothing_is_refused(local_part: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalise_new_email(f"{local_part}@example.com", production=False)
    assert caught.value.field == "email"


def test_an_account_from_before_is_found_by_what_its_owner_types() -> None:
    forms = email_forms("ＡＳＨＡ@example.com", production=False)
    assert forms == ("asha@example.com", "ａｓｈａ@example.com")
    for local_part in ("\u0430sha", "😀", "x²"):
        address = f"{local_part}@example.com"
        assert email_forms(address, production=False) == (address, address)
