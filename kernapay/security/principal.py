"""The caller of a request."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from litestar import Request
from litestar.datastructures import State


class Role(StrEnum):
    USER = "USER"
    PROVIDER = "PROVIDER"
    LAB_ASSISTANT = "LAB_ASSISTANT"
    ADMIN = "ADMIN"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request, with the role the account has now, not the one it had when the token was issued."""

    id: str
    role: Role
    session_id: str
    is_email_verified: bool = False
    is_mobile_verified: bool = False
    key_id: str | None = None
    """The id of the API key that the request was sent with; None for a session."""

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


Authenticated = Request[Principal, Any, State]
