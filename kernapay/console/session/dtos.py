"""The answers of the routes of the console's session."""

from typing import Annotated

from msgspec import Meta, Struct

from kernapay.core.clock import Instant
from kernapay.security.passwords import MAX_LENGTH
from kernapay.sessions.dtos import SecondFactorCode, SignedInUser


class ConsoleSession(Struct, rename="camel", kw_only=True):
    """Who is signed in to the console, and what a page needs to show money and times.

    A session ends at `expiresAt`, and earlier when it was not used for `idleSeconds`. Currencies that
    `currencyExponents` does not name have two decimals.
    """

    user: SignedInUser
    has_second_factor: bool
    expires_at: Instant
    idle_seconds: Annotated[int, Meta(examples=[1800])]
    business: Annotated[str, Meta(examples=["KernaPay"])]
    zone: Annotated[str, Meta(description="The business's zone.", examples=["Asia/Kolkata"])]
    livemode: Annotated[bool, Meta(description="Whether the gateway's key moves real money.")]
    currency_exponents: Annotated[dict[str, int], Meta(examples=[{"JPY": 0, "KWD": 3}])]


class ConsoleEnrolled(Struct, rename="camel"):
    """The session, and recovery codes for the day the authenticator is lost: only this answer contains them."""

    session: ConsoleSession
    recovery_codes: Annotated[list[str], Meta(examples=[["k3xw-9f2m-qd7a-zt4p"]])]


class ConsoleProof(Struct, rename="camel", forbid_unknown_fields=True):
    """Your password; with `code`, if the account has a second factor."""

    current_password: Annotated[
        str, Meta(min_length=1, max_length=MAX_LENGTH, examples=["correct horse battery"])
    ]
    code: Annotated[SecondFactorCode | None, Meta(examples=[None])] = None


class ConsoleProven(Struct, rename="camel"):
    """Until when the proof counts."""

    proven_until: Instant
