"""What a ledger signals, without Redis."""


class NotedSignals:
    """Notes the names of what changed."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def signal(self, name: str) -> None:
        self.names.append(name)
