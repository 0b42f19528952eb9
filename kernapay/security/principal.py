"""Who is calling."""

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
    """The caller of this request, as the stores know them now, not as the token once did."""

    id: str
    role: Role
    session_id: str
    email_verified: bool = False
    mobile_verified: bool = False
    key_id: str | None = None
    """The API key the caller came with; None for a person's session."""

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


Authenticated = Request[Principal, Any, State]
