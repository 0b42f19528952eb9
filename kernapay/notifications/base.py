"""What a provider of e-mail or of text messages must do, and how it may fail."""

from typing import Protocol


class DeliveryFailure(Exception):
    """The provider did not take the message. The text is for operators."""


class Rejected(DeliveryFailure):
    """No repeat will help: the message, the address or our key is refused."""


class TryLater(DeliveryFailure):
    """The provider may take it later, or it is not known whether it did."""

    def __init__(self, reason: str, *, retry_after: int = 0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """Seconds the provider asked us to wait."""


class EmailSender(Protocol):
    async def send(self, to: str, subject: str, text: str) -> None:
        """Hand the message to the provider. Raises Rejected, TryLater."""

    async def close(self) -> None: ...


class SmsSender(Protocol):
    def reaches(self, number: str) -> bool:
        """Tell whether the provider serves this number, written as `+919876543210`."""

    async def send(self, to: str, text: str) -> None:
        """Hand the message to the provider. Raises Rejected, TryLater."""

    async def close(self) -> None: ...
