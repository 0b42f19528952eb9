"""The user of an embedded MongoDB."""

from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import OperationFailure

USER: Final = "kernapay"
_UNAUTHORIZED: Final = 13
Client = MongoClient[dict[str, Any]]


class ForeignUsers(RuntimeError):
    """The database has users, and ours is not one of them, or has another password."""


def create_first_user(client: Client, password: str, replica_set: dict[str, Any]) -> None:
    """Initiate the replica set, and create its first user once it has a primary. Call this until the user can sign in.

    MongoDB: while there is no user at all, a client on the same machine may do these two things without signing in,
    and nothing else. So nobody reads the data meanwhile. Raises ForeignUsers if somebody else was first.
    """
    hello = client.admin.command("hello")
    try:
        if hello.get("isreplicaset"):
            client.admin.command("replSetInitiate", replica_set)
        elif hello["isWritablePrimary"]:
            client.admin.command("createUser", USER, pwd=password, roles=["root"])
    except OperationFailure as error:
        if error.code == _UNAUTHORIZED:
            raise ForeignUsers from error
        raise


def replace_users(client: Client, password: str) -> None:
    """Make our user the only one. The database had no password so far, so anybody may have added users."""
    for user in client.admin.command("usersInfo", {"forAllDBs": True})["users"]:
        client[user["db"]].command("dropUser", user["user"])
    client.admin.command("createUser", USER, pwd=password, roles=["root"])
