import pytest

from kernapay.core.keys import BrokenSeal, Sealer, derive_key

OLD, NEW = "old-secret-7d1f0c2ab3e948561122", "new-secret-99b0c1d9e7a24f683344"


def test_every_purpose_has_a_key_of_its_own() -> None:
    keys = {derive_key(secret, purpose) for secret in (OLD, NEW) for purpose in ("a", "b", "")}
    assert len(keys) == 6
    assert {len(key) for key in keys} == {32}
    assert OLD.encode() not in keys


def test_a_sealed_text_does_not_show_and_opens_again() -> None:
    sealer = Sealer([OLD], "outbox")
    first, second = sealer.seal("042917 ₹"), sealer.seal("042917 ₹")
    assert b"042917" not in first
    assert first != second
    assert sealer.open(first) == sealer.open(second) == "042917 ₹"


def test_a_text_opens_while_its_secret_is_the_previous_one() -> None:
    sealed = Sealer([OLD], "outbox").seal("042917")
    assert Sealer([NEW, OLD], "outbox").open(sealed) == "042917"
    assert Sealer([NEW], "outbox").open(Sealer([NEW, OLD], "outbox").seal("1")) == "1"


@pytest.mark.parametrize("change", [lambda sealed: sealed[:-8], lambda _: b"", lambda s: s[::-1]])
def test_a_changed_text_does_not_open(change: object) -> None:
    sealer = Sealer([OLD], "outbox")
    with pytest.raises(BrokenSeal):
        sealer.open(change(sealer.seal("042917")))  # type: ignore[operator]


def test_another_secret_or_purpose_does_not_open_it() -> None:
    sealed = Sealer([OLD], "outbox").seal("042917")
    for stranger in (Sealer([NEW], "outbox"), Sealer([OLD], "inbox")):
        with pytest.raises(BrokenSeal):
            stranger.open(sealed)
