"""Errors by what they mean to whoever called. `web/problems` decides how each is answered over HTTP."""

from typing import ClassVar


class KernaPayError(Exception):
    """An error that clients may see.

    `detail` must be safe to show, `field` names the culprit, `retry_after` is in seconds.
    """

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, detail: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after = retry_after


class InvalidInput(KernaPayError):
    """Something that was sent is not as it should be; `errors` names the fields."""

    code = "invalid_input"
    title = "Invalid input"


class Unauthenticated(KernaPayError):
    """There is no token, or none that is valid now."""

    code = "unauthenticated"
    title = "Not signed in"


class Forbidden(KernaPayError):
    """The caller's role does not allow this."""

    code = "forbidden"
    title = "Not allowed"


class NotFound(KernaPayError):
    """There is no such thing, or none that the caller may see."""

    code = "not_found"
    title = "Not found"


class Conflict(KernaPayError):
    code = "conflict"
    title = "Conflict"


class TooLarge(KernaPayError):
    """The body is larger than the service accepts."""

    code = "too_large"
    title = "Too large"


class TooManyRequests(KernaPayError):
    """Ask again after `Retry-After` seconds."""

    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, retry_after=retry_after)


class UpstreamError(KernaPayError):
    """A service that KernaPay depends on did not do what it was asked."""


class RetryLater(KernaPayError):
    """This cannot be done now; repeating the call is safe."""


class Unavailable(RetryLater):
    """A store or pool cannot serve now; nothing is known to be lost and a repeat is safe."""

    code = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str, *, retry_after: int = 2) -> None:
        super().__init__(detail, retry_after=retry_after)
