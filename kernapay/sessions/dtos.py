"""What crosses the wire about sessions."""

from datetime import datetime

from msgspec import Struct, field


class SessionView(Struct, rename="camel"):
    """A device that is signed in."""

    id: str = field(name="_id")
    user_id: str
    created_at: datetime
    expires_at: datetime
    user_agent: str | None = None
