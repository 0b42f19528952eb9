"""What `/metrics` returns, to look things up in."""

from collections.abc import Iterator
from typing import Final, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.stack import METRICS_TOKEN, bearer

METRICS: Final = "/metrics"


class Exposition:
    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def of(cls, client: httpx.Client) -> Self:
        """Scrape a server."""
        answer = client.get(METRICS, headers=bearer(METRICS_TOKEN))
        assert answer.status_code == 200, answer.text
        return cls(answer.text)

    def matching(self, name: str, **labels: str) -> Iterator[Sample]:
        lines = [line for line in self.text.splitlines() if line.startswith(name)]
        for sample in _samples("\n".join(lines)):
            if sample.name == name and labels.items() <= sample.labels.items():
                yield sample

    def samples(self) -> Iterator[Sample]:
        """Yield all of them, which takes a second."""
        yield from _samples(self.text)

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels. There must be one."""
        found = [sample.value for sample in self.matching(name, **labels)]
        assert found, f"no sample of {name} {labels}"
        return sum(found)

    def labels(self) -> dict[str, set[str]]:
        """Return the names of labels of each sample by its name."""
        found: dict[str, set[str]] = {}
        for sample in self.samples():
            found.setdefault(sample.name, set()).update(sample.labels)
        return found


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples
