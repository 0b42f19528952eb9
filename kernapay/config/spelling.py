"""Find variables that look like a misspelt setting of ours."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from kernapay.config.flaws import Flaw
from kernapay.config.settings import Settings

# Between 0 and 1. Finds MONGO_URL, RAZORPAY_SECRET and CORS_ORIGIN, but not AWS_DEFAULT_REGION and REDIS_TLS_URL.
_LIKENESS: Final = 0.85
_SHORTEST: Final = 6
_NAMES: Final = {name.upper().replace("_", ""): name.upper() for name in Settings.model_fields}
# Read by others: by `create-admin`, by the tests, by boto3.
_OTHERS: Final = {"NODE_ENV", "KERNAPAY_ADMIN_PASSWORD", "KERNAPAY_CRASH_AT", "AWS_ENDPOINT_URL_S3"}


def find_misspelt(variables: Iterable[str]) -> Iterator[Flaw]:
    """Find names that are almost one of ours."""
    for name in variables:
        meant = _meant(name)
        if meant not in (None, name) and name not in _OTHERS:
            yield Flaw(
                name,
                "is not read, but looks like a misspelt variable of KernaPay",
                f"rename it to {meant}, if that is meant.",
            )


def _meant(name: str) -> str | None:
    bare = "".join(filter(str.isalnum, name)).upper()
    if bare in _NAMES or len(bare) < _SHORTEST:
        return _NAMES.get(bare)
    close = get_close_matches(bare, _NAMES, n=1, cutoff=_LIKENESS)
    return _NAMES[close[0]] if close else None
