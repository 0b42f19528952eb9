"""The API and the worker as processes of their own, as operators run them."""

import asyncio
from pathlib import Path

import httpx
import pytest
from bson import ObjectId

from tests import secrecy
from tests.actors import USERS, VERIFICATION
from tests.aliases import Json, Store
from tests.factories import PASSWORD, sign_up_body
from tests.plain_http import NO_AUTHORITIES
from tests.stack import METRICS_TOKEN, Api, StartApi, Worker, bearer
from tests.verification.conftest import provider_settings
from tests.verification.provider import (
    FAST2SMS_KEY,
    SENDGRID_KEY,
    Answer,
    Provider,
    fast2sms,
    fast2sms_error,
    playing,
    sendgrid,
)
from tests.waiting import eventually, until


def test_missing_providers_are_told_at_start(api_server: Api) -> None:
    warnings = {e["channel"]: e for e in api_server.log_entries("delivery_not_configured")}
    assert set(warnings) == {"email", "sms"}
    assert {entry["level"] for entry in warnings.values()} == {"warning"}
    assert "EMAIL_API_KEY" in warnings["email"]["fix"]
    assert "FAST_2_SMS_KEY" in warnings["sms"]["fix"]


def mails_to(mail: Provider, address: str) -> list[Json]:
    """Return what was sent to this address. The worker also sends what other tests have left in the outbox."""
    return [each for each in mail.accepted if address in str(each["personalizations"])]


@pytest.mark.anyio
async def test_the_worker_sends_what_the_api_could_not_and_no_log_holds_a_secret(
    start_api: StartApi, api_env: dict[str, str], store: Store, tmp_path: Path
) -> None:
    async with playing(sendgrid) as mail, playing(fast2sms) as texts:
        env = {**provider_settings(mail, texts), "LOG_LEVEL": "DEBUG"}
        api = await asyncio.to_thread(start_api, **env)
        worker = Worker(tmp_path, {**api_env, **env})
        hooks = secrecy.async_hooks()
        async with httpx.AsyncClient(
            base_url=api.url, trust_env=False, timeout=20, event_hooks=hooks, verify=NO_AUTHORITIES
        ) as client:
            body = sign_up_body()
            await client.post(f"{USERS}/signup", json=body)
            login = {"email": body["email"], "password": PASSWORD}
            session = (await client.post(f"{USERS}/login", json=login)).json()
            token = session["token"]
            client.headers.update(bearer(token))

            def told() -> list[Json]:
                # What other tests have left is sent too, and told.
                rows = store.messages.find({"userId": ObjectId(session["user"]["_id"])})
                own = {str(row["_id"]) for row in rows}
                return [
                    entry
                    for entry in api.log_entries("message_not_sent")
                    if entry["message_id"] in own
                ]

            # The API itself sends at once; what was refused for good or for now is told in its log.
            mail.play = lambda sent: (
                sendgrid(sent) if mails_to(mail, body["email"])[1:] else Answer(503)
            )
            texts.next.append(fast2sms_error(411, "Invalid Numbers: 9876543210"))
            for channel in ("email", "mobile"):
                answer = await client.post(f"{VERIFICATION}/{channel}/request")
                assert answer.status_code == 202, answer.text
            await until(lambda: mails_to(mail, body["email"]) and texts.received)
            await asyncio.to_thread(eventually, lambda: len(told()) == 2)

            try:
                await asyncio.to_thread(worker.launch)
                await until(lambda: len(mails_to(mail, body["email"])) == 2)
            finally:
                await asyncio.to_thread(worker.kill)
            code = mails_to(mail, body["email"])[1]["content"][0]["value"][:6]
            answer = await client.post(f"{VERIFICATION}/email/confirm", json={"code": code})
            assert answer.json()["isEmailVerified"] is True

            await client.post(f"{USERS}/password/forgot", json={"email": body["email"]})
            await until(lambda: len(mails_to(mail, body["email"])) == 3)
            reset = mails_to(mail, body["email"])[2]["content"][0]["value"][:6]
            metrics = (await client.get("/metrics", headers=bearer(METRICS_TOKEN))).text
        secrets = {SENDGRID_KEY, FAST2SMS_KEY, code, reset, body["email"], "9876543210", token}
        secrets.add(texts.accepted[0]["message"][:6])
        written = worker.log.read_text() + api.log() + metrics
        assert [secret for secret in secrets if secret in written] == []
        assert 'kernapay_messages_total{channel="sms",outcome="failed"} 1.0' in metrics
