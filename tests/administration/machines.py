"""Back ends with an API key, as tests make and use them."""

from typing import Any

import httpx

from tests.actors import API_KEYS, Actor
from tests.stack import bearer


def make(admin: Actor, **body: Any) -> httpx.Response:
    return admin.call("POST", API_KEYS, json={"name": "Back end", "role": "USER", **body})


def listed(admin: Actor, key_id: str) -> dict[str, Any]:
    keys = admin.call("GET", API_KEYS, params={"count": 100}).json()["keys"]
    (found,) = (key for key in keys if key["_id"] == key_id)
    return dict(found)


class Machine:
    """A back end with a key."""

    def __init__(self, client: httpx.Client, created: httpx.Response) -> None:
        assert created.status_code == 201, created.text
        self.client = client
        self.created = created
        self.key: str = created.json()["key"]
        self.id: str = created.json()["details"]["_id"]

    def at(self, client: httpx.Client) -> "Machine":
        return Machine(client, self.created)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.client.request(method, path, headers=bearer(self.key), **options)
