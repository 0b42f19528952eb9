"""Errors by category. `web/problems` maps each to an HTTP status."""

from typing import ClassVar


class KernaPayError(Exception):
    """An error that clients may see.

    `detail` must be safe to show. `field` names the wrong field. `retry_after` is in seconds.
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
    """A field or parameter is invalid; `errors` names each one."""

    code = "invalid_input"
    title = "Invalid input"


class Unauthenticated(KernaPayError):
    """The token is missing, invalid or expired."""

    code = "unauthenticated"
    title = "Not signed in"


class Forbidden(KernaPayError):
    """The caller's role does not allow this."""

    code = "forbidden"
    title = "Not allowed"


class NotFound(KernaPayError):
    """The resource does not exist, or the caller may not see it."""

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
    """The rate limit is exceeded; repeat the call after `Retry-After` seconds."""

    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, retry_after=retry_after)


class UpstreamError(KernaPayError):
    """A service that KernaPay depends on failed or refused a call."""


class RetryLater(KernaPayError):
    """The call cannot be completed now; repeating it is safe."""


class NotMigrated(RetryLater):
    """The database lacks a migration or an index of this version. The operator has to act first."""

    code = "not_migrated"
    title = "Not ready"


class Unavailable(RetryLater):
    """A database or a worker pool cannot serve now; repeating the call is safe."""

    code = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str, *, retry_after: int = 2) -> None:
        super().__init__(detail, retry_after=retry_after)
