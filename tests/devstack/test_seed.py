"""The demo accounts have a password that nobody knows from the source."""

import asyncio

from click.testing import CliRunner

from kernapay.bootstrap.services import open_services
from kernapay.commands.main import cli
from kernapay.devstack.accounts import DEMO_ACCOUNTS, PUBLIC_PASSWORD
from tests.databases import open_migrated_store
from tests.environment import settings_from

OF_THE_STACK = "made at the first start"


def seed(env: dict[str, str], password: str | None = None) -> list[str]:
    env = {**env, **({} if password is None else {"KERNAPAY_DEMO_PASSWORD": password})}
    ran = CliRunner().invoke(cli, ["seed"], env=env)
    assert ran.exit_code == 0, ran.output
    return ran.output.splitlines()


def who_signs_in(env: dict[str, str], password: str) -> list[str]:
    async def find() -> list[str]:
        async with open_services(settings_from(env)) as services:
            found = []
            for email in DEMO_ACCOUNTS.values():
                user = await services.user_service.find_by_email(email)
                stored = user.password if user else None
                if (await services.password_hasher.verify(password, stored))[0]:
                    found.append(email)
            return found

    return asyncio.run(find())


def test_accounts_with_the_public_password_of_earlier_versions_get_the_one_of_the_stack(
    api_env: dict[str, str], empty_database_url: str
) -> None:
    env = {**api_env, "MONGODB_URL": empty_database_url}
    everyone = list(DEMO_ACCOUNTS.values())
    with open_migrated_store(empty_database_url) as database:
        seed(env, PUBLIC_PASSWORD)  # as an earlier version did
        assert seed(env, OF_THE_STACK) == [
            "4 accounts have the password of KERNAPAY_DEMO_PASSWORD."
        ]
        assert who_signs_in(env, OF_THE_STACK) == everyone
        assert who_signs_in(env, PUBLIC_PASSWORD) == []
        assert database.users.count_documents({"isApprovedProvider": True}) == 1
        (line,) = seed(env, "another one")
        assert "exist already" in line
        assert who_signs_in(env, OF_THE_STACK) == everyone
        database.users.delete_one({"email": everyone[0]})
        email, last = seed(env)
        assert email == everyone[0]
        made = last.rpartition(" ")[2]
        assert len(made) >= 20
        assert who_signs_in(env, made) == everyone[:1]
