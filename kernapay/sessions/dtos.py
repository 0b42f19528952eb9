"""Request and response structs of the session routes."""

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.core.patterns import NOT_BLANK, explain
from kernapay.security.passwords import MAX_LENGTH
from kernapay.security.principal import Role
from kernapay.users.dtos import Email, EmailText, Name, ObjectIdText, Password

SESSION_ID_PATTERN: Final = explain(r"^[A-Za-z0-9_-]{22}$", "the id of a session")
SESSION_ID_EXAMPLE: Final = "u1Zq8oYc3nXwT5vRk2LmPA"
_TOKEN_EXAMPLE: Final = f"{SESSION_ID_EXAMPLE}.pYh3mCq0T1sVb7uXkR9eWd2aJf6gZl8nOi4tEc5rBvQ"

SecondFactorCode = Annotated[
    str,
    Meta(
        min_length=6,
        max_length=64,
        pattern=NOT_BLANK,
        description="Six digits of the authenticator, or a recovery code.",
        examples=["042917"],
    ),
]
RefreshToken = Annotated[
    str,
    Meta(
        max_length=128,
        pattern=explain(r"^[A-Za-z0-9_.-]+$", "a refresh token"),
        examples=[_TOKEN_EXAMPLE],
    ),
]


class SessionView(Struct, rename="camel"):
    """A session as it is cached, without its token hashes."""

    id: str = field(name="_id")
    user_id: str
    created_at: Instant
    expires_at: Instant
    user_agent: str | None = None
    last_used_at: Instant | None = None
    is_console: bool | None = None
    proven_at: Instant | None = None


class Device(Struct, rename="camel"):
    """A device that is signed in. `lastUsedAt` is accurate to the hour."""

    id: Annotated[str, Meta(examples=[SESSION_ID_EXAMPLE])] = field(name="_id")
    user_agent: Annotated[str, Meta(examples=["Mozilla/5.0"])] | None
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant
    current: bool


def device_of(session: SessionView, current_session: str) -> Device:
    return Device(
        id=session.id,
        user_agent=session.user_agent,
        created_at=session.created_at,
        last_used_at=session.last_used_at or session.created_at,
        expires_at=session.expires_at,
        current=session.id == current_session,
    )


class Refresh(Struct, rename="camel", forbid_unknown_fields=True):
    """The newest refresh token of this device. It works once."""

    refresh_token: RefreshToken


class PasswordChange(Struct, rename="camel", forbid_unknown_fields=True):
    """A new password. `currentPassword` proves that the caller may change it."""

    current_password: Annotated[
        str, Meta(min_length=1, max_length=MAX_LENGTH, examples=["correct horse battery"])
    ]
    password: Annotated[Password, Meta(examples=["wrong zebra battery"])]
    confirm_password: Annotated[str, Meta(max_length=MAX_LENGTH, examples=["wrong zebra battery"])]


class Login(Struct, rename="camel", forbid_unknown_fields=True):
    """The e-mail address and the password of an account; with `code`, if the account has a second factor."""

    email: EmailText
    password: Annotated[
        str, Meta(min_length=1, max_length=MAX_LENGTH, examples=["correct horse battery"])
    ]
    code: Annotated[SecondFactorCode | None, Meta(examples=[None])] = None


class SignedInUser(Struct, rename="camel"):
    """The account that the token belongs to."""

    id: ObjectIdText = field(name="_id")
    email: Email
    name: Name
    type: Annotated[Role, Meta(examples=["USER"])]


class LoggedIn(Struct, rename="camel"):
    """Send `token` as `Authorization: Bearer …` until `expiresAt`. Exchange `refreshToken` once for the next pair."""

    token: Annotated[str, Meta(examples=["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI2NmIxIn0.c2ln"])]
    refresh_token: Annotated[str, Meta(examples=[_TOKEN_EXAMPLE])]
    user: SignedInUser
    expires_at: Instant
    refresh_expires_at: Instant
