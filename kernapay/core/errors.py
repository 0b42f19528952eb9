"""What can go wrong, by name. Which error is which HTTP status is said here and nowhere else."""

from typing import ClassVar


class KernaPayError(Exception):
    """A problem a client is told about. `detail` must be safe to show; `field` names the culprit."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, detail: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after = retry_after
        """Seconds after which a repeat is worth while."""


class InvalidInput(KernaPayError):
    """Something that was sent is not as it should be; `errors` names the fields."""

    status = 400
    code = "invalid_input"
    title = "Invalid input"


class Unauthenticated(KernaPayError):
    """There is no token, or none that is valid now."""

    status = 401
    code = "unauthenticated"
    title = "Not signed in"


class Forbidden(KernaPayError):
    """The caller's role does not allow this."""

    status = 403
    code = "forbidden"
    title = "Not allowed"


class NotFound(KernaPayError):
    """There is no such thing, or none that the caller may see."""

    status = 404
    code = "not_found"
    title = "Not found"


class TooLarge(KernaPayError):
    """The body is larger than the service accepts."""

    status = 413
    code = "too_large"
    title = "Too large"


class Conflict(KernaPayError):
    status = 409
    code = "conflict"
    title = "Conflict"


class TooManyRequests(KernaPayError):
    """Ask again after `Retry-After` seconds."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, retry_after=retry_after)


class Unavailable(KernaPayError):
    """A store or pool cannot serve now; nothing is known to be lost and a repeat is safe."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str, *, retry_after: int = 2) -> None:
        super().__init__(detail, retry_after=retry_after)
