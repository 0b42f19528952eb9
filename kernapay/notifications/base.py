"""The protocols of e-mail and SMS providers, and their errors."""

from typing import NamedTuple, Protocol


class Attachment(NamedTuple):
    """A file that goes with an e-mail."""

    name: str
    media_type: str
    content: bytes


class DeliveryFailure(Exception):
    """The provider did not accept the message. The text is for operators."""


class Rejected(DeliveryFailure):
    """The provider refuses the message, the address or our key. Sending it again does not help."""


class TryLater(DeliveryFailure):
    """The provider may accept the message later, or may have accepted it without saying so."""

    def __init__(self, reason: str, *, retry_after: int = 0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """How many seconds the provider asked us to wait."""


class EmailSender(Protocol):
    async def send(
        self, to: str, subject: str, text: str, attachment: Attachment | None = None
    ) -> None:
        """Hand the message to the provider. Raises Rejected, TryLater."""

    async def close(self) -> None: ...


class SmsSender(Protocol):
    def reaches(self, number: str) -> bool:
        """Return whether the provider serves this number, which has the form `+919876543210`."""

    async def send(self, to: str, text: str) -> None:
        """Hand the message to the provider. Raises Rejected, TryLater."""

    async def close(self) -> None: ...
