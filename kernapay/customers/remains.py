"""The data that stays after an erasure, and the reasons."""

from typing import Annotated, Final

from msgspec import Meta, Struct


class Remainder(Struct):
    what: Annotated[str, Meta(examples=["payments"])]
    why: Annotated[str, Meta(examples=["They are the books."])]


REMAINS: Final = (
    Remainder(
        "payments with their amounts, ids, refunds, disputes and settlements",
        "They are the books. Refunds and open disputes are still finished by them.",
    ),
    Remainder(
        "description, notes and metadata of payments, and reasons of refunds",
        "Whoever sold wrote them into the books; notes are at the gateway as well.",
    ),
    Remainder(
        "a keyed hash of each request that created a payment",
        "It answers a repeat of the request. Nobody can guess names from it.",
    ),
    Remainder(
        "ids in the audit log, and exports that were stored before",
        "The log proves who did what. Exports have no names, and are deleted after a day.",
    ),
)
