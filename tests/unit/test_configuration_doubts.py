"""Configurations that work and are perhaps not meant: what the log of a start and the doctor say of them."""

from pathlib import Path

import pytest

from kernapay.config.spelling import find_misspelt
from kernapay.config.warning_checks import find_warnings
from tests.environment import PRODUCTION, REQUIRED
from tests.unit.conftest import Load

MONGO = "mongodb://host/kernapay"


def doubts(load: Load, environment: dict[str, str] = REQUIRED, **changes: str) -> dict[str, str]:
    return {flaw.variable: str(flaw) for flaw in find_warnings(load(environment, **changes))}


def test_what_is_as_it_should_be_is_no_doubt(load: Load) -> None:
    assert doubts(load) == doubts(load, PRODUCTION) == {}
    assert doubts(load, MONGODB_URL=f"{MONGO}?w=majority&readPreference=primary&journal=true") == {}


def test_a_key_and_an_environment_that_differ_are_doubtful(load: Load) -> None:
    (test_key,) = doubts(load, PRODUCTION, RAZORPAY_KEY_ID="rzp_test_q8Zt2mVx7LcR4b").values()
    assert test_key.startswith("RAZORPAY_KEY_ID: is a test key")
    (live_key,) = doubts(load, PRODUCTION, APP_ENV="development").values()
    assert live_key.startswith("APP_ENV: is development, but the key moves real money")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mongodb://host", "names no database"),
        ("mongodb://host/", "names no database"),
        ("mongodb://host/?tls=true", "names no database"),
        ("mongodb://user:a+b@host/kernapay", "%2B for a +"),
        (f"{MONGO}?readPreference=secondaryPreferred", "readPreference"),
        (f"{MONGO}?READPREFERENCE=nearest&readPreferenceTags=dc:ny", "readPreferenceTags"),
        (f"{MONGO}?readPreference=secondary&maxStalenessSeconds=120", "maxStalenessSeconds"),
        (f"{MONGO}?w=1", "not used: w. Fix"),
        (f"{MONGO}?tls=true;w=0", "not used: w. Fix"),
        (f"{MONGO}?journal=false", "journal"),
        (f"{MONGO}?readConcernLevel=local&retryWrites=false", "readConcernLevel, retryWrites"),
    ],
)
def test_a_database_url_that_says_less_or_more_than_it_should_is_doubtful(
    load: Load, url: str, text: str
) -> None:
    found = doubts(load, MONGODB_URL=url)
    assert set(found) == {"MONGODB_URL"}
    assert text in found["MONGODB_URL"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RAZORPAY_KEYID", "RAZORPAY_KEY_ID"),
        ("RAZOPRAY_KEY_ID", "RAZORPAY_KEY_ID"),
        ("razorpay_key_id", "RAZORPAY_KEY_ID"),
        ("RAZORPAY-KEY-ID", "RAZORPAY_KEY_ID"),
        ("RAZORPAY_SECRET", "RAZORPAY_KEY_SECRET"),
        ("MONGO_URL", "MONGODB_URL"),
        ("MONGODB_URI", "MONGODB_URL"),
        ("JWT_SECERT", "JWT_SECRET"),
        ("JWT_SECRET_KEY", "JWT_SECRET"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("TRUSTED_PROXYS", "TRUSTED_PROXIES"),
        ("REDIS_PASSWD", "REDIS_PASSWORD"),
        ("REDIS_URI", "REDIS_URL"),
        ("FAST2SMS_KEY", "FAST_2_SMS_KEY"),
        ("port", "PORT"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_one_that_is_meant(name: str, meant: str) -> None:
    (flaw,) = find_misspelt([name])
    assert flaw.variable == name
    assert meant in flaw.fix


def test_variables_of_others_are_not_taken_for_misspelt_ones() -> None:
    others = (
        "PATH HOME HOSTNAME HOSTTYPE LANG LC_ALL TERM USER SHELL PWD OLDPWD TMPDIR LOGNAME EDITOR PYTHONPATH "
        "AWS_DEFAULT_REGION AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL_S3 AWS_ROLE_ARN AWS_CA_BUNDLE "
        "HTTP_PROXY HTTPS_PROXY NO_PROXY KUBERNETES_SERVICE_HOST KUBERNETES_PORT REDIS_TLS_URL REDIS_SERVICE_HOST "
        "REDIS_PORT_6379_TCP MONGODB_SERVICE_PORT TWILIO_ACCOUNT_SID SSH_AUTH_SOCK XDG_RUNTIME_DIR NODE_ENV "
        "KERNAPAY_ADMIN_PASSWORD KERNAPAY_CRASH_AT PROMETHEUS_MULTIPROC_DIR VIRTUAL_ENV GITHUB_TOKEN WORKERS BIND"
    )
    assert list(find_misspelt(others.split())) == []


def test_the_file_is_looked_at_too(load: Load) -> None:
    Path(".env.payment").write_text("RAZORPAY_KEYID=x\nREDIS_PASSWORD=ab#cd\nOTHER=ab#cd\n")
    found = doubts(load)
    assert set(found) == {"RAZORPAY_KEYID", "REDIS_PASSWORD"}
    assert "in quotes" in found["REDIS_PASSWORD"]
    assert "cd" not in found["REDIS_PASSWORD"].replace("comment", "")
