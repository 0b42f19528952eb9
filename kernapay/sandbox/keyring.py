"""The key pairs of the accounts: those of the configuration, and those that rotations made.

An account is named by the key id that the configuration gives it, whatever its keys are later.
"""

import secrets
from collections.abc import Iterator
from typing import Final

from kernapay.sandbox.account_entities import ApiKey
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.methods import mode_of
from kernapay.sandbox.store import Store

HOUR: Final = 3600


class Keyring:
    def __init__(self, config: SandboxConfig, store: Store, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._clock = clock

    def find(self, key_id: str | None) -> ApiKey | None:
        """Return the key pair. None if there is no such one, or if it no longer works."""
        key = self._store.api_keys.get(key_id or "") or self._configured(key_id)
        if key is None or (key.expires_at is not None and key.expires_at <= self._clock.now()):
            return None
        # A file may have keys of an account that the configuration no longer names.
        return key if key.owner in self._config.keys else None

    def current(self, owner: str) -> ApiKey:
        """Return the account's newest key pair. Raise KeyError if the configuration does not name the account."""
        for key in self._rotated(owner):
            if key.expires_at is None:
                return key
        return ApiKey(id=owner, owner=owner, secret=self._config.keys[owner], created_at=0)

    def rotate(self, key_id: str, keep_old_hours: float) -> ApiKey:
        """Make a new key pair. The old one works for so many hours more.

        Razorpay: the business chooses whether the old key ends at once or after 24 hours. Raise ControlError if the key
        is not its account's current one.
        """
        key = self.find(key_id)
        if key is None or self.current(key.owner).id != key.id:
            raise ControlError("Only an account's current key can be rotated.", 409, "key_id")
        now = self._clock.timestamp()
        self._store.api_keys.remove(key.id)
        key.expires_at = now + int(keep_old_hours * HOUR)
        self._store.api_keys.add(key)
        return self._store.api_keys.add(
            ApiKey(
                id=f"rzp_{mode_of(key.owner)}_{new_id('key').removeprefix('key_')}",
                owner=key.owner,
                secret=secrets.token_hex(12),
                created_at=now,
            )
        )

    def _configured(self, key_id: str | None) -> ApiKey | None:
        secret = self._config.keys.get(key_id or "")
        if key_id is None or secret is None:
            return None
        return ApiKey(id=key_id, owner=key_id, secret=secret, created_at=0)

    def _rotated(self, owner: str) -> Iterator[ApiKey]:
        return (key for key in self._store.api_keys if key.owner == owner)
